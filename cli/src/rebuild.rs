//! The subcommand `rebuild-activity`: counts all logs again.
//!
//! The read model is deleted first, and then every log object is counted as if S3 had just notified of it. What is stored
//! meanwhile is counted as always: its object exists before its notification, and so is found by the listing or counted
//! after the deletion.

use anyhow::{Context, Result, bail};
use shared::env::ACTIVITY_TABLE;
use shared::logging::segment;
use shared::logging::store::ListLogs;

use crate::target::StackTarget;

/// The maximum number of objects that S3 lists per request.
const OBJECTS_AT_ONCE: i32 = 1_000;

/// The result of a rebuild.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// The number of items that were deleted.
    pub deleted: usize,
    /// The number of log objects that were counted.
    pub objects: usize,
}

/// Rebuilds the read model of `target` from its logs. Calls `report` after each page of objects.
///
/// # Errors
/// Fails if a store is unavailable. Running the command again starts from the beginning.
pub async fn run(target: &StackTarget, report: impl Fn(Rebuilt)) -> Result<Rebuilt> {
    let mut rebuilt = Rebuilt { deleted: clear(target).await?, objects: 0 };
    let roll_up = target.roll_up()?;
    let mut last: Option<String> = None;
    loop {
        let page = roll_up
            .log
            .list(segment::AGENTS, last.as_deref(), OBJECTS_AT_ONCE)
            .await
            .context("the logs cannot be listed")?;
        let failures = roll_up.count(&page.keys).await;
        if let Some((key, failure)) = failures.into_iter().next() {
            bail!("{key} cannot be counted: {failure}; run the command again");
        }
        rebuilt.objects += page.keys.len();
        report(rebuilt);
        last = page.keys.last().cloned();
        if !page.more {
            return Ok(rebuilt);
        }
    }
}

/// Deletes all items of the read model and returns their number.
async fn clear(target: &StackTarget) -> Result<usize> {
    let (client, table) = (target.aws.dynamodb(), target.name(ACTIVITY_TABLE)?);
    let mut deleted = 0;
    let mut pages =
        client.scan().table_name(&table).projection_expression("pk, sk, erased_until").into_paginator().send();
    while let Some(page) = pages.next().await {
        let mut keys = page.with_context(|| format!("{table} cannot be read"))?.items.unwrap_or_default();
        // Marks of erased users stay: a late notification must not bring them back.
        keys.retain(|item| !item.contains_key("erased_until"));
        deleted += keys.len();
        target.delete_items(&table, keys).await?;
    }
    Ok(deleted)
}
