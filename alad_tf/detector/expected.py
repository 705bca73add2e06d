"""Expected values of a table's columns: values of normal rows, within their range."""

import numpy as np
import tensorflow as tf

from alad_tf.detector import spaces
from alad_tf.detector.ensemble import MOST_RELATED, SAME, Ensemble
from alad_tf.preprocess.base import FAR

NEIGHBOURS = 9  # odd, so that a median is one of their values
PREDICTED = 10.0  # weight of the other columns' prediction, compared with these columns' mean


def expected_of(detector):
    """The rule of a table's detector: a function from samples (N, d) to expected ones (N, d).

    A column's expected value follows from the other columns:

    - for an `Ensemble` that keeps training rows, from the nearest of these: `Neighbours`;
    - for one that keeps none, from the other columns' prediction: `Predicted`;
    - for any other scorer, it is the reconstruction, clipped to the training rows' range.
    """
    scorer, preprocessor = detector.scorer, detector.preprocessor
    if isinstance(scorer, Ensemble):
        if scorer.keep == "rows":
            return Neighbours(scorer, preprocessor.groups)
        if scorer.related is not None:
            return Predicted(scorer, preprocessor)
    return lambda x: preprocessor.within_range(scorer.reconstruct(x))


class _Scored:
    """Samples as standardised normal scores, and predictions of columns from the others."""

    def __init__(self, groups, knots, moments, related):
        self.groups = [np.array(places) for places in groups.values()]
        self.knots, self.moments = knots, moments
        # related @ related.T is the inverse covariance of the scores
        self.inverse = None if related is None else np.float64(related) @ np.float64(related).T

    def scores(self, x):
        """Samples (N, d) as float64 scores (N, d); values that are far off count as average."""
        inside = tf.constant(np.clip(x, *_range(self.knots)), tf.float32)
        found = spaces.normal_scores(inside, self.knots, self.moments[0]).numpy()
        found = (found.astype("float64") - self.moments[1]) / self.moments[2]
        return np.where(np.abs(x) < np.float32(FAR), found, 0.0)

    def predicted(self, scores):
        """Each column's expected score given the others, if all were jointly normal: (N, d)."""
        found = scores.copy()
        pulled = scores @ self.inverse
        for places in self.groups:
            own = self.inverse[np.ix_(places, places)]
            found[:, places] -= np.linalg.solve(own, pulled[:, places].T).T
        return found


class Neighbours(_Scored):
    """The values of the nine kept training rows that agree best in the other columns.

    Rows agree if their normal scores in the other columns are close, and if these columns predict
    nearly the same value for the column in question, so that columns that matter for it count more.
    Of the nine values, the expected one is closest to all others: the median of numbers, the most
    frequent category. A kept row is not its own neighbour.
    """

    def __init__(self, scorer, groups):
        kept = scorer.rows.numpy()[: int(scorer.count)]
        if scorer.knots is None:  # of an earlier version
            knots, moments = spaces.fit_knots(kept)
        else:
            knots, moments = scorer.knots.numpy(), scorer.moments.numpy()
        super().__init__(groups, knots, moments, None)
        self.kept, self.kept_scores = kept, self.scores(kept)
        if kept.shape[1] <= MOST_RELATED:
            related = scorer.related
            related = spaces.fit_relations(self.kept_scores) if related is None else related.numpy()
            self.inverse = np.float64(related) @ np.float64(related).T
            self.kept_predicted = self.predicted(self.kept_scores)
        self.order = np.concatenate(self.groups)
        self.sizes = np.array([len(places) for places in self.groups])
        self.starts = np.cumsum(self.sizes) - self.sizes

    def __call__(self, x):
        scores, found = self.scores(x), np.empty_like(x)
        predicted = self.predicted(scores) if self.inverse is not None else [None] * len(x)
        for row in range(len(x)):
            found[row] = self._of_one(x[row], scores[row], predicted[row])
        return found

    def _of_one(self, x, scores, predicted):
        apart = self._by_column(self.kept_scores - scores)
        others = np.maximum(self.kept.shape[1] - self.sizes, 1)
        apart = (apart.sum(1, keepdims=True) - apart) / others  # (rows, columns)
        if predicted is not None:
            apart += PREDICTED * self._by_column(self.kept_predicted - predicted) / self.sizes
        itself = np.abs(self.kept - x).max(1) < SAME
        if not itself.all():
            apart[itself] = np.inf
        count = min(NEIGHBOURS, max(int((~itself).sum()), 1))
        if count < len(apart):
            nearest = np.argpartition(apart, count - 1, axis=0)[:count]
        else:
            nearest = np.repeat(np.arange(count)[:, None], apart.shape[1], 1)
        values = np.empty_like(x)
        single = np.flatnonzero(self.sizes == 1)
        places = self.order[self.starts[single]]
        ranked = np.sort(self.kept[nearest[:, single], places], 0)
        values[places] = ranked[(count - 1) // 2]
        for column in np.flatnonzero(self.sizes > 1):
            places = self.groups[column]
            held = self.kept[np.ix_(np.sort(nearest[:, column]), places)]
            away = np.abs(held[:, None] - held).sum((1, 2))
            values[places] = held[away.argmin()]
        return values

    def _by_column(self, differences):
        """Sums of squares (rows, columns) of differences (rows, d)."""
        squares = np.square(differences[:, self.order])
        if len(self.starts) == squares.shape[1]:
            return squares
        return np.add.reduceat(squares, self.starts, 1)


class Predicted(_Scored):
    """The other columns' prediction, as if all columns' normal scores were jointly normal."""

    def __init__(self, scorer, preprocessor):
        parts = (scorer.knots.numpy(), scorer.moments.numpy(), scorer.related.numpy())
        super().__init__(preprocessor.groups, *parts)
        self.preprocessor = preprocessor

    def __call__(self, x):
        found = self.predicted(self.scores(x)) * self.moments[2] + self.moments[1]
        for column, (places, scores) in enumerate(zip(*self.knots, strict=True)):
            scores, first = np.unique(scores, return_index=True)
            found[:, column] = np.interp(found[:, column], scores, places[first])
        return self.preprocessor.one_of(found.astype("float32"))


def _range(knots):
    """The smallest and the largest value of each column among the rows: float32 (d,) each."""
    return knots[0, :, 0], knots[0, :, -1]
