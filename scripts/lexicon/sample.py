"""Prints the messages to label: 400 bank messages and 200 dialogue turns, chosen by a seeded hash.

    python scripts/lexicon/sample.py --data FOLDER [--order SEED]

A line is a source, a position in its file, the half it belongs to and the text. --order shuffles the lines, so that two
labelling passes read them in different orders.
"""

import argparse
import hashlib
from pathlib import Path

import service

SIZES = {"banking77": 400, "multiwoz": 200}


def sample(messages):
    """Returns the sample, with the half of each message: tuning or report."""
    chosen = []
    for source, size in SIZES.items():
        ranked = sorted((m for m in messages if m.source == source), key=lambda m: service.rank(f"{source[0]}{m.index}"))
        chosen += ranked[:size]
    return [(message, ("tune", "report")[service.rank(f"s{place}") % 2]) for place, message in enumerate(chosen)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with banking77-train.tsv and multiwoz-turns.tsv")
    parser.add_argument("--order", help="seed of another order")
    given = parser.parse_args()
    rows = sample(service.read(given.data))
    if given.order:
        rows.sort(key=lambda row: hashlib.sha256(f"{given.order}:{row[0].source}:{row[0].index}".encode()).digest())
    for message, half in rows:
        print(message.source, message.index, half, message.text, sep="\t")


if __name__ == "__main__":
    main()
