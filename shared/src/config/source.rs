//! The configuration file as written, and its validation into a [`Config`].

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::suggestion::similar;
use super::{
    Alerts, ByteLimit, ClassifierConfig, ClassifierMode, Clock, Config, ConfigError, Detection, KeywordRule, Limits,
    MoodCondition, MoodRule, Retention, ShareLimits, Thresholds, WindowScope,
};
use crate::ids::{Signal, SignalType};
use crate::severity::Severity;

/// Maximum page of events that one evaluation may read.
const MAX_ITEMS_LIMIT: u32 = 1_000;
/// Body size in bytes. In a queue a body is a string within JSON, where it takes up to twice as many bytes, and an SQS
/// message is limited to a quarter of a mebibyte. (A DynamoDB item is limited to 400 KB.)
const BODY_BYTES: RangeInclusive<i64> = 1..=120_000;
/// Batch size in bytes. Lambda limits requests to 6 MB:
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
const BATCH_BYTES: RangeInclusive<i64> = 1..=6_000_000;
/// Number of events in a batch. With 600 entirely invalid events, the response stays below Lambda's 6 MB; a test
/// verifies that.
const BATCH_EVENTS: RangeInclusive<i64> = 1..=600;
/// Number of interactions in a batch. As many results stay below Lambda's 6 MB too; a test verifies that. A segment has
/// at most as many entries.
const LOG_BATCH_ENTRIES: RangeInclusive<i64> = 1..=1_000;

/// Window of a mood rule in minutes. Older interactions are ignored.
const MAX_MOOD_MINUTES: i64 = 60;
/// Interactions in a row. All of them are read at once.
const MAX_RUN: i64 = 1_000;
/// Share above which an alert opens or is critical. Nothing exceeds 1.
const MAX_SHARE: f64 = 0.99;

/// Parses `text`, the content of a file named `file`.
pub(super) fn read(file: &str, text: &str) -> Result<Config, ConfigError> {
    let source = Source { file, text };
    let parsed: File = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let message = source.unknown_key(at, error.message());
        source.error(at, message.unwrap_or_else(|| error.message().to_owned()))
    })?;
    let thresholds = source.thresholds(parsed.thresholds)?;
    Ok(Config {
        classifier: ClassifierConfig {
            mode: parsed.classifier.mode,
            rules: source.keyword_rules(parsed.classifier.rules)?,
        },
        detection: source.detection(parsed.window, thresholds)?,
        alerts: Alerts {
            quiet: Duration::from_secs(source.whole(
                "alerts.quiet_seconds",
                &parsed.alerts.quiet_seconds,
                1..=86_400,
            )?),
            min_severity: parsed.alerts.min_severity,
        },
        moods: source.mood_rules(parsed.alerts.moods)?,
        limits: Limits {
            max_body_bytes: source.byte_limit("limits.max_body_bytes", &parsed.limits.max_body_bytes, BODY_BYTES)?,
            max_batch_events: source.whole("limits.max_batch_events", &parsed.limits.max_batch_events, BATCH_EVENTS)?,
            max_batch_bytes: source.byte_limit(
                "limits.max_batch_bytes",
                &parsed.limits.max_batch_bytes,
                BATCH_BYTES,
            )?,
            max_log_batch_entries: source.whole(
                "limits.max_log_batch_entries",
                &parsed.limits.max_log_batch_entries,
                LOG_BATCH_ENTRIES,
            )?,
            max_log_batch_bytes: source.byte_limit(
                "limits.max_log_batch_bytes",
                &parsed.limits.max_log_batch_bytes,
                BATCH_BYTES,
            )?,
        },
        retention: Retention {
            events_days: source.whole("retention.events_days", &parsed.retention.events_days, 0..=36_500)?,
            anomalies_days: source.whole("retention.anomalies_days", &parsed.retention.anomalies_days, 0..=36_500)?,
        },
    })
}

/// The file as written. [`Config`] is its meaning.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    classifier: ClassifierTable,
    thresholds: BTreeMap<Spanned<String>, Spanned<i64>>,
    window: WindowTable,
    alerts: AlertsTable,
    limits: LimitsTable,
    retention: RetentionTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClassifierTable {
    #[serde(default)]
    mode: ClassifierMode,
    #[serde(default)]
    rules: Vec<RuleTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleTable {
    signal: Spanned<String>,
    #[serde(default)]
    keywords: Vec<Spanned<String>>,
    #[serde(default)]
    hints: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WindowTable {
    seconds: Spanned<f64>,
    max_items: Spanned<i64>,
    max_future_seconds: Spanned<i64>,
    clock: Clock,
    #[serde(default)]
    scope: WindowScope,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AlertsTable {
    quiet_seconds: Spanned<i64>,
    min_severity: Severity,
    #[serde(default)]
    moods: Vec<MoodTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MoodTable {
    signal: Spanned<String>,
    minutes: Spanned<i64>,
    share_above: Option<Spanned<f64>>,
    critical_above: Option<Spanned<f64>>,
    recover_below: Option<Spanned<f64>>,
    users_above: Option<Spanned<i64>>,
    min_interactions: Option<Spanned<i64>>,
    in_a_row: Option<Spanned<i64>>,
    critical_in_a_row: Option<Spanned<i64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsTable {
    max_body_bytes: Spanned<i64>,
    max_batch_events: Spanned<i64>,
    max_batch_bytes: Spanned<i64>,
    max_log_batch_entries: Spanned<i64>,
    max_log_batch_bytes: Spanned<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetentionTable {
    events_days: Spanned<i64>,
    anomalies_days: Spanned<i64>,
}

/// Text of the file, which lets an error name the line of a value.
struct Source<'a> {
    file: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn error(&self, byte: usize, message: impl Into<String>) -> ConfigError {
        let line = self.text.bytes().take(byte).filter(|&byte| byte == b'\n').count() + 1;
        ConfigError::Invalid { file: self.file.to_owned(), line, message: message.into() }
    }

    /// Returns a message about the unknown key at `byte`, if serde's `message` is about one.
    fn unknown_key(&self, byte: usize, message: &str) -> Option<String> {
        let (key, expected) = message.strip_prefix("unknown field `")?.split_once("`, expected ")?;
        let keys: Vec<_> = expected.split('`').skip(1).step_by(2).collect();
        let before = self.text.get(..byte)?;
        let is_table = before.rsplit('\n').next().is_some_and(|line| line.starts_with('['));
        let suggestion = similar(key, keys.iter().copied());
        Some(match (is_table, suggestion) {
            (true, Some(suggestion)) => format!("unknown table [{key}], did you mean [{suggestion}]?"),
            (true, None) => format!("unknown table [{key}]; the tables are {}", keys.join(", ")),
            (false, Some(suggestion)) => self.misspelt_key(byte, key, suggestion),
            (false, None) => {
                format!("unknown key \"{key}\" in {}; its keys are {}", self.table_of(byte), keys.join(", "))
            }
        })
    }

    fn misspelt_key(&self, byte: usize, key: &str, suggestion: &str) -> String {
        format!("unknown key \"{key}\" in {}, did you mean \"{suggestion}\"?", self.table_of(byte))
    }

    /// Returns the header of the table that contains the key at `byte`.
    fn table_of(&self, byte: usize) -> &str {
        let before = self.text.get(..byte).unwrap_or_default();
        before.lines().rev().find(|line| line.starts_with('[')).map_or("the file", str::trim)
    }

    fn whole<T: TryFrom<i64>>(
        &self,
        key: &str,
        value: &Spanned<i64>,
        allowed: RangeInclusive<i64>,
    ) -> Result<T, ConfigError> {
        let given = *value.get_ref();
        let refuse = || {
            self.error(
                value.span().start,
                format!("{key} must be {} to {}, not {given}", allowed.start(), allowed.end()),
            )
        };
        if !allowed.contains(&given) {
            return Err(refuse());
        }
        T::try_from(given).map_err(|_| refuse())
    }

    fn byte_limit(
        &self,
        limit_name: &'static str,
        value: &Spanned<i64>,
        allowed: RangeInclusive<i64>,
    ) -> Result<ByteLimit, ConfigError> {
        Ok(ByteLimit { limit_name, bytes: self.whole(limit_name, value, allowed)? })
    }

    /// Returns a share, which must be within `allowed`.
    fn share(&self, key: &str, value: &Spanned<f64>, allowed: RangeInclusive<f64>) -> Result<f64, ConfigError> {
        let given = *value.get_ref();
        if !allowed.contains(&given) {
            let message = format!("{key} must be {} to {}, not {given}", allowed.start(), allowed.end());
            return Err(self.error(value.span().start, message));
        }
        Ok(given)
    }

    fn mood_rules(&self, tables: Vec<MoodTable>) -> Result<Vec<MoodRule>, ConfigError> {
        let mut rules: Vec<MoodRule> = Vec::new();
        for table in tables {
            let at = table.signal.span().start;
            let rule = self.mood_rule(table)?;
            if rules.iter().any(|other| other.text() == rule.text()) {
                return Err(self.error(at, format!("alerts.moods has two rules for {}: remove one", rule.text())));
            }
            rules.push(rule);
        }
        Ok(rules)
    }

    fn mood_rule(&self, rule: MoodTable) -> Result<MoodRule, ConfigError> {
        let at = rule.signal.span().start;
        let condition = match (&rule.share_above, &rule.in_a_row) {
            (Some(above), None) => MoodCondition::Share(self.share_limits(&rule, above)?),
            (None, Some(length)) => self.run(&rule, length)?,
            (None, None) => return Err(self.error(at, "alerts.moods needs share_above or in_a_row")),
            (Some(_), Some(_)) => {
                return Err(self.error(at, "alerts.moods has both share_above and in_a_row: write two rules"));
            }
        };
        let minutes: u64 = self.whole("alerts.moods.minutes", &rule.minutes, 1..=MAX_MOOD_MINUTES)?;
        let signal = self.rule_signal("alerts.moods.signal", rule.signal)?;
        Ok(MoodRule { signal, window: Duration::from_secs(60 * minutes), condition })
    }

    fn share_limits(&self, rule: &MoodTable, above: &Spanned<f64>) -> Result<ShareLimits, ConfigError> {
        self.only_with("in_a_row", &[("critical_in_a_row", rule.critical_in_a_row.as_ref().map(Spanned::span))])?;
        let above = self.share("alerts.moods.share_above", above, 0.0..=MAX_SHARE)?;
        let critical = rule.critical_above.as_ref();
        let critical = critical.map(|share| self.share("alerts.moods.critical_above", share, above..=MAX_SHARE));
        let recover = rule.recover_below.as_ref();
        let recover = recover.map(|share| self.share("alerts.moods.recover_below", share, 0.0..=above));
        let count = |name: &str, value: &Option<Spanned<i64>>, default| {
            value
                .as_ref()
                .map_or(Ok(default), |value| self.whole(&format!("alerts.moods.{name}"), value, 0..=1_000_000))
        };
        Ok(ShareLimits {
            above,
            critical_above: critical.transpose()?,
            recover_below: recover.transpose()?.unwrap_or(above * 2.0 / 3.0),
            users_above: count("users_above", &rule.users_above, 0)?,
            min_interactions: count("min_interactions", &rule.min_interactions, 1)?,
        })
    }

    fn run(&self, rule: &MoodTable, length: &Spanned<i64>) -> Result<MoodCondition, ConfigError> {
        self.only_with(
            "share_above",
            &[
                ("critical_above", rule.critical_above.as_ref().map(Spanned::span)),
                ("recover_below", rule.recover_below.as_ref().map(Spanned::span)),
                ("users_above", rule.users_above.as_ref().map(Spanned::span)),
                ("min_interactions", rule.min_interactions.as_ref().map(Spanned::span)),
            ],
        )?;
        let length: u32 = self.whole("alerts.moods.in_a_row", length, 1..=MAX_RUN - 1)?;
        let critical = rule.critical_in_a_row.as_ref();
        let longer = i64::from(length) + 1..=MAX_RUN;
        let critical = critical.map(|value| self.whole("alerts.moods.critical_in_a_row", value, longer));
        Ok(MoodCondition::Run { length, critical_length: critical.transpose()? })
    }

    /// Refuses the `fields` of a mood rule that are given, because they belong to rules with `other`.
    fn only_with(&self, other: &str, fields: &[(&str, Option<Range<usize>>)]) -> Result<(), ConfigError> {
        match fields.iter().find_map(|(name, span)| Some((name, span.as_ref()?.start))) {
            Some((name, at)) => {
                Err(self.error(at, format!("alerts.moods.{name} belongs to {other}, which is missing")))
            }
            None => Ok(()),
        }
    }

    fn keyword_rules(&self, rules: Vec<RuleTable>) -> Result<Vec<KeywordRule>, ConfigError> {
        rules.into_iter().map(|rule| self.keyword_rule(rule)).collect()
    }

    /// Returns the signal that the value of `key` names.
    fn rule_signal(&self, key: &str, signal: Spanned<String>) -> Result<Signal, ConfigError> {
        let at = signal.span().start;
        let signal =
            Signal::try_from(signal.into_inner()).map_err(|violation| self.error(at, format!("{key}: {violation}")))?;
        if signal.as_str() == Signal::UNCLASSIFIED {
            let message = format!("{key} must not be {signal}: texts that cannot be read are counted under this name");
            return Err(self.error(at, message));
        }
        Ok(signal)
    }

    fn keyword_rule(&self, rule: RuleTable) -> Result<KeywordRule, ConfigError> {
        let at = rule.signal.span().start;
        let signal = self.rule_signal("classifier.rules.signal", rule.signal)?;
        if rule.keywords.is_empty() && rule.hints.is_empty() {
            return Err(self.error(at, format!("classifier.rules.keywords of {signal} is empty")));
        }
        let read = |keywords: Vec<Spanned<String>>| {
            keywords.into_iter().map(|keyword| self.keyword(&signal, keyword)).collect::<Result<_, _>>()
        };
        Ok(KeywordRule { keywords: read(rule.keywords)?, hints: read(rule.hints)?, signal })
    }

    fn keyword(&self, signal: &Signal, keyword: Spanned<String>) -> Result<String, ConfigError> {
        let at = keyword.span().start;
        let text = keyword.into_inner();
        if text.trim_end_matches('*').trim().is_empty() {
            return Err(self.error(
                at,
                format!(
                    "classifier.rules.keywords of {signal}: {text:?} matches any text, so add a character other than *"
                ),
            ));
        }
        Ok(text)
    }

    fn thresholds(&self, table: BTreeMap<Spanned<String>, Spanned<i64>>) -> Result<Thresholds, ConfigError> {
        const DEFAULT: &str = "default";
        let mut default = None;
        let mut by_type = BTreeMap::new();
        let is_missing = table.keys().all(|key| key.get_ref() != DEFAULT);
        let misspelt = table.keys().find(|key| is_missing && similar(key.get_ref(), [DEFAULT].into_iter()).is_some());
        if let Some(key) = misspelt {
            let at = key.span().start;
            return Err(self.error(at, self.misspelt_key(at, key.get_ref(), DEFAULT)));
        }
        for (key, value) in table {
            let name = format!("thresholds.{}", key.get_ref());
            let threshold = self.whole(&name, &value, 1..=i64::from(MAX_ITEMS_LIMIT))?;
            if key.get_ref() == DEFAULT {
                default = Some(threshold);
            } else {
                let at = key.span().start;
                let signal_type = SignalType::try_from(key.into_inner())
                    .map_err(|violation| self.error(at, format!("{name}: {violation}")))?;
                by_type.insert(signal_type, threshold);
            }
        }
        let default = default
            .ok_or_else(|| self.error(self.text.find("[thresholds]").unwrap_or(0), "thresholds.default is missing"))?;
        Ok(Thresholds { default, by_type })
    }

    fn detection(&self, window: WindowTable, thresholds: Thresholds) -> Result<Detection, ConfigError> {
        let seconds = *window.seconds.get_ref();
        if !(seconds > 0.0 && seconds <= 3_600.0) {
            let message = format!("window.seconds must be more than 0 and at most 3600, not {seconds}");
            return Err(self.error(window.seconds.span().start, message));
        }
        let max_items = self.whole("window.max_items", &window.max_items, 1..=i64::from(MAX_ITEMS_LIMIT))?;
        let largest = thresholds.largest();
        if 2 * max_items <= 3 * largest {
            let message = format!(
                "window.max_items must be more than one and a half times the largest threshold, {largest}, not {max_items}"
            );
            return Err(self.error(window.max_items.span().start, message));
        }
        Ok(Detection {
            window_micros: (seconds * 1e6).round().max(1.0) as i64,
            max_items,
            max_future: Duration::from_secs(self.whole(
                "window.max_future_seconds",
                &window.max_future_seconds,
                0..=31_536_000,
            )?),
            clock: window.clock,
            scope: window.scope,
            thresholds,
        })
    }
}
