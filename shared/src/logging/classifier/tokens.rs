//! Splits a text into words, marks and breaks. Code, URLs, paths, addresses, placeholders and numbers express no
//! feeling and are opaque: they separate the text around them and have no meaning of their own.

use super::buffer::Buffer;
use super::emoticons::{self, Emoticon};
use super::fold::fold;
use super::language::Language;
use super::script::is_unspaced;
use super::spelling::{Accents, plain};

/// Maximum word length. Longer words are opaque: no lexicon contains them.
pub(super) const MAX_WORD_BYTES: usize = 32;
/// Number of equal letters in a row that form an elongation: no English word has three.
const ELONGATION: usize = 3;
/// Minimum length of a shouted word. Shorter words in capitals are mostly abbreviations.
const MIN_CAPITALS: usize = 4;

/// A word, folded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    /// Lower-case text with its apostrophe and without elongations, in languages other than English without accents.
    pub(super) text: Buffer<MAX_WORD_BYTES>,
    /// Whether the word is long and all in capitals.
    pub(super) is_shouted: bool,
}

/// A part of a text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Token<'a> {
    Word(&'a Word),
    /// Characters of scripts without spaces between words, as written.
    Run(&'a str),
    /// An emoticon or an emoji, in the form used by the lexicon.
    Emoticon(&'a [u8]),
    /// A run of question and exclamation marks.
    Exclaim {
        questions: usize,
        exclamations: usize,
    },
    /// An ellipsis.
    Ellipsis,
    /// The end of a sentence or of a line.
    Stop,
    /// A comma, a bracket or a dash within a sentence.
    Pause,
    /// A hyphen after a word.
    Hyphen,
    Number,
    Opaque,
}

/// Passes the tokens of `text`, which is in `language`, to `sink` in order. Every character is examined a bounded number
/// of times.
pub(super) fn scan(text: &str, language: Language, sink: &mut impl FnMut(Token<'_>)) {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = if c.is_whitespace() {
            if c == '\n' {
                sink(Token::Stop);
            }
            &rest[c.len_utf8()..]
        } else if let Some(fenced) = rest.strip_prefix("```") {
            sink(Token::Opaque);
            fenced.split_once("```").map_or("", |(_, after)| after)
        } else if let Some(after) = rest.strip_prefix('`').and_then(after_code) {
            sink(Token::Opaque);
            after
        } else if is_unspaced(c) {
            let end = rest.find(|c| !is_unspaced(c)).unwrap_or(rest.len());
            let (run, after) = rest.split_at(end);
            sink(Token::Run(run));
            after
        } else {
            // A lone backquote is part of its chunk.
            let ends = |c: char| c.is_whitespace() || c == '`' || is_unspaced(c);
            let end = rest.char_indices().skip(1).find(|(_, c)| ends(*c));
            let (chunk, after) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
            scan_chunk(chunk, language, sink);
            after
        };
    }
}

/// Returns the text after code in backquotes, if the code ends in the line in which it begins.
fn after_code(code: &str) -> Option<&str> {
    let end = code.find(['`', '\n'])?;
    code[end..].strip_prefix('`')
}

fn scan_chunk(chunk: &str, language: Language, sink: &mut impl FnMut(Token<'_>)) {
    let trimmed = chunk.trim_end_matches(['.', ',', '!', '?', ';', ':', ')', '"', '\'']);
    if emoticons::starting(chunk).is_none() && is_opaque(trimmed) {
        sink(Token::Opaque);
        scan_text(&chunk[trimmed.len()..], language, sink);
    } else {
        scan_text(chunk, language, sink);
    }
}

/// Returns whether `chunk`, which has no white space, is machine text.
fn is_opaque(chunk: &str) -> bool {
    let (mut slashes, mut has_mark) = (0, false);
    for byte in chunk.bytes() {
        match byte {
            b'/' => slashes += 1,
            b'_' | b'\\' | b'=' | b'{' | b'}' => return true,
            _ => has_mark |= byte.is_ascii_punctuation() && byte != b'\'',
        }
    }
    slashes > 1 || ((has_mark || slashes > 0) && has_form_of_machine_text(chunk))
}

/// Returns whether `chunk` begins or contains what only machine text does: calls, addresses, URLs.
fn has_form_of_machine_text(chunk: &str) -> bool {
    let is_call = chunk.contains("()") || (chunk.ends_with(';') && chunk.contains('('));
    is_call
        || chunk.starts_with(['/', '@', '<', '$', '#'])
        || chunk.starts_with("www.")
        || chunk.starts_with("r/")
        || chunk.starts_with("u/")
        || chunk.contains("://")
        || chunk.contains("::")
        || chunk.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.'))
        || chunk.split('.').nth(1).is_some_and(|name| name.contains('('))
}

fn scan_text(text: &str, language: Language, sink: &mut impl FnMut(Token<'_>)) {
    let mut at = 0;
    let mut is_after_word = false;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if let Some(Emoticon { canonical, len }) = emoticons::starting(rest)
            && (!is_after_word || len == rest.len())
        {
            sink(Token::Emoticon(canonical));
            at += len;
            is_after_word = false;
        } else if c.is_alphanumeric() {
            at += scan_word(rest, language, sink);
            is_after_word = true;
        } else if c == '-' && is_after_word {
            sink(Token::Hyphen);
            at += 1;
            is_after_word = false;
        } else {
            at += scan_punctuation(c, rest, sink);
            is_after_word = false;
        }
    }
}

/// Passes the word at the start of `text` to `sink` and returns its length in bytes.
fn scan_word(text: &str, language: Language, sink: &mut impl FnMut(Token<'_>)) -> usize {
    if let Some(word) = simple_word(text) {
        sink(Token::Word(&word));
        return word.text.len();
    }
    let mut word = Word { text: Buffer::new(), is_shouted: false };
    let (mut has_digit, mut is_whole, mut letters, mut capitals) = (false, true, 0, 0);
    let (mut run, mut last) = (0, '\0');
    let mut end = text.len();
    for (at, c) in text.char_indices() {
        for folded in fold(c) {
            let is_inner_apostrophe =
                folded == '\'' && text[at + c.len_utf8()..].chars().next().is_some_and(char::is_alphabetic);
            if !folded.is_alphanumeric() && !is_inner_apostrophe {
                end = at;
                break;
            }
            let before = run;
            run = if folded == last { run + 1 } else { 1 };
            if run == 1 && before >= ELONGATION {
                take_back(&mut word.text, last, text[..at].chars().rev(), false);
            }
            last = folded;
            if run < ELONGATION || !folded.is_ascii_alphabetic() {
                is_whole &= push(&mut word.text, folded, language);
            }
            has_digit |= folded.is_numeric();
            letters += 1;
            capitals += usize::from(c.is_uppercase());
        }
        if end != text.len() {
            break;
        }
    }
    if run >= ELONGATION {
        take_back(&mut word.text, last, text[..end].chars().rev(), true);
    }
    word.is_shouted = letters >= MIN_CAPITALS && capitals == letters;
    match (has_digit, is_whole) {
        // A lone apostrophe (U+02BC is a letter in Unicode) or combining marks alone.
        _ if letters == 0 => {}
        (true, _) => sink(Token::Number),
        (false, true) => sink(Token::Word(&word)),
        (false, false) => sink(Token::Opaque),
    }
    end.max(text.chars().next().map_or(1, char::len_utf8))
}

/// Returns the word at the start of `text` if it has only ASCII letters and no elongation, as most words.
fn simple_word(text: &str) -> Option<Word> {
    let (mut letters, mut capitals, mut run, mut last) = (0, 0, 0, 0);
    for byte in text.bytes() {
        if byte.is_ascii_alphabetic() {
            let letter = byte | 0x20;
            run = if letter == last { run + 1 } else { 1 };
            last = letter;
            letters += 1;
            capitals += usize::from(byte.is_ascii_uppercase());
            if run == ELONGATION {
                return None;
            }
        } else if byte.is_ascii_digit() || byte == b'\'' || !byte.is_ascii() {
            return None;
        } else {
            break;
        }
    }
    let mut word = Word { text: Buffer::new(), is_shouted: letters >= MIN_CAPITALS && capitals == letters };
    let is_whole = letters > 0 && word.text.extend(text.as_bytes().get(..letters)?);
    word.text.make_ascii_lowercase();
    is_whole.then_some(word)
}

/// Appends the letter `c` as `language` compares it. Returns false if it does not fit.
fn push(word: &mut Buffer<MAX_WORD_BYTES>, c: char, language: Language) -> bool {
    let accents = match language {
        Language::English => Accents::Kept,
        Language::German => Accents::Umlauts,
        _ => Accents::LeftOut,
    };
    let (first, second) = plain(c, accents);
    word.push(first) && second.is_none_or(|second| word.push(second))
}

/// Removes the surplus letters of an elongation of `letter` from `word`, if the characters `before`, backwards, end in
/// one. Two letters of "goood" remain and one of "sooo".
fn take_back(word: &mut Buffer<MAX_WORD_BYTES>, letter: char, before: impl Iterator<Item = char>, is_at_end: bool) {
    let is_letter = |c: &char| fold(*c).eq([letter]);
    let is_elongation =
        letter.is_ascii_alphabetic() && before.take_while(is_letter).take(ELONGATION).count() == ELONGATION;
    if is_elongation && (is_at_end || !matches!(letter, 'e' | 'o')) {
        word.pop_ascii();
    }
}

/// Passes the token at the start of `text`, whose first character is `first`, to `sink` and returns its length in
/// bytes.
fn scan_punctuation(first: char, text: &str, sink: &mut impl FnMut(Token<'_>)) -> usize {
    let Some(folded) = fold(first).next() else { return first.len_utf8() };
    let count = |mark: char| text.chars().take_while(|c| fold(*c).eq([mark])).count();
    match folded {
        '?' | '!' | '\u{203d}' => {
            let (mut questions, mut exclamations, mut bytes) = (0, 0, 0);
            for c in text.chars() {
                match fold(c).next() {
                    Some('?') => questions += 1,
                    Some('!') => exclamations += 1,
                    Some('\u{203d}') => (questions, exclamations) = (questions + 1, exclamations + 1),
                    _ => break,
                }
                bytes += c.len_utf8();
            }
            sink(Token::Exclaim { questions, exclamations });
            sink(Token::Stop);
            bytes
        }
        '.' => {
            let dots = count('.');
            sink(if dots > 1 { Token::Ellipsis } else { Token::Stop });
            text.chars().take(dots).map(char::len_utf8).sum()
        }
        '\u{2026}' => {
            sink(Token::Ellipsis);
            first.len_utf8()
        }
        '\u{3002}' => {
            sink(Token::Stop);
            first.len_utf8()
        }
        '[' => match placeholder(text) {
            Some(bytes) => {
                sink(Token::Opaque);
                bytes
            }
            None => {
                sink(Token::Pause);
                first.len_utf8()
            }
        },
        c if emoticons::is_emoji(c) => {
            sink(Token::Emoticon(c.encode_utf8(&mut [0; 4]).as_bytes()));
            first.len_utf8()
        }
        '\'' | '"' | '*' | '`' => first.len_utf8(),
        _ => {
            sink(Token::Pause);
            first.len_utf8()
        }
    }
}

/// Returns the length of a placeholder such as `[NAME]`, which replaces personal data.
fn placeholder(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('[')?;
    let end = inner.bytes().take(MAX_WORD_BYTES).position(|byte| !byte.is_ascii_uppercase() && byte != b'_')?;
    (end > 1 && inner.as_bytes().get(end) == Some(&b']')).then_some(end + 2)
}
