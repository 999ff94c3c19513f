"""Removes terms that must not decide a mood: names, slurs, groups of people, and topics of the forum.

A term is removed if one of its words meets one of three rules:

1. The word is mostly capitalised within sentences, so it is a name. Names are found in the data, not listed.
2. The word is in topics.txt, which was compiled by reading the lexicon.
3. The word is a slur. slurs.txt lists hashes, so that nobody has to read slurs.
"""

import hashlib
import re
from collections import Counter
from pathlib import Path

FOLDER = Path(__file__).parent
# Minimum occurrences within sentences, and minimum capitalized share, of a name.
MIN_SEEN = 3
NAME_SHARE = 0.5
WITHIN_SENTENCE = re.compile(r"(?<=[a-z,;] )[A-Za-z][a-z']+\b")
# Capitalized words that are not names.
NEVER_NAMES = {"i", "i'm", "i've", "i'd", "i'll", "ok"}


MARKS = {"?", "??", "?!", "!", "!!", "...", "CAPITALS", "ALL CAPITALS"}


def words_of(term):
    """Returns the words in a term of any kind; a mark has none."""
    return [] if term in MARKS else [word for word in term.split(" ") if word not in {"…", "?", "!", "N"}]


def hashed(word):
    return hashlib.sha256(word.encode()).hexdigest()[:16]


def listed(name):
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    return {word for line in lines if not line.startswith("#") for word in line.split()}


class Pruning:
    def __init__(self, texts):
        self.names = names_in(texts)
        self.topics = listed("topics.txt")
        self.slurs = listed("slurs.txt")

    def keeps(self, term):
        return all(map(self.keeps_word, words_of(term)))

    def keeps_word(self, word):
        stem = word.removesuffix("'s")
        if not stem or word == "s":
            return False
        return not ({word, stem} & (self.names | self.topics)) and not ({hashed(word), hashed(stem)} & self.slurs)


def names_in(texts):
    seen, capitalised = Counter(), Counter()
    for text in texts:
        for word in WITHIN_SENTENCE.findall(text):
            seen[word.lower()] += 1
            capitalised[word.lower()] += word[0].isupper()
    return {
        word for word, count in seen.items()
        if count >= MIN_SEEN and capitalised[word] / count > NAME_SHARE and word not in NEVER_NAMES
    }
