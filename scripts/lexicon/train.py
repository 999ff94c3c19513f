"""Learns shared/lexicon/en.tsv from the GoEmotions comments.

    python scripts/lexicon/train.py --data FOLDER --features PROGRAM

FOLDER holds train.tsv; PROGRAM is the example `features` of the crate `shared`, so that what is learned is what the
classifier sees. The same data and packages make the same file, byte for byte. docs/model-card.md says what the numbers
mean and how good they are.
"""

import argparse
import os
import subprocess
from pathlib import Path

# One thread: sums in another order end in other digits.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np  # noqa: E402
from scipy import sparse  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.metrics import f1_score  # noqa: E402
from sklearn.model_selection import StratifiedKFold  # noqa: E402

import goemotions  # noqa: E402
from pruning import Pruning  # noqa: E402

LEXICON = Path(__file__).parents[2] / "shared/lexicon/en.tsv"
SIGNALS = goemotions.SIGNALS
# Terms of fewer comments say more about these comments than about language.
MIN_COMMENTS = 5
MAX_PAIR_WORDS = 2
MAX_TERMS = 5_600
# Inverse strength of the L2 penalty; chosen by cross-validation.
STRENGTH = 0.2
FOLDS = 5
# The bias is searched in these steps: finer ones fit the noise of the folds.
BIAS_STEPS = np.linspace(-0.5, 0.5, 11)

# A stressed user overlooked costs more than one too many looked after: added to what cross-validation finds.
STRESSED_BIAS = 0.2

HEADER = """\
# What words, pairs and marks say of a text's signal: weights of a linear model, term by term.
# Learned by scripts/lexicon/train.py from GoEmotions (Demszky et al., ACL 2020), https://github.com/google-research/google-research/tree/master/goemotions,
# data licensed CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/). No comment is in here, and no term of fewer than {min_comments} comments.
# A made file: change how it is made, or say otherwise in en-support.tsv. The terms are explained in classifier/features.rs.
# term\t{signals}
"""


def matrix(comments, vocabulary):
    """One row per comment, one column per term, 1 where the comment has the term."""
    columns, ends = [], [0]
    for comment in comments:
        columns += sorted(vocabulary[term] for term in comment.terms if term in vocabulary)
        ends.append(len(columns))
    return sparse.csr_matrix((np.ones(len(columns)), columns, ends), shape=(len(comments), len(vocabulary)))


class Model:
    """A multinomial logistic regression whose columns are scaled by how unevenly a term falls on the signals.

    The scale is the root mean square of a term's log ratios, as in NB-SVM (Wang & Manning, ACL 2012): the penalty then
    falls on what the data does not back. Signals weigh alike, whatever their number of comments.
    """

    def __init__(self, x, labels, weights):
        balance = weights.sum() / (len(SIGNALS) * np.bincount(labels, weights))
        self.scale = self._scale(x, labels, weights)
        model = LogisticRegression(C=STRENGTH, max_iter=500, tol=1e-6)
        model.fit(x @ sparse.diags(self.scale), labels, sample_weight=weights * balance[labels])
        self.weights = (model.coef_ * self.scale).T
        self.bias = model.intercept_

    @staticmethod
    def _scale(x, labels, weights):
        share = []
        for signal in range(len(SIGNALS)):
            of_signal = np.where(labels == signal, weights, 0)
            share.append((x.T @ of_signal + 1) / (of_signal.sum() + 2))
        ratios = np.log(np.vstack(share))
        return np.sqrt(((ratios - ratios.mean(axis=0)) ** 2).mean(axis=0))

    def scores(self, x):
        return x @ self.weights + self.bias


def fit(comments, vocabulary):
    """A model of all `comments`; one with several signals counts for each in part."""
    rows = [(comment, signal) for comment in comments for signal in comment.signals]
    labels = np.array([signal for _, signal in rows])
    weights = np.array([1 / len(comment.signals) for comment, _ in rows])
    return Model(matrix([comment for comment, _ in rows], vocabulary), labels, weights)


def best_terms(model, x, vocabulary):
    """The terms that move the scores most over all comments."""
    share = np.asarray(x.mean(axis=0)).ravel()
    effect = model.weights.std(axis=1) * np.sqrt(share * (1 - share))
    names = np.array(list(vocabulary))
    return sorted(names[np.argsort(-effect, kind="stable")[:MAX_TERMS]].tolist())


def indexed(terms):
    return {term: column for column, term in enumerate(terms)}


def learn(comments, terms):
    """A model of the best of `terms`, and these."""
    vocabulary = indexed(terms)
    kept = indexed(best_terms(fit(comments, vocabulary), matrix(comments, vocabulary), vocabulary))
    return fit(comments, kept), kept


def best_bias(scores, labels):
    """What to add to each signal's score for the best macro-averaged F1, found signal by signal."""
    bias = np.zeros(len(SIGNALS))
    for _ in range(3):
        for signal in range(len(SIGNALS)):
            def quality(step):
                moved = scores + bias
                moved[:, signal] += step
                return f1_score(labels, moved.argmax(axis=1), average="macro")
            bias[signal] += max(BIAS_STEPS, key=lambda step: (round(quality(step), 6), -abs(step)))
    return bias - bias.mean()


def cross_validate(comments, terms):
    """The bias that is best on folds not learned from, and the F1 there."""
    judged = [comment for comment in comments if len(comment.signals) == 1]
    mixed = [comment for comment in comments if len(comment.signals) > 1]
    labels = np.array([comment.signals[0] for comment in judged])
    scores = np.zeros((len(judged), len(SIGNALS)))
    for learned, held in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(scores, labels):
        model, vocabulary = learn([judged[row] for row in learned] + mixed, terms)
        scores[held] = model.scores(matrix([judged[row] for row in held], vocabulary))
    bias = best_bias(scores, labels)
    found = (scores + bias).argmax(axis=1)
    print("cross-validated macro F1 %.4f" % f1_score(labels, found, average="macro"))
    print("  " + "  ".join(f"{name} {f1:.3f}" for name, f1 in zip(SIGNALS, f1_score(labels, found, average=None))))
    return bias


def write(model, vocabulary, bias):
    """Writes the lexicon; a term's weights are relative to their mean, which changes no decision."""
    lines = {"<bias>": model.bias + bias}
    lines.update((term, model.weights[column]) for term, column in vocabulary.items())
    with LEXICON.open("w", encoding="utf-8") as out:
        out.write(HEADER.format(min_comments=MIN_COMMENTS, signals="\t".join(SIGNALS)))
        for term in sorted(lines):
            weights = lines[term] - lines[term].mean()
            out.write(term + "\t" + "\t".join(f"{weight:.2f}".replace("-0.00", "0.00") for weight in weights) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train.tsv")
    parser.add_argument("--features", type=Path, required=True, help="the built example `features`")
    given = parser.parse_args()
    comments = goemotions.read(given.data / "train.tsv", lambda texts: terms_of(given.features, texts))
    pruning = Pruning(comment.text for comment in comments)
    counts = {}
    for comment in comments:
        for term in comment.terms:
            counts[term] = counts.get(term, 0) + 1
    terms = sorted(term for term, count in counts.items() if count >= MIN_COMMENTS and is_short(term) and pruning.keeps(term))
    print(f"{len(terms)} of {len(counts)} terms to choose from")
    bias = cross_validate(comments, terms)
    bias[SIGNALS.index("stressed")] += STRESSED_BIAS
    model, vocabulary = learn(comments, terms)
    write(model, vocabulary, bias)
    print(f"{len(vocabulary)} terms in {LEXICON}")


def is_short(term):
    return term.startswith("<") or term.count(" ") < MAX_PAIR_WORDS


def terms_of(program, texts):
    run = subprocess.run([program], input="\n".join(texts) + "\n", capture_output=True, check=True, encoding="utf-8")
    return [line.split("\t") for line in run.stdout.removesuffix("\n").split("\n")]


if __name__ == "__main__":
    main()
