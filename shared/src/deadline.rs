//! Deadlines that are passed down the call chain.
//!
//! A request, and a batch from a queue or stream, has one deadline. Every wait on its behalf ends at the deadline at
//! the latest, minus the time that later steps need.

use std::time::{Duration, Instant, SystemTime};

/// Time between our deadline and the end of the invocation: the response must reach Lambda before Lambda kills the
/// function.
const MARGIN: Duration = Duration::from_millis(500);

/// Instant at which work ends, complete or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

/// The work was not completed before its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("deadline exceeded")]
pub struct Overdue;

impl Deadline {
    /// Returns the deadline `limit` from now.
    pub fn after(limit: Duration) -> Self {
        Self(Instant::now() + limit)
    }

    /// Returns the deadline of an invocation that Lambda ends at `end`: somewhat earlier, and `limit` from now at most.
    /// An `end` in the past is ignored: the emulator sends the same instant in 1970 with every invocation.
    pub fn of_invocation(end: SystemTime, limit: Duration) -> Self {
        let left = end.duration_since(SystemTime::now()).map_or(limit, |left| left.saturating_sub(MARGIN));
        Self::after(left.min(limit))
    }

    /// Returns the time left.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Returns the earlier of this deadline and `limit` from now.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        self.min(Self::after(limit))
    }

    /// Returns a deadline that is earlier by `reserve`, the time that later steps need.
    #[must_use]
    pub fn leaving(self, reserve: Duration) -> Self {
        Self::after(self.remaining().saturating_sub(reserve))
    }

    /// Runs `work` until the deadline. Does not start work whose deadline has passed.
    ///
    /// # Errors
    /// [`Overdue`], after cancelling `work`.
    pub async fn bound<F: Future>(self, work: F) -> Result<F::Output, Overdue> {
        let remaining = self.remaining();
        if remaining.is_zero() {
            return Err(Overdue);
        }
        tokio::time::timeout(remaining, work).await.map_err(|_| Overdue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    const LIMIT: Duration = Duration::from_secs(10);
    /// Longer than the time between two lines of a test.
    const TOLERANCE: Duration = Duration::from_secs(5);

    fn assert_about(deadline: Deadline, expected: Duration) {
        let remaining = deadline.remaining();
        assert!(remaining <= expected && remaining + TOLERANCE > expected, "{remaining:?}, not {expected:?}");
    }

    #[test]
    fn invocation_ends_before_lambda_ends_it() {
        let end = |seconds| SystemTime::now() + Duration::from_secs(seconds);
        assert_about(Deadline::of_invocation(end(100), LIMIT), LIMIT);
        assert_about(Deadline::of_invocation(end(8), LIMIT), Duration::from_millis(7_500));
        assert!(Deadline::of_invocation(SystemTime::now() + MARGIN, LIMIT).remaining().is_zero());
    }

    #[test]
    fn invocation_has_our_limit_when_lambdas_is_past() {
        let end = SystemTime::UNIX_EPOCH + Duration::from_millis(600_000);
        assert_about(Deadline::of_invocation(end, LIMIT), LIMIT);
    }

    #[test]
    fn inner_deadline_is_never_later_than_outer() {
        let outer = Deadline::after(LIMIT);
        assert_eq!(outer.within(2 * LIMIT), outer);
        assert_about(outer.within(LIMIT / 2), LIMIT / 2);
        assert_about(outer.leaving(Duration::from_secs(3)), Duration::from_secs(7));
        assert!(outer.leaving(2 * LIMIT).remaining().is_zero());
    }

    #[tokio::test]
    async fn work_ends_at_deadline() {
        assert_eq!(Deadline::after(LIMIT).bound(ready(1)).await, Ok(1));
        assert_eq!(Deadline::after(Duration::from_millis(1)).bound(pending::<()>()).await, Err(Overdue));
    }

    #[tokio::test]
    async fn work_is_not_started_after_deadline() {
        let work = async { panic!("started") };
        assert_eq!(Deadline::after(Duration::ZERO).bound(work).await, Err::<(), _>(Overdue));
    }
}
