//! Accepts the turns of an OTLP export as interactions.

use super::LogIntake;
use crate::auth::{Agents, Caller, Unauthorized};
use crate::aws::StoreError;
use crate::deadline::Deadline;
use crate::logging::{Conversation, Entry, IdSource, Interaction, Metadata};
use crate::metrics::Metrics;
use crate::otlp::{Export, Options, SkipReason, Skipped, Turn};
use crate::telemetry;
use crate::unknown::UnknownNames;

/// Records the turns of exports.
pub struct TurnIntake {
    /// Maximum size of an entry in bytes.
    pub max_entry_bytes: usize,
    /// Records and stores the turns.
    pub log: LogIntake,
}

impl TurnIntake {
    /// Returns the options for reading an export of `caller`. A key for a single agent names the agent of model calls
    /// that do not.
    pub fn options(&self, caller: &Caller) -> Options {
        let default_agent = match caller.agents() {
            Agents::Only(agents) if agents.len() == 1 => agents.first().cloned(),
            Agents::Only(_) | Agents::All => None,
        };
        Options { default_agent, ..Options::for_entries_of(self.max_entry_bytes) }
    }

    /// Records the turns of `export` that `caller` may record, and publishes the metrics. Returns the calls of models that
    /// are not recorded.
    ///
    /// # Errors
    /// If the failure of any turn is transient: exporters drop what a partial success rejects, and the ids of turns make
    /// it safe to send the whole export again. Otherwise if the store rejects all turns.
    pub async fn accept(&self, export: Export, caller: &Caller, deadline: Deadline) -> Result<Skipped, StoreError> {
        let Export { turns, mut skipped } = export;
        let mut entries = Vec::with_capacity(turns.len());
        for turn in turns {
            match self.record(turn, caller) {
                Ok(entry) => entries.push(entry),
                Err(reason) => skipped.add(reason, 1),
            }
        }
        let outcomes = self.log.accept_all(&entries, deadline).await;
        let mut metrics = Metrics::default();
        for ((entry, _), outcome) in entries.iter().zip(&outcomes) {
            self.log.count(&mut metrics, entry, outcome);
        }
        let (transient, permanent) = StoreError::first_of(&outcomes);
        for failure in transient.into_iter().chain(permanent) {
            tracing::error!(cause = %failure, is_transient = failure.is_transient, "failed to store turns of an export");
        }
        // A conflict is the same turn as well, because the id follows from the trace and the span. Spans that are sent again
        // in another batch can lack the later calls of the turn, and then the reply differs.
        let is_all_rejected = outcomes.iter().all(Result::is_err);
        let failure = transient.or(permanent.filter(|_| is_all_rejected)).cloned();
        if failure.is_none() {
            let rejected = outcomes.iter().filter(|outcome| outcome.is_err()).count();
            skipped.add(SkipReason::NotStored, u64::try_from(rejected).unwrap_or(u64::MAX));
            for (reason, count) in skipped.iter() {
                metrics.add_skipped(reason.name(), count);
            }
        }
        telemetry::publish(&metrics);
        failure.map_or(Ok(skipped), Err)
    }

    /// Records a turn as an entry, not stored yet.
    fn record(&self, turn: Turn, caller: &Caller) -> Result<(Entry, IdSource), SkipReason> {
        let interaction = caller.authorize(interaction(turn)).map_err(|_| SkipReason::Forbidden)?;
        self.log.record(interaction, None).map_err(|_| SkipReason::InvalidTime)
    }
}

fn interaction(turn: Turn) -> Unauthorized<Interaction> {
    let metadata = (!turn.metadata.is_empty()).then_some(turn.metadata);
    Unauthorized::new(Interaction {
        conversation: Conversation { agent_id: turn.agent_id, user_id: turn.user_id },
        user_input: turn.user_input,
        agent_output: turn.agent_output,
        detected_signal: None,
        response_type: String::new(),
        coherence_score_impact: None,
        escalation_flag: false,
        session_id: turn.session_id,
        // Names of models that exceed the limits are made up. The turn matters more than they do.
        metadata: metadata.and_then(|texts| Metadata::from_texts(texts).ok()),
        log_id: Some(turn.log_id),
        timestamp: None,
        ignored: UnknownNames::default(),
    })
}
