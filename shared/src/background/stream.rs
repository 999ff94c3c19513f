//! Changes of a table, as delivered by Lambda from a DynamoDB stream.
//!
//! Format: <https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html>.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::stream::{self, StreamExt};
use serde::Deserialize;

use super::BatchResponse;
use crate::aws::StoreError;
use crate::aws::item::Item;
use crate::deadline::Deadline;
use crate::ids::UserId;

/// Users processed concurrently. With every call timing out, a batch of 100 still finishes within the function timeout.
const PARALLEL_USERS: usize = 50;

/// Changes in chronological order.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Changes {
    /// The changes, one record each.
    pub records: Vec<Change>,
}

impl Changes {
    /// Passes the results of `read` for the changes to `work`, grouped by user. Reports the first change of each user
    /// for whom `work` failed or was not complete at `deadline`.
    pub async fn by_user<T, F>(
        &self,
        deadline: Deadline,
        read: impl Fn(&Change) -> Option<(UserId, T)>,
        work: impl Fn(UserId, Vec<T>) -> F,
    ) -> BatchResponse
    where
        F: Future<Output = Result<(), StoreError>>,
    {
        let mut users: BTreeMap<UserId, (&str, Vec<T>)> = BTreeMap::new();
        for change in &self.records {
            if let Some((user_id, read)) = read(change) {
                users.entry(user_id).or_insert_with(|| (change.sequence_number(), Vec::new())).1.push(read);
            }
        }
        let results = users.into_iter().map(|(user_id, (first, read))| {
            let (changes, work) = (read.len(), work(user_id, read));
            async move {
                let cause = match deadline.bound(work).await {
                    Ok(Ok(())) => return None,
                    Ok(Err(failure)) => failure.to_string(),
                    Err(overdue) => overdue.to_string(),
                };
                tracing::error!(cause, changes, "failed to process changes of a user; Lambda redelivers them");
                Some(first.to_owned())
            }
        });
        let results: Vec<_> = results.collect();
        let failed: Vec<_> = stream::iter(results).buffer_unordered(PARALLEL_USERS).collect().await;
        failed.into_iter().flatten().collect()
    }

    /// Returns the changes that Lambda does not redeliver after `response`: those before the first failed one. So
    /// counting the changes counts each once, however often a batch is redelivered.
    pub fn settled(&self, response: &BatchResponse) -> &[Change] {
        let is_failed = |change: &Change| response.contains(change.sequence_number());
        let settled = self.records.iter().position(is_failed).unwrap_or(self.records.len());
        &self.records[..settled]
    }
}

/// One change of one item in a table of events or anomalies.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    event_name: ChangeKind,
    dynamodb: Images,
}

/// Kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ChangeKind {
    /// The item was created.
    Insert,
    /// The item was modified.
    Modify,
    /// The item was deleted.
    Remove,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Images {
    keys: HashMap<String, Attribute>,
    #[serde(default)]
    new_image: HashMap<String, Attribute>,
    #[serde(default)]
    old_image: HashMap<String, Attribute>,
    sequence_number: String,
}

/// Attribute types used in the tables. Other types are ignored.
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
    /// Returns the position of the change in the stream.
    pub fn sequence_number(&self) -> &str {
        &self.dynamodb.sequence_number
    }

    /// Returns the kind of the change.
    pub fn kind(&self) -> ChangeKind {
        self.event_name
    }

    /// Returns the user in the key of the item.
    pub fn user_id(&self) -> Option<UserId> {
        UserId::try_from(self.dynamodb.keys.get("user_id")?.text.as_deref()?).ok()
    }

    /// Returns the sort key of the item.
    pub fn sort_key(&self) -> Option<&str> {
        self.dynamodb.keys.get("sk")?.text.as_deref()
    }

    /// Returns the item after the change, with its key. If the stream contains only keys, returns the key.
    pub fn item(&self) -> Item {
        self.with_keys(&self.dynamodb.new_image)
    }

    /// Returns the item before the change, with its key. If it did not exist or is not part of the stream, returns the
    /// key.
    pub fn item_before(&self) -> Item {
        self.with_keys(&self.dynamodb.old_image)
    }

    fn with_keys(&self, image: &HashMap<String, Attribute>) -> Item {
        let attributes = image.iter().chain(&self.dynamodb.keys);
        attributes.filter_map(|(name, attribute)| Some((name.clone(), attribute.value()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use super::*;
    use serde_json::json;

    /// Longer than any test.
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

    fn user(change: &Change) -> Option<(UserId, ())> {
        Some((change.user_id()?, ()))
    }

    #[tokio::test]
    async fn changes_before_first_failure_settle_and_the_rest_redeliver() {
        let changes = changes();
        for (failing, settled) in [(&[][..], 4), (&["cy"], 3), (&["ann"], 0), (&["cy", "bob"], 1)] {
            let response = changes
                .by_user(Deadline::after(LIMIT), user, |user, _| async move {
                    let failure = StoreError::overdue("dynamodb", "Query");
                    if failing.contains(&user.as_str()) { Err(failure) } else { Ok(()) }
                })
                .await;
            let numbers: Vec<_> = changes.settled(&response).iter().map(Change::sequence_number).collect();
            assert_eq!(numbers, ["1", "2", "3", "4"][..settled], "{failing:?}");
        }
    }

    #[tokio::test]
    async fn batch_ends_at_deadline_and_reports_what_is_not_done() {
        let changes = changes();
        let response = changes.by_user(Deadline::after(Duration::from_secs(1)), user, |user, _| async move {
            if user.as_str() == "ann" { Ok(()) } else { pending().await }
        });
        let response = response.await;
        let failed = |number| response.contains(number);
        assert_eq!(["1", "2", "3", "4"].map(failed), [false, true, false, true]);
    }

    #[tokio::test]
    async fn users_are_not_begun_after_deadline() {
        let changes = changes();
        let response = changes.by_user(Deadline::after(Duration::ZERO), user, |_, _| async { panic!("begun") }).await;
        assert!(changes.settled(&response).is_empty());
    }
}
