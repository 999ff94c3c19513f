//! The file formats of `import` and `export`.

use std::path::Path;

use clap::ValueEnum;

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
}
