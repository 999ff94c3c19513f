//! Names that a caller sent and that an endpoint does not have, shortened for a response.

use serde::Serialize;

/// Maximum number of names in a response.
const MAX_NAMES: usize = 16;
/// Maximum length of a name in a response, in characters.
const MAX_CHARS: usize = 64;

/// The first unknown names of a request, each in part if it is long. Each is listed once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct UnknownNames(Vec<String>);

impl UnknownNames {
    /// Collects the `names` that are not in `known`.
    pub fn among<'a>(names: impl IntoIterator<Item = &'a str>, known: &[&str]) -> Self {
        let mut found = Vec::new();
        for name in names.into_iter().filter(|name| !known.contains(name)) {
            let shown: String = name.chars().take(MAX_CHARS).collect();
            if found.len() < MAX_NAMES && !found.contains(&shown) {
                found.push(shown);
            }
        }
        Self(found)
    }

    /// Returns whether there are no unknown names.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the names by value.
    pub fn into_names(self) -> Vec<String> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_names_are_listed_once_and_in_order() {
        let unknown = UnknownNames::among(["b", "known", "a", "b", "Known", ""], &["known"]);
        assert_eq!(json!(unknown), json!(["b", "a", "Known", ""]));
        assert!(UnknownNames::among(["known"], &["known"]).is_empty());
    }

    #[test]
    fn unknown_names_are_bounded_in_number_and_length() {
        let names: Vec<String> = (0..20).map(|n| format!("{n:02}{}", "é".repeat(100))).collect();
        let unknown = UnknownNames::among(names.iter().map(String::as_str), &[]).into_names();
        assert_eq!(unknown.len(), MAX_NAMES);
        assert!(unknown.iter().all(|name| name.chars().count() == MAX_CHARS));
        // Names that differ only after the part that is shown are the same for a reader.
        let same: Vec<String> = (0..20).map(|n| format!("{}{n}", "x".repeat(MAX_CHARS))).collect();
        assert_eq!(UnknownNames::among(same.iter().map(String::as_str), &[]).into_names().len(), 1);
    }
}
