//! Measures how many messages one core classifies in a second: the best of five rounds. The messages are the lines of
//! the file that the first argument names, or else English texts of about 100 characters.

use std::time::Instant;

use shared::config::Config;
use shared::logging::Classifier;

const ROUNDS: usize = 5;
const MESSAGES: usize = 50_000;
const TEXTS: [&str; 4] = [
    "I've been waiting for two hours now and the export still doesn't work, this is really frustrating me!",
    "Thank you so much for the quick answer yesterday, the import works like a charm now, much appreciated",
    "Could you explain again how the second step works? I am not certain that I have found the right menu.",
    "The report is sent every Monday at eight and lists the orders of the week before, with their totals.",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let classifier = Classifier::new(&Config::load()?.classifier);
    let file = std::env::args().nth(1).map(std::fs::read_to_string).transpose()?;
    let texts: Vec<&str> = file.as_ref().map_or(TEXTS.to_vec(), |file| file.lines().collect());
    let mut best: f64 = 0.0;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        for text in texts.iter().cycle().take(MESSAGES) {
            std::hint::black_box(classifier.classify(std::hint::black_box(text)));
        }
        best = best.max(f64::from(u32::try_from(MESSAGES)?) / started.elapsed().as_secs_f64());
    }
    println!("{best:.0} messages a second");
    Ok(())
}
