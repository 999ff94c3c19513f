//! Large cases with many events. Events and schedules are random, but the same on every run.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use shared::ids::{AgentId, UserId};
use shared::integrity::Event;

use crate::explorer::run;
use crate::rules::Rules;
use crate::scenario::{Scenario, Sending, by_a_wrong_clock, event};
use crate::small::{flood, two_agents};
use crate::store::{Flaws, Update};

/// Default number of cases, overridden by `PROPTEST_CASES`.
const CASES: u32 = 1_000;
const SECOND: i64 = 1_000_000;
const TYPES: [&str; 3] = ["neutral", "stressed", "other"];

const RULES: [Rules; 7] = [
    Rules::uniform(1, 2),
    Rules::uniform(2, 4),
    Rules::uniform(1, 12),
    Rules { default: 2, thresholds: &[("stressed", 1), ("neutral", 4)], max_items: 7, by_agent: false },
    Rules { default: 4, thresholds: &[("stressed", 3), ("neutral", 6)], max_items: 10, by_agent: false },
    Rules { by_agent: true, ..Rules::uniform(1, 2) },
    Rules { default: 2, thresholds: &[("stressed", 1), ("neutral", 4)], max_items: 7, by_agent: true },
];

/// Distribution of the times of events.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// A quarter of the window apart, or a microsecond more or less, in any order.
    Spread,
    /// Nearly all at the same instant.
    Flood,
    /// Each a little before the one sent before it.
    Backwards,
}

fn times() -> impl Strategy<Value = Vec<i64>> {
    let shape = prop_oneof![3 => Just(Shape::Spread), 1 => Just(Shape::Flood), 1 => Just(Shape::Backwards)];
    (shape, prop::collection::vec((0..12_i64, -1..=1_i64), 5..60)).prop_map(|(shape, drawn)| {
        let time = |(index, (slot, jitter)): (usize, (i64, i64))| match shape {
            Shape::Spread => slot * Rules::WINDOW_MICROS / 4 + jitter,
            Shape::Flood => SECOND + jitter,
            Shape::Backwards => 10 * SECOND - index as i64 * slot - jitter,
        };
        drawn.into_iter().enumerate().map(time).collect()
    })
}

/// Clock that dates an event.
#[derive(Clone, Copy, Debug)]
enum Clock {
    Right,
    /// Wrong by the amount that the event reveals.
    Wrong,
    /// A little ahead of the server's clock.
    Ahead,
    /// So far ahead that the event gets the server's time.
    FarAhead,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let clock = prop_oneof![
        12 => Just(Clock::Right), 2 => Just(Clock::Wrong), 1 => Just(Clock::Ahead), 1 => Just(Clock::FarAhead)
    ];
    let user = prop_oneof![4 => Just("u"), 1 => Just("v")];
    let traits = (user, prop_oneof![Just("a"), Just("b")], prop::sample::select(&TYPES[..]), clock);
    (times(), prop::collection::vec(traits, 60)).prop_map(|(times, traits)| {
        let dated = times.into_iter().zip(traits).enumerate();
        let event = |(index, (micros, (user, agent, signal_type, clock)))| {
            let id = format!("e{index}");
            let event = match clock {
                Clock::Right => event(&id, micros, signal_type),
                Clock::Wrong => by_a_wrong_clock(event(&id, micros, signal_type)),
                Clock::Ahead => event(&id, micros + 60 * SECOND, signal_type),
                Clock::FarAhead => event(&id, micros + 600 * SECOND, signal_type),
            };
            let user_id = UserId::try_from(user).expect("a user");
            Event { user_id, agent_id: AgentId::try_from(agent).expect("an agent"), ..event }
        };
        dated.map(event).collect()
    })
}

/// Generates requests and batches of `events`, and resends of some of them, separately or in the first batch, sometimes
/// with a different body.
fn sendings(events: Vec<Event>) -> impl Strategy<Value = Vec<Sending>> {
    let size = prop_oneof![6 => Just(1), 2 => 2..6_usize, 1 => 6..60_usize];
    let again = (any::<Index>(), prop::bool::weighted(0.1), any::<bool>());
    (prop::collection::vec(size, 60), prop::collection::vec(again, 0..8)).prop_map(move |(sizes, again)| {
        let mut rest = &events[..];
        let mut sendings = Vec::new();
        for size in sizes {
            let (now, later) = rest.split_at(size.min(rest.len()));
            match now {
                [] => break,
                [event] => sendings.push(Sending::One(event.clone())),
                events => sendings.push(Sending::Batch(events.to_vec())),
            }
            rest = later;
        }
        for (index, is_another, is_in_batch) in again {
            let mut event = index.get(&events).clone();
            if is_another {
                event.signal_type = "another".try_into().expect("a signal type");
            }
            match sendings.iter_mut().find(|sending| matches!(sending, Sending::Batch(_))) {
                Some(Sending::Batch(events)) if is_in_batch => events.push(event),
                _ => sendings.push(Sending::One(event)),
            }
        }
        sendings
    })
}

fn scenario(flaws: Flaws) -> impl Strategy<Value = Scenario> {
    let before = prop::collection::vec((0..12_i64, prop::sample::select(&TYPES[..])), 0..6);
    let before = before.prop_map(|before| {
        let stored = |(index, (slot, signal_type)): (usize, (i64, &str))| {
            event(&format!("s{index}"), slot * Rules::WINDOW_MICROS / 4, signal_type)
        };
        before.into_iter().enumerate().map(stored).collect()
    });
    let rules = prop::sample::select(&RULES[..]);
    (rules, before, events().prop_flat_map(sendings), 0..12_u32, 0..3_u32, any::<bool>()).prop_map(
        move |(rules, before, sendings, faults, retries, full_page_says_more)| Scenario {
            before,
            faults,
            retries,
            full_page_says_more,
            flaws,
            ..Scenario::new(rules, sendings)
        },
    )
}

/// Generates a scenario, and the draws that select its schedule.
fn case(flaws: Flaws) -> impl Strategy<Value = (Scenario, Vec<u16>)> {
    (scenario(flaws), prop::collection::vec(any::<u16>(), 0..1_500))
}

/// Creates a runner that always draws the same values.
fn runner(config: Config) -> TestRunner {
    let config = Config { failure_persistence: None, ..config };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

#[test]
fn many_events_in_any_order() {
    let (steps, anomalies) = (Cell::new(0), Cell::new(0));
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    let outcome = runner(Config { cases, ..Config::default() }).run(&case(Flaws::default()), |(scenario, draws)| {
        let ran = run(&scenario, &draws).map_err(|counterexample| TestCaseError::fail(counterexample.to_string()))?;
        steps.set(steps.get() + ran.steps);
        anomalies.set(anomalies.get() + ran.anomalies);
        Ok(())
    });
    match outcome {
        Ok(()) => println!("{cases} courses, {} steps, {} anomalies", steps.get(), anomalies.get()),
        Err(TestError::Fail(counterexample, (scenario, _))) => panic!("{counterexample}\n{:?}", scenario.rules),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

/// Tries schedules of `scenario`, which has too many to explore all of them.
fn holds_at_random(scenario: &Scenario) {
    let outcome = runner(Config { cases: 2 * CASES, ..Config::default() }).run(
        &prop::collection::vec(any::<u16>(), 0..80),
        |draws| {
            run(scenario, &draws).map(drop).map_err(|counterexample| TestCaseError::fail(counterexample.to_string()))
        },
    );
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn flood_in_any_order() {
    holds_at_random(&flood());
}

#[test]
fn events_at_two_agents_count_apart() {
    holds_at_random(&two_agents());
}

/// Asserts that random exploration also finds `flaws`.
fn is_found(name: &str, flaws: Flaws) {
    let config = Config { cases: CASES, max_shrink_iters: 0, ..Config::default() };
    let outcome = runner(config).run(&case(flaws), |(scenario, draws)| match run(&scenario, &draws) {
        Ok(_) => Ok(()),
        Err(counterexample) => Err(TestCaseError::fail(counterexample.fault)),
    });
    match outcome {
        Err(TestError::Fail(fault, _)) => println!("{name}: {fault}"),
        other => panic!("{name} was not found: {other:?}"),
    }
}

#[test]
fn evaluating_no_later_events_is_found() {
    is_found("no evaluation of later events", Flaws { own_anomalies_only: true, ..Flaws::default() });
}

#[test]
fn weak_reads_are_found() {
    is_found("weak reads", Flaws { weak_reads: true, ..Flaws::default() });
}

#[test]
fn crashes_without_a_stream_are_found() {
    is_found("no stream", Flaws { no_stream: true, ..Flaws::default() });
}

#[test]
fn counts_that_shrink_are_found() {
    is_found("unconditional updates", Flaws { update: Update::Always, ..Flaws::default() });
}

#[test]
fn events_known_by_their_key_alone_are_found() {
    is_found("no records", Flaws { no_records: true, ..Flaws::default() });
}
