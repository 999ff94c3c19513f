//! Prints the terms of each line of standard input, in English, tab-separated, each once. The English lexicon is trained
//! on these terms.

use std::io::{self, BufRead, Write};

use shared::logging::classifier::Language;
use shared::logging::classifier::features::each_term;

fn main() -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let mut terms: Vec<String> = Vec::new();
        each_term(&line?, Language::English, &mut |term| terms.push(String::from_utf8_lossy(term).into_owned()));
        terms.sort_unstable();
        terms.dedup();
        writeln!(out, "{}", terms.join("\t"))?;
    }
    Ok(())
}
