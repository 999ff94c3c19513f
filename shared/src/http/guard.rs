//! Who is calling: the check of the API key before anything else is done.

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

/// How long a valid key is believed without asking again; a revoked one works this long at most, while DynamoDB answers.
const FRESH: Duration = Duration::from_secs(60);
/// How long a key seen valid still works while DynamoDB does not answer.
const TRUSTED_IN_OUTAGE: Duration = Duration::from_secs(15 * 60);
/// How long a key that was not found is refused without asking again.
const MISS: Duration = Duration::from_secs(5);
/// After a failed lookup, known keys are served from memory for this long, without asking DynamoDB again.
const OUTAGE_BACKOFF: Duration = Duration::from_secs(5);
/// The time of a request that the lookup leaves to the handler: to store, or else to queue, what came in.
const HANDLER_RESERVE: Duration = Duration::from_secs(5);
/// Bounds what callers with made-up keys can make a sandbox remember.
const MAX_MISSES: usize = 1_000;
/// Bounds the valid keys that a sandbox remembers.
const MAX_HITS: usize = 10_000;

/// The caller of a request, known by a valid key with the scope that the endpoint demands.
#[derive(Clone, Debug)]
pub struct Caller(KeyRecord);

impl Caller {
    /// The name of the key, for the logs.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The agents whose belongings the caller may see.
    pub fn agents(&self) -> &Agents {
        &self.0.agents
    }

    /// Whether the caller may see what belongs to any agent.
    pub fn sees_all(&self) -> bool {
        self.0.agents == Agents::All
    }

    /// What keeps cursors secret from a caller who may not see everything.
    pub(super) fn seal(&self) -> Option<&Seal> {
        (!self.sees_all()).then_some(&self.0.seal)
    }

    /// Whether the caller may see what belongs to `agent`.
    pub fn sees(&self, agent: &AgentId) -> bool {
        self.0.agents.include(agent)
    }

    /// Refuses a caller whose key is not for `agent`.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub fn require_agent(&self, agent: &AgentId) -> Result<(), Error> {
        if self.sees(agent) { Ok(()) } else { Err(Error::Forbidden) }
    }
}

/// Looks keys up and remembers them for a while.
pub struct Guard<K> {
    keys: K,
    seen: Mutex<Seen>,
}

impl<K: FindKey> Guard<K> {
    /// A guard that has seen no key yet.
    pub fn new(keys: K) -> Self {
        Self { keys, seen: Mutex::default() }
    }

    /// The caller who shows the key `presented`, once it is known to be valid and to have `scope`.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] without a valid key, [`Error::Forbidden`] without the scope, [`Error::Unavailable`] when
    /// DynamoDB does not answer before `deadline` and the key has not been seen valid of late.
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

/// The keys seen, and when. Hits and misses are bounded apart, so that made-up keys push no real one out.
#[derive(Default)]
struct Seen {
    /// When a lookup last failed.
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

    /// A table with one key, that can fall silent.
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
    async fn in_an_outage_a_key_seen_before_is_admitted_and_an_unseen_one_is_no_stranger_but_unknown() {
        let (seen, unseen) = (ApiKey::generate().expect("randomness"), ApiKey::generate().expect("randomness"));
        let guard = Guard::new(Table { known: record(&seen.hash()), answers: true.into() });
        assert!(guard.admit(Some(seen.reveal()), Scope::LogsRead, deadline()).await.is_ok());
        guard.keys.answers.store(false, std::sync::atomic::Ordering::Relaxed);
        // Older than it is believed without asking.
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
    async fn a_key_without_the_scope_is_forbidden_and_an_expired_one_is_none() {
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
    fn a_valid_key_is_asked_for_again_after_a_minute_and_trusted_in_an_outage_for_fifteen() {
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
