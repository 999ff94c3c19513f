//! Entries as lines of a CSV file: RFC 4180, with line feeds.

use serde::Deserialize;
use serde_json::value::RawValue;

/// Columns of an entry.
pub const COLUMNS: [&str; 14] = [
    "log_id",
    "timestamp",
    "agent_id",
    "user_id",
    "user_input",
    "agent_output",
    "detected_signal",
    "classification",
    "response_type",
    "coherence_score_impact",
    "escalation_flag",
    "session_id",
    "metadata",
    "v",
];
/// Characters with which a spreadsheet starts a formula.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
/// Characters that some spreadsheets treat as the end of a cell, even inside quotes.
const SEPARATORS: [char; 6] = [',', ';', '|', '\t', '\r', '\n'];
const MARK: char = '\'';
/// The content of a cell for a text that is empty, but not absent. [`unescaped`] returns an empty text.
const EMPTY: &str = "'";

/// Returns the first line of a file.
pub fn header() -> String {
    line(&COLUMNS)
}

/// Returns the line of `entry`, the JSON of an entry.
///
/// # Errors
/// When the JSON is not an entry.
pub fn line_of(entry: &str) -> serde_json::Result<String> {
    serde_json::from_str::<Entry<'_>>(entry).map(|entry| line(&entry.cells()))
}

fn line(cells: &[impl AsRef<str>]) -> String {
    let mut line = String::new();
    for (index, cell) in cells.iter().map(AsRef::as_ref).enumerate() {
        if index > 0 {
            line.push(',');
        }
        if cell.contains(['"', ',', '\r', '\n']) {
            line.push('"');
            line.push_str(&cell.replace('"', "\"\""));
            line.push('"');
        } else {
            line.push_str(cell);
        }
    }
    line.push('\n');
    line
}

/// An entry as stored. Fields that older entries do not have are null.
#[derive(Deserialize)]
struct Entry<'a> {
    log_id: String,
    timestamp: String,
    agent_id: String,
    user_id: String,
    user_input: String,
    #[serde(default)]
    agent_output: Option<String>,
    detected_signal: String,
    #[serde(default, borrow)]
    classification: Option<&'a RawValue>,
    #[serde(default)]
    response_type: String,
    #[serde(default, borrow)]
    coherence_score_impact: Option<&'a RawValue>,
    #[serde(default)]
    escalation_flag: bool,
    #[serde(default)]
    session_id: Option<String>,
    #[serde(default, borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(default, borrow)]
    v: Option<&'a RawValue>,
}

impl Entry<'_> {
    /// Returns the cells of the columns.
    fn cells(self) -> [String; COLUMNS.len()] {
        let json = |value: Option<&RawValue>| value.map_or_else(String::new, |value| value.get().to_owned());
        let nullable = |text: Option<String>| match text.as_deref() {
            None => String::new(),
            Some("") => EMPTY.to_owned(),
            Some(text) => escaped(text),
        };
        [
            self.log_id,
            self.timestamp,
            escaped(&self.agent_id),
            escaped(&self.user_id),
            escaped(&self.user_input),
            nullable(self.agent_output),
            escaped(&self.detected_signal),
            json(self.classification),
            escaped(&self.response_type),
            json(self.coherence_score_impact),
            self.escalation_flag.to_string(),
            nullable(self.session_id),
            json(self.metadata),
            json(self.v),
        ]
    }
}

/// Returns `text` as the content of a cell in which no spreadsheet finds a formula: with an apostrophe wherever a
/// formula could start (<https://owasp.org/www-community/attacks/CSV_Injection>). [`unescaped`] returns the text.
pub fn escaped(text: &str) -> String {
    rewritten(text, |out, apostrophes| out.extend(std::iter::repeat_n(MARK, apostrophes + 1)))
}

/// Returns the text of a cell that [`escaped`] returned.
pub fn unescaped(cell: &str) -> String {
    rewritten(cell, |out, apostrophes| out.extend(std::iter::repeat_n(MARK, apostrophes.saturating_sub(1))))
}

/// Copies `text`. Replaces the apostrophes, if any, at each position where a formula could start: `replace` receives
/// their number.
fn rewritten(text: &str, replace: impl Fn(&mut String, usize)) -> String {
    let mut out = String::with_capacity(text.len() + 1);
    // The characters before the current one.
    let (mut last, mut before_last) = (None::<char>, None::<char>);
    let mut rest = text;
    loop {
        let is_separator = |c: Option<char>| c.is_some_and(|c| SEPARATORS.contains(&c));
        let is_first = last.is_none();
        if is_first || is_separator(last) || (last == Some('"') && is_separator(before_last)) {
            let after = rest.trim_start_matches(MARK);
            let apostrophes = rest.len() - after.len();
            let starts_formula = match after.chars().next() {
                Some(c) => FORMULA.contains(&c) || (is_first && matches!(c, '\t' | '\r' | '\n')),
                // A cell of apostrophes alone is distinct from EMPTY.
                None => is_first && apostrophes > 0,
            };
            if starts_formula {
                replace(&mut out, apostrophes);
                rest = after;
            }
        }
        let Some(next) = rest.chars().next() else { return out };
        out.push(next);
        rest = &rest[next.len_utf8()..];
        (before_last, last) = (last, Some(next));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry() -> serde_json::Value {
        json!({
            "log_id": "019b796d-d600-7c2a-8a53-5d1c54f1a6c1", "timestamp": "2026-01-01T12:00:00.000Z",
            "agent_id": "support", "user_id": "maria", "user_input": "=1+1, \"so\"\nthere", "agent_output": "",
            "detected_signal": "neutral", "classification": { "score": null }, "response_type": "",
            "coherence_score_impact": -0.5, "escalation_flag": true, "session_id": null,
            "metadata": { "a": 1 }, "v": 1,
        })
    }

    #[test]
    fn line_has_a_cell_for_each_field() {
        let expected = "019b796d-d600-7c2a-8a53-5d1c54f1a6c1,2026-01-01T12:00:00.000Z,support,maria,\"'=1+1, \"\"so\"\"\nthere\",\
             ',neutral,\"{\"\"score\"\":null}\",,-0.5,true,,\"{\"\"a\"\":1}\",1\n";
        assert_eq!(line_of(&entry().to_string()).expect("an entry"), expected);
        assert_eq!(header(), format!("{}\n", COLUMNS.join(",")));
    }

    #[test]
    fn cells_are_empty_for_fields_that_older_entries_lack() {
        let old = json!({
            "log_id": "i", "timestamp": "t", "agent_id": "a", "user_id": "u", "user_input": "x",
            "detected_signal": "neutral", "response_type": "r", "coherence_score_impact": null,
            "escalation_flag": false, "session_id": "-s", "v": 1,
        });
        assert_eq!(line_of(&old.to_string()).expect("an entry"), "i,t,a,u,x,,neutral,,r,,false,'-s,,1\n");
        assert!(line_of("{}").is_err());
    }

    #[test]
    fn escaped_cell_starts_no_formula() {
        for (text, cell) in [
            ("", ""),
            ("hello", "hello"),
            ("'twas", "'twas"),
            ("=1+1", "'=1+1"),
            ("-", "'-"),
            ("\t=1", "'\t'=1"),
            ("＠x", "'＠x"),
            ("a,=1;\"+2", "a,'=1;\"'+2"),
            ("a\n@b - c", "a\n'@b - c"),
            ("a\"=1", "a\"=1"),
            ("'=1", "''=1"),
            ("'", "''"),
            ("''''", "'''''"),
            (",'", ",'"),
        ] {
            assert_eq!(escaped(text), cell, "{text:?}");
            assert_eq!(unescaped(cell), text, "{cell:?}");
        }
        assert_eq!(unescaped(EMPTY), "");
    }

    #[test]
    fn unescaped_reverts_escaped_for_every_short_text() {
        let alphabet = ['a', '\'', '=', ',', '\t', '"', '＋'];
        let mut texts = vec![String::new()];
        for _ in 0..5 {
            let longer = texts.iter().flat_map(|text| alphabet.map(|c| format!("{text}{c}")));
            texts.extend(longer.collect::<Vec<_>>());
            texts.sort_unstable();
            texts.dedup();
        }
        assert_eq!(texts.len(), (0..=5).map(|length| 7_usize.pow(length)).sum::<usize>());
        for text in texts {
            let cell = escaped(&text);
            assert_eq!(unescaped(&cell), text, "{cell:?}");
            assert!(cell != EMPTY && !cell.starts_with(FORMULA), "{text:?} {cell:?}");
        }
    }
}
