//! Calls of models that are not recorded, by reason.

use std::collections::BTreeMap;
use std::fmt;

/// The reason why a call of a model is not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr, strum::EnumIter)]
pub enum SkipReason {
    /// Neither the span nor a span around it names a user.
    NoUser,
    /// The instrumentation does not record the messages.
    NoContent,
    /// The messages are not readable.
    UnreadableContent,
    /// The user's name is not valid.
    InvalidUser,
    /// The agent's name is not valid.
    InvalidAgent,
    /// The session id is too long.
    InvalidSession,
    /// The span has no start, or one out of range.
    InvalidTime,
    /// The span has invalid ids.
    InvalidSpan,
    /// The caller's key may not access the agent.
    Forbidden,
    /// The store rejects the turn for good.
    NotStored,
    /// A tool made the call, so that the text is not the user's.
    SubAgent,
    /// The sender excluded the call.
    Ignored,
}

impl SkipReason {
    /// Returns the name for metrics.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Returns whether the sender should change something. The other calls are skipped as intended.
    pub fn is_rejection(self) -> bool {
        !matches!(self, Self::SubAgent | Self::Ignored)
    }

    /// Returns the reason with a remedy, to follow a number of model calls.
    fn explanation(self) -> &'static str {
        match self {
            Self::NoUser => {
                "without a user: set the attribute user.id on the spans, for example with baggage and a baggage span processor"
            }
            Self::NoContent => {
                "without messages: enable content capture, for example OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY"
            }
            Self::UnreadableContent => {
                "with messages that are not valid JSON: raise OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT if it is set"
            }
            Self::InvalidUser => {
                "with an invalid user: at most 128 bytes, no control characters and none of / \\ % ? #"
            }
            Self::InvalidAgent => {
                "with an invalid agent: at most 128 bytes, no control characters and none of / \\ % ? #"
            }
            Self::InvalidSession => "with a session id of more than 1,024 bytes",
            Self::InvalidTime => "without a valid start time",
            Self::InvalidSpan => "without a valid trace id and span id",
            Self::Forbidden => "forbidden: the key may not access the agent; set gen_ai.agent.name or service.name",
            Self::NotStored => "rejected by the store: report this to the operator",
            Self::SubAgent => "made by a tool",
            Self::Ignored => "with signals.ignore",
        }
    }
}

/// Numbers of calls that are not recorded, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped(BTreeMap<SkipReason, u64>);

impl Skipped {
    /// Adds `count` calls.
    pub fn add(&mut self, reason: SkipReason, count: u64) {
        if count > 0 {
            *self.0.entry(reason).or_default() += count;
        }
    }

    /// Returns the reasons with their numbers of calls.
    pub fn iter(&self) -> impl Iterator<Item = (SkipReason, u64)> {
        self.0.iter().map(|(reason, count)| (*reason, *count))
    }

    /// Returns the number of calls that the sender should change something about.
    pub fn rejected(&self) -> u64 {
        self.iter().filter(|(reason, _)| reason.is_rejection()).map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Skipped {
    /// Writes the rejections with their remedies.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rejections = self.iter().filter(|(reason, _)| reason.is_rejection());
        if let Some((reason, count)) = rejections.next() {
            write!(out, "{count} model calls {}", reason.explanation())?;
        }
        rejections.try_for_each(|(reason, count)| write!(out, "; {count} model calls {}", reason.explanation()))
    }
}
