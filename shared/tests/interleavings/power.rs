//! Tests of the tests: if a guarantee is removed, a schedule with a wrong result is found.

use crate::explorer::explore;
use crate::scenario::Scenario;
use crate::small::{flood, late_events_in_one_page, pair, twins_by_a_wrong_clock};
use crate::store::{Flaws, Update};

/// Asserts that `flaws` are found in `scenario`, which [`crate::small`] shows to be valid without them.
fn is_found(name: &str, scenario: &Scenario, flaws: Flaws) {
    match explore(&Scenario { flaws, ..scenario.clone() }) {
        Ok(explored) => panic!("{name} was not found in {explored}"),
        Err(counterexample) => println!("{name}: {counterexample}"),
    }
}

#[test]
fn evaluating_no_later_events_is_found() {
    let flaws = Flaws { own_anomalies_only: true, ..Flaws::default() };
    is_found("no evaluation of later events", &pair(), flaws);
}

#[test]
fn weak_reads_are_found() {
    is_found("weak reads", &pair(), Flaws { weak_reads: true, ..Flaws::default() });
}

#[test]
fn a_crash_without_a_stream_is_found() {
    let scenario = Scenario { faults: 1, ..pair() };
    is_found("no stream", &scenario, Flaws { no_stream: true, ..Flaws::default() });
}

#[test]
fn a_count_that_shrinks_is_found() {
    let flaws = Flaws { update: Update::Always, ..Flaws::default() };
    is_found("unconditional updates", &late_events_in_one_page(), flaws);
}

#[test]
fn flood_without_a_stream_is_found() {
    is_found("a flood without a stream", &flood(), Flaws { no_stream: true, ..Flaws::default() });
}

#[test]
fn events_known_by_their_key_alone_are_found() {
    is_found("no records", &twins_by_a_wrong_clock(), Flaws { no_records: true, ..Flaws::default() });
}
