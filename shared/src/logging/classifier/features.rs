//! The terms of a text that the lexicon can contain: words, negated words, phrases and marks of tone.
//!
//! The example `features` prints these terms for training, so training and classification cannot differ. A term is
//! written as shown in explanations. Words are lower case; a mark never looks like a word.
//!
//! | Term | Meaning |
//! |---|---|
//! | `good` | a word |
//! | `not … good` | a word up to four words after a negator, in the same clause |
//! | `not good` | neighbouring words, two to four; an intensifier or article between two may be left out |
//! | `for N weeks` | a number in a phrase, in digits or as a word from two to twelve |
//! | `why … ?` `my … !` | the first word of a sentence or clause that ends in a question or exclamation mark |
//! | `?` `??` `!` `!!` `?!` `...` | question and exclamation marks, one or more, together; an ellipsis |
//! | `CAPITALS` `ALL CAPITALS` | a long word in capitals; most words in capitals |
//! | `:)` `:(` `❤` … | emoticons by kind, emoji unchanged |
//!
//! In languages other than English, terms have no accents, a hyphen separates words without ending the clause, and a
//! negated word is only `not … good`, not `good`. Runs of a script without spaces contain terms at any position, which
//! only a lexicon can find.

use super::buffer::Buffer;
use super::language::Language;
use super::negation::{self, Scope};
use super::tokens::{MAX_WORD_BYTES, Token, Word, scan};

/// Maximum number of words in a phrase.
pub const MAX_PHRASE_WORDS: usize = 4;
const PHRASE_BYTES: usize = MAX_PHRASE_WORDS * (MAX_WORD_BYTES + 1);
/// Length of the longest affix of a single word: `not … `.
const AFFIX_BYTES: usize = 8;
/// A number in a phrase.
const NUMBER: &[u8] = b"N";

/// Receives the terms of a text.
pub(super) trait Sink {
    /// Receives a token before its terms.
    fn token(&mut self, _token: &Token<'_>) {}

    /// Receives a term.
    fn term(&mut self, term: &[u8]);

    /// Receives a run of a script without spaces.
    fn run(&mut self, _run: &str) {}
}

/// Passes every term of `text`, which is in `language`, to `sink`, some more than once. Takes linear time and no memory.
pub fn each_term(text: &str, language: Language, sink: &mut impl FnMut(&[u8])) {
    struct Terms<'a, F>(&'a mut F);
    impl<F: FnMut(&[u8])> Sink for Terms<'_, F> {
        fn term(&mut self, term: &[u8]) {
            (self.0)(term);
        }
    }
    read(text, language, &mut Terms(sink));
}

/// Passes every term of `text`, which is in `language`, to `sink`, some more than once.
pub(super) fn read(text: &str, language: Language, sink: &mut impl Sink) {
    let mut reader = Reader::new(language);
    scan(text, language, &mut |token| reader.read(token, sink));
    reader.finish(sink);
}

struct Reader {
    language: Language,
    phrase: Phrase,
    scope: Scope,
    sentence_opener: Option<Word>,
    clause_opener: Option<Word>,
    words: usize,
    shouted: usize,
}

impl Reader {
    fn new(language: Language) -> Self {
        Self {
            language,
            phrase: Phrase::new(language),
            scope: Scope::new(language),
            sentence_opener: None,
            clause_opener: None,
            words: 0,
            shouted: 0,
        }
    }

    fn read(&mut self, token: Token<'_>, sink: &mut impl Sink) {
        sink.token(&token);
        match token {
            Token::Word(word) => self.read_word(word, sink),
            Token::Emoticon(canonical) => sink.term(canonical),
            Token::Exclaim { questions, exclamations } => self.read_exclaim(questions, exclamations, sink),
            Token::Ellipsis => {
                sink.term(b"...");
                self.pause();
            }
            Token::Stop => self.stop(),
            Token::Pause => self.pause(),
            Token::Hyphen if self.language == Language::English => self.pause(),
            Token::Hyphen => {}
            Token::Run(run) => {
                self.phrase.clear();
                sink.run(run);
            }
            Token::Number => self.phrase.add(NUMBER, sink),
            Token::Opaque => self.phrase.clear(),
        }
    }

    fn read_word(&mut self, word: &Word, sink: &mut impl Sink) {
        let word = &negation::full_form(word, self.language);
        let text = word.text.as_bytes();
        self.words += 1;
        self.shouted += usize::from(word.is_shouted);
        self.sentence_opener.get_or_insert(*word);
        self.clause_opener.get_or_insert(*word);
        if word.is_shouted {
            sink.term(b"CAPITALS");
        }
        let is_negated = self.scope.covers(text);
        if !is_negated || self.language == Language::English {
            sink.term(text);
        }
        if is_negated {
            sink_joined("not … ".as_bytes(), text, sink);
        }
        self.phrase.add(if negation::is_number(text, self.language) { NUMBER } else { text }, sink);
    }

    fn read_exclaim(&mut self, questions: usize, exclamations: usize, sink: &mut impl Sink) {
        if questions > 0 {
            sink.term(b"?");
            for opener in [self.sentence_opener.take(), self.clause_opener.take()].into_iter().flatten() {
                sink_joined(opener.text.as_bytes(), " … ?".as_bytes(), sink);
            }
        }
        if questions > 1 {
            sink.term(b"??");
        }
        if exclamations > 0 {
            sink.term(b"!");
            for opener in [self.sentence_opener.take(), self.clause_opener.take()].into_iter().flatten() {
                sink_joined(opener.text.as_bytes(), " … !".as_bytes(), sink);
            }
        }
        if exclamations > 1 {
            sink.term(b"!!");
        }
        if questions > 0 && exclamations > 0 {
            sink.term(b"?!");
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

    fn finish(&self, sink: &mut impl Sink) {
        if self.words > 2 && self.shouted * 2 >= self.words {
            sink.term(b"ALL CAPITALS");
        }
    }
}

fn sink_joined(first: &[u8], second: &[u8], sink: &mut impl Sink) {
    let mut term = Buffer::<{ MAX_WORD_BYTES + AFFIX_BYTES }>::new();
    if term.extend(first) && term.extend(second) {
        sink.term(term.as_bytes());
    }
}

/// The last few words of a clause, separated by spaces.
struct Phrase {
    language: Language,
    text: Buffer<PHRASE_BYTES>,
    /// Length of each word including the space before it, oldest first.
    lengths: [usize; MAX_PHRASE_WORDS],
    words: usize,
    /// Whether the last word may be left out between its neighbours.
    is_passing: bool,
}

impl Phrase {
    fn new(language: Language) -> Self {
        Self { language, text: Buffer::new(), lengths: [0; MAX_PHRASE_WORDS], words: 0, is_passing: false }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.words = 0;
        self.is_passing = false;
    }

    /// Adds `word` and passes every phrase that ends with it to `sink`.
    fn add(&mut self, word: &[u8], sink: &mut impl Sink) {
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
        self.is_passing = negation::is_passed_over(word, self.language);
        let mut start = 0;
        for length in self.lengths.iter().take(self.words - 1) {
            let text = self.text.as_bytes().get(start..).unwrap_or_default();
            sink.term(text.strip_prefix(b" ").unwrap_or(text));
            start += length;
        }
    }

    /// Passes the pair of the word before the last and `word` to `sink`.
    fn pass_over(&self, word: &[u8], sink: &mut impl Sink) {
        let Some(last) = self.words.checked_sub(1).filter(|last| *last > 0) else { return };
        let start: usize = self.lengths.iter().take(last - 1).sum();
        let end = self.text.len() - self.lengths[last];
        let before = self.text.as_bytes().get(start..end).unwrap_or_default();
        let mut pair = Buffer::<PHRASE_BYTES>::new();
        if pair.extend(before.trim_ascii_start()) && pair.push(' ') && pair.extend(word) {
            sink.term(pair.as_bytes());
        }
    }

    fn forget_first(&mut self) {
        // Also removes the space before the new first word.
        self.text.drop_front(self.lengths[0] + 1);
        self.lengths.rotate_left(1);
        self.lengths[0] -= 1;
        self.words -= 1;
    }
}
