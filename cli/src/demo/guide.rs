//! Questions that the demo's data answers, and where to find the answers.

use std::collections::BTreeSet;

use anyhow::Result;
use time::Duration;

use super::Destination;
use super::items::millis;
use super::story::{Marker, Story};
use super::texts::Texts;

/// Returns questions about `story`, each with a link to the dashboard, if there is one, and a command.
///
/// # Errors
/// Fails if a sign-in link cannot be created.
pub(super) fn questions(destination: &Destination, story: &Story, texts: &Texts) -> Result<String> {
    let marker = Marker::of(story.end.date(), texts);
    let mut lines = vec!["Three questions that this data answers:".to_owned()];
    let mut add = |question: &str, answer: String, view: &[(&str, &str)], path: &str| -> Result<()> {
        lines.push(format!("\n{question}\n   {answer}"));
        if let Some(link) = destination.link(view)? {
            lines.push(format!("   {link}"));
        }
        lines.push(format!("   {}", destination.curl(path)));
        Ok(())
    };

    let stressed = texts
        .agents
        .iter()
        .flat_map(|agent| agent.now.iter().map(|conversation| format!("{} ({})", conversation.user, agent.name)));
    let stressed = stressed.collect::<Vec<_>>().join(", ");
    add(
        "1. Who is stressed now?",
        format!("{stressed}."),
        &[("agent", marker.agent), ("user", &marker.user)],
        &format!("/agents/{}/activity?sort=stressed&limit=5", marker.agent),
    )?;

    let (from, to) = (story.incident, story.incident + Duration::HOUR);
    let range = millis(from)..millis(to);
    let agent = texts.agents.iter().find(|agent| !agent.incident.is_empty()).map_or("", |agent| agent.name);
    let in_hour = story.interactions.iter().filter(|one| one.item.agent == agent && range.contains(&one.item.millis));
    let signals: Vec<_> = in_hour.map(|one| one.signal.as_str()).collect();
    let stressed = signals.iter().filter(|signal| **signal == "stressed").count();
    let (date, hours) = (from.date(), format!("{:02}:00 to {:02}:00 UTC", from.hour(), to.hour()));
    add(
        "2. What happened in the bad hour after the release?",
        format!("On {date} from {hours}, {stressed} of {} messages to {agent} were stressed.", signals.len()),
        &[("agent", agent)],
        &format!("/agents/{agent}/logs?signal=stressed&until={date}T{:02}:00:00Z", to.hour()),
    )?;

    let users = story.events.iter().filter(|event| event.body["signal_type"] != "rating");
    let users: BTreeSet<_> = users.map(|event| event.user.as_str()).collect();
    add(
        "3. Which users sent bursts of events?",
        format!("{}.", users.into_iter().collect::<Vec<_>>().join(", ")),
        &[("agent", marker.agent), ("user", &marker.user)],
        &format!("/anomalies/{}?group=episode", marker.user),
    )?;
    Ok(lines.join("\n"))
}
