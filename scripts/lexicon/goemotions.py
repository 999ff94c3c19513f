"""The GoEmotions dataset: text, tab, comma-separated numbers of emotions, tab, id of the comment; no header."""

from dataclasses import dataclass

# In the order of the lexicon's columns.
SIGNALS = ["positive", "neutral", "stressed", "uncertain"]
EMOTIONS = (
    "admiration amusement anger annoyance approval caring confusion curiosity desire disappointment disapproval disgust "
    "embarrassment excitement fear gratitude grief joy love nervousness optimism pride realization relief remorse sadness "
    "surprise neutral"
).split()
# The dataset's own groups of emotions: positive, neutral, negative, ambiguous.
GROUPS = {
    "positive": "amusement excitement joy love desire optimism caring pride admiration gratitude relief approval",
    "neutral": "neutral",
    "stressed": "fear nervousness remorse embarrassment disappointment sadness grief disgust anger annoyance disapproval",
    "uncertain": "realization surprise curiosity confusion",
}
SIGNAL_OF = {EMOTIONS.index(emotion): SIGNALS.index(signal) for signal, names in GROUPS.items() for emotion in names.split()}


@dataclass
class Comment:
    text: str
    # Positions in SIGNALS, each once.
    signals: list
    terms: list


def read(path, terms_of):
    """The comments in the file `path`; `terms_of` gives the terms of each of many texts."""
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n") if line]
    terms = terms_of([row[0] for row in rows])
    assert len(terms) == len(rows), f"{len(terms)} lines of terms for {len(rows)} comments"
    labels = [sorted({SIGNAL_OF[int(number)] for number in row[1].split(",")}) for row in rows]
    return [Comment(row[0], signals, found) for row, signals, found in zip(rows, labels, terms)]
