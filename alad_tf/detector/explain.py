"""Reasons for a score: how much each column or pixel of a sample adds to it."""

import warnings
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from alad_tf.model.scores import check_score

STEPS = 32  # points on the path from the reconstruction
BLOCK = 32  # rows that are computed together


@dataclass(frozen=True, eq=False)
class Explanation:
    """What made the scores of N records.

    Attributes:
        score: str, the score that is explained.
        scores: float32 array (N,).
        baseline: float32 array (N,), the scores at the start of the path: of x' beside x', which is
            0 for ALAD's features, l1 and l2. A row's attributions add up to its score less this,
            up to the error of the integral.
        reconstruction: what the detector's `reconstruct` gives; None of features of images.
        columns: tuple of str, the table's columns; empty for images.
        attributions: float32 array, (N, columns) or (N, H, W). Of features of images, heat maps:
            how far a position is, where 1 is typical of training images; they add up to nothing.
            Of images of several sizes, an object array of maps (H, W).
        observed, expected: dicts of arrays (N,) by column: the record's values, and those of its
            reconstruction; empty for images.

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
        )

    def top(self, row, count=5):
        """The columns that add most to a record's score.

        Args:
            row: int, the record's number.
            count: int, how many columns.

        Returns:
            list of dicts, the largest first: "column", "attribution", "observed", "expected".

        Raises:
            ValueError: images, which have no columns.
            IndexError: no such record.
        """
        if not self.columns:
            raise ValueError("Images have no columns; see `attributions`, one number per pixel.")
        order = np.argsort(-self.attributions[row], kind="stable")[:count]
        return [
            {
                "column": self.columns[index],
                "attribution": float(self.attributions[row, index]),
                "observed": self.observed[self.columns[index]][row],
                "expected": self.expected[self.columns[index]][row],
            }
            for index in order
        ]


def explain(detector, x, score=None, steps=STEPS):
    """Attributes scores to the columns or pixels of their records, by integrated gradients.

    The path goes straight from the reconstruction x', the networks' normal form of x, to x. ALAD's
    x' is held meanwhile: of the features score ||f(x, x) - f(x, x')||_1 the path starts at 0.
    One-hot columns are summed over their block, pixels over their colours. `Detector.explain` says
    what it takes and returns.

    Source: Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks", ICML 2017; the
    paper itself gives no reasons.
    """
    scorer, preprocessor = detector.scorer, detector.preprocessor
    score = check_score(score or detector.score, scorer.score_names)
    if not getattr(scorer, "explainable", False):
        raise ValueError(
            f"{scorer.method} cannot be explained, as it has no gradient from a reconstruction. "
            "Supported: alad, dsebm, dagmm."
        )
    if steps < 1:
        raise ValueError(f"steps must be at least 1; received {steps}.")
    preprocessed = preprocessor.transform(x)
    x_reconstructed = scorer.reconstruct(preprocessed)
    baseline, parts = _integrate(scorer, score, preprocessed, x_reconstructed, int(steps))
    groups = preprocessor.groups
    if groups:
        attributions = np.stack([parts[:, indices].sum(1) for indices in groups.values()], 1)
    else:
        attributions = parts.sum(-1)  # (N, H, W)
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
        expected=preprocessor.decode(x_reconstructed),
    )


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
