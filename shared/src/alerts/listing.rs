//! Lists a user's episodes, grouped from the stored anomalies.

use std::time::Duration;

use super::episode::{Episode, EpisodeSummary, episodes};
use crate::aws::StoreError;
use crate::ids::{AgentId, UserId};
use crate::integrity::store::{Cursor, ItemFilter, Page, PageRequest};
use crate::integrity::{Anomaly, AnomalyTable};
use crate::time::Timestamp;

/// Number of anomalies read at once, and maximum number of such reads.
const ANOMALIES_AT_ONCE: usize = 100;
const MAX_READS: usize = 10;

/// An episode as far as it was read.
#[derive(Clone, Debug)]
pub struct ListedEpisode {
    /// The part of the episode that was read.
    pub episode: Episode,
    /// Whether the episode may continue in a part that was not read: beyond the requested times, or on another page.
    pub is_partial: bool,
}

/// Returns the newest episodes of the anomalies of `user` that `request` asks for, at agents that `can_access` allows.
/// A gap longer than `quiet` separates episodes. Reads as [`AnomalyTable::newest`] does. An episode with more anomalies
/// than a request reads is returned in parts, each marked as partial.
pub async fn newest(
    table: &AnomalyTable,
    user: &UserId,
    request: &PageRequest,
    quiet: Duration,
    can_access: impl Fn(&AgentId) -> bool,
) -> Result<Page<ListedEpisode>, StoreError> {
    let filter = ItemFilter { can_access, matches: |_: &Anomaly| true };
    let (mut anomalies, mut next) = (Vec::new(), request.cursor.clone());
    for _ in 0..MAX_READS {
        let part = PageRequest { cursor: next, limit: ANOMALIES_AT_ONCE, ..*request };
        let page = table.newest(user, &part, &filter).await?;
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
    let items = episodes.into_iter().enumerate().map(|(position, episode)| {
        let EpisodeSummary { start, end, .. } = episode.summary;
        let is_cut_here =
            is_cut && position == last && anomalies.last().is_some_and(|oldest| oldest.key == episode.first);
        let is_partial = is_cut_here
            || end.after(quiet) >= request.until
            || start <= request.since.after(quiet) && request.since > Timestamp::MIN
            || shown_until.is_some_and(|time| time <= end.after(quiet));
        ListedEpisode { episode, is_partial }
    });
    Ok(Page { items: items.collect(), next })
}

/// Returns the number of gaps longer than `quiet` between `anomalies`, which are newest first.
fn gaps(anomalies: &[Anomaly], quiet: Duration) -> usize {
    anomalies.windows(2).filter(|pair| pair[1].key.time.after(quiet) < pair[0].key.time).count()
}
