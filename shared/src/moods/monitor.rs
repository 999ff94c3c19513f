//! Evaluates the rules after new interactions and at checks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future;
use futures_util::stream::{self, StreamExt};

use super::check::{MoodCheck, Subject};
use super::rule::{self, Assessment, Bounds};
use super::state::MoodState;
use crate::activity::hour::{HourRecord, Slot};
use crate::activity::store::{Record, RecordKey};
use crate::activity::{ActivityStore, Hour};
use crate::alerts::outbox::{self, AlertSink, StateStore};
use crate::aws::{DYNAMODB, SQS, StoreError};
use crate::config::{MoodCondition, MoodRule, ShareLimits};
use crate::deadline::{Deadline, Overdue};
use crate::ids::Signal;
use crate::logging::Conversation;
use crate::logging::segment::{self, Segment};
use crate::queue::Queue;
use crate::severity::Severity;
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
    /// by key. Evaluations that are not complete before `deadline` are failures.
    pub async fn observe(&self, keys: &[String], now: Timestamp, deadline: Deadline) -> BTreeMap<String, StoreError> {
        let mut subjects: BTreeMap<Subject, Vec<&String>> = BTreeMap::new();
        for key in keys {
            for subject in self.subjects(key, now) {
                subjects.entry(subject).or_default().push(key);
            }
        }
        let evaluations = subjects.iter().map(|(subject, keys)| async move {
            // Boxed: the types of nested futures would exceed the compiler's limit.
            let evaluated = deadline.bound(Box::pin(self.evaluate(subject, Trigger::Interactions, now))).await;
            (keys, evaluated.unwrap_or_else(|Overdue| Err(StoreError::overdue(DYNAMODB, "Query"))))
        });
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
        // A local stack loses its queues when it stops, and dead-lettered messages may be deleted.
        let is_lost = state.next_check.is_some_and(|due| due.after(MAX_INTERVAL) < now);
        let is_due = match trigger {
            Trigger::Interactions => is_lost || self.can_be_raised(subject, &state, now).await?,
            Trigger::Check(due) => state.next_check == Some(due),
        };
        if !is_due {
            return Ok(state);
        }
        let assessments = self.assess(subject, now).await?;
        let longest = self.rules_of(subject).map(|rule| rule.window).max().unwrap_or_default();
        let is_forgotten = state.next_check.is_some_and(|due| due.after(longest) < now);
        if trigger == Trigger::Interactions && is_forgotten {
            // No check has seen the alerts end. What is raised now is new.
            state.end_all(subject, now);
        }
        state.apply(subject, &assessments, now);
        state.next_check = match (state.open.is_empty(), trigger, state.next_check) {
            (true, ..) => None,
            (false, Trigger::Interactions, Some(due)) if !is_lost => Some(due),
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
        self.rules.iter().filter(|rule| subject.matches(rule))
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
        let read = |hour| async move {
            match &subject.user_id {
                None => self.activity.chunks(&subject.agent_id, hour).await,
                Some(user_id) => {
                    let conversation = Conversation { agent_id: subject.agent_id.clone(), user_id: user_id.clone() };
                    self.activity.chunks_of_user(&conversation, hour).await
                }
            }
        };
        let chunks = future::try_join_all(self.hours(subject, now).into_iter().map(read)).await?.concat();
        Ok(self.rules_of(subject).map(|rule| rule::assess(rule, &chunks, now)).collect())
    }

    /// Returns whether interactions can open or escalate an alert in `state` of `subject`. For all users of an agent, reads a
    /// few small records instead of all sets.
    async fn can_be_raised(&self, subject: &Subject, state: &MoodState, now: Timestamp) -> Result<bool, StoreError> {
        let mut shares = Vec::new();
        for rule in self.rules_of(subject) {
            let open = state.severity_of(&rule.text());
            match &rule.condition {
                MoodCondition::Run { critical_length, .. } => match open {
                    Some(Severity::Critical) => {}
                    Some(Severity::Warning) if critical_length.is_none() => {}
                    _ => return Ok(true),
                },
                MoodCondition::Share(limits) => {
                    shares.extend(rule::next_share(limits, open).map(|share| (rule, limits, share)));
                }
            }
        }
        if shares.is_empty() {
            return Ok(false);
        }
        let hours = self.hour_records(subject, now).await?;
        let can_exceed = |(rule, limits, share): (&MoodRule, &ShareLimits, f64)| {
            rule::can_exceed(limits, share, bounds(rule, &hours, now))
        };
        Ok(shares.into_iter().any(can_exceed))
    }

    /// Returns the counts of the hours of `subject` at `now`.
    async fn hour_records(&self, subject: &Subject, now: Timestamp) -> Result<Vec<(Hour, HourRecord)>, StoreError> {
        let hours = self.hours(subject, now);
        let keys: Vec<_> = hours.iter().map(|hour| RecordKey::Hour(subject.agent_id.clone(), *hour)).collect();
        let records = self.activity.read(&keys).await?.into_iter().zip(hours);
        let records = records.filter_map(|(versioned, hour)| match versioned.record {
            Record::Hour(record) => Some((hour, record)),
            Record::User(_) => None,
        });
        Ok(records.collect())
    }
}

/// Returns what the counts of `hours` say about the window of `rule` at `now`.
fn bounds(rule: &MoodRule, hours: &[(Hour, HourRecord)], now: Timestamp) -> Bounds {
    let (start, mut bounds, mut stressed_users) = (rule::window_start(rule, now), Bounds::default(), 0);
    for (hour, record) in hours {
        stressed_users += record.stressed_users;
        for (slot, counts) in &record.slots {
            let slot_start = slot.start(*hour);
            if slot_start + Slot::MILLIS > start {
                let (matching, total) = (counts.of(rule.signal.as_str()), counts.total());
                bounds.matching += matching;
                bounds.total += total;
                bounds.surplus += if slot_start < start { total - matching } else { 0 };
            }
        }
    }
    bounds.users = bounds.matching;
    if rule.signal.as_str() == Signal::STRESSED {
        bounds.users = bounds.users.min(stressed_users);
    }
    bounds
}
