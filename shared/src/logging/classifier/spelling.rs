//! Spellings that count as the same in languages other than English: most accents and elided words make no difference.
//!
//! The build script uses this file too, so the terms of a lexicon are written as texts are read.

/// How letters with accents are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accents {
    /// As different letters.
    Kept,
    /// As the letters without accents.
    LeftOut,
    /// As the letters without accents, but umlauts as two letters, because "schon" and "schön" are different words.
    Umlauts,
}

/// Returns `c`, which is lower case, as compared: `e` for `é`, `ss` for `ß`.
pub fn plain(c: char, accents: Accents) -> (char, Option<char>) {
    let letter = match c {
        _ if accents == Accents::Kept => c,
        '\0'..='\u{7f}' => c,
        'ä' if accents == Accents::Umlauts => return ('a', Some('e')),
        'ö' if accents == Accents::Umlauts => return ('o', Some('e')),
        'ü' if accents == Accents::Umlauts => return ('u', Some('e')),
        'à'..='å' => 'a',
        'ç' => 'c',
        'è'..='ë' => 'e',
        'ì'..='ï' => 'i',
        'ñ' => 'n',
        'ò'..='ö' | 'ø' => 'o',
        'ù'..='ü' => 'u',
        'ý' | 'ÿ' => 'y',
        'ß' => return ('s', Some('s')),
        'æ' => return ('a', Some('e')),
        'œ' => return ('o', Some('e')),
        _ => c,
    };
    (letter, None)
}

/// Returns the bytes of `text`, which is in lower case, as compared.
pub fn compared(text: &str, accents: Accents) -> impl Iterator<Item = u8> {
    text.chars().flat_map(move |c| {
        let (first, second) = plain(c, accents);
        let mut bytes = [0; 4];
        let length = first.encode_utf8(&mut bytes).len();
        bytes.into_iter().take(length).chain(second.map(|second| second as u8))
    })
}

/// Short words that French joins to the next word with an apostrophe.
const ELIDED: [&[u8]; 13] =
    [b"c", b"d", b"j", b"jusqu", b"l", b"lorsqu", b"m", b"n", b"puisqu", b"qu", b"quoiqu", b"s", b"t"];

/// Returns the French `word` without an elided word at its beginning: `aide` for `m'aide`.
pub fn without_elision(word: &[u8]) -> &[u8] {
    let apostrophe = word.iter().position(|byte| *byte == b'\'');
    match apostrophe.map(|at| (word.get(..at).unwrap_or_default(), word.get(at + 1..).unwrap_or_default())) {
        Some((elided, rest)) if ELIDED.contains(&elided) && !rest.is_empty() => rest,
        _ => word,
    }
}

/// Returns a hash of `text` with 24 bits, for tables. A fast function suffices because the tables' contents are fixed:
/// <https://nnethercote.github.io/2021/12/08/a-brutally-effective-hash-function-in-rust.html>.
pub fn hash(text: &[u8]) -> usize {
    let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    let (words, rest) = text.as_chunks::<8>();
    let hash = words.iter().fold(text.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    for (byte, from) in last.iter_mut().zip(rest) {
        *byte = *from;
    }
    // The upper bits depend on all bits of the text.
    (mix(hash, u64::from_le_bytes(last)) >> 40) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accents_are_left_out_and_other_letters_stay() {
        let text = |accents: Accents| {
            let text = "größe déçu ñandú não cœur łódź ひどい";
            String::from_utf8(compared(text, accents).collect()).expect("UTF-8")
        };
        assert_eq!(text(Accents::LeftOut), "grosse decu nandu nao coeur łodź ひどい");
        assert_eq!(text(Accents::Umlauts), "groesse decu nandu nao coeur łodź ひどい");
        assert_eq!(text(Accents::Kept), "größe déçu ñandú não cœur łódź ひどい");
    }

    #[test]
    fn only_elided_words_are_left_out() {
        let word = |text: &str| String::from_utf8_lossy(without_elision(text.as_bytes())).into_owned();
        assert_eq!(
            ["m'aide", "qu'il", "jusqu'ici", "aujourd'hui", "l'", "aide"].map(word),
            ["aide", "il", "ici", "aujourd'hui", "l'", "aide"]
        );
    }
}
