//! Measures the classifier on a file in the form of the GoEmotions dataset: `evaluate dev.tsv`. Without a file it reads
//! standard input.

use shared::config::Config;
use shared::logging::Classifier;
use shared::logging::classifier::evaluation::evaluate;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = match std::env::args().nth(1) {
        Some(file) => std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?,
        None => std::io::read_to_string(std::io::stdin())?,
    };
    let evaluation = evaluate(&Classifier::new(&Config::load()?.classifier), &text)?;
    println!("{evaluation}\nmacro-F1 {:.4}", evaluation.macro_f1());
    Ok(())
}
