"""Messages to services: banking77-train.tsv and multiwoz-turns.tsv, and the labelled sample of both in labels.tsv.

Of each line only the first column, the text, is read. The satisfaction ratings of the dialogue turns have no licence.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

FILES = {"banking77": "banking77-train.tsv", "multiwoz": "multiwoz-turns.tsv"}
LABELS = Path(__file__).with_name("labels.tsv")
SEED = 2026


@dataclass
class Message:
    source: str
    # The position of the line in the source's file.
    index: int
    text: str


@dataclass
class Label:
    source: str
    index: int
    signal: str
    # "tune" or "report".
    half: str


def rank(key):
    """Returns a number that depends on SEED and `key` only."""
    return int(hashlib.sha256(f"{SEED}:{key}".encode()).hexdigest()[:12], 16)


def read(folder):
    """Returns the messages of both sources."""
    messages = []
    for source, name in FILES.items():
        lines = (folder / name).read_text(encoding="utf-8").split("\n")
        messages += [Message(source, index, line.split("\t")[0]) for index, line in enumerate(lines) if line]
    return messages


def labels():
    """Returns the labels that were agreed on."""
    rows = [line.split("\t") for line in LABELS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return [Label(source, int(index), agreed, half) for source, index, half, _, _, agreed in rows]
