//! Changes of a table as Lambda tells them.
//!
//! Form: <https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html>.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::stream::{self, StreamExt};
use serde::Deserialize;

use super::PartialFailure;
use crate::aws::StoreError;
use crate::deadline::Deadline;
use crate::ids::UserId;
use crate::integrity::key::EventKey;

/// How many users are worked for at the same time: in an outage, in which each takes as long as its calls may, a batch of a
/// hundred is done with before the function's time is over.
const PARALLEL_USERS: usize = 50;

/// Changes in the order in which they happened.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Changes {
    /// One each.
    pub records: Vec<Change>,
}

impl Changes {
    /// Gives `work` what `read` makes of the changes, all of a user's at once, and reports the first change of each user for
    /// whom it failed, or was not done at `deadline`.
    pub async fn by_user<T, F>(
        &self,
        deadline: Deadline,
        read: impl Fn(&Change) -> Option<(UserId, T)>,
        work: impl Fn(UserId, Vec<T>) -> F,
    ) -> PartialFailure
    where
        F: Future<Output = Result<(), StoreError>>,
    {
        let mut users: BTreeMap<UserId, (&str, Vec<T>)> = BTreeMap::new();
        for change in &self.records {
            if let Some((user_id, read)) = read(change) {
                users.entry(user_id).or_insert_with(|| (change.sequence_number(), Vec::new())).1.push(read);
            }
        }
        let worked = users.into_iter().map(|(user_id, (first, read))| {
            let (changes, work) = (read.len(), work(user_id, read));
            async move {
                let cause = match deadline.bound(work).await {
                    Ok(Ok(())) => return None,
                    Ok(Err(failure)) => failure.to_string(),
                    Err(overdue) => overdue.to_string(),
                };
                tracing::error!(cause, changes, "changes of a user are told again");
                Some(first.to_owned())
            }
        });
        let worked: Vec<_> = worked.collect();
        let failed: Vec<_> = stream::iter(worked).buffer_unordered(PARALLEL_USERS).collect().await;
        failed.into_iter().flatten().collect()
    }

    /// The changes that are not told again when `failure` is reported: those before the first of it. So who counts them
    /// counts each once, however often a batch is told.
    pub fn settled(&self, failure: &PartialFailure) -> &[Change] {
        let is_failed = |change: &Change| failure.names(change.sequence_number());
        let settled = self.records.iter().position(is_failed).unwrap_or(self.records.len());
        &self.records[..settled]
    }
}

/// One change of one item in a table of events or anomalies.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    event_name: Kind,
    dynamodb: Images,
}

/// What happened to the item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    /// It is new.
    Insert,
    /// It was there before.
    Modify,
    /// It is gone.
    Remove,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Images {
    keys: Keys,
    #[serde(default)]
    new_image: HashMap<String, Attribute>,
    #[serde(default)]
    old_image: HashMap<String, Attribute>,
    sequence_number: String,
}

#[derive(Debug, Deserialize)]
struct Keys {
    user_id: Attribute,
    sk: Attribute,
}

/// The kinds of attributes that the tables have; of any other nothing is read.
#[derive(Clone, Debug, Deserialize)]
struct Attribute {
    #[serde(rename = "S")]
    text: Option<String>,
    #[serde(rename = "N")]
    number: Option<String>,
}

impl Attribute {
    fn value(&self) -> Option<AttributeValue> {
        let text = || self.text.clone().map(AttributeValue::S);
        self.number.clone().map(AttributeValue::N).or_else(text)
    }
}

impl Change {
    /// Where the change stands in the stream.
    pub fn sequence_number(&self) -> &str {
        &self.dynamodb.sequence_number
    }

    /// What happened.
    pub fn kind(&self) -> Kind {
        self.event_name
    }

    /// Whose item it is and under which event's key, or `None` where it is not under one: the table of events also holds
    /// markers and payloads.
    pub fn event(&self) -> Option<(UserId, EventKey)> {
        let keys = &self.dynamodb.keys;
        let key = EventKey::parse(keys.sk.text.as_deref()?)?;
        Some((UserId::try_from(keys.user_id.text.as_deref()?).ok()?, key))
    }

    /// The item as it is now, with its key; of a stream that tells keys alone, the key.
    pub fn item(&self) -> HashMap<String, AttributeValue> {
        self.with_keys(&self.dynamodb.new_image)
    }

    /// The item as it was before, with its key; where there was none, or the stream does not tell, the key.
    pub fn item_before(&self) -> HashMap<String, AttributeValue> {
        self.with_keys(&self.dynamodb.old_image)
    }

    fn with_keys(&self, image: &HashMap<String, Attribute>) -> HashMap<String, AttributeValue> {
        let keys = [("user_id", &self.dynamodb.keys.user_id), ("sk", &self.dynamodb.keys.sk)];
        let keys = keys.into_iter().map(|(name, attribute)| (name.to_owned(), attribute));
        let image = image.iter().map(|(name, attribute)| (name.clone(), attribute));
        image.chain(keys).filter_map(|(name, attribute)| Some((name, attribute.value()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use super::*;
    use serde_json::json;

    /// More than a test takes.
    const LIMIT: Duration = Duration::from_secs(60);

    fn changes() -> Changes {
        let change = |number: &str, user: &str| {
            json!({ "eventName": "INSERT", "dynamodb": {
                "SequenceNumber": number,
                "Keys": { "user_id": { "S": user }, "sk": { "S": format!("e#2026-01-01T00:00:00.000000Z#a#{number}") } },
            } })
        };
        let records = [change("1", "ann"), change("2", "bob"), change("3", "ann"), change("4", "cy")];
        serde_json::from_value(json!({ "Records": records })).expect("changes")
    }

    #[tokio::test]
    async fn what_comes_before_the_first_failure_is_settled_and_the_rest_is_told_again() {
        let changes = changes();
        for (failing, settled) in [(&[][..], 4), (&["cy"], 3), (&["ann"], 0), (&["cy", "bob"], 1)] {
            let failure = changes
                .by_user(Deadline::after(LIMIT), Change::event, |user, _| async move {
                    let failure = StoreError::overdue("dynamodb", "Query");
                    if failing.contains(&user.as_str()) { Err(failure) } else { Ok(()) }
                })
                .await;
            let numbers: Vec<_> = changes.settled(&failure).iter().map(Change::sequence_number).collect();
            assert_eq!(numbers, ["1", "2", "3", "4"][..settled], "{failing:?}");
        }
    }

    #[tokio::test]
    async fn batch_ends_at_deadline_and_reports_what_is_not_done() {
        let changes = changes();
        let failure = changes.by_user(Deadline::after(Duration::from_secs(1)), Change::event, |user, _| async move {
            if user.as_str() == "ann" { Ok(()) } else { pending().await }
        });
        let failure = failure.await;
        let failed = |number| failure.names(number);
        assert_eq!(["1", "2", "3", "4"].map(failed), [false, true, false, true]);
    }

    #[tokio::test]
    async fn users_are_not_begun_after_deadline() {
        let changes = changes();
        let failure =
            changes.by_user(Deadline::after(Duration::ZERO), Change::event, |_, _| async { panic!("begun") }).await;
        assert!(changes.settled(&failure).is_empty());
    }
}
