//! The users and the texts of the demo.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

const USERS: &str = include_str!("../../demo/users.toml");
/// The texts of each agent, and the texts in other languages, which name their agent.
const AGENTS: [(&str, &str, &str); 3] = [
    ("support", "support.toml", include_str!("../../demo/support.toml")),
    ("concierge", "concierge.toml", include_str!("../../demo/concierge.toml")),
    ("shop", "shop.toml", include_str!("../../demo/shop.toml")),
];
const LANGUAGES: &str = include_str!("../../demo/languages.toml");
/// The language of a conversation or a user without another language.
const ENGLISH: &str = "en";
/// The last item of a turn that the agent hands over to a human.
const ESCALATED: &str = "escalated";

/// The users and the texts of the demo.
#[derive(Debug)]
pub(super) struct Texts {
    pub agents: Vec<Agent>,
    languages: BTreeMap<String, String>,
}

/// An agent with its users and conversations.
#[derive(Debug)]
pub(super) struct Agent {
    pub name: &'static str,
    pub users: Vec<String>,
    /// Values of the words in braces.
    pub words: BTreeMap<String, Vec<String>>,
    /// Conversations of an ordinary day, in all languages.
    pub usual: Vec<Conversation>,
    /// Conversations in the hour after a release that does not work.
    pub incident: Vec<Conversation>,
    /// Conversations after the release was rolled back.
    pub recovery: Vec<Conversation>,
    /// Conversations of users who are stressed at the end of the story.
    pub now: Vec<Conversation>,
}

/// A conversation of a user with an agent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Conversation {
    pub topic: String,
    /// The agent, in a file of several agents.
    agent: Option<String>,
    #[serde(default = "english")]
    language: String,
    /// The user, if the conversation belongs to one user.
    #[serde(default)]
    pub user: String,
    /// The time between the last turn and the end of the story.
    #[serde(default)]
    pub ends_minutes_ago: i64,
    pub turns: Vec<Turn>,
}

/// A text of the user with the agent's reply.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub(super) struct Turn {
    /// The signal that the classifier finds in the text.
    pub signal: String,
    pub user_input: String,
    pub agent_output: String,
    pub is_escalated: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsersFile {
    agents: BTreeMap<String, Vec<String>>,
    languages: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TextsFile {
    #[serde(default)]
    words: BTreeMap<String, Vec<String>>,
    conversations: Vec<Conversation>,
    #[serde(default)]
    incident: Vec<Conversation>,
    #[serde(default)]
    recovery: Vec<Conversation>,
    #[serde(default)]
    now: Vec<Conversation>,
}

impl Texts {
    /// Reads the files that are compiled in.
    pub fn load() -> Result<Self> {
        let UsersFile { mut agents, languages } = parse("users.toml", USERS)?;
        let foreign: TextsFile = parse("languages.toml", LANGUAGES)?;
        let agent = |(name, file, text)| {
            let TextsFile { words, conversations: mut usual, incident, recovery, now } = parse(file, text)?;
            usual.extend(foreign.conversations.iter().filter(|one| one.agent.as_deref() == Some(name)).cloned());
            let users = agents.remove(name).with_context(|| format!("users.toml has no users of {name}"))?;
            Ok(Agent { name, users, words, usual, incident, recovery, now })
        };
        let agents = AGENTS.into_iter().map(agent).collect::<Result<_>>()?;
        Ok(Self { agents, languages })
    }

    /// Returns the ordinary conversations of `agent` in the language of `user`.
    pub fn usual<'a>(&self, agent: &'a Agent, user: &str) -> Vec<&'a Conversation> {
        let language = self.languages.get(user).map_or(ENGLISH, String::as_str);
        agent.usual.iter().filter(|conversation| conversation.language == language).collect()
    }

    /// Returns whether `user` writes English.
    pub fn is_english(&self, user: &str) -> bool {
        !self.languages.contains_key(user)
    }
}

impl TryFrom<Vec<String>> for Turn {
    type Error = &'static str;

    fn try_from(items: Vec<String>) -> Result<Self, Self::Error> {
        const FORM: &str = "a turn has a signal, the user's text, the agent's reply, and possibly \"escalated\"";
        let (items, is_escalated) = match &items[..] {
            [items @ .., last] if items.len() == 3 && last == ESCALATED => (items, true),
            items => (items, false),
        };
        let [signal, user_input, agent_output] = items else { return Err(FORM) };
        let [signal, user_input, agent_output] = [signal, user_input, agent_output].map(String::clone);
        Ok(Self { signal, user_input, agent_output, is_escalated })
    }
}

fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T> {
    toml::from_str(text).with_context(|| format!("cli/demo/{file}"))
}

fn english() -> String {
    ENGLISH.to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn texts_have_three_agents_and_forty_users() {
        let texts = Texts::load().expect("texts");
        let names: Vec<_> = texts.agents.iter().map(|agent| agent.name).collect();
        assert_eq!(names, ["support", "concierge", "shop"]);
        let users: BTreeSet<_> = texts.agents.iter().flat_map(|agent| &agent.users).collect();
        assert_eq!(users.len(), 40);
        for agent in &texts.agents {
            for user in &agent.users {
                assert!(!texts.usual(agent, user).is_empty(), "{user} has no conversation with {}", agent.name);
            }
            assert!(agent.now.iter().all(|one| agent.users.contains(&one.user)), "{}", agent.name);
        }
    }

    #[test]
    fn turn_has_three_items_or_is_escalated() {
        let turn = |items: &[&str]| Turn::try_from(items.iter().map(|&item| item.to_owned()).collect::<Vec<_>>());
        assert!(!turn(&["neutral", "Hi.", "Hello."]).expect("a turn").is_escalated);
        assert!(turn(&["neutral", "Hi.", "Hello.", "escalated"]).expect("a turn").is_escalated);
        for items in [&["neutral", "Hi."][..], &["neutral", "Hi.", "escalated", "x"], &[]] {
            assert!(turn(items).is_err(), "{items:?}");
        }
    }
}
