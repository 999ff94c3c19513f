//! Writes entries as JSONL or CSV.

use std::io::Write;

use anyhow::{Context, Result};
use shared::logging::csv;

use super::output::WriteError;
use crate::formats::Format;

/// A writer of entries.
pub(super) struct Lines<W> {
    out: W,
    format: Format,
}

impl<W: Write> Lines<W> {
    /// Creates a writer of `format` to `out`.
    pub fn new(out: W, format: Format) -> Self {
        Self { out, format }
    }

    /// Writes `entry`, the JSON of an entry.
    ///
    /// # Errors
    /// Fails if the output cannot be written, or the JSON is not an entry.
    pub fn write(&mut self, entry: &str) -> Result<()> {
        match self.format {
            Format::Jsonl => {
                self.write_text(entry)?;
                self.write_text("\n")
            }
            Format::Csv => self.write_text(&csv::line_of(entry).context("unexpected response: not an entry")?),
        }
    }

    /// Writes the header of a CSV file.
    ///
    /// # Errors
    /// Fails if the output cannot be written.
    pub fn write_header(&mut self) -> Result<()> {
        match self.format {
            Format::Jsonl => Ok(()),
            Format::Csv => self.write_text(&csv::header()),
        }
    }

    /// Passes all lines on to the output.
    ///
    /// # Errors
    /// Fails if the output cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        Ok(self.out.flush().map_err(WriteError)?)
    }

    fn write_text(&mut self, text: &str) -> Result<()> {
        Ok(self.out.write_all(text.as_bytes()).map_err(WriteError)?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(format: Format, entries: &[String]) -> String {
        let mut out = Vec::new();
        let mut lines = Lines::new(&mut out, format);
        lines.write_header().expect("written");
        for entry in entries {
            lines.write(entry).expect("written");
        }
        lines.flush().expect("written");
        String::from_utf8(out).expect("UTF-8")
    }

    fn entry(text: &str) -> Value {
        json!({
            "log_id": "019b796d-d600-7c2a-8a53-5d1c54f1a6c1", "timestamp": "2026-01-01T12:00:00.000Z",
            "agent_id": "support", "user_id": "maria", "user_input": text, "detected_signal": "neutral", "v": 1,
        })
    }

    #[test]
    fn jsonl_has_the_entries_as_received() {
        let entry = entry("x").to_string();
        assert_eq!(written(Format::Jsonl, std::slice::from_ref(&entry)), format!("{entry}\n"));
        assert_eq!(written(Format::Jsonl, &[]), "");
    }

    #[test]
    fn csv_is_read_back_by_other_programs() {
        let texts = ["a,b", "say \"so\"", "two\nlines", "\r\n", "", " ", "\u{0}\u{2028}", "=1", "\"", "ends with \""];
        let entries: Vec<String> = texts.iter().map(|text| entry(text).to_string()).collect();
        let file = written(Format::Csv, &entries);
        let mut reader = ::csv::Reader::from_reader(file.as_bytes());
        assert_eq!(reader.headers().expect("a header"), csv::COLUMNS.as_slice());
        let read: Vec<_> = reader.records().map(|record| csv::unescaped(&record.expect("a record")[4])).collect();
        assert_eq!(read, texts);
        assert_eq!(written(Format::Csv, &[]), csv::header());
    }

    #[test]
    fn csv_refuses_what_is_not_an_entry() {
        let mut lines = Lines::new(Vec::new(), Format::Csv);
        assert!(lines.write("{}").expect_err("not an entry").to_string().contains("not an entry"));
    }
}
