//! Negators, intensifiers and similar words that change the meaning of others.

use super::buffer::Buffer;
use super::tokens::Word;

/// Number of words that a negator covers.
const REACH: usize = 4;

/// Remaining reach of the last negator.
#[derive(Debug, Default)]
pub(super) struct Scope {
    left: usize,
}

impl Scope {
    /// Returns whether `word` is negated. A negator opens a new scope; a contrast ends the scope.
    pub(super) fn covers(&mut self, word: &[u8]) -> bool {
        if is_negator(word) {
            self.left = REACH;
            return false;
        }
        if is_contrast(word) {
            self.end();
        }
        let is_covered = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_covered
    }

    pub(super) fn end(&mut self) {
        self.left = 0;
    }
}

fn is_negator(word: &[u8]) -> bool {
    word.ends_with(b"n't")
        || matches!(
            word,
            b"not"
                | b"no"
                | b"never"
                | b"nothing"
                | b"nobody"
                | b"none"
                | b"nor"
                | b"neither"
                | b"without"
                | b"hardly"
                | b"barely"
        )
}

fn is_contrast(word: &[u8]) -> bool {
    matches!(word, b"but" | b"though" | b"although" | b"because" | b"however" | b"yet" | b"except" | b"until")
}

/// Returns whether `word` intensifies the next word.
pub(super) fn is_intensifier(word: &[u8]) -> bool {
    matches!(
        word,
        b"very"
            | b"really"
            | b"so"
            | b"too"
            | b"extremely"
            | b"absolutely"
            | b"totally"
            | b"completely"
            | b"super"
            | b"pretty"
            | b"quite"
            | b"incredibly"
            | b"truly"
            | b"particularly"
            | b"much"
            | b"entirely"
            | b"fully"
    )
}

/// Returns whether the words on either side of `word` also count as neighbours.
pub(super) fn is_passed_over(word: &[u8]) -> bool {
    is_intensifier(word)
        || matches!(word, b"a" | b"an" | b"the" | b"any" | b"all" | b"that" | b"more" | b"just" | b"even")
}

/// Contractions as commonly typed, and their forms in the lexicon. Those that are also words, such as "well" and "its",
/// are left alone.
const CONTRACTIONS: [(&[u8], &[u8]); 24] = [
    (b"arent", b"aren't"),
    (b"cannot", b"can't"),
    (b"cant", b"can't"),
    (b"couldnt", b"couldn't"),
    (b"didnt", b"didn't"),
    (b"doesnt", b"doesn't"),
    (b"dont", b"don't"),
    (b"hadnt", b"hadn't"),
    (b"hasnt", b"hasn't"),
    (b"havent", b"haven't"),
    (b"im", b"i'm"),
    (b"isnt", b"isn't"),
    (b"ive", b"i've"),
    (b"shouldnt", b"shouldn't"),
    (b"thats", b"that's"),
    (b"theyre", b"they're"),
    (b"wasnt", b"wasn't"),
    (b"werent", b"weren't"),
    (b"whats", b"what's"),
    (b"wheres", b"where's"),
    (b"wont", b"won't"),
    (b"wouldnt", b"wouldn't"),
    (b"youre", b"you're"),
    (b"youve", b"you've"),
];

/// Returns `word` with a missing apostrophe restored.
pub(super) fn with_apostrophe(word: &Word) -> Word {
    let mut written = *word;
    if let Some((_, full)) = CONTRACTIONS.iter().find(|(short, _)| *short == word.text.as_bytes()) {
        let mut text = Buffer::new();
        text.extend(full);
        written.text = text;
    }
    written
}
