//! Evaluates the rules after new interactions and at checks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};

use super::check::{MoodCheck, Subject};
use super::rule::{self, Assessment};
use super::state::MoodState;
use crate::activity::hour::Slot;
use crate::activity::store::{Record, RecordKey};
use crate::activity::{ActivityStore, Chunk, Hour};
use crate::alerts::outbox::{self, AlertSink, StateStore};
use crate::aws::{SQS, StoreError};
use crate::config::{MoodCondition, MoodRule};
use crate::ids::AgentId;
use crate::logging::segment::{self, Segment};
use crate::logging::{Conversation, Summary};
use crate::queue::Queue;
use crate::time::Timestamp;

/// Subjects evaluated concurrently.
const PARALLEL: usize = 16;
/// Number of checks within a window, and limits of the time between two checks.
const CHECKS_PER_WINDOW: u32 = 12;
const MIN_INTERVAL: Duration = Duration::from_secs(5);
const MAX_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// Requests further evaluations.
pub trait CheckSink {
    /// Enqueues `check`, which arrives after `delay`. The message is durable when this returns.
    fn request(&self, check: &MoodCheck, delay: Duration) -> impl Future<Output = Result<(), StoreError>> + Send;
}

impl CheckSink for Queue {
    async fn request(&self, check: &MoodCheck, delay: Duration) -> Result<(), StoreError> {
        let body = check.to_body().ok_or_else(|| StoreError::encode(SQS, "SendMessage", "check"))?;
        self.send_delayed(&body, delay).await
    }
}

/// Opens and ends the alerts of moods.
#[derive(Clone, Debug)]
pub struct MoodMonitor<A, K, S, C> {
    /// Rules of all subjects.
    pub rules: Vec<MoodRule>,
    /// The interactions.
    pub activity: A,
    /// Store of the state of each subject.
    pub states: K,
    /// Destination of the alerts.
    pub alerts: S,
    /// Destination of the checks.
    pub checks: C,
}

/// Reason of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trigger {
    /// New interactions were counted.
    Interactions,
    /// The check of this time has arrived.
    Check(Timestamp),
}

impl<A, K, S, C> MoodMonitor<A, K, S, C>
where
    A: ActivityStore + Sync,
    K: StateStore<MoodState> + Sync,
    S: AlertSink + Sync,
    C: CheckSink + Sync,
{
    /// Evaluates the rules that the log objects under `keys`, which are counted, can violate at `now`. Returns the failures
    /// by key.
    pub async fn observe(&self, keys: &[String], now: Timestamp) -> BTreeMap<String, StoreError> {
        let mut subjects: BTreeMap<Subject, Vec<&String>> = BTreeMap::new();
        for key in keys {
            for subject in self.subjects(key, now) {
                subjects.entry(subject).or_default().push(key);
            }
        }
        let evaluations = subjects
            .iter()
            .map(|(subject, keys)| async move { (keys, self.evaluate(subject, Trigger::Interactions, now).await) });
        let evaluations: Vec<_> = evaluations.collect();
        let results: Vec<_> = stream::iter(evaluations).buffer_unordered(PARALLEL).collect().await;
        let failed = results.into_iter().filter_map(|(keys, result)| Some((keys, result.err()?)));
        failed.flat_map(|(keys, failure)| keys.iter().map(move |key| ((*key).clone(), failure.clone()))).collect()
    }

    /// Evaluates the rules of the subject of `check` at `now`.
    ///
    /// # Errors
    /// When a store or a queue fails. Retrying is safe.
    pub async fn check(&self, check: &MoodCheck, now: Timestamp) -> Result<(), StoreError> {
        self.evaluate(&check.check_moods_of, Trigger::Check(check.due), now).await
    }

    /// Returns the subjects for which the object under `key` has an interaction that counts against them at `now`.
    fn subjects(&self, key: &str, now: Timestamp) -> BTreeSet<Subject> {
        let Some((conversation, segment)) = segment::conversation_of(key).zip(Segment::parse(key)) else {
            return BTreeSet::new();
        };
        let counts = |rule: &&MoodRule| {
            segment.newest() >= rule::window_start(rule, now)
                && segment.counts().iter().any(|(signal, _)| *signal == rule.signal)
        };
        let subject = |rule: &MoodRule| Subject {
            agent_id: conversation.agent_id.clone(),
            user_id: matches!(rule.condition, MoodCondition::Run { .. }).then(|| conversation.user_id.clone()),
        };
        self.rules.iter().filter(counts).map(subject).collect()
    }

    async fn evaluate(&self, subject: &Subject, trigger: Trigger, now: Timestamp) -> Result<(), StoreError> {
        if trigger == Trigger::Interactions && !self.may_be_raised(subject, now).await? {
            return Ok(());
        }
        let change = |state: MoodState| self.change(subject, state, trigger, now);
        outbox::update(&self.states, &self.alerts, &subject.key(), change).await
    }

    /// Returns the state after `state`. The interactions are read after the state: a state is replaced only by one that knows
    /// all interactions that the replaced one knew.
    async fn change(
        &self,
        subject: &Subject,
        mut state: MoodState,
        trigger: Trigger,
        now: Timestamp,
    ) -> Result<MoodState, StoreError> {
        let is_settled = match trigger {
            Trigger::Interactions => {
                let texts: Vec<_> = self.rules_of(subject).map(rule::text).collect();
                let is_checked = state.next_check.is_some_and(|due| !is_lost(due, now));
                is_checked && state.is_critical_for(texts.iter().map(String::as_str))
            }
            Trigger::Check(due) => state.next_check != Some(due),
        };
        if is_settled {
            return Ok(state);
        }
        let assessments = self.assess(subject, now).await?;
        state.apply(subject, &assessments, now);
        state.next_check = match (state.open.is_empty(), trigger, state.next_check) {
            (true, ..) => None,
            (false, Trigger::Interactions, Some(due)) if !is_lost(due, now) => Some(due),
            (false, ..) => Some(self.request_check(subject, now).await?),
        };
        Ok(state)
    }

    /// Requests a check of `subject` and returns its time.
    async fn request_check(&self, subject: &Subject, now: Timestamp) -> Result<Timestamp, StoreError> {
        let shortest = self.rules_of(subject).map(|rule| rule.window).min().unwrap_or_default();
        let interval = (shortest / CHECKS_PER_WINDOW).clamp(MIN_INTERVAL, MAX_INTERVAL);
        let due = now.after(interval);
        self.checks.request(&MoodCheck { check_moods_of: subject.clone(), due }, interval).await?;
        Ok(due)
    }

    fn rules_of(&self, subject: &Subject) -> impl Iterator<Item = &MoodRule> {
        self.rules.iter().filter(|rule| subject.is_of(rule))
    }

    /// Returns the hours of the longest window of the rules of `subject` at `now`, and the next hour, because a caller's clock
    /// may be ahead.
    fn hours(&self, subject: &Subject, now: Timestamp) -> Vec<Hour> {
        let first = self.rules_of(subject).map(|rule| rule::window_start(rule, now)).min().unwrap_or(now.millis());
        let last = Hour::of(now.millis()).earlier(-1);
        let mut hours = vec![last];
        while let Some(hour) = hours.last().map(|hour| hour.earlier(1)).filter(|hour| hour.end() > first) {
            hours.push(hour);
        }
        hours
    }

    /// Evaluates all rules of `subject` at `now`.
    async fn assess(&self, subject: &Subject, now: Timestamp) -> Result<Vec<Assessment>, StoreError> {
        let mut chunks: Vec<Chunk> = Vec::new();
        for hour in self.hours(subject, now) {
            chunks.extend(match &subject.user_id {
                None => self.activity.chunks(&subject.agent_id, hour).await?,
                Some(user_id) => {
                    let conversation = Conversation { agent_id: subject.agent_id.clone(), user_id: user_id.clone() };
                    self.activity.chunks_of_user(&conversation, hour).await?
                }
            });
        }
        Ok(self.rules_of(subject).map(|rule| rule::assess(rule, &chunks, now)).collect())
    }

    /// Returns whether the counts of the hours allow a rule of `subject` to be violated. Reads a few small records instead of
    /// all sets of an agent.
    async fn may_be_raised(&self, subject: &Subject, now: Timestamp) -> Result<bool, StoreError> {
        let limits = self.rules_of(subject).filter_map(|rule| match &rule.condition {
            MoodCondition::Share(limits) => Some((rule, limits)),
            MoodCondition::Run { .. } => None,
        });
        let limits: Vec<_> = limits.collect();
        if limits.is_empty() {
            return Ok(true);
        }
        let slots = self.slots(&subject.agent_id, &self.hours(subject, now)).await?;
        Ok(limits.into_iter().any(|(rule, limits)| {
            let start = rule::window_start(rule, now);
            let (mut matching, mut total, mut surplus) = (0, 0, 0);
            for (slot_start, counts) in slots.iter().filter(|(slot_start, _)| slot_start + Slot::MILLIS > start) {
                let (of_signal, all) = (counts.of(rule.signal.as_str()), counts.total());
                matching += of_signal;
                total += all;
                surplus += if *slot_start < start { all - of_signal } else { 0 };
            }
            rule::may_be_raised(limits, matching, total, surplus)
        }))
    }

    /// Returns the counts of `agent` by slot, each with the start of its slot in Unix milliseconds.
    async fn slots(&self, agent: &AgentId, hours: &[Hour]) -> Result<Vec<(i64, Summary)>, StoreError> {
        let keys: Vec<_> = hours.iter().map(|hour| RecordKey::Hour(agent.clone(), *hour)).collect();
        let records = self.activity.read(&keys).await?;
        let mut slots = Vec::new();
        for (hour, versioned) in hours.iter().zip(records) {
            if let Record::Hour(record) = versioned.record {
                slots.extend(record.slots.into_iter().map(|(slot, counts)| (slot.start(*hour), counts)));
            }
        }
        Ok(slots)
    }
}

/// Returns whether the check of the time `due` should have arrived long before `now`. A local stack loses its queues when it
/// stops, and a dead-lettered message may be deleted.
fn is_lost(due: Timestamp, now: Timestamp) -> bool {
    due.after(MAX_INTERVAL) < now
}
