//! Writes the figures as tables and as JSON.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use gate::figures::toolchain;
use serde::Serialize;

use crate::fastapi::Comparison;
use crate::measure::Measured;
use crate::rules::Rule;

const BEGIN: &str = "<!-- figures: written by `make bench` -->";
const END: &str = "<!-- end of figures -->";

/// All results of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    machine: String,
    date: String,
    toolchain: String,
    functions: Vec<Measured>,
    rules: Vec<Rule>,
    fastapi: Option<Comparison>,
}

/// The budgets of a function.
struct Budget {
    /// Start time as a multiple of the baseline's.
    start: f64,
    /// Own time in milliseconds.
    own: f64,
    /// Megabytes, like the next two fields.
    resident: f64,
    binary: f64,
    zip: f64,
}

impl Budget {
    fn of(function: &str) -> Self {
        let most = Self { start: 1.5, own: 0.5, resident: 10.0, binary: 6.0, zip: 3.0 };
        match function {
            "get-summary" => Self { own: 2.0, ..most },
            // Includes the work of a summary.
            "get-visualize" => Self { own: 4.0, binary: 7.0, ..most },
            _ => most,
        }
    }
}

/// Formats a figure, marked if it exceeds `most`.
fn held(value: f64, most: f64, decimals: usize) -> String {
    let sign = if value > most { " ✗" } else { "" };
    format!("{value:.decimals$}{sign}")
}

/// Formats an optional figure.
fn known(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.decimals$}"))
}

fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Renders a Markdown table.
fn table(title: &str, columns: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut text = format!("\n### {title}\n\n| {} |\n|{}\n", columns.join(" | "), "---|".repeat(columns.len()));
    for row in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}

impl Report {
    /// Creates an empty report for this machine.
    pub fn new(functions: Vec<Measured>, rules: Vec<Rule>, fastapi: Option<Comparison>) -> Result<Self> {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let machine = format!("{}, {cores} cores", model.trim_start_matches(['\t', ' ', ':']));
        let date = Command::new("date").args(["-u", "+%F"]).output().context("there is no date")?;
        let date = String::from_utf8(date.stdout)?.trim().to_owned();
        Ok(Self { machine, date, toolchain: toolchain()?, functions, rules, fastapi })
    }

    /// Renders the tables as Markdown.
    pub fn tables(&self) -> String {
        let mut text = format!("{} · {} · {}\n", self.date, self.machine, self.toolchain);
        text += &self.budgets();
        text += &self.cold();
        text += &self.warm();
        let rules = self
            .rules
            .iter()
            .map(|rule| vec![rule.name.to_owned(), format!("{:.1}", rule.microseconds), rule.instructions.to_string()]);
        if !self.rules.is_empty() {
            text += &table("The rules by themselves", &["Rule", "µs", "instructions"], rules);
        }
        if let Some(fastapi) = &self.fastapi {
            text += &fastapi.table(table);
        }
        text
    }

    fn budgets(&self) -> String {
        let columns =
            ["Function", "start / floor's", "own time, ms", "resident, MB", "(floor's)", "binary, MB", "zip, MB"];
        let rows = self.functions.iter().map(|f| {
            let budget = Budget::of(f.name);
            vec![
                f.name.to_owned(),
                held(f.cold.start / f.cold.floor_start, budget.start, 2),
                held(f.warm.own(), budget.own, 2),
                held(mega(f.warm.memory_bytes), budget.resident, 1),
                format!("{:.1}", mega(f.warm.floor_memory_bytes)),
                held(mega(f.binary_bytes), budget.binary, 2),
                held(mega(f.zip_bytes), budget.zip, 2),
            ]
        });
        table("Budgets", &columns, rows)
    }

    fn cold(&self) -> String {
        let columns = [
            "Function",
            "start, ms",
            "floor's",
            "first request",
            "over TLS",
            "start and first over TLS",
            "bare calls'",
        ];
        let rows = self.functions.iter().map(|f| {
            let cold = &f.cold;
            let figures = [
                Some(cold.start),
                Some(cold.floor_start),
                Some(cold.first),
                Some(cold.remote_first),
                Some(cold.remote_total),
                cold.remote_floor_total,
            ];
            [f.name.to_owned()].into_iter().chain(figures.map(|figure| known(figure, 1))).collect()
        });
        table("New sandboxes", &columns, rows)
    }

    fn warm(&self) -> String {
        let columns = [
            "Function",
            "p50, ms",
            "p99",
            "bare calls' p50",
            "CPU, ms",
            "bare calls'",
            "per second, 1 / 2 / 8 sandboxes",
        ];
        let rows = self.functions.iter().map(|f| {
            let (warm, rates) = (&f.warm, f.per_second.iter().map(|rate| format!("{rate:.0}")).collect::<Vec<_>>());
            let figures = [Some(warm.p50), Some(warm.p99), warm.floor_p50, Some(warm.cpu), warm.floor_cpu];
            let figures = figures.map(|figure| known(figure, 2));
            [f.name.to_owned()].into_iter().chain(figures).chain([rates.join(" / ")]).collect()
        });
        table("Warm sandboxes", &columns, rows)
    }

    /// Writes the JSON, and the tables between the markers of `page`.
    pub fn publish(&self, json: &Path, page: &Path) -> Result<()> {
        fs::create_dir_all(json.parent().context("no folder")?)?;
        fs::write(json, serde_json::to_string_pretty(self)? + "\n")?;
        let text = fs::read_to_string(page).with_context(|| format!("cannot read {}", page.display()))?;
        let (before, rest) = text.split_once(BEGIN).with_context(|| format!("{} has no {BEGIN}", page.display()))?;
        let (_, after) = rest.split_once(END).with_context(|| format!("{} has no {END}", page.display()))?;
        fs::write(page, format!("{before}{BEGIN}\n{}{END}{after}", self.tables()))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_its_budget_is_marked() {
        assert_eq!((held(1.5, 1.5, 2), held(1.51, 1.5, 2)), ("1.50".to_owned(), "1.51 ✗".to_owned()));
    }

    #[test]
    fn tables_replace_only_the_text_between_the_marks() {
        let folder = tempfile::tempdir().expect("a folder");
        let (json, page) = (folder.path().join("bench/report.json"), folder.path().join("page.md"));
        fs::write(&page, format!("before\n{BEGIN}\nold\n{END}\nafter\n")).expect("written");
        let rule = Rule { name: "classify", microseconds: 1.25, instructions: 7 };
        let report = Report {
            machine: "a machine".to_owned(),
            date: "2026-01-01".to_owned(),
            toolchain: "rustc".to_owned(),
            functions: Vec::new(),
            rules: vec![rule],
            fastapi: None,
        };
        report.publish(&json, &page).expect("published");
        let text = fs::read_to_string(&page).expect("a page");
        assert!(text.starts_with(&format!("before\n{BEGIN}\n2026-01-01 · a machine")), "{text}");
        assert!(text.contains("| classify | 1.2 | 7 |") && !text.contains("old"), "{text}");
        assert!(text.ends_with(&format!("{END}\nafter\n")), "{text}");
        let told: serde_json::Value = serde_json::from_slice(&fs::read(&json).expect("a report")).expect("JSON");
        assert_eq!(told["rules"][0]["microseconds"], 1.25);
        fs::write(&page, "no marks").expect("written");
        assert!(report.publish(&json, &page).is_err());
    }
}
