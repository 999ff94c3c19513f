//! The first pass over the files: checks every row and counts what the import will do.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use anyhow::Result;
use shared::ids::AgentId;
use shared::time::Timestamp;

use super::batches::Window;
use super::mapping::Field;
use super::row::Rules;
use super::rows::Files;
use super::tally::Described;

/// The number of rows between two reports of progress.
const REPORTED_ROWS: u64 = 1_000;

/// The result of the first pass.
#[derive(Debug)]
pub(super) struct Plan {
    pub rows: u64,
    pub valid: u64,
    pub invalid: Described,
    /// The fields that rows lack and for which no column is named.
    unnamed: BTreeSet<Field>,
    agents: BTreeSet<AgentId>,
    /// Hashes of the users' names.
    users: HashSet<u64>,
    /// The times of the first and the last row, in Unix milliseconds.
    range: Option<(i64, i64)>,
    requests: usize,
    objects: usize,
    /// The names of columns and keys that no field is read from.
    pub unused: BTreeSet<String>,
    /// The hash of the files.
    pub digest: [u8; 32],
}

impl Plan {
    /// Reads all rows of `files`. Calls `progress` with the number of rows now and then.
    pub fn of(files: &Files, rules: &Rules, progress: impl Fn(u64)) -> Result<Self> {
        let mut plan = Self {
            rows: 0,
            valid: 0,
            invalid: Described::default(),
            unnamed: BTreeSet::new(),
            agents: BTreeSet::new(),
            users: HashSet::new(),
            range: None,
            requests: 0,
            objects: 0,
            unused: BTreeSet::new(),
            digest: [0; 32],
        };
        let mut rows = files.rows(rules);
        let mut window = Window::default();
        while let Some(row) = rows.next()? {
            plan.rows += 1;
            if plan.rows.is_multiple_of(REPORTED_ROWS) {
                progress(plan.rows);
            }
            let entry = match row {
                Ok(entry) => entry,
                Err(invalid) => {
                    plan.unnamed.extend(&invalid.unnamed);
                    plan.invalid.add(|| format!("{}: {invalid}", files.position(invalid.origin)));
                    continue;
                }
            };
            plan.valid += 1;
            if !plan.agents.contains(&entry.agent_id) {
                plan.agents.insert(entry.agent_id.clone());
            }
            plan.users.insert(hash_of(&entry.user_id));
            let (first, last) = plan.range.unwrap_or((entry.millis, entry.millis));
            plan.range = Some((first.min(entry.millis), last.max(entry.millis)));
            if window.add(entry) {
                plan.count(std::mem::take(&mut window));
            }
        }
        plan.count(window);
        plan.digest = rows.digest();
        plan.unused = rows.into_unused();
        Ok(plan)
    }

    fn count(&mut self, window: Window) {
        let plan = window.into_plan();
        self.requests += plan.batches.len();
        self.objects += plan.objects;
    }

    /// Returns descriptions of the first invalid rows, and the options that may make rows valid.
    pub fn invalid_rows(&self) -> Vec<String> {
        let mut lines = self.invalid.lines();
        if !self.unnamed.is_empty() {
            let advice: Vec<_> = self.unnamed.iter().map(|field| field.advice()).collect();
            lines.push(format!("for missing fields: {}", advice.join(", ")));
        }
        lines
    }

    /// Returns the unused names in one line.
    pub fn unused_names(&self) -> String {
        format!("not imported: {}", self.unused.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
    }
}

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        let mut line = |name: &str, value: String| lines.push(format!("{name:10}{value}"));
        line("rows", self.rows.to_string());
        line("valid", self.valid.to_string());
        line("invalid", self.invalid.count.to_string());
        line("agents", self.agents.len().to_string());
        line("users", self.users.len().to_string());
        if let Some((first, last)) = self.range {
            let time = |millis| Timestamp::from_millis(millis).map_or_else(String::new, Timestamp::to_rfc3339_millis);
            line("since", time(first));
            line("until", time(last));
        }
        line("requests", self.requests.to_string());
        line("objects", format!("{} (one per agent, user and hour of a request)", self.objects));
        if !self.unused.is_empty() {
            lines.push(self.unused_names());
        }
        lines.extend(self.invalid_rows());
        out.write_str(&lines.join("\n"))
    }
}
