//! Compiles the lexicons and the frequent words of languages into tables in the program, so that start-up costs nothing:
//! sorted terms concatenated in one text, with their end positions, a hash table, and their weights in hundredths.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::{Debug, Write};
use std::fs;
use std::path::Path;

#[path = "../src/logging/classifier/spelling.rs"]
mod spelling;

use spelling::Accents;

/// Languages: the code, the constant in the program and the files. A later file overrides the terms of an earlier one.
const LANGUAGES: [(&str, &str, &[&str]); 6] = [
    ("en", "ENGLISH", &["lexicon/en.tsv", "lexicon/en-support.tsv"]),
    ("de", "GERMAN", &["lexicon/marks.tsv", "lexicon/de.tsv"]),
    ("es", "SPANISH", &["lexicon/marks.tsv", "lexicon/es.tsv"]),
    ("fr", "FRENCH", &["lexicon/marks.tsv", "lexicon/fr.tsv"]),
    ("pt", "PORTUGUESE", &["lexicon/marks.tsv", "lexicon/pt.tsv"]),
    ("ja", "JAPANESE", &["lexicon/marks.tsv", "lexicon/ja.tsv"]),
];
const WORDS: &str = "lexicon/languages.tsv";
const SIGNALS: usize = 4;
/// FNV-1a, to distinguish lexicons: <http://www.isthe.com/chongo/tech/comp/fnv/>.
const FNV_BASIS: u32 = 0x811c_9dc5;
/// Maximum share of a hash table that is filled.
const MAX_LOAD: (usize, usize) = (3, 4);

type Weights = [i16; SIGNALS];

/// Writes `lexicon.rs` and `languages.rs` into the folder `to`.
pub fn write(to: &Path) -> Result<(), Box<dyn Error>> {
    let mut source = String::new();
    let mut rows = Rows::default();
    let (mut all, mut largest) = (FNV_BASIS, 0);
    let mut english = BTreeMap::new();
    for (code, name, files) in LANGUAGES {
        let mut lexicon = Lexicon::default();
        let mut version = FNV_BASIS;
        for file in files {
            let text = read(file)?;
            version = fnv(version, &text);
            all = fnv(all, &text);
            lexicon.add(code, file, &text)?;
        }
        largest = largest.max(lexicon.write((code, name), &format!("{code}-{version:08x}"), &mut rows, &mut source)?);
        if code == "en" {
            english = lexicon.terms;
        }
    }
    let words = read(WORDS)?;
    all = fnv(all, &words);
    writeln!(source, "const VERSION: &str = \"all-{all:08x}\";")?;
    writeln!(source, "const MAX_TERMS: usize = {largest};")?;
    writeln!(source, "static ROWS: [[i16; {SIGNALS}]; {}] = {:?};", rows.list.len(), rows.list)?;
    fs::write(to.join("lexicon.rs"), source)?;
    fs::write(to.join("languages.rs"), languages(&words, &english)?)?;
    Ok(())
}

fn read(file: &str) -> Result<String, String> {
    println!("cargo::rerun-if-changed={file}");
    fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))
}

fn fnv(hash: u32, text: &str) -> u32 {
    text.bytes().fold(hash, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Different weights of all lexicons.
#[derive(Default)]
struct Rows {
    list: Vec<Weights>,
    places: BTreeMap<Weights, usize>,
}

impl Rows {
    /// Returns the position of `weights` in the list.
    fn place(&mut self, weights: Weights) -> usize {
        *self.places.entry(weights).or_insert_with(|| {
            self.list.push(weights);
            self.list.len() - 1
        })
    }
}

struct Term {
    /// The term with its accents.
    written: String,
    is_stem: bool,
    weights: Weights,
}

/// Terms by the form in which they are compared.
#[derive(Default)]
struct Lexicon {
    terms: BTreeMap<String, Term>,
}

impl Lexicon {
    fn add(&mut self, code: &str, file: &str, text: &str) -> Result<(), String> {
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with("# ")) {
            let (written, weights) = entry(line).ok_or_else(|| {
                format!(
                    "{file}:{}: not a term and {SIGNALS} weights from -300 to 300, tab-separated: {line}",
                    index + 1
                )
            })?;
            let (stem, is_stem) = match written.strip_suffix('*') {
                Some(stem) if code != "en" => (stem, true),
                _ => (written, false),
            };
            let written = separated(code, stem);
            let compared = compared(&written, accents(code));
            self.terms.insert(compared, Term { written, is_stem, weights });
        }
        Ok(())
    }

    fn take(&mut self, name: &str) -> Result<Weights, String> {
        self.terms.remove(name).map(|term| term.weights).ok_or_else(|| format!("no {name} in the lexicon"))
    }

    /// Writes the lexicon as the constant `name` and returns the number of its terms.
    fn write(
        &mut self,
        (code, name): (&str, &str),
        version: &str,
        rows: &mut Rows,
        source: &mut String,
    ) -> Result<usize, Box<dyn Error>> {
        let (bias, slope, offset) = (self.take("<bias>")?, self.take("<slope>")?, self.take("<offset>")?);
        let stems: Vec<&str> =
            self.terms.iter().filter(|(_, term)| term.is_stem).map(|(stem, _)| stem.as_str()).collect();
        if let Some(pair) = stems.windows(2).find(|pair| pair[1].starts_with(pair[0])) {
            return Err(format!("{version}: the stem {}* begins with the stem {}*", pair[1], pair[0]).into());
        }
        let terms = self.terms.values().enumerate();
        let stems: Vec<usize> = terms.filter(|(_, term)| term.is_stem).map(|(place, _)| place).collect();
        let rows: Vec<usize> = self.terms.values().map(|term| rows.place(term.weights)).collect();
        let terms = self.terms.iter().map(|(compared, term)| (compared.as_str(), term.written.as_str()));
        writeln!(source, "static {name}: Lexicon = Lexicon {{")?;
        writeln!(source, "version: {version:?}, bias: {bias:?}, slope: {slope:?}, offset: {offset:?},")?;
        writeln!(
            source,
            "terms: {}, rows: {}, stems: {} }};",
            table(terms, accents(code))?,
            array(&rows),
            array(&stems)
        )?;
        Ok(self.terms.len())
    }
}

fn entry(line: &str) -> Option<(&str, Weights)> {
    let (term, columns) = line.split_once('\t')?;
    let weights: Vec<i16> = columns.split('\t').map(hundredths).collect::<Option<_>>()?;
    (!term.is_empty()).then_some((term, weights.try_into().ok()?))
}

fn hundredths(column: &str) -> Option<i16> {
    let weight: f64 = column.parse().ok()?;
    (weight.abs() <= 300.0).then_some((weight * 100.0).round() as i16)
}

/// Returns how the classifier compares letters with accents in texts of the language `code`.
fn accents(code: &str) -> Accents {
    match code {
        "en" => Accents::Kept,
        "de" => Accents::Umlauts,
        _ => Accents::LeftOut,
    }
}

/// Returns `written` with a space between all words that the classifier separates in texts of the language `code`.
fn separated(code: &str, written: &str) -> String {
    match code {
        "en" => written.to_owned(),
        "fr" => written.replace('-', " ").split(' ').map(without_elision).collect::<Vec<_>>().join(" "),
        _ if written.contains(char::is_alphabetic) => written.replace('-', " "),
        _ => written.to_owned(),
    }
}

fn without_elision(word: &str) -> String {
    String::from_utf8_lossy(spelling::without_elision(word.as_bytes())).into_owned()
}

fn compared(text: &str, accents: Accents) -> String {
    String::from_utf8_lossy(&spelling::compared(text, accents).collect::<Vec<_>>()).into_owned()
}

/// Returns the source of a table of terms, each given as compared, in this order, and as written.
fn table<'a>(terms: impl Iterator<Item = (&'a str, &'a str)>, accents: Accents) -> Result<String, Box<dyn Error>> {
    let terms: Vec<(&str, &str)> = terms.collect();
    let mut ends = Vec::new();
    let mut text = String::new();
    for (_, written) in &terms {
        text += written;
        ends.push(u16::try_from(text.len())?);
    }
    let length = (terms.len() * MAX_LOAD.1 / MAX_LOAD.0 + 1).next_power_of_two();
    let mut slots = vec![0; length];
    for (place, (compared, _)) in terms.iter().enumerate() {
        let mut slot = spelling::hash(compared.as_bytes()) % length;
        while slots[slot] != 0 {
            slot = (slot + 1) % length;
        }
        slots[slot] = place + 1;
    }
    Ok(format!(
        "Terms {{ text: {text:?}, ends: {}, slots: {}, accents: Accents::{accents:?} }}",
        array(&ends),
        array(&slots)
    ))
}

fn array(numbers: &[impl Debug]) -> String {
    format!("&{numbers:?}")
}

/// Returns the source of the tables of languages' frequent words and letters.
fn languages(text: &str, english: &BTreeMap<String, Term>) -> Result<String, Box<dyn Error>> {
    let lines = || text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('\t'));
    let is_code = |column: &str| column.is_ascii();
    let mut codes: Vec<&str> = Vec::new();
    for (code, _) in lines().filter(|(column, _)| is_code(column)) {
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    let bit = |code: &str| -> Result<u32, String> {
        let place =
            codes.iter().position(|other| *other == code).ok_or_else(|| format!("{WORDS}: no words of {code}"))?;
        Ok(1 << place)
    };
    // The languages that write a word without accents, and those that write it with accents.
    let mut words: BTreeMap<String, [u32; 2]> = BTreeMap::new();
    for (code, list) in lines().filter(|(column, _)| is_code(column)) {
        for word in list.split(' ') {
            // Umlauts may be written as two letters.
            let forms = [compared(word, Accents::LeftOut), compared(word, Accents::Umlauts)];
            for form in &forms[..if code == "de" { 2 } else { 1 }] {
                words.entry(form.clone()).or_default()[usize::from(!word.is_ascii())] |= bit(code)?;
            }
        }
    }
    // An English word of the lexicon is as much a sign of English as of another language.
    for (word, sets) in &mut words {
        if english.contains_key(word) {
            sets[0] |= bit("en")?;
        }
    }
    let mut sets: Vec<[u32; 2]> = words.values().copied().collect();
    sets.sort_unstable();
    sets.dedup();
    let places: Vec<usize> = words.values().filter_map(|set| sets.binary_search(set).ok()).collect();
    let mut letters = Vec::new();
    for (list, of) in lines().filter(|(column, _)| !is_code(column)) {
        let mut set = 0;
        for code in of.split(' ') {
            set |= bit(code)?;
        }
        letters.push((list, set));
    }
    let mut source = String::new();
    writeln!(source, "static CODES: [&str; {}] = {codes:?};", codes.len())?;
    writeln!(
        source,
        "static WORDS: Terms = {};",
        table(words.keys().map(|word| (word.as_str(), word.as_str())), Accents::Kept)?
    )?;
    writeln!(source, "static SETS: &[u16] = {};", array(&places))?;
    let sets = sets.iter().map(|[plain, accented]| format!("Word {{ plain: {plain}, accented: {accented} }}"));
    writeln!(source, "static LANGUAGES: &[Word] = &[{}];", sets.collect::<Vec<_>>().join(", "))?;
    writeln!(source, "static LETTERS_OF: &[(&str, u32)] = {};", array(&letters))?;
    Ok(source)
}
