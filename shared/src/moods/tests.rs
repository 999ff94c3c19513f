//! Runs monitors on a world whose stores and queues fail at any step, and checks the alerts that result.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::check::{MoodCheck, Subject};
use super::monitor::{CheckSink, MoodMonitor};
use super::rule::{self, Level};
use super::state::MoodState;
use crate::activity::hour::HourActivity;
use crate::activity::store::{Record, RecordKey};
use crate::activity::{ActivityStore, Chunk, ChunkKey, Hour};
use crate::alerts::outbox::{AlertSink, StateStore};
use crate::aws::StoreError;
use crate::aws::versioned::Versioned;
use crate::config::{MoodCondition, MoodRule, ShareLimits};
use crate::deadline::Deadline;
use crate::ids::{AgentId, Signal, UserId};
use crate::logging::Conversation;
use crate::logging::segment::Segment;
use crate::severity::Severity;
use crate::time::Timestamp;

const MINUTE: i64 = 60_000;
const WINDOW: Duration = Duration::from_secs(60 * 60);
/// 2026-01-01T12:50:00Z, so that windows span two hours.
const START: i64 = 1_767_271_800_000;

fn agent() -> AgentId {
    AgentId::try_from("agent").expect("an agent")
}

fn user(number: u8) -> UserId {
    UserId::try_from(format!("user {number}")).expect("a user")
}

fn signal(name: &str) -> Signal {
    Signal::try_from(name).expect("a signal")
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).expect("a time")
}

/// A share above 30 % of at least 4 interactions, from more than one user.
fn share_limits() -> ShareLimits {
    ShareLimits { above: 0.3, critical_above: Some(0.6), recover_below: 0.2, users_above: 1, min_interactions: 4 }
}

fn share_rule() -> MoodRule {
    MoodRule { signal: signal("stressed"), window: WINDOW, condition: MoodCondition::Share(share_limits()) }
}

fn run_rule() -> MoodRule {
    let condition = MoodCondition::Run { length: 3, critical_length: Some(5) };
    MoodRule { signal: signal("stressed"), window: WINDOW, condition }
}

/// An interaction: milliseconds since [`START`], user, and whether the user is stressed.
type Interaction = (i64, u8, bool);

/// The stores and queues.
#[derive(Default)]
struct World {
    inner: Mutex<Inner>,
    /// Number of calls until one fails, after it takes effect if the flag is set.
    failure: Mutex<Option<(usize, bool)>>,
}

#[derive(Default)]
struct Inner {
    chunks: BTreeMap<ChunkKey, Chunk>,
    entries: u128,
    states: BTreeMap<String, Versioned<MoodState>>,
    alerts: Vec<String>,
    checks: Vec<MoodCheck>,
}

impl World {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panic")
    }

    /// Performs a call, or fails before or after it.
    async fn call<T>(&self, call: impl FnOnce(&mut Inner) -> T) -> Result<T, StoreError> {
        tokio::task::yield_now().await;
        let fails = {
            let mut failure = self.failure.lock().expect("no panic");
            match *failure {
                Some((0, takes_effect)) => {
                    *failure = None;
                    Some(takes_effect)
                }
                Some((calls, takes_effect)) => {
                    *failure = Some((calls - 1, takes_effect));
                    None
                }
                None => None,
            }
        };
        let error = || StoreError { store: "world", operation: "call", cause: "failed".to_owned(), is_transient: true };
        match fails {
            None => Ok(call(&mut self.lock())),
            Some(true) => {
                call(&mut self.lock());
                Err(error())
            }
            Some(false) => Err(error()),
        }
    }

    /// Counts `interaction` and returns the key of its object.
    fn add(&self, (millis, number, is_stressed): Interaction) -> String {
        let conversation = Conversation { agent_id: agent(), user_id: user(number) };
        let signal = signal(if is_stressed { "stressed" } else { "neutral" });
        let mut inner = self.lock();
        inner.entries += 1;
        let order = (START + millis, Uuid::from_u128(inner.entries));
        let key = ChunkKey::of(&conversation, order.0);
        inner.chunks.entry(key.clone()).or_insert_with(|| Chunk::new(key)).add(order, signal.clone());
        Segment::of(&[(order, signal)]).expect("a segment").key(&conversation)
    }

    fn monitor(&self, rules: Vec<MoodRule>) -> MoodMonitor<&Self, &Self, &Self, &Self> {
        MoodMonitor { rules, activity: self, states: self, alerts: self, checks: self }
    }

    /// Returns the types of the alerts that were sent, without repetitions, in order.
    fn alerts(&self) -> Vec<(String, Value)> {
        let mut known: BTreeMap<String, String> = BTreeMap::new();
        let mut alerts = Vec::new();
        for text in &self.lock().alerts {
            let alert: Value = serde_json::from_str(text).expect("JSON");
            let name = |field: &str| alert[field].as_str().expect("text").to_owned();
            match known.insert(name("id"), text.clone()) {
                Some(before) => assert_eq!(before, *text, "an alert is repeated with other words"),
                None => alerts.push((name("type"), alert["data"].clone())),
            }
        }
        alerts
    }

    fn alert_types(&self) -> Vec<String> {
        self.alerts().into_iter().map(|(name, _)| name).collect()
    }

    fn state(&self, subject: &Subject) -> MoodState {
        self.lock().states.get(&subject.key()).map(|state| state.record.clone()).unwrap_or_default()
    }
}

impl ActivityStore for &World {
    async fn add(&self, _: &Chunk) -> Result<(), StoreError> {
        unreachable!("monitors only read")
    }

    async fn remove(&self, _: &Chunk) -> Result<(), StoreError> {
        unreachable!("monitors only read")
    }

    async fn delete(&self, _: &ChunkKey) -> Result<(), StoreError> {
        unreachable!("monitors only read")
    }

    async fn chunks(&self, agent: &AgentId, hour: Hour) -> Result<Vec<Chunk>, StoreError> {
        let is_wanted = |chunk: &&Chunk| chunk.key.agent_id == *agent && chunk.key.hour == hour;
        self.call(|inner| inner.chunks.values().filter(is_wanted).cloned().collect()).await
    }

    async fn chunks_of_user(&self, conversation: &Conversation, hour: Hour) -> Result<Vec<Chunk>, StoreError> {
        let mut chunks = self.chunks(&conversation.agent_id, hour).await?;
        chunks.retain(|chunk| chunk.key.user_id == conversation.user_id);
        Ok(chunks)
    }

    async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Versioned<Record>>, StoreError> {
        let record = |inner: &Inner, key: &RecordKey| match key {
            RecordKey::Hour(agent, hour) => {
                let chunks = inner.chunks.values();
                let chunks = chunks.filter(|chunk| chunk.key.agent_id == *agent && chunk.key.hour == *hour);
                Record::Hour(HourActivity::of(&chunks.cloned().collect::<Vec<_>>()).record)
            }
            RecordKey::User(..) => key.missing(),
        };
        self.call(|inner| keys.iter().map(|key| Versioned { record: record(inner, key), version: 1 }).collect()).await
    }

    async fn replace(&self, _: &RecordKey, _: &Record, _: u64) -> Result<bool, StoreError> {
        unreachable!("monitors only read")
    }
}

impl StateStore<MoodState> for &World {
    async fn read(&self, key: &str) -> Result<Versioned<MoodState>, StoreError> {
        self.call(|inner| inner.states.get(key).cloned().unwrap_or_default()).await
    }

    async fn write(&self, key: &str, state: &MoodState, version: u64, _: i64) -> Result<bool, StoreError> {
        let write = |inner: &mut Inner| {
            let is_current = inner.states.get(key).map_or(0, |known| known.version) == version;
            if is_current {
                inner.states.insert(key.to_owned(), Versioned { record: state.clone(), version: version + 1 });
            }
            is_current
        };
        self.call(write).await
    }
}

impl AlertSink for &World {
    async fn send(&self, message: &str) -> Result<(), StoreError> {
        self.call(|inner| inner.alerts.push(message.to_owned())).await
    }
}

impl CheckSink for &World {
    async fn request(&self, check: &MoodCheck, _: Duration) -> Result<(), StoreError> {
        self.call(|inner| inner.checks.push(check.clone())).await
    }
}

/// Returns a deadline that no test reaches.
fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(600))
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(future)
}

/// Returns the chunks of `interactions`.
fn chunks(interactions: &[Interaction]) -> Vec<Chunk> {
    let world = World::default();
    interactions.iter().for_each(|interaction| drop(world.add(*interaction)));
    world.lock().chunks.values().cloned().collect()
}

#[test]
fn share_counts_the_window_and_its_users() {
    let rule = share_rule();
    let level =
        |interactions: &[Interaction], now: i64| rule::assess(&rule, &chunks(interactions), at(START + now)).level;
    let warning = Level::Raised(Severity::Warning);
    // Two of five are 40 %, from two users.
    let five = [(0, 1, true), (1, 2, true), (2, 3, false), (3, 3, false), (4, 3, false)];
    assert_eq!(level(&five, 10), warning);
    // Of one user only, or of too few interactions.
    assert_eq!(level(&[(0, 1, true), (1, 1, true), (2, 3, false), (3, 3, false), (4, 3, false)], 10), Level::Between);
    assert_eq!(level(&five[..3], 10), Level::Between);
    assert_eq!(
        level(&[(0, 1, true), (1, 2, true), (2, 3, true), (3, 3, false)], 10),
        Level::Raised(Severity::Critical)
    );
    // The first interaction leaves the window after an hour.
    assert_eq!(level(&five, 60 * MINUTE), warning);
    assert_eq!(level(&five, 60 * MINUTE + 1), Level::Between);
    assert_eq!(level(&five, 60 * MINUTE + 2), Level::Calm);
    assert_eq!(level(&five, 60 * MINUTE + 5), Level::Calm);
    assert_eq!(level(&[], 0), Level::Calm);
}

#[test]
fn run_counts_the_newest_interactions_in_a_row() {
    let assess = |moods: &[bool]| {
        let interactions: Vec<_> =
            moods.iter().zip(0..).map(|(is_stressed, millis)| (millis, 1, *is_stressed)).collect();
        rule::assess(&run_rule(), &chunks(&interactions), at(START + MINUTE))
    };
    assert_eq!(assess(&[true, true, false]).level, Level::Calm);
    assert_eq!(assess(&[true, false, true, true]).level, Level::Between);
    let run = assess(&[true, false, true, true, true]);
    assert_eq!((run.level, run.start), (Level::Raised(Severity::Warning), Some(at(START + 2))));
    assert_eq!(assess(&[true; 5]).level, Level::Raised(Severity::Critical));
    assert_eq!(run.rule, "3 times stressed in a row in 60 minutes");
    assert_eq!(share_rule().text(), "stressed above 30 % in 60 minutes");
}

#[test]
fn alert_opens_escalates_and_recovers() {
    let world = World::default();
    let monitor = world.monitor(vec![run_rule()]);
    let subject = Subject { agent_id: agent(), user_id: Some(user(1)) };
    run(async {
        for minute in 0..6 {
            let key = world.add((minute * MINUTE, 1, true));
            assert_eq!(monitor.observe(&[key], at(START + minute * MINUTE), soon()).await.len(), 0);
        }
        assert_eq!(world.alert_types(), ["mood.opened", "mood.escalated"]);
        // No interaction follows. Checks go on until the last one has left the window.
        let mut checked = 0;
        while let Some(check) = { world.lock().checks.pop() } {
            monitor.check(&check, check.due).await.expect("no failure");
            checked += 1;
        }
        assert_eq!(checked, 13);
    });
    assert_eq!(world.alert_types(), ["mood.opened", "mood.escalated", "mood.recovered"]);
    assert_eq!(world.state(&subject), MoodState::default());
    let data = &world.alerts()[1].1;
    assert_eq!(data["start"], json!(at(START)));
    let facts = ["user_id", "severity", "in_a_row", "minutes"].map(|name| data[name].clone());
    assert_eq!(facts, [json!("user 1"), json!("critical"), json!(5), json!(60)]);
}

#[test]
fn old_interactions_and_other_signals_read_nothing() {
    let world = World::default();
    *world.failure.lock().expect("no panic") = Some((0, false));
    let monitor = world.monitor(vec![share_rule(), run_rule()]);
    let keys = [world.add((0, 1, true)), world.add((61 * MINUTE, 1, false))];
    assert_eq!(run(monitor.observe(&keys, at(START + 61 * MINUTE), soon())).len(), 0);
    assert!(world.failure.lock().expect("no panic").is_some(), "no call was made");
}

#[test]
fn alert_of_a_removed_rule_ends_at_the_next_check() {
    let world = World::default();
    let keys: Vec<_> = (0..3).map(|number| world.add((number, 1, true))).collect();
    run(async {
        world.monitor(vec![run_rule()]).observe(&keys, at(START + 3), soon()).await;
        let check = world.lock().checks.pop().expect("a check");
        let other = MoodRule { signal: signal("uncertain"), ..run_rule() };
        world.monitor(vec![other]).check(&check, check.due).await.expect("no failure");
    });
    assert_eq!(world.alert_types(), ["mood.opened", "mood.recovered"]);
}

#[test]
fn lost_check_is_requested_again_with_the_next_interaction() {
    let world = World::default();
    let monitor = world.monitor(vec![run_rule()]);
    let keys: Vec<_> = (0..5).map(|number| world.add((number, 1, true))).collect();
    let observe = |millis| run(monitor.observe(&keys, at(START + millis), soon())).len();
    assert_eq!((observe(5), observe(6 * MINUTE)), (0, 0));
    assert_eq!(world.lock().checks.len(), 1);
    assert_eq!(observe(11 * MINUTE), 0);
    assert_eq!(world.lock().checks.len(), 2);
}

#[test]
fn lost_check_ends_the_alert_before_the_next_one_opens() {
    // A share alert with a lost check, hours before the next bad hour.
    let world = World::default();
    let monitor = world.monitor(vec![share_rule()]);
    let bad_hour = |start: i64| -> Vec<_> { (0..4).map(|user| world.add((start + 1, user, true))).collect() };
    run(async {
        monitor.observe(&bad_hour(0), at(START + 1), soon()).await;
        world.lock().checks.clear();
        let later = 5 * 60 * MINUTE;
        monitor.observe(&bad_hour(later), at(START + later + 1), soon()).await;
    });
    assert_eq!(world.alert_types(), ["mood.opened", "mood.recovered", "mood.opened"]);
    assert_eq!(world.lock().checks.len(), 1);
}

#[test]
fn calm_interaction_ends_a_run_also_if_another_run_follows() {
    let world = World::default();
    let monitor = world.monitor(vec![run_rule()]);
    let add = |millis: i64, is_stressed: bool| {
        let key = world.add((millis, 1, is_stressed));
        assert_eq!(run(monitor.observe(&[key], at(START + millis), soon())).len(), 0);
    };
    for millis in 0..3 {
        add(millis, true);
    }
    assert_eq!(world.alert_types(), ["mood.opened"]);
    add(3, false);
    add(4, true);
    add(5, true);
    assert_eq!(world.alert_types(), ["mood.opened", "mood.recovered"]);
    add(6, true);
    assert_eq!(world.alert_types(), ["mood.opened", "mood.recovered", "mood.opened"]);
}

#[test]
fn known_alert_of_an_agent_is_not_read_again() {
    let world = World::default();
    let critical = ShareLimits { critical_above: None, ..share_limits() };
    let rule = MoodRule { condition: MoodCondition::Share(critical), ..share_rule() };
    let monitor = world.monitor(vec![rule]);
    let add = |millis: i64| (0..4).map(|user| world.add((millis, user, true))).collect::<Vec<_>>();
    assert_eq!(run(monitor.observe(&add(1), at(START + 1), soon())).len(), 0);
    // The state is read, and nothing else.
    *world.failure.lock().expect("no panic") = Some((1, false));
    assert_eq!(run(monitor.observe(&add(2), at(START + 2), soon())).len(), 0);
    assert_eq!(*world.failure.lock().expect("no panic"), Some((0, false)));
}

proptest! {
    /// The counts by slot never hide an alert that the interactions open.
    #[test]
    fn counts_allow_every_alert_that_opens(
        interactions in proptest::collection::vec((0..90 * MINUTE, 0..4_u8, any::<bool>()), 1..30),
        now in 60 * MINUTE..91 * MINUTE,
    ) {
        let rule = share_rule();
        let level = rule::assess(&rule, &chunks(&interactions), at(START + now)).level;
        let world = World::default();
        let keys: Vec<_> = interactions.iter().map(|interaction| world.add(*interaction)).collect();
        run(world.monitor(vec![rule.clone()]).observe(&keys, at(START + now), soon()));
        // Any interaction with the signal within the window causes an evaluation.
        let opened = Level::Raised(Severity::Warning) == level || Level::Raised(Severity::Critical) == level;
        prop_assert_eq!(world.alert_types(), if opened { vec!["mood.opened"] } else { vec![] });
    }

    #[test]
    fn alerts_follow_the_moods_despite_failures(
        interactions in proptest::collection::vec((0..30 * MINUTE, 0..2_u8, prop::bool::weighted(0.7)), 1..40),
        failures in proptest::collection::vec((0..12_usize, any::<bool>(), any::<bool>()), 40),
        removes_a_rule in any::<bool>(),
    ) {
        let mut interactions = interactions;
        interactions.sort_unstable();
        let world = World::default();
        let monitor = world.monitor(vec![share_rule(), run_rule()]);
        let mut failures = failures.into_iter();
        run(async {
            let mut now = at(START);
            let mut waiting: Vec<(Vec<String>, Option<MoodCheck>)> = Vec::new();
            for interaction in &interactions {
                now = at(START + interaction.0);
                waiting.push((vec![world.add(*interaction)], None));
                // The queue delivers checks that are due, and messages that failed again.
                let due: Vec<_> = world.lock().checks.extract_if(.., |check| check.due <= now).collect();
                waiting.extend(due.into_iter().map(|check| (vec![], Some(check))));
                if let Some((calls, takes_effect, twice)) = failures.next() {
                    *world.failure.lock().expect("no panic") = Some((calls, takes_effect));
                    let repeated = if twice { waiting.clone() } else { vec![] };
                    let mut failed = Vec::new();
                    for (keys, check) in waiting.drain(..).chain(repeated) {
                        let result = match &check {
                            Some(check) => monitor.check(check, now).await.is_ok(),
                            None => monitor.observe(&keys, now, soon()).await.is_empty(),
                        };
                        if !result { failed.push((keys, check)); }
                    }
                    waiting = failed;
                    *world.failure.lock().expect("no panic") = None;
                }
            }
            for (keys, check) in waiting {
                match check {
                    Some(check) => monitor.check(&check, now).await.expect("no failure"),
                    None => assert_eq!(monitor.observe(&keys, now, soon()).await.len(), 0),
                }
            }

            // Each open alert has its check, and each alert that was sent agrees with the state.
            let subjects = [None, Some(user(0)), Some(user(1))].map(|user_id| Subject { agent_id: agent(), user_id });
            for subject in &subjects {
                let state = world.state(subject);
                assert_eq!(state.outbox, Vec::<String>::new());
                assert_eq!(state.next_check.is_some(), !state.open.is_empty());
                let checks = world.lock().checks.clone();
                if let Some(due) = state.next_check {
                    assert!(checks.contains(&MoodCheck { check_moods_of: subject.clone(), due }), "no check is waiting");
                }
                for rule in monitor.rules.iter().filter(|rule| subject.matches(rule)) {
                    let of_subject = |chunk: &&Chunk| subject.user_id.as_ref().is_none_or(|user| chunk.key.user_id == *user);
                    let chunks: Vec<_> = world.lock().chunks.values().filter(of_subject).cloned().collect();
                    let level = rule::assess(rule, &chunks, now).level;
                    let open = state.open.iter().find(|alert| alert.rule == rule.text());
                    let of_user = |(_, number, _): &&Interaction| {
                        subject.user_id.as_ref().is_none_or(|name| *name == user(*number))
                    };
                    let newest = interactions.iter().rfind(of_user);
                    // An alert opens with an interaction that has the signal.
                    if let (Level::Raised(severity), Some((.., true))) = (level, newest) {
                        assert!(open.is_some_and(|alert| alert.severity >= severity), "{level:?}: {open:?}");
                    }
                }
            }
            // An hour later nobody is stressed.
            let monitor = world.monitor(if removes_a_rule { vec![run_rule()] } else { vec![share_rule(), run_rule()] });
            while let Some(check) = { world.lock().checks.pop() } {
                monitor.check(&check, check.due.max(now)).await.expect("no failure");
            }
            for subject in &subjects {
                assert_eq!(world.state(subject), MoodState::default());
            }
        });
        // Every alert opened once and ended once, and escalated in between at most once.
        let mut changes: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, data) in world.alerts() {
            changes.entry(data["alert_id"].as_str().expect("an id").to_owned()).or_default().push(name);
        }
        for names in changes.values() {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            prop_assert!(
                matches!(names[..], ["mood.opened", "mood.recovered"] | ["mood.opened", "mood.escalated", "mood.recovered"]),
                "{names:?}"
            );
        }
    }
}
