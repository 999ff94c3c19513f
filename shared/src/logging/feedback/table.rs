//! The table `feedback`: one item per entry that has feedback.
//!
//! The partition key is the user, as in the tables of events and anomalies, so that all feedback of a user can be erased
//! without knowing the agents. The sort key is `<agent>#<log_id>`: the feedback on a page of a log is one range. An index
//! has the feedback of each agent, by the time at which it was given.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use uuid::Uuid;

use super::super::entry::Conversation;
use super::super::recorded::RecordedEntry;
use super::{Feedback, FeedbackCursor, FeedbackPage, FeedbackQuery, GivenSignals};
use crate::aws::item::{Item, is_expired, set_expiry, string, text, time};
use crate::aws::{DYNAMODB, StoreError};
use crate::deadline::Deadline;
use crate::ids::{AgentId, Signal, UserId};
use crate::json::escaped_len;
use crate::time::Timestamp;

/// Name of the index, as in `template.yaml`.
const INDEX: &str = "by-agent";
/// Separator between the parts of a sort key. Agents do not contain it.
const SEPARATOR: char = '#';
/// Maximum number of queries of a request. DynamoDB reads a megabyte at once.
const MAX_QUERIES: usize = 5;
/// Maximum bytes of texts in a page, escaped as in Lambda's response. Well below Lambda's limit of 6 MB.
const MAX_PAGE_BYTES: usize = 2_000_000;
/// Does not replace feedback by the same feedback, so that repeating a request changes nothing.
const IF_DIFFERENT: &str = "attribute_not_exists(sk) OR #signal <> :signal";

/// The DynamoDB table `feedback`.
#[derive(Clone, Debug)]
pub struct FeedbackTable {
    client: Client,
    table: String,
}

impl FeedbackTable {
    /// Creates a store on the table named `table`.
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Stores `feedback` in place of earlier feedback on the entry, and returns the stored feedback. Earlier feedback with
    /// the same signal stays. `expires_at` is in Unix seconds.
    pub async fn give(&self, feedback: Feedback, expires_at: Option<i64>) -> Result<Feedback, StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(to_item(&feedback, expires_at)))
            .condition_expression(IF_DIFFERENT)
            .expression_attribute_names("#signal", "signal")
            .expression_attribute_values(":signal", text(&feedback.signal))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match put.send().await {
            Ok(_) => Ok(feedback),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(existing)) => {
                    existing.item().and_then(from_item).ok_or_else(|| corrupt("PutItem"))
                }
                _ => Err(StoreError::from_sdk(DYNAMODB, "PutItem", &error)),
            },
        }
    }

    /// Removes the feedback on the entry `log_id` of `conversation`, if there is any.
    pub async fn withdraw(&self, conversation: &Conversation, log_id: Uuid) -> Result<(), StoreError> {
        let sk = sort_key(&conversation.agent_id, log_id);
        let key = Item::from([("user_id".to_owned(), text(&conversation.user_id)), ("sk".to_owned(), text(sk))]);
        let sent = self.client.delete_item().table_name(&self.table).set_key(Some(key)).send().await;
        sent.map(drop).map_err(|error| StoreError::from_sdk(DYNAMODB, "DeleteItem", &error))
    }

    /// Returns the signals that people gave to `entries` of `conversation`. Without a response before `deadline`, returns
    /// none: the entries are complete without them.
    pub async fn signals_of(
        &self,
        conversation: &Conversation,
        entries: &[RecordedEntry],
        deadline: Deadline,
    ) -> GivenSignals {
        // Ids begin with the times of their entries, so this is the range of the page.
        let ids = entries.iter().map(|entry| entry.order.1);
        let (Some(first), Some(last)) = (ids.clone().min(), ids.max()) else { return GivenSignals::new() };
        let read = deadline.bound(self.signals(conversation, first, last)).await;
        read.unwrap_or_else(|_| Err(StoreError::overdue(DYNAMODB, "Query"))).unwrap_or_else(|error| {
            tracing::warn!(cause = %error, "failed to read feedback; returning entries without feedback");
            GivenSignals::new()
        })
    }

    /// Returns the signals given to entries of `conversation` with the ids from `first` to `last`. Reads a few megabytes at
    /// most.
    async fn signals(&self, conversation: &Conversation, first: Uuid, last: Uuid) -> Result<GivenSignals, StoreError> {
        let (mut signals, mut resume, now) = (HashMap::new(), None, Timestamp::now());
        for _ in 0..MAX_QUERIES {
            let response = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("user_id = :user AND sk BETWEEN :first AND :last")
                .projection_expression("sk, #signal, expires_at")
                .expression_attribute_names("#signal", "signal")
                .expression_attribute_values(":user", text(&conversation.user_id))
                .expression_attribute_values(":first", text(sort_key(&conversation.agent_id, first)))
                .expression_attribute_values(":last", text(sort_key(&conversation.agent_id, last)))
                .set_exclusive_start_key(resume)
                .send()
                .await
                .map_err(|error| StoreError::from_sdk(DYNAMODB, "Query", &error))?;
            for item in response.items.iter().flatten().filter(|item| !is_expired(item, now)) {
                let given = || Some((log_id(item)?, given_signal(item)?));
                let (log_id, signal) = given().ok_or_else(|| corrupt("Query"))?;
                signals.insert(log_id, signal);
            }
            resume = response.last_evaluated_key;
            if resume.is_none() {
                break;
            }
        }
        Ok(signals)
    }

    /// Returns the newest feedback on entries of `agent` that `query` asks for. Feedback that was just given may be
    /// missing, because an index follows its table with a short delay. Leaves out expired items, which DynamoDB deletes
    /// late. A page may be short.
    pub async fn newest(&self, agent: &AgentId, query: &FeedbackQuery) -> Result<FeedbackPage, StoreError> {
        let mut page = FeedbackPage { feedback: Vec::new(), next: None };
        let until = query.cursor.as_ref().map_or(query.until, |cursor| query.until.min(cursor.given_at));
        if query.since > until {
            return Ok(page);
        }
        // DynamoDB rejects a start key after the end of the range.
        let start = query.cursor.as_ref().filter(|cursor| cursor.given_at <= query.until);
        let mut start = start.map(|cursor| index_key(agent, cursor));
        let (mut position, mut bytes, now) = (None, 0, Timestamp::now());
        for _ in 0..MAX_QUERIES {
            // One more item than requested reveals whether there is a next page.
            let limit = i32::try_from(query.limit + 1 - page.feedback.len()).unwrap_or(i32::MAX);
            let response = self
                .client
                .query()
                .table_name(&self.table)
                .index_name(INDEX)
                .key_condition_expression("agent_id = :agent AND given_at BETWEEN :since AND :until")
                .expression_attribute_values(":agent", text(agent))
                .expression_attribute_values(":since", text(query.since))
                .expression_attribute_values(":until", text(until))
                .scan_index_forward(false)
                .limit(limit)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| StoreError::from_sdk(DYNAMODB, "Query", &error))?;
            for item in response.items.iter().flatten() {
                let feedback = from_item(item).ok_or_else(|| corrupt("Query"))?;
                let end = Some(FeedbackCursor::after(&feedback));
                if !is_expired(item, now) {
                    bytes += escaped_len(&feedback.user_input);
                    let is_full = page.feedback.len() == query.limit;
                    if is_full || (bytes > MAX_PAGE_BYTES && !page.feedback.is_empty()) {
                        return Ok(FeedbackPage { next: position, ..page });
                    }
                    page.feedback.push(feedback);
                }
                position = end;
            }
            start = response.last_evaluated_key;
            if start.is_none() {
                return Ok(page);
            }
        }
        page.next = position;
        Ok(page)
    }
}

fn corrupt(operation: &'static str) -> StoreError {
    StoreError::corrupt(DYNAMODB, operation, "feedback")
}

fn sort_key(agent: &AgentId, log_id: Uuid) -> String {
    format!("{agent}{SEPARATOR}{log_id}")
}

fn log_id(item: &Item) -> Option<Uuid> {
    Uuid::try_parse(string(item, "sk")?.rsplit_once(SEPARATOR)?.1).ok()
}

fn given_signal(item: &Item) -> Option<Signal> {
    Signal::try_from(string(item, "signal")?).ok()
}

/// Returns the key of the index after which a page begins.
fn index_key(agent: &AgentId, cursor: &FeedbackCursor) -> Item {
    Item::from([
        ("agent_id".to_owned(), text(agent)),
        ("given_at".to_owned(), text(cursor.given_at)),
        ("user_id".to_owned(), text(&cursor.user_id)),
        ("sk".to_owned(), text(sort_key(agent, cursor.log_id))),
    ])
}

fn to_item(feedback: &Feedback, expires_at: Option<i64>) -> Item {
    let mut item = Item::from([
        ("user_id".to_owned(), text(&feedback.user_id)),
        ("sk".to_owned(), text(sort_key(&feedback.agent_id, feedback.log_id))),
        ("agent_id".to_owned(), text(&feedback.agent_id)),
        ("given_at".to_owned(), text(feedback.given_at)),
        ("given_by".to_owned(), text(&feedback.given_by)),
        ("signal".to_owned(), text(&feedback.signal)),
        ("detected_signal".to_owned(), text(&feedback.detected_signal)),
        ("user_input".to_owned(), text(&feedback.user_input)),
    ]);
    set_expiry(&mut item, expires_at);
    item
}

fn from_item(item: &Item) -> Option<Feedback> {
    Some(Feedback {
        agent_id: AgentId::try_from(string(item, "agent_id")?).ok()?,
        user_id: UserId::try_from(string(item, "user_id")?).ok()?,
        log_id: log_id(item)?,
        user_input: string(item, "user_input")?.to_owned(),
        detected_signal: Signal::try_from(string(item, "detected_signal")?).ok()?,
        signal: given_signal(item)?,
        given_at: time(item, "given_at")?,
        given_by: string(item, "given_by")?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feedback_reads_back_from_its_item() {
        let feedback = Feedback {
            agent_id: AgentId::try_from("agent 日").expect("an agent"),
            user_id: UserId::try_from("u").expect("a user"),
            log_id: Uuid::now_v7(),
            user_input: String::new(),
            detected_signal: Signal::unclassified(),
            signal: Signal::try_from("é").expect("a signal"),
            given_at: Timestamp::now(),
            given_by: "#".to_owned(),
        };
        let item = to_item(&feedback, Some(7));
        assert_eq!(from_item(&item), Some(feedback));
        assert!(is_expired(&item, Timestamp::now()));
    }

    #[test]
    fn sort_keys_have_the_order_of_entries() {
        let agent = AgentId::try_from("a").expect("an agent");
        let key = |id: u128| sort_key(&agent, Uuid::from_u128(id));
        let ids = [0x019b_796d_d600_7c2a_8a53_5d1c_54f1_a6c1, 0x019b_796d_d600_7c2a_8a53_5d1c_54f1_a6c2, 1 << 121];
        assert!(ids.map(key).is_sorted());
    }
}
