//! The tools: what an assistant can read.
//!
//! Each reads what an endpoint reads, with the same code.

mod anomalies;
mod arguments;
mod conversation;
mod interactions;
mod mood;
mod stressed;

use std::sync::LazyLock;

use serde::Serialize;
use serde_json::value::RawValue;
use strum::{EnumString, IntoStaticStr, VariantNames};

use self::arguments::Arguments;
use super::output;
use crate::activity::ActivityTable;
use crate::auth::{AuthError, Caller, NamesAgent, Unauthorized};
use crate::aws::StoreError;
use crate::config::WindowScope;
use crate::ids::AgentId;
use crate::integrity::AnomalyTable;
use crate::json::Object;
use crate::logging::{Classifier, LogBucket};

/// The tools as listed for clients: names, descriptions and schemas.
pub static CATALOGUE: LazyLock<Box<RawValue>> = LazyLock::new(|| {
    let text = include_str!("catalogue.json").trim().to_owned();
    RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
});

/// A tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Tool {
    /// Users by their newest stressed interaction.
    WhoIsStressed,
    /// Counts of an agent by signal and time.
    MoodSummary,
    /// Interactions of a user with an agent.
    ReadConversation,
    /// Interactions with a signal or a text.
    FindInteractions,
    /// The classification of a text.
    ExplainText,
    /// Anomalies of a user.
    ListAnomalies,
}

/// Reason why a tool has no result.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The assistant can correct the call: the message says how.
    #[error("{0}")]
    Refused(String),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The result is not JSON.
    #[error(transparent)]
    Unencodable(#[from] serde_json::Error),
}

/// The stores and rules that the tools read.
pub struct Tools {
    /// Counts over all users.
    pub activity: ActivityTable,
    /// Logs.
    pub log: LogBucket,
    /// Anomalies.
    pub anomalies: AnomalyTable,
    /// Scope of the windows in which anomalies are detected.
    pub scope: WindowScope,
    /// Classifier of texts.
    pub classifier: Classifier,
}

impl Tools {
    /// Calls `tool`. Returns the result as JSON.
    ///
    /// # Errors
    /// The arguments are invalid, the caller may not read the data, or a store fails.
    pub async fn call(
        &self,
        caller: &Caller,
        tool: Tool,
        arguments: Option<Object<'_>>,
    ) -> Result<Box<RawValue>, Failure> {
        let arguments = Arguments::new(arguments.as_ref());
        // The type of the whole future would exceed the compiler's limit.
        match tool {
            Tool::WhoIsStressed => Box::pin(stressed::who_is_stressed(self, caller, arguments)).await,
            Tool::MoodSummary => Box::pin(mood::mood_summary(self, caller, arguments)).await,
            Tool::ReadConversation => Box::pin(conversation::read_conversation(self, caller, arguments)).await,
            Tool::FindInteractions => Box::pin(interactions::find_interactions(self, caller, arguments)).await,
            Tool::ExplainText => self.explain_text(arguments),
            Tool::ListAnomalies => Box::pin(anomalies::list_anomalies(self, caller, arguments)).await,
        }
    }

    fn explain_text(&self, mut arguments: Arguments<'_>) -> Result<Box<RawValue>, Failure> {
        let text = arguments.required::<String>("text");
        let (Some(text), Some(())) = (text, arguments.no_others()) else { return Err(arguments.into_failure()) };
        encoded(&self.classifier.classify(&text))
    }
}

fn encoded(result: &impl Serialize) -> Result<Box<RawValue>, Failure> {
    Ok(output::encode(result)?)
}

/// Returns `input` if the caller may access its agent.
fn authorize<T: NamesAgent>(caller: &Caller, input: Unauthorized<T>, agent: &AgentId) -> Result<T, Failure> {
    caller.authorize(input).map_err(|error| match error {
        AuthError::Store(failure) => failure.into(),
        AuthError::Forbidden | AuthError::Unauthenticated => {
            let agent = output::quoted(agent.as_str());
            Failure::Refused(format!("The API key may not read the agent {agent}. Use another agent or another key."))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn catalogue_has_every_tool_with_strict_schemas() {
        let tools: Vec<Value> = serde_json::from_str(CATALOGUE.get()).expect("JSON");
        let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().expect("a name")).collect();
        assert_eq!(names, Tool::VARIANTS);
        for tool in &tools {
            assert_eq!(tool["annotations"]["readOnlyHint"], true, "{tool}");
            assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{tool}");
            let fields = tool["inputSchema"]["properties"].as_object().expect("properties");
            for required in tool["inputSchema"]["required"].as_array().unwrap_or(&Vec::new()) {
                assert!(fields.contains_key(required.as_str().expect("a name")), "{tool}");
            }
            assert_eq!(tool["outputSchema"]["type"], json!("object"), "{tool}");
        }
    }
}
