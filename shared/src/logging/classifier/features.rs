//! What a text has in the lexicon's terms: words, negated words, phrases, and marks of tone.
//!
//! The lexicon was learned from exactly these, by way of the example `features`: there is no second implementation.
//!
//! | Term | What it is |
//! |---|---|
//! | `good` | a word |
//! | `not_good` | a word up to four words after a negator, in the same clause |
//! | `not good` | neighbouring words, two to four of them; an intensifier between two may be left out |
//! | `why…?` | the word that a sentence or clause begins with which ends in a question mark |
//! | `<?>` `<??>` `<!>` `<!!>` `<?!>` `<...>` | question and exclamation marks, one or more, together; an ellipsis |
//! | `<caps>` `<shouting>` `<long>` | a long word in capitals, most words in capitals, a drawn-out word |
//! | `<intense>` | an intensifier before another word |
//! | `<1 word>` `<few words>` `<many words>` | how long it is |
//! | `:)` `:(` `❤` … | emoticons by kind, emoji as they are |

use super::buffer::Buffer;
use super::negation::{self, Scope};
use super::tokens::{MAX_WORD_BYTES, Token, Word, scan};

/// The most words in a phrase.
pub const MAX_PHRASE_WORDS: usize = 4;
const PHRASE_BYTES: usize = MAX_PHRASE_WORDS * (MAX_WORD_BYTES + 1);
const FEW_WORDS: usize = 4;
const MANY_WORDS: usize = 25;

/// Hands every term of `text` to `sink`, some more than once. Takes time in proportion to the text and no memory.
pub fn each_term(text: &str, sink: &mut impl FnMut(&[u8])) {
    let mut reader = Reader::default();
    scan(text, &mut |token| reader.read(token, sink));
    reader.finish(sink);
}

#[derive(Default)]
struct Reader {
    phrase: Phrase,
    scope: Scope,
    sentence_opener: Option<Word>,
    clause_opener: Option<Word>,
    words: usize,
    shouted: usize,
}

impl Reader {
    fn read(&mut self, token: Token<'_>, sink: &mut impl FnMut(&[u8])) {
        match token {
            Token::Word(word) => self.read_word(word, sink),
            Token::Emoticon(canonical) => sink(canonical),
            Token::Exclaim { questions, exclamations } => self.read_exclaim(questions, exclamations, sink),
            Token::Ellipsis => {
                sink(b"<...>");
                self.pause();
            }
            Token::Stop => self.stop(),
            Token::Pause => self.pause(),
            Token::Number => {
                sink(b"<number>");
                self.phrase.clear();
            }
            Token::Opaque => self.phrase.clear(),
        }
    }

    fn read_word(&mut self, word: &Word, sink: &mut impl FnMut(&[u8])) {
        let word = &negation::with_apostrophe(word);
        let text = word.text.as_bytes();
        self.words += 1;
        self.shouted += usize::from(word.is_shouted);
        self.sentence_opener.get_or_insert(*word);
        self.clause_opener.get_or_insert(*word);
        if word.is_elongated {
            sink(b"<long>");
        }
        if word.is_shouted {
            sink(b"<caps>");
        }
        sink(text);
        if self.scope.covers(text) {
            let mut negated = Buffer::<{ MAX_WORD_BYTES + 4 }>::new();
            if negated.extend(b"not_") && negated.extend(text) {
                sink(negated.as_bytes());
            }
        }
        self.phrase.add(word, sink);
    }

    fn read_exclaim(&mut self, questions: usize, exclamations: usize, sink: &mut impl FnMut(&[u8])) {
        if questions > 0 {
            sink(b"<?>");
            for opener in [self.sentence_opener.take(), self.clause_opener.take()].into_iter().flatten() {
                let mut question = Buffer::<{ MAX_WORD_BYTES + 4 }>::new();
                if question.extend(opener.text.as_bytes()) && question.extend("…?".as_bytes()) {
                    sink(question.as_bytes());
                }
            }
        }
        if questions > 1 {
            sink(b"<??>");
        }
        if exclamations > 0 {
            sink(b"<!>");
        }
        if exclamations > 1 {
            sink(b"<!!>");
        }
        if questions > 0 && exclamations > 0 {
            sink(b"<?!>");
        }
    }

    fn pause(&mut self) {
        self.phrase.clear();
        self.scope.end();
        self.clause_opener = None;
    }

    fn stop(&mut self) {
        self.pause();
        self.sentence_opener = None;
    }

    fn finish(&self, sink: &mut impl FnMut(&[u8])) {
        match self.words {
            0 => {}
            1 => sink(b"<1 word>"),
            2..=FEW_WORDS => sink(b"<few words>"),
            MANY_WORDS.. => sink(b"<many words>"),
            _ => {}
        }
        if self.words > 2 && self.shouted * 2 > self.words {
            sink(b"<shouting>");
        }
    }
}

/// The last few words of a clause, with a space between them.
#[derive(Default)]
struct Phrase {
    text: Buffer<PHRASE_BYTES>,
    /// Length of each word and the space before it, oldest first.
    lengths: [usize; MAX_PHRASE_WORDS],
    words: usize,
    /// Whether the last word is one to pass over.
    is_passing: bool,
}

impl Phrase {
    fn clear(&mut self) {
        self.text.clear();
        self.words = 0;
        self.is_passing = false;
    }

    /// Adds `word` and hands every phrase that ends with it to `sink`.
    fn add(&mut self, word: &Word, sink: &mut impl FnMut(&[u8])) {
        let word = word.text.as_bytes();
        if self.is_passing {
            self.pass_over(word, sink);
        }
        if self.words == MAX_PHRASE_WORDS {
            self.forget_first();
        }
        let before = self.text.len();
        if before > 0 {
            self.text.push(' ');
        }
        self.text.extend(word);
        self.lengths[self.words] = self.text.len() - before;
        self.words += 1;
        self.is_passing = negation::is_passed_over(word);
        let mut start = 0;
        for length in self.lengths.iter().take(self.words - 1) {
            let text = self.text.as_bytes().get(start..).unwrap_or_default();
            sink(text.strip_prefix(b" ").unwrap_or(text));
            start += length;
        }
    }

    /// Hands the pair of the word before the last and `word` to `sink`.
    fn pass_over(&self, word: &[u8], sink: &mut impl FnMut(&[u8])) {
        let Some(last) = self.words.checked_sub(1) else { return };
        let start: usize = self.lengths.iter().take(last.saturating_sub(1)).sum();
        let end = self.text.len() - self.lengths[last];
        let passed = self.text.as_bytes().get(end..).unwrap_or_default();
        if negation::is_intensifier(passed.trim_ascii_start()) {
            sink(b"<intense>");
        }
        if last == 0 {
            return;
        }
        let before = self.text.as_bytes().get(start..end).unwrap_or_default();
        let mut pair = Buffer::<PHRASE_BYTES>::new();
        if pair.extend(before.trim_ascii_start()) && pair.push(' ') && pair.extend(word) {
            sink(pair.as_bytes());
        }
    }

    fn forget_first(&mut self) {
        // The space before the word that comes first now goes too.
        self.text.drop_front(self.lengths[0] + 1);
        self.lengths.rotate_left(1);
        self.lengths[0] -= 1;
        self.words -= 1;
    }
}
