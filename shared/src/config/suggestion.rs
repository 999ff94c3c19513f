//! Suggestions for misspelt keys.

/// Returns the candidate that `key` is most likely a misspelling of, if one is similar enough: at most one edit per three
/// characters.
pub(super) fn similar<'a>(key: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let similar = candidates.map(|candidate| (edits(key, candidate), candidate));
    let (edits, candidate) = similar.min_by_key(|&(edits, _)| edits)?;
    (edits <= candidate.chars().count().div_ceil(3)).then_some(candidate)
}

/// Returns the number of characters to insert, delete, replace or swap with their neighbour to make `one` from `other`
/// (the restricted Damerau-Levenshtein distance).
fn edits(one: &str, other: &str) -> usize {
    let (one, other): (Vec<_>, Vec<_>) = (one.chars().collect(), other.chars().collect());
    let mut rows = vec![(0..=other.len()).collect::<Vec<_>>()];
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut least = (rows[i][j] + usize::from(a != b)).min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_insertions_deletions_replacements_and_swaps() {
        for (one, other, count) in [
            ("", "", 0),
            ("a", "", 1),
            ("on", "no", 1),
            ("seconds", "second", 1),
            ("mode", "node", 1),
            ("abc", "xyz", 3),
        ] {
            assert_eq!((edits(one, other), edits(other, one)), (count, count), "{one} {other}");
        }
    }

    #[test]
    fn only_similar_candidates_are_suggested() {
        let keys = ["seconds", "max_items", "clock", "default"];
        let suggestion = |key| similar(key, keys.into_iter());
        assert_eq!(suggestion("defualt"), Some("default"));
        assert_eq!(suggestion("max-itmes"), Some("max_items"));
        assert_eq!(suggestion("clok"), Some("clock"));
        assert_eq!(suggestion("stressed"), None);
        assert_eq!(suggestion("x"), None);
    }
}
