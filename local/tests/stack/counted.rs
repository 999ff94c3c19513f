//! Contents of the read model over all users, for tests of the running functions.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use cli::target::StackTarget;
use shared::env::ACTIVITY_TABLE;

/// Returns all items of the read model by key, without their versions.
pub async fn items(target: &StackTarget) -> BTreeMap<String, String> {
    let mut items = BTreeMap::new();
    for mut item in scan(target).await {
        item.remove("version");
        let key = format!("{:?} {:?}", item.remove("pk"), item.remove("sk"));
        let attributes: BTreeMap<_, _> = item.into_iter().map(|(name, value)| (name, sorted(&value))).collect();
        items.insert(key, format!("{attributes:?}"));
    }
    items
}

/// Returns the text of `value`, the same for equal sets.
fn sorted(value: &AttributeValue) -> String {
    match value.as_bs() {
        Ok(set) => {
            let mut set: Vec<_> = set.iter().map(|bytes| hex::encode(bytes.as_ref())).collect();
            set.sort();
            format!("{set:?}")
        }
        Err(value) => format!("{value:?}"),
    }
}

/// Returns the counts by agent, user and signal that the records of users have.
pub async fn counted(target: &StackTarget) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for item in scan(target).await {
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
        let Some(agent) = text("pk").strip_prefix("u#").map(str::to_owned) else { continue };
        for (name, value) in &item {
            if !name.starts_with("d2") {
                continue;
            }
            for hour in value.as_s().expect("text").split(';') {
                for count in hour.split(' ').skip(1) {
                    let (signal, count) = count.split_at(1);
                    let count: u64 = count.parse().expect("a count");
                    *counts.entry(format!("{agent} {} {signal}", text("sk"))).or_default() += count;
                }
            }
        }
    }
    counts
}

async fn scan(target: &StackTarget) -> Vec<HashMap<String, AttributeValue>> {
    let table = target.name(ACTIVITY_TABLE).expect("a table");
    let pages = target.aws.dynamodb().scan().table_name(table).consistent_read(true).into_paginator().items().send();
    pages.collect::<Result<_, _>>().await.expect("a scan")
}
