//! Measures the classifier on messages of agents' users and, if the dataset is available, on comments.

use std::fmt;
use std::path::Path;

use shared::config::Config;
use shared::ids::Signal;
use shared::logging::Classifier;
use shared::logging::classifier::{Language, Verdict};

const SUPPORT_CHAT: &str = include_str!("data/support-chat.tsv");
/// Messages in other languages. The terms of the lexicons were chosen on the odd lines.
const SUPPORT: [(&str, &str); 5] = [
    ("de", include_str!("data/de-support.tsv")),
    ("es", include_str!("data/es-support.tsv")),
    ("fr", include_str!("data/fr-support.tsv")),
    ("pt", include_str!("data/pt-support.tsv")),
    ("ja", include_str!("data/ja-support.tsv")),
];
/// Messages in six and more languages on which terms were chosen.
const TUNING: &str = include_str!("data/tuning-messages.tsv");
/// Messages in six and more languages that were written after the last term and changed none.
const HELD_OUT: &str = include_str!("data/held-out-messages.tsv");
/// Messages in languages without a lexicon.
const OTHER_LANGUAGES: &str = include_str!("data/other-languages.tsv");
/// Label of messages in languages without a lexicon.
const UNCLASSIFIED: &str = "unclassified";
/// The source, line, half and agreed signal of labelled messages.
const LABELS: &str = include_str!("../../scripts/lexicon/labels.tsv");
/// Some messages of the demo.
const DEMO: [(&str, &str); 20] = [
    ("Hi! I'd like to go somewhere warm in March, four nights.", "neutral"),
    ("Maybe Lisbon, maybe Seville. I can't decide.", "uncertain"),
    ("Which of the two has the better food?", "neutral"),
    ("The one with the blue tiles looks great!", "positive"),
    ("Book it for the 12th, two rooms side by side.", "neutral"),
    ("Now I see both. Thank you for fixing it so fast.", "positive"),
    ("Happy to go anywhere that has room for a cello.", "neutral"),
    ("When will the refund arrive?", "neutral"),
    ("Good to know. I'll check on Friday.", "neutral"),
    ("My internet is down since this morning.", "neutral"),
    ("I have restarted it. Twice.", "neutral"),
    ("Third restart, same red light. This is frustrating.", "stressed"),
    ("What does error 691 even mean?", "neutral"),
    ("Green light! It works, and with two minutes to spare.", "positive"),
    ("Red light again. You must be joking.", "stressed"),
    ("And one made of steel, if there is such a thing.", "neutral"),
    ("Something that doesn't look like a funeral.", "neutral"),
    ("I am not sure what to do with the piano.", "uncertain"),
    ("Ship, then. Six weeks without music.", "neutral"),
    ("Tracking says delivered, but there is no parcel.", "neutral"),
];

fn classifier() -> Classifier {
    Classifier::new(&Config::load().expect("valid").classifier)
}

#[test]
fn support_chat_is_understood() {
    let classifier = classifier();
    let mut right = [0.0, 0.0];
    let mut wrong = String::new();
    let messages: Vec<_> = SUPPORT_CHAT.lines().filter_map(|line| line.split_once('\t')).collect();
    assert!(messages.len() >= 200);
    for (row, (signal, text)) in messages.iter().enumerate() {
        let found = classifier.classify(text).signal;
        if found.as_str() == *signal {
            right[row % 2] += 1.0;
        } else {
            wrong += &format!("{signal}, found {found}: {text}\n");
        }
    }
    let half = messages.len() as f64 / 2.0;
    let shares = right.map(|right| right / half);
    println!("looked at: {:.3}, not looked at: {:.3}\n{wrong}", shares[0], shares[1]);
    assert!(shares.iter().all(|share| *share >= 0.85), "{shares:?}\n{wrong}");
}

/// The result for labelled messages of one language.
#[derive(Default)]
struct Measure {
    messages: usize,
    right: usize,
    recognised: usize,
    /// The number of messages with each standard signal as their label, as the result, and as both.
    signals: [[usize; 3]; 4],
    wrong: String,
}

impl Measure {
    fn add(&mut self, language: &str, signal: &str, text: &str, verdict: &Verdict) {
        let found = verdict.signal.as_str();
        self.messages += 1;
        self.recognised += usize::from(verdict.language.map(Language::code) == Some(language));
        self.right += usize::from(found == signal);
        for (name, counts) in Signal::STANDARD.into_iter().zip(&mut self.signals) {
            counts[0] += usize::from(name == signal);
            counts[1] += usize::from(name == found);
            counts[2] += usize::from(name == signal && name == found);
        }
        if found != signal {
            self.wrong += &format!("{signal}, found {found}: {text}\n");
        }
    }

    fn check(&self, name: &str, [accuracy, recognised]: [f64; 2]) {
        println!("{name}: {self}");
        let share = |count: usize| count as f64 / self.messages as f64;
        assert!(share(self.right) >= accuracy, "{name}: {self}\n{}", self.wrong);
        assert!(share(self.recognised) >= recognised, "{name}: {self}");
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} of {} right, {} recognised", self.right, self.messages, self.recognised)?;
        for (name, [given, found, right]) in Signal::STANDARD.into_iter().zip(self.signals) {
            write!(out, "; {name}: {right} of {given}, {right} of {found}")?;
        }
        Ok(())
    }
}

#[test]
fn support_messages_of_each_language_are_understood() {
    let classifier = classifier();
    for (language, messages) in SUPPORT {
        let mut halves = [Measure::default(), Measure::default()];
        for (row, line) in messages.lines().enumerate() {
            let (signal, text) = line.split_once('\t').expect("a signal and a text");
            halves[row % 2].add(language, signal, text, &classifier.classify(text));
        }
        assert!(halves.iter().all(|half| half.messages >= 50));
        for (half, limit) in halves.iter().zip([0.95, 0.90]) {
            half.check(language, [limit, 0.95]);
        }
    }
}

/// Returns the columns of `messages`: language, signal and text.
fn columns(messages: &str) -> impl Iterator<Item = [&str; 3]> {
    messages.lines().map(|line| {
        let mut columns = line.split('\t');
        [(); 3].map(|()| columns.next().expect("three columns"))
    })
}

#[test]
fn further_messages_of_each_language_are_understood() {
    let classifier = classifier();
    for (messages, limits) in [(TUNING, [0.90, 0.95]), (HELD_OUT, [0.75, 0.90])] {
        for language in ["de", "es", "fr", "pt", "ja"] {
            let mut measure = Measure::default();
            for [_, signal, text] in columns(messages).filter(|[code, ..]| *code == language) {
                measure.add(language, signal, text, &classifier.classify(text));
            }
            measure.check(language, limits);
            let [_, [neutral, _, found], ..] = measure.signals;
            assert!(found as f64 >= 0.9 * neutral as f64, "{}", measure.wrong);
        }
    }
}

#[test]
fn messages_in_languages_without_a_lexicon_have_no_score() {
    let classifier = classifier();
    let own = OTHER_LANGUAGES.lines().filter_map(|line| line.split_once('\t')).map(|(_, text)| text);
    let further = [TUNING, HELD_OUT].into_iter().flat_map(columns);
    let further = further.filter(|[_, signal, _]| *signal == UNCLASSIFIED).map(|[.., text]| text);
    let texts: Vec<_> = own.chain(further).collect();
    let read: Vec<_> = texts.iter().filter(|text| classifier.classify(text).score.is_some()).collect();
    println!("{} of {} have a score", read.len(), texts.len());
    assert!(read.len() * 20 <= texts.len(), "{read:?}");
}

#[test]
fn english_messages_are_not_taken_for_other_languages() {
    let classifier = classifier();
    let english = columns(HELD_OUT).filter(|[code, ..]| *code == "en").map(|[.., text]| text);
    let texts = SUPPORT_CHAT.lines().filter_map(|line| line.split_once('\t')).map(|(_, text)| text);
    for text in texts.chain(DEMO.map(|(text, _)| text)).chain(english) {
        assert_eq!(classifier.classify(text).language, Some(Language::English), "{text}");
    }
}

/// Runs if `SIGNALS_GOEMOTIONS` names the folder with the dataset's dev.tsv, which is not part of the repository.
#[test]
fn comments_never_learned_from_are_understood() {
    let Ok(folder) = std::env::var("SIGNALS_GOEMOTIONS") else {
        println!("skipped: SIGNALS_GOEMOTIONS does not name the dataset's folder");
        return;
    };
    let text = std::fs::read_to_string(Path::new(&folder).join("dev.tsv")).expect("dev.tsv");
    let evaluation =
        shared::logging::classifier::evaluation::evaluate(&classifier(), &text).expect("the dataset's form");
    assert!(evaluation.macro_f1() >= 0.63, "{evaluation}");
    assert!(evaluation.f1("stressed") >= 0.61 && evaluation.f1("uncertain") >= 0.38, "{evaluation}");
    assert_is_english("dev.tsv", &text);
}

/// Checks that fewer than one in 200 texts, in the first column of `lines`, are taken for another language.
fn assert_is_english(name: &str, lines: &str) {
    let classifier = classifier();
    let texts = lines.lines().filter_map(|line| line.split('\t').next());
    let (mut count, mut others) = (0, Vec::new());
    for text in texts {
        count += 1;
        others.extend((classifier.classify(text).language != Some(Language::English)).then_some(text));
    }
    println!("{name}: {} of {count} are not taken for English", others.len());
    assert!(others.len() * 200 < count, "{name}: {others:?}");
}

/// Runs if `SIGNALS_SERVICE` names the folder with banking77-train.tsv and multiwoz-turns.tsv.
#[test]
fn labelled_service_messages_are_understood() {
    let Ok(folder) = std::env::var("SIGNALS_SERVICE") else {
        println!("skipped: SIGNALS_SERVICE does not name the messages' folder");
        return;
    };
    let read = |name: &str| std::fs::read_to_string(Path::new(&folder).join(name)).expect(name);
    let sources = [("banking77", read("banking77-train.tsv")), ("multiwoz", read("multiwoz-turns.tsv"))];
    let classifier = classifier();
    for (source, text) in sources {
        let lines: Vec<_> = text.lines().collect();
        let (mut right, mut total) = (0.0, 0.0);
        for line in LABELS.lines().filter(|line| line.starts_with(source)) {
            let columns: Vec<_> = line.split('\t').collect();
            let message = lines[columns[1].parse::<usize>().expect("an index")].split('\t').next().expect("a text");
            if columns[2] == "report" {
                right += f64::from(u8::from(classifier.classify(message).signal.as_str() == columns[5]));
                total += 1.0;
            }
        }
        println!("{source}: {:.3}", right / total);
        assert_is_english(source, &text);
        assert!(right / total >= 0.88, "{source}: {right} of {total}");
    }
}

#[test]
fn the_texts_of_the_demo_are_understood() {
    let classifier = classifier();
    for (text, signal) in DEMO {
        let verdict = classifier.classify(text);
        assert_eq!(verdict.signal.as_str(), signal, "{text}: {verdict:?}");
    }
}
