//! Draws a chart to the file that the first argument names: `cargo run -p shared --example chart chart.png`.

use shared::ids::{AgentId, Signal, UserId};
use shared::logging::{Conversation, Summary, chart};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("usage: chart FILE [USER] [SIGNAL=COUNT]…")?;
    let user = arguments.next().unwrap_or_else(|| "maria".to_owned());
    let counts: Vec<String> = arguments.collect();
    let given: Result<Summary, String> = counts
        .iter()
        .map(|pair| {
            let (signal, count) = pair.split_once('=').ok_or("a count is SIGNAL=COUNT")?;
            let signal = Signal::try_from(signal).map_err(|problem| problem.message().to_owned())?;
            Ok((signal, count.parse().map_err(|_| "a count is a whole number")?))
        })
        .collect();
    let conversation = Conversation {
        agent_id: AgentId::try_from("support").map_err(|problem| problem.message().to_owned())?,
        user_id: UserId::try_from(user).map_err(|problem| problem.message().to_owned())?,
    };
    std::fs::write(file, chart::draw(&given?, &conversation)?)?;
    Ok(())
}
