//! The API calls that the demo sends.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

/// Interactions written for this project: three users, two agents, four moods.
const INTERACTIONS: &str = include_str!("../../demo/interactions.jsonl");
/// Events of the same users, `after_ms` milliseconds after the first event. One user presses a button 15 times in a
/// second.
const EVENTS: &str = include_str!("../../demo/events.jsonl");

/// The number of interactions of a file that are sent concurrently.
const FILE_LANES: usize = 8;
/// The agent of a file's interactions.
const FILE_AGENT: &str = "demo";
/// The maximum length of an id, in bytes.
const MAX_ID_BYTES: usize = 128;

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
    /// Returns the built-in set of calls. The calls of one user form one lane, so that conversations keep their order.
    pub fn of_the_house() -> Result<Self> {
        let interactions = read("interactions.jsonl", INTERACTIONS)?;
        let mut events = read("events.jsonl", EVENTS)?;
        let offset = |event: &Map<String, Value>| event.get("after_ms").and_then(Value::as_i64).unwrap_or(0);
        let last = events.iter().map(|(_, event)| offset(event)).max().unwrap_or(0);
        let first = OffsetDateTime::now_utc() - Duration::milliseconds(last);
        for (_, event) in &mut events {
            let at = first + Duration::milliseconds(offset(event));
            event.remove("after_ms");
            event.insert("timestamp".to_owned(), at.format(&Rfc3339).context("a time cannot be written")?.into());
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

    /// Reads each line of the file at `path` as an interaction of a user named after the file. Only the first column of
    /// a `.tsv` file is read.
    pub fn of_file(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let text = String::from_utf8_lossy(&bytes);
        let has_columns = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tsv"));
        let user = user_of(path);
        let mut calls = Self { views: vec![(FILE_AGENT.to_owned(), user.clone())], ..Self::default() };
        calls.lanes.resize_with(FILE_LANES, Vec::new);
        for (index, line) in text.lines().enumerate() {
            let input = if has_columns { line.split('\t').next().unwrap_or(line) } else { line };
            if input.trim().is_empty() {
                calls.blank_lines += 1;
                continue;
            }
            calls.lanes[index % FILE_LANES].push(Call {
                origin: format!("line {}", index + 1),
                endpoint: Endpoint::Log,
                body: json!({ "agent_id": FILE_AGENT, "user_id": user, "user_input": input }),
            });
        }
        if calls.lanes.iter().all(Vec::is_empty) {
            bail!("{} has no line with text", path.display());
        }
        Ok(calls)
    }
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

    fn file(name: &str, text: &[u8]) -> Result<Calls> {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file");
        Calls::of_file(&path)
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
        let calls = Calls::of_the_house().expect("calls");
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
        assert!(all().all(|call| (call.endpoint == Endpoint::Event) == call.body.get("timestamp").is_some()));
    }
}
