//! Keyword matching for `signals.toml`.

use super::fold::fold;
use super::script::is_unspaced;
use crate::config::{ClassifierMode, KeywordRule};
use crate::ids::Signal;

/// Keyword rules, tried in order.
///
/// Matching ignores case. A keyword that begins or ends with a letter or a digit must stand there as a whole word; a
/// `*` at its end lets the word continue. So `good` is not in "goodness", `confus*` is in "confusing", `not sure` needs
/// both words, and `?` matches anywhere.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    rules: Vec<(Signal, Vec<Keyword>)>,
}

impl Rules {
    /// Compiles `rules` for `mode`: hints are keywords only without a lexicon to weigh them.
    pub(super) fn new(rules: &[KeywordRule], mode: ClassifierMode) -> Self {
        let compile = |rule: &KeywordRule| {
            let hints = if mode == ClassifierMode::Keywords { rule.hints.as_slice() } else { &[] };
            let keywords = rule.keywords.iter().chain(hints).map(|keyword| Keyword::new(keyword));
            (rule.signal.clone(), keywords.collect())
        };
        Self { rules: rules.iter().map(compile).collect() }
    }

    /// Returns the signal of the first rule with a keyword in `text`, and the keyword as configured.
    pub(super) fn first_in(&self, text: &str) -> Option<(&Signal, &str)> {
        let text = normalise(text);
        self.rules.iter().find_map(|(signal, keywords)| {
            let found = keywords.iter().find(|keyword| keyword.is_in(&text))?;
            Some((signal, found.written.as_str()))
        })
    }
}

#[derive(Clone, Debug)]
struct Keyword {
    /// Text in the configuration.
    written: String,
    /// Normalised text, without the `*`.
    text: String,
    /// Whether the word may continue after the keyword.
    is_stem: bool,
}

impl Keyword {
    fn new(written: &str) -> Self {
        let (text, is_stem) = match written.trim().strip_suffix('*') {
            Some(stem) => (stem, true),
            None => (written, false),
        };
        Self { written: written.to_owned(), text: normalise(text).trim().to_owned(), is_stem }
    }

    /// Returns whether the keyword occurs in `text`, which is normalised.
    fn is_in(&self, text: &str) -> bool {
        let mut from = 0;
        while let Some(found) = text[from..].find(&self.text) {
            let start = from + found;
            let end = start + self.text.len();
            if self.stands_free(&text[..start], &text[end..]) {
                return true;
            }
            // Advance by one character, not by the whole match: occurrences may overlap.
            from = start + text[start..].chars().next().map_or(1, char::len_utf8);
        }
        false
    }

    fn stands_free(&self, before: &str, after: &str) -> bool {
        let starts_in_word = self.text.starts_with(is_word) && ends_in_word(before);
        let goes_on = self.text.ends_with(is_word) && begins_in_word(after);
        !starts_in_word && (self.is_stem || !goes_on)
    }
}

/// Returns `text` folded, with each run of white space as one space.
fn normalise(text: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    let mut add = |c: char| match c.is_whitespace() {
        true if normal.ends_with(' ') => {}
        true => normal.push(' '),
        false => normal.push(c),
    };
    for c in text.chars() {
        if c.is_ascii() {
            add(c.to_ascii_lowercase());
        } else {
            fold(c).for_each(&mut add);
        }
    }
    normal
}

/// Returns whether a letter next to `c` belongs to the same word. Scripts without spaces between words have no such
/// letters, so their keywords match anywhere.
fn is_word(c: char) -> bool {
    (c.is_alphanumeric() || c == '_') && !is_unspaced(c)
}

/// Returns whether the word at the end of `before` would continue: an apostrophe between letters is part of a word.
fn ends_in_word(before: &str) -> bool {
    before.strip_suffix('\'').unwrap_or(before).ends_with(is_word)
}

/// Returns whether `after` begins within a word.
fn begins_in_word(after: &str) -> bool {
    after.strip_prefix('\'').unwrap_or(after).starts_with(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use proptest::prelude::*;

    fn by_default(text: &str) -> String {
        let rules = Rules::new(&Config::load().expect("valid").classifier.rules, ClassifierMode::Keywords);
        rules.first_in(text).map_or("neutral".to_owned(), |(signal, _)| signal.to_string())
    }

    fn matches(keyword: &str, text: &str) -> bool {
        Keyword::new(keyword).is_in(&normalise(text))
    }

    #[test]
    fn the_default_keywords_find_the_four_signals() {
        for (text, signal) in [
            ("Maybe later", "uncertain"),
            ("I am NOT   sure about this", "uncertain"),
            ("this is confusing", "uncertain"),
            ("does it work?", "uncertain"),
            ("I am so frustrated!", "stressed"),
            ("stressful day", "stressed"),
            ("an angry user", "stressed"),
            ("Thanks, that helps", "positive"),
            ("GOOD.", "positive"),
            ("The train leaves at nine", "neutral"),
            ("", "neutral"),
        ] {
            assert_eq!(by_default(text), signal, "{text}");
        }
    }

    #[test]
    fn the_first_rule_wins() {
        assert_eq!(by_default("thanks, but I am upset"), "stressed");
        assert_eq!(by_default("are you upset?"), "uncertain");
    }

    #[test]
    fn a_keyword_is_a_whole_word_unless_it_is_a_stem() {
        assert!(!matches("good", "goodness") && !matches("good", "feelgood") && !matches("good", "good_enough"));
        assert!(matches("good", "(good)") && matches("good", "good,thanks") && matches("good", "'good'"));
        assert!(matches("confus*", "confused") && matches("confus*", "CONFUSION") && !matches("confus*", "unconfused"));
        assert!(!matches("can", "can't") && !matches("can", "can\u{2019}t") && matches("can't", "I can\u{2019}t"));
    }

    #[test]
    fn a_phrase_may_be_spaced_at_will_and_may_overlap_itself() {
        assert!(
            matches("not sure", "I'm not\n  sure.")
                && !matches("not sure", "not surely")
                && !matches("not sure", "knot sure")
        );
        assert!(matches("a a", "xa a a"));
    }

    #[test]
    fn punctuation_and_scripts_without_spaces_match_anywhere() {
        assert!(matches("?", "what?!") && matches(":(", "oh no:(") && matches("!!", "stop!!!"));
        assert!(matches("嬉しい", "今日は嬉しいです") && matches("c++", "I like C++.") && !matches("c++", "objc++"));
        assert!(
            matches("最悪", "これは最悪です") && matches("太差", "客服太差了") && matches("แย่มาก", "บริการแย่มากเลย")
        );
        assert!(matches("最悪*", "最悪だ") && matches("エラー", "ﾛｸﾞｲﾝでエラーx"));
        assert!(matches("ärger*", "ÄRGERLICH"));
    }

    proptest! {
        #[test]
        fn any_text_has_a_signal(text in any::<String>(), keyword in "\\PC{1,8}\\*?") {
            by_default(&text);
            matches(&keyword, &text);
        }

        #[test]
        fn a_keyword_among_other_words_is_found(before in "[a-z ]{0,20}", after in "[a-z ]{0,20}", keyword in "[a-z]{1,6}") {
            prop_assert!(matches(&keyword, &format!("{before} {keyword} {after}")), "{}", keyword);
        }
    }
}
