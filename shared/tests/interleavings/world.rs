//! Models requests, their clients and the stream around the tables, and all possible next steps.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use shared::aws::StoreError;
use shared::config::Config;
use shared::ids::UserId;
use shared::integrity::Anomaly;
use shared::integrity::key::EventKey;
use shared::integrity::pipeline::{EventPipeline, IngestOutcome};

use crate::invariants;
use crate::scenario::{Scenario, Sending};
use crate::scheduler::{CallId, Network, Port, Task};
use crate::store::{Flaws, ItemKey, Tables};
use crate::tables::TableClient;
use crate::trace;

/// A running task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskId {
    /// The n-th attempt of a client, both from 0.
    Request(usize, u32),
    /// The evaluation of a user's events delivered by the stream. One batch at a time, like a shard in DynamoDB.
    Delivery(UserId),
}

enum Outcome {
    Request(Vec<Result<IngestOutcome, StoreError>>),
    Delivery(Result<Vec<Anomaly>, StoreError>),
}

/// A possible next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A call takes effect and is answered. The task that waits for the answer runs on to its next call.
    Answer(CallId),
    /// A query takes effect, but misses the last puts.
    AnswerStale(CallId),
    /// The answer to a call is lost. The call may still take effect later, by [`Self::Answer`].
    Cut(CallId),
    /// A task dies. Its calls may still take effect.
    Crash(TaskId),
    /// The stream delivers the first few undelivered events.
    Deliver(UserId, usize),
    /// A client that received no response sends the same data again.
    Retry(usize),
}

#[derive(Clone, Debug, Default, Hash)]
struct Client {
    attempts: u32,
    is_unanswered: bool,
}

/// Undelivered events of the stream, and those being delivered.
#[derive(Clone, Debug, Default)]
struct Shard {
    waiting: Vec<EventKey>,
    told: Vec<EventKey>,
}

/// A schedule of a scenario up to the current step.
pub struct World<'a> {
    scenario: &'a Scenario,
    config: &'a Config,
    /// Current content of the tables.
    pub tables: Tables,
    network: Network<TaskId>,
    tasks: BTreeMap<TaskId, Task<Outcome>>,
    clients: Vec<Client>,
    shards: BTreeMap<UserId, Shard>,
    faults: u32,
    /// Largest count reported for each anomaly in a response.
    claims: BTreeMap<ItemKey, u32>,
    /// Error in a response, if any.
    broken: Option<String>,
    /// Log of the steps, if enabled.
    log: Option<Vec<String>>,
}

impl<'a> World<'a> {
    /// Creates the initial state: every client has sent its request, and no request has reached a table. Logs the steps
    /// if `logs`.
    pub fn new(scenario: &'a Scenario, config: &'a Config, tables: Tables, logs: bool) -> Self {
        let mut world = Self {
            scenario,
            config,
            tables,
            network: Network::default(),
            tasks: BTreeMap::new(),
            clients: vec![Client::default(); scenario.sendings.len()],
            shards: BTreeMap::new(),
            faults: scenario.faults,
            claims: BTreeMap::new(),
            broken: None,
            log: logs.then(Vec::new),
        };
        for client in 0..scenario.sendings.len() {
            world.send(client);
        }
        world
    }

    /// Returns all possible next steps, or only those of one task that affects no other.
    ///
    /// Such a task has a single call that changes nothing, now or later: its answer has the same effect at any time,
    /// for the task and for all others. So no outcome is missed if the call is answered, or fails, before all other
    /// steps.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut calls: BTreeMap<TaskId, Vec<(CallId, bool)>> = BTreeMap::new();
        self.network.each(|id, call| {
            steps.push(Step::Answer(id));
            if self.scenario.flaws.weak_reads && !call.operation.is_write() {
                steps.push(Step::AnswerStale(id));
            }
            if let Some(task) = &call.task {
                calls.entry(task.clone()).or_default().push((id, self.tables.is_settled(&call.operation)));
            }
        });
        let in_nobodys_way = calls.iter().find_map(|(task, calls)| match calls[..] {
            [(id, true)] => Some((task.clone(), id)),
            _ => None,
        });
        if let Some((task, id)) = in_nobodys_way {
            let faults = [Step::Cut(id), Step::Crash(task)].into_iter().filter(|_| self.faults > 0);
            return [Step::Answer(id)].into_iter().chain(faults).collect();
        }
        for (user, shard) in &self.shards {
            if shard.told.is_empty() {
                steps.extend((1..=shard.waiting.len()).map(|count| Step::Deliver(user.clone(), count)));
            }
        }
        let may_retry = |client: &Client| client.is_unanswered && client.attempts <= self.scenario.retries;
        steps.extend((0..self.clients.len()).filter(|client| may_retry(&self.clients[*client])).map(Step::Retry));
        if self.faults > 0 {
            steps.extend(calls.values().flatten().map(|(id, _)| Step::Cut(*id)));
            steps.extend(self.tasks.keys().cloned().map(Step::Crash));
        }
        steps
    }

    /// Performs a step.
    pub fn take(&mut self, step: &Step) {
        match step {
            Step::Answer(id) => self.answer(*id, false),
            Step::AnswerStale(id) => self.answer(*id, true),
            Step::Cut(id) => {
                let operation = self.network.operation(*id);
                let task = self.network.cut(*id);
                self.note(|| {
                    format!("{} gets no answer: {}", trace::owner(task.as_ref()), trace::question(&operation))
                });
                self.faults -= 1;
                if let Some(task) = task {
                    self.tasks.get_mut(&task).expect("a task").learn(&operation, None);
                    self.run(task);
                }
            }
            Step::Crash(task) => {
                self.note(|| format!("{} dies", trace::owner(Some(task))));
                self.faults -= 1;
                self.tasks.remove(task);
                self.ended_without_answer(task);
            }
            Step::Deliver(user, count) => {
                let shard = self.shards.get_mut(user).expect("a shard");
                shard.told = shard.waiting.drain(..*count).collect();
                let told = shard.told.clone();
                self.note(|| format!("the stream tells of {}", trace::keys(&told)));
                self.start_delivery(user.clone(), told);
            }
            Step::Retry(client) => self.send(*client),
        }
        self.network.forget(|operation| self.tables.is_settled(operation));
    }

    /// Returns whether no necessary step is left: no task is running, and the stream has delivered everything.
    pub fn is_quiet(&self) -> bool {
        self.tasks.is_empty() && self.shards.values().all(|shard| shard.waiting.is_empty() && shard.told.is_empty())
    }

    /// Returns the fault in the tables or in a response, if any.
    pub fn fault(&self) -> Option<String> {
        let is_quiet = self.is_quiet();
        self.broken.clone().or_else(|| invariants::fault(&self.tables, self.scenario, &self.claims, is_quiet))
    }

    /// Returns the log of the steps so far.
    pub fn into_log(self) -> Vec<String> {
        self.log.unwrap_or_default()
    }

    /// Returns a hash of everything that the future depends on. Two schedules that lead to the same state have the same
    /// continuations.
    pub fn state(&self) -> u64 {
        let hash = |hashable: &dyn Fn(&mut DefaultHasher)| {
            let mut hasher = DefaultHasher::new();
            hashable(&mut hasher);
            hasher.finish()
        };
        // Abandoned calls differ only in their operations. All other calls follow from the knowledge of their tasks.
        let mut abandoned = Vec::new();
        self.network.each(|_, call| {
            if call.task.is_none() {
                abandoned.push(hash(&|hasher| call.operation.hash(hasher)));
            }
        });
        abandoned.sort_unstable();
        hash(&|hasher| {
            (&self.tables, &abandoned, &self.clients, self.faults, &self.broken).hash(hasher);
            for (task, running) in &self.tasks {
                (task, running.state()).hash(hasher);
            }
            for (user, shard) in &self.shards {
                let texts = |keys: &[EventKey]| keys.iter().map(EventKey::to_string).collect::<Vec<_>>();
                (user, texts(&shard.waiting), texts(&shard.told)).hash(hasher);
            }
            self.claims.hash(hasher);
        })
    }

    fn answer(&mut self, id: CallId, stale: bool) {
        let operation = self.network.operation(id);
        let reply = self.tables.apply(&operation, stale);
        for (user, key) in self.tables.inserted.drain(..) {
            if !self.scenario.flaws.no_stream {
                self.shards.entry(user).or_default().waiting.push(key);
            }
        }
        let task = self.network.answer(id, Ok(reply.clone()));
        self.note(|| {
            let stale = if stale { " (stale)" } else { "" };
            let (owner, question) = (trace::owner(task.as_ref()), trace::question(&operation));
            format!("{owner}: {question} -> {}{stale}", trace::answer(&reply))
        });
        if let Some(task) = task {
            self.tasks.get_mut(&task).expect("a task").learn(&operation, Some(&reply));
            self.run(task);
        }
    }

    fn send(&mut self, client: usize) {
        let attempt = self.clients[client].attempts;
        self.clients[client] = Client { attempts: attempt + 1, is_unanswered: false };
        let mut events = self.scenario.received(client, attempt, self.config);
        let task = TaskId::Request(client, attempt);
        self.note(|| format!("{} begins", trace::owner(Some(&task))));
        let pipeline = self.pipeline(&task, events.iter().map(|event| event.key.clone()).collect());
        let is_batch = matches!(self.scenario.sendings[client], Sending::Batch(_));
        let ingest = async move {
            Outcome::Request(match events.pop() {
                Some(event) if !is_batch => vec![pipeline.ingest(event).await],
                last => {
                    events.extend(last);
                    pipeline.ingest_all(events).await
                }
            })
        };
        self.tasks.insert(task.clone(), Task::new(ingest));
        self.run(task);
    }

    fn start_delivery(&mut self, user: UserId, keys: Vec<EventKey>) {
        let task = TaskId::Delivery(user.clone());
        let pipeline = self.pipeline(&task, keys.clone());
        let evaluate = async move { Outcome::Delivery(pipeline.evaluate(&user, &keys).await) };
        self.tasks.insert(task.clone(), Task::new(evaluate));
        self.run(task);
    }

    fn pipeline(
        &self,
        task: &TaskId,
        own: Vec<EventKey>,
    ) -> EventPipeline<TableClient<Port<TaskId>>, TableClient<Port<TaskId>>> {
        let raises_only = self.scenario.flaws.own_anomalies_only.then_some(own);
        let client = TableClient(Port { network: self.network.clone(), task: task.clone(), raises_only });
        let Config { detection, retention, .. } = self.config;
        EventPipeline { events: client.clone(), anomalies: client, detection: detection.clone(), retention: *retention }
    }

    fn run(&mut self, task: TaskId) {
        let Some(outcome) = self.tasks.get_mut(&task).expect("a task").run() else { return };
        self.tasks.remove(&task);
        match (&task, outcome) {
            (TaskId::Request(client, _), Outcome::Request(results)) => {
                let is_answered = results.iter().all(Result::is_ok);
                for (event, result) in results.into_iter().enumerate() {
                    self.note(|| format!("    client {client} gets: {}", trace::result(&result)));
                    if let Ok(ingested) = result {
                        self.answered(*client, event, ingested);
                    }
                }
                if !is_answered {
                    self.ended_without_answer(&task);
                }
            }
            (TaskId::Delivery(user), Outcome::Delivery(Ok(_))) => {
                self.shards.get_mut(user).expect("a shard").told.clear();
            }
            _ => self.ended_without_answer(&task),
        }
    }

    fn answered(&mut self, client: usize, event: usize, ingested: IngestOutcome) {
        let event = &self.scenario.sendings[client].events()[event];
        // With a flaw, the question is whether the tables reveal it.
        if self.scenario.flaws == Flaws::default()
            && let Err(fault) = invariants::answer(&self.tables, self.scenario, event, &ingested)
        {
            self.broken.get_or_insert(format!("client {client} got a wrong response: {fault}"));
        }
        if let IngestOutcome::Stored(receipt) | IngestOutcome::Duplicate(receipt) = ingested {
            for anomaly in receipt.anomalies {
                let most = self.claims.entry((anomaly.user_id, anomaly.key.to_string())).or_insert(anomaly.count);
                *most = anomaly.count.max(*most);
            }
        }
    }

    fn ended_without_answer(&mut self, task: &TaskId) {
        match task {
            TaskId::Request(client, _) => self.clients[*client].is_unanswered = true,
            TaskId::Delivery(user) => {
                // The stream redelivers events that were not evaluated.
                let shard = self.shards.get_mut(user).expect("a shard");
                let told = std::mem::take(&mut shard.told);
                shard.waiting.splice(0..0, told);
            }
        }
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            log.push(line());
        }
    }
}
