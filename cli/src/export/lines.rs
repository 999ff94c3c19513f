//! Writes entries as JSONL or CSV.

use std::io::Write;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::output::WriteError;
use crate::formats::{COLUMNS, EMPTY, Format, escaped};

/// A writer of entries.
pub(super) enum Lines<W: Write> {
    Jsonl(W),
    Csv(Box<csv::Writer<W>>),
}

/// An entry as the API returns it. Fields that older entries do not have are null.
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

impl<W: Write> Lines<W> {
    /// Creates a writer of `format` to `out`.
    pub fn new(out: W, format: Format) -> Self {
        match format {
            Format::Jsonl => Self::Jsonl(out),
            Format::Csv => Self::Csv(Box::new(csv::Writer::from_writer(out))),
        }
    }

    /// Writes `entry`, the JSON of an entry.
    ///
    /// # Errors
    /// Fails if the output cannot be written, or the JSON is not an entry.
    pub fn write(&mut self, entry: &str) -> Result<()> {
        match self {
            Self::Jsonl(out) => {
                out.write_all(entry.as_bytes()).and_then(|()| out.write_all(b"\n")).map_err(WriteError)?;
            }
            Self::Csv(out) => {
                let entry: Entry<'_> = serde_json::from_str(entry).context("unexpected response: not an entry")?;
                out.write_record(entry.cells())?;
            }
        }
        Ok(())
    }

    /// Writes the header of a CSV file.
    ///
    /// # Errors
    /// Fails if the output cannot be written.
    pub fn write_header(&mut self) -> Result<()> {
        if let Self::Csv(out) = self {
            out.write_record(COLUMNS)?;
        }
        Ok(())
    }

    /// Passes all lines on to the output.
    ///
    /// # Errors
    /// Fails if the output cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        match self {
            Self::Jsonl(out) => out.flush().map_err(WriteError)?,
            Self::Csv(out) => out.flush().map_err(WriteError)?,
        }
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(format: Format, entries: &[String]) -> String {
        let mut out = Vec::new();
        let mut lines = Lines::new(&mut out, format);
        lines.write_header().expect("written");
        for entry in entries {
            lines.write(entry).expect("written");
        }
        lines.flush().expect("written");
        drop(lines);
        String::from_utf8(out).expect("UTF-8")
    }

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
    fn jsonl_has_the_entries_as_received() {
        let entry = entry().to_string();
        assert_eq!(written(Format::Jsonl, std::slice::from_ref(&entry)), format!("{entry}\n"));
        assert_eq!(written(Format::Jsonl, &[]), "");
    }

    #[test]
    fn csv_has_a_column_for_each_field() {
        let header = COLUMNS.join(",");
        let expected = [
            "019b796d-d600-7c2a-8a53-5d1c54f1a6c1,2026-01-01T12:00:00.000Z,support,maria,\"'=1+1, \"\"so\"\"\nthere\",\
             ',neutral,\"{\"\"score\"\":null}\",,-0.5,true,,\"{\"\"a\"\":1}\",1",
        ];
        assert_eq!(written(Format::Csv, &[entry().to_string()]), format!("{header}\n{}\n", expected[0]));
        assert_eq!(written(Format::Csv, &[]), format!("{header}\n"));
    }

    #[test]
    fn csv_leaves_fields_empty_that_older_entries_lack() {
        let old = json!({
            "log_id": "i", "timestamp": "t", "agent_id": "a", "user_id": "u", "user_input": "x",
            "detected_signal": "neutral", "response_type": "r", "coherence_score_impact": null,
            "escalation_flag": false, "session_id": "-s", "v": 1,
        });
        assert!(written(Format::Csv, &[old.to_string()]).ends_with("\ni,t,a,u,x,,neutral,,r,,false,'-s,,1\n"));
    }

    #[test]
    fn csv_refuses_what_is_not_an_entry() {
        let mut lines = Lines::new(Vec::new(), Format::Csv);
        assert!(lines.write("{}").expect_err("not an entry").to_string().contains("not an entry"));
    }
}
