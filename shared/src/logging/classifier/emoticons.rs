//! Emoticons and emoji.

/// An emoticon at the beginning of a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Emoticon {
    /// Form used by the lexicon.
    pub(super) canonical: &'static [u8],
    /// Length in the text, in bytes.
    pub(super) len: usize,
}

/// Emoticons and their form in the lexicon. An emoticon that starts with another one comes before it.
const EMOTICONS: [(&str, &str); 53] = [
    (":'-(", ":'("),
    (":'(", ":'("),
    (":,(", ":'("),
    ("T_T", ":'("),
    (";_;", ":'("),
    (":')", ":)"),
    (":-)", ":)"),
    (":)", ":)"),
    ("=)", ":)"),
    (":]", ":)"),
    ("(:", ":)"),
    ("^_^", ":)"),
    ("^^", ":)"),
    (":o)", ":)"),
    (":-D", ":D"),
    (":D", ":D"),
    ("=D", ":D"),
    ("xD", ":D"),
    ("XD", ":D"),
    (":-))", ":)"),
    (";-)", ";)"),
    (";)", ";)"),
    (";D", ";)"),
    (":-P", ":P"),
    (":P", ":P"),
    (":-p", ":P"),
    (":p", ":P"),
    ("=P", ":P"),
    (";P", ":P"),
    (":-(", ":("),
    (":(", ":("),
    ("=(", ":("),
    (":[", ":("),
    ("):", ":("),
    ("D:", ":("),
    (":c", ":("),
    (">:(", ">:("),
    (">.<", ">:("),
    (">_<", ">:("),
    (":-/", ":/"),
    (":/", ":/"),
    ("=/", ":/"),
    (":-\\", ":/"),
    (":\\", ":/"),
    (":-|", ":/"),
    (":|", ":/"),
    ("-_-", "-_-"),
    (":-O", ":O"),
    (":O", ":O"),
    (":o", ":O"),
    ("o_O", ":O"),
    ("O_o", ":O"),
    ("<3", "<3"),
];

/// Returns the emoticon at the start of `text`. An emoticon that ends in a letter must end there as a word.
pub(super) fn starting(text: &str) -> Option<Emoticon> {
    if !text.starts_with([':', ';', '=', '(', ')', '^', '>', '<', '-', 'x', 'X', 'D', 'T', 'o', 'O']) {
        return None;
    }
    let goes_on = |rest: &str| rest.starts_with(|c: char| c.is_alphanumeric() || c == '/');
    let found = EMOTICONS.iter().find(|(written, _)| {
        text.strip_prefix(written).is_some_and(|rest| !goes_on(rest) || written.ends_with([')', '(']))
    });
    found.map(|(written, canonical)| Emoticon { canonical: canonical.as_bytes(), len: written.len() })
}

/// Returns whether `c` is a pictograph: <https://www.unicode.org/charts/>, blocks from Miscellaneous Symbols to
/// Dingbats and those of the supplementary plane.
pub(super) fn is_emoji(c: char) -> bool {
    matches!(c, '\u{2600}'..='\u{27bf}' | '\u{2b05}'..='\u{2b55}' | '\u{1f300}'..='\u{1faff}')
}
