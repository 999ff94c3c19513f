//! API keys: the secret, the stored record and the permissions.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use sha2::{Digest, Sha256};

use super::seal::Seal;
use crate::aws::StoreError;
use crate::ids::AgentId;
use crate::time::Timestamp;

const PREFIX: &str = "sig_";
const SECRET_BYTES: usize = 32;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Base-62 digits of 32 bytes.
const SECRET_DIGITS: usize = 43;

/// The secret that a caller sends as `X-API-Key`: `sig_` and 32 random bytes in base 62.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Generates a new key from the operating system's source of randomness.
    ///
    /// # Errors
    /// When that source fails.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret)?;
        Ok(Self(format!("{PREFIX}{}", base62(secret))))
    }

    /// Parses `text` as a key. Returns `None` for a text with a different format, which needs no lookup.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?;
        (digits.len() == SECRET_DIGITS && digits.bytes().all(|digit| BASE62.contains(&digit)))
            .then(|| Self(text.to_owned()))
    }

    /// Returns the hash that is stored instead of the key.
    pub fn hash(&self) -> KeyHash {
        KeyHash(hex::encode(Sha256::digest(self.0.as_bytes())))
    }

    /// Returns the secret itself, to be shown once.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ApiKey(…)")
    }
}

/// Returns `bytes` as one big-endian number in base 62, padded to a constant width.
fn base62(mut bytes: [u8; SECRET_BYTES]) -> String {
    let mut digits = [0; SECRET_DIGITS];
    for digit in digits.iter_mut().rev() {
        let mut remainder = 0_usize;
        for byte in &mut bytes {
            let dividend = remainder << 8 | usize::from(*byte);
            *byte = (dividend / BASE62.len()).try_into().unwrap_or(u8::MAX);
            remainder = dividend % BASE62.len();
        }
        *digit = BASE62[remainder];
    }
    digits.iter().map(|&digit| char::from(digit)).collect()
}

/// SHA-256 of a key, in hexadecimal: the partition key of the table `api_keys`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyHash(String);

impl KeyHash {
    /// Returns the hash as hexadecimal text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Permission of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Record interactions.
    LogsWrite,
    /// Read entries, counts and charts.
    LogsRead,
    /// Send events.
    EventsWrite,
    /// Read events and anomalies.
    EventsRead,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 4] = [Self::LogsWrite, Self::LogsRead, Self::EventsWrite, Self::EventsRead];

    /// Returns the name used in keys and documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::LogsWrite => "logs:write",
            Self::LogsRead => "logs:read",
            Self::EventsWrite => "events:write",
            Self::EventsRead => "events:read",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// The text is not a scope.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a scope: use logs:write, logs:read, events:write or events:read")]
pub struct UnknownScope(String);

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.name() == text).ok_or_else(|| UnknownScope(text.to_owned()))
    }
}

/// Agents that a key may access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Agents {
    /// All agents, including future ones.
    All,
    /// Only these agents.
    Only(BTreeSet<AgentId>),
}

impl Agents {
    /// Returns whether the key may access `agent`.
    pub fn contains(&self, agent: &AgentId) -> bool {
        match self {
            Self::All => true,
            Self::Only(agents) => agents.contains(agent),
        }
    }
}

/// Stored record of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Identifies the key without revealing it.
    pub hash: KeyHash,
    /// Human-readable name, used in logs.
    pub name: String,
    /// Permissions of the key.
    pub scopes: BTreeSet<Scope>,
    /// Agents that the key may access.
    pub agents: Agents,
    /// Unix second from which on the key is invalid.
    pub expires_at: Option<i64>,
    /// Secret that seals the data which the key's holder may carry but not read.
    pub seal: Seal,
}

impl KeyRecord {
    /// Returns whether the key has expired. DynamoDB deletes expired items late, so readers must check.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= now.seconds())
    }
}

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

const STORE: &str = "dynamodb";

impl KeyTable {
    /// Creates a store on the table named `table`.
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Sends DynamoDB a minimal request.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.find(&KeyHash("probe".to_owned())).await.map(drop)
    }

    /// Stores `record`, replacing an earlier record of the same key.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn create(&self, record: &KeyRecord) -> Result<(), StoreError> {
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(to_item(record)))
            .send()
            .await
            .map_err(|error| StoreError::from_sdk(STORE, "PutItem", &error))?;
        Ok(())
    }

    /// Returns all keys, in no particular order.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn list(&self) -> Result<Vec<KeyRecord>, StoreError> {
        let mut records = Vec::new();
        let mut pages =
            self.client.scan().table_name(&self.table).consistent_read(true).into_paginator().items().send();
        while let Some(item) = pages.next().await {
            let item = item.map_err(|error| StoreError::from_sdk(STORE, "Scan", &error))?;
            records.push(from_item(&item).ok_or_else(|| corrupt("Scan"))?);
        }
        Ok(records)
    }

    /// Deletes the key under `hash`, if it exists. Sandboxes that have cached the key drop it within a minute.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn revoke(&self, hash: &KeyHash) -> Result<(), StoreError> {
        self.client
            .delete_item()
            .table_name(&self.table)
            .key("key_hash", AttributeValue::S(hash.0.clone()))
            .send()
            .await
            .map_err(|error| StoreError::from_sdk(STORE, "DeleteItem", &error))?;
        Ok(())
    }
}

impl FindKey for KeyTable {
    async fn find(&self, hash: &KeyHash) -> Result<Option<KeyRecord>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("key_hash", AttributeValue::S(hash.0.clone()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| StoreError::from_sdk(STORE, "GetItem", &error))?;
        answer.item.map(|item| from_item(&item).ok_or_else(|| corrupt("GetItem"))).transpose()
    }
}

fn corrupt(operation: &'static str) -> StoreError {
    StoreError::corrupt(STORE, operation, "API key")
}

/// Value of the attribute `agents` that means all agents. Names of agents are stored with a `=` before them, so that an
/// agent of this name is not mistaken for it.
const ALL_AGENTS: &str = "*";

fn to_item(record: &KeyRecord) -> HashMap<String, AttributeValue> {
    let agents = match &record.agents {
        Agents::All => vec![ALL_AGENTS.to_owned()],
        Agents::Only(agents) => agents.iter().map(|agent| format!("={agent}")).collect(),
    };
    let scopes = record.scopes.iter().map(|scope| scope.name().to_owned()).collect();
    let mut item = HashMap::from([
        ("key_hash".to_owned(), AttributeValue::S(record.hash.0.clone())),
        ("name".to_owned(), AttributeValue::S(record.name.clone())),
        ("scopes".to_owned(), AttributeValue::Ss(scopes)),
        ("agents".to_owned(), AttributeValue::Ss(agents)),
        ("seal".to_owned(), AttributeValue::S(record.seal.to_hex())),
    ]);
    if let Some(expires_at) = record.expires_at {
        item.insert("expires_at".to_owned(), AttributeValue::N(expires_at.to_string()));
    }
    item
}

fn from_item(item: &HashMap<String, AttributeValue>) -> Option<KeyRecord> {
    let agents = item.get("agents")?.as_ss().ok()?;
    let agents = if agents.iter().any(|agent| agent == ALL_AGENTS) {
        Agents::All
    } else {
        let only = agents.iter().map(|agent| AgentId::try_from(agent.strip_prefix('=')?).ok());
        Agents::Only(only.collect::<Option<_>>()?)
    };
    let hash = KeyHash(item.get("key_hash")?.as_s().ok()?.clone());
    let name = item.get("name")?.as_s().ok()?.clone();
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
            Some(seconds) => Some(seconds.as_n().ok()?.parse().ok()?),
        },
        seal,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_has_the_form_of_one_and_no_two_are_alike() {
        let key = ApiKey::generate().expect("randomness");
        assert_eq!(ApiKey::parse(key.reveal()), Some(key.clone()));
        assert_ne!(ApiKey::generate().expect("randomness"), key);
    }

    #[test]
    fn base_62_width_is_constant_from_smallest_to_largest_number() {
        assert_eq!(base62([0; 32]), "0".repeat(43));
        let mut one = [0; 32];
        one[31] = 61;
        assert_eq!(base62(one), format!("{}z", "0".repeat(42)));
        assert_eq!(base62([0xff; 32]).len(), 43);
    }

    #[test]
    fn text_that_is_no_key_is_not_looked_up() {
        let digits = "a".repeat(43);
        assert!(ApiKey::parse(&format!("sig_{digits}")).is_some());
        for text in ["", "sig_", &digits, &format!("sig_{digits}a"), &format!("sig_{}-", &digits[1..])] {
            assert_eq!(ApiKey::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_record_reads_back_as_it_was_stored() {
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

    #[test]
    fn a_key_expires_at_the_second_it_names() {
        let mut record = KeyRecord {
            hash: KeyHash(String::new()),
            name: String::new(),
            scopes: BTreeSet::new(),
            agents: Agents::All,
            expires_at: Some(100),
            seal: Seal::derive(&[]),
        };
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000).expect("in range");
        assert!(!record.is_expired(at(99)) && record.is_expired(at(100)));
        record.expires_at = None;
        assert!(!record.is_expired(Timestamp::MAX));
    }
}
