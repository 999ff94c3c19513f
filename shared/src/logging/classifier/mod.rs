//! Finds the signal of a text: by the keywords of `signals.toml`, which take precedence, and by the lexicon.

mod buffer;
mod emoticons;
pub mod evaluation;
pub mod features;
mod fold;
mod keywords;
mod lexicon;
mod negation;
mod texts;
mod tokens;
mod verdict;

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
        let version = match self.mode {
            ClassifierMode::Lexicon => lexicon::VERSION,
            ClassifierMode::Keywords => KEYWORDS_VERSION,
        };
        match (self.rules.first_in(text), self.mode) {
            (Some((signal, keyword)), _) => {
                let matched = vec![Matched { term: keyword.to_owned(), signal: signal.clone(), weight: 1.0 }];
                Verdict { signal: signal.clone(), score: 1.0, matched, version }
            }
            (None, ClassifierMode::Lexicon) => lexicon::judge(text),
            (None, ClassifierMode::Keywords) => {
                Verdict { signal: Signal::neutral(), score: 1.0, matched: Vec::new(), version }
            }
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

    #[test]
    fn no_term_of_the_lexicon_is_an_internal_name() {
        for term in lexicon::terms() {
            assert!(!term.contains(['<', '_']) || term == "<3", "{term}");
        }
    }

    #[test]
    fn keywords_win_and_signals_of_ones_own_are_rules_like_others() {
        let file = include_str!("../../../../signals.toml");
        let first = "[[classifier.rules]]\nsignal = \"churn\"\nkeywords = [\"cancel*\"]\n\n[[classifier.rules]]";
        let own = Config::parse("test.toml", &file.replacen("[[classifier.rules]]", first, 1)).expect("valid");
        let verdict = Classifier::new(&own.classifier).classify("Thanks, it was great, but please CANCEL it");
        assert_eq!((verdict.signal.as_str(), verdict.score), ("churn", 1.0));
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
        assert!(verdict.score > 0.5 && verdict.score <= 1.0, "{verdict:?}");
        let named: Vec<_> = verdict.matched.iter().map(|matched| matched.term.as_str()).collect();
        assert_eq!(named.iter().filter(|term| **term == "terrible").count(), 1, "{named:?}");
        assert!(named.len() <= 5 && !verdict.matched.iter().any(|it| it.term.contains("maria")), "{named:?}");
    }

    /// Returns the number of terms of a text, which measures the work.
    fn terms_in(text: &str) -> usize {
        let mut count = 0;
        features::each_term(text, &mut |_| count += 1);
        count
    }

    #[test]
    fn work_grows_with_the_text_and_no_faster() {
        for unit in ["not very good ", "`", "``` ", "[A", "?!", ":-)", "a", "a'", "😡", "\u{301}", "so so so, "] {
            let (short, long) = (terms_in(&unit.repeat(2_000)), terms_in(&unit.repeat(20_000)));
            assert!(long <= 11 * short.max(1), "{unit:?}: {short} and {long}");
            classify(&unit.repeat(65_536 / unit.len()));
        }
    }

    fn terms_of(text: &str) -> Vec<String> {
        let mut terms = Vec::new();
        features::each_term(text, &mut |term| terms.push(String::from_utf8_lossy(term).into_owned()));
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
            prop_assert!(verdict.score > 0.0 && verdict.score <= 1.0, "{:?}", verdict);
        }

        #[test]
        fn any_mixture_of_what_is_read_apart_is_read(parts in prop::collection::vec(
            prop::sample::select(vec!["`", "```", "[", "NAME]", ":)", "'", "don't", "?", "!", "…", " ", "\n", "é", "ooo", "so", "@", "😡", "\u{fe0f}", "İ", "ﬁ", "()", ";", "\u{2bc}", "\u{345}"]),
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
