//! Compiles the lexicon into a table in the program, so that start-up costs nothing: sorted terms concatenated in one
//! text, with their end positions and their weights in hundredths.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Lexicon files. A later file overrides the terms of an earlier one.
const FILES: [&str; 2] = ["lexicon/en.tsv", "lexicon/en-support.tsv"];
const SIGNALS: usize = 4;

/// Writes `lexicon.rs` into the folder `to`.
pub fn write(to: &Path) -> Result<(), Box<dyn Error>> {
    let mut terms: BTreeMap<Vec<u8>, [i16; SIGNALS]> = BTreeMap::new();
    let mut version: u32 = 0x811c_9dc5;
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
        let text = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
        // FNV-1a, to distinguish lexicons: http://www.isthe.com/chongo/tech/comp/fnv/.
        version = text.bytes().fold(version, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with("# ")) {
            let (term, weights) = entry(line).ok_or_else(|| {
                format!(
                    "{file}:{}: not a term and {SIGNALS} weights from -300 to 300, tab-separated: {line}",
                    index + 1
                )
            })?;
            terms.insert(term.as_bytes().to_vec(), weights);
        }
    }
    let mut row = |name: &str| terms.remove(name.as_bytes()).ok_or_else(|| format!("no {name} in the lexicon"));
    let (bias, slope, offset) = (row("<bias>")?, row("<slope>")?, row("<offset>")?);
    let (mut text, mut ends) = (Vec::new(), Vec::new());
    for term in terms.keys() {
        text.extend_from_slice(term);
        ends.push(text.len());
    }
    let weights: Vec<_> = terms.values().collect();
    let mut source = String::new();
    writeln!(source, "pub(super) const VERSION: &str = \"en-{version:08x}\";")?;
    writeln!(source, "const TERM_COUNT: usize = {};", terms.len())?;
    writeln!(source, "const BIAS: [i16; {SIGNALS}] = {bias:?};")?;
    writeln!(source, "const SLOPE: [i16; {SIGNALS}] = {slope:?};")?;
    writeln!(source, "const OFFSET: [i16; {SIGNALS}] = {offset:?};")?;
    writeln!(source, "static TEXT: &str = {:?};", String::from_utf8(text)?)?;
    writeln!(source, "static ENDS: [u32; TERM_COUNT] = {ends:?};")?;
    writeln!(source, "static WEIGHTS: [[i16; {SIGNALS}]; TERM_COUNT] = {weights:?};")?;
    fs::write(to.join("lexicon.rs"), source)?;
    Ok(())
}

fn entry(line: &str) -> Option<(&str, [i16; SIGNALS])> {
    let (term, columns) = line.split_once('\t')?;
    let weights: Vec<i16> = columns.split('\t').map(hundredths).collect::<Option<_>>()?;
    (!term.is_empty()).then_some((term, weights.try_into().ok()?))
}

fn hundredths(column: &str) -> Option<i16> {
    let weight: f64 = column.parse().ok()?;
    (weight.abs() <= 300.0).then_some((weight * 100.0).round() as i16)
}
