//! The code under measurement, and its events.

use std::path::Path;

use anyhow::{Result, ensure};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use futures_util::{StreamExt, TryStreamExt, stream};
use local::credentials::Credentials;
use local::services::dynamodb::Changes;
use local::services::{self, Service, dynamodb};
use local::template::Template;
use local::template::names::{REGION, table_name};
use shared::aws::{Aws, CaBundle, Settings};
use shared::config::Config;
use shared::ids::{AgentId, EventId, SignalType, UserId};
use shared::integrity::key::EventKey;
use shared::integrity::payload::Payload;
use shared::integrity::pipeline::EventPipeline;
use shared::integrity::store::PutEvent;
use shared::integrity::{AnomalyTable, Event, EventTable, ReceivedEvent};
use shared::time::Timestamp;
use shared::unknown::UnknownNames;
use tempfile::TempDir;

use crate::meter::{Item, Meter, Reading, bytes, read_units, write_units};

pub const MILLISECOND: i64 = 1_000;
pub const MINUTE: i64 = 60_000 * MILLISECOND;
/// The number of events in a flood.
pub const FLOOD: usize = 1_000;
const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml");

/// A pipeline like the functions', with a meter for its calls.
pub struct Bench {
    pipeline: EventPipeline<EventTable, AnomalyTable>,
    client: Client,
    meter: Meter,
    begin: Timestamp,
    _service: Service,
    _folder: TempDir,
}

/// The number of measured events, and the maximum of write units that one of them took.
pub struct Most {
    pub events: usize,
    pub writes: f64,
}

impl Bench {
    pub fn start() -> Result<Self> {
        let folder = TempDir::new()?;
        let tables = Template::load(Path::new(TEMPLATE), "")?.tables;
        let database = dynamodb::open(&folder.path().join("dynamodb.sqlite"), &tables)?;
        let credentials = Credentials::generate()?;
        let service = dynamodb::start(services::bind(0)?, &database, &credentials, &Changes::default())?;
        let aws = Aws::new(Settings {
            region: REGION.to_owned(),
            credentials: credentials.for_sdk(),
            dynamodb_endpoint: Some(service.endpoint()),
            s3_endpoint: None,
            sqs_endpoint: None,
            ssm_endpoint: None,
            authorities: CaBundle::default(),
        });
        let meter = Meter::default();
        // A slow machine must not cause retries.
        let patient = aws.dynamodb().config().to_builder().timeout_config(TimeoutConfig::disabled());
        let client = Client::from_conf(patient.interceptor(meter.clone()).build());
        let config = Config::load()?;
        let pipeline = EventPipeline {
            events: EventTable::new(client.clone(), table_name("EventsTable")),
            anomalies: AnomalyTable::new(client.clone(), table_name("AnomaliesTable")),
            detection: config.detection,
            retention: config.retention,
        };
        // A week ago, so that no event is ahead of the server's clock.
        let begin = Timestamp::now().offset(-7 * 24 * 60 * MINUTE);
        Ok(Self { pipeline, client, meter, begin, _service: service, _folder: folder })
    }

    /// Checks that the capacity reported by the embedded DynamoDB matches the published rules.
    pub async fn check_the_emulator(&self) -> Result<()> {
        let table = table_name("EventsTable");
        let item = |sort_key: &str, size: usize| {
            let mut item = Item::from([("user_id".to_owned(), text("u")), ("sk".to_owned(), text(sort_key))]);
            let rest = size - bytes(Some(&item)) - "payload".len();
            item.insert("payload".to_owned(), text(&"x".repeat(rest)));
            item
        };
        let sizes = [100, 1_023, 1_024, 1_025, 10_240, 61_441];
        for (n, size) in sizes.into_iter().enumerate() {
            let item = item(&n.to_string(), size);
            self.client.put_item().table_name(&table).set_item(Some(item)).send().await?;
            let writes = self.meter.take().writes;
            ensure!(writes == write_units(size), "an item of {size} bytes is said to take {writes} write units");
        }
        let put = Put::builder().table_name(&table).set_item(Some(item("t", 1_025))).build()?;
        let put = TransactWriteItem::builder().put(put).build();
        self.client.transact_write_items().transact_items(put).send().await?;
        let writes = self.meter.take().writes;
        ensure!(writes == 2.0 * write_units(1_025), "a transaction is said to take {writes} write units");
        for limit in 1..=sizes.len() {
            let query = self.client.query().table_name(&table).consistent_read(true).limit(i32::try_from(limit)?);
            let query = query.key_condition_expression("user_id = :u").expression_attribute_values(":u", text("u"));
            query.projection_expression("sk").send().await?;
            let (reads, size) = (self.meter.take().reads, sizes[..limit].iter().sum());
            ensure!(reads == read_units(size), "a query of {size} bytes is said to take {reads} read units");
        }
        Ok(())
    }

    /// Ingests `events` in sequence.
    pub async fn each(&self, events: Vec<ReceivedEvent>) -> Result<(Reading, Most)> {
        let (mut sum, mut most) = (Reading::default(), Most { events: events.len(), writes: 0.0 });
        for event in events {
            self.meter.take();
            self.pipeline.ingest(event).await?;
            let reading = self.meter.take();
            most.writes = most.writes.max(reading.writes);
            sum.add(reading);
        }
        Ok((sum, most))
    }

    /// Ingests many of `events` concurrently.
    pub async fn at_once(&self, events: Vec<ReceivedEvent>) -> Result<Reading> {
        self.meter.take();
        let ingest = |event| async { self.pipeline.ingest(event).await.map(drop) };
        stream::iter(events).map(ingest).buffer_unordered(32).try_collect::<()>().await?;
        Ok(self.meter.take())
    }

    /// Ingests `events` as one batch.
    pub async fn batch(&self, events: Vec<ReceivedEvent>) -> Result<Reading> {
        self.meter.take();
        for outcome in self.pipeline.ingest_all(events).await {
            outcome?;
        }
        Ok(self.meter.take())
    }

    /// Evaluates stored events, each of `batches` at once.
    pub async fn evaluate(&self, user: &UserId, batches: &[&[EventKey]]) -> Result<Reading> {
        self.meter.take();
        for keys in batches {
            self.pipeline.evaluate(user, keys).await?;
        }
        Ok(self.meter.take())
    }

    /// Stores `events` without evaluating them.
    pub async fn store(&self, events: Vec<ReceivedEvent>) -> Result<()> {
        let put = |event: ReceivedEvent| async move { self.pipeline.events.put(&event, None).await.map(drop) };
        Ok(stream::iter(events).map(put).buffer_unordered(16).try_collect().await?)
    }

    /// Returns a flood of one user's events, with payloads of this many bytes, in their order of arrival.
    pub fn flood(&self, payload: usize, order: Order) -> Vec<ReceivedEvent> {
        let identity = if order == Order::Shuffled { Identity::Client } else { Identity::None };
        let sample = Sample { payload, identity, ..Sample::new(&format!("flood {order:?} {payload}")) };
        let count = FLOOD as i64;
        let time = |n: i64| match order {
            Order::ById | Order::AtOnce | Order::Shuffled => 0,
            Order::Forward => n,
            Order::Backward => count - n,
            // Yields every remainder once: the factor and the count have no common divisor.
            Order::ShuffledTimes => n * 619 % count,
        };
        (0..count).map(|n| sample.event(self, n, time(n) * MILLISECOND)).collect()
    }
}

/// The order in which the events of a flood arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// All at the same time, with ascending ids generated by the server.
    ById,
    /// Like [`Self::ById`], but many concurrently.
    AtOnce,
    /// All at the same time, with random ids.
    Shuffled,
    /// In time order, within one second.
    Forward,
    /// The last event first.
    Backward,
    /// In random time order.
    ShuffledTimes,
}

/// The fields by which a retried event is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// No field.
    None,
    /// An id, with a fixed timestamp.
    Client,
    /// An id and `sent_at`.
    SentAt,
    /// An id, with a timestamp ahead of the server's clock.
    Ahead,
}

/// Events of one kind.
pub struct Sample {
    pub user: String,
    pub payload: usize,
    pub identity: Identity,
    /// The delay of the retry after the first attempt, in microseconds.
    pub delay: i64,
}

impl Sample {
    /// Creates a sample with small payloads and without ids.
    pub fn new(user: &str) -> Self {
        Self { user: user.to_owned(), payload: 102, identity: Identity::None, delay: 0 }
    }

    /// Returns the `n`th event of the sample, `micros` after the first.
    pub fn event(&self, bench: &Bench, n: i64, micros: i64) -> ReceivedEvent {
        let timestamp = bench.begin.offset(micros);
        let skew = if self.identity == Identity::Ahead { -200 } else { 200 };
        let received_at = timestamp.offset(skew * MILLISECOND + self.delay);
        let sent_at = (self.identity == Identity::SentAt).then(|| timestamp.offset(50 * MILLISECOND));
        let event_id = (self.identity != Identity::None).then(|| random_id(n));
        let event = Event {
            user_id: known(UserId::try_from(self.user.as_str())),
            agent_id: known(AgentId::try_from("support-agent")),
            signal_type: known(SignalType::try_from("frustrated")),
            timestamp,
            sent_at,
            event_id,
            payload: Payload::parse(&format!(r#"{{"text":"{}"}}"#, "x".repeat(self.payload - r#"{"text":""}"#.len())))
                .expect("a JSON object"),
            ignored: UnknownNames::default(),
        };
        ReceivedEvent::new(event, received_at, &bench.pipeline.detection)
    }
}

/// Returns the user of `events` and the keys under which the events are stored.
pub fn keys(events: &[ReceivedEvent]) -> (UserId, Vec<EventKey>) {
    (events[0].user_id.clone(), events.iter().map(|event| event.key.clone()).collect())
}

/// Returns an id as long as a UUID, in no order, and the same in every run.
fn random_id(n: i64) -> EventId {
    let mut bits = (n as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits ^= bits >> 27;
    known(EventId::try_from(format!("{bits:016x}-{n:019}")))
}

fn known<T, E: std::fmt::Debug>(id: Result<T, E>) -> T {
    id.expect("a valid id")
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}
