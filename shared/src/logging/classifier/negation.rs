//! Negators, intensifiers and similar words that change the meaning of others, by language. In languages other than
//! English, words are given as compared: without accents.

use super::buffer::Buffer;
use super::language::Language;
use super::spelling::without_elision;
use super::tokens::Word;

/// Number of words that a negator covers.
const REACH: usize = 4;

/// Remaining reach of the last negator.
#[derive(Debug)]
pub(super) struct Scope {
    language: Language,
    left: usize,
}

impl Scope {
    pub(super) fn new(language: Language) -> Self {
        Self { language, left: 0 }
    }

    /// Returns whether `word` is negated. A negator opens a new scope; a contrast ends the scope.
    pub(super) fn covers(&mut self, word: &[u8]) -> bool {
        if is_negator(word, self.language) {
            self.left = REACH;
            return false;
        }
        if is_contrast(word, self.language) {
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

fn is_negator(word: &[u8], language: Language) -> bool {
    match language {
        Language::English => {
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
        Language::German => {
            word.starts_with(b"kein")
                || matches!(word, b"nicht" | b"nie" | b"niemals" | b"nichts" | b"nix" | b"ohne" | b"weder" | b"kaum")
        }
        Language::Spanish => matches!(word, b"no" | b"nunca" | b"jamas" | b"ni" | b"sin" | b"tampoco"),
        Language::French => {
            matches!(word, b"ne" | b"pas" | b"jamais" | b"rien" | b"aucun" | b"aucune" | b"sans" | b"ni" | b"guere")
        }
        Language::Portuguese => matches!(word, b"nao" | b"nunca" | b"jamais" | b"nem" | b"sem" | b"tampouco"),
        // Negators are endings: see `negates`.
        Language::Japanese => false,
    }
}

fn is_contrast(word: &[u8], language: Language) -> bool {
    match language {
        Language::English => {
            matches!(word, b"but" | b"though" | b"although" | b"because" | b"however" | b"yet" | b"except" | b"until")
        }
        Language::German => matches!(
            word,
            b"aber"
                | b"als"
                | b"damit"
                | b"dass"
                | b"denn"
                | b"doch"
                | b"jedoch"
                | b"obwohl"
                | b"sondern"
                | b"trotzdem"
                | b"und"
                | b"warum"
                | b"weil"
                | b"wenn"
                | b"wieso"
        ),
        Language::Spanish => matches!(
            word,
            b"aunque"
                | b"como"
                | b"cuando"
                | b"desde"
                | b"e"
                | b"hasta"
                | b"pero"
                | b"porque"
                | b"pues"
                | b"si"
                | b"sino"
                | b"y"
        ),
        Language::French => matches!(
            word,
            b"alors"
                | b"car"
                | b"comme"
                | b"depuis"
                | b"donc"
                | b"et"
                | b"mais"
                | b"parce"
                | b"pourtant"
                | b"puisque"
                | b"quand"
                | b"si"
        ),
        Language::Portuguese => matches!(
            word,
            b"ate"
                | b"como"
                | b"desde"
                | b"e"
                | b"embora"
                | b"entao"
                | b"mas"
                | b"pois"
                | b"porem"
                | b"porque"
                | b"quando"
                | b"se"
        ),
        Language::Japanese => false,
    }
}

/// Returns whether `word` intensifies the next word.
fn is_intensifier(word: &[u8], language: Language) -> bool {
    match language {
        Language::English => matches!(
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
        ),
        Language::German => matches!(
            word,
            b"absolut"
                | b"aeusserst"
                | b"besonders"
                | b"echt"
                | b"einfach"
                | b"extrem"
                | b"ganz"
                | b"gar"
                | b"komplett"
                | b"richtig"
                | b"sehr"
                | b"so"
                | b"total"
                | b"ueberaus"
                | b"ueberhaupt"
                | b"unglaublich"
                | b"voellig"
                | b"wirklich"
                | b"ziemlich"
                | b"zu"
        ),
        Language::Spanish => matches!(
            word,
            b"bastante"
                | b"bien"
                | b"completamente"
                | b"demasiado"
                | b"mas"
                | b"mucho"
                | b"muy"
                | b"realmente"
                | b"super"
                | b"tan"
                | b"totalmente"
                | b"verdaderamente"
        ),
        Language::French => matches!(
            word,
            b"assez"
                | b"carrement"
                | b"completement"
                | b"extremement"
                | b"franchement"
                | b"super"
                | b"tellement"
                | b"totalement"
                | b"tres"
                | b"trop"
                | b"vraiment"
        ),
        Language::Portuguese => matches!(
            word,
            b"bastante"
                | b"bem"
                | b"completamente"
                | b"demais"
                | b"extremamente"
                | b"mais"
                | b"mesmo"
                | b"muito"
                | b"realmente"
                | b"super"
                | b"tao"
                | b"totalmente"
        ),
        Language::Japanese => false,
    }
}

/// Returns whether the words on either side of `word` also count as neighbours.
pub(super) fn is_passed_over(word: &[u8], language: Language) -> bool {
    is_intensifier(word, language)
        || match language {
            Language::English => {
                matches!(word, b"a" | b"an" | b"the" | b"any" | b"all" | b"that" | b"more" | b"just" | b"even")
            }
            Language::German => matches!(
                word,
                b"auch"
                    | b"bitte"
                    | b"da"
                    | b"das"
                    | b"dem"
                    | b"den"
                    | b"der"
                    | b"die"
                    | b"doch"
                    | b"ein"
                    | b"eine"
                    | b"einem"
                    | b"einen"
                    | b"ja"
                    | b"mal"
                    | b"mir"
                    | b"nur"
                    | b"uns"
            ),
            Language::Spanish => matches!(
                word,
                b"el"
                    | b"la"
                    | b"las"
                    | b"le"
                    | b"les"
                    | b"lo"
                    | b"los"
                    | b"me"
                    | b"nos"
                    | b"se"
                    | b"te"
                    | b"un"
                    | b"una"
                    | b"ya"
            ),
            Language::French => matches!(
                word,
                b"des"
                    | b"du"
                    | b"en"
                    | b"encore"
                    | b"la"
                    | b"le"
                    | b"les"
                    | b"me"
                    | b"ne"
                    | b"nous"
                    | b"se"
                    | b"tout"
                    | b"un"
                    | b"une"
                    | b"vous"
                    | b"y"
            ),
            Language::Portuguese => matches!(
                word,
                b"a" | b"as" | b"eu" | b"ja" | b"lhe" | b"me" | b"o" | b"os" | b"se" | b"te" | b"um" | b"uma"
            ),
            Language::Japanese => false,
        }
}

/// Returns whether `word` counts as a number in a phrase. Twice is an expression of its own in most languages.
pub(super) fn is_number(word: &[u8], language: Language) -> bool {
    match language {
        Language::English => matches!(
            word,
            b"two"
                | b"three"
                | b"four"
                | b"five"
                | b"six"
                | b"seven"
                | b"eight"
                | b"nine"
                | b"ten"
                | b"eleven"
                | b"twelve"
        ),
        Language::German => matches!(
            word,
            b"drei" | b"vier" | b"fuenf" | b"sechs" | b"sieben" | b"acht" | b"neun" | b"zehn" | b"elf" | b"zwoelf"
        ),
        Language::Spanish => matches!(
            word,
            b"tres" | b"cuatro" | b"cinco" | b"seis" | b"siete" | b"ocho" | b"nueve" | b"diez" | b"once" | b"doce"
        ),
        Language::French => matches!(
            word,
            b"trois" | b"quatre" | b"cinq" | b"six" | b"sept" | b"huit" | b"neuf" | b"dix" | b"onze" | b"douze"
        ),
        Language::Portuguese => matches!(
            word,
            b"tres" | b"quatro" | b"cinco" | b"seis" | b"sete" | b"oito" | b"nove" | b"dez" | b"onze" | b"doze"
        ),
        Language::Japanese => false,
    }
}

/// Beginnings of Japanese endings that negate the word before them.
const NEGATIVE_ENDINGS: [&str; 6] = ["ない", "ません", "なかった", "なく", "ねえ", "ねー"];
/// Maximum number of characters between a Japanese word and its negative ending.
const MAX_ENDING_DISTANCE: usize = 4;

/// Returns whether `after`, the Japanese text after a word, continues with a negative ending. Inflection is written in
/// hiragana, and some particles end the expression.
pub(super) fn negates(after: &str) -> bool {
    let mut rest = after;
    for _ in 0..=MAX_ENDING_DISTANCE {
        if NEGATIVE_ENDINGS.iter().any(|ending| rest.starts_with(ending)) {
            return true;
        }
        let mut characters = rest.chars();
        match characters.next() {
            Some('が' | 'の' | 'か' | 'よ' | 'ね') | None => return false,
            Some('\u{3041}'..='\u{3096}') => rest = characters.as_str(),
            Some(_) => return false,
        }
    }
    false
}

/// Returns the form in the lexicon of a contraction or short form as commonly typed. Those that are also words, such as
/// "well" and "its", are left alone.
fn long_form(word: &[u8], language: Language) -> Option<&'static [u8]> {
    Some(match language {
        Language::English => match word {
            b"arent" => b"aren't",
            b"cannot" => b"can't",
            b"cant" => b"can't",
            b"couldnt" => b"couldn't",
            b"didnt" => b"didn't",
            b"doesnt" => b"doesn't",
            b"dont" => b"don't",
            b"hadnt" => b"hadn't",
            b"hasnt" => b"hasn't",
            b"havent" => b"haven't",
            b"im" => b"i'm",
            b"isnt" => b"isn't",
            b"ive" => b"i've",
            b"shouldnt" => b"shouldn't",
            b"thats" => b"that's",
            b"theyre" => b"they're",
            b"wasnt" => b"wasn't",
            b"werent" => b"weren't",
            b"whats" => b"what's",
            b"wheres" => b"where's",
            b"wont" => b"won't",
            b"wouldnt" => b"wouldn't",
            b"youre" => b"you're",
            b"youve" => b"you've",
            _ => return None,
        },
        Language::German => match word {
            b"gibts" => b"gibt",
            b"habs" => b"hab",
            b"hats" => b"hat",
            b"ists" => b"ist",
            b"klappts" => b"klappt",
            b"nich" => b"nicht",
            b"net" => b"nicht",
            b"is" => b"ist",
            b"wars" => b"war",
            _ => return None,
        },
        Language::Spanish => match word {
            b"d" => b"de",
            b"pq" => b"porque",
            b"q" => b"que",
            b"tb" => b"tambien",
            b"tmb" => b"tambien",
            b"xq" => b"porque",
            _ => return None,
        },
        Language::French => match word {
            b"cest" => b"est",
            b"dun" => b"un",
            b"dune" => b"une",
            b"jadore" => b"adore",
            b"jai" => b"ai",
            b"jarrive" => b"arrive",
            b"jattends" => b"attends",
            b"jen" => b"en",
            b"nai" => b"ai",
            b"nest" => b"est",
            b"pk" => b"pourquoi",
            b"quil" => b"il",
            _ => return None,
        },
        Language::Portuguese => match word {
            b"mt" => b"muito",
            b"mto" => b"muito",
            b"ngm" => b"ninguem",
            b"pq" => b"porque",
            b"pra" => b"para",
            b"q" => b"que",
            b"ta" => b"esta",
            b"tbm" => b"tambem",
            b"to" => b"estou",
            b"vc" => b"voce",
            b"vcs" => b"voces",
            _ => return None,
        },
        Language::Japanese => return None,
    })
}

/// Returns `word` in full: in English with a missing apostrophe, in French without elided words, and in German without
/// an apostrophe.
pub(super) fn full_form(word: &Word, language: Language) -> Word {
    let text = word.text.as_bytes();
    let text = if language == Language::French { without_elision(text) } else { text };
    let (start, end) = match text.strip_suffix(b"'s") {
        Some(start) if language == Language::German => (start, b"s".as_slice()),
        _ => (text, b"".as_slice()),
    };
    let mut written = Buffer::new();
    written.extend(start);
    written.extend(end);
    if let Some(full) = long_form(written.as_bytes(), language) {
        written.clear();
        written.extend(full);
    }
    Word { text: written, ..*word }
}
