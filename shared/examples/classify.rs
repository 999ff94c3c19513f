//! Reads a text a line and writes its verdict as a line of JSON.

use std::io::{self, BufRead, Write};

use shared::config::Config;
use shared::logging::Classifier;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let classifier = Classifier::new(&Config::load()?.classifier);
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().split(b'\n') {
        let line = line?;
        let verdict = classifier.classify(String::from_utf8_lossy(&line).trim_end_matches('\r'));
        serde_json::to_writer(&mut out, &verdict)?;
        writeln!(out)?;
    }
    out.flush()?;
    Ok(())
}
