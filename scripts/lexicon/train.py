"""Trains shared/lexicon/en.tsv on GoEmotions comments and on messages to services.

    python scripts/lexicon/train.py --data FOLDER --features PROGRAM

FOLDER holds goemotions/train.tsv, support/banking77-train.tsv and support/multiwoz-turns.tsv. PROGRAM is the built example
`features` of the crate `shared`, so that training sees the terms the classifier sees. The same data and packages make the
same file, byte for byte. docs/model-card.md explains the method and reports its quality.
"""

import argparse
import os
import subprocess
from collections import Counter
from pathlib import Path

# One thread, because the order of a sum changes its last digits.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np  # noqa: E402
from scipy import sparse  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.model_selection import StratifiedKFold  # noqa: E402

import goemotions  # noqa: E402
import service  # noqa: E402
from pruning import Pruning  # noqa: E402

FOLDER = Path(__file__).parents[2] / "shared/lexicon"
LEXICON = FOLDER / "en.tsv"
BY_HAND = FOLDER / "en-support.tsv"
SIGNALS = goemotions.SIGNALS
NEUTRAL = SIGNALS.index("neutral")

# Rarer terms say more about these texts than about language.
MIN_COMMENTS = 5
MIN_MESSAGES = 25
MAX_PAIR_WORDS = 2
MAX_TERMS = 5_000
# Inverse strength of the L2 penalty.
STRENGTH = 0.2
# The total weight of the service messages; that of the comments is 1.
SERVICE_SHARE = 0.25
# A comment that also has an emotion without a signal counts half.
MIXED_WEIGHT = 0.5
# Maximum weight of a term for neutral: a message is not calm because it names a card or a city.
MAX_NEUTRAL = 0.3
# Added to the bias of each signal; chosen on GoEmotions' dev split and the labelled messages.
BIAS = np.array([0.0, 0.3, 0.2, -0.9])
# Minimum margin of hand-written terms that excludes a message from the neutral training data.
AFFECT = 1.0
FOLDS = 3
# Weight of a labelled message in calibration, in comments.
MESSAGE_WEIGHT = 10

HEADER = """\
# Weights of a linear model: how strongly a word, pair or mark speaks for each signal.
# Trained by scripts/lexicon/train.py on GoEmotions (Demszky et al., ACL 2020; CC BY 4.0, https://creativecommons.org/licenses/by/4.0/;
# https://github.com/google-research/google-research/tree/master/goemotions), BANKING77 (Casanueva et al., 2020; CC BY 4.0) and the text
# of MultiWOZ (Budzianowski et al., 2018; MIT). No text of these is in here. Generated: correct a term in en-support.tsv instead.
# The kinds of terms are explained in classifier/features.rs.
# term\t{signals}
"""


def by_hand():
    """Returns the terms written by hand and their weights."""
    lines = BY_HAND.read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("# ")]
    return {row[0]: np.array([float(column) for column in row[1:]]) for row in rows}


def indexed(terms):
    return {term: column for column, term in enumerate(terms)}


def matrix(texts, vocabulary):
    """Returns one row per text, given as its terms, and one column per term: 1 where the text has the term."""
    columns, ends = [], [0]
    for terms in texts:
        columns += sorted(vocabulary[term] for term in terms if term in vocabulary)
        ends.append(len(columns))
    return sparse.csr_matrix((np.ones(len(columns)), columns, ends), shape=(len(texts), len(vocabulary)))


class Model:
    """A multinomial logistic regression whose columns are scaled by how unevenly a term falls on the signals.

    The scale is the root mean square of a term's log ratios, as in NB-SVM (Wang & Manning, ACL 2012): the penalty then
    falls on what the data does not back. Among comments all signals have the same weight; messages are neutral.
    """

    def __init__(self, comments, messages, terms, fixed):
        vocabulary = indexed(terms)
        pairs = [(comment, signal) for comment in comments for signal in comment.signals]
        x = matrix([comment.terms for comment, _ in pairs] + [text for _, text in messages], vocabulary)
        labels = np.array([signal for _, signal in pairs] + [NEUTRAL] * len(messages))
        weights = np.concatenate([self._of_comments(pairs, labels), self._of_messages(messages, len(pairs))])
        scale = self._scale(x, labels, weights)
        fit = LogisticRegression(C=STRENGTH, max_iter=200, tol=1e-4)
        fit.fit(x @ sparse.diags(scale), labels, sample_weight=weights)
        learned = (fit.coef_ * scale).T
        learned -= learned.mean(axis=1, keepdims=True)
        share = np.asarray(x.multiply(weights[:, None]).sum(axis=0)).ravel() / weights.sum()
        effect = learned.std(axis=1) * np.sqrt(share * (1 - share))
        kept = np.argsort(-effect, kind="stable")[:MAX_TERMS]
        self.bias = fit.intercept_ + BIAS
        self.learned = {terms[column]: capped(learned[column]) for column in kept}
        self.weights = self.learned | fixed

    @staticmethod
    def _of_comments(pairs, labels):
        weights = np.array([(MIXED_WEIGHT if comment.is_mixed else 1) / len(comment.signals) for comment, _ in pairs])
        of_comments = labels[: len(pairs)]
        balance = weights.sum() / (len(SIGNALS) * np.bincount(of_comments, weights))
        return weights * balance[of_comments]

    @staticmethod
    def _of_messages(messages, total):
        counts = Counter(source for source, _ in messages)
        return np.array([SERVICE_SHARE * total / len(counts) / counts[source] for source, _ in messages])

    @staticmethod
    def _scale(x, labels, weights):
        share = []
        for signal in range(len(SIGNALS)):
            of_signal = np.where(labels == signal, weights, 0)
            share.append((x.T @ of_signal + 1) / (of_signal.sum() + 2))
        ratios = np.log(np.vstack(share))
        return np.sqrt(((ratios - ratios.mean(axis=0)) ** 2).mean(axis=0))

    def scores(self, texts):
        """Returns the sums of each text, given as its terms."""
        return np.array([self.bias + sum(self.weights.get(term, 0) for term in terms) for terms in texts])


def capped(weights):
    """Returns the weights of a term, reduced if the term speaks for neutral too strongly."""
    if weights.argmax() == NEUTRAL and weights[NEUTRAL] > MAX_NEUTRAL:
        return weights * MAX_NEUTRAL / weights[NEUTRAL]
    return weights


def speaks_of_affect(terms, fixed):
    """Returns whether the hand-written terms indicate a signal other than neutral."""
    weights = sum((fixed[term] for term in terms if term in fixed), np.zeros(len(SIGNALS)))
    return np.delete(weights, NEUTRAL).max() - weights[NEUTRAL] > AFFECT


def terms_to_choose_from(comments, messages, fixed, pruning):
    """Returns the terms that are frequent enough, short enough and not pruned as topics."""
    in_comments = Counter(term for comment in comments for _ in comment.signals for term in comment.terms)
    in_messages = Counter(term for _, text in messages for term in text)
    frequent = {term for term, count in in_comments.items() if count >= MIN_COMMENTS}
    frequent |= {term for term, count in in_messages.items() if count >= MIN_MESSAGES}
    return sorted(term for term in frequent if is_short(term) and (term in fixed or pruning.keeps(term)))


def is_short(term):
    return "…" in term or term.count(" ") < MAX_PAIR_WORDS


def margins(scores):
    """Returns for each row the chosen signal and how far it is ahead of the next."""
    ordered = np.sort(scores, axis=1)
    return scores.argmax(axis=1), ordered[:, -1] - ordered[:, -2]


def calibrate(comments, messages, labelled, terms, fixed):
    """Returns a slope and an offset for each signal (Platt, 1999): how probable a choice is at a margin.

    Fitted on comments that the model of their fold was not trained on, and on the tuning half of the labelled messages.
    """
    judged = [comment for comment in comments if len(comment.signals) == 1]
    mixed = [comment for comment in comments if len(comment.signals) > 1]
    labels = np.array([comment.signals[0] for comment in judged])
    scores = np.zeros((len(judged), len(SIGNALS)))
    of_messages = np.zeros((len(labelled), len(SIGNALS)))
    for trained, held in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(scores, labels):
        model = Model([judged[row] for row in trained] + mixed, messages, terms, fixed)
        scores[held] = model.scores([judged[row].terms for row in held])
        of_messages += model.scores([text for text, _ in labelled]) / FOLDS
    found, margin = margins(np.vstack([scores, of_messages]))
    right = found == np.concatenate([labels, [signal for _, signal in labelled]])
    weights = np.concatenate([np.ones(len(judged)), np.full(len(labelled), MESSAGE_WEIGHT)])
    slopes, offsets = [], []
    for signal in range(len(SIGNALS)):
        rows = found == signal
        platt = LogisticRegression(C=1e6).fit(margin[rows, None], right[rows], sample_weight=weights[rows])
        slopes.append(platt.coef_[0][0])
        offsets.append(platt.intercept_[0])
    print("cross-validated accuracy on comments %.4f" % (found[: len(judged)] == labels).mean())
    return np.array(slopes), np.array(offsets)


def write(model, slopes, offsets):
    """Writes the lexicon. Subtracting the mean of a term's weights changes no decision."""
    lines = {term: weights - weights.mean() for term, weights in model.learned.items()}
    lines |= {"<bias>": model.bias - model.bias.mean(), "<slope>": slopes, "<offset>": offsets}
    with LEXICON.open("w", encoding="utf-8") as out:
        out.write(HEADER.format(signals="\t".join(SIGNALS)))
        for term in sorted(lines):
            out.write(term + "\t" + "\t".join(f"{weight:.2f}".replace("-0.00", "0.00") for weight in lines[term]) + "\n")


def terms_of(program, texts):
    """Returns the terms of each text, as the classifier reads it."""
    run = subprocess.run([program], input="\n".join(texts) + "\n", capture_output=True, check=True, encoding="utf-8")
    return [line.split("\t") for line in run.stdout.removesuffix("\n").split("\n")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with goemotions/ and support/")
    parser.add_argument("--features", type=Path, required=True, help="the built example `features`")
    given = parser.parse_args()
    comments = goemotions.read(given.data / "goemotions/train.tsv", lambda texts: terms_of(given.features, texts))
    all_messages = service.read(given.data / "support")
    texts = terms_of(given.features, [message.text for message in all_messages])
    by_place = {(message.source, message.index): text for message, text in zip(all_messages, texts, strict=True)}
    labels = service.labels()
    labelled = {(label.source, label.index) for label in labels}
    fixed = by_hand()
    # The labelled messages are used for calibration and evaluation, not for the weights.
    messages = [
        (place[0], text) for place, text in by_place.items() if place not in labelled and not speaks_of_affect(text, fixed)
    ]
    terms = terms_to_choose_from(comments, messages, fixed, Pruning(comment.text for comment in comments))
    print(f"{len(comments)} comments, {len(messages)} messages, {len(terms)} terms to choose from")
    tuning = [
        (by_place[label.source, label.index], SIGNALS.index(label.signal)) for label in labels if label.half == "tune"
    ]
    slopes, offsets = calibrate(comments, messages, tuning, terms, fixed)
    model = Model(comments, messages, terms, fixed)
    write(model, slopes, offsets)
    print(f"{len(model.learned)} terms in {LEXICON}")


if __name__ == "__main__":
    main()
