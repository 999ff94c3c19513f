//! Authenticates callers: checks the API key before any other work.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::error::Error;
use super::keys::{Agents, ApiKey, FindKey, KeyHash, KeyRecord, Scope};
use super::seal::Seal;
use crate::aws::StoreError;
use crate::deadline::Deadline;
use crate::ids::AgentId;
use crate::time::Timestamp;

/// Time for which a valid key is cached. While DynamoDB responds, a revoked key works no longer than this.
const FRESH: Duration = Duration::from_secs(60);
/// Time for which a cached valid key works while DynamoDB fails.
const TRUSTED_IN_OUTAGE: Duration = Duration::from_secs(15 * 60);
/// Time for which an unknown key is rejected without another lookup.
const MISS: Duration = Duration::from_secs(5);
/// After a lookup failure, serve cached keys for this long without retrying DynamoDB.
const OUTAGE_BACKOFF: Duration = Duration::from_secs(5);
/// Time of a request that the lookup reserves for the handler, to store the received data or to queue it.
const HANDLER_RESERVE: Duration = Duration::from_secs(5);
/// Maximum number of unknown keys cached in a sandbox, which bounds the memory that callers with made-up keys can use.
const MAX_MISSES: usize = 1_000;
/// Maximum number of valid keys cached in a sandbox.
const MAX_HITS: usize = 10_000;

/// Caller of a request, authenticated by a valid key with the scope required by the endpoint.
#[derive(Clone, Debug)]
pub struct Caller(KeyRecord);

impl Caller {
    /// Returns the name of the key, for logs.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the agents whose data the caller may access.
    pub fn agents(&self) -> &Agents {
        &self.0.agents
    }

    /// Returns whether the caller may access the data of all agents.
    pub fn sees_all(&self) -> bool {
        self.0.agents == Agents::All
    }

    /// Returns the seal that keeps cursors secret from a caller with restricted access.
    pub(super) fn seal(&self) -> Option<&Seal> {
        (!self.sees_all()).then_some(&self.0.seal)
    }

    /// Returns whether the caller may access the data of `agent`.
    pub fn sees(&self, agent: &AgentId) -> bool {
        self.0.agents.include(agent)
    }

    /// Rejects a caller whose key is not valid for `agent`.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub fn require_agent(&self, agent: &AgentId) -> Result<(), Error> {
        if self.sees(agent) { Ok(()) } else { Err(Error::Forbidden) }
    }
}

/// Looks up keys and caches them for a while.
pub struct Guard<K> {
    keys: K,
    seen: Mutex<Seen>,
}

impl<K: FindKey> Guard<K> {
    /// Creates a guard with an empty cache.
    pub fn new(keys: K) -> Self {
        Self { keys, seen: Mutex::default() }
    }

    /// Authenticates the caller with the key `presented`, which must be valid and have `scope`.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] without a valid key, [`Error::Forbidden`] without the scope, [`Error::Unavailable`] if
    /// DynamoDB does not respond before `deadline` and the key was not recently seen valid.
    pub async fn admit(&self, presented: Option<&str>, scope: Scope, deadline: Deadline) -> Result<Caller, Error> {
        let key = presented.and_then(ApiKey::parse).ok_or(Error::Unauthorized)?;
        let record = self.record(&key.hash(), deadline).await?.ok_or(Error::Unauthorized)?;
        if record.is_expired(Timestamp::now()) {
            return Err(Error::Unauthorized);
        }
        if !record.scopes.contains(&scope) {
            return Err(Error::Forbidden);
        }
        Ok(Caller(record))
    }

    async fn record(&self, hash: &KeyHash, deadline: Deadline) -> Result<Option<KeyRecord>, Error> {
        let now = Instant::now();
        if let Some(known) = self.seen().recall(hash, now) {
            return Ok(known);
        }
        let found = deadline.leaving(HANDLER_RESERVE).bound(self.keys.find(hash)).await;
        match found.unwrap_or_else(|_| Err(StoreError::overdue("dynamodb", "GetItem"))) {
            Ok(record) => {
                self.seen().remember(hash, record.as_ref(), now);
                Ok(record)
            }
            Err(failure) if failure.is_passing => {
                self.seen().failed_at = Some(Instant::now());
                let known = self.seen().recall_in_outage(hash, now).ok_or(failure)?;
                tracing::warn!(key = known.name, "api key taken from memory: its table does not answer");
                Ok(Some(known))
            }
            Err(failure) => Err(failure.into()),
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cached keys with the time of their lookup. Hits and misses have separate limits, so that made-up keys evict no valid
/// one.
#[derive(Default)]
struct Seen {
    /// Time of the last failed lookup.
    failed_at: Option<Instant>,
    hits: HashMap<KeyHash, (KeyRecord, Instant)>,
    misses: HashMap<KeyHash, Instant>,
}

impl Seen {
    fn recall(&self, hash: &KeyHash, now: Instant) -> Option<Option<KeyRecord>> {
        if let Some((record, read_at)) = self.hits.get(hash)
            && now.duration_since(*read_at) < FRESH
        {
            return Some(Some(record.clone()));
        }
        if self.failed_at.is_some_and(|failed_at| now.duration_since(failed_at) < OUTAGE_BACKOFF)
            && let Some(record) = self.recall_in_outage(hash, now)
        {
            return Some(Some(record));
        }
        let missed_at = self.misses.get(hash)?;
        (now.duration_since(*missed_at) < MISS).then_some(None)
    }

    fn recall_in_outage(&self, hash: &KeyHash, now: Instant) -> Option<KeyRecord> {
        let (record, read_at) = self.hits.get(hash)?;
        (now.duration_since(*read_at) < TRUSTED_IN_OUTAGE).then(|| record.clone())
    }

    fn remember(&mut self, hash: &KeyHash, record: Option<&KeyRecord>, now: Instant) {
        self.failed_at = None;
        match record {
            Some(record) => {
                self.misses.remove(hash);
                if self.hits.len() >= MAX_HITS {
                    self.hits.retain(|_, (_, read_at)| now.duration_since(*read_at) < FRESH);
                }
                if self.hits.len() < MAX_HITS || self.hits.contains_key(hash) {
                    self.hits.insert(hash.clone(), (record.clone(), now));
                }
            }
            None => {
                self.hits.remove(hash);
                if self.misses.len() >= MAX_MISSES {
                    self.misses.retain(|_, missed_at| now.duration_since(*missed_at) < MISS);
                }
                if self.misses.len() < MAX_MISSES {
                    self.misses.insert(hash.clone(), now);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash() -> KeyHash {
        ApiKey::generate().expect("randomness").hash()
    }

    fn record(hash: &KeyHash) -> KeyRecord {
        KeyRecord {
            hash: hash.clone(),
            name: "test".to_owned(),
            scopes: Scope::ALL.into(),
            agents: Agents::All,
            expires_at: None,
            seal: Seal::derive(&[]),
        }
    }

    fn deadline() -> Deadline {
        Deadline::after(Duration::from_secs(60))
    }

    /// A table with one key that can stop responding.
    struct Table {
        known: KeyRecord,
        answers: std::sync::atomic::AtomicBool,
    }

    impl FindKey for Table {
        async fn find(&self, hash: &KeyHash) -> Result<Option<KeyRecord>, StoreError> {
            if self.answers.load(std::sync::atomic::Ordering::Relaxed) {
                Ok((*hash == self.known.hash).then(|| self.known.clone()))
            } else {
                Err(StoreError::overdue("dynamodb", "GetItem"))
            }
        }
    }

    #[tokio::test]
    async fn outage_admits_cached_keys_and_is_unavailable_for_others() {
        let (seen, unseen) = (ApiKey::generate().expect("randomness"), ApiKey::generate().expect("randomness"));
        let guard = Guard::new(Table { known: record(&seen.hash()), answers: true.into() });
        assert!(guard.admit(Some(seen.reveal()), Scope::LogsRead, deadline()).await.is_ok());
        guard.keys.answers.store(false, std::sync::atomic::Ordering::Relaxed);
        // Older than the cache lifetime.
        let aged = Instant::now().checked_sub(FRESH).expect("a minute of uptime");
        for (_, read_at) in guard.seen().hits.values_mut() {
            *read_at = aged;
        }
        assert!(guard.admit(Some(seen.reveal()), Scope::LogsRead, deadline()).await.is_ok());
        let known = guard.seen().recall(&seen.hash(), Instant::now());
        assert_eq!(known, Some(Some(record(&seen.hash()))), "without asking again");
        let refusal =
            guard.admit(Some(unseen.reveal()), Scope::LogsRead, deadline()).await.expect_err("cannot be known");
        assert!(!matches!(refusal, Error::Unauthorized | Error::Forbidden), "{refusal:?}");
    }

    #[tokio::test]
    async fn key_without_scope_is_forbidden_and_expired_key_unauthorized() {
        let key = ApiKey::generate().expect("randomness");
        let reader = KeyRecord { scopes: [Scope::LogsRead].into(), ..record(&key.hash()) };
        let expired = KeyRecord { expires_at: Some(0), ..reader.clone() };
        let admit = async |known: KeyRecord, scope| {
            Guard::new(Table { known, answers: true.into() }).admit(Some(key.reveal()), scope, deadline()).await
        };
        assert!(matches!(admit(reader.clone(), Scope::LogsWrite).await, Err(Error::Forbidden)));
        assert!(matches!(admit(expired, Scope::LogsRead).await, Err(Error::Unauthorized)));
        assert!(admit(reader, Scope::LogsRead).await.is_ok());
    }

    #[test]
    fn valid_key_is_fresh_for_1_minute_and_trusted_15_in_an_outage() {
        let (mut seen, hash, start) = (Seen::default(), hash(), Instant::now());
        seen.remember(&hash, Some(&record(&hash)), start);
        assert_eq!(seen.recall(&hash, start + Duration::from_secs(59)), Some(Some(record(&hash))));
        assert_eq!(seen.recall(&hash, start + Duration::from_secs(60)), None);
        assert!(seen.recall_in_outage(&hash, start + Duration::from_secs(899)).is_some());
        assert!(seen.recall_in_outage(&hash, start + Duration::from_secs(900)).is_none());
    }

    #[test]
    fn a_key_found_missing_is_forgotten_even_for_an_outage() {
        let (mut seen, hash, start) = (Seen::default(), hash(), Instant::now());
        seen.remember(&hash, Some(&record(&hash)), start);
        seen.remember(&hash, None, start);
        assert_eq!(seen.recall(&hash, start), Some(None));
        assert!(seen.recall_in_outage(&hash, start).is_none());
        assert_eq!(seen.recall(&hash, start + MISS), None);
    }

    #[test]
    fn made_up_keys_fill_a_bounded_space_and_push_no_real_key_out() {
        let (mut seen, real, start) = (Seen::default(), hash(), Instant::now());
        seen.remember(&real, Some(&record(&real)), start);
        for _ in 0..2 * MAX_MISSES {
            seen.remember(&hash(), None, start);
        }
        assert_eq!(seen.misses.len(), MAX_MISSES);
        assert!(seen.recall(&real, start).is_some());
    }
}
