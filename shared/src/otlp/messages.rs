//! Messages between a user and a model, in the JSON forms that instrumentations send.
//!
//! All forms are lists of messages with a role and a text, under different names:
//!
//! - GenAI conventions: `[{"role":"user","parts":[{"type":"text","content":"Hi"}]}]`
//! - OpenAI, Langfuse, AI SDK: `[{"role":"user","content":"Hi"}]`, or `"content":[{"type":"text","text":"Hi"}]`
//! - Bedrock, Strands: `[{"role":"user","content":[{"text":"Hi"}]}]`
//! - LangChain: `{"messages":[[{"lc":1,"type":"constructor","id":[…,"HumanMessage"],"kwargs":{"content":"Hi"}}]]}`
//! - Responses: `{"choices":[{"message":{…}}]}`, `{"generations":[[{"text":"Hi","message":{…}}]]}`
//!
//! A history can be long, so messages are read one at a time, and only the data that later steps need is kept.

use std::borrow::Cow;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Deserialize;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The author of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The developer.
    System,
    /// The user.
    User,
    /// The model.
    Assistant,
    /// A tool, or anything else.
    Other,
}

impl Role {
    /// Returns the role named by a field `role`.
    pub fn named(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "system" | "developer" => Self::System,
            "user" | "human" => Self::User,
            "assistant" | "ai" | "model" => Self::Assistant,
            _ => Self::Other,
        }
    }

    /// Returns the role of a message by the `type` of an object without a role. `None` for types that name no role.
    fn of_type(name: &str) -> Option<Self> {
        match name {
            "human" | "HumanMessageChunk" => Some(Self::User),
            "ai" | "AIMessageChunk" => Some(Self::Assistant),
            "system" | "SystemMessageChunk" => Some(Self::System),
            "message" | "constructor" | "text" | "input_text" | "output_text" | "ChatGeneration" | "Generation"
            | "LLMResult" => None,
            // Calls of tools and their results, reasoning.
            _ => Some(Self::Other),
        }
    }

    /// Returns the role of an object of the LangChain class `name`.
    fn of_class(name: &str) -> Option<Self> {
        match name.strip_suffix("Chunk").unwrap_or(name) {
            "HumanMessage" => Some(Self::User),
            "AIMessage" => Some(Self::Assistant),
            "SystemMessage" => Some(Self::System),
            "ToolMessage" | "FunctionMessage" => Some(Self::Other),
            _ => None,
        }
    }
}

/// A history of messages, reduced to the data that decides whether the user has just spoken.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    /// Role of the last message that is not a system message. `User` only if the message has a text.
    last: Option<Role>,
    /// The last text of the user.
    user_text: Option<String>,
    /// Fingerprints of all texts of the user.
    users: Vec<u64>,
    /// The last text of the model.
    reply: Option<String>,
    /// Whether there are messages, including system messages.
    has_messages: bool,
}

impl Transcript {
    /// Appends a message.
    pub fn push(&mut self, role: Role, text: String) {
        self.has_messages = true;
        let has_text = !text.trim().is_empty();
        self.last = Some(match role {
            Role::System => return,
            Role::User if has_text => {
                self.users.push(fingerprint(&text));
                self.user_text = Some(text);
                Role::User
            }
            Role::Assistant if has_text => {
                self.reply = Some(text);
                Role::Assistant
            }
            _ => Role::Other,
        });
    }

    /// Appends the messages of `json`. A message without a role has the role `default`.
    ///
    /// # Errors
    /// When `json` is not JSON, or ends early, for example because the SDK cut the attribute. The messages before the
    /// error are lost.
    pub fn read(&mut self, json: &str, default: Role) -> Result<(), serde_json::Error> {
        let mut read = Self::default();
        let mut deserializer = serde_json::Deserializer::from_str(json);
        Messages { into: &mut read, default }.deserialize(&mut deserializer)?;
        deserializer.end()?;
        self.append(read);
        Ok(())
    }

    fn append(&mut self, other: Self) {
        self.last = other.last.or(self.last);
        self.user_text = other.user_text.or(self.user_text.take());
        self.users.extend(other.users);
        self.reply = other.reply.or(self.reply.take());
        self.has_messages |= other.has_messages;
    }

    /// Returns whether there are no messages.
    pub fn is_empty(&self) -> bool {
        !self.has_messages
    }

    /// Returns whether the user has spoken last: the model is about to answer the user, and not a tool.
    pub fn is_users_turn(&self) -> bool {
        self.last == Some(Role::User)
    }

    /// Returns how often the user has said the last text.
    pub fn occurrences(&self) -> usize {
        self.users.last().map_or(0, |last| self.users.iter().filter(|user| *user == last).count())
    }

    /// Returns a fingerprint of the last text of the user.
    pub fn fingerprint(&self) -> Option<u64> {
        self.users.last().copied()
    }

    /// Returns the last text of the user.
    pub fn into_user_text(self) -> Option<String> {
        self.user_text
    }

    /// Returns the last text of the model.
    pub fn into_reply(self) -> Option<String> {
        self.reply
    }
}

fn fingerprint(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Returns the text of an attribute with the content of one message: the text itself, or a list of parts in JSON.
pub fn content(attribute: &str) -> Cow<'_, str> {
    if attribute.trim_start().starts_with("[{") {
        let mut text = String::new();
        let mut deserializer = serde_json::Deserializer::from_str(attribute);
        let result = Content { into: &mut text }.deserialize(&mut deserializer);
        if result.and_then(|()| deserializer.end()).is_ok() {
            return Cow::Owned(text);
        }
    }
    Cow::Borrowed(attribute)
}

fn append_line(text: &mut String, line: &str) {
    if !line.is_empty() {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(line);
    }
}

/// Implements the visits of values that are neither texts, lists nor objects: such values are skipped.
macro_rules! skip_scalars {
    () => {
        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("any value")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
    };
}

/// Reads a list of messages, a message, or an object that contains messages.
struct Messages<'t> {
    into: &'t mut Transcript,
    default: Role,
}

impl<'de> DeserializeSeed<'de> for Messages<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Messages<'_> {
    type Value = ();

    skip_scalars!();

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.into.push(self.default, text.to_owned());
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { into, default } = self;
        while list.next_element_seed(Messages { into: &mut *into, default })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut message = Message::default();
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Role => message.role = map.next_value::<Word>()?.0.map(|word| Role::named(&word)),
                Key::Type => message.kind = map.next_value::<Word>()?.0,
                Key::Class => message.class = map.next_value::<Word>()?.0.and_then(|word| Role::of_class(&word)),
                // The same text can be there twice, as `content` and `parts`.
                Key::Content if message.text.is_empty() => {
                    map.next_value_seed(Content { into: &mut message.text })?;
                }
                Key::Inner => {
                    let default = message.class.unwrap_or(self.default);
                    map.next_value_seed(Messages { into: &mut message.inner, default })?;
                }
                Key::List => map.next_value_seed(Messages { into: &mut message.list, default: self.default })?,
                Key::Content | Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        message.push_to(self.into, self.default);
        Ok(())
    }
}

/// An object among messages.
#[derive(Default)]
struct Message {
    role: Option<Role>,
    kind: Option<String>,
    class: Option<Role>,
    text: String,
    /// Messages in a field that only objects around messages have.
    inner: Transcript,
    /// Messages in a field that calls of tools have too.
    list: Transcript,
}

impl Message {
    fn push_to(self, transcript: &mut Transcript, default: Role) {
        let typed = self.kind.as_deref().and_then(Role::of_type);
        if !self.inner.is_empty() {
            transcript.append(self.inner);
        } else if let Some(role) = self.role.or(typed).or(self.class) {
            transcript.push(role, self.text);
        } else if !self.list.is_empty() {
            transcript.append(self.list);
        } else if !self.text.is_empty() {
            transcript.push(default, self.text);
        }
    }
}

/// A field of an object among messages.
enum Key {
    Role,
    Type,
    Class,
    Content,
    Inner,
    List,
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Cow::<str>::deserialize(deserializer)?.as_ref() {
            "role" => Self::Role,
            "type" => Self::Type,
            "id" => Self::Class,
            "content" | "parts" | "text" => Self::Content,
            "messages" | "message" | "kwargs" => Self::Inner,
            "input" | "output" | "prompt" | "contents" | "choices" | "generations" => Self::List,
            _ => Self::Other,
        })
    }
}

/// A text, or the last text of a list. Other values are skipped.
#[derive(Default)]
struct Word(Option<String>);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordVisitor;

        impl<'de> Visitor<'de> for WordVisitor {
            type Value = Word;

            skip_scalars!();

            fn visit_str<E>(self, text: &str) -> Result<Word, E> {
                Ok(Word(Some(text.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Word, A::Error> {
                let mut last = Word::default();
                while let Some(word) = list.next_element()? {
                    last = word;
                }
                Ok(last)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Word, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Word::default())
            }
        }

        deserializer.deserialize_any(WordVisitor)
    }
}

/// Reads the content of a message: a text, a part, or a list of both. Parts that are not text are skipped.
struct Content<'t> {
    into: &'t mut String,
}

impl<'de> DeserializeSeed<'de> for Content<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Content<'_> {
    type Value = ();

    skip_scalars!();

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        append_line(self.into, text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Content { into: &mut *self.into })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut is_text, mut text) = (true, String::new());
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Type => {
                    is_text =
                        map.next_value::<Word>()?.0.is_none_or(|kind| kind == "text" || kind.ends_with("put_text"));
                }
                Key::Content => map.next_value_seed(Content { into: &mut text })?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if is_text {
            append_line(self.into, &text);
        }
        Ok(())
    }
}
