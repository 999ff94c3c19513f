//! The subcommand `classify`: classifies texts, or measures a configuration against feedback.

mod comparison;
mod labelled;

use std::io::{self, BufRead, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use shared::config::Config;
use shared::logging::Classifier;
use shared::logging::classifier::Verdict;

use comparison::Comparison;

/// The name of standard input.
const STDIN: &str = "-";

/// The options of `classify`.
#[derive(Args, Clone, Debug)]
pub struct ClassifyOptions {
    /// The texts [default: each line of standard input]
    #[arg(value_name = "TEXT", conflicts_with = "against")]
    pub texts: Vec<String>,
    /// The configuration, such as a changed copy of signals.toml [default: the one compiled in]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The feedback to measure against. Standard input is the file -.
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// The maximum number of changed texts to print.
    #[arg(long, value_name = "NUMBER", default_value_t = 20, requires = "against")]
    pub changes: usize,
}

/// The result of one text.
#[derive(Serialize)]
struct Line<'a> {
    text: &'a str,
    #[serde(flatten)]
    verdict: Verdict,
}

/// Runs the command and prints the results. If the reader of a pipe has closed the pipe, ends without an error.
///
/// # Errors
/// Fails if the configuration is invalid, or a file cannot be read.
pub fn run(options: &ClassifyOptions) -> Result<()> {
    let classifier = classifier(options.config.as_deref())?;
    let mut out = BufWriter::new(io::stdout().lock());
    let written = match &options.against {
        Some(file) => {
            let labelled = labelled::parse(&read(file)?).with_context(|| name_of(file))?;
            // Without another configuration, the reference is in the file.
            let reference = options.config.as_ref().map(|_| self::classifier(None)).transpose()?;
            writeln!(out, "{}", Comparison::of(&labelled, &classifier, reference.as_ref(), options.changes))
        }
        None if options.texts.is_empty() => write_lines(&classifier, io::stdin().lock(), &mut out)?,
        None => options.texts.iter().try_for_each(|text| write(&classifier, text, &mut out)),
    };
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("cannot write the results"),
        _ => Ok(()),
    }
}

/// Returns the classifier with the configuration in `file`, or with the one compiled in.
fn classifier(file: Option<&Path>) -> Result<Classifier> {
    let config = match file {
        Some(file) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            Config::parse(&file.display().to_string(), &text)?
        }
        None => Config::compiled_in()?,
    };
    Ok(Classifier::new(&config.classifier))
}

fn name_of(file: &Path) -> String {
    if file == Path::new(STDIN) { "standard input".to_owned() } else { file.display().to_string() }
}

fn read(file: &Path) -> Result<String> {
    let mut text = String::new();
    let result = match file == Path::new(STDIN) {
        true => io::stdin().lock().read_to_string(&mut text).map(drop),
        false => std::fs::read_to_string(file).map(|content| text = content),
    };
    result.with_context(|| format!("cannot read {}", name_of(file)))?;
    Ok(text)
}

/// Writes the result of each line of `input`. The inner result is that of writing.
fn write_lines(classifier: &Classifier, input: impl BufRead, out: &mut impl Write) -> Result<io::Result<()>> {
    for line in input.split(b'\n') {
        let line = line.context("cannot read standard input")?;
        let text = String::from_utf8_lossy(&line);
        let written = write(classifier, text.trim_end_matches('\r'), out);
        if written.is_err() {
            return Ok(written);
        }
    }
    Ok(Ok(()))
}

fn write(classifier: &Classifier, text: &str, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &Line { text, verdict: classifier.classify(text) })?;
    writeln!(out)
}
