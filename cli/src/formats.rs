//! The file formats of `import` and `export`.

use std::path::Path;

use clap::ValueEnum;

/// The columns of an exported CSV file.
pub(crate) const COLUMNS: [&str; 14] = [
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

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object per line.
    Jsonl,
    /// Comma-separated values with a header.
    Csv,
}

impl Format {
    /// Returns the format that the name of `path` indicates.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" | "json" | "log" => Some(Self::Jsonl),
            "csv" | "tsv" => Some(Self::Csv),
            _ => None,
        }
    }
}

/// Returns `text` as the content of a cell in which no spreadsheet finds a formula: with an apostrophe wherever a
/// formula could start (<https://owasp.org/www-community/attacks/CSV_Injection>). [`unescaped`] returns the text.
pub(crate) fn escaped(text: &str) -> String {
    rewritten(text, |out, apostrophes| out.extend(std::iter::repeat_n(MARK, apostrophes + 1)))
}

/// Returns the text of a cell that [`escaped`] returned.
pub(crate) fn unescaped(cell: &str) -> String {
    rewritten(cell, |out, apostrophes| out.extend(std::iter::repeat_n(MARK, apostrophes.saturating_sub(1))))
}

/// The content of a cell for a text that is empty, but not absent. [`unescaped`] returns an empty text.
pub(crate) const EMPTY: &str = "'";

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

    #[test]
    fn format_follows_from_the_name() {
        let format = |name: &str| Format::of(Path::new(name));
        assert_eq!(["a.jsonl", "a.NDJSON", "b/a.log", "a.json"].map(format), [Some(Format::Jsonl); 4]);
        assert_eq!(["a.csv", "a.b.TSV"].map(format), [Some(Format::Csv); 2]);
        assert_eq!(["-", "a", "a.xlsx", ".csv"].map(format), [None; 4]);
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
