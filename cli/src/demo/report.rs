//! The outcomes of the demo's requests.

use std::fmt;

use crate::import::row::Origin;
use crate::import::send::{Endpoint, Outcome};
use crate::import::tally::{Described, Tally};

/// The counts of all requests.
#[derive(Debug, Default)]
pub(super) struct Report {
    interactions: Tally,
    events: Tally,
    refused: Described,
}

impl Report {
    /// Adds the outcome of a request to `endpoint`.
    pub fn add(&mut self, endpoint: Endpoint, outcome: Outcome, describe: impl Fn(Origin) -> String) {
        match endpoint {
            Endpoint::Logs => self.interactions.add(outcome.tally),
            Endpoint::Events => self.events.add(outcome.tally),
        }
        for (origin, reason) in outcome.refused {
            self.refused.add(|| format!("{}: {reason}", describe(origin)));
        }
    }

    /// Returns the number of interactions that the stack has accepted, now or before.
    pub fn accepted_interactions(&self) -> u64 {
        let Tally { stored, duplicates, queued, .. } = self.interactions;
        stored + duplicates + queued
    }

    /// Returns whether every item was accepted.
    pub fn is_complete(&self) -> bool {
        self.refused.count == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        for (endpoint, tally) in [(Endpoint::Logs, self.interactions), (Endpoint::Events, self.events)] {
            if tally.total() == 0 {
                continue;
            }
            let Tally { stored, duplicates, queued, conflicts, refused } = tally;
            let mut line =
                format!("{} {}: {stored} stored, {duplicates} stored before", tally.total(), endpoint.items());
            for (count, what) in [(queued, "queued, to be stored later"), (conflicts + refused, "refused")] {
                if count > 0 {
                    line.push_str(&format!(", {count} {what}"));
                }
            }
            lines.push(line);
        }
        lines.extend(self.refused.lines());
        out.write_str(&lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_has_a_line_per_endpoint_and_refused_item() {
        let mut report = Report::default();
        let tally = Tally { stored: 3, duplicates: 2, ..Tally::default() };
        report.add(Endpoint::Logs, Outcome { tally, ..Outcome::default() }, |_| String::new());
        assert_eq!(report.to_string(), "5 interactions: 3 stored, 2 stored before");
        assert!(report.is_complete());
        let tally = Tally { queued: 1, conflicts: 1, refused: 1, ..Tally::default() };
        let refused = [4, 7].map(|line| (Origin { file: 0, line }, "invalid".to_owned())).into();
        report
            .add(Endpoint::Events, Outcome { tally, refused, ..Outcome::default() }, |at| format!("line {}", at.line));
        assert_eq!(
            report.to_string(),
            "5 interactions: 3 stored, 2 stored before\n\
             3 events: 0 stored, 0 stored before, 1 queued, to be stored later, 2 refused\n\
             line 4: invalid\nline 7: invalid"
        );
        assert_eq!((report.accepted_interactions(), report.is_complete()), (5, false));
    }
}
