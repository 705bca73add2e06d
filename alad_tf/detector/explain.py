"""Reasons for a score: how much each column or pixel of a sample adds to it."""

import warnings
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from alad_tf.detector.detector import judged
from alad_tf.detector.ensemble import COMBINED, Ensemble
from alad_tf.detector.expected import expected_of
from alad_tf.model.scores import check_score
from alad_tf.preprocess.base import FAR

STEPS = 32  # points on the path from the reconstruction
BLOCK = 32  # rows that are computed together
MOST_CHANGED = 5  # columns of a record that are corrected, one after another
ORDINARY = 1.0  # combined scores up to this need no reason: a deviation above a typical row's
LEAST_FALL = 0.02  # by which a column must lower the score to be changed
MOST_TRIED = 64  # columns that are tried at a time: those farthest from their expected values


@dataclass(frozen=True, eq=False)
class Explanation:
    """The reasons for the scores of N records.

    Attributes:
        score: str, the score that is explained.
        scores: float32 array (N,).
        baseline: float32 array (N,), the scores without these reasons: a row's attributions add up
            to its score minus its baseline. For the combined score of a table, the score once the
            suspicious columns have their expected values. For other scores, the score of x' with
            itself as reconstruction, which is 0 for ALAD's features, l1 and l2. For features of
            images, 0.
        reconstruction: the result of the detector's `reconstruct`; None for features of images.
        columns: tuple of str, the table's columns; empty for images.
        attributions: float32 array, (N, columns) or (N, H, W). For features of images, heat maps of
            distances, where 1 is typical of training images; these do not add up to the score. For
            images of several sizes, an object array of maps (H, W).
        observed, expected: dicts of arrays (N,) by column: the record's values, and values that a
            normal row would have there, always within the training rows' range (see
            `alad_tf.detector.expected.expected_of`); empty for images.
        notes: dict of text arrays (N,) by column, why a value is unusual by itself, such as
            "category never seen", or empty text.

    Example:
        >>> two = np.ones(2, "float32")
        >>> columns = {"size": np.array([1.0, 9.0])}
        >>> one = Explanation("l1", 8 * two, 0 * two, np.ones((2, 1)), ("size",),
        ...                    8 * np.ones((2, 1)), columns, columns)
        >>> one.take(slice(1, 2)).top(0)[0]["observed"]
        np.float64(9.0)
    """

    score: str
    scores: np.ndarray
    baseline: np.ndarray
    reconstruction: np.ndarray
    columns: tuple
    attributions: np.ndarray
    observed: dict
    expected: dict
    notes: dict = field(default_factory=dict)

    def take(self, rows):
        """The explanation of some of the records.

        Args:
            rows: slice, int array (M,) of the records' numbers, or bool array (N,).

        Returns:
            `Explanation` of those records, in that order.
        """
        return Explanation(
            self.score,
            self.scores[rows],
            self.baseline[rows],
            None if self.reconstruction is None else self.reconstruction[rows],
            self.columns,
            self.attributions[rows],
            {name: values[rows] for name, values in self.observed.items()},
            {name: values[rows] for name, values in self.expected.items()},
            {name: values[rows] for name, values in self.notes.items()},
        )

    def top(self, row, count=5):
        """The columns that add most to a record's score.

        Args:
            row: int, the record's number.
            count: int, the largest number of columns; those that add nothing are left out.

        Returns:
            list of dicts, the largest attribution first: "column", "attribution", "observed",
            "expected" and "note", from `notes`.

        Raises:
            ValueError: for images, which have no columns.
            IndexError: if there is no such record.
        """
        if not self.columns:
            raise ValueError(
                "Images have no columns. Use `attributions`, which has one number per pixel."
            )
        order = np.argsort(-self.attributions[row], kind="stable")
        order = order[self.attributions[row, order] != 0][:count]
        notes = {name: values[row] for name, values in self.notes.items()}
        return [
            {
                "column": self.columns[index],
                "attribution": float(self.attributions[row, index]),
                "observed": self.observed[self.columns[index]][row],
                "expected": self.expected[self.columns[index]][row],
                "note": notes.get(self.columns[index], ""),
            }
            for index in order
        ]


def explain(detector, x, score=None, steps=STEPS):
    """Attribute scores to the columns or pixels of their records.

    The combined score of a table is attributed by how far it falls when columns get their expected
    values: first the column that lowers it most, then the next one, given the first, and so on up
    to five, until the score is ordinary. Columns that need no change add 0.

    Other scores, and those of images, are attributed by integrated gradients. The path is the
    straight line from the reconstruction x' to x. ALAD's x' is held constant, so that the features
    score ||f(x, x) - f(x, x')||_1 starts at 0. One-hot columns are summed over their block, pixels
    over their colours. Arguments and result are those of `Detector.explain`.

    Source: Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks", ICML 2017, for
    the integral; the paper itself gives no reasons.
    """
    scorer, preprocessor = detector.scorer, detector.preprocessor
    score = check_score(score or detector.score, scorer.score_names)
    if not getattr(scorer, "explainable", False):
        raise ValueError(
            f"Scores of {scorer.method} cannot be explained; those of alad, dsebm and dagmm can."
        )
    if steps < 1:
        raise ValueError(f"received steps={steps}; expected at least 1.")
    preprocessed = preprocessor.transform(x)
    x_reconstructed = scorer.reconstruct(preprocessed)
    groups = preprocessor.groups
    if groups:
        expect = expected_of(detector)
    if groups and score == COMBINED:
        columns = [np.array(places) for places in groups.values()]
        score_of = _versions_scored(detector, preprocessed)
        baseline, attributions, normal = _put_right(score_of, expect, preprocessed, columns)
    else:
        baseline, parts = _integrate(scorer, score, preprocessed, x_reconstructed, int(steps))
        attributions = parts.sum(-1)  # (N, H, W)
        if groups:
            attributions = np.stack([parts[:, places].sum(1) for places in groups.values()], 1)
            normal = expect(preprocessed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `transform` has warned
        observed = preprocessor.raw_columns(x)
    return Explanation(
        score=score,
        scores=detector.scores_of(preprocessed)[score],
        baseline=baseline,
        reconstruction=preprocessor.inverse(x_reconstructed),
        columns=tuple(groups),
        attributions=attributions,
        observed=observed,
        expected=preprocessor.decode(normal) if groups else {},
        notes=preprocessor.notes(preprocessed, observed),
    )


def _versions_scored(detector, x):
    """A function that returns the combined score of changed versions of samples.

    Its arguments are the versions and their samples' numbers. A kept training row is not its own
    neighbour when it is scored, nor is it a neighbour of its changed versions: otherwise any change
    would make it look normal.
    """
    own = np.full(len(x), -1)
    if isinstance(detector.scorer, Ensemble):
        own = detector.scorer.own_rows(x)

    def score_of(versions, numbers):
        scores, kept = np.empty(len(versions), "float32"), own[numbers] >= 0
        if not kept.all():
            scores[~kept] = detector.scores_of(versions[~kept])[COMBINED]
        if kept.any():
            found = detector.scorer.combined(versions[kept], own[numbers[kept]])
            scores[kept] = judged({COMBINED: found}, versions[kept])[COMBINED]
        return scores

    return score_of


def _put_right(score_of, expect, x, columns):
    """Set columns to their expected values, each time the one that lowers the score most.

    Args:
        score_of: function of versions (M, d) of samples, and of these samples' numbers (M,), that
            returns scores (M,).
        expect: function of samples (M, d) that returns expected ones (M, d).
        x: float32 array (N, d), preprocessed samples.
        columns: list of int arrays, the places of each raw column in a sample.

    Returns:
        `(baseline, attributions, expected)`: float32 (N,), the final scores; float32 (N, columns),
        by how much each column lowered them; float32 (N, d), the expected values, which for changed
        columns follow from the others' new values.
    """
    observed, x, score = x, x.copy(), score_of(x, np.arange(len(x))).astype("float64")
    attributions = np.zeros((len(x), len(columns)))
    changed = np.stack([(np.abs(x[:, c]) >= np.float32(FAR)).any(1) for c in columns], 1)
    rows = np.flatnonzero(changed.any(1))
    if len(rows):  # each of these alone makes the score the largest possible: all are replaced
        x[rows] = _replaced(x[rows], expect(x[rows]), changed[rows], columns)
        after = score_of(x[rows], rows).astype("float64")
        shares = (score[rows] - after) / changed[rows].sum(1)
        attributions[rows] = np.where(changed[rows], shares[:, None], 0)
        score[rows] = after
    expected, rows = expect(x), np.arange(len(x))
    at_first = expected.copy()
    for _ in range(MOST_CHANGED):
        moved = []
        for first in range(0, len(rows), BLOCK):
            some = rows[first : first + BLOCK]
            tried = _farthest(x[some], expected[some], changed[some], columns)
            owners, numbers = np.nonzero(tried)
            if not len(owners):
                continue
            one = np.eye(len(columns), dtype=bool)[numbers]
            trials = _replaced(x[some[owners]], expected[some[owners]], one, columns)
            found = np.full(tried.shape, np.inf)
            found[owners, numbers] = score_of(trials, some[owners])
            best, after = found.argmin(1), found.min(1)
            for place in np.flatnonzero(score[some] - after >= LEAST_FALL):
                row, column = some[place], best[place]
                attributions[row, column] = score[row] - after[place]
                x[row, columns[column]] = expected[row, columns[column]]
                score[row], changed[row, column] = after[place], True
                moved.append(row)
        if not moved:
            break
        expected[moved] = expect(x[moved])
        rows = np.array([row for row in moved if score[row] > ORDINARY], int)
    expected = _replaced(at_first, expected, changed, columns)
    as_observed = np.stack([(observed[:, c] == expected[:, c]).all(1) for c in columns], 1)
    _put_back(score_of, observed, x, score, attributions, changed & as_observed, columns)
    return score.astype("float32"), attributions.astype("float32"), expected


def _put_back(score_of, observed, x, score, attributions, which, columns):
    """Undo changes of columns whose values, after the later changes of others, are as expected.

    The other columns get their shares in proportion. Changes `x`, `score` and `attributions`.
    """
    rows = np.flatnonzero(which.any(1))
    if not len(rows):
        return
    total = score[rows] + attributions[rows].sum(1)
    x[rows] = _replaced(x[rows], observed[rows], which[rows], columns)
    score[rows] = score_of(x[rows], rows)
    attributions[which] = 0
    others = attributions[rows].sum(1)
    scale = np.divide(total - score[rows], others, out=np.zeros(len(rows)), where=others > 0)
    attributions[rows] *= scale[:, None]


def _replaced(x, expected, which, columns):
    """Samples (M, d) with the expected values in some columns: bool (M, columns)."""
    x = x.copy()
    for number in np.flatnonzero(which.any(0)):
        places = np.ix_(which[:, number], columns[number])
        x[places] = expected[places]
    return x


def _farthest(x, expected, changed, columns):
    """The columns that are farthest from what is expected and have not changed: (N, columns)."""
    away = np.stack([np.abs(x[:, c] - expected[:, c]).max(1) for c in columns], 1)
    away[changed] = 0
    least = np.sort(away, 1)[:, -MOST_TRIED:][:, :1]
    return (away > 0) & (away >= least)


def _integrate(scorer, score, x, x_reconstructed, steps):
    """The score at x' (N,), and (x - x') times its mean gradient on the path to x, of x's shape."""
    gradient = scorer.gradient_of(score)
    baseline, attributed = np.empty(len(x), "float32"), np.empty_like(x)
    shares = ((np.arange(steps) + 0.5) / steps).astype("float32")  # the middles of equal parts
    for first in range(0, len(x), BLOCK):
        rows = slice(first, first + BLOCK)
        count = len(x[rows])
        fill = [(0, BLOCK - count)] + [(0, 0)] * (x.ndim - 1)  # one program for every block
        start = np.pad(x_reconstructed[rows], fill)
        difference = np.pad(x[rows] - x_reconstructed[rows], fill)
        held = tf.constant(start)
        baseline[rows] = gradient(held, held)[0].numpy()[:count]
        total = sum(gradient(tf.constant(start + s * difference), held)[1].numpy() for s in shares)
        attributed[rows] = (difference * total / steps)[:count]
    return baseline, attributed


def observed_shown(reason):
    """The observed value of one of `Explanation.top`, with its note."""
    note = f" ({reason['note']})" if reason["note"] else ""
    return as_shown(reason["observed"]) + note


def expected_shown(reason):
    """What one of `Explanation.top` was expected to be, in words.

    >>> expected_shown({"observed": 3, "expected": 5})
    'expected 5'
    >>> expected_shown({"observed": "FR", "expected": "FR"})
    'as expected'
    """
    observed, expected = as_shown(reason["observed"]), as_shown(reason["expected"])
    return "as expected" if observed == expected else f"expected {expected}"


def as_shown(value):
    """A column's value as people read it: text, "missing", or a number of four digits.

    >>> as_shown(float("nan")), as_shown(0.123456), as_shown("")
    ('missing', '0.1235', 'none')
    """
    if isinstance(value, str):
        return str(value) or "none"
    if isinstance(value, int):
        return str(value)
    return "missing" if np.isnan(value) else f"{value:.4g}"
