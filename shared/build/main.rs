//! Generates the data compiled into the program: the lexicon and the font of the charts.

mod font;
mod lexicon;

use std::env;
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    lexicon::write(&out)?;
    font::write(&out)
}
