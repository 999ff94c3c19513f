//! Draws a chart to the file that the first argument names, as SVG where its name says so:
//! `cargo run -p shared --example chart chart.png dark 800x480 maria positive=3`.

use shared::ids::{AgentId, Signal, UserId};
use shared::logging::chart::{self, ChartData, ChartOptions, Theme};
use shared::logging::{Conversation, Span, Summary};
use shared::validation::literal;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("usage: chart FILE [light|dark] [WIDTHxHEIGHT] [USER] [SIGNAL=COUNT]…")?;
    let theme = literal::<Theme>(arguments.next().unwrap_or_else(|| "light".to_owned()))?;
    let size = arguments.next().unwrap_or_else(|| "800x480".to_owned());
    let (width, height) = size.split_once('x').ok_or("a size is WIDTHxHEIGHT")?;
    let options = ChartOptions { width: width.parse()?, height: height.parse()?, theme };
    let user = arguments.next().unwrap_or_else(|| "maria".to_owned());
    let counts: Vec<String> = arguments.collect();
    let given: Result<Summary, String> = counts
        .iter()
        .map(|pair| {
            let (signal, count) = pair.split_once('=').ok_or("a count is SIGNAL=COUNT")?;
            let signal = Signal::try_from(signal).map_err(|violation| violation.to_string())?;
            Ok((signal, count.parse().map_err(|_| "a count is a whole number")?))
        })
        .collect();
    let conversation = Conversation { agent_id: AgentId::try_from("support")?, user_id: UserId::try_from(user)? };
    let summary = given?;
    let data = ChartData::of(&conversation, &summary, Span::default());
    if file.ends_with(".svg") {
        std::fs::write(file, chart::svg(&data, options)?)?;
    } else {
        std::fs::write(file, chart::png(&data, options)?)?;
    }
    Ok(())
}
