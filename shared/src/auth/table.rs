//! The table `api_keys`: one item per key, under the hash of the key.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;

use super::key::{KeyHash, KeyRecord};
use super::{Agents, Seal};
use crate::aws::item::{Item, parsed, set_expiry, string, text};
use crate::aws::{DYNAMODB, StoreError};
use crate::ids::AgentId;

/// Finds the record of a key.
pub trait FindKey {
    /// Returns the record under `hash`, expired or not, using a strongly consistent read.
    fn find(&self, hash: &KeyHash) -> impl Future<Output = Result<Option<KeyRecord>, StoreError>> + Send;
}

/// The DynamoDB table `api_keys`.
#[derive(Clone, Debug)]
pub struct KeyTable {
    client: Client,
    table: String,
}

impl KeyTable {
    /// Creates a store on the table named `table`.
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Sends DynamoDB a minimal request.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.find(&KeyHash("probe".to_owned())).await.map(drop)
    }

    /// Stores `record`, replacing an earlier record of the same key.
    pub async fn create(&self, record: &KeyRecord) -> Result<(), StoreError> {
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(to_item(record)))
            .send()
            .await
            .map_err(|error| StoreError::from_sdk(DYNAMODB, "PutItem", &error))?;
        Ok(())
    }

    /// Returns all keys, in no particular order.
    pub async fn list(&self) -> Result<Vec<KeyRecord>, StoreError> {
        let mut records = Vec::new();
        let mut pages =
            self.client.scan().table_name(&self.table).consistent_read(true).into_paginator().items().send();
        while let Some(item) = pages.next().await {
            let item = item.map_err(|error| StoreError::from_sdk(DYNAMODB, "Scan", &error))?;
            records.push(from_item(&item).ok_or_else(|| corrupt("Scan"))?);
        }
        Ok(records)
    }

    /// Deletes the key under `hash`, if it exists. Sandboxes that have cached the key drop it within a minute.
    pub async fn revoke(&self, hash: &KeyHash) -> Result<(), StoreError> {
        self.client
            .delete_item()
            .table_name(&self.table)
            .key("key_hash", text(hash.as_str()))
            .send()
            .await
            .map_err(|error| StoreError::from_sdk(DYNAMODB, "DeleteItem", &error))?;
        Ok(())
    }
}

impl FindKey for KeyTable {
    async fn find(&self, hash: &KeyHash) -> Result<Option<KeyRecord>, StoreError> {
        let response = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("key_hash", text(hash.as_str()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| StoreError::from_sdk(DYNAMODB, "GetItem", &error))?;
        response.item.map(|item| from_item(&item).ok_or_else(|| corrupt("GetItem"))).transpose()
    }
}

fn corrupt(operation: &'static str) -> StoreError {
    StoreError::corrupt(DYNAMODB, operation, "API key")
}

/// Value of the attribute `agents` that means all agents. Names of agents are stored with a `=` before them, so that an
/// agent of this name is not mistaken for it.
const ALL_AGENTS: &str = "*";

fn to_item(record: &KeyRecord) -> Item {
    let agents = match &record.agents {
        Agents::All => vec![ALL_AGENTS.to_owned()],
        Agents::Only(agents) => agents.iter().map(|agent| format!("={agent}")).collect(),
    };
    let scopes = record.scopes.iter().map(|scope| scope.name().to_owned()).collect();
    let mut item = Item::from([
        ("key_hash".to_owned(), text(record.hash.as_str())),
        ("name".to_owned(), text(&record.name)),
        ("scopes".to_owned(), AttributeValue::Ss(scopes)),
        ("agents".to_owned(), AttributeValue::Ss(agents)),
        ("seal".to_owned(), text(record.seal.to_hex())),
    ]);
    set_expiry(&mut item, record.expires_at);
    item
}

fn from_item(item: &Item) -> Option<KeyRecord> {
    let agents = item.get("agents")?.as_ss().ok()?;
    let agents = if agents.iter().any(|agent| agent == ALL_AGENTS) {
        Agents::All
    } else {
        let only = agents.iter().map(|agent| AgentId::try_from(agent.strip_prefix('=')?).ok());
        Agents::Only(only.collect::<Option<_>>()?)
    };
    let hash = KeyHash(string(item, "key_hash")?.to_owned());
    let name = string(item, "name")?.to_owned();
    let seal = match item.get("seal") {
        Some(seal) => Seal::from_hex(seal.as_s().ok()?)?,
        // A key created before seals existed: its holder knows everything except the name.
        None => Seal::derive(&[hash.as_str(), &name]),
    };
    Some(KeyRecord {
        hash,
        name,
        scopes: item.get("scopes")?.as_ss().ok()?.iter().map(|scope| scope.parse().ok()).collect::<Option<_>>()?,
        agents,
        expires_at: match item.get("expires_at") {
            None => None,
            Some(_) => Some(parsed(item, "expires_at")?),
        },
        seal,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{ApiKey, Scope};

    #[test]
    fn record_reads_back_from_its_item() {
        let agents = ["*", "agent 1", "日本"].map(|agent| AgentId::try_from(agent).expect("an agent"));
        let all = KeyRecord {
            hash: ApiKey::generate().expect("randomness").hash(),
            name: "ci".to_owned(),
            scopes: Scope::ALL.into(),
            agents: Agents::All,
            expires_at: None,
            seal: Seal::generate().expect("randomness"),
        };
        let some = KeyRecord { agents: Agents::Only(agents.into()), expires_at: Some(1_900_000_000), ..all.clone() };
        for record in [all, some] {
            assert_eq!(from_item(&to_item(&record)), Some(record));
        }
    }

    #[test]
    fn key_without_a_seal_gets_the_same_one_each_time() {
        let record = KeyRecord {
            hash: KeyHash("00".to_owned()),
            name: "old".to_owned(),
            scopes: Scope::ALL.into(),
            agents: Agents::All,
            expires_at: None,
            seal: Seal::derive(&["00", "old"]),
        };
        let mut item = to_item(&record);
        item.remove("seal");
        assert_eq!(from_item(&item), Some(record));
    }
}
