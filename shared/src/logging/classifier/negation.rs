//! Words that turn others round, and those that strengthen them.

use super::buffer::Buffer;
use super::tokens::Word;

/// How many words a negator reaches.
const REACH: usize = 4;

/// How far the last negator still reaches.
#[derive(Debug, Default)]
pub(super) struct Scope {
    left: usize,
}

impl Scope {
    /// Whether `word` is negated; a negator opens a scope of its own, and a contrast ends it.
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

/// Whether `word` strengthens the one after it.
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

/// Whether the words on either side of `word` are read as neighbours too.
pub(super) fn is_passed_over(word: &[u8]) -> bool {
    is_intensifier(word)
        || matches!(word, b"a" | b"an" | b"the" | b"any" | b"all" | b"that" | b"more" | b"just" | b"even")
}

/// Contractions as many type them, and the forms that the lexicon has. Those that are words of their own, as "well" and
/// "its", are left alone.
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

/// `word` with the apostrophe that its writer left out.
pub(super) fn with_apostrophe(word: &Word) -> Word {
    let mut written = *word;
    if let Some((_, full)) = CONTRACTIONS.iter().find(|(short, _)| *short == word.text.as_bytes()) {
        let mut text = Buffer::new();
        text.extend(full);
        written.text = text;
    }
    written
}
