//! The waiting times between attempts of a request.

use std::time::Duration;

use anyhow::{Result, bail};

/// The number of attempts, after which a command gives up. Together they take about three minutes.
const ATTEMPTS: u32 = 8;
/// The time before the second attempt. The time doubles after each attempt.
const FIRST: Duration = Duration::from_secs(2);
/// The longest time between two attempts, unless the stack asks for a longer one.
const LONGEST: Duration = Duration::from_secs(60);

/// The attempts of one request so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retries {
    first: Duration,
    failures: u32,
}

impl Default for Retries {
    fn default() -> Self {
        Self { first: FIRST, failures: 0 }
    }
}

impl Retries {
    /// Returns retries that wait `first` before the second attempt.
    #[cfg(test)]
    pub fn starting_with(first: Duration) -> Self {
        Self { first, failures: 0 }
    }

    /// Starts again after an attempt that made progress.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Waits after a failed attempt: at least for `retry_after`.
    ///
    /// # Errors
    /// Fails with `reason` after the last attempt.
    pub async fn wait(&mut self, reason: &str, retry_after: Option<Duration>) -> Result<()> {
        self.failures += 1;
        if self.failures >= ATTEMPTS {
            bail!("{reason} ({ATTEMPTS} attempts)");
        }
        // Without randomness the delay is only less well spread.
        let random = getrandom::u32().unwrap_or_default();
        tokio::time::sleep(self.delay(retry_after, random)).await;
        Ok(())
    }

    /// Returns the time to wait after the failures so far. `random` selects a time between half of it and all of it, so
    /// that clients that failed together do not retry together.
    fn delay(self, retry_after: Option<Duration>, random: u32) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(u32::BITS - 1);
        let whole = self.first.saturating_mul(1 << doublings).min(LONGEST);
        let spread = (whole / 2).mul_f64(f64::from(random) / f64::from(u32::MAX));
        (whole / 2 + spread).max(retry_after.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_doubles_up_to_a_minute_and_is_spread() {
        let delay = |failures, random| Retries { failures, ..Retries::default() }.delay(None, random).as_millis();
        assert_eq!(
            [1, 2, 3, 5, 6, 40].map(|failures| delay(failures, u32::MAX)),
            [2_000, 4_000, 8_000, 32_000, 60_000, 60_000]
        );
        assert_eq!([1, 2, 6].map(|failures| delay(failures, 0)), [1_000, 2_000, 30_000]);
    }

    #[test]
    fn delay_is_at_least_what_the_stack_asks_for() {
        let retries = Retries { failures: 1, ..Retries::default() };
        let asked = Duration::from_secs(90);
        assert_eq!(retries.delay(Some(asked), 0), asked);
        assert_eq!(retries.delay(Some(Duration::from_millis(1)), 0), Duration::from_secs(1));
    }

    #[tokio::test]
    async fn wait_fails_after_the_last_attempt() {
        let mut retries = Retries::starting_with(Duration::ZERO);
        for _ in 1..ATTEMPTS {
            retries.wait("busy", None).await.expect("another attempt");
        }
        let error = retries.wait("busy", None).await.expect_err("the end").to_string();
        assert_eq!(error, "busy (8 attempts)");
        retries.reset();
        retries.wait("busy", None).await.expect("another attempt");
    }
}
