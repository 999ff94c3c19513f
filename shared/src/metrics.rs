//! Usage metrics of the suite, sent to CloudWatch without a call: log lines in the Embedded Metric Format, from which
//! CloudWatch extracts metrics.
//!
//! Format:
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.
//!
//! | Metric | Dimension | Counts |
//! |---|---|---|
//! | `Interactions` | `Signal` | interactions accepted, stored at once or queued |
//! | `Events` | – | events stored, each once |
//! | `Anomalies` | `Severity` | anomalies that have reached this severity, each once |
//! | `OtlpSkipped` | `Reason` | model calls in OTLP exports that are not recorded |
//! | `QueueWait` | `QueueName` | not a count: the seconds that the oldest message of a batch has waited, once it is late |
//! | `DroppedMessages` | `QueueName` | messages deleted because nobody receives them |
//!
//! The last two feed alarms, so they name the queue: its name is unique to a stack, and the namespace is shared by all.
//!
//! Each value of a dimension is billed as a metric, so all signals defined by callers are counted as one, `other`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::config::KeywordRule;
use crate::ids::Signal;
use crate::severity::Severity;
use crate::time::Timestamp;

/// Namespace of all metrics.
pub const NAMESPACE: &str = "Signals";
/// Name under which signals without their own metric are counted.
pub const OTHER: &str = "other";
/// Maximum length of a CloudWatch dimension value in characters:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_Dimension.html>.
const MAX_DIMENSION_CHARS: usize = 1_024;
/// Wait from which a message counts as late. A metric is billed in the hours in which it has a value, so a queue that
/// keeps up costs nothing. A respond-async request waits for seconds.
const LATE: Duration = Duration::from_secs(60);

/// Signals with their own metric: the standard ones and those of the configuration's rules.
#[derive(Clone, Debug)]
pub struct CountedSignals(BTreeSet<String>);

impl CountedSignals {
    /// Returns the signals of `rules` and the standard ones. CloudWatch accepts only ASCII names; other names are
    /// counted as [`OTHER`].
    pub fn of(rules: &[KeywordRule]) -> Self {
        let configured = rules.iter().map(|rule| rule.signal.as_str());
        let all = Signal::STANDARD.into_iter().chain(configured);
        Self(all.filter(|name| is_dimension_value(name)).map(str::to_owned).collect())
    }

    /// Returns the name under which `signal` is counted.
    pub fn name<'a>(&self, signal: &'a Signal) -> &'a str {
        if self.0.contains(signal.as_str()) { signal.as_str() } else { OTHER }
    }
}

fn is_dimension_value(text: &str) -> bool {
    text.is_ascii() && !text.trim().is_empty() && text.len() <= MAX_DIMENSION_CHARS
}

/// Counts of an invocation. Contains no user data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    interactions: BTreeMap<String, u64>,
    events: u64,
    anomalies: BTreeMap<Severity, u64>,
    skipped: BTreeMap<&'static str, u64>,
    waits: BTreeMap<String, Duration>,
    dropped: BTreeMap<String, u64>,
}

impl Metrics {
    /// Counts an accepted interaction with `signal`.
    pub fn add_interaction(&mut self, signal: &Signal, counted: &CountedSignals) {
        *self.interactions.entry(counted.name(signal).to_owned()).or_default() += 1;
    }

    /// Counts a stored event.
    pub fn add_event(&mut self) {
        self.events += 1;
    }

    /// Counts an anomaly that has reached `severity`.
    pub fn add_anomaly(&mut self, severity: Severity) {
        *self.anomalies.entry(severity).or_default() += 1;
    }

    /// Counts model calls in an OTLP export that are not recorded for `reason`.
    pub fn add_skipped(&mut self, reason: &'static str, count: u64) {
        *self.skipped.entry(reason).or_default() += count;
    }

    /// Records that a message of the queue named `queue` has waited for `wait`, if that is late. Keeps the longest
    /// wait.
    pub fn observe_wait(&mut self, queue: &str, wait: Duration) {
        if wait >= LATE {
            let longest = self.waits.entry(queue.to_owned()).or_default();
            *longest = wait.max(*longest);
        }
    }

    /// Counts a message of the queue named `queue` that was deleted because nobody receives it.
    pub fn add_dropped(&mut self, queue: &str) {
        *self.dropped.entry(queue.to_owned()).or_default() += 1;
    }

    /// Returns the log lines without line ends, or none if nothing was counted. A line has one value of a dimension, so
    /// there is one line per value.
    pub fn lines(&self, now: Timestamp) -> Vec<String> {
        let count = |dimension, metric, count: &u64| line(now, dimension, metric, "Count", (*count).into());
        let interactions =
            self.interactions.iter().map(|(signal, n)| count(Some(("Signal", signal)), "Interactions", n));
        let events = (self.events > 0).then(|| count(None, "Events", &self.events));
        let anomalies =
            self.anomalies.iter().map(|(severity, n)| count(Some(("Severity", severity.name())), "Anomalies", n));
        let skipped = self.skipped.iter().map(|(reason, n)| count(Some(("Reason", reason)), "OtlpSkipped", n));
        let wait = |(queue, wait): (&String, &Duration)| {
            line(now, Some(("QueueName", queue)), "QueueWait", "Seconds", wait.as_secs().into())
        };
        let waits = self.waits.iter().map(wait);
        let dropped = self.dropped.iter().map(|(queue, n)| count(Some(("QueueName", queue)), "DroppedMessages", n));
        interactions.chain(events).chain(anomalies).chain(skipped).chain(waits).chain(dropped).collect()
    }
}

fn line(now: Timestamp, dimension: Option<(&str, &str)>, metric: &str, unit: &str, value: Value) -> String {
    let names: Vec<_> = dimension.iter().map(|(name, _)| *name).collect();
    let directive = json!({
        "Namespace": NAMESPACE, "Dimensions": [names], "Metrics": [{ "Name": metric, "Unit": unit }],
    });
    let mut root = Map::new();
    root.insert("_aws".to_owned(), json!({ "Timestamp": now.millis(), "CloudWatchMetrics": [directive] }));
    root.extend(dimension.map(|(name, value)| (name.to_owned(), Value::from(value))));
    root.insert(metric.to_owned(), value);
    Value::Object(root).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A metric, its dimensions and its value.
    type Counted = (String, Vec<(String, String)>, f64);

    /// Returns the metrics that CloudWatch would extract: namespace, metric, dimensions and value of each. Asserts the
    /// rules of the specification.
    fn read(line: &str) -> Vec<Counted> {
        assert!(!line.contains('\n') && line.len() < 256 * 1_024);
        let root: Value = serde_json::from_str(line).expect("JSON");
        let aws = root["_aws"].as_object().expect("metadata");
        assert_eq!(
            aws.keys().collect::<BTreeSet<_>>(),
            ["CloudWatchMetrics", "Timestamp"].map(String::from).iter().collect()
        );
        aws["Timestamp"].as_u64().expect("milliseconds");
        let mut found = Vec::new();
        for directive in aws["CloudWatchMetrics"].as_array().expect("directives") {
            let members = ["Dimensions", "Metrics", "Namespace"].map(String::from);
            assert_eq!(
                directive.as_object().expect("a directive").keys().collect::<BTreeSet<_>>(),
                members.iter().collect()
            );
            assert_eq!(directive["Namespace"], NAMESPACE);
            let (sets, metrics) = (&directive["Dimensions"], &directive["Metrics"]);
            let (sets, metrics) = (sets.as_array().expect("sets"), metrics.as_array().expect("metrics"));
            assert!(!sets.is_empty() && !metrics.is_empty() && metrics.len() <= 100);
            for set in sets {
                let set = set.as_array().expect("a dimension set");
                assert!(set.len() <= 30);
                let dimension = |name: &Value| {
                    let name = name.as_str().filter(|name| (1..=250).contains(&name.len())).expect("a name");
                    let value = root[name].as_str().expect("a target member");
                    assert!(is_dimension_value(value), "{value:?}");
                    (name.to_owned(), value.to_owned())
                };
                let dimensions: Vec<_> = set.iter().map(dimension).collect();
                for metric in metrics {
                    let name = metric["Name"].as_str().expect("a name");
                    assert_eq!(metric["Unit"], if name == "QueueWait" { "Seconds" } else { "Count" });
                    found.push((name.to_owned(), dimensions.clone(), root[name].as_f64().expect("a number")));
                }
            }
        }
        found
    }

    fn counted() -> CountedSignals {
        let rule = |signal: &str| KeywordRule {
            signal: signal.try_into().expect("a signal"),
            keywords: Vec::new(),
            hints: Vec::new(),
        };
        CountedSignals::of(&[rule("bored"), rule("愉快")])
    }

    fn extracted(metrics: &Metrics) -> Vec<Counted> {
        let now = Timestamp::from_millis(1_700_000_000_123).expect("a time");
        let lines = metrics.lines(now);
        assert!(lines.iter().all(|line| line.contains(r#""Timestamp":1700000000123"#)));
        lines.iter().flat_map(|line| read(line)).collect()
    }

    fn of(metric: &str, dimension: Option<(&str, &str)>, count: f64) -> Counted {
        let dimension = dimension.map(|(name, value)| (name.to_owned(), value.to_owned()));
        (metric.to_owned(), dimension.into_iter().collect(), count)
    }

    #[test]
    fn no_lines_without_counts() {
        assert_eq!(Metrics::default().lines(Timestamp::now()), Vec::<String>::new());
    }

    #[test]
    fn each_dimension_value_has_a_line_with_its_sum() {
        let mut metrics = Metrics::default();
        for signal in ["bored", "positive", "bored", "neutral"] {
            metrics.add_interaction(&signal.try_into().expect("a signal"), &counted());
        }
        (0..500).for_each(|_| metrics.add_event());
        for severity in [Severity::Critical, Severity::Warning, Severity::Critical] {
            metrics.add_anomaly(severity);
        }
        let expected = [
            of("Interactions", Some(("Signal", "bored")), 2.0),
            of("Interactions", Some(("Signal", "neutral")), 1.0),
            of("Interactions", Some(("Signal", "positive")), 1.0),
            of("Events", None, 500.0),
            of("Anomalies", Some(("Severity", "warning")), 1.0),
            of("Anomalies", Some(("Severity", "critical")), 2.0),
        ];
        assert_eq!(extracted(&metrics), expected);
    }

    #[test]
    fn custom_signals_and_invalid_names_share_one_metric() {
        let mut metrics = Metrics::default();
        for signal in ["invented", "x", "愉快", " ", "Bored", "other"] {
            metrics.add_interaction(&signal.try_into().expect("a signal"), &counted());
        }
        assert_eq!(extracted(&metrics), [of("Interactions", Some(("Signal", OTHER)), 6.0)]);
    }

    #[test]
    fn queue_wait_is_the_longest_of_late_messages() {
        let mut metrics = Metrics::default();
        for (queue, seconds) in [("retries", 61), ("retries", 90_000), ("retries", 1_300), ("alerts", 59)] {
            metrics.observe_wait(queue, Duration::from_secs(seconds));
        }
        assert_eq!(extracted(&metrics), [of("QueueWait", Some(("QueueName", "retries")), 90_000.0)]);
    }

    #[test]
    fn skipped_calls_are_counted_by_reason() {
        let mut metrics = Metrics::default();
        for (reason, count) in [("NoUser", 3), ("NoContent", 1), ("NoUser", 2)] {
            metrics.add_skipped(reason, count);
        }
        let skipped = |reason, count| of("OtlpSkipped", Some(("Reason", reason)), count);
        assert_eq!(extracted(&metrics), [skipped("NoContent", 1.0), skipped("NoUser", 5.0)]);
    }

    #[test]
    fn dropped_messages_are_counted_by_queue() {
        let mut metrics = Metrics::default();
        (0..3).for_each(|_| metrics.add_dropped("alerts"));
        assert_eq!(extracted(&metrics), [of("DroppedMessages", Some(("QueueName", "alerts")), 3.0)]);
    }
}
