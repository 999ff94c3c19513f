//! Authenticates callers: checks the API key before any other work.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{ApiKey, AuthError, Caller, FindKey, KeyHash, KeyRecord, Scope};
use crate::aws::{DYNAMODB, StoreError};
use crate::deadline::Deadline;
use crate::time::Timestamp;

/// Time for which a valid key is cached. While DynamoDB responds, a revoked key works no longer than this.
const TTL: Duration = Duration::from_secs(60);
/// Time for which a cached valid key works while DynamoDB fails.
const OUTAGE_TTL: Duration = Duration::from_secs(15 * 60);
/// Time for which an unknown key is rejected without another lookup.
const NEGATIVE_TTL: Duration = Duration::from_secs(5);
/// After a lookup failure, serve cached keys for this long without retrying DynamoDB.
const OUTAGE_BACKOFF: Duration = Duration::from_secs(5);
/// Time of a request that the lookup reserves for the handler, to store the received data or to queue it.
const HANDLER_RESERVE: Duration = Duration::from_secs(5);
/// Maximum number of unknown keys cached in a sandbox, which bounds the memory that callers with made-up keys can use.
const MAX_MISSES: usize = 1_000;
/// Maximum number of valid keys cached in a sandbox.
const MAX_HITS: usize = 10_000;

/// Looks up keys and caches them for a while.
pub struct Authenticator<K> {
    keys: K,
    cache: Mutex<KeyCache>,
}

impl<K: FindKey> Authenticator<K> {
    /// Creates an authenticator with an empty cache.
    pub fn new(keys: K) -> Self {
        Self { keys, cache: Mutex::default() }
    }

    /// Authenticates the caller with the key `presented`, which must be valid and have `scope`.
    ///
    /// # Errors
    /// [`AuthError::Unauthenticated`] without a valid key, [`AuthError::Forbidden`] without the scope,
    /// [`AuthError::Store`] if DynamoDB does not respond before `deadline` and the key is not cached.
    pub async fn authenticate(
        &self,
        presented: Option<&str>,
        scope: Scope,
        deadline: Deadline,
    ) -> Result<Caller, AuthError> {
        let key = presented.and_then(ApiKey::parse).ok_or(AuthError::Unauthenticated)?;
        let record = self.record(&key.hash(), deadline).await?.ok_or(AuthError::Unauthenticated)?;
        if record.is_expired(Timestamp::now()) {
            return Err(AuthError::Unauthenticated);
        }
        if !record.scopes.contains(&scope) {
            return Err(AuthError::Forbidden);
        }
        Ok(Caller(record))
    }

    async fn record(&self, hash: &KeyHash, deadline: Deadline) -> Result<Option<KeyRecord>, AuthError> {
        let now = Instant::now();
        if let Some(cached) = self.cache().get(hash, now) {
            return Ok(cached);
        }
        let found = deadline.leaving(HANDLER_RESERVE).bound(self.keys.find(hash)).await;
        match found.unwrap_or_else(|_| Err(StoreError::overdue(DYNAMODB, "GetItem"))) {
            Ok(record) => {
                self.cache().insert(hash, record.as_ref(), now);
                Ok(record)
            }
            Err(failure) if failure.is_transient => {
                self.cache().failed_at = Some(Instant::now());
                let cached = self.cache().get_in_outage(hash, now).ok_or(failure)?;
                tracing::warn!(key = cached.name, "failed to look up api key; using the cached record");
                Ok(Some(cached))
            }
            Err(failure) => Err(failure.into()),
        }
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, KeyCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cached keys with the time of their lookup. Hits and misses have separate limits, so that made-up keys evict no valid
/// one.
#[derive(Default)]
struct KeyCache {
    /// Time of the last failed lookup.
    failed_at: Option<Instant>,
    hits: HashMap<KeyHash, (KeyRecord, Instant)>,
    misses: HashMap<KeyHash, Instant>,
}

impl KeyCache {
    fn get(&self, hash: &KeyHash, now: Instant) -> Option<Option<KeyRecord>> {
        if let Some((record, read_at)) = self.hits.get(hash)
            && now.duration_since(*read_at) < TTL
        {
            return Some(Some(record.clone()));
        }
        if self.failed_at.is_some_and(|failed_at| now.duration_since(failed_at) < OUTAGE_BACKOFF)
            && let Some(record) = self.get_in_outage(hash, now)
        {
            return Some(Some(record));
        }
        let missed_at = self.misses.get(hash)?;
        (now.duration_since(*missed_at) < NEGATIVE_TTL).then_some(None)
    }

    fn get_in_outage(&self, hash: &KeyHash, now: Instant) -> Option<KeyRecord> {
        let (record, read_at) = self.hits.get(hash)?;
        (now.duration_since(*read_at) < OUTAGE_TTL).then(|| record.clone())
    }

    fn insert(&mut self, hash: &KeyHash, record: Option<&KeyRecord>, now: Instant) {
        self.failed_at = None;
        match record {
            Some(record) => {
                self.misses.remove(hash);
                if self.hits.len() >= MAX_HITS {
                    self.hits.retain(|_, (_, read_at)| now.duration_since(*read_at) < TTL);
                }
                if self.hits.len() < MAX_HITS || self.hits.contains_key(hash) {
                    self.hits.insert(hash.clone(), (record.clone(), now));
                }
            }
            None => {
                self.hits.remove(hash);
                if self.misses.len() >= MAX_MISSES {
                    self.misses.retain(|_, missed_at| now.duration_since(*missed_at) < NEGATIVE_TTL);
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
    use crate::auth::{Agents, Seal};

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
        is_up: std::sync::atomic::AtomicBool,
    }

    impl FindKey for Table {
        async fn find(&self, hash: &KeyHash) -> Result<Option<KeyRecord>, StoreError> {
            if self.is_up.load(std::sync::atomic::Ordering::Relaxed) {
                Ok((*hash == self.known.hash).then(|| self.known.clone()))
            } else {
                Err(StoreError::overdue(DYNAMODB, "GetItem"))
            }
        }
    }

    #[tokio::test]
    async fn outage_admits_cached_keys_and_is_unavailable_for_others() {
        let (seen, unseen) = (ApiKey::generate().expect("randomness"), ApiKey::generate().expect("randomness"));
        let authenticator = Authenticator::new(Table { known: record(&seen.hash()), is_up: true.into() });
        assert!(authenticator.authenticate(Some(seen.reveal()), Scope::LogsRead, deadline()).await.is_ok());
        authenticator.keys.is_up.store(false, std::sync::atomic::Ordering::Relaxed);
        // Older than the cache lifetime.
        let aged = Instant::now().checked_sub(TTL).expect("a minute of uptime");
        for (_, read_at) in authenticator.cache().hits.values_mut() {
            *read_at = aged;
        }
        assert!(authenticator.authenticate(Some(seen.reveal()), Scope::LogsRead, deadline()).await.is_ok());
        let known = authenticator.cache().get(&seen.hash(), Instant::now());
        assert_eq!(known, Some(Some(record(&seen.hash()))), "without asking again");
        let refusal = authenticator
            .authenticate(Some(unseen.reveal()), Scope::LogsRead, deadline())
            .await
            .expect_err("cannot be known");
        assert!(!matches!(refusal, AuthError::Unauthenticated | AuthError::Forbidden), "{refusal:?}");
    }

    #[tokio::test]
    async fn missing_scope_is_forbidden_and_expired_key_unauthenticated() {
        let key = ApiKey::generate().expect("randomness");
        let reader = KeyRecord { scopes: [Scope::LogsRead].into(), ..record(&key.hash()) };
        let expired = KeyRecord { expires_at: Some(0), ..reader.clone() };
        let authenticate = async |known: KeyRecord, scope| {
            Authenticator::new(Table { known, is_up: true.into() })
                .authenticate(Some(key.reveal()), scope, deadline())
                .await
        };
        assert!(matches!(authenticate(reader.clone(), Scope::LogsWrite).await, Err(AuthError::Forbidden)));
        assert!(matches!(authenticate(expired, Scope::LogsRead).await, Err(AuthError::Unauthenticated)));
        assert!(authenticate(reader, Scope::LogsRead).await.is_ok());
    }

    #[test]
    fn valid_key_is_fresh_for_1_minute_and_trusted_15_in_an_outage() {
        let (mut seen, hash, start) = (KeyCache::default(), hash(), Instant::now());
        seen.insert(&hash, Some(&record(&hash)), start);
        assert_eq!(seen.get(&hash, start + Duration::from_secs(59)), Some(Some(record(&hash))));
        assert_eq!(seen.get(&hash, start + Duration::from_secs(60)), None);
        assert!(seen.get_in_outage(&hash, start + Duration::from_secs(899)).is_some());
        assert!(seen.get_in_outage(&hash, start + Duration::from_secs(900)).is_none());
    }

    #[test]
    fn missing_key_is_rejected_even_in_an_outage() {
        let (mut seen, hash, start) = (KeyCache::default(), hash(), Instant::now());
        seen.insert(&hash, Some(&record(&hash)), start);
        seen.insert(&hash, None, start);
        assert_eq!(seen.get(&hash, start), Some(None));
        assert!(seen.get_in_outage(&hash, start).is_none());
        assert_eq!(seen.get(&hash, start + NEGATIVE_TTL), None);
    }

    #[test]
    fn unknown_keys_evict_no_valid_key_and_are_bounded() {
        let (mut seen, real, start) = (KeyCache::default(), hash(), Instant::now());
        seen.insert(&real, Some(&record(&real)), start);
        for _ in 0..2 * MAX_MISSES {
            seen.insert(&hash(), None, start);
        }
        assert_eq!(seen.misses.len(), MAX_MISSES);
        assert!(seen.get(&real, start).is_some());
    }
}
