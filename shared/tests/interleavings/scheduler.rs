//! Runs the code under test deterministically, one call at a time, without threads or a clock.
//!
//! Every call to a table is sent to a [`Network`], where it waits until it is scheduled to take effect and be answered.
//! The driver decides what happens in between: other calls take effect, the response is lost, the caller dies.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use shared::aws::StoreError;
use shared::integrity::key::EventKey;

use crate::store::{Operation, Reply};
use crate::tables::Backend;

/// Number of a call, in sending order.
pub type CallId = u32;

/// A call that has been sent.
#[derive(Debug)]
pub struct Call<T> {
    /// Task that made the call; `None` if no task waits for the reply any longer.
    pub task: Option<T>,
    /// Operation of the call.
    pub operation: Operation,
    answer: Option<Result<Reply, StoreError>>,
    waker: Option<Waker>,
}

/// Calls that have been sent but have not taken effect.
#[derive(Debug)]
pub struct Network<T>(Arc<Mutex<Calls<T>>>);

#[derive(Debug)]
struct Calls<T> {
    sent: CallId,
    waiting: BTreeMap<CallId, Call<T>>,
}

impl<T> Clone for Network<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Network<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Calls { sent: 0, waiting: BTreeMap::new() })))
    }
}

impl<T> Network<T> {
    fn lock(&self) -> MutexGuard<'_, Calls<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, task: Option<T>, operation: Operation) -> CallId {
        let mut calls = self.lock();
        let id = calls.sent;
        calls.sent += 1;
        calls.waiting.insert(id, Call { task, operation, answer: None, waker: None });
        id
    }

    /// Passes all calls to `visit`, in sending order.
    pub fn each(&self, mut visit: impl FnMut(CallId, &Call<T>)) {
        self.lock().waiting.iter().for_each(|(id, call)| visit(*id, call));
    }

    /// Removes the abandoned calls that change nothing according to `is_settled`.
    pub fn forget(&self, is_settled: impl Fn(&Operation) -> bool) {
        self.lock().waiting.retain(|_, call| call.task.is_some() || !is_settled(&call.operation));
    }

    /// Returns the operation of a call.
    pub fn operation(&self, id: CallId) -> Operation {
        self.lock().waiting[&id].operation.clone()
    }

    /// Answers a call and returns its task.
    pub fn answer(&self, id: CallId, answer: Result<Reply, StoreError>) -> Option<T> {
        let mut calls = self.lock();
        let call = calls.waiting.get_mut(&id).expect("a call");
        let Some(task) = call.task.take() else {
            calls.waiting.remove(&id);
            return None;
        };
        call.answer = Some(answer);
        call.waker.take().into_iter().for_each(Waker::wake);
        Some(task)
    }

    /// Ends the wait for the reply to a call. The operation may still take effect, at any time, or never.
    pub fn cut(&self, id: CallId) -> Option<T> {
        let operation = self.operation(id);
        if operation.is_write() {
            self.send(None, operation);
        }
        let cause = "no answer in time".to_owned();
        self.answer(id, Err(StoreError { store: "memory", operation: "call", cause, is_transient: true }))
    }
}

/// Future of the reply to a call. Dropping it does not revoke the call.
struct Sent<T> {
    network: Network<T>,
    id: CallId,
}

impl<T> Future for Sent<T> {
    type Output = Result<Reply, StoreError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut calls = self.network.lock();
        let call = calls.waiting.get_mut(&self.id).expect("a call is answered once");
        match call.answer.take() {
            Some(answer) => {
                calls.waiting.remove(&self.id);
                Poll::Ready(answer)
            }
            None => {
                call.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Sent<T> {
    fn drop(&mut self) {
        let mut calls = self.network.lock();
        let Some(call) = calls.waiting.get_mut(&self.id) else { return };
        if call.answer.is_none() && call.operation.is_write() {
            call.task = None;
            call.waker = None;
        } else {
            calls.waiting.remove(&self.id);
        }
    }
}

/// Tables as seen by one task.
#[derive(Clone, Debug)]
pub struct Port<T> {
    /// Network that receives the calls.
    pub network: Network<T>,
    /// Task that makes the calls.
    pub task: T,
    /// Flaw: anomalies of other events are not stored.
    pub raises_only: Option<Vec<EventKey>>,
}

impl<T: Clone + Send + Sync> Backend for Port<T> {
    async fn call(&self, operation: Operation) -> Result<Reply, StoreError> {
        if let (Operation::Raise(anomaly), Some(own)) = (&operation, &self.raises_only)
            && !own.contains(&anomaly.key)
        {
            return Ok(Reply::Raise(false));
        }
        let id = self.network.send(Some(self.task.clone()), operation);
        Sent { network: self.network.clone(), id }.await
    }
}

/// A future that runs until it waits, with the replies it has received.
pub struct Task<O> {
    future: Pin<Box<dyn Future<Output = O> + Send>>,
    history: DefaultHasher,
}

impl<O> Task<O> {
    /// Creates a task from `future` without polling it.
    pub fn new(future: impl Future<Output = O> + Send + 'static) -> Self {
        Self { future: Box::pin(future), history: DefaultHasher::new() }
    }

    /// Records that `operation` is answered. A task is deterministic: two tasks with the same beginning and the same
    /// replies in the same order are in the same state.
    pub fn learn(&mut self, operation: &Operation, answer: Option<&Reply>) {
        (operation, answer).hash(&mut self.history);
    }

    /// Returns a hash of all replies received.
    pub fn state(&self) -> u64 {
        self.history.finish()
    }

    /// Runs the task until it waits or is complete.
    pub fn run(&mut self) -> Option<O> {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        loop {
            if let Poll::Ready(output) = self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(output);
            }
            // Combinators wake themselves when they yield before they are complete.
            if !woken.0.swap(false, Ordering::Relaxed) {
                return None;
            }
        }
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
