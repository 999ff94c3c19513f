//! Counts by signal as short text: `n3 s1 bored=2`.
//!
//! A record of a user has the counts of many hours, and DynamoDB bills writes by size. So the standard signals are
//! written as their first letters.

use percent_encoding::percent_decode_str;

use crate::ids::Signal;
use crate::logging::{Summary, segment};

/// Returns `counts` as text.
pub fn to_text(counts: &Summary) -> String {
    let texts = counts.in_order().into_iter().map(|(signal, count)| {
        let letter = Signal::STANDARD.contains(&signal.as_str()).then(|| &signal.as_str()[..1]);
        letter.map_or_else(
            || format!("{}={count}", segment::encode(signal.as_str())),
            |letter| format!("{letter}{count}"),
        )
    });
    texts.collect::<Vec<_>>().join(" ")
}

/// Parses a text returned by [`to_text`]. Returns `None` for any other text.
pub fn parse(text: &str) -> Option<Summary> {
    text.split(' ').filter(|part| !part.is_empty()).map(parse_count).collect()
}

fn parse_count(text: &str) -> Option<(Signal, u64)> {
    let (name, count) = match text.split_once('=') {
        Some((name, count)) => (percent_decode_str(name).decode_utf8().ok()?.into_owned(), count),
        None => {
            let (letter, count) = text.split_at_checked(1)?;
            (Signal::STANDARD.iter().find(|name| name.starts_with(letter))?.to_string(), count)
        }
    };
    Some((Signal::try_from(name).ok()?, count.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn standard_signals_have_distinct_letters() {
        let text = |counts: &[(&str, u64)]| {
            let signal = |name: &str| Signal::try_from(name).expect("a signal");
            to_text(&counts.iter().map(|(name, count)| (signal(name), *count)).collect())
        };
        assert_eq!(
            text(&[("stressed", 1), ("neutral", 30), ("uncertain", 2), ("positive", 4), ("s", 5), ("a b", 6)]),
            "p4 n30 s1 u2 a%20b=6 s=5"
        );
        assert_eq!(text(&[]), "");
    }

    proptest! {
        #[test]
        fn any_counts_read_back(counts in proptest::collection::vec(("stressed|neutral|[^\\x00-\\x1f\\x7f-\\x9f/\\\\%?#.]{1,8}", 1..u64::MAX / 8), 0..5)) {
            let counts: Summary = counts.into_iter().map(|(name, count)| (Signal::try_from(name).expect("a signal"), count)).collect();
            prop_assert_eq!(parse(&to_text(&counts)), Some(counts));
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in ".{0,40}") {
            if let Some(counts) = parse(&text) {
                prop_assert_eq!(parse(&to_text(&counts)), Some(counts));
            }
        }
    }
}
