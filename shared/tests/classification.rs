//! Measures the classifier on messages of agents' users and, if the dataset is available, on comments.

use std::path::Path;

use shared::config::Config;
use shared::logging::Classifier;

const SUPPORT_CHAT: &str = include_str!("data/support-chat.tsv");
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
