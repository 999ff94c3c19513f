//! Measures sizes and counts instructions.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use flate2::Compression;
use flate2::write::DeflateEncoder;

/// Figures by name.
pub type Figures = BTreeMap<String, u64>;

/// Repetitions of two runs. Their difference excludes the start and one-time work.
const FEW: u32 = 5;
const MANY: u32 = 25;

/// The folder of the programs.
pub struct Programs(pub PathBuf);

impl Programs {
    /// Returns the path of the program `name`.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Measures `functions` and all rules.
    ///
    /// # Errors
    /// Fails if a program is not built or valgrind fails.
    pub fn figures(&self, functions: &[String]) -> Result<Figures> {
        let mut figures = Figures::new();
        for function in functions {
            let (binary, zip) = sizes(&self.path(function))?;
            figures.insert(format!("{function}: bytes"), binary);
            figures.insert(format!("{function}: bytes zipped"), zip);
        }
        for rule in told(&mut Command::new(self.path("rules")))?.lines() {
            figures.insert(format!("{rule}: instructions"), self.instructions_of(rule)?);
        }
        Ok(figures)
    }

    /// Counts the instructions of `rule`.
    ///
    /// # Errors
    /// Fails if the program is not built or valgrind fails.
    pub fn instructions_of(&self, rule: &str) -> Result<u64> {
        let (few, many) = (self.instructions(rule, FEW)?, self.instructions(rule, MANY)?);
        ensure!(many > few, "{rule}: {few} instructions of {FEW} runs, and {many} of {MANY}");
        Ok((many - few) / u64::from(MANY - FEW))
    }

    /// Counts the instructions of a process that repeats `rule`.
    fn instructions(&self, rule: &str, times: u32) -> Result<u64> {
        // The program runs without an environment, because variables change the libc's behaviour and the stack's start,
        // and so the count. Without PATH, valgrind has to be located here.
        let folders = env::var_os("PATH").unwrap_or_default();
        let valgrind =
            env::split_paths(&folders).map(|folder| folder.join("valgrind")).find(|program| program.is_file());
        let mut command = Command::new(valgrind.context("valgrind is not installed")?);
        command.env_clear();
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        command.arg(self.path("rules")).args([rule, &times.to_string()]);
        let output = command.output().context("valgrind does not start")?;
        let text = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            bail!("valgrind fails: {text}");
        }
        let collected = text.lines().find_map(|line| line.split_once("Collected :")).map(|(_, number)| number.trim());
        collected.and_then(|number| number.parse().ok()).with_context(|| format!("valgrind counts nothing: {text}"))
    }
}

/// Returns the size of `binary`, and of a zip that contains only the binary, as Lambda requires.
///
/// # Errors
/// Fails if the binary cannot be read.
pub fn sizes(binary: &Path) -> Result<(u64, u64)> {
    /// The headers that a zip adds around its one file, `bootstrap`.
    const ZIP_HEADERS: u64 = 116;
    let content = fs::read(binary).with_context(|| format!("{} is not built", binary.display()))?;
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&content)?;
    Ok((content.len() as u64, encoder.finish()?.len() as u64 + ZIP_HEADERS))
}

/// Returns the toolchain that the figures depend on: the compiler, its target, and the libc, which allocates and copies
/// for the rules.
///
/// # Errors
/// Fails if a version cannot be determined.
pub fn toolchain() -> Result<String> {
    let rustc = told(Command::new("rustc").arg("-vV"))?;
    let version = rustc.lines().next().context("rustc tells nothing")?;
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc does not tell its host")?;
    // Only GNU's libc has this name.
    let libc = told(Command::new("getconf").arg("GNU_LIBC_VERSION")).unwrap_or_else(|_| "another libc".to_owned());
    Ok(format!("{version}, {host}, {}", libc.trim()))
}

/// Returns the output of a program.
fn told(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?} does not start"))?;
    ensure!(output.status.success(), "{command:?} fails: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}
