"""Reasons for a score: how much each column or pixel of a sample adds to it."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from alad_tf.model.scores import check_score

STEPS, BLOCK = 32, 32  # points on the way from the reconstruction; rows that are computed together


@dataclass(frozen=True, eq=False)
class Explanation:
    """What made the scores of N records.

    Attributes:
        score: str, the score that is explained.
        scores: float32 array (N,).
        baseline: float32 array (N,), the scores at the start of the way: of x' beside x', which is
            0 for ALAD's features, l1 and l2. A row's attributions add up to its score less this,
            up to the error of the integral.
        reconstruction: what the detector's `reconstruct` gives.
        columns: tuple of str, the table's columns; empty for images.
        attributions: float32 array, (N, columns) or (N, H, W).
        observed, expected: dicts of arrays (N,) by column: the record's values, and those of its
            reconstruction; empty for images.

    Example:
        >>> two = np.ones(2, "float32")
        >>> columns = {"size": np.array([1.0, 9.0])}
        >>> told = Explanation("l1", 8 * two, 0 * two, np.ones((2, 1)), ("size",),
        ...                    8 * np.ones((2, 1)), columns, columns)
        >>> told.take(slice(1, 2)).top(0)[0]["observed"]
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
            self.reconstruction[rows],
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
            raise ValueError("Images have no columns; see `attributions`, one number a pixel.")
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
    """Attribute scores to the columns or pixels of their records, by integrated gradients.

    The way goes straight from the reconstruction x', which is what the networks take for the normal
    form of x, to x. ALAD's x' is held meanwhile: of the features score ||f(x, x) - f(x, x')||_1 the
    way starts at 0. One-hot columns are summed over their block, pixels over their colours.

    Args:
        detector: `alad_tf.Detector` of ALAD, DSEBM or DAGMM.
        x: raw records, as for `detector.anomaly_score`.
        score: str, the score to explain; default the deciding one.
        steps: int, points at which the gradient is taken.

    Returns:
        `Explanation`.

    Raises:
        ValueError: an unknown score, a method without gradients, fewer than one step, or records
            that the preprocessor refuses.

    Example:
        >>> import zoo
        >>> told = explain(zoo.load("breast_cancer_alad"), np.full((1, 30), 9.0))
        >>> len(told.top(0, 3)), told.attributions.shape
        (3, (1, 30))

    Source: Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks", ICML 2017; the
    paper itself gives no reasons.
    """
    scorer, preprocessor = detector.scorer, detector.preprocessor
    score = check_score(score or detector.score, scorer.score_names)
    if not getattr(scorer, "explainable", False):
        raise ValueError(
            f"{scorer.method} has no gradient from a reconstruction to follow; explained are alad, "
            "dsebm and dagmm."
        )
    if steps < 1:
        raise ValueError(f"steps must be at least 1; received {steps}.")
    prepared = preprocessor.transform(x)
    made = scorer.reconstruct(prepared)
    baseline, parts = _integrate(scorer, score, prepared, made, int(steps))
    image = prepared.ndim > 2
    groups = {} if image else preprocessor.groups
    if image:
        attributions = parts.sum(-1)  # (N, H, W)
    else:
        attributions = np.stack([parts[:, indices].sum(1) for indices in groups.values()], 1)
    return Explanation(
        score=score,
        scores=scorer.scores(prepared)[score],
        baseline=baseline,
        reconstruction=preprocessor.inverse(made),
        columns=tuple(groups),
        attributions=attributions,
        observed={} if image else preprocessor.raw_columns(x),
        expected={} if image else preprocessor.decode(made),
    )


def _integrate(scorer, score, x, made, steps):
    """The score at x' (N,), and (x - x') times its mean gradient on the way to x, of x's shape."""
    gradient = scorer.gradient_of(score)
    baseline, found = np.empty(len(x), "float32"), np.empty_like(x)
    shares = ((np.arange(steps) + 0.5) / steps).astype("float32")  # the middles of equal parts
    for first in range(0, len(x), BLOCK):
        rows = slice(first, first + BLOCK)
        count = len(x[rows])
        fill = [(0, BLOCK - count)] + [(0, 0)] * (x.ndim - 1)  # one program for every block
        start, way = np.pad(made[rows], fill), np.pad(x[rows] - made[rows], fill)
        held = tf.constant(start)
        baseline[rows] = gradient(held, held)[0].numpy()[:count]
        total = sum(gradient(tf.constant(start + s * way), held)[1].numpy() for s in shares)
        found[rows] = (way * total / steps)[:count]
    return baseline, found


def as_shown(value):
    """A column's value as people read it: text, "missing", or a number of four digits.

    Args:
        value: str, int or float; NaN and "" are gaps.

    Returns:
        str, "none" for empty text.

    Example:
        >>> as_shown(float("nan")), as_shown(0.123456), as_shown("")
        ('missing', '0.1235', 'none')
    """
    if isinstance(value, str):
        return str(value) or "none"
    if isinstance(value, int):
        return str(value)
    return "missing" if np.isnan(value) else f"{value:.4g}"
