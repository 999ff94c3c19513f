//! The API calls that the demo sends.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use time::format_description::well_known::Rfc3339;
use time::{Date, Duration, OffsetDateTime};

/// Interactions written for this project: three users, two agents, four moods.
const INTERACTIONS: &str = include_str!("../../demo/interactions.jsonl");
/// Events of the same users, `after_ms` milliseconds after the first event. One user presses a button 15 times in a
/// second.
const EVENTS: &str = include_str!("../../demo/events.jsonl");

/// The time between the first call and the start of the day (UTC). All times are in the past at any time of the day.
const LEAD: Duration = Duration::minutes(2);
/// The time between two interactions of the built-in set.
const PAUSE: Duration = Duration::SECOND;
/// The time between two lines of a file, which may have many.
const LINE_PAUSE: Duration = Duration::MILLISECOND;
/// The number of interactions of a file that are sent concurrently.
const FILE_LANES: usize = 8;
/// The agent of a file's interactions.
const FILE_AGENT: &str = "demo";
/// The maximum length of an id, in bytes.
const MAX_ID_BYTES: usize = 128;
/// The number of bytes of an idempotency key's hash.
const KEY_BYTES: usize = 16;

/// An API call.
#[derive(Debug)]
pub(super) struct Call {
    /// The source of the call, for messages.
    pub origin: String,
    pub endpoint: Endpoint,
    pub body: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Log,
    Event,
}

/// All calls of a demo run.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Lanes are sent concurrently; the calls of one lane are sent in sequence.
    pub lanes: Vec<Vec<Call>>,
    /// Pairs of agent and user to view afterwards.
    pub views: Vec<(String, String)>,
    pub blank_lines: usize,
}

impl Calls {
    /// Returns the built-in set of calls for a run on `day` (UTC). The calls of one user form one lane, so that
    /// conversations keep their order.
    pub fn built_in(day: Date) -> Result<Self> {
        let mut interactions = read("interactions.jsonl", INTERACTIONS)?;
        let mut events = read("events.jsonl", EVENTS)?;
        let mut offset = Duration::ZERO;
        for (_, interaction) in &mut interactions {
            interaction.insert("timestamp".to_owned(), timestamp(day, offset)?);
            offset += PAUSE;
        }
        for (_, event) in &mut events {
            let after_ms = event.remove("after_ms").and_then(|offset| offset.as_i64()).unwrap_or(0);
            event.insert("timestamp".to_owned(), timestamp(day, Duration::milliseconds(after_ms))?);
        }

        let mut lanes = BTreeMap::<String, Vec<Call>>::new();
        let mut views = Vec::<(String, String)>::new();
        for (endpoint, objects) in [(Endpoint::Log, interactions), (Endpoint::Event, events)] {
            for (origin, object) in objects {
                let id = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
                let (agent, user) = (id("agent_id"), id("user_id"));
                if views.iter().all(|(_, seen)| *seen != user) {
                    views.push((agent, user.clone()));
                }
                lanes.entry(user).or_default().push(Call { origin, endpoint, body: Value::Object(object) });
            }
        }
        Ok(Self { lanes: lanes.into_values().collect(), views, blank_lines: 0 })
    }

    /// Reads each line of the file at `path` as an interaction, on `day` (UTC), of a user named after the file. Only the
    /// first column of a `.tsv` file is read.
    pub fn of_file(path: &Path, day: Date) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let text = String::from_utf8_lossy(&bytes);
        let has_columns = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tsv"));
        let user = user_of(path);
        let mut calls = Self { views: vec![(FILE_AGENT.to_owned(), user.clone())], ..Self::default() };
        calls.lanes.resize_with(FILE_LANES, Vec::new);
        let mut offset = Duration::ZERO;
        for (index, line) in text.lines().enumerate() {
            offset += LINE_PAUSE;
            let input = if has_columns { line.split('\t').next().unwrap_or(line) } else { line };
            if input.trim().is_empty() {
                calls.blank_lines += 1;
                continue;
            }
            calls.lanes[index % FILE_LANES].push(Call {
                origin: format!("line {}", index + 1),
                endpoint: Endpoint::Log,
                body: json!({
                    "agent_id": FILE_AGENT,
                    "user_id": user,
                    "user_input": input,
                    "timestamp": timestamp(day, offset)?,
                }),
            });
        }
        if calls.lanes.iter().all(Vec::is_empty) {
            bail!("{} has no line with text", path.display());
        }
        Ok(calls)
    }
}

impl Call {
    /// Returns an idempotency key that depends only on the body, which contains the time.
    pub fn idempotency_key(&self) -> String {
        let hash = Sha256::digest(self.body.to_string());
        format!("demo-{}", hex::encode(&hash[..KEY_BYTES]))
    }
}

/// Returns the time of the call that comes `offset` after the first call of a run on `day`.
fn timestamp(day: Date, offset: Duration) -> Result<Value> {
    let time: OffsetDateTime = day.midnight().assume_utc() - LEAD + offset;
    Ok(time.format(&Rfc3339).context("a time cannot be written")?.into())
}

fn read(name: &str, lines: &str) -> Result<Vec<(String, Map<String, Value>)>> {
    let object = |(index, line)| {
        let origin = format!("{name}, line {}", index + 1);
        let object = serde_json::from_str(line).with_context(|| origin.clone())?;
        Ok((origin, object))
    };
    lines.lines().enumerate().map(object).collect()
}

/// Returns the file's name without its extension, restricted to the characters and the length of an id.
fn user_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut user = String::new();
    for c in stem.chars() {
        let c = if c.is_control() || r"/\%?#".contains(c) { '-' } else { c };
        if user.len() + c.len_utf8() > MAX_ID_BYTES {
            break;
        }
        user.push(c);
    }
    if matches!(user.as_str(), "" | "." | "..") { "file".to_owned() } else { user }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day() -> Date {
        Date::from_ordinal_date(2026, 2).expect("a day")
    }

    fn file(name: &str, text: &[u8]) -> Result<Calls> {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file");
        Calls::of_file(&path, day())
    }

    fn inputs(calls: &Calls) -> Vec<&str> {
        let mut calls: Vec<_> = calls.lanes.iter().flatten().collect();
        calls.sort_by_key(|call| call.origin.clone());
        calls.iter().map(|call| call.body["user_input"].as_str().expect("text")).collect()
    }

    #[test]
    fn each_text_line_is_an_interaction_of_the_files_user() {
        let calls = file("chat log.txt", b"one\r\n\n  \ntwo\twords\n\xff three").expect("calls");
        assert_eq!(inputs(&calls), ["one", "two\twords", "\u{fffd} three"]);
        assert_eq!(calls.blank_lines, 2);
        assert_eq!(calls.views, [("demo".to_owned(), "chat log".to_owned())]);
        let body = &calls.lanes[0][0].body;
        assert_eq!((&body["agent_id"], &body["user_id"]), (&json!("demo"), &json!("chat log")));
    }

    #[test]
    fn of_a_table_the_first_column_is_the_text() {
        let calls = file("dev.TSV", b"a b\t27\tid\n\t3\tid\nc").expect("calls");
        assert_eq!(inputs(&calls), ["a b", "c"]);
        assert_eq!(calls.blank_lines, 1);
    }

    #[test]
    fn a_file_without_text_is_refused() {
        assert!(file("empty.txt", b"\n\n").expect_err("nothing to send").to_string().contains("no line with text"));
    }

    #[test]
    fn any_file_name_makes_a_user() {
        for (name, user) in [("a#b%c?.txt", "a-b-c-"), (".txt", ".txt"), ("日本.txt", "日本")] {
            assert_eq!(user_of(Path::new(name)), user);
        }
        assert_eq!(user_of(Path::new(&"é".repeat(100))).len(), MAX_ID_BYTES);
    }

    #[test]
    fn built_in_demo_has_three_users_two_agents_and_a_button_flood() {
        let calls = Calls::built_in(day()).expect("calls");
        assert_eq!(calls.lanes.len(), 3);
        assert_eq!(calls.views.len(), 3);
        let all = || calls.lanes.iter().flatten();
        let agents: std::collections::BTreeSet<_> = all().map(|call| call.body["agent_id"].to_string()).collect();
        assert_eq!(agents.len(), 2);
        let presses = all().filter(|call| call.body["payload"]["button"] == "retry");
        let mut times: Vec<_> = presses
            .map(|call| {
                OffsetDateTime::parse(call.body["timestamp"].as_str().expect("text"), &Rfc3339).expect("a time")
            })
            .collect();
        times.sort_unstable();
        assert_eq!(times.len(), 15);
        assert!(times[14] - times[0] < Duration::SECOND);
    }

    #[test]
    fn times_end_before_the_day_of_the_run_begins() {
        let calls = Calls::built_in(day()).expect("calls");
        let mut times: Vec<_> = calls.lanes.iter().flatten().map(|call| call.body["timestamp"].to_string()).collect();
        times.sort_unstable();
        assert_eq!(times.first().expect("a time"), "\"2026-01-01T23:58:00Z\"");
        assert!(times.last().expect("a time").starts_with("\"2026-01-01T23:59:"), "{times:?}");
    }

    #[test]
    fn idempotency_keys_depend_on_the_day_and_differ_within_a_run() {
        let keys = |day: Date| -> std::collections::BTreeSet<String> {
            Calls::built_in(day).expect("calls").lanes.iter().flatten().map(Call::idempotency_key).collect()
        };
        let first = keys(day());
        assert_eq!(first.len(), 78 + 27);
        assert_eq!(keys(day()), first);
        assert!(keys(day().next_day().expect("a day")).is_disjoint(&first));

        let lines = file("a.txt", b"same\nsame\n").expect("calls");
        let keys: Vec<_> = lines.lanes.iter().flatten().map(Call::idempotency_key).collect();
        assert_ne!(keys[0], keys[1]);
    }
}
