//! Finds the signal of a text: by the keywords of `signals.toml`, which take precedence, and by the lexicon of the text's
//! language.

mod buffer;
mod detection;
mod emoticons;
pub mod evaluation;
pub mod features;
mod fold;
mod keywords;
mod language;
mod lexicon;
mod negation;
mod script;
mod spelling;
mod terms;
mod texts;
mod tokens;
mod verdict;

pub use language::Language;
pub use texts::{MAX_TEXTS, Texts};
pub use verdict::{Classification, Matched, Verdict};

use crate::config::{ClassifierConfig, ClassifierMode};
use crate::ids::Signal;
use keywords::Rules;

const KEYWORDS_VERSION: &str = "keywords";

/// Labels texts.
#[derive(Clone, Debug)]
pub struct Classifier {
    mode: ClassifierMode,
    rules: Rules,
}

impl Classifier {
    /// Creates a classifier from `config`.
    pub fn new(config: &ClassifierConfig) -> Self {
        Self { mode: config.mode, rules: Rules::new(&config.rules, config.mode) }
    }

    /// Returns the signal of `text`: that of the first rule with a keyword in the text, else the lexicon's, or neutral
    /// without a lexicon.
    pub fn classify(&self, text: &str) -> Verdict {
        let rule = self.rules.first_in(text);
        if rule.is_none() && self.mode == ClassifierMode::Lexicon {
            return lexicon::judge(text);
        }
        let (signal, matched) = match rule {
            Some((signal, keyword)) => {
                let matched = Matched { term: keyword.to_owned(), signal: signal.clone(), weight: 1.0 };
                (signal.clone(), vec![matched])
            }
            None => (Signal::neutral(), Vec::new()),
        };
        let language = lexicon::language_of(text);
        Verdict { signal, score: Some(1.0), language, matched, version: self.version(language) }
    }

    /// Returns the version of the rules that classify texts in `language`.
    fn version(&self, language: Option<Language>) -> &'static str {
        match self.mode {
            ClassifierMode::Lexicon => lexicon::version(language),
            ClassifierMode::Keywords => KEYWORDS_VERSION,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use proptest::prelude::*;

    fn classify(text: &str) -> Verdict {
        Classifier::new(&Config::load().expect("valid").classifier).classify(text)
    }

    fn assert_found(cases: &[(&str, &str)]) {
        for (text, signal) in cases {
            let verdict = classify(text);
            assert_eq!(verdict.signal.as_str(), *signal, "{text}: {verdict:?}");
        }
    }

    #[test]
    fn plain_words_find_the_four_signals() {
        assert_found(&[
            ("maybe, not sure", "uncertain"),
            ("is this right? I thought it was free", "uncertain"),
            ("I am so frustrated with this", "stressed"),
            ("that upset me", "stressed"),
            ("Thanks, that is great", "positive"),
            ("thankfully", "positive"),
            ("I am happy", "positive"),
            ("that is awesome, friend", "positive"),
            ("The sky is blue", "neutral"),
            ("hello", "neutral"),
            ("", "neutral"),
        ]);
    }

    #[test]
    fn what_is_said_of_a_word_counts_and_not_the_word_alone() {
        assert_found(&[
            ("I'm not happy with this", "stressed"),
            ("I don\u{2019}t think this is good", "stressed"),
            ("still not working", "stressed"),
            ("ＴＨＡＮＫＳ！", "positive"),
            ("thanks for nothing", "stressed"),
            ("works now, thanks", "positive"),
            ("see https://example.com/awful?why=terrible", "neutral"),
            ("```\nthis.is(terrible)\n```", "neutral"),
            ("thanks, but I am confused", "uncertain"),
            ("good but angry", "stressed"),
            ("I'm angry but happy", "stressed"),
        ]);
    }

    #[test]
    fn plain_questions_and_topic_words_are_neutral() {
        let texts = [
            "Where is my order?",
            "what now?",
            "does it work?",
            "maybe later",
            "card",
            "booking",
            "cancel",
            "?",
            "no",
            "No, that is it.",
            "And one made of steel, if there is such a thing.",
            "thanks in advance",
        ];
        assert_found(&texts.map(|text| (text, "neutral")));
    }

    #[test]
    fn upset_people_are_recognised_by_what_they_do() {
        let texts = [
            "Your bot is useless",
            "I need a human",
            "This is the third time I ask",
            "wtf",
            "You must be joking",
            "My payment still hasn't processed!",
            "I've been waiting for 3 weeks",
            "THIS IS NOT WORKING",
        ];
        assert_found(&texts.map(|text| (text, "stressed")));
        assert_found(&[("I don't get it, which of the two do I press?", "uncertain")]);
    }

    #[test]
    fn explanations_are_readable_and_support_the_signal() {
        for (text, term) in [
            ("still not working!!", "still not working"),
            ("This is the third time I ask", "third time"),
            ("I've been waiting for two weeks", "waiting for N weeks"),
            ("that was not helpful", "not … helpful"),
        ] {
            let verdict = classify(text);
            assert!(verdict.matched.iter().any(|matched| matched.term == term), "{verdict:?}");
            assert!(verdict.matched.iter().all(|matched| matched.signal == verdict.signal), "{verdict:?}");
        }
        let neutral = classify("Where is my card? I cannot find it, thanks in advance");
        assert_eq!((neutral.signal.as_str(), neutral.matched), ("neutral", Vec::new()));
    }

    const LANGUAGES: [Language; 6] = [
        Language::English,
        Language::German,
        Language::Spanish,
        Language::French,
        Language::Portuguese,
        Language::Japanese,
    ];

    #[test]
    fn no_term_of_the_lexicon_is_an_internal_name() {
        for term in LANGUAGES.into_iter().flat_map(lexicon::terms) {
            assert!(!term.contains(['<', '_']) || term == "<3", "{term}");
        }
    }

    #[test]
    fn every_term_written_by_hand_can_occur_in_a_text() {
        let mut lost = Vec::new();
        for language in LANGUAGES.into_iter().skip(1) {
            for written in
                lexicon::terms(language).filter(|term| !term.contains('…') && term.contains(char::is_alphabetic))
            {
                let text = written.trim_end_matches('*').replace('N', "3");
                let is_found = lexicon::finds(&text, language, &written) || written == "ALL CAPITALS";
                lost.extend((!is_found).then(|| format!("{}: {written}", language.code())));
            }
        }
        assert!(lost.is_empty(), "{lost:#?}");
    }

    #[test]
    fn each_language_has_its_words_for_the_four_signals() {
        let cases = [
            (
                "de",
                [
                    "Vielen Dank, es klappt!",
                    "Wann kommt das Paket?",
                    "Das ist eine Frechheit",
                    "Das verstehe ich nicht",
                ],
            ),
            ("es", ["¡Muchas gracias!", "¿Cuándo llega el paquete?", "Esto es una vergüenza", "No lo entiendo"]),
            ("fr", ["Merci beaucoup !", "Quand arrive le colis ?", "J'en ai marre", "Je ne comprends pas"]),
            ("pt", ["Muito obrigado!", "Quando chega o pacote?", "Isto é um absurdo", "Não entendi"]),
            ("ja", ["ありがとうございます！", "荷物はいつ届きますか？", "これは最悪です", "意味がわかりません"]),
        ];
        for (code, texts) in cases {
            for (text, signal) in texts.into_iter().zip(Signal::STANDARD) {
                let verdict = classify(text);
                assert_eq!(verdict.signal.as_str(), signal, "{text}: {verdict:?}");
                assert_eq!(verdict.language.map(Language::code), Some(code), "{text}");
                assert!(verdict.version.starts_with(code) && verdict.score.is_some(), "{verdict:?}");
            }
        }
    }

    #[test]
    fn spelling_without_accents_and_short_forms_makes_no_difference() {
        assert_found(&[
            ("das ist unverschaemt", "stressed"),
            ("das geht ja schon", "neutral"),
            ("DAS IST UNVERSCHÄMT", "stressed"),
            ("gehts noch", "stressed"),
            ("no entendi nada de esto", "uncertain"),
            ("esto es una verguenza", "stressed"),
            ("jen ai marre", "stressed"),
            ("ca marche toujours pas", "stressed"),
            ("je n\u{2019}ai pas compris", "uncertain"),
            ("nao aguento mais", "stressed"),
            ("mto obrigada", "positive"),
        ]);
    }

    #[test]
    fn negation_and_courtesy_are_read_in_each_language() {
        assert_found(&[
            ("Ich bin nicht zufrieden", "stressed"),
            ("Keine Sorge, ich warte", "neutral"),
            ("Nein danke", "neutral"),
            ("Vielen Dank im Voraus", "neutral"),
            ("No estoy contenta", "stressed"),
            ("Gracias de antemano", "neutral"),
            ("Je ne suis pas satisfait", "stressed"),
            ("Merci d'avance", "neutral"),
            ("Não estou satisfeito", "stressed"),
            ("Obrigado desde já", "neutral"),
            ("対応に満足していません", "stressed"),
            ("よろしくお願いします", "neutral"),
            ("教えていただけると助かります", "neutral"),
        ]);
    }

    #[test]
    fn other_languages_have_no_score_unless_a_keyword_matches() {
        let verdict = classify("Я не могу войти в свой аккаунт");
        assert_eq!((verdict.signal.as_str(), verdict.score, verdict.language), ("neutral", None, None));
        assert!(verdict.matched.is_empty() && verdict.version.starts_with("all-"), "{verdict:?}");
        let verdict = classify("Я так frustrated, помогите");
        assert_eq!((verdict.signal.as_str(), verdict.score, verdict.language), ("stressed", Some(1.0), None));
    }

    #[test]
    fn terms_are_explained_as_written_in_the_lexicon() {
        for (text, term) in [
            ("Unverschaemte Antwort", "unverschämt*"),
            ("esto es una verguenza", "vergüenza"),
            ("Ich bin nicht zufrieden", "not … zufrieden*"),
            ("これは最悪です", "最悪"),
        ] {
            let verdict = classify(text);
            assert!(verdict.matched.iter().any(|matched| matched.term == term), "{verdict:?}");
        }
    }

    #[test]
    fn keywords_win_and_signals_of_ones_own_are_rules_like_others() {
        let file = include_str!("../../../../signals.toml");
        let first = "[[classifier.rules]]\nsignal = \"churn\"\nkeywords = [\"cancel*\"]\n\n[[classifier.rules]]";
        let own = Config::parse("test.toml", &file.replacen("[[classifier.rules]]", first, 1)).expect("valid");
        let verdict = Classifier::new(&own.classifier).classify("Thanks, it was great, but please CANCEL it");
        assert_eq!((verdict.signal.as_str(), verdict.score), ("churn", Some(1.0)));
        assert_eq!(verdict.matched[0].term, "cancel*");

        let plain =
            Config::parse("test.toml", &file.replace("mode = \"lexicon\"", "mode = \"keywords\"")).expect("valid");
        let plain = Classifier::new(&plain.classifier);
        for (text, signal) in [("not good", "positive"), ("not good?", "uncertain"), ("this is terrible", "neutral")] {
            let verdict = plain.classify(text);
            assert_eq!((verdict.signal.as_str(), verdict.version), (signal, "keywords"), "{text}");
        }
    }

    #[test]
    fn a_verdict_names_the_terms_that_decided_and_no_other_text() {
        let verdict = classify("Maria from Springfield says this is a terrible mess, terrible");
        assert_eq!(verdict.signal.as_str(), "stressed");
        assert!(verdict.score.is_some_and(|score| score > 0.5 && score <= 1.0), "{verdict:?}");
        let named: Vec<_> = verdict.matched.iter().map(|matched| matched.term.as_str()).collect();
        assert_eq!(named.iter().filter(|term| **term == "terrible").count(), 1, "{named:?}");
        assert!(named.len() <= 5 && !verdict.matched.iter().any(|it| it.term.contains("maria")), "{named:?}");
    }

    /// Returns the number of terms of a text, which measures the work.
    fn terms_in(text: &str) -> usize {
        let mut count = 0;
        features::each_term(text, Language::English, &mut |_| count += 1);
        count
    }

    #[test]
    fn work_grows_with_the_text_and_no_faster() {
        for unit in [
            "not very good ",
            "`",
            "``` ",
            "[A",
            "?!",
            ":-)",
            "a",
            "a'",
            "😡",
            "\u{301}",
            "so so so, ",
            "nicht sehr gut ",
            "最悪",
            "あ",
        ] {
            let (short, long) = (terms_in(&unit.repeat(2_000)), terms_in(&unit.repeat(20_000)));
            assert!(long <= 11 * short.max(1), "{unit:?}: {short} and {long}");
            classify(&unit.repeat(65_536 / unit.len()));
        }
    }

    fn terms_of(text: &str) -> Vec<String> {
        let mut terms = Vec::new();
        features::each_term(text, Language::English, &mut |term| {
            terms.push(String::from_utf8_lossy(term).into_owned())
        });
        terms
    }

    #[test]
    fn letters_that_fold_to_marks_or_nothing_are_not_words() {
        let has_no_letters = |c: &char| c.is_alphanumeric() && !fold::fold(*c).any(char::is_alphanumeric);
        let marks: Vec<_> = ('\0'..=char::MAX).filter(has_no_letters).collect();
        assert!(marks.contains(&'\u{2bc}') && marks.contains(&'\u{345}'), "{marks:?}");
        let expected = terms_of("this is not working");
        for mark in marks {
            assert_eq!(terms_of(&format!("{mark} {mark} this is not working")), expected, "{mark:?}");
            assert_eq!(terms_of(&format!("this is not working {mark} {mark}")), expected, "{mark:?}");
        }
    }

    #[test]
    fn every_character_is_read_whole() {
        for c in '\0'..=char::MAX {
            // Folding changes these characters, and with them lengths in bytes.
            if !c.is_alphanumeric() && fold::fold(c).next() != Some(c) {
                terms_of(&format!("{c} a{c}b {c}{c}"));
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_standard_signal_and_a_probability(text in any::<String>()) {
            let verdict = classify(&text);
            prop_assert!(Signal::STANDARD.contains(&verdict.signal.as_str()));
            prop_assert!(verdict.score.is_none_or(|score| score > 0.0 && score <= 1.0), "{:?}", verdict);
            prop_assert_eq!(verdict.score.is_none(), verdict.language.is_none(), "{:?}", verdict);
        }

        #[test]
        fn any_mixture_of_what_is_read_apart_is_read(parts in prop::collection::vec(
            prop::sample::select(vec!["`", "```", "[", "NAME]", ":)", "'", "don't", "?", "!", "…", " ", "\n", "é", "ooo", "so", "@", "😡", "\u{fe0f}", "İ", "最悪", "größe", "l'", "-", "ﬁ", "()", ";", "\u{2bc}", "\u{345}"]),
            0..60,
        )) {
            let text = parts.concat();
            for term in terms_of(&text) {
                prop_assert!(term.split(' ').all(|word| !word.is_empty()), "{term:?} in {text:?}");
            }
            classify(&text);
        }
    }
}
