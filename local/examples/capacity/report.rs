//! Tables in Markdown.

use local::template::names::table_name;

use crate::bench::Most;
use crate::meter::{Reading, read_units, write_units};

/// Dollars for a million units, on demand in us-east-1, since November 2024:
/// <https://aws.amazon.com/dynamodb/pricing/on-demand/>.
const READ_DOLLARS: f64 = 0.125;
const WRITE_DOLLARS: f64 = 0.625;
/// The maximum number of bytes that a query reads at once.
const QUERY_BYTES: usize = 1_024 * 1_024;

/// A table of the costs of events.
pub struct Report {
    title: &'static str,
    rows: Vec<[String; 7]>,
}

impl Report {
    pub fn new(title: &'static str) -> Self {
        Self { title, rows: Vec::new() }
    }

    /// Adds a row with the cost per event, from the `sum` of `events`.
    pub fn row(&mut self, label: &str, events: usize, sum: &Reading) {
        self.push(label, events, sum, String::new(), String::new());
    }

    /// Like [`Self::row`], with the maximum that one event wrote, and with the cost that the event would have if its
    /// item contained the payload: by the rules, from the items that were written and read.
    pub fn row_and_inline(&mut self, label: &str, payload: usize, (sum, most): &(Reading, Most)) {
        let inline_bytes = match sum.event_bytes {
            with_payload if with_payload > payload => with_payload,
            without => without + "payload".len() + payload,
        };
        let events = most.events;
        let writes = sum.writes - sum.puts + events as f64 * write_units(inline_bytes);
        let mut reads = sum.reads;
        for found in &sum.pages[&table_name("EventsTable")] {
            reads -= read_units(found * sum.event_bytes);
            let mut rest = found * inline_bytes;
            while rest > QUERY_BYTES {
                reads += read_units(QUERY_BYTES);
                rest -= QUERY_BYTES;
            }
            reads += read_units(rest);
        }
        let inline = dollars(reads, writes, events);
        self.push(label, events, sum, format!("{}", most.writes), inline);
    }

    fn push(&mut self, label: &str, events: usize, sum: &Reading, most: String, inline: String) {
        let each = |units: f64| rounded(units / events as f64, 2);
        let row = [
            label.to_owned(),
            each(sum.calls as f64),
            each(sum.reads),
            each(sum.writes),
            dollars(sum.reads, sum.writes, events),
            most,
            inline,
        ];
        eprintln!("{}", row.join(" | "));
        self.rows.push(row);
    }

    pub fn print(&self) {
        let heads = [
            "An event",
            "Calls",
            "Read units",
            "Write units",
            "$ a million",
            "Most writes for one",
            "$ a million inline",
        ];
        let is_told = |column: &usize| self.rows.iter().any(|row| !row[*column].is_empty());
        let columns: Vec<usize> = (0..heads.len()).filter(is_told).collect();
        let line = |cells: &[&str]| columns.iter().map(|column| format!("| {} ", cells[*column])).collect::<String>();
        println!("\n{}\n\n{}|\n|---{}|", self.title, line(&heads), "|--:".repeat(columns.len() - 1));
        for row in &self.rows {
            println!("{}|", line(&row.each_ref().map(String::as_str)));
        }
    }
}

/// Returns the cost of a million events, of which `events` took this many units.
fn dollars(reads: f64, writes: f64, events: usize) -> String {
    rounded((reads * READ_DOLLARS + writes * WRITE_DOLLARS) / events as f64, 3)
}

fn rounded(number: f64, decimals: usize) -> String {
    format!("{number:.decimals$}").trim_end_matches('0').trim_end_matches('.').to_owned()
}
