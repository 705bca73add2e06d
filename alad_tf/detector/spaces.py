"""Where the rows of a table are near each other: columns as they are, evened out, and decorrelated.

A column's normal score is the quantile of the standard normal distribution at the value's place
among the training rows: columns of any distribution become alike, so that a long tail does not
decide what is near. Products of columns become sums in it, roughly, which a linear map can see.
"""

import numpy as np
import tensorflow as tf

KNOTS = 16  # of a column's map to its normal scores, which is linear between them
LARGEST_TAIL = 30.0  # a normal score beyond it has the tail of this one


def fit_knots(x):
    """The map to normal scores of each column of training rows (N, d).

    Returns:
        `(knots, moments)`: float32 arrays (2, d, KNOTS), places and their normal scores, which end
        in copies of the last one; and (3, d), the columns' deviations, and means and deviations of
        the rows' normal scores.

    Source: van der Waerden, 1952, for scores at mid-ranks.
    """
    from scipy.special import ndtr, ndtri

    x = np.asarray(x, "float64")
    count, width = x.shape
    knots = np.empty((2, width, KNOTS))
    for column in range(width):
        values, times = np.unique(x[:, column], return_counts=True)
        rank = (np.cumsum(times) - times / 2) / count
        score = ndtri(np.clip(rank, 0.5 / count, 1 - 0.5 / count))
        if len(values) > KNOTS:
            wanted = ndtr(np.linspace(score[0], score[-1], KNOTS))
            picked = np.searchsorted(rank, wanted).clip(0, len(values) - 1)
            picked = np.unique([0, *picked, len(values) - 1])[-KNOTS:]
            picked[0] = 0
            values, score = values[picked], score[picked]
        filled = [*range(len(values)), *[len(values) - 1] * (KNOTS - len(values))]
        knots[:, column] = values[filled], score[filled]
    knots, spread = knots.astype("float32"), _positive(x.std(0)).astype("float32")
    scores = normal_scores(tf.constant(x, tf.float32), knots, spread).numpy().astype("float64")
    moments = [spread, scores.mean(0), _positive(scores.std(0))]
    return knots, np.array(moments, "float32")


def _positive(deviations):
    """Standard deviations, 1 for columns that are constant but for rounding."""
    return np.where(deviations > 1e-6, deviations, 1.0)


def normal_scores(x, knots, spread):
    """Normal scores (B, d) of rows (B, d), linear between `knots` and beyond them."""
    places, scores = tf.unstack(knots)  # (d, KNOTS) each
    width = places[:, 1:] - places[:, :-1]
    slope = (scores[:, 1:] - scores[:, :-1]) / tf.where(width > 0, width, 1.0)
    outside = tf.minimum(x - places[:, 0], 0.0) + tf.maximum(x - places[:, -1], 0.0)
    found = scores[:, 0] + outside / spread
    for knot in range(KNOTS - 1):
        inside = tf.minimum(tf.maximum(x - places[:, knot], 0.0), width[:, knot])
        found += slope[:, knot] * inside
    return found


def tails(scores):
    """Sums (B,) over columns of -log of the two-sided tail probability of normal scores (B, d).

    By an approximation of Mills' ratio within 1%, of functions that all runtimes have.
    """
    z = tf.minimum(tf.abs(scores), LARGEST_TAIL)
    root = np.float32(np.sqrt(8 / np.pi))
    ratio = (z + tf.sqrt(tf.square(z) + root**2)) / root
    return tf.reduce_sum(tf.square(z) / 2 + tf.math.log(ratio), -1)


def ranks(scores):
    """Places in (0, 1) among the training rows of normal scores, within 0.001."""
    z = tf.clip_by_value(scores, -6.0, 6.0)
    inner = np.float32(np.sqrt(2 / np.pi)) * (z + 0.044715 * z * z * z)
    return 0.5 * (1 + tf.tanh(inner))


def fit_relations(scores):
    """A matrix (d, d) that decorrelates standardised normal scores (N, d).

    Where columns belong together, such as a total and its parts, the directions in which normal
    rows hardly differ become as wide as all others: a row that breaks the relation is far off.

    Source: Ledoit and Wolf, Journal of Multivariate Analysis 2004, for the covariance.
    """
    from sklearn.covariance import LedoitWolf

    scores = np.asarray(scores, "float64")
    if len(scores) == 1:
        return np.eye(scores.shape[1], dtype="float32")
    covariance = LedoitWolf().fit(scores).covariance_
    variances, directions = np.linalg.eigh(covariance)
    variances = np.maximum(variances, max(1e-3 * variances.max(), 1e-12))
    return (directions / np.sqrt(variances)).astype("float32")
