//! Requests, their clients and the stream around the tables, and every step that may come next.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use shared::aws::StoreError;
use shared::config::Config;
use shared::ids::UserId;
use shared::integrity::Anomaly;
use shared::integrity::ingest::{Ingested, Monitor};
use shared::integrity::key::EventKey;

use crate::judgement;
use crate::scenario::{Scenario, Sending};
use crate::scheduler::{CallId, Network, Port, Task};
use crate::store::{Flaws, Place, Tables};
use crate::trace;

/// Something that runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskId {
    /// The n-th attempt of a client, both from 0.
    Request(usize, u32),
    /// What judges the events of a user that the stream tells of; one batch at a time, as with a shard of DynamoDB's.
    Delivery(UserId),
}

enum Outcome {
    Request(Vec<Result<Ingested, StoreError>>),
    Delivery(Result<Vec<Anomaly>, StoreError>),
}

/// A step that may come next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A call takes effect and is answered; the one who waits for it runs on to its next call.
    Answer(CallId),
    /// A query takes effect, but does not see the last puts.
    AnswerStale(CallId),
    /// The answer to a call is lost. The call may take effect nonetheless, later, by [`Self::Answer`].
    Cut(CallId),
    /// A task dies. Its calls may take effect nonetheless.
    Crash(TaskId),
    /// The stream tells of the first few events that it has not told of.
    Deliver(UserId, usize),
    /// A client that got no answer sends the same again.
    Retry(usize),
}

#[derive(Clone, Debug, Default, Hash)]
struct Client {
    attempts: u32,
    is_unanswered: bool,
}

/// What the stream has not told of, and what it is about to tell of.
#[derive(Clone, Debug, Default)]
struct Shard {
    waiting: Vec<EventKey>,
    told: Vec<EventKey>,
}

/// One course of a scenario, up to now.
pub struct World<'a> {
    scenario: &'a Scenario,
    config: &'a Config,
    /// The tables as they are now.
    pub tables: Tables,
    network: Network<TaskId>,
    tasks: BTreeMap<TaskId, Task<Outcome>>,
    clients: Vec<Client>,
    shards: BTreeMap<UserId, Shard>,
    faults: u32,
    /// The most that was claimed of an anomaly in an answer.
    claims: BTreeMap<Place, u32>,
    /// What was wrong with an answer.
    broken: Option<String>,
    /// Where the steps are told, if they are.
    log: Option<Vec<String>>,
}

impl<'a> World<'a> {
    /// The beginning: every client has sent its request, and none has reached a table. Steps are told if `logs`.
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

    /// Every step that may come next, or those of one task that is in nobody's way.
    ///
    /// That is a task whose only call changes nothing, now or later: whenever it is answered, it comes to the same for
    /// the task and for all others. So nothing is missed when it is answered, or fails, before anything else happens.
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

    /// Takes a step.
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

    /// Whether nothing has to happen any more: no task runs, and the stream has told of everything.
    pub fn is_quiet(&self) -> bool {
        self.tasks.is_empty() && self.shards.values().all(|shard| shard.waiting.is_empty() && shard.told.is_empty())
    }

    /// What is wrong with the tables or with an answer, if anything is.
    pub fn fault(&self) -> Option<String> {
        let is_quiet = self.is_quiet();
        self.broken.clone().or_else(|| judgement::fault(&self.tables, self.scenario, &self.claims, is_quiet))
    }

    /// The steps taken so far, told.
    pub fn into_log(self) -> Vec<String> {
        self.log.unwrap_or_default()
    }

    /// Stands for all that the future depends on. Two courses that led to the same state go on in the same ways.
    pub fn state(&self) -> u64 {
        let hash = |hashable: &dyn Fn(&mut DefaultHasher)| {
            let mut hasher = DefaultHasher::new();
            hashable(&mut hasher);
            hasher.finish()
        };
        // Calls that nobody waits for are alike but for what they ask; all others follow from what their tasks know.
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
        let monitor = self.monitor(&task, events.iter().map(|event| event.key.clone()).collect());
        let is_batch = matches!(self.scenario.sendings[client], Sending::Batch(_));
        let ingest = async move {
            Outcome::Request(match events.pop() {
                Some(event) if !is_batch => vec![monitor.ingest(event).await],
                last => {
                    events.extend(last);
                    monitor.ingest_all(events).await
                }
            })
        };
        self.tasks.insert(task.clone(), Task::new(ingest));
        self.run(task);
    }

    fn start_delivery(&mut self, user: UserId, keys: Vec<EventKey>) {
        let task = TaskId::Delivery(user.clone());
        let monitor = self.monitor(&task, keys.clone());
        let judge = async move { Outcome::Delivery(monitor.judge(&user, &keys).await) };
        self.tasks.insert(task.clone(), Task::new(judge));
        self.run(task);
    }

    fn monitor(&self, task: &TaskId, own: Vec<EventKey>) -> Monitor<Port<TaskId>, Port<TaskId>> {
        let raises_only = self.scenario.flaws.own_anomalies_only.then_some(own);
        let port = Port { network: self.network.clone(), task: task.clone(), raises_only };
        let Config { detection, retention, .. } = self.config;
        Monitor { events: port.clone(), anomalies: port, detection: detection.clone(), retention: *retention }
    }

    fn run(&mut self, task: TaskId) {
        let Some(outcome) = self.tasks.get_mut(&task).expect("a task").run() else { return };
        self.tasks.remove(&task);
        match (&task, outcome) {
            (TaskId::Request(client, _), Outcome::Request(results)) => {
                let is_answered = results.iter().all(Result::is_ok);
                for (event, result) in results.into_iter().enumerate() {
                    self.note(|| format!("    client {client} is told {}", trace::result(&result)));
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

    fn answered(&mut self, client: usize, event: usize, ingested: Ingested) {
        let event = &self.scenario.sendings[client].events()[event];
        // With a flaw the question is whether the tables come to show it.
        if self.scenario.flaws == Flaws::default()
            && let Err(fault) = judgement::answer(&self.tables, event, &ingested)
        {
            self.broken.get_or_insert(format!("client {client} was told what is not so: {fault}"));
        }
        if let Ingested::Stored(receipt) | Ingested::Duplicate(receipt) = ingested {
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
                // The stream tells again of what was not judged.
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
