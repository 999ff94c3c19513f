//! Scripts, as far as the classifier distinguishes them.

/// The kind of script that a letter belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    Latin,
    /// Hiragana and katakana, which only Japanese has.
    Kana,
    Han,
    /// Any other script without spaces between words.
    OtherUnspaced,
    /// Any other script.
    Other,
}

impl Script {
    /// Returns the script of the letter `c`.
    pub(super) fn of(c: char) -> Self {
        match c {
            '\0'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => Self::Latin,
            '\u{3040}'..='\u{30ff}' | '\u{ff66}'..='\u{ff9f}' => Self::Kana,
            '\u{3005}'..='\u{3007}'
            | '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{3ffff}' => Self::Han,
            '\u{0e00}'..='\u{0eff}' // Thai, Lao
            | '\u{1000}'..='\u{109f}' // Myanmar
            | '\u{1780}'..='\u{17ff}' // Khmer
            => Self::OtherUnspaced,
            _ => Self::Other,
        }
    }
}

/// Returns whether `c` is of a script without spaces between words.
pub(super) fn is_unspaced(c: char) -> bool {
    matches!(Script::of(c), Script::Kana | Script::Han | Script::OtherUnspaced)
}
