//! The arguments of a call.

use std::ops::RangeInclusive;

use super::Failure;
use crate::datetime;
use crate::ids::{AgentId, UserId};
use crate::json::{Json, Object};
use crate::time::Timestamp;
use crate::validation::{Fields, Violation, string};

/// The arguments of a call, with the errors of those read so far. Like in [`Fields`], any `None` means that
/// [`Arguments::into_failure`] has the reasons.
pub struct Arguments<'a> {
    fields: Option<Fields<'a>>,
    errors: Vec<String>,
}

impl<'a> Arguments<'a> {
    /// Creates a reader of the arguments `object`.
    pub fn new(object: Option<&'a Object<'a>>) -> Self {
        Self { fields: object.map(Fields::new), errors: Vec::new() }
    }

    /// Returns the string `name`.
    pub fn required<T: TryFrom<String>>(&mut self, name: &'static str) -> Option<T>
    where
        Violation: From<T::Error>,
    {
        match &mut self.fields {
            Some(fields) => fields.required(name, string),
            None => {
                self.errors.push(format!("{name}: Field required"));
                None
            }
        }
    }

    /// Returns the string `name`, or `Some(None)` if absent.
    pub fn optional<T: TryFrom<String>>(&mut self, name: &'static str) -> Option<Option<T>>
    where
        Violation: From<T::Error>,
    {
        self.read(name, string)
    }

    /// Returns the argument `name` as parsed by `parse`, or `Some(None)` if absent.
    pub fn read<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(Json<'a>) -> Result<T, Violation>,
    ) -> Option<Option<T>> {
        self.fields.as_mut().map_or(Some(None), |fields| fields.optional(name, parse))
    }

    /// Returns the agent.
    pub fn agent_id(&mut self) -> Option<AgentId> {
        self.required("agent_id")
    }

    /// Returns the user.
    pub fn user_id(&mut self) -> Option<UserId> {
        self.required("user_id")
    }

    /// Returns the time `name`, or `Some(None)` if absent.
    pub fn time(&mut self, name: &'static str) -> Option<Option<Timestamp>> {
        self.read(name, |json| datetime::from_text(&string::<String>(json)?))
    }

    /// Returns the maximum number of rows.
    pub fn limit(&mut self, default: usize, allowed: RangeInclusive<usize>) -> Option<usize> {
        let limit = self.read("limit", |json| {
            let number = json.as_number().and_then(|number| usize::try_from(number.as_u64()?).ok());
            number.filter(|number| allowed.contains(number)).ok_or_else(|| {
                let (first, last) = (allowed.start(), allowed.end());
                Violation::value_error(format!("must be a whole number from {first} to {last}"))
            })
        });
        limit.map(|limit| limit.unwrap_or(default))
    }

    /// Returns the end of the previous page as parsed by `parse`, or `Some(None)` for the first page.
    pub fn cursor<T>(&mut self, parse: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
        self.read("cursor", |json| {
            parse(&string::<String>(json)?)
                .ok_or_else(|| Violation::value_error("must be next of the same call with the same other arguments"))
        })
    }

    /// Rejects all arguments that have not been read.
    pub fn no_others(&mut self) -> Option<()> {
        let unknown = self.fields.as_ref().map(|fields| fields.unknown().into_names()).unwrap_or_default();
        let are_none = unknown.is_empty();
        self.errors.extend(unknown.iter().map(|name| format!("{}: unknown argument", super::output::quoted(name))));
        are_none.then_some(())
    }

    /// Returns all errors of the arguments read so far.
    pub fn into_failure(self) -> Failure {
        let invalid = self.fields.map(Fields::into_errors).unwrap_or_default();
        let invalid = invalid.iter().map(ToString::to_string);
        let errors: Vec<_> = invalid.chain(self.errors).collect();
        Failure::Refused(format!("The arguments are invalid. {}.", errors.join("; ")))
    }
}
