//! The comparison of a classifier with feedback, and with the signals before a change.

use std::fmt;

use shared::ids::Signal;
use shared::logging::Classifier;
use shared::logging::classifier::evaluation::Evaluation;

use super::labelled::Labelled;

/// The maximum number of characters of a text that are printed.
const SHOWN_CHARS: usize = 100;

/// A text whose signal changes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change<'a> {
    text: &'a str,
    given: &'a Signal,
    before: Signal,
    now: Signal,
}

/// The signals of texts with feedback, now and before.
#[derive(Clone, Debug)]
pub(super) struct Comparison<'a> {
    now: Evaluation,
    /// The texts whose signal before is known.
    before: Evaluation,
    reference: &'static str,
    changes: Vec<Change<'a>>,
    shown: usize,
}

impl<'a> Comparison<'a> {
    /// Classifies the texts of `labelled` with `classifier`, and compares the signals with those of `reference`, or with the
    /// detected signals in `labelled`. At most `shown` changes are printed.
    pub fn of(labelled: &'a [Labelled], classifier: &Classifier, reference: Option<&Classifier>, shown: usize) -> Self {
        let name = if reference.is_some() { "the configuration compiled in" } else { "the detected signals" };
        let (now, before) = (Evaluation::default(), Evaluation::default());
        let mut comparison = Self { now, before, reference: name, changes: Vec::new(), shown };
        for Labelled { user_input, signal, detected_signal } in labelled {
            let found = |classifier: &Classifier| classifier.classify(user_input).counted_signal();
            let now = found(classifier);
            let before = reference.map(found).or_else(|| detected_signal.clone());
            comparison.now.add(signal.clone(), now.clone());
            let Some(before) = before else { continue };
            comparison.before.add(signal.clone(), before.clone());
            if before != now {
                comparison.changes.push(Change { text: user_input, given: signal, before, now });
            }
        }
        // Texts that were right are the most important ones.
        comparison.changes.sort_by_key(|change| (change.before != *change.given, change.now != *change.given));
        comparison
    }
}

impl Change<'_> {
    fn kind(&self) -> &'static str {
        if self.before == *self.given {
            "worse"
        } else if self.now == *self.given {
            "better"
        } else {
            "other"
        }
    }
}

impl fmt::Display for Comparison<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accuracy = |evaluation: &Evaluation| {
            format!("{:.3} ({} of {})", evaluation.accuracy(), evaluation.right(), evaluation.texts())
        };
        writeln!(out, "accuracy {}", accuracy(&self.now))?;
        if self.before.texts() > 0 {
            writeln!(out, "accuracy of {} {}", self.reference, accuracy(&self.before))?;
        }
        write!(out, "\nRows are the signals that people gave, columns those of the classifier.\n\n{}", self.now)?;
        if self.before.texts() == 0 {
            return Ok(());
        }
        let count = |kind| self.changes.iter().filter(|change| change.kind() == kind).count();
        let (all, better, worse) = (self.changes.len(), count("better"), count("worse"));
        write!(out, "\n\nchanged from {}: {all} texts, {better} better, {worse} worse", self.reference)?;
        for change in self.changes.iter().take(self.shown) {
            let Change { text, given, before, now } = change;
            let mut text: String = text.chars().take(SHOWN_CHARS + 1).collect();
            if text.chars().count() > SHOWN_CHARS {
                text.pop();
                text.push('…');
            }
            // Escaped, because a text can contain control sequences of a terminal.
            let text = text.escape_debug();
            write!(out, "\n{:<6} {before} → {now}, should be {given}: \"{text}\"", change.kind())?;
        }
        match all.saturating_sub(self.shown) {
            0 => Ok(()),
            more => write!(out, "\nand {more} more; --changes prints more of them"),
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::config::Config;

    use super::*;

    fn labelled(rows: &[(&str, &str, Option<&str>)]) -> Vec<Labelled> {
        let signal = |name: &str| Signal::try_from(name).expect("a signal");
        let one = |(text, given, detected): &(&str, &str, Option<&str>)| Labelled {
            user_input: (*text).to_owned(),
            signal: signal(given),
            detected_signal: detected.map(signal),
        };
        rows.iter().map(one).collect()
    }

    fn classifier() -> Classifier {
        Classifier::new(&Config::compiled_in().expect("valid").classifier)
    }

    #[test]
    fn comparison_lists_what_became_worse_first() {
        let texts = labelled(&[
            ("I am so frustrated", "stressed", Some("neutral")),
            ("I am angry", "neutral", Some("neutral")),
            ("I am upset", "positive", Some("neutral")),
            ("Где мой заказ?", "neutral", Some("unclassified")),
            ("I am stressed", "stressed", None),
        ]);
        let text = Comparison::of(&texts, &classifier(), None, 2).to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[..2], ["accuracy 0.400 (2 of 5)", "accuracy of the detected signals 0.250 (1 of 4)"]);
        let changes = lines.iter().position(|line| line.starts_with("changed")).expect("changes");
        let expected = [
            "changed from the detected signals: 3 texts, 1 better, 1 worse",
            "worse  neutral → stressed, should be neutral: \"I am angry\"",
            "better neutral → stressed, should be stressed: \"I am so frustrated\"",
            "and 1 more; --changes prints more of them",
        ];
        assert_eq!(lines[changes..], expected);
    }

    #[test]
    fn comparison_without_earlier_signals_shows_only_the_table() {
        let texts = labelled(&[("I am so frustrated", "stressed", None)]);
        let text = Comparison::of(&texts, &classifier(), None, 20).to_string();
        assert!(text.starts_with("accuracy 1.000 (1 of 1)\n\nRows") && !text.contains("changed"), "{text}");
    }

    #[test]
    fn texts_cannot_control_the_terminal() {
        let long = format!("angry \u{1b}[2J\u{9b}2J\r\n{}", "é".repeat(200));
        let texts = labelled(&[(&long, "neutral", Some("neutral"))]);
        let text = Comparison::of(&texts, &classifier(), None, 20).to_string();
        let last = text.lines().last().expect("a line");
        assert!(!last.contains(char::is_control) && last.ends_with("é…\""), "{last}");
    }
}
