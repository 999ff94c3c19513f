//! The timestamps that `POST /event` accepts: those that Pydantic v2 accepts for a `datetime`, with Pydantic's names
//! for the errors.
//!
//! The instants and the error types below are those of Pydantic 2.14.

use serde_json::{Value, json};

use crate::events::event;
use crate::stack::{Stack, fresh};

/// The maximum number of events of the type `stressed` in a window that is not yet anomalous.
const QUIET: usize = 8;

#[tokio::test]
async fn every_form_of_an_instant_means_that_instant() {
    let stack = Stack::connect();
    let date_and_time = [
        json!("2026-01-02T03:04:05Z"),
        json!("2026-01-02T03:04:05+00:00"),
        json!("2026-01-02t03:04:05z"),
        json!("2026-01-02T03:04:05"),
        json!("2026-01-02 03:04:05"),
        json!("2026-01-02_03:04:05"),
        json!("2026-01-02 03:04:05.000"),
        json!("2026-01-02T05:04:05+02:00"),
        json!("2026-01-02T05:04:05+0200"),
        json!("2026-01-01T21:34:05-05:30"),
        json!("1767323045"),
        json!("1767323045000"),
        json!("+1767323045"),
        json!(1_767_323_045),
        json!(1_767_323_045.0),
        json!(1_767_323_045_000_i64),
    ];
    assert_all_mean(&stack, "2026-01-02T03:04:05.000000Z", &date_and_time).await;
    let midnight = [json!("2026-01-02"), json!("2026-01-02T00:00"), json!(1_767_312_000), json!("1767312000")];
    assert_all_mean(&stack, "2026-01-02T00:00:00.000000Z", &midnight).await;
    let fraction = [json!(1_767_323_045.25), json!("1767323045.25"), json!(1_767_323_045_250_i64)];
    assert_all_mean(&stack, "2026-01-02T03:04:05.250000Z", &fraction).await;
    let microseconds = [json!("2026-01-02T03:04:05.123456Z"), json!("2026-01-02T03:04:05.1234569Z")];
    assert_all_mean(&stack, "2026-01-02T03:04:05.123456Z", &microseconds).await;
    assert_all_mean(&stack, "1970-01-01T00:00:00.000000Z", &[json!(0), json!("0"), json!("1970-01-01")]).await;
    assert_all_mean(&stack, "1969-12-31T23:59:59.000000Z", &[json!(-1), json!("-1")]).await;
    assert_all_mean(&stack, "0001-01-01T00:00:00.000000Z", &[json!("0001-01-01T00:00:00Z"), json!("0001-01-01")]).await;
}

#[tokio::test]
async fn invalid_instant_is_rejected_with_pydantics_error_type() {
    let stack = Stack::connect();
    for (timestamp, kind) in [
        (json!("2026-02-30"), "datetime_from_date_parsing"),
        (json!("2026-02-30T00:00:00Z"), "datetime_from_date_parsing"),
        (json!("2026-13-01T00:00:00Z"), "datetime_from_date_parsing"),
        (json!("2026-01-02T25:00:00Z"), "datetime_from_date_parsing"),
        (json!("2026-01-02T03:04:05+25:00"), "datetime_from_date_parsing"),
        (json!("2026-01-02T03:04:05 Z"), "datetime_from_date_parsing"),
        (json!(" 1767323045 "), "datetime_from_date_parsing"),
        (json!("yesterday"), "datetime_from_date_parsing"),
        (json!("NaN"), "datetime_from_date_parsing"),
        (json!(""), "datetime_from_date_parsing"),
        (json!("0000-01-01T00:00:00Z"), "datetime_parsing"),
        (json!(1e18), "datetime_parsing"),
        (json!(1e300), "datetime_parsing"),
        (json!(true), "datetime_type"),
        (json!(null), "datetime_type"),
        (json!([]), "datetime_type"),
        (json!({}), "datetime_type"),
    ] {
        let answer = stack.post_event(&event(&fresh("user"), "x", timestamp)).await;
        answer.expect_faults(&[("body.timestamp", kind)]);
    }
}

#[tokio::test]
async fn a_fault_in_a_date_says_what_it_is() {
    let answer = Stack::connect().post_event(&event(&fresh("user"), "x", "2026-02-30T00:00:00Z")).await;
    let message = "Input should be a valid datetime or date, day value is outside expected range";
    answer.check(answer.json(422)["detail"][0]["msg"] == message, message);
}

#[tokio::test]
async fn instant_moved_out_of_years_1_to_9999_by_offset_is_rejected() {
    let stack = Stack::connect();
    for timestamp in ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"] {
        stack.post_event(&event(&fresh("user"), "x", timestamp)).await.expect_fault_at("body.timestamp");
    }
}

/// Checks each form's instant by the anomaly that it causes among events at that instant.
async fn assert_all_mean(stack: &Stack, instant: &str, forms: &[Value]) {
    let user = fresh("user");
    let numbered = |index: usize, timestamp: Value| {
        let mut event = event(&user, "stressed", timestamp);
        event["event_id"] = json!(format!("{index:03}"));
        event
    };
    for index in 0..QUIET {
        stack.ingest(&numbered(index, json!(instant))).await;
    }
    for (index, form) in forms.iter().enumerate() {
        let anomaly = stack.ingest(&numbered(QUIET + index, form.clone())).await;
        let shown = (&anomaly["detected_at"], &anomaly["window_start"], &anomaly["count"]);
        assert_eq!(shown, (&json!(instant), &json!(instant), &json!(QUIET + index + 1)), "{form}: {anomaly}");
    }
}
