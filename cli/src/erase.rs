//! The subcommand `erase`: deletes all stored data of a user.
//!
//! It repeats searching and deleting until nothing is found. An interrupted run can be resumed by running the command
//! again.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::BufRead;

use anyhow::{Context, Result, ensure};
use aws_sdk_dynamodb::types::AttributeValue;
use shared::activity::erase::{self as share, MARK_SECONDS};
use shared::activity::{ActivityTable, Hour, RollUp};
use shared::env::{ANOMALIES_TABLE, EPISODES_TABLE, EVENTS_TABLE, FEEDBACK_TABLE};
use shared::ids::UserId;
use shared::logging::directory::{self, NamePrefix, NameQuery};
use shared::logging::segment::{self, Segment};
use shared::logging::store::{DeleteLog, ListLogs};
use shared::logging::{Conversation, LogBucket, compaction};
use shared::moods::{self, Subject};
use shared::time::Timestamp;

use crate::target::StackTarget;

/// The maximum number of objects that S3 lists or deletes per request.
const OBJECTS_AT_ONCE: i32 = 1_000;
/// The maximum number of agents listed per request.
const AGENTS_AT_ONCE: usize = 1_000;

/// The data that remains, on any stack.
const LEFT: &str = "\
Not erased, because nothing can reach it:
- what waits in a queue, for 14 days at most. Run this again when they are empty, and purge the dead-letter queues.
  An incident of the user's mood in PagerDuty stays open: resolve it there;
- the user's name in the table of activity, for 15 days: it keeps late notifications from being counted;
- backups of the tables, from which point-in-time recovery can restore any of the last 35 days, and the tables' streams,
  which keep changes for a day;
- alerts that were delivered.
The functions' logs and metrics in CloudWatch have no users in them.";

/// The number of erased items and objects, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased(BTreeMap<&'static str, usize>);

impl Erased {
    fn add(&mut self, what: &'static str, count: usize) {
        *self.0.entry(what).or_default() += count;
    }
}

impl fmt::Display for Erased {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.values().sum::<usize>() == 0 {
            return out.write_str("nothing was stored");
        }
        let counts = self.0.iter().filter(|(_, count)| **count > 0).map(|(what, count)| format!("{count} {what}"));
        out.write_str(&counts.collect::<Vec<_>>().join(", "))
    }
}

/// Asks for confirmation on standard error: the user's name must be typed to erase all data of `user`.
///
/// # Errors
/// Fails if the answer is not the user's name.
pub fn confirm(target: &StackTarget, user: &UserId) -> Result<()> {
    eprintln!(
        "All that {} stores of the user {user} will be gone for good. Type the user's name to go on:",
        target.label
    );
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .context("cannot read the confirmation: add --yes to erase without one")?;
    ensure!(answer.trim_end_matches(['\r', '\n']) == user.as_str(), "nothing was erased");
    Ok(())
}

/// Erases all stored data of `user`. Prints each part when it is done, and finally the data that remains.
///
/// # Errors
/// Fails if a store is unavailable. Parts that were printed are erased; running the command again continues.
pub async fn run(target: &StackTarget, user: &UserId) -> Result<()> {
    let (logs, activity) = logs(target, user).await?;
    println!("logs: {logs}");
    println!("activity: {activity}");
    // Feedback is deleted after the logs: without an entry, no feedback can be given.
    println!("feedback: {}", items(target, FEEDBACK_TABLE, user).await?);
    println!("events: {}", items(target, EVENTS_TABLE, user).await?);
    // Anomalies are deleted after the events: without events, no new anomalies can be detected.
    println!("anomalies: {}", items(target, ANOMALIES_TABLE, user).await?);
    println!("episodes: {}", episodes(target, user).await?);
    println!("{LEFT}");
    Ok(())
}

/// Deletes the logs of `user` and the user's share of the read model, agent by agent.
async fn logs(target: &StackTarget, user: &UserId) -> Result<(Erased, Erased)> {
    let roll_up = target.roll_up()?;
    let log = &roll_up.log;
    let (mut objects, mut shares) = (Erased::default(), Erased::default());
    let mut cursor = None;
    loop {
        let query = NameQuery { prefix: NamePrefix::default(), cursor, limit: AGENTS_AT_ONCE };
        let agents = directory::agents(log, &query).await.context("the agents cannot be listed")?;
        for agent_id in agents.names {
            let conversation = Conversation { agent_id, user_id: user.clone() };
            let (deleted, forgotten) = conversation_data(&roll_up, &conversation).await?;
            objects.add("objects", deleted);
            shares.add("items", forgotten);
        }
        cursor = agents.next;
        if cursor.is_none() {
            let is_named =
                compaction::forget(log, user).await.context("the progress of compaction cannot be cleared")?;
            objects.add("position of the compaction", usize::from(is_named));
            return Ok((objects, shares));
        }
    }
}

/// Deletes the log of `conversation` and its share of the read model. Returns the numbers of objects and items.
async fn conversation_data(
    roll_up: &RollUp<ActivityTable, LogBucket>,
    conversation: &Conversation,
) -> Result<(usize, usize)> {
    let RollUp { log, store: activity, .. } = roll_up;
    let (prefix, mut deleted) = (segment::prefix(conversation), 0);
    let until = Timestamp::now().seconds() + MARK_SECONDS;
    loop {
        let page = log.list(&prefix, None, OBJECTS_AT_ONCE).await.context("the logs cannot be listed")?;
        if page.keys.is_empty() {
            break;
        }
        // Before the objects are gone: after an interruption, the next run finds the hours in the mark.
        let hours = page.keys.iter().filter_map(|key| Segment::parse(key)).map(|segment| Hour::of(segment.newest()));
        let marked = share::mark(activity, conversation, &hours.collect(), until).await;
        marked.context("the activity cannot be marked")?;
        deleted += page.keys.len();
        log.delete(&page.keys).await.context("the logs cannot be deleted")?;
    }
    let is_known = share::is_known(activity, conversation).await.context("the activity cannot be read")?;
    if deleted == 0 && !is_known {
        return Ok((0, 0));
    }
    let forgotten = share::forget(activity, conversation, until).await.context("the activity cannot be deleted")?;
    // What the user has written since then counts again.
    let page = log.list(&prefix, None, OBJECTS_AT_ONCE).await.context("the logs cannot be listed")?;
    if let Some((_, failure)) = roll_up.count(&page.keys).await.into_iter().next() {
        return Err(failure).context("the activity cannot be counted: run signals rebuild-activity");
    }
    Ok((deleted, forgotten))
}

/// Deletes all items of `user` in the table named by `variable`.
async fn items(target: &StackTarget, variable: &str, user: &UserId) -> Result<Erased> {
    let (client, table) = (target.aws.dynamodb(), target.name(variable)?);
    let mut erased = Erased::default();
    loop {
        let found = client
            .query()
            .table_name(&table)
            .key_condition_expression("user_id = :user")
            .expression_attribute_values(":user", AttributeValue::S(user.to_string()))
            .projection_expression("user_id, sk")
            .consistent_read(true)
            .send()
            .await
            .with_context(|| format!("{table} cannot be read"))?;
        let items = found.items.unwrap_or_default();
        if items.is_empty() {
            return Ok(erased);
        }
        for item in &items {
            erased.add(kind(variable, item), 1);
        }
        target.delete_items(&table, items).await?;
    }
}

/// Returns the kind of `item` in the table named by `variable`.
fn kind(variable: &str, item: &HashMap<String, AttributeValue>) -> &'static str {
    let key = item.get("sk").and_then(|key| key.as_s().ok()).map_or("", String::as_str);
    match key.split('#').next() {
        _ if variable == ANOMALIES_TABLE => "anomalies",
        _ if variable == FEEDBACK_TABLE => "records",
        Some("id") => "idempotency records",
        Some("p") => "payloads",
        _ => "events",
    }
}

/// Deletes the states of the alerts of `user`: of bursts, and of moods with each agent. The agents are read from the states,
/// because an agent without logs is listed nowhere else.
async fn episodes(target: &StackTarget, user: &UserId) -> Result<Erased> {
    let (client, table) = (target.aws.dynamodb(), target.name(EPISODES_TABLE)?);
    let pages = client
        .scan()
        .table_name(&table)
        .filter_expression("user_id = :user OR (begins_with(user_id, :moods) AND contains(user_id, :user))")
        .expression_attribute_values(":moods", AttributeValue::S(moods::KEY_PREFIX.to_owned()))
        .expression_attribute_values(":user", AttributeValue::S(user.to_string()))
        .projection_expression("user_id")
        .consistent_read(true)
        .into_paginator()
        .items()
        .send();
    let mut items = pages.collect::<Result<Vec<_>, _>>().await.with_context(|| format!("{table} cannot be read"))?;
    items.retain(|item| {
        let key = item.get("user_id").and_then(|key| key.as_s().ok()).map_or("", String::as_str);
        key == user.as_str() || Subject::user_of_key(key) == Some(user.as_str())
    });
    let mut erased = Erased::default();
    erased.add("records", items.len());
    target.delete_items(&table, items).await?;
    Ok(erased)
}
