//! Descriptions of alerts for people.

use std::time::Duration;

use shared::config::minutes_in_words;
use shared::severity::Severity;
use shared::time::Timestamp;

use crate::alert::{Alert, EPISODE_ESCALATED, EPISODE_OPENED, MOOD_ESCALATED, MOOD_OPENED, MOOD_RECOVERED, TEST};

/// The maximum length of a title, in characters. Two ids of 128 characters fit.
const MAX_TITLE: usize = 500;
/// The maximum length of the value of a fact, in characters.
const MAX_VALUE: usize = 500;
/// An episode with so many agents may have more: its alert names the first ten.
const NAMED_AGENTS: usize = 10;
const HOUR: Duration = Duration::from_secs(60 * 60);
/// The ranges of the dashboard that end now, each with the maximum age of an alert that is linked with the range. A
/// range is longer than the age, so that the alert is still in the range when somebody follows the link later.
const RANGES: [(Duration, &str); 3] =
    [(HOUR.saturating_mul(12), "24h"), (HOUR.saturating_mul(5 * 24), "7d"), (HOUR.saturating_mul(25 * 24), "30d")];

/// The description of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// One sentence.
    pub title: String,
    /// The severity, if the alert has one.
    pub severity: Option<Severity>,
    /// Set if the cause of the alert has ended.
    pub is_recovery: bool,
    /// Names and values, neither of which is empty.
    pub facts: Vec<(&'static str, String)>,
    /// The address of the dashboard that shows the alert's agent, user and time.
    pub link: Option<String>,
}

impl Summary {
    /// Describes `alert` at the time `now`, with a link to the dashboard at the address `dashboard`.
    pub fn new(alert: &Alert, dashboard: Option<&str>, now: Timestamp) -> Self {
        Self {
            title: truncated(&title(alert), MAX_TITLE),
            severity: alert.severity(),
            is_recovery: alert.kind == MOOD_RECOVERED,
            facts: facts(alert),
            link: dashboard.map(|dashboard| link(alert, dashboard, now)),
        }
    }
}

/// Returns `text`, or its beginning and an ellipsis, with at most `max` characters.
pub fn truncated(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(max - 1).chain(['…']).collect(),
    }
}

fn title(alert: &Alert) -> String {
    let user = alert.user().map_or_else(|| "A user".to_owned(), |user| format!("User {user}"));
    match alert.kind.as_str() {
        EPISODE_OPENED => format!("{user} sent too many events to {}.", agents(alert)),
        EPISODE_ESCALATED => format!("{user} sent far too many events to {}: critical.", agents(alert)),
        MOOD_OPENED => format!("{}.", mood(alert)),
        MOOD_ESCALATED => format!("{}: critical.", mood(alert)),
        MOOD_RECOVERED => format!("Recovered: {}, {}.", rule(alert), scope(alert)),
        TEST => alert.text("message").unwrap_or("This is a test: alerts of Signals arrive here.").to_owned(),
        "" => "Signals sent an alert.".to_owned(),
        other => format!("Signals sent an alert of the type {other}."),
    }
}

/// Returns the state that a rule for moods found, as a sentence without its full stop.
fn mood(alert: &Alert) -> String {
    let signal = alert.text("signal").unwrap_or("affected");
    match (alert.number("share"), alert.number("in_a_row"), alert.number("minutes"), alert.user()) {
        (Some(share), _, Some(minutes), None) => {
            let interactions = alert.number("interactions").map(|count| format!("{count} ")).unwrap_or_default();
            let share = percentage(share);
            let window = minutes_in_words(minutes as u64);
            format!("{share} of {interactions}interactions with {} in {window} were {signal}", agents(alert))
        }
        (None, Some(count), _, Some(user)) => {
            format!("User {user} was {signal} in {count} interactions in a row with {}", agents(alert))
        }
        _ => format!("A rule applies to {}: {}", scope(alert), rule(alert)),
    }
}

fn rule(alert: &Alert) -> &str {
    alert.text("rule").unwrap_or("a rule without a name")
}

/// Returns the user and agents of the alert.
fn scope(alert: &Alert) -> String {
    let agents = agents(alert);
    alert.user().map_or_else(|| agents.clone(), |user| format!("user {user} of {agents}"))
}

fn agents(alert: &Alert) -> String {
    match alert.agents()[..] {
        [] => "an agent".to_owned(),
        [agent] => format!("agent {agent}"),
        ref agents if agents.len() < NAMED_AGENTS => format!("{} agents", agents.len()),
        _ => format!("at least {NAMED_AGENTS} agents"),
    }
}

fn percentage(share: f64) -> String {
    let percent = format!("{:.1}", share * 100.0);
    format!("{} %", percent.strip_suffix(".0").unwrap_or(&percent))
}

fn facts(alert: &Alert) -> Vec<(&'static str, String)> {
    let agents = alert.agents();
    let rules = alert.text("rule").map_or_else(|| alert.texts("rules"), |rule| vec![rule]);
    let share = alert.number("share").map(percentage);
    let number = |name| alert.number(name).map(|number| number.to_string());
    let facts = [
        ("Severity", alert.severity().map(|severity| severity.name().to_owned())),
        (if agents.len() == 1 { "Agent" } else { "Agents" }, Some(agents.join(", "))),
        ("User", alert.user().map(str::to_owned)),
        ("Started", alert.start().map(readable)),
        (if rules.len() == 1 { "Rule" } else { "Rules" }, Some(rules.join(", "))),
        ("Most events in a window", number("peak_count")),
        ("Share", share),
        ("Interactions", number("interactions")),
        ("In a row", number("in_a_row")),
        ("Users", number("users")),
    ];
    let known = facts.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)));
    known.map(|(name, value)| (name, truncated(&value, MAX_VALUE))).collect()
}

/// Formats `time` to the second.
fn readable(time: Timestamp) -> String {
    let text = time.to_string();
    format!("{} {} UTC", &text[..10], &text[11..19])
}

/// Returns the address of the view of the alert's agent and user. Names are in the fragment, which browsers do not send
/// to servers. The dashboard has ranges that end now, and no others.
fn link(alert: &Alert, dashboard: &str, now: Timestamp) -> String {
    let dashboard = dashboard.trim_end_matches('/');
    let Some(agent) = alert.agents().first().copied() else { return format!("{dashboard}/") };
    let mut view = form_urlencoded::Serializer::new(String::new());
    view.append_pair("agent", agent);
    if let Some(user) = alert.user() {
        view.append_pair("user", user);
    }
    if let Some(start) = alert.start() {
        let range = RANGES.into_iter().find(|(age, _)| start.after(*age) > now).map_or("all", |(_, range)| range);
        view.append_pair("range", range);
    }
    format!("{dashboard}/#{}", view.finish())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::alert::tests::{alert, episode, mood};
    use serde_json::{Value, json};

    pub(crate) const DASHBOARD: &str = "https://d1.cloudfront.net";

    pub(crate) fn now() -> Timestamp {
        Timestamp::parse_rfc3339("2026-01-02T12:05:00Z").expect("a time")
    }

    pub(crate) fn summary(value: &Value) -> Summary {
        Summary::new(&alert(value), Some(DASHBOARD), now())
    }

    /// Returns the alert `value` with other data.
    fn with(mut value: Value, data: &Value) -> Value {
        for (name, field) in data.as_object().expect("fields") {
            value["data"][name] = field.clone();
        }
        value
    }

    #[test]
    fn title_is_a_sentence_for_each_type() {
        let one = json!({ "agent_ids": ["support"] });
        let run = json!({ "user_id": "maria", "in_a_row": 3, "share": null, "rule": "stressed 3 times in a row" });
        for (value, title) in [
            (episode(EPISODE_OPENED), "User maria sent too many events to 2 agents."),
            (with(episode(EPISODE_OPENED), &one), "User maria sent too many events to agent support."),
            (with(episode(EPISODE_ESCALATED), &one), "User maria sent far too many events to agent support: critical."),
            (
                with(episode(EPISODE_OPENED), &json!({ "agent_ids": vec!["a"; 10] })),
                "User maria sent too many events to at least 10 agents.",
            ),
            (mood(MOOD_OPENED), "42 % of 50 interactions with agent support in 60 minutes were stressed."),
            (
                with(mood(MOOD_ESCALATED), &json!({ "share": 0.3049 })),
                "30.5 % of 50 interactions with agent support in 60 minutes were stressed: critical.",
            ),
            (mood(MOOD_RECOVERED), "Recovered: stressed above 30 % in 60 minutes, agent support."),
            (with(mood(MOOD_OPENED), &run), "User maria was stressed in 3 interactions in a row with agent support."),
            (with(mood(MOOD_RECOVERED), &run), "Recovered: stressed 3 times in a row, user maria of agent support."),
            (
                with(mood(MOOD_OPENED), &json!({ "share": null })),
                "A rule applies to agent support: stressed above 30 % in 60 minutes.",
            ),
            (json!({ "id": "a", "type": "test", "data": { "message": "A test." } }), "A test."),
            (json!({ "id": "a", "type": "later.type" }), "Signals sent an alert of the type later.type."),
            (json!({ "id": "a" }), "Signals sent an alert."),
        ] {
            assert_eq!(summary(&value).title, title);
        }
    }

    #[test]
    fn facts_name_what_the_alert_contains() {
        let texts = |value: &Value| {
            let facts = summary(value).facts;
            facts.into_iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
        };
        assert_eq!(
            texts(&episode(EPISODE_ESCALATED)),
            [
                "Severity: critical",
                "Agents: billing, support",
                "User: maria",
                "Started: 2026-01-02 12:00:00 UTC",
                "Rule: tick:10",
                "Most events in a window: 16",
            ]
        );
        assert_eq!(
            texts(&mood(MOOD_OPENED)),
            [
                "Severity: warning",
                "Agent: support",
                "Started: 2026-01-02 11:30:00 UTC",
                "Rule: stressed above 30 % in 60 minutes",
                "Share: 42 %",
                "Interactions: 50",
                "Users: 7",
            ]
        );
        assert!(texts(&json!({ "id": "a" })).is_empty());
    }

    #[test]
    fn link_shows_agent_user_and_a_range_with_the_start() {
        let link = |value: &Value| summary(value).link.expect("a link");
        assert_eq!(link(&episode(EPISODE_OPENED)), "https://d1.cloudfront.net/#agent=billing&user=maria&range=24h");
        assert_eq!(
            link(&with(episode(EPISODE_OPENED), &json!({ "user_id": "a b&|日>" }))),
            "https://d1.cloudfront.net/#agent=billing&user=a+b%26%7C%E6%97%A5%3E&range=24h"
        );
        assert_eq!(link(&json!({ "id": "a", "type": "test" })), "https://d1.cloudfront.net/");
        for (start, range) in [
            ("2026-01-02T00:06:00Z", "24h"),
            ("2026-01-02T00:05:00Z", "7d"),
            ("2025-12-28T12:06:00Z", "7d"),
            ("2025-12-28T12:05:00Z", "30d"),
            ("2025-12-08T12:05:00Z", "all"),
            ("2027-01-01T00:00:00Z", "24h"),
        ] {
            let link = link(&with(mood(MOOD_OPENED), &json!({ "start": start })));
            assert_eq!(link, format!("https://d1.cloudfront.net/#agent=support&range={range}"), "{start}");
        }
        assert_eq!(Summary::new(&alert(&mood(MOOD_OPENED)), None, now()).link, None);
    }

    #[test]
    fn truncated_text_ends_with_an_ellipsis() {
        assert_eq!(truncated("日本語", 3), "日本語");
        assert_eq!(truncated("日本語!", 3), "日本…");
        assert_eq!(truncated("", 3), "");
    }
}
