//! Handles the messages of the queue: notifications of new log objects, and checks of open alerts.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt};
use shared::activity::{ActivityTable, RollUp, notification};
use shared::alerts::EpisodeTable;
use shared::aws::StoreError;
use shared::deadline::{Deadline, Overdue};
use shared::logging::LogBucket;
use shared::moods::{MoodCheck, MoodMonitor};
use shared::queue::{Failure, Queue};
use shared::time::Timestamp;

/// Checks made concurrently.
const PARALLEL_CHECKS: usize = 16;

/// Stores and queues of the function.
pub struct Context {
    /// Worker that counts log objects.
    pub roll_up: RollUp<ActivityTable, LogBucket>,
    /// Rules for moods.
    pub moods: MoodMonitor<ActivityTable, EpisodeTable, Queue, Queue>,
}

/// Message of the queue.
enum Request {
    /// Log objects to count.
    Objects(Vec<String>),
    /// Rules to evaluate again.
    Check(MoodCheck),
}

impl Request {
    fn parse(body: &str) -> Result<Self, Failure> {
        let check = || MoodCheck::parse(body).map(Self::Check);
        let reason = || Failure::Permanent { reason: "neither a notification of S3 nor a check of moods".to_owned() };
        check().or_else(|| notification::keys(body).map(Self::Objects)).ok_or_else(reason)
    }
}

impl Context {
    /// Handles the messages `bodies` and returns a result for each.
    pub async fn handle(&self, bodies: Vec<String>, deadline: Deadline) -> Vec<Result<(), Failure>> {
        let requests: Vec<_> = bodies.iter().map(|body| Request::parse(body)).collect();
        let failures = self.count(&requests, deadline).await.map_err(overdue);
        let failures = &failures;
        let results = requests.into_iter().map(|request| async move {
            match request? {
                Request::Objects(keys) => {
                    let failures = failures.as_ref().map_err(Failure::clone)?;
                    keys.iter().find_map(|key| failures.get(key)).map_or(Ok(()), |failure| Err(failure.clone().into()))
                }
                Request::Check(check) => self.check(&check, deadline).await,
            }
        });
        let results: Vec<_> = results.collect();
        stream::iter(results).buffered(PARALLEL_CHECKS).collect().await
    }

    /// Counts the objects of `requests` and evaluates the rules that they can violate. Returns the failures by key.
    async fn count(
        &self,
        requests: &[Result<Request, Failure>],
        deadline: Deadline,
    ) -> Result<BTreeMap<String, StoreError>, Overdue> {
        let objects = requests.iter().filter_map(|request| match request {
            Ok(Request::Objects(keys)) => Some(keys),
            _ => None,
        });
        let mut keys: Vec<String> = objects.flatten().cloned().collect();
        // Boxed: the types of nested futures would exceed the compiler's limit.
        let mut failures = deadline.bound(Box::pin(self.roll_up.count(&keys))).await?;
        keys.retain(|key| !failures.contains_key(key));
        failures.extend(self.moods.observe(&keys, Timestamp::now(), deadline).await);
        Ok(failures)
    }

    async fn check(&self, check: &MoodCheck, deadline: Deadline) -> Result<(), Failure> {
        let checked = deadline.bound(Box::pin(self.moods.check(check, Timestamp::now()))).await;
        Ok(checked.map_err(overdue)??)
    }
}

fn overdue(overdue: Overdue) -> Failure {
    Failure::Transient { cause: overdue.to_string(), after: None }
}
