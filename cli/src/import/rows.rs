//! Reads the rows of files, one after the other.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result, bail, ensure};
use csv::{ByteRecord, ReaderBuilder, StringRecord, Terminator};
use ring::digest::{Context as Sha256, SHA256};
use shared::json::{Json, without_byte_order_mark};
use shared::logging::csv::COLUMNS;
use tempfile::NamedTempFile;

use super::row::{Entry, Invalid, Ordinals, Origin, Rules};
use super::value::Record;
use crate::formats::Format;

/// The name of standard input as a file.
pub(super) const STDIN: &str = "-";
/// The longest line of a JSONL file, in bytes. An interaction is much shorter, but a line can have more than that.
const MAX_LINE_BYTES: usize = 4 * 1024 * 1024;
const BUFFER_BYTES: usize = 256 * 1024;
/// The maximum number of unused names that are collected.
const MAX_UNUSED: usize = 100;

/// The files to import.
#[derive(Debug)]
pub(super) struct Files(Vec<Source>);

/// A file to import.
#[derive(Debug)]
struct Source {
    /// The name in messages.
    name: String,
    path: PathBuf,
    format: Format,
    delimiter: u8,
    /// A copy of standard input, which is read more than once.
    _copy: Option<NamedTempFile>,
}

impl Files {
    /// Returns the files at `paths`, which are of `format` or of the format that their names indicate. Copies standard
    /// input to a temporary file.
    ///
    /// # Errors
    /// Fails if a format is unknown, or standard input cannot be copied.
    pub fn open(paths: &[PathBuf], format: Option<Format>, delimiter: Option<char>) -> Result<Self> {
        let delimiter =
            delimiter.map(|c| u8::try_from(c).ok().filter(u8::is_ascii).context("--delimiter must be ASCII"));
        let delimiter = delimiter.transpose()?;
        let is_stdin = |path: &&PathBuf| path.as_os_str() == STDIN;
        ensure!(paths.iter().filter(is_stdin).count() <= 1, "standard input can be imported only once");
        let source = |path: &PathBuf| {
            let name = path.display().to_string();
            let format = format.or_else(|| Format::of(path)).with_context(|| {
                let name = if name == STDIN { "standard input" } else { &name };
                format!("the format of {name} is not known: add --format jsonl or --format csv")
            })?;
            let is_tabbed = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tsv"));
            let delimiter = delimiter.unwrap_or(if is_tabbed { b'\t' } else { b',' });
            let copy = is_stdin(&path).then(copy_of_stdin).transpose()?;
            let path = copy.as_ref().map_or_else(|| path.clone(), |copy| copy.path().to_owned());
            Ok(Source { name, path, format, delimiter, _copy: copy })
        };
        Ok(Self(paths.iter().map(source).collect::<Result<_>>()?))
    }

    /// Returns the rows of all files.
    pub fn rows<'a>(&'a self, rules: &'a Rules) -> Rows<'a> {
        Rows {
            files: self,
            rules,
            next_file: 0,
            lines: None,
            ordinals: Ordinals::default(),
            unused: BTreeSet::new(),
            digest: SharedDigest::default(),
        }
    }

    /// Formats the position of a row. The name of the file is left out if there is only one.
    pub fn position(&self, origin: Origin) -> String {
        match &self.0[..] {
            [_] => format!("line {}", origin.line),
            files => {
                let name = files.get(origin.file as usize).map_or("", |file| &file.name);
                format!("{name}, line {}", origin.line)
            }
        }
    }
}

impl fmt::Display for Files {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0[..] {
            [file] => out.write_str(&file.name),
            files => write!(out, "{} files", files.len()),
        }
    }
}

fn copy_of_stdin() -> Result<NamedTempFile> {
    let mut copy = NamedTempFile::with_prefix("signals-import-").context("cannot create a temporary file")?;
    io::copy(&mut io::stdin().lock(), &mut copy).context("cannot copy standard input to a temporary file")?;
    copy.flush().context("cannot copy standard input to a temporary file")?;
    Ok(copy)
}

/// The rows of all files, in order.
pub(super) struct Rows<'a> {
    files: &'a Files,
    rules: &'a Rules,
    next_file: usize,
    lines: Option<Lines>,
    ordinals: Ordinals,
    unused: BTreeSet<String>,
    digest: SharedDigest,
}

/// The position in a file.
enum Lines {
    Jsonl { reader: BufReader<Hashing>, buffer: Vec<u8>, line: u64 },
    Csv(Box<Table>),
}

/// An open CSV file.
struct Table {
    reader: csv::Reader<Hashing>,
    columns: HashMap<String, usize>,
    /// `true` if the file has the header of an export.
    is_escaped: bool,
    /// `true` if lines end with a carriage return and a line feed.
    is_crlf: bool,
}

impl Rows<'_> {
    /// Returns the next row, as an interaction or with the reasons why it is none.
    ///
    /// # Errors
    /// Fails if a file cannot be read, or has the wrong format as a whole.
    pub fn next(&mut self) -> Result<Option<Result<Entry, Invalid>>> {
        loop {
            if self.lines.is_none() {
                let Some(source) = self.files.0.get(self.next_file) else { return Ok(None) };
                self.next_file += 1;
                // Equal rows of two files are the same interaction: the files overlap.
                self.ordinals = Ordinals::default();
                self.open(source).with_context(|| format!("cannot read {}", source.name))?;
            }
            if let Some(row) = self.read().with_context(|| format!("cannot read {}", self.name()))? {
                return Ok(Some(row));
            }
            self.lines = None;
        }
    }

    /// Returns the names of columns and keys that no field is read from.
    pub fn into_unused(self) -> BTreeSet<String> {
        self.unused
    }

    /// Returns the SHA-256 of all files, after their end.
    pub fn digest(&self) -> [u8; 32] {
        self.digest.finish()
    }

    fn name(&self) -> &str {
        &self.files.0[self.next_file - 1].name
    }

    fn open(&mut self, source: &Source) -> Result<()> {
        let file = self.digest.hashing(open(&source.path)?);
        self.lines = Some(match source.format {
            Format::Jsonl => {
                let reader = BufReader::with_capacity(BUFFER_BYTES, file);
                Lines::Jsonl { reader, buffer: Vec::new(), line: 0 }
            }
            Format::Csv => {
                let table = Table::open(file, source.delimiter)?;
                let mut names: Vec<_> = table.columns.keys().cloned().collect();
                names.sort_by_key(|name| table.columns[name]);
                self.rules.mapping().check_columns(&names)?;
                self.rules.mapping().unused(names.iter().map(String::as_str), &mut self.unused);
                Lines::Csv(Box::new(table))
            }
        });
        Ok(())
    }

    /// Returns the next row of the open file.
    fn read(&mut self) -> Result<Option<Result<Entry, Invalid>>> {
        let file = u32::try_from(self.next_file - 1).unwrap_or(u32::MAX);
        match &mut self.lines {
            None => Ok(None),
            Some(Lines::Jsonl { reader, buffer, line }) => loop {
                let is_whole = match read_line(reader, buffer)? {
                    LineEnd::Eof => return Ok(None),
                    LineEnd::Whole => true,
                    LineEnd::TooLong => false,
                };
                *line += 1;
                let origin = Origin { file, line: *line };
                let invalid = |reason: String| Invalid::new(origin, reason);
                if !is_whole {
                    return Ok(Some(Err(invalid(format!("the line has more than {MAX_LINE_BYTES} bytes")))));
                }
                let text = if *line == 1 { without_byte_order_mark(buffer) } else { &buffer[..] };
                if text.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                let json = Json::parse(text);
                if *line == 1 && text.trim_ascii_start().starts_with(b"[") {
                    bail!("it is a JSON array: write one object per line, for example with jq -c '.[]'");
                }
                return Ok(Some(match json.map(Json::as_object) {
                    Err(error) => Err(invalid(format!("not JSON: {error}"))),
                    Ok(None) => Err(invalid("not a JSON object".to_owned())),
                    Ok(Some(object)) => {
                        let record = Record::Json(object);
                        if self.unused.len() < MAX_UNUSED {
                            self.rules.mapping().unused(record.names(), &mut self.unused);
                        }
                        self.rules.entry(&record, origin, &mut self.ordinals)
                    }
                }));
            },
            Some(Lines::Csv(table)) => {
                let Some((line, cells)) = table.read()? else { return Ok(None) };
                let origin = Origin { file, line };
                let invalid = |reason: String| Ok(Some(Err(Invalid::new(origin, reason))));
                let Ok(cells) = StringRecord::from_byte_record(cells) else { return invalid("not UTF-8".to_owned()) };
                let Table { columns, is_escaped, .. } = &**table;
                if cells.len() != columns.len() {
                    return invalid(format!("{} cells, but the header has {}", cells.len(), columns.len()));
                }
                let record = Record::Csv { columns, cells: &cells, is_escaped: *is_escaped };
                Ok(Some(self.rules.entry(&record, origin, &mut self.ordinals)))
            }
        }
    }
}

impl Table {
    /// Reads the header of `file`.
    fn open(file: Hashing, delimiter: u8) -> Result<Self> {
        let mut builder = ReaderBuilder::new();
        // By default, the crate ends a record at a carriage return and counts the line later.
        builder.delimiter(delimiter).terminator(Terminator::Any(b'\n')).flexible(true).buffer_capacity(BUFFER_BYTES);
        // The crate removes a byte order mark.
        let mut reader = builder.from_reader(file);
        let header = reader.headers().context("its header is not valid")?;
        ensure!(!header.is_empty(), "it has no header");
        let is_crlf = header.iter().next_back().is_some_and(|name| name.ends_with('\r'));
        let names = header.iter().enumerate();
        let columns: HashMap<_, _> = names.map(|(index, name)| (name.trim().to_owned(), index)).collect();
        ensure!(columns.len() == header.len(), "two of its columns have the same name");
        let is_escaped = columns.len() == COLUMNS.len() && COLUMNS.iter().all(|name| columns.contains_key(*name));
        Ok(Self { reader, columns, is_escaped, is_crlf })
    }

    /// Returns the next record and the line at which it begins.
    fn read(&mut self) -> Result<Option<(u64, ByteRecord)>> {
        let mut record = ByteRecord::new();
        while self.reader.read_byte_record(&mut record)? {
            let end = self.reader.position();
            let file = self.reader.get_ref();
            let is_cut_off = end.byte() == file.length && file.last_byte != b'\n';
            let breaks = record.iter().flatten().filter(|&&byte| byte == b'\n').count() as u64 + u64::from(!is_cut_off);
            let line = end.line() - breaks;
            if self.is_crlf {
                let last = record.len() - 1;
                let cell = record[last].strip_suffix(b"\r").unwrap_or(&record[last]).to_owned();
                record.truncate(last);
                if last == 0 && cell.is_empty() && self.columns.len() > 1 {
                    // An empty line.
                    continue;
                }
                record.push_field(&cell);
            }
            return Ok(Some((line, record)));
        }
        Ok(None)
    }
}

fn open(path: &Path) -> Result<File> {
    let mut file = File::open(path)?;
    // A copy of standard input has been written through another handle; other files are at their start already. Pipes
    // cannot be read twice.
    file.rewind().context("it is not a regular file: pass its content to standard input, as the file -")?;
    Ok(file)
}

/// The end of a line that was read.
enum LineEnd {
    Whole,
    TooLong,
    Eof,
}

/// Reads the next line into `buffer`, without its end. Skips a line that is too long.
fn read_line(reader: &mut impl BufRead, buffer: &mut Vec<u8>) -> io::Result<LineEnd> {
    buffer.clear();
    let limit = MAX_LINE_BYTES as u64 + 1;
    if reader.take(limit).read_until(b'\n', buffer)? == 0 {
        return Ok(LineEnd::Eof);
    }
    if buffer.last() == Some(&b'\n') {
        buffer.pop();
        return Ok(LineEnd::Whole);
    }
    if buffer.len() <= MAX_LINE_BYTES {
        return Ok(LineEnd::Whole);
    }
    loop {
        let available = reader.fill_buf()?;
        let (length, is_end) = match available.iter().position(|&byte| byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (available.len(), available.is_empty()),
        };
        reader.consume(length);
        if is_end {
            return Ok(LineEnd::TooLong);
        }
    }
}

/// The hash of everything that has been read.
#[derive(Clone)]
struct SharedDigest(Rc<RefCell<Sha256>>);

impl Default for SharedDigest {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(Sha256::new(&SHA256))))
    }
}

impl SharedDigest {
    fn hashing(&self, file: File) -> Hashing {
        // Files are told apart by what separates them.
        self.update(b"file");
        Hashing { file, digest: self.clone(), length: 0, last_byte: 0 }
    }

    fn update(&self, bytes: &[u8]) {
        self.0.borrow_mut().update(bytes);
    }

    fn finish(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.borrow().clone().finish().as_ref());
        bytes
    }
}

/// Hashes a file while it is read.
struct Hashing {
    file: File,
    digest: SharedDigest,
    /// The number of bytes read so far, and the last of them.
    length: u64,
    last_byte: u8,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.digest.update(&buffer[..length]);
        self.length += length as u64;
        self.last_byte = buffer[..length].last().copied().unwrap_or(self.last_byte);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::super::mapping::{Columns, Mapping};
    use super::*;

    /// Reads a file named `name` with the content `bytes`. Returns the positions and texts of valid rows, the positions and
    /// reasons of invalid rows, and the unused names.
    type Read = (Vec<(u64, String)>, Vec<(u64, String)>, Vec<String>);

    fn read(name: &str, bytes: &[u8], columns: &Columns) -> Result<Read> {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        let rules = Rules::new(Mapping::of(columns)?, false)?;
        let files = Files::open(&[path], None, None)?;
        let mut rows = files.rows(&rules);
        let (mut valid, mut invalid) = (Vec::new(), Vec::new());
        while let Some(row) = rows.next()? {
            match row {
                Ok(entry) => {
                    let body: serde_json::Value = serde_json::from_str(&entry.body).expect("JSON");
                    valid.push((entry.origin.line, body["user_input"].as_str().expect("a text").to_owned()));
                }
                Err(row) => invalid.push((row.origin.line, row.to_string())),
            }
        }
        Ok((valid, invalid, rows.into_unused().into_iter().collect()))
    }

    fn constants() -> Columns {
        let constants = ["agent_id=a", "user_id=u", "timestamp=2026-01-01T12:00:00Z"].map(str::to_owned).into();
        Columns { constants, ..Columns::default() }
    }

    fn texts(valid: &[(u64, String)]) -> Vec<(u64, &str)> {
        valid.iter().map(|(line, text)| (*line, text.as_str())).collect()
    }

    #[test]
    fn jsonl_lines_are_rows_and_invalid_lines_are_named() {
        let text = b"\xef\xbb\xbf{\"user_input\":\"one\",\"x\":1}\r\n\n  \n{\"user_input\":\"two\"}\nnope\n7\n\xff\n{\"user_input\":\"end\"}";
        let (valid, invalid, unused) = read("a.jsonl", text, &constants()).expect("rows");
        assert_eq!(texts(&valid), [(1, "one"), (4, "two"), (8, "end")]);
        let lines: Vec<_> = invalid.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [5, 6, 7]);
        assert!(invalid[0].1.starts_with("not JSON: "), "{invalid:?}");
        assert_eq!(invalid[1].1, "not a JSON object");
        assert_eq!(unused, ["x"]);
    }

    #[test]
    fn line_that_is_too_long_is_skipped() {
        let long = format!("{{\"user_input\":\"{}\"}}\n", "x".repeat(MAX_LINE_BYTES));
        let text = format!("{{\"user_input\":\"one\"}}\n{long}{{\"user_input\":\"two\"}}\n{long}");
        let (valid, invalid, _) = read("a.ndjson", text.as_bytes(), &constants()).expect("rows");
        assert_eq!(texts(&valid), [(1, "one"), (3, "two")]);
        assert_eq!(invalid.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 4]);
    }

    #[test]
    fn csv_records_are_rows_at_their_first_line() {
        let text = b"\xef\xbb\xbfuser_input,other\r\n\"one,\n\"\"more\"\"\",1\r\ntwo,\r\nshort\r\n\xff,1\r\n\r\nend,2";
        let (valid, invalid, unused) = read("a.csv", text, &constants()).expect("rows");
        assert_eq!(texts(&valid), [(2, "one,\n\"more\""), (4, "two"), (8, "end")]);
        let invalid: Vec<_> = invalid.iter().map(|(line, reason)| (*line, reason.as_str())).collect();
        assert_eq!(invalid, [(5, "1 cells, but the header has 2"), (6, "not UTF-8")]);
        assert_eq!(unused, ["other"]);
    }

    #[test]
    fn lines_of_csv_records_do_not_depend_on_line_ends() {
        for end in ["\n", "\r\n"] {
            for last in ["", end] {
                let text = ["user_input,x", "a,\"1\n2\"", "", "b,\"3\"", "c,4"].join(end) + last;
                let (valid, invalid, _) = read("a.csv", text.as_bytes(), &constants()).expect("rows");
                assert_eq!((texts(&valid), invalid.len()), (vec![(2, "a"), (5, "b"), (6, "c")], 0), "{text:?}");
            }
            // A text may end with a carriage return.
            let text = ["user_input", "\"a\r\"", "b"].join(end);
            let (valid, _, _) = read("a.csv", text.as_bytes(), &constants()).expect("rows");
            assert_eq!(texts(&valid), [(2, "a\r"), (3, "b")], "{text:?}");
        }
    }

    #[test]
    fn cells_can_be_separated_by_tabs() {
        let columns = Columns { user_input: Some("text".to_owned()), ..constants() };
        let (valid, _, _) = read("a.tsv", b"id\ttext\n1\ta, b\n", &columns).expect("rows");
        assert_eq!(texts(&valid), [(2, "a, b")]);
    }

    #[test]
    fn apostrophes_of_an_export_are_removed() {
        let exported = format!("{}\n,,,,'=1,,,,,,,,,\n", COLUMNS.join(","));
        let (valid, _, unused) = read("a.csv", exported.as_bytes(), &constants()).expect("rows");
        assert_eq!(texts(&valid), [(2, "=1")]);
        assert_eq!(unused, ["agent_id", "timestamp", "user_id"]);
        let (valid, _, _) = read("a.csv", b"user_input\n'=1\n", &constants()).expect("rows");
        assert_eq!(texts(&valid), [(2, "'=1")]);
    }

    #[test]
    fn empty_text_is_a_text_and_other_empty_cells_are_absent() {
        let text = b"user_input,session_id,escalation_flag,metadata,log_id\n,,,,\n";
        assert_eq!(texts(&read("a.csv", text, &constants()).expect("rows").0), [(2, "")]);
    }

    #[test]
    fn file_of_the_wrong_form_is_refused() {
        let error = |name: &str, text: &[u8], columns: &Columns| {
            format!("{:#}", read(name, text, columns).expect_err("refused"))
        };
        assert!(error("a.json", b"[\n{}]", &constants()).contains("is a JSON array"));
        assert!(error("a.csv", b"a,a\n1,2\n", &constants()).contains("two of its columns"));
        assert!(error("a.csv", b"", &constants()).contains("no header"));
        assert!(error("a.txt", b"", &constants()).contains("add --format jsonl or --format csv"));
        let named = Columns { session_id: Some("chat".to_owned()), ..constants() };
        assert!(error("a.csv", b"user_input\nx\n", &named).contains("no column \"chat\""));
    }

    #[test]
    fn equal_rows_differ_within_a_file_and_not_across_files() {
        let folder = TempDir::new().expect("a folder");
        let paths: Vec<_> = ["a.jsonl", "b.jsonl"].map(|name| folder.path().join(name)).into();
        for path in &paths {
            std::fs::write(path, "{\"user_input\":\"x\"}\n{\"user_input\":\"x\"}\n").expect("a file");
        }
        let rules = Rules::new(Mapping::of(&constants()).expect("a mapping"), false).expect("rules");
        let ids = |paths: &[PathBuf]| {
            let files = Files::open(paths, None, None).expect("files");
            let mut rows = files.rows(&rules);
            let ids = std::iter::from_fn(|| rows.next().expect("a row").map(|row| row.expect("valid").log_id));
            (ids.collect::<Vec<_>>(), files.position(Origin { file: paths.len() as u32 - 1, line: 2 }), rows.digest())
        };
        let (both, position, digest) = ids(&paths);
        assert!(both[0] != both[1] && both[..2] == both[2..], "{both:?}");
        assert!(position.ends_with("b.jsonl, line 2"), "{position}");
        let (one, position, other_digest) = ids(&paths[..1]);
        assert_eq!((&one[..], position.as_str()), (&both[..2], "line 2"));
        assert_ne!(digest, other_digest);
    }
}
