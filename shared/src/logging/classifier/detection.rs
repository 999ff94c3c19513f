//! Recognises the language of a text by its script, and among languages in Latin letters by frequent words.

use super::buffer::Buffer;
use super::language::Language;
use super::script::Script;
use super::spelling::{Accents, compared};
use super::terms::Terms;
use super::tokens::{MAX_WORD_BYTES, Token};

include!(concat!(env!("OUT_DIR"), "/languages.rs"));

/// Points of a frequent word for each of its languages.
const WORD: u16 = 2;
/// Points of a frequent word with its accents left out or others added.
const RESPELT_WORD: u16 = 1;
/// Points of another word for each language that uses its accented letters.
const LETTERS: u16 = 1;
/// Letters of an alphabet that carry as much text as one character of a script without spaces.
const LETTERS_PER_CHARACTER: u32 = 3;
/// Minimum number of words without which a text says nothing about its language by what it lacks.
const ENOUGH_WORDS: u16 = 8;
/// In a text of [`ENOUGH_WORDS`], at least one word in this many is a frequent word of its language.
const MAX_WORDS_PER_FREQUENT: u16 = 10;
/// In a text in another language than English, at least one word in this many is a frequent word.
const MAX_WORDS_PER_FOREIGN: u16 = 5;

/// The set of all languages in [`Language::LATIN`].
const ALL_LATIN: u32 = (1 << Language::LATIN.len()) - 1;

/// What a text reveals about its language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// The text is in Japanese.
    Japanese,
    /// The text is in one of these languages of [`Language::LATIN`].
    OneOf(u32),
    /// The text is in a language without a lexicon.
    Unknown,
}

/// Signs of languages, collected while a text is read.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// Points by position in [`CODES`].
    points: [u16; CODES.len()],
    words: u16,
    letters: u32,
    other_letters: u32,
    kana: u32,
    han: u32,
    japanese_han: u32,
    other_unspaced: u32,
}

impl Evidence {
    pub(super) fn add(&mut self, token: &Token<'_>) {
        match token {
            Token::Word(word) => self.add_word(word.text.as_bytes()),
            Token::Run(run) => run.chars().for_each(|c| self.add_unspaced(c)),
            _ => {}
        }
    }

    fn add_word(&mut self, word: &[u8]) {
        self.words = self.words.saturating_add(1);
        let Some(text) = std::str::from_utf8(word).ok().filter(|text| !text.is_ascii()) else {
            self.letters += word.len() as u32;
            if let Some(Word { plain, accented }) = find(word) {
                self.add_points(plain, WORD);
                self.add_points(accented & !plain, RESPELT_WORD);
            }
            return;
        };
        let length = text.chars().count() as u32;
        if text.chars().next().is_some_and(|c| Script::of(c) != Script::Latin) {
            self.other_letters += length;
            return;
        }
        self.letters += length;
        let mut without = Buffer::<MAX_WORD_BYTES>::new();
        for byte in compared(text, Accents::LeftOut) {
            without.extend(&[byte]);
        }
        match find(without.as_bytes()) {
            Some(Word { plain, accented }) => {
                self.add_points(accented, WORD);
                self.add_points(plain & !accented, RESPELT_WORD);
            }
            None => self.add_points(text.chars().map(languages_with).fold(0, std::ops::BitOr::bitor), LETTERS),
        }
    }

    fn add_points(&mut self, languages: u32, points: u16) {
        let mut left = languages;
        while left != 0 {
            if let Some(sum) = self.points.get_mut(left.trailing_zeros() as usize) {
                *sum = sum.saturating_add(points);
            }
            left &= left - 1;
        }
    }

    fn add_unspaced(&mut self, c: char) {
        match Script::of(c) {
            Script::Kana => self.kana += 1,
            Script::Han => {
                self.han += 1;
                self.japanese_han += u32::from(is_japanese_han(c));
            }
            _ => self.other_unspaced += 1,
        }
    }

    pub(super) fn finding(&self) -> Finding {
        let (asian, thai) = (self.kana + self.han, self.other_unspaced);
        let (most, foreign) = (asian.max(thai), LETTERS_PER_CHARACTER * (asian + thai) + self.other_letters);
        if foreign > self.letters {
            let is_japanese = self.kana + self.japanese_han > 0;
            let is_asian = most == asian && LETTERS_PER_CHARACTER * asian >= self.other_letters;
            return if is_japanese && is_asian { Finding::Japanese } else { Finding::Unknown };
        }
        self.latin()
    }

    fn latin(&self) -> Finding {
        let most = self.points.iter().copied().max().unwrap_or_default();
        let has_share = |words: u16| u32::from(most) * u32::from(words) >= u32::from(WORD) * u32::from(self.words);
        if self.words >= ENOUGH_WORDS && !has_share(MAX_WORDS_PER_FREQUENT) {
            return Finding::Unknown;
        }
        let with_most = self.points.iter().enumerate().filter(|(_, points)| **points == most);
        let candidates = with_most.fold(0, |set, (language, _)| set | 1 << language);
        match candidates & ALL_LATIN {
            _ if most < WORD => Finding::OneOf(ALL_LATIN),
            candidates if candidates & Language::English.bit() != 0 => Finding::OneOf(candidates),
            _ if !has_share(MAX_WORDS_PER_FOREIGN) => Finding::OneOf(ALL_LATIN),
            0 => Finding::Unknown,
            candidates => Finding::OneOf(candidates),
        }
    }
}

/// The languages of a frequent word: those that write it without accents, and those that write it with accents. Both are
/// sets of positions in [`CODES`].
#[derive(Clone, Copy, Debug)]
struct Word {
    plain: u32,
    accented: u32,
}

/// Returns the languages of `word`, given without accents.
fn find(word: &[u8]) -> Option<Word> {
    let place = WORDS.find(word)?;
    Some(LANGUAGES[usize::from(SETS[place])])
}

/// Returns the languages that write the letter `c`, as a set of positions in [`CODES`], or none for plain letters.
fn languages_with(c: char) -> u32 {
    LETTERS_OF.iter().filter(|(letters, _)| letters.contains(c)).fold(0, |all, (_, languages)| all | languages)
}

/// Returns whether `c` is a common Chinese character in a form used only in Japanese.
fn is_japanese_han(c: char) -> bool {
    "円気悪対応込払戻発売変続検験済処図転読駅広単価経毎様択働楽実総帰関黒歳".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::classifier::lexicon::language_of;

    fn code_of(text: &str) -> Option<&'static str> {
        language_of(text).map(Language::code)
    }

    fn assert_codes(cases: &[(&str, Option<&str>)]) {
        for (text, code) in cases {
            assert_eq!(code_of(text), *code, "{text}");
        }
    }

    #[test]
    fn languages_with_a_lexicon_come_first() {
        assert_eq!(CODES[..Language::LATIN.len()], Language::LATIN.map(Language::code));
        assert!(Language::LATIN.into_iter().enumerate().all(|(place, language)| language.bit() == 1 << place));
    }

    #[test]
    fn short_texts_without_a_sign_of_a_language_are_english() {
        assert_codes(
            &["", "?", "ok", "thx", "👍", "12:30", "Samsung S24", "asap", "Pokémon!", "😡😡"]
                .map(|text| (text, Some("en"))),
        );
    }

    #[test]
    fn a_word_suffices_for_a_supported_language() {
        assert_codes(&[
            ("Danke!", Some("de")),
            ("Warum?", Some("de")),
            ("Unverschämt", Some("de")),
            ("gracias", Some("es")),
            ("¿Cuándo?", Some("es")),
            ("merci", Some("fr")),
            ("Inadmissible.", Some("fr")),
            ("obrigada", Some("pt")),
            ("ありがとう", Some("ja")),
            ("カード", Some("ja")),
        ]);
    }

    #[test]
    fn accents_are_optional() {
        assert_codes(&[
            ("koennen Sie mir fuer morgen einen Termin geben", Some("de")),
            ("konnen Sie mir fur morgen einen Termin geben", Some("de")),
            ("cuando llega mi pedido", Some("es")),
            ("ou est ma commande", Some("fr")),
            ("nao recebi a encomenda", Some("pt")),
            ("A\u{308}ndern Sie bitte meine Adresse", Some("de")),
        ]);
    }

    #[test]
    fn foreign_words_and_names_do_not_change_the_language() {
        assert_codes(&[
            ("We stayed at the Hotel de la Paix in Los Angeles", Some("en")),
            ("The café near Plaza del Sol was closed", Some("en")),
            ("I like the word 嬉しい", Some("en")),
            ("Mein Account hat ein Problem mit dem Update", Some("de")),
            ("Error al abrir la app: ```the file was not found in the folder```", Some("es")),
            ("Safariでloginできない", Some("ja")),
        ]);
    }

    #[test]
    fn languages_without_a_lexicon_are_not_recognised() {
        let texts = [
            "Non riesco ad accedere al mio conto da ieri",
            "Ik wacht al drie weken op mijn geld",
            "Gdzie jest moja paczka?",
            "Siparişim nerede kaldı?",
            "Var är mitt paket?",
            "Где мой заказ?",
            "أين طلبي؟",
            "내 주문은 어디에 있나요?",
            "我的订单在哪里？",
            "พัสดุอยู่ที่ไหน",
            "Lorem ipsum dolor sit amet consectetur adipiscing elit sed eiusmod tempor",
        ];
        assert_codes(&texts.map(|text| (text, None)));
    }

    #[test]
    fn chinese_characters_in_japanese_form_are_japanese() {
        assert_codes(&[("最悪", Some("ja")), ("返金対応", Some("ja")), ("最差", None), ("退款", None)]);
    }
}
