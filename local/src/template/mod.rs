//! Reads the parts of `template.yaml` that a local stack needs: tables, buckets, queues, and the functions with their
//! routes and environment. The template is the only list of these resources.

mod intrinsics;
pub mod names;
mod yaml;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use intrinsics::Resolver;
use names::{bucket_name, queue_name, table_name};

/// The parts of a template that exist in a local stack.
#[derive(Debug)]
pub struct Template {
    /// The DynamoDB tables.
    pub tables: Vec<Table>,
    /// The names of the S3 buckets.
    pub buckets: Vec<String>,
    /// The notifications of the buckets.
    pub notifications: Vec<Notification>,
    /// The SQS queues. A dead-letter queue comes before the queues that use it.
    pub queues: Vec<Queue>,
    /// The Lambda functions.
    pub functions: Vec<Function>,
}

/// A DynamoDB table.
#[derive(Debug)]
pub struct Table {
    /// Its local name.
    pub name: String,
    /// The `CreateTable` request.
    pub definition: Value,
    /// The attribute with the Unix second from which an item is expired.
    pub time_to_live: Option<String>,
}

/// Notification of new objects in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The local name of the bucket.
    pub bucket: String,
    /// The prefix of the keys.
    pub prefix: String,
    /// The URL of the queue that is notified.
    pub queue_url: String,
}

/// An SQS queue.
#[derive(Debug)]
pub struct Queue {
    /// Its local name.
    pub name: String,
    /// Its attributes in the form of `CreateQueue`.
    pub attributes: BTreeMap<String, String>,
}

/// A Lambda function.
#[derive(Debug)]
pub struct Function {
    /// The name of its binary.
    pub name: String,
    /// The routes of the HTTP API that invoke the function.
    pub routes: Vec<Route>,
    /// The streams that invoke the function.
    pub streams: Vec<StreamSource>,
    /// The queues that invoke the function.
    pub queues: Vec<QueueSource>,
    /// The periods of the schedules that invoke the function.
    pub schedules: Vec<Duration>,
    /// The function's timeout.
    pub timeout: Duration,
    /// Its environment variables.
    pub environment: BTreeMap<String, String>,
}

/// The stream of a table, and the settings of its event source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSource {
    /// The local name of the table.
    pub table: String,
    /// The maximum number of changes per batch.
    pub batch_size: usize,
    /// The number of times that a failed change is retried.
    pub retries: u32,
    /// The URL of the queue for changes whose retries are exhausted.
    pub on_failure: Option<String>,
}

/// A queue, and the settings of its event source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSource {
    /// The queue's URL.
    pub url: String,
    /// The maximum number of messages per batch.
    pub batch_size: usize,
    /// The maximum number of concurrent batches.
    pub concurrency: Option<usize>,
    /// Set if batches are collected for some time.
    pub has_window: bool,
    /// Set if the function reports which messages of a batch have failed.
    pub reports_failures: bool,
}

/// A method and a path of the HTTP API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The method in capitals, or `ANY`.
    pub method: String,
    /// The path, with parameters such as `{user_id}`.
    pub path: String,
}

/// Lambda's default timeout, in seconds.
const DEFAULT_TIMEOUT_SECONDS: u64 = 3;

/// Lambda's default batch size for streams.
const DEFAULT_BATCH_SIZE: usize = 100;

/// Lambda's default batch size for queues.
const DEFAULT_QUEUE_BATCH_SIZE: usize = 10;

/// The properties of a table that `CreateTable` accepts unchanged.
const TABLE_PROPERTIES: [&str; 6] = [
    "AttributeDefinitions",
    "BillingMode",
    "GlobalSecondaryIndexes",
    "KeySchema",
    "LocalSecondaryIndexes",
    "ProvisionedThroughput",
];

/// The properties of a queue that `CreateQueue` accepts as text.
const QUEUE_PROPERTIES: [&str; 5] = [
    "DelaySeconds",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "VisibilityTimeout",
];

impl Template {
    /// Reads the template at `path`. The endpoint of the queues is `sqs_endpoint`, such as `http://127.0.0.1:8083`.
    ///
    /// # Errors
    /// Fails if the file cannot be read or uses something that a local stack does not support; the message names the
    /// place.
    pub fn load(path: &Path, sqs_endpoint: &str) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text, sqs_endpoint).with_context(|| path.display().to_string())
    }

    /// Like [`Template::load`], but reads the template from its text.
    ///
    /// # Errors
    /// Fails if the text is not a valid template, or uses something that a local stack does not support.
    pub fn parse(text: &str, sqs_endpoint: &str) -> Result<Self> {
        let document = yaml::read(text)?;
        let none = Map::new();
        let section = |name: &str| document.get(name).and_then(Value::as_object).unwrap_or(&none);
        let resolver = Resolver { parameters: section("Parameters"), resources: section("Resources"), sqs_endpoint };
        let globals = &document["Globals"]["Function"];

        let mut template =
            Self { tables: vec![], buckets: vec![], notifications: vec![], queues: vec![], functions: vec![] };
        for (id, resource) in resolver.resources {
            let place = format!("Resources.{id}");
            match resource["Type"].as_str().with_context(|| format!("{place}: Type is missing"))? {
                "AWS::DynamoDB::Table" => template.tables.push(table(id, resource, &resolver, &place)?),
                "AWS::S3::Bucket" => {
                    template.buckets.push(bucket_name(id));
                    template.notifications.extend(notifications(id, resource, &resolver, &place)?);
                }
                "AWS::SQS::Queue" => template.queues.push(queue(id, resource, &resolver, &place)?),
                "AWS::Serverless::Function" => {
                    template.functions.push(function(resource, globals, &resolver, &place)?);
                }
                // Logs, alarms, policies and similar resources have no local counterpart.
                _ => {}
            }
        }
        if template.functions.is_empty() {
            bail!("there is no AWS::Serverless::Function under Resources");
        }
        template.queues.sort_by_key(|queue| queue.attributes.contains_key("RedrivePolicy"));
        Ok(template)
    }

    /// Returns the combined environment variables of all functions, which share one `cargo lambda watch`.
    ///
    /// # Errors
    /// Fails if two functions have different values for one variable.
    pub fn environment(&self) -> Result<BTreeMap<String, String>> {
        let mut union = BTreeMap::new();
        for function in &self.functions {
            for (name, value) in &function.environment {
                match union.insert(name.clone(), value.clone()) {
                    Some(other) if other != *value => bail!(
                        "{name} is {value:?} for {} and {other:?} for another function; on a laptop they share it",
                        function.name
                    ),
                    _ => {}
                }
            }
        }
        Ok(union)
    }
}

fn table(id: &str, resource: &Value, resolver: &Resolver<'_>, place: &str) -> Result<Table> {
    let name = table_name(id);
    let mut definition = Map::from_iter([("TableName".to_owned(), name.clone().into())]);
    for property in TABLE_PROPERTIES {
        if let Some(value) = resource["Properties"].get(property) {
            definition.insert(property.to_owned(), resolver.resolve(value, &format!("{place}.Properties.{property}"))?);
        }
    }
    // The template specifies only the view type; `CreateTable` also requires the stream to be enabled.
    if let Some(view) = resource["Properties"]["StreamSpecification"].get("StreamViewType") {
        let view = resolver.text(view, &format!("{place}.Properties.StreamSpecification.StreamViewType"))?;
        definition.insert("StreamSpecification".to_owned(), json!({ "StreamEnabled": true, "StreamViewType": view }));
    }
    let time_to_live = &resource["Properties"]["TimeToLiveSpecification"];
    let time_to_live = match time_to_live["Enabled"].as_bool() {
        Some(true) => Some(resolver.text(&time_to_live["AttributeName"], &format!("{place}.TimeToLiveSpecification"))?),
        _ => None,
    };
    Ok(Table { name, definition: Value::Object(definition), time_to_live })
}

/// Returns the notifications of the bucket `id` to queues.
fn notifications(id: &str, resource: &Value, resolver: &Resolver<'_>, place: &str) -> Result<Vec<Notification>> {
    let place = format!("{place}.Properties.NotificationConfiguration.QueueConfigurations");
    let configured = &resource["Properties"]["NotificationConfiguration"]["QueueConfigurations"];
    let notification = |configured: &Value| {
        if configured["Event"] != "s3:ObjectCreated:*" {
            bail!("{place}: the event must be s3:ObjectCreated:*, not {}", configured["Event"]);
        }
        let rules = configured["Filter"]["S3Key"]["Rules"].as_array().map(Vec::as_slice).unwrap_or_default();
        let prefix = match rules {
            [] => String::new(),
            [rule] if rule["Name"] == "prefix" => resolver.text(&rule["Value"], &place)?,
            _ => bail!("{place}: the filter can have only one rule, for the prefix"),
        };
        // S3 compares the encoded form of other characters:
        // https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
        let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_./".contains(character);
        if !prefix.chars().all(is_plain) {
            bail!("{place}: the prefix {prefix} has special characters, which S3 compares in their encoded form");
        }
        Ok(Notification {
            bucket: bucket_name(id),
            prefix,
            queue_url: resolver.queue_url(&configured["Queue"], &place)?,
        })
    };
    configured.as_array().into_iter().flatten().map(notification).collect()
}

fn queue(id: &str, resource: &Value, resolver: &Resolver<'_>, place: &str) -> Result<Queue> {
    let properties = &resource["Properties"];
    let mut attributes = BTreeMap::new();
    for property in QUEUE_PROPERTIES {
        if let Some(value) = properties.get(property) {
            attributes.insert(property.to_owned(), resolver.text(value, &format!("{place}.Properties.{property}"))?);
        }
    }
    if let Some(policy) = properties.get("RedrivePolicy") {
        let policy = resolver.resolve(policy, &format!("{place}.Properties.RedrivePolicy"))?;
        attributes.insert("RedrivePolicy".to_owned(), policy.to_string());
    }
    Ok(Queue { name: queue_name(id), attributes })
}

fn function(resource: &Value, globals: &Value, resolver: &Resolver<'_>, place: &str) -> Result<Function> {
    let properties = &resource["Properties"];
    let name = resource["Metadata"]["BuildProperties"]["Binary"]
        .as_str()
        .with_context(|| format!("{place}: Metadata.BuildProperties.Binary is missing; it names the binary to run"))?;

    let mut routes = Vec::new();
    let (mut streams, mut queues, mut schedules) = (Vec::new(), Vec::new(), Vec::new());
    for (event, definition) in properties["Events"].as_object().unwrap_or(&Map::new()) {
        let (properties, place) = (&definition["Properties"], format!("{place}.Properties.Events.{event}.Properties"));
        let at = |field: &str| resolver.text(&properties[field], &format!("{place}.{field}"));
        match definition["Type"].as_str() {
            Some("HttpApi") => routes.push(Route { method: at("Method")?.to_uppercase(), path: at("Path")? }),
            Some("DynamoDB") => streams.push(StreamSource {
                table: at("Stream")?,
                batch_size: number(properties, "BatchSize").unwrap_or(DEFAULT_BATCH_SIZE),
                retries: number(properties, "MaximumRetryAttempts").unwrap_or(u32::MAX),
                on_failure: match properties["DestinationConfig"]["OnFailure"].get("Destination") {
                    Some(queue) => Some(resolver.queue_url(queue, &place)?),
                    None => None,
                },
            }),
            Some("SQS") => queues.push(QueueSource {
                url: resolver.queue_url(&properties["Queue"], &place)?,
                batch_size: number(properties, "BatchSize").unwrap_or(DEFAULT_QUEUE_BATCH_SIZE),
                has_window: number(properties, "MaximumBatchingWindowInSeconds")
                    .is_some_and(|seconds: u64| seconds > 0),
                concurrency: number(&properties["ScalingConfig"], "MaximumConcurrency"),
                reports_failures: properties["FunctionResponseTypes"]
                    .as_array()
                    .is_some_and(|types| types.iter().any(|kind| kind == "ReportBatchItemFailures")),
            }),
            Some("Schedule") => schedules.push(period(&at("Schedule")?).with_context(|| place.clone())?),
            _ => {}
        }
    }

    let mut environment = BTreeMap::new();
    for (section, owner) in [("Globals.Function", globals), (&format!("{place}.Properties"), properties)] {
        for (variable, value) in owner["Environment"]["Variables"].as_object().unwrap_or(&Map::new()) {
            let place = format!("{section}.Environment.Variables.{variable}");
            environment.insert(variable.clone(), resolver.text(value, &place)?);
        }
    }

    let timeout = [properties, globals].iter().find_map(|owner| owner["Timeout"].as_u64());
    let timeout = Duration::from_secs(timeout.unwrap_or(DEFAULT_TIMEOUT_SECONDS));
    Ok(Function { name: name.to_owned(), routes, streams, queues, schedules, timeout, environment })
}

/// Parses the expression of a schedule, such as `rate(1 day)`.
fn period(expression: &str) -> Result<Duration> {
    let rate = expression.strip_prefix("rate(").and_then(|rate| rate.strip_suffix(')'));
    let (number, unit) = rate.and_then(|rate| rate.split_once(' ')).unwrap_or_default();
    let minutes = match unit.trim_end_matches('s') {
        "minute" => 1,
        "hour" => 60,
        "day" => 24 * 60,
        _ => bail!("cannot read the schedule {expression}: here only rate(number unit) is supported"),
    };
    let number: u64 = number.parse().with_context(|| format!("cannot read the number in the schedule {expression}"))?;
    Ok(Duration::from_secs(60 * minutes * number))
}

/// Returns a whole number, or `None` if the property is missing or negative. A negative number means that there is no
/// limit.
fn number<T: TryFrom<u64>>(properties: &Value, name: &str) -> Option<T> {
    properties[name].as_u64().and_then(|number| T::try_from(number).ok())
}

#[cfg(test)]
mod tests;
