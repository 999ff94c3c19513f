"""The GoEmotions dataset: text, tab, comma-separated numbers of emotions, tab, id of the comment; no header."""

from dataclasses import dataclass

# In the order of the lexicon's columns.
SIGNALS = ["positive", "neutral", "stressed", "uncertain"]
EMOTIONS = (
    "admiration amusement anger annoyance approval caring confusion curiosity desire disappointment disapproval disgust "
    "embarrassment excitement fear gratitude grief joy love nervousness optimism pride realization relief remorse sadness "
    "surprise neutral"
).split()
# Signals as defined in docs/model-card.md. Questions are neutral. Five emotions fit no signal: approval, desire,
# disapproval, realization, surprise.
GROUPS = {
    "positive": "amusement excitement joy love optimism caring pride admiration gratitude relief",
    "neutral": "neutral curiosity",
    "stressed": "fear nervousness remorse embarrassment disappointment sadness grief disgust anger annoyance",
    "uncertain": "confusion",
}
SIGNAL_OF = {EMOTIONS.index(emotion): SIGNALS.index(signal) for signal, names in GROUPS.items() for emotion in names.split()}


@dataclass
class Comment:
    text: str
    # Positions in SIGNALS, each once.
    signals: list
    # Whether the comment also has an emotion that fits no signal.
    is_mixed: bool
    terms: list


def read(path, terms_of):
    """Returns the comments of the file `path` with a signal; `terms_of` returns the terms of each of many texts."""
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n") if line]
    comments = []
    for row, terms in zip(rows, terms_of([row[0] for row in rows]), strict=True):
        signals = [SIGNAL_OF.get(int(number)) for number in row[1].split(",")]
        known = sorted({signal for signal in signals if signal is not None})
        if known:
            comments.append(Comment(row[0], known, None in signals, terms))
    return comments
