//! API keys of a stack: the first key, and the subcommand `key`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};
use shared::auth::{Agents, ApiKey, FindKey, KeyRecord, KeyTable, Scope, Seal};
use shared::env::API_KEYS_TABLE;
use shared::ids::AgentId;
use shared::time::Timestamp;

use crate::data_folder::write_private;
use crate::target::StackTarget;

/// The name of the key that a stack creates for its own user.
const FIRST_KEY: &str = "local";

/// The properties of a new key.
#[derive(Debug)]
pub struct NewKey {
    /// The display name.
    pub name: String,
    /// The scopes of the key.
    pub scopes: BTreeSet<Scope>,
    /// The agents that the key may access.
    pub agents: Agents,
    /// The Unix second from which the key is no longer valid.
    pub expires_at: Option<i64>,
}

/// Returns the key table of the stack `target`.
///
/// # Errors
/// Fails if the stack does not provide the table's name.
pub fn table(target: &StackTarget) -> Result<KeyTable> {
    Ok(KeyTable::new(target.aws.dynamodb(), target.name(API_KEYS_TABLE)?))
}

/// Returns the key in the file at `path` if the stack still accepts it. Otherwise creates a key with every scope for
/// every agent.
///
/// # Errors
/// Fails if DynamoDB is unavailable or the file cannot be written.
pub async fn first(environment: &BTreeMap<String, String>, path: &Path) -> Result<String> {
    let table = table(&StackTarget::local(environment)?)?;
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    if let Some(key) = ApiKey::parse(kept.trim())
        && table.find(&key.hash()).await.context("cannot look up the API key")?.is_some()
    {
        return Ok(key.reveal().to_owned());
    }
    let wanted =
        NewKey { name: FIRST_KEY.to_owned(), scopes: Scope::ALL.into(), agents: Agents::All, expires_at: None };
    let key = create(&table, wanted).await?;
    write_private(path, &format!("{}\n", key.reveal()))?;
    Ok(key.reveal().to_owned())
}

/// Creates a key and stores its record.
///
/// # Errors
/// Fails if DynamoDB does not accept the record.
pub async fn create(table: &KeyTable, wanted: NewKey) -> Result<ApiKey> {
    let key = ApiKey::generate().context("the system gives no randomness")?;
    let NewKey { name, scopes, agents, expires_at } = wanted;
    let seal = Seal::generate().context("the system gives no randomness")?;
    let record = KeyRecord { hash: key.hash(), name, scopes, agents, expires_at, seal };
    table.create(&record).await.context("the API key cannot be stored")?;
    Ok(key)
}

/// Returns the existing keys as a readable table, sorted by name.
///
/// # Errors
/// Fails if DynamoDB is unavailable.
pub async fn list(table: &KeyTable) -> Result<String> {
    let mut records = table.list().await.context("the API keys cannot be listed")?;
    records.sort_by(|one, other| (&one.name, one.hash.as_str()).cmp(&(&other.name, other.hash.as_str())));
    let mut rows = vec![["NAME", "HASH", "SCOPES", "AGENTS", "EXPIRES"].map(str::to_owned)];
    for record in records {
        let scopes: Vec<_> = record.scopes.iter().map(|scope| scope.name()).collect();
        let agents = match &record.agents {
            Agents::All => "*".to_owned(),
            Agents::Only(agents) => agents.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        };
        let expires = match record.expires_at {
            None => "never".to_owned(),
            Some(_) if record.is_expired(Timestamp::now()) => "expired".to_owned(),
            Some(seconds) => date(seconds),
        };
        let hash = record.hash.as_str().get(..SHOWN_DIGITS).unwrap_or_default().to_owned();
        rows.push([record.name, hash, scopes.join(","), agents, expires]);
    }
    Ok(columns(&rows))
}

/// The number of hash digits shown to distinguish keys.
const SHOWN_DIGITS: usize = 12;
/// The minimum number of hash digits that identify a key.
const FEWEST_DIGITS: usize = 6;

/// Deletes the key that `which` identifies by its name or by the first digits of its hash, and returns the key's name.
///
/// # Errors
/// Fails if `which` matches no key or several keys.
pub async fn revoke(table: &KeyTable, which: &str) -> Result<String> {
    let records = table.list().await.context("the API keys cannot be listed")?;
    let is_meant = |record: &&KeyRecord| {
        record.name == which || (which.len() >= FEWEST_DIGITS && record.hash.as_str().starts_with(which))
    };
    let meant: Vec<_> = records.iter().filter(is_meant).collect();
    match meant[..] {
        [] => bail!("no key has the name or the hash {which:?}; `key list` shows them"),
        [record] => {
            table.revoke(&record.hash).await.context("the API key cannot be revoked")?;
            Ok(record.name.clone())
        }
        _ => bail!("{} keys are named {which:?}; name one by its hash, as `key list` shows it", meant.len()),
    }
}

/// Parses agents from the command line: `*`, or comma-separated ids.
///
/// # Errors
/// Fails if an id is not a valid agent id.
pub fn parse_agents(text: &str) -> Result<Agents> {
    if text.trim() == "*" {
        return Ok(Agents::All);
    }
    let agent = |id: &str| AgentId::try_from(id).map_err(|error| anyhow::anyhow!("the agent {id:?}: {error}"));
    Ok(Agents::Only(text.split(',').map(agent).collect::<Result<_>>()?))
}

/// Parses a day such as `2027-01-01` as the Unix second at which it begins in UTC.
///
/// # Errors
/// Fails if the text is not a valid day.
pub fn parse_day(text: &str) -> Result<i64> {
    let parts: Option<Vec<i32>> = text.split('-').map(|part| part.parse().ok()).collect();
    let day = match parts.as_deref() {
        Some(&[year, month, day]) => month_of(month)
            .zip(u8::try_from(day).ok())
            .and_then(|(month, day)| time::Date::from_calendar_date(year, month, day).ok()),
        _ => None,
    };
    let day = day.with_context(|| format!("{text:?} is not a day such as 2027-01-01"))?;
    Ok(day.midnight().assume_utc().unix_timestamp())
}

fn month_of(number: i32) -> Option<time::Month> {
    u8::try_from(number).ok()?.try_into().ok()
}

fn date(seconds: i64) -> String {
    time::OffsetDateTime::from_unix_timestamp(seconds).map_or_else(|_| seconds.to_string(), |at| at.date().to_string())
}

/// Formats `rows` in columns that are as wide as their contents.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_all_or_a_list_of_ids() {
        assert_eq!(parse_agents("*").expect("agents"), Agents::All);
        let Agents::Only(agents) = parse_agents("agent 1,日本").expect("agents") else { panic!("not all") };
        assert_eq!(agents.len(), 2);
        for text in ["", "a,,b", "a/b", "a,*/"] {
            assert!(parse_agents(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_day_begins_at_midnight_utc() {
        assert_eq!(parse_day("1970-01-02").expect("a day"), 86_400);
        assert_eq!(parse_day("2027-01-01").expect("a day"), 1_798_761_600);
        for text in ["", "2027-02-29", "2027-13-01", "2027-01", "2027-01-01T00:00", "tomorrow", "2027-1-1-1"] {
            assert!(parse_day(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["A", "B"], ["long", "x"], ["é", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(columns(&rows), "A     B\nlong  x\né");
    }
}
