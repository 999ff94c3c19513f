//! Repeats one rule, for programs that count instructions: `rules classify 100`. Without arguments, prints the names of
//! all rules.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.len() == 0 {
        for (name, _) in rules::RULES {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    }
    let (name, times) = (arguments.next().unwrap_or_default(), arguments.next());
    let (Some(mut run), Some(times)) = (rules::prepare(&name), times.and_then(|times| times.parse::<u32>().ok()))
    else {
        eprintln!("usage: rules NAME TIMES, where NAME is one of {:?}", rules::RULES.map(|(name, _)| name));
        return ExitCode::FAILURE;
    };
    for _ in 0..times {
        run();
    }
    ExitCode::SUCCESS
}
