//! Texts to classify, as sent by callers.

use crate::json::Json;
use crate::unknown::UnknownNames;
use crate::validation::{FieldError, Fields, Violation, parse_object, string};

/// Maximum number of texts in one request.
pub const MAX_TEXTS: usize = 100;

/// Texts of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Texts {
    /// One text, in the field `text`.
    One(String),
    /// Up to [`MAX_TEXTS`], in the field `texts`.
    Several(Vec<String>),
}

impl Texts {
    /// Parses the body of `POST /classify`. Also returns its unknown fields.
    ///
    /// # Errors
    /// All invalid fields together, and in a list all invalid texts. Exactly one of `text` and `texts` is required.
    pub fn parse(body: &[u8]) -> Result<(Self, UnknownNames), Vec<FieldError>> {
        let object = parse_object(body).map_err(|error| vec![error])?;
        let mut fields = Fields::new(&object);
        if object.get("texts").is_none() {
            let Some(text) = fields.required("text", string) else { return Err(fields.into_errors()) };
            return Ok((Self::One(text), fields.unknown()));
        }
        if object.get("text").is_some() {
            let violation = Violation::value_error("text and texts are mutually exclusive: send one of them");
            return Err(vec![FieldError::new("body", None, violation, object.value())]);
        }
        let Some(list) = fields.required("texts", list) else { return Err(fields.into_errors()) };
        Ok((read_all(list)?, fields.unknown()))
    }
}

fn list(value: Json<'_>) -> Result<Vec<Json<'_>>, Violation> {
    let items = value.as_array().ok_or_else(|| Violation::new("list_type", "Input should be a valid list"))?;
    if items.len() > MAX_TEXTS {
        let message = format!("List should have at most {MAX_TEXTS} items after validation, not {}", items.len());
        return Err(Violation::new("too_long", message));
    }
    Ok(items)
}

fn read_all(items: Vec<Json<'_>>) -> Result<Texts, Vec<FieldError>> {
    let (mut texts, mut errors) = (Vec::with_capacity(items.len()), Vec::new());
    for (index, item) in items.into_iter().enumerate() {
        match string(item) {
            Ok(text) => texts.push(text),
            Err(violation) => {
                errors.push(FieldError::new("body", None, violation, item).in_item(index).in_field("texts"))
            }
        }
    }
    if errors.is_empty() { Ok(Texts::Several(texts)) } else { Err(errors) }
}
