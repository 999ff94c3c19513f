//! Messages of Slack's incoming webhooks, with Block Kit.
//!
//! Sources: <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks> and
//! <https://docs.slack.dev/reference/block-kit/blocks>.

use serde_json::{Value, json};

use super::LINK_TEXT;
use crate::summary::Summary;

/// The maximum length of a header:
/// <https://docs.slack.dev/reference/block-kit/blocks/header-block>.
const MAX_HEADER: usize = 150;
/// The maximum number of fields of a section and the maximum length of each:
/// <https://docs.slack.dev/reference/block-kit/blocks/section-block>.
const MAX_FIELDS: usize = 10;
const MAX_FIELD: usize = 2_000;
/// The maximum length of a text object, <https://docs.slack.dev/reference/block-kit/composition-objects/text-object>.
const MAX_TEXT: usize = 3_000;

/// Returns the message that describes an alert. Names of users and agents are plain text, so that Slack does not
/// interpret them as mentions, links or formatting.
pub fn message(summary: &Summary) -> Value {
    let plain = |text: String| json!({ "type": "plain_text", "text": text, "emoji": false });
    let mut blocks = vec![json!({ "type": "header", "text": plain(escaped(&summary.title, MAX_HEADER)) })];
    let fields = summary.facts.iter().take(MAX_FIELDS);
    let fields: Vec<_> = fields.map(|(name, value)| plain(escaped(&format!("{name}: {value}"), MAX_FIELD))).collect();
    if !fields.is_empty() {
        blocks.push(json!({ "type": "section", "fields": fields }));
    }
    // Not a button: Slack expects the app of a button to respond to clicks.
    let link = summary.link.as_ref().map(|link| format!("<{}|{LINK_TEXT}>", escaped(link, usize::MAX)));
    if let Some(link) = link.filter(|link| link.len() <= MAX_TEXT) {
        blocks.push(json!({ "type": "section", "text": { "type": "mrkdwn", "text": link, "verbatim": true } }));
    }
    // Shown in notifications, and by clients that show no blocks.
    json!({ "text": escaped(&summary.title, MAX_TEXT), "blocks": blocks })
}

/// Returns `text` with Slack's control characters escaped
/// (<https://docs.slack.dev/messaging/formatting-message-text#escaping>), or as much of its beginning as fits into `max`
/// UTF-16 code units with an ellipsis.
fn escaped(text: &str, max: usize) -> String {
    let escape = |character: char| match character {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        other => other.to_string(),
    };
    let length = |text: &str| text.encode_utf16().count();
    let whole: String = text.chars().map(escape).collect();
    if length(&whole) <= max {
        return whole;
    }
    let mut beginning = String::new();
    let mut left = max - 1;
    for piece in text.chars().map(escape) {
        let Some(rest) = left.checked_sub(length(&piece)) else { break };
        left = rest;
        beginning.push_str(&piece);
    }
    beginning + "…"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::tests::{episode, mood};
    use crate::alert::{EPISODE_ESCALATED, MOOD_RECOVERED};
    use crate::summary::tests::summary;

    #[test]
    fn message_has_a_header_fields_and_a_link() {
        let plain = |text: &str| json!({ "type": "plain_text", "text": text, "emoji": false });
        assert_eq!(
            message(&summary(&episode(EPISODE_ESCALATED))),
            json!({
                "text": "User maria sent far too many events to 2 agents: critical.",
                "blocks": [
                    { "type": "header", "text": plain("User maria sent far too many events to 2 agents: critical.") },
                    { "type": "section", "fields": [
                        plain("Severity: critical"), plain("Agents: billing, support"), plain("User: maria"),
                        plain("Started: 2026-01-02 12:00:00 UTC"), plain("Rule: tick:10"),
                        plain("Most events in a window: 16"),
                    ] },
                    { "type": "section", "text": {
                        "type": "mrkdwn", "verbatim": true,
                        "text": "<https://d1.cloudfront.net/#agent=billing&amp;user=maria&amp;range=24h|Open the dashboard>",
                    } },
                ],
            })
        );
    }

    #[test]
    fn control_characters_of_ids_are_escaped() {
        let mut alert = episode(EPISODE_ESCALATED);
        alert["data"]["user_id"] = "<!channel> & *co*".into();
        let text = message(&summary(&alert)).to_string();
        assert!(!text.contains("<!channel>") && text.contains("User &lt;!channel&gt; &amp; *co*"), "{text}");
        assert!(text.contains("user=%3C%21channel%3E+%26+*co*"), "{text}");
    }

    #[test]
    fn texts_are_within_the_limits_after_escaping() {
        assert_eq!(escaped("a&b", 7), "a&amp;b");
        assert_eq!(escaped("a&b&c", 7), "a&amp;…");
        assert_eq!(escaped("&&&", 3), "…");
        assert_eq!(escaped("😀😀", 3), "😀…");
        let mut alert = mood(MOOD_RECOVERED);
        alert["data"]["agent_id"] = "<".repeat(128).into();
        alert["data"]["rule"] = "&".repeat(5_000).into();
        let message = message(&summary(&alert));
        let lengths = |text: &Value| text["text"].as_str().expect("text").chars().count();
        assert_eq!(lengths(&message["blocks"][0]["text"]), 147);
        let fields = message["blocks"][1]["fields"].as_array().expect("fields");
        assert!(fields.len() <= MAX_FIELDS && fields.iter().all(|field| lengths(field) <= MAX_FIELD), "{fields:?}");
    }
}
