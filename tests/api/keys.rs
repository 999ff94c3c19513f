//! Keys with fewer permissions than the key in the environment.

use std::time::{SystemTime, UNIX_EPOCH};

use shared::auth::{Agents, ApiKey, KeyRecord, KeyTable, Scope, Seal};
use shared::aws::{Aws, Settings};
use shared::env::{self, API_KEYS_TABLE};
use shared::ids::AgentId;

/// Creates a key with `scopes` for every agent.
pub async fn key_with(scopes: &[Scope]) -> String {
    store(scopes, Agents::All, None).await.0
}

/// Creates a key with every scope for these agents.
pub async fn key_for(agents: &[&str]) -> String {
    key_for_agents_with(&Scope::ALL, agents).await
}

/// Creates a key with `scopes` for `agents`.
pub async fn key_for_agents_with(scopes: &[Scope], agents: &[&str]) -> String {
    let agents = agents.iter().map(|&agent| AgentId::try_from(agent).expect("an agent")).collect();
    store(scopes, Agents::Only(agents), None).await.0
}

/// Creates a key with every scope that has just expired.
pub async fn expired_key() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock past 1970").as_secs();
    store(&Scope::ALL, Agents::All, i64::try_from(now).ok()).await.0
}

/// Creates a key with every scope and revokes it before its first use.
pub async fn revoked_key() -> String {
    let (key, record) = store(&Scope::ALL, Agents::All, None).await;
    table().revoke(&record.hash).await.expect("the key is revoked");
    key
}

/// Returns a well-formed key that was never stored.
pub fn unknown_key() -> String {
    ApiKey::generate().expect("randomness").reveal().to_owned()
}

async fn store(scopes: &[Scope], agents: Agents, expires_at: Option<i64>) -> (String, KeyRecord) {
    let key = ApiKey::generate().expect("randomness");
    let name = "black-box test".to_owned();
    let seal = Seal::generate().expect("randomness");
    let scopes = scopes.iter().copied().collect();
    let record = KeyRecord { hash: key.hash(), name, scopes, agents, expires_at, seal };
    table().create(&record).await.expect("the key is stored");
    (key.reveal().to_owned(), record)
}

fn table() -> KeyTable {
    let settings = Settings::from_env().unwrap_or_else(|error| panic!("to make keys: {error}"));
    let name = env::required(API_KEYS_TABLE).unwrap_or_else(|error| panic!("to make keys: {error}"));
    KeyTable::new(Aws::new(settings).dynamodb(), name)
}
