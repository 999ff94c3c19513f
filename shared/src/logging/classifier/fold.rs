//! Normalises characters for comparison: one case, one width, one kind of apostrophe.

/// Returns `c` as compared: lower case, full width and mathematical letters as plain ones, any apostrophe as `'`, any
/// white space as a space. Invisible characters (joiners, variation selectors, skin tones, soft hyphens) and combining
/// accents fold to nothing.
///
/// Of Unicode's compatibility forms these are the ones people type. Folding them needs no table and no memory.
pub(super) fn fold(c: char) -> impl Iterator<Item = char> {
    let plain = if c.is_ascii() { Some(c) } else { widen(c) };
    plain.into_iter().flat_map(char::to_lowercase).filter(|c| !is_unseen(*c))
}

fn widen(c: char) -> Option<char> {
    match c {
        '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{02bc}' | '\u{00b4}' | '\u{ff07}' => Some('\''),
        '\u{201c}' | '\u{201d}' | '\u{201e}' => Some('"'),
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0),
        '\u{1d400}'..='\u{1d6a3}' => mathematical_letter(u32::from(c) - 0x1d400),
        c if c.is_whitespace() => Some(' '),
        c if is_unseen(c) => None,
        c => Some(c),
    }
}

/// Returns the plain letter for an offset into the mathematical letters. Their blocks follow each other, each A to Z
/// and a to z: <https://www.unicode.org/charts/PDF/U1D400.pdf>.
fn mathematical_letter(offset: u32) -> Option<char> {
    u8::try_from(offset % 26).ok().map(|letter| char::from(b'a' + letter))
}

fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{00ad}' | '\u{0300}'..='\u{036f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        text.chars().flat_map(fold).collect()
    }

    #[test]
    fn case_width_and_apostrophes_do_not_matter() {
        assert_eq!(folded("Ｄｏｎ＇ｔ！"), "don't!");
        assert_eq!(folded("DON\u{2019}T"), "don't");
        assert_eq!(folded("𝗴𝗼𝗼𝗱 𝑮𝑶𝑶𝑫"), "good good");
        assert_eq!(folded("a\u{3000}b\u{a0}c"), "a b c");
    }

    #[test]
    fn what_is_not_seen_is_nothing() {
        assert_eq!(folded("go\u{200b}od\u{feff} ❤\u{fe0f}👍🏽"), "good ❤👍");
        assert_eq!(folded("A\u{308}rger İ"), "arger i");
    }
}
