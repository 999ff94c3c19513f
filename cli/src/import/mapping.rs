//! The mapping from the columns of a file to the fields of an interaction.

use std::collections::BTreeSet;

use anyhow::{Result, anyhow, bail, ensure};
use clap::Args;

use super::value::{Record, Value};

/// A field of an interaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    AgentId,
    UserId,
    UserInput,
    AgentOutput,
    DetectedSignal,
    ResponseType,
    CoherenceScoreImpact,
    EscalationFlag,
    SessionId,
    Metadata,
    LogId,
    Timestamp,
}

impl Field {
    const ALL: [Self; 12] = [
        Self::AgentId,
        Self::UserId,
        Self::UserInput,
        Self::AgentOutput,
        Self::DetectedSignal,
        Self::ResponseType,
        Self::CoherenceScoreImpact,
        Self::EscalationFlag,
        Self::SessionId,
        Self::Metadata,
        Self::LogId,
        Self::Timestamp,
    ];

    /// Returns the name of the field in the API, which is the name of its column unless another is given.
    pub fn name(self) -> &'static str {
        match self {
            Self::AgentId => "agent_id",
            Self::UserId => "user_id",
            Self::UserInput => "user_input",
            Self::AgentOutput => "agent_output",
            Self::DetectedSignal => "detected_signal",
            Self::ResponseType => "response_type",
            Self::CoherenceScoreImpact => "coherence_score_impact",
            Self::EscalationFlag => "escalation_flag",
            Self::SessionId => "session_id",
            Self::Metadata => "metadata",
            Self::LogId => "log_id",
            Self::Timestamp => "timestamp",
        }
    }

    /// Returns the option that names the column of the field.
    pub fn option(self) -> String {
        format!("--{}", self.name().replace('_', "-"))
    }

    /// Returns the options that give the field a value.
    pub fn advice(self) -> String {
        let example = match self {
            Self::AgentId => "support",
            Self::Timestamp => "2026-01-01T12:00:00Z",
            _ => "VALUE",
        };
        format!("{} COLUMN or --set {}={example}", self.option(), self.name())
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }
}

/// The field with the explanation of a signal that the classifier has determined. Exported entries have it.
pub(super) const CLASSIFICATION: &str = "classification";
/// Fields of exported entries that an import does not need.
const IMPLIED: [&str; 2] = [CLASSIFICATION, "v"];

/// The options that name the columns of the fields.
#[derive(Args, Clone, Debug, Default)]
#[command(
    next_help_heading = "Columns (a column of a CSV file, or a path into JSON such as customer.id or messages.0.text)"
)]
pub struct Columns {
    /// The column of the agent's name.
    #[arg(long, value_name = "COLUMN")]
    pub agent_id: Option<String>,
    /// The column of the user's name.
    #[arg(long, value_name = "COLUMN")]
    pub user_id: Option<String>,
    /// The column of the user's text.
    #[arg(long, value_name = "COLUMN")]
    pub user_input: Option<String>,
    /// The column of the agent's reply.
    #[arg(long, value_name = "COLUMN")]
    pub agent_output: Option<String>,
    /// The column of the signal, if the file has signals that the classifier shall not determine.
    #[arg(long, value_name = "COLUMN")]
    pub detected_signal: Option<String>,
    /// The column of the kind of response.
    #[arg(long, value_name = "COLUMN")]
    pub response_type: Option<String>,
    /// The column of the effect on coherence, a number.
    #[arg(long, value_name = "COLUMN")]
    pub coherence_score_impact: Option<String>,
    /// The column of the escalation: true or false.
    #[arg(long, value_name = "COLUMN")]
    pub escalation_flag: Option<String>,
    /// The column of the session.
    #[arg(long, value_name = "COLUMN")]
    pub session_id: Option<String>,
    /// The column of the metadata, a JSON object; or KEY=COLUMN for one key of the metadata, repeatedly.
    #[arg(long, value_name = "COLUMN")]
    pub metadata: Vec<String>,
    /// The column of the row's own id. A UUIDv7 of the row's time is kept; any other id makes the row recognisable.
    #[arg(long, value_name = "COLUMN")]
    pub log_id: Option<String>,
    /// The column of the time: RFC 3339, or Unix seconds or milliseconds. Without an offset, the time is UTC.
    #[arg(long, value_name = "COLUMN")]
    pub timestamp: Option<String>,
    /// A value for every row instead of a column: agent_id=support. Can be repeated.
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    pub constants: Vec<String>,
}

/// The source of a field's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The column with the field's own name, which need not exist.
    OwnName,
    /// A column that the user named.
    Column(String),
    /// The same value for every row.
    Constant(String),
}

/// The sources of all fields.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    sources: [Source; 12],
    /// Keys of the metadata, and the columns of their values.
    metadata_keys: Vec<(String, String)>,
}

impl Mapping {
    /// Returns the mapping that `columns` describes.
    ///
    /// # Errors
    /// Fails if a field has two sources, or a constant is not `FIELD=VALUE`.
    pub fn of(columns: &Columns) -> Result<Self> {
        let mut mapping = Self { sources: [const { Source::OwnName }; 12], metadata_keys: Vec::new() };
        let Columns { metadata, constants, .. } = columns;
        let named = [
            (Field::AgentId, &columns.agent_id),
            (Field::UserId, &columns.user_id),
            (Field::UserInput, &columns.user_input),
            (Field::AgentOutput, &columns.agent_output),
            (Field::DetectedSignal, &columns.detected_signal),
            (Field::ResponseType, &columns.response_type),
            (Field::CoherenceScoreImpact, &columns.coherence_score_impact),
            (Field::EscalationFlag, &columns.escalation_flag),
            (Field::SessionId, &columns.session_id),
            (Field::LogId, &columns.log_id),
            (Field::Timestamp, &columns.timestamp),
        ];
        for (field, column) in named {
            if let Some(column) = column {
                mapping.set(field, Source::Column(column.clone()))?;
            }
        }
        for column in metadata {
            match column.split_once('=') {
                Some((key, column)) => mapping.metadata_keys.push((key.to_owned(), column.to_owned())),
                None => mapping.set(Field::Metadata, Source::Column(column.clone()))?,
            }
        }
        for constant in constants {
            let (name, value) = constant
                .split_once('=')
                .ok_or_else(|| anyhow!("--set {constant}: write FIELD=VALUE, such as agent_id=support"))?;
            let field = Field::named(name).ok_or_else(|| {
                let names = Field::ALL.map(Field::name).join(", ");
                anyhow!("--set {constant}: an interaction has no field {name:?}; its fields are {names}")
            })?;
            mapping.set(field, Source::Constant(value.to_owned()))?;
        }
        Ok(mapping)
    }

    fn set(&mut self, field: Field, source: Source) -> Result<()> {
        let name = field.name();
        let place = &mut self.sources[field as usize];
        ensure!(
            *place == Source::OwnName,
            "{name} has two sources: give either {} or --set {name}, once",
            field.option()
        );
        *place = source;
        Ok(())
    }

    /// Returns the source of `field`.
    pub fn source(&self, field: Field) -> &Source {
        &self.sources[field as usize]
    }

    /// Returns the value of `field` in `record`. A null is absent.
    pub fn value<'a>(&'a self, record: &'a Record<'_>, field: Field) -> Option<Value<'a>> {
        let found = match self.source(field) {
            Source::OwnName => record.get(field.name()),
            Source::Column(path) => record.find(path),
            Source::Constant(value) => Some(Value::Text(value)),
        };
        found.filter(|value| !value.is_null())
    }

    /// Returns the keys of the metadata that have columns of their own, with their values in `record`.
    pub fn metadata_values<'a>(&'a self, record: &'a Record<'_>) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        let values = self.metadata_keys.iter().map(|(key, column)| Some((key.as_str(), record.find(column)?)));
        values.flatten().filter(|(_, value)| !value.is_null())
    }

    /// Returns the names in `names`, the columns or the keys of a row, that the mapping does not use.
    pub fn unused<'a>(&self, names: impl Iterator<Item = &'a str>, unused: &mut BTreeSet<String>) {
        for name in names {
            if !IMPLIED.contains(&name) && !self.uses(name) && !unused.contains(name) {
                unused.insert(name.to_owned());
            }
        }
    }

    fn uses(&self, name: &str) -> bool {
        let is_own = Field::named(name).is_some_and(|field| *self.source(field) == Source::OwnName);
        let leads_to = |path: &str| path == name || path.split('.').next() == Some(name);
        let columns = self.sources.iter().filter_map(|source| match source {
            Source::Column(path) => Some(path.as_str()),
            _ => None,
        });
        is_own || columns.chain(self.metadata_keys.iter().map(|(_, column)| column.as_str())).any(leads_to)
    }

    /// Checks that a CSV file with these `columns` has all columns that the user named.
    ///
    /// # Errors
    /// Names the first column that the file does not have.
    pub fn check_columns(&self, columns: &[String]) -> Result<()> {
        let named = Field::ALL.into_iter().filter_map(|field| match self.source(field) {
            Source::Column(column) => Some((field.option(), column)),
            _ => None,
        });
        let keys =
            self.metadata_keys.iter().map(|(key, column)| (format!("{} {key}", Field::Metadata.option()), column));
        for (option, column) in named.chain(keys) {
            if !columns.contains(column) {
                bail!("there is no column {column:?}, which {option} names: the columns are {}", columns.join(", "));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(columns: Columns) -> Result<Mapping, String> {
        Mapping::of(&columns).map_err(|error| error.to_string())
    }

    fn constants(constants: &[&str]) -> Columns {
        Columns { constants: constants.iter().map(|text| (*text).to_owned()).collect(), ..Columns::default() }
    }

    #[test]
    fn field_has_one_source() {
        let columns = Columns { agent_id: Some("bot".to_owned()), ..constants(&["user_id=a=b", "timestamp="]) };
        let mapping = mapping(columns.clone()).expect("a mapping");
        assert_eq!(*mapping.source(Field::AgentId), Source::Column("bot".to_owned()));
        assert_eq!(*mapping.source(Field::UserId), Source::Constant("a=b".to_owned()));
        assert_eq!(*mapping.source(Field::UserInput), Source::OwnName);

        let both = Columns { constants: vec!["agent_id=x".to_owned()], ..columns };
        let error = Mapping::of(&both).expect_err("two sources").to_string();
        assert_eq!(error, "agent_id has two sources: give either --agent-id or --set agent_id, once");
        assert!(Mapping::of(&constants(&["user_id=a", "user_id=b"])).is_err());
    }

    #[test]
    fn constant_names_a_field_and_a_value() {
        let error = |text: &str| mapping(constants(&[text])).expect_err("invalid");
        assert!(error("agent_id").contains("write FIELD=VALUE"));
        let unknown = error("agent=support");
        assert!(unknown.contains("no field \"agent\"") && unknown.contains("agent_id, user_id"), "{unknown}");
    }

    #[test]
    fn unused_names_are_those_that_no_source_leads_to() {
        let columns = Columns {
            user_id: Some("customer.id".to_owned()),
            user_input: Some("a.b".to_owned()),
            metadata: vec!["model=llm.model".to_owned()],
            ..constants(&["session_id=s"])
        };
        let mapping = mapping(columns).expect("a mapping");
        let mut unused = BTreeSet::new();
        let names = ["customer", "a.b", "a", "llm", "agent_id", "user_id", "session_id", "timestamp", "v", "other"];
        mapping.unused(names.into_iter(), &mut unused);
        assert_eq!(unused.into_iter().collect::<Vec<_>>(), ["other", "session_id", "user_id"]);
    }

    #[test]
    fn named_columns_of_a_csv_file_must_exist() {
        let named =
            Columns { user_id: Some("customer".to_owned()), metadata: vec!["k=c".to_owned()], ..Columns::default() };
        let mapping = mapping(named).expect("a mapping");
        let check = |columns: &[&str]| {
            let columns: Vec<_> = columns.iter().map(|column| (*column).to_owned()).collect();
            mapping.check_columns(&columns).map_err(|error| error.to_string())
        };
        assert_eq!(check(&["c", "customer"]), Ok(()));
        let error = check(&["c", "client"]).expect_err("no such column");
        assert_eq!(error, "there is no column \"customer\", which --user-id names: the columns are c, client");
        assert!(check(&["customer"]).expect_err("no such column").contains("--metadata k"));
    }
}
