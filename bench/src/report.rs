//! The figures as a table and as JSON.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::fastapi::Comparison;
use crate::measure::Measured;

const BEGIN: &str = "<!-- figures: written by `make bench` -->";
const END: &str = "<!-- end of figures -->";

/// Everything that a run has found.
#[derive(Debug, Serialize)]
pub struct Report {
    machine: String,
    date: String,
    versions: String,
    functions: Vec<Measured>,
    fastapi: Option<Comparison>,
}

impl Report {
    /// A report on this machine, as of now.
    pub fn new(functions: Vec<Measured>, fastapi: Option<Comparison>) -> Self {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let machine = format!("{}, {cores} cores", model.trim_start_matches(['\t', ' ', ':']));
        Self {
            machine,
            date: told("date", &["-u", "+%F"]),
            versions: told("rustc", &["--version"]),
            functions,
            fastapi,
        }
    }

    /// As Markdown.
    pub fn table(&self) -> String {
        let mut text = format!("{} · {} · {}\n\n", self.date, self.machine, self.versions);
        text += "| Function | start, ms | floor's | ratio | first, ms | p50, ms | p99 | bare calls' p50 | own, ms | CPU, ms | \
                 bare calls' | resident, MB | floor's | binary, MB | zip | per second, 1 / 2 / 8 sandboxes |\n";
        text += "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n";
        for f in &self.functions {
            let rates: Vec<_> = f.per_second.iter().map(|rate| format!("{rate:.0}")).collect();
            let mega = |bytes| bytes as f64 / 1e6;
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "| {} | {:.1} | {:.1} | {:.2} | {:.1} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} | {:.1} | {:.2} | {:.2} | {} |",
                f.name,
                f.start,
                f.floor_start,
                f.start / f.floor_start,
                f.first,
                f.p50,
                f.p99,
                f.floor_p50,
                f.own(),
                f.cpu,
                f.floor_cpu,
                mega(f.memory_bytes),
                mega(f.floor_memory_bytes),
                mega(f.binary_bytes),
                mega(f.zip_bytes),
                rates.join(" / ")
            );
        }
        if let Some(fastapi) = &self.fastapi {
            text += "\n";
            text += &fastapi.table();
        }
        text
    }

    /// Writes the JSON, and the table between the markers of `page`.
    pub fn publish(&self, json: &Path, page: &Path) -> Result<()> {
        fs::create_dir_all(json.parent().context("no folder")?)?;
        fs::write(json, serde_json::to_string_pretty(self)? + "\n")?;
        let text = fs::read_to_string(page).with_context(|| format!("cannot read {}", page.display()))?;
        let (before, rest) = text.split_once(BEGIN).with_context(|| format!("{} has no {BEGIN}", page.display()))?;
        let (_, after) = rest.split_once(END).with_context(|| format!("{} has no {END}", page.display()))?;
        fs::write(page, format!("{before}{BEGIN}\n{}{END}{after}", self.table()))?;
        Ok(())
    }
}

fn told(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
