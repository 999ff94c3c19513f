//! How well the classifier does, on what agents' users say and, where the dataset is at hand, on comments.

use std::path::Path;

use shared::config::Config;
use shared::logging::Classifier;

const SUPPORT_CHAT: &str = include_str!("data/support-chat.tsv");

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

/// Runs where `SIGNALS_GOEMOTIONS` names the folder with the dataset's dev.tsv, which is not part of the repository.
#[test]
fn comments_never_learned_from_are_understood() {
    let Ok(folder) = std::env::var("SIGNALS_GOEMOTIONS") else {
        println!("skipped: SIGNALS_GOEMOTIONS does not name the dataset's folder");
        return;
    };
    let text = std::fs::read_to_string(Path::new(&folder).join("dev.tsv")).expect("dev.tsv");
    let evaluation =
        shared::logging::classifier::evaluation::evaluate(&classifier(), &text).expect("the dataset's form");
    assert!(evaluation.macro_f1() >= 0.62, "{evaluation}");
    assert!(evaluation.f1("stressed") >= 0.60 && evaluation.f1("uncertain") >= 0.48, "{evaluation}");
}
