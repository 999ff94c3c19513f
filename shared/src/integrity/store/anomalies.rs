//! The table `anomalies`: one item per anomaly, under the key of its event.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::AttributeValue;

use super::super::anomaly::{Anomaly, Severity};
use super::super::episode::{Episode, EpisodeSummary, episodes};
use super::super::key::EventKey;
use super::item::{Item, corrupt, key, number, parsed, primary_key, string, text, time};
use super::query::{Decision, ItemQuery, read_newest};
use super::{Cursor, Direction, ItemFilter, KeyRange, Page, PageRequest, RaiseAnomaly, STORE, StoredCount};
use crate::aws::StoreError;
use crate::ids::{AgentId, SignalType, UserId};
use crate::time::Timestamp;

/// Number of anomalies read at once for episodes, and maximum number of such reads.
const ANOMALIES_AT_ONCE: usize = 100;
const MAX_PAGES: usize = 10;

/// The DynamoDB table `anomalies`.
#[derive(Clone, Debug)]
pub struct AnomalyTable {
    client: Client,
    table: String,
}

impl AnomalyTable {
    /// Creates a store on the table named `table`.
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Returns the newest anomalies of `user` that `request` asks for and `filter` selects, using strongly consistent reads. Leaves out expired items, which DynamoDB deletes late. A page may be short.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn newest(
        &self,
        user: &UserId,
        request: &PageRequest,
        filter: &ItemFilter<impl Fn(&AgentId) -> bool, impl Fn(&Anomaly) -> bool>,
    ) -> Result<Page<Anomaly>, StoreError> {
        read_newest(&self.client, &self.table, user, request, |item| {
            let anomaly = stored_anomaly(user, item).ok_or_else(|| corrupt("Query", "anomaly"))?;
            Ok(if !(filter.can_access)(&anomaly.key.agent_id) {
                Decision::Hidden
            } else if (filter.matches)(&anomaly) && request.includes(anomaly.received_at) {
                Decision::Shown(anomaly, 0)
            } else {
                Decision::Filtered
            })
        })
        .await
    }
}

/// A page of a user's episodes.
#[derive(Clone, Debug)]
pub struct EpisodePage {
    /// Episodes, newest first.
    pub episodes: Vec<SeenEpisode>,
    /// End of the page, if there may be more episodes.
    pub next: Option<Cursor>,
}

/// An episode as far as it was read.
#[derive(Clone, Debug)]
pub struct SeenEpisode {
    /// The part of the episode that was read.
    pub episode: Episode,
    /// Whether the episode may continue in a part that was not read: beyond the requested times, or on another page.
    pub is_partial: bool,
}

impl AnomalyTable {
    /// Returns the newest episodes of the anomalies of `user` in `request` at agents that `can_access` allows, at most as many
    /// as `request` requests. A gap longer than `quiet` separates episodes. Reads and filters as [`Self::newest`] does.
    /// An episode with more anomalies than a request reads is returned in parts, each marked as partial.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn newest_episodes(
        &self,
        user: &UserId,
        request: &PageRequest,
        quiet: Duration,
        can_access: impl Fn(&AgentId) -> bool,
    ) -> Result<EpisodePage, StoreError> {
        let filter = ItemFilter { can_access, matches: |_: &Anomaly| true };
        let (mut anomalies, mut next) = (Vec::new(), request.cursor.clone());
        for _ in 0..MAX_PAGES {
            let part = PageRequest { cursor: next, limit: ANOMALIES_AT_ONCE, ..*request };
            let page = self.newest(user, &part, &filter).await?;
            anomalies.extend(page.items);
            next = page.next;
            if next.is_none() || gaps(&anomalies, quiet) >= request.limit {
                break;
            }
        }
        let mut episodes = episodes(anomalies.iter().rev(), quiet);
        episodes.reverse();
        // The oldest episode may continue in unread items. Unless it is the only one, the next page shows it whole.
        let is_cut = next.is_some() && !episodes.is_empty();
        if is_cut && episodes.len() > 1 {
            episodes.pop();
        }
        let is_whole_page = episodes.len() > request.limit;
        episodes.truncate(request.limit);
        if (is_cut && gaps(&anomalies, quiet) > 0) || is_whole_page {
            next = episodes.last().map(|episode| Cursor::after(episode.first.clone()));
        }
        let shown_until = request.cursor.as_ref().map(Cursor::time);
        let last = episodes.len().saturating_sub(1);
        let seen = episodes.into_iter().enumerate().map(|(position, episode)| {
            let EpisodeSummary { start, end, .. } = episode.summary;
            let is_cut_here =
                is_cut && position == last && anomalies.last().is_some_and(|oldest| oldest.key == episode.first);
            let is_partial = is_cut_here
                || end.after(quiet) >= request.until
                || start <= request.since.after(quiet) && request.since > Timestamp::MIN
                || shown_until.is_some_and(|time| time <= end.after(quiet));
            SeenEpisode { episode, is_partial }
        });
        Ok(EpisodePage { episodes: seen.collect(), next })
    }
}

/// Returns the number of gaps longer than `quiet` between `anomalies`, which are newest first.
fn gaps(anomalies: &[Anomaly], quiet: Duration) -> usize {
    anomalies.windows(2).filter(|pair| pair[1].key.time.after(quiet) < pair[0].key.time).count()
}

impl RaiseAnomaly for AnomalyTable {
    async fn raise(&self, anomaly: &Anomaly, expires_at: Option<i64>) -> Result<(), StoreError> {
        let mut update = "SET signal_type = :signal_type, #count = :count, threshold = :threshold, \
                          window_start = :window_start, severity = :severity, received_at = :received_at"
            .to_owned();
        let mut values = Item::from([
            (":signal_type".to_owned(), text(&anomaly.signal_type)),
            (":count".to_owned(), number(anomaly.count)),
            (":threshold".to_owned(), number(anomaly.threshold)),
            (":window_start".to_owned(), text(anomaly.window_start)),
            (":severity".to_owned(), text(anomaly.severity.name())),
            (":received_at".to_owned(), text(anomaly.received_at)),
        ]);
        if let Some(expires_at) = expires_at {
            update.push_str(", expires_at = :expires_at");
            values.insert(":expires_at".to_owned(), number(expires_at));
        }
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(primary_key(&anomaly.user_id, &anomaly.key)))
            .update_expression(update)
            .condition_expression("attribute_not_exists(sk) OR #count < :count")
            .expression_attribute_names("#count", "count")
            .set_expression_attribute_values(Some(values))
            .send()
            .await;
        match sent {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => Ok(()),
            Err(error) => Err(StoreError::from_sdk(STORE, "UpdateItem", &error)),
        }
    }

    async fn stored_counts(
        &self,
        user: &UserId,
        first: &EventKey,
        last: &EventKey,
    ) -> Result<HashMap<String, u32>, StoreError> {
        let range = KeyRange { from: first.to_string(), to: last.to_string(), direction: Direction::OldestFirst };
        let found = ItemQuery { client: &self.client, table: &self.table, user, range: &range, projection: None };
        let items = found.all(u32::MAX).await?.items;
        let count = |item: &Item| Some((string(item, "sk")?.to_owned(), parsed(item, "count")?));
        items.iter().map(|item| count(item).ok_or_else(|| corrupt("Query", "anomaly"))).collect()
    }

    async fn latest(&self, user: &UserId, range: &KeyRange) -> Result<Option<StoredCount>, StoreError> {
        let found = ItemQuery { client: &self.client, table: &self.table, user, range, projection: None };
        let found = found.once(1, None).await?;
        let count = |item: &Item| {
            Some(StoredCount {
                key: key(item)?,
                count: parsed(item, "count")?,
                window_start: time(item, "window_start")?,
            })
        };
        found.items.first().map(|item| count(item).ok_or_else(|| corrupt("Query", "anomaly"))).transpose()
    }
}

/// Parses the anomaly of `user` stored as `item`. Returns `None` if the item is not an anomaly.
pub fn stored_anomaly(user: &UserId, item: &HashMap<String, AttributeValue>) -> Option<Anomaly> {
    Some(Anomaly {
        user_id: user.clone(),
        key: key(item)?,
        signal_type: SignalType::try_from(string(item, "signal_type")?).ok()?,
        count: parsed(item, "count")?,
        threshold: parsed(item, "threshold")?,
        window_start: time(item, "window_start")?,
        severity: Severity::from_name(string(item, "severity")?)?,
        received_at: time(item, "received_at")?,
    })
}
