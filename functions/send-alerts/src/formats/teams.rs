//! Messages of Microsoft Teams: an Adaptive Card, posted to a workflow that begins with "When a Teams webhook request is
//! received".
//!
//! Sources: <https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using> (the
//! message and its attachment) and <https://adaptivecards.io/explorer/> (the card).

use serde_json::{Value, json};
use shared::severity::Severity;

use super::LINK_TEXT;
use crate::summary::Summary;

/// The content type of the attachment.
const CARD: &str = "application/vnd.microsoft.card.adaptive";
/// The version of the card's schema. Teams supports versions up to 1.5:
/// <https://learn.microsoft.com/microsoft-copilot-studio/guidance/adaptive-cards-overview>. The elements of the card exist
/// since 1.2.
const VERSION: &str = "1.4";

/// Returns the message that describes an alert. Texts are runs of a RichTextBlock, where Markdown has no meaning, unlike
/// in a TextBlock or a Fact (<https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-format>):
/// names of users and agents may contain Markdown.
pub fn message(summary: &Summary) -> Value {
    let color = match summary.severity {
        _ if summary.is_recovery => "good",
        Some(Severity::Critical) => "attention",
        Some(Severity::Warning) => "warning",
        None => "default",
    };
    let run = |text: &str, is_bold: bool| {
        let weight = if is_bold { "bolder" } else { "default" };
        json!({ "type": "TextRun", "text": text, "weight": weight })
    };
    let mut title = run(&summary.title, true);
    title["size"] = "medium".into();
    title["color"] = color.into();
    let mut body = vec![json!({ "type": "RichTextBlock", "inlines": [title] })];
    body.extend(summary.facts.iter().map(|(name, value)| {
        let inlines = [run(&format!("{name}: "), true), run(value, false)];
        json!({ "type": "RichTextBlock", "spacing": "small", "inlines": inlines })
    }));
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": VERSION,
        "fallbackText": summary.title,
        "msteams": { "width": "Full" },
        "body": body,
    });
    if let Some(link) = &summary.link {
        card["actions"] = json!([{ "type": "Action.OpenUrl", "title": LINK_TEXT, "url": link }]);
    }
    json!({ "type": "message", "attachments": [{ "contentType": CARD, "contentUrl": null, "content": card }] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::tests::{alert, episode, mood};
    use crate::alert::{EPISODE_ESCALATED, MOOD_OPENED, MOOD_RECOVERED};
    use crate::summary::tests::{now, summary};

    /// The limit of a message: <https://learn.microsoft.com/connectors/teams/>, "Message size limit".
    const MAX_BYTES: usize = 28 * 1_024;

    #[test]
    fn message_has_a_card_with_title_facts_and_link() {
        let message = message(&summary(&mood(MOOD_OPENED)));
        let attachment = &message["attachments"][0];
        assert_eq!((&message["type"], &attachment["contentType"]), (&json!("message"), &json!(CARD)));
        let card = &attachment["content"];
        let title = "42 % of 50 interactions with agent support in 60 minutes were stressed.";
        assert_eq!(card["fallbackText"], title);
        let run = json!({ "type": "TextRun", "text": title, "weight": "bolder", "size": "medium", "color": "warning" });
        assert_eq!(card["body"][0], json!({ "type": "RichTextBlock", "inlines": [run] }));
        assert_eq!(
            card["body"][2],
            json!({ "type": "RichTextBlock", "spacing": "small", "inlines": [
                { "type": "TextRun", "text": "Agent: ", "weight": "bolder" },
                { "type": "TextRun", "text": "support", "weight": "default" },
            ] })
        );
        let url = "https://d1.cloudfront.net/#agent=support&range=24h";
        let action = json!({ "type": "Action.OpenUrl", "title": "Open the dashboard", "url": url });
        assert_eq!(card["actions"], json!([action]));
    }

    #[test]
    fn color_follows_severity_and_recovery() {
        let color = |value: &Value| {
            message(&summary(value))["attachments"][0]["content"]["body"][0]["inlines"][0]["color"].clone()
        };
        let test = json!({ "id": "a", "type": "test" });
        assert_eq!(
            [episode(EPISODE_ESCALATED), mood(MOOD_OPENED), mood(MOOD_RECOVERED), test].map(|value| color(&value)),
            ["attention", "warning", "good", "default"]
        );
    }

    #[test]
    fn card_without_dashboard_has_no_action() {
        let summary = Summary::new(&alert(&mood(MOOD_OPENED)), None, now());
        assert!(message(&summary)["attachments"][0]["content"].get("actions").is_none());
    }

    #[test]
    fn longest_message_is_within_the_limit() {
        let mut alert = episode(EPISODE_ESCALATED);
        alert["data"]["agent_ids"] = vec!["😀".repeat(32); 10].into();
        alert["data"]["rules"] = vec!["日".repeat(21) + ":1000000"; 10].into();
        alert["data"]["user_id"] = "é".repeat(64).into();
        let length = message(&summary(&alert)).to_string().len();
        assert!(length < MAX_BYTES, "{length}");
        let mut alert = mood(MOOD_RECOVERED);
        alert["data"]["rule"] = "😀".repeat(10_000).into();
        let length = message(&summary(&alert)).to_string().len();
        assert!(length < MAX_BYTES, "{length}");
    }
}
