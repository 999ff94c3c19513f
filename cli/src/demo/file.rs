//! The lines of a file as interactions.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use shared::ids::UserId;
use time::{Date, Duration};

use super::items::{Item, millis, object};

/// The agent of a file's interactions.
pub(super) const AGENT: &str = "demo";
/// The time between the first line and the start of the day (UTC). All times are in the past at any time of the day.
const LEAD: Duration = Duration::minutes(2);

/// The interactions of a file.
#[derive(Debug)]
pub(super) struct Lines {
    /// The user, who is named after the file.
    pub user: String,
    /// The numbers of lines from 1, and their interactions.
    pub items: Vec<(u64, Item)>,
    pub blank: usize,
}

impl Lines {
    /// Reads each line of the file at `path` as an interaction on `day` (UTC), one millisecond after the line before. Only
    /// the first column of a `.tsv` file is read.
    pub fn of(path: &Path, day: Date) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let text = String::from_utf8_lossy(&bytes);
        let has_columns = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tsv"));
        let mut lines = Self { user: user_of(path), items: Vec::new(), blank: 0 };
        let first = millis(day.midnight().assume_utc() - LEAD);
        for (number, line) in (1..).zip(text.lines()) {
            let input = if has_columns { line.split('\t').next().unwrap_or(line) } else { line };
            if input.trim().is_empty() {
                lines.blank += 1;
                continue;
            }
            let body = json!({ "agent_id": AGENT, "user_id": lines.user, "user_input": input });
            let millis = first + i64::try_from(number).unwrap_or_default();
            let (agent, user) = (AGENT.to_owned(), lines.user.clone());
            lines.items.push((number, Item { agent, user, millis, body: object(body) }));
        }
        ensure!(!lines.items.is_empty(), "{} has no line with text", path.display());
        Ok(lines)
    }
}

/// Returns the file's name without its extension, restricted to the characters and the length of an id.
fn user_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut user = String::new();
    for c in stem.chars() {
        let c = if c.is_control() || r"/\%?#".contains(c) { '-' } else { c };
        if user.len() + c.len_utf8() > UserId::MAX_BYTES {
            break;
        }
        user.push(c);
    }
    if matches!(user.as_str(), "" | "." | "..") { "file".to_owned() } else { user }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &[u8]) -> Result<Lines> {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file");
        Lines::of(&path, Date::from_ordinal_date(2026, 2).expect("a day"))
    }

    fn inputs(lines: &Lines) -> Vec<(u64, String)> {
        let text = |item: &Item| item.body["user_input"].as_str().expect("text").to_owned();
        lines.items.iter().map(|(number, item)| (*number, text(item))).collect()
    }

    #[test]
    fn each_text_line_is_an_interaction_of_the_files_user() {
        let lines = file("chat log.txt", b"one\r\n\n  \ntwo\twords\n\xff three").expect("lines");
        assert_eq!(
            inputs(&lines),
            [(1, "one"), (4, "two\twords"), (5, "\u{fffd} three")].map(|(number, text)| (number, text.to_owned()))
        );
        assert_eq!((lines.blank, lines.user.as_str()), (2, "chat log"));
        let body = &lines.items[0].1.body;
        assert_eq!((&body["agent_id"], &body["user_id"]), (&json!("demo"), &json!("chat log")));
        let times: Vec<_> = lines.items.iter().map(|(_, item)| item.millis).collect();
        // 2026-01-01T23:58:00Z, before the day of the run.
        assert_eq!(times, [1, 4, 5].map(|number| 1_767_311_880_000 + number));
    }

    #[test]
    fn of_a_table_the_first_column_is_the_text() {
        let lines = file("dev.TSV", b"a b\t27\tid\n\t3\tid\nc").expect("lines");
        assert_eq!(inputs(&lines), [(1, "a b".to_owned()), (3, "c".to_owned())]);
        assert_eq!(lines.blank, 1);
    }

    #[test]
    fn equal_lines_are_different_interactions() {
        let lines = file("a.txt", b"same\nsame\n").expect("lines");
        assert_ne!(lines.items[0].1.hash(), lines.items[1].1.hash());
    }

    #[test]
    fn file_without_text_is_refused() {
        assert!(file("empty.txt", b"\n\n").expect_err("nothing to send").to_string().contains("no line with text"));
    }

    #[test]
    fn any_file_name_makes_a_user() {
        for (name, user) in [("a#b%c?.txt", "a-b-c-"), (".txt", ".txt"), ("日本.txt", "日本")] {
            assert_eq!(user_of(Path::new(name)), user);
        }
        assert_eq!(user_of(Path::new(&"é".repeat(100))).len(), UserId::MAX_BYTES);
    }
}
