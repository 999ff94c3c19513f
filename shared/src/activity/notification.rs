//! Notifications of S3 about new objects.
//!
//! Format: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>.

use percent_encoding::percent_decode_str;
use serde::Deserialize;

/// Message of S3. Its test message has no records.
#[derive(Debug, Deserialize)]
struct Message {
    #[serde(rename = "Records", default)]
    records: Vec<Record>,
}

#[derive(Debug, Deserialize)]
struct Record {
    s3: Entity,
}

#[derive(Debug, Deserialize)]
struct Entity {
    object: Object,
}

#[derive(Debug, Deserialize)]
struct Object {
    key: String,
}

/// Returns the keys of the objects that the message `body` names, or `None` if the message is not one of S3.
pub fn keys(body: &str) -> Option<Vec<String>> {
    let message: Message = serde_json::from_str(body).ok()?;
    message.records.into_iter().map(|record| decode(&record.s3.object.key)).collect()
}

/// Decodes a key, which S3 encodes like the field of a form.
fn decode(key: &str) -> Option<String> {
    let spaced = key.replace('+', " ");
    Some(percent_decode_str(&spaced).decode_utf8().ok()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_decoded_once() {
        let record = |key: &str| json!({ "eventName": "ObjectCreated:Put", "s3": { "object": { "key": key } } });
        let body = json!({ "Records": [record("logs/agent_id%3Da%2520b/x+y%2Bz"), record("%C3%A9")] });
        let expected = vec!["logs/agent_id=a%20b/x y+z".to_owned(), "é".to_owned()];
        assert_eq!(keys(&body.to_string()), Some(expected));
    }

    #[test]
    fn test_message_names_no_object_and_other_messages_are_refused() {
        let test = json!({ "Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b" });
        assert_eq!(keys(&test.to_string()), Some(Vec::new()));
        for body in ["", "{\"Records\":[{}]}", "{\"Records\":[{\"s3\":{\"object\":{\"key\":\"%FF\"}}}]}"] {
            assert_eq!(keys(body), None, "{body}");
        }
    }
}
