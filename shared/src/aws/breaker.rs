//! Circuit breaker for the calls to one AWS service.
//!
//! A service that hangs makes each request wait for its timeouts, and a waiting request occupies a sandbox. So after a
//! few calls without a response the calls of this sandbox to the service fail at once: a POST goes to the queue, a GET
//! returns 503. Some seconds later one call probes the service. A service that refuses calls, or drops connections,
//! costs little time and does not open the breaker.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Number of consecutive calls without a response that open the breaker. Every attempt of the SDK is a call, so one
/// lost connection does not open the breaker.
const MAX_SILENT_CALLS: u32 = 3;
/// Minimum duration of a call without a response that counts as silent. A shorter call was cancelled, or the connection
/// was refused. Shorter than every timeout of a connection or an attempt.
const SILENT_AFTER: Duration = Duration::from_millis(450);
/// Time for which an open breaker rejects calls.
const OPEN: Duration = Duration::from_secs(5);
/// Time for which a probe is the only call.
const PROBE: Duration = Duration::from_secs(1);

/// The call was skipped because the service did not respond to earlier calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("skipped call: service did not respond to earlier calls")]
pub(super) struct Open;

/// The breaker of one service, shared by all calls to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Breaker(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    silent_calls: u32,
    /// Time until which calls are rejected. The next call after that is a probe.
    open_until: Option<Instant>,
}

impl State {
    fn admit(&mut self, now: Instant) -> Result<(), Open> {
        let Some(until) = self.open_until else { return Ok(()) };
        if now < until {
            return Err(Open);
        }
        self.open_until = Some(now + PROBE);
        Ok(())
    }

    fn record_response(&mut self) {
        *self = Self::default();
    }

    fn record_silence(&mut self, now: Instant) {
        self.silent_calls = self.silent_calls.saturating_add(1);
        if self.silent_calls >= MAX_SILENT_CALLS {
            self.open_until = Some(now + OPEN);
        }
    }
}

impl Breaker {
    /// Begins a call. The call counts as silent if it is dropped without a response after a while.
    ///
    /// # Errors
    /// [`Open`] if the call must not be made.
    pub(super) fn begin(&self) -> Result<Call, Open> {
        let started = Instant::now();
        self.lock().admit(started)?;
        Ok(Call { breaker: self.clone(), started, has_response: false })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call in progress.
#[derive(Debug)]
pub(super) struct Call {
    breaker: Breaker,
    started: Instant,
    has_response: bool,
}

impl Call {
    /// Records that the service has responded, and closes the breaker.
    pub(super) fn record_response(mut self) {
        self.has_response = true;
        self.breaker.lock().record_response();
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let now = Instant::now();
        if !self.has_response && now.duration_since(self.started) >= SILENT_AFTER {
            self.breaker.lock().record_silence(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    /// Returns a breaker that has just opened, and the time.
    fn open() -> (State, Instant) {
        let (mut state, now) = (State::default(), Instant::now());
        (0..MAX_SILENT_CALLS).for_each(|_| state.record_silence(now));
        (state, now)
    }

    #[test]
    fn breaker_opens_after_silent_calls_in_a_row() {
        let (mut state, now) = (State::default(), Instant::now());
        for _ in 1..MAX_SILENT_CALLS {
            state.record_silence(now);
            assert_eq!(state.admit(now), Ok(()));
        }
        state.record_silence(now);
        assert_eq!(state.admit(now), Err(Open));
    }

    #[test]
    fn response_between_silent_calls_keeps_breaker_closed() {
        let (mut state, now) = (State::default(), Instant::now());
        for call in 0..10 * MAX_SILENT_CALLS {
            if call % MAX_SILENT_CALLS == 0 {
                state.record_response();
            } else {
                state.record_silence(now);
            }
            assert_eq!(state.admit(now), Ok(()));
        }
    }

    #[test]
    fn open_breaker_admits_one_probe_after_a_while() {
        let (mut state, opened) = open();
        assert_eq!(state.admit(opened + OPEN - MOMENT), Err(Open));
        let probed = opened + OPEN;
        assert_eq!(state.admit(probed), Ok(()));
        assert_eq!(state.admit(probed + PROBE - MOMENT), Err(Open));
    }

    #[test]
    fn silent_probe_opens_breaker_again() {
        let (mut state, opened) = open();
        let probed = opened + OPEN;
        assert_eq!(state.admit(probed), Ok(()));
        state.record_silence(probed + PROBE);
        assert_eq!(state.admit(probed + PROBE + OPEN - MOMENT), Err(Open));
        assert_eq!(state.admit(probed + PROBE + OPEN), Ok(()));
    }

    #[test]
    fn lost_probe_is_followed_by_another() {
        let (mut state, opened) = open();
        assert_eq!(state.admit(opened + OPEN), Ok(()));
        assert_eq!(state.admit(opened + OPEN + PROBE), Ok(()));
    }

    #[test]
    fn response_closes_breaker() {
        let (mut state, opened) = open();
        state.record_response();
        assert_eq!(state.admit(opened), Ok(()));
        state.record_silence(opened);
        assert_eq!(state.admit(opened), Ok(()));
    }

    /// Begins a call that was begun `age` ago.
    fn call(breaker: &Breaker, age: Duration) -> Call {
        let mut call = breaker.begin().expect("a closed breaker");
        call.started = call.started.checked_sub(age).expect("the machine was started before");
        call
    }

    #[test]
    fn dropped_calls_open_breaker_when_they_waited() {
        let breaker = Breaker::default();
        for _ in 0..10 * MAX_SILENT_CALLS {
            drop(call(&breaker, Duration::ZERO));
        }
        assert!(breaker.begin().is_ok(), "cancelled calls say nothing");
        for _ in 0..MAX_SILENT_CALLS {
            drop(call(&breaker, SILENT_AFTER));
        }
        assert_eq!(breaker.begin().expect_err("an open breaker"), Open);
    }

    #[test]
    fn slow_responses_keep_breaker_closed() {
        let breaker = Breaker::default();
        for _ in 0..10 * MAX_SILENT_CALLS {
            call(&breaker, 2 * SILENT_AFTER).record_response();
        }
        assert!(breaker.begin().is_ok());
    }
}
