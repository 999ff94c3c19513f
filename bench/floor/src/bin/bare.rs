//! Makes only the AWS calls of each endpoint: the baseline of a request's time.
//!
//! Reads lines of `<endpoint> <repetitions> <subject>` from standard input, makes the endpoint's calls in sequence, and
//! writes for each line a JSON array of durations in microseconds. The clients are those of the functions, so the
//! difference to a function is the function's own time.

use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead, Write};
use std::time::Instant;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use aws_sdk_s3::primitives::ByteStream;
use futures_util::future::try_join_all;
use shared::aws::{Aws, Settings};
use shared::env;
use shared::logging::reader::SUMMARY_ENTRIES;
use uuid::Uuid;

type Done = Result<(), Box<dyn Error>>;

/// Page sizes of the functions.
const LISTED_FOR_LOGS: i32 = 11;
const LISTED_FOR_SUMMARY: i32 = SUMMARY_ENTRIES as i32;
/// Time between two events, so that each is alone in its window.
const EVENT_GAP_MILLIS: u64 = 10_000;

struct Bare {
    dynamodb: aws_sdk_dynamodb::Client,
    s3: aws_sdk_s3::Client,
    bucket: String,
    events: String,
    anomalies: String,
    feedback: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Done {
    let aws = Aws::new(Settings::from_env()?);
    let bare = Bare {
        dynamodb: aws.dynamodb(),
        s3: aws.s3(),
        bucket: env::required(env::LOG_BUCKET)?,
        events: env::required(env::EVENTS_TABLE)?,
        anomalies: env::required(env::ANOMALIES_TABLE)?,
        feedback: env::required(env::FEEDBACK_TABLE)?,
    };
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.split(' ');
        let (Some(endpoint), Some(times), Some(subject)) = (words.next(), words.next(), words.next()) else {
            return Err(format!("not an order: {line}").into());
        };
        let mut micros = Vec::new();
        for _ in 0..times.parse()? {
            let started = Instant::now();
            bare.call(endpoint, subject).await?;
            micros.push(started.elapsed().as_secs_f64() * 1e6);
        }
        println!("{}", serde_json::to_string(&micros)?);
        std::io::stdout().flush()?;
    }
    Ok(())
}

impl Bare {
    /// Makes the calls of `endpoint`. `subject` is the prefix of a log in S3, or a user in DynamoDB.
    async fn call(&self, endpoint: &str, subject: &str) -> Done {
        match endpoint {
            "post-log" => self.put_object(subject).await,
            "get-logs" => {
                self.list_and_get(subject).await?;
                self.query(&self.feedback, "bench", "bench#0", "bench#~", 100).await
            }
            "get-summary" | "get-visualize" => self.list(subject, LISTED_FOR_SUMMARY).await.map(drop),
            "post-event" => self.put_and_query(subject).await,
            "get-anomalies" => self.query(&self.anomalies, subject, "e#", "e~", 101).await,
            _ => Err(format!("no endpoint: {endpoint}").into()),
        }
    }

    async fn put_object(&self, prefix: &str) -> Done {
        let body = br#"{"log_id":"00000000-0000-0000-0000-000000000000","timestamp":"2026-01-01T00:00:00.000Z","agent_id":"bench","user_id":"writer","user_input":"Thank you, that was great help with my order","detected_signal":"positive","response_type":"","coherence_score_impact":null,"escalation_flag":false,"session_id":null,"v":1}"#;
        let id = Uuid::now_v7();
        let key = format!("{prefix}8203271503999-8203271503999-{id}.positive=1.jsonl");
        let put = self.s3.put_object().bucket(&self.bucket).key(key).if_none_match("*");
        put.content_type("application/x-ndjson").body(ByteStream::from_static(body)).send().await?;
        Ok(())
    }

    async fn list(&self, prefix: &str, most: i32) -> Result<Vec<String>, Box<dyn Error>> {
        let list = self.s3.list_objects_v2().bucket(&self.bucket).prefix(prefix).max_keys(most).send().await?;
        Ok(list.contents.unwrap_or_default().into_iter().filter_map(|object| object.key).collect())
    }

    async fn list_and_get(&self, prefix: &str) -> Done {
        let keys = self.list(prefix, LISTED_FOR_LOGS).await?;
        try_join_all(keys.iter().take(10).map(|key| async move {
            let object = self.s3.get_object().bucket(&self.bucket).key(key).send().await?;
            object.body.collect().await?;
            Ok::<_, Box<dyn Error>>(())
        }))
        .await?;
        Ok(())
    }

    async fn put_and_query(&self, user: &str) -> Done {
        let id = Uuid::now_v7();
        // Far apart, like the events of the benchmark.
        let at = id.as_u128() as u64 % 1_000_000 * EVENT_GAP_MILLIS;
        let key = format!("e#{at:013}#bench#{id}");
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let number = |number: &str| AttributeValue::N(number.to_owned());
        let item = HashMap::from([
            ("user_id".to_owned(), text(user)),
            ("sk".to_owned(), text(&key)),
            ("signal_type".to_owned(), text("neutral")),
            ("timestamp".to_owned(), text("2026-01-01T00:00:00.000000Z")),
            ("payload_digest".to_owned(), text("44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a")),
            ("received_at".to_owned(), text("2026-01-01T00:00:00.000000Z")),
            ("receipt".to_owned(), number("1234567890")),
            ("time_source".to_owned(), text("client")),
            ("skew_ms".to_owned(), number("0")),
            ("payload_bytes".to_owned(), number("2")),
            ("payload".to_owned(), text("{}")),
            ("expires_at".to_owned(), number("4000000000")),
        ]);
        self.dynamodb
            .put_item()
            .table_name(&self.events)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(sk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await?;
        self.query(&self.events, user, &key, &format!("{key}~"), 100).await
    }

    async fn query(&self, table: &str, user: &str, from: &str, to: &str, limit: i32) -> Done {
        self.dynamodb
            .query()
            .table_name(table)
            .key_condition_expression("user_id = :user AND sk BETWEEN :from AND :to")
            .expression_attribute_values(":user", AttributeValue::S(user.to_owned()))
            .expression_attribute_values(":from", AttributeValue::S(from.to_owned()))
            .expression_attribute_values(":to", AttributeValue::S(to.to_owned()))
            .consistent_read(true)
            .limit(limit)
            .send()
            .await?;
        Ok(())
    }
}
