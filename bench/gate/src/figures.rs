//! Counting.

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

/// Runs whose difference is counted: it leaves out how the program starts, and what a rule makes once.
const FEW: u32 = 5;
const MANY: u32 = 25;

/// Where the programs are.
pub struct Programs(pub PathBuf);

impl Programs {
    /// The program `name`.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The figures of `functions` and of all rules.
    ///
    /// # Errors
    /// When something is not built, or valgrind does not count.
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

    /// The instructions that `rule` takes.
    ///
    /// # Errors
    /// When it is not built, or valgrind does not count.
    pub fn instructions_of(&self, rule: &str) -> Result<u64> {
        let (few, many) = (self.instructions(rule, FEW)?, self.instructions(rule, MANY)?);
        ensure!(many > few, "{rule}: {few} instructions of {FEW} runs, and {many} of {MANY}");
        Ok((many - few) / u64::from(MANY - FEW))
    }

    /// The instructions of a process that does `rule` so many times.
    fn instructions(&self, rule: &str, times: u32) -> Result<u64> {
        // Found by hand, for without an environment there is no PATH. What the environment tells the libc, and where it
        // makes the stack begin, changes the count.
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

/// Bytes of `binary`, and of a zip with it alone as Lambda takes it.
///
/// # Errors
/// When it cannot be read.
pub fn sizes(binary: &Path) -> Result<(u64, u64)> {
    /// The headers that a zip adds around its one file, `bootstrap`.
    const ZIP_HEADERS: u64 = 116;
    let content = fs::read(binary).with_context(|| format!("{} is not built", binary.display()))?;
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&content)?;
    Ok((content.len() as u64, encoder.finish()?.len() as u64 + ZIP_HEADERS))
}

/// What the figures depend on beside the code: the compiler and its target, and the libc, which allocates and copies for
/// the rules.
///
/// # Errors
/// When one of them does not tell its version.
pub fn toolchain() -> Result<String> {
    let rustc = told(Command::new("rustc").arg("-vV"))?;
    let version = rustc.lines().next().context("rustc tells nothing")?;
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc does not tell its host")?;
    // Another libc than GNU's does not know the name.
    let libc = told(Command::new("getconf").arg("GNU_LIBC_VERSION")).unwrap_or_else(|_| "another libc".to_owned());
    Ok(format!("{version}, {host}, {}", libc.trim()))
}

/// What a program prints.
fn told(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?} does not start"))?;
    ensure!(output.status.success(), "{command:?} fails: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}
