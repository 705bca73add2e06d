"""The scorer of `ALADDetector`: the members' scores, and distances to training rows."""

import copy
import json

import keras
import numpy as np
import tensorflow as tf

from alad_tf.detector import spaces
from alad_tf.model.layers import PACKAGE
from alad_tf.model.scorer import Scorer, ScoringModel
from alad_tf.model.scores import SCORES, anomaly_scores

K = 5  # neighbours of images, and of detectors of earlier versions
COMBINED = "combined"
MOST_ROWS, FEWEST_ROWS, MOST_NUMBERS = 4096, 256, 2**23  # of the kept rows
KEEPS = ("rows", "centroids", "none")
CENTROIDS, OF_CENTROID = 256, 5  # most centroids; least training rows of each
BATCH, FOLDS = 512, 5
LOWEST = -3.0  # one tiny distance must not make up for all others
MOST_RELATED = 512  # most columns for which a matrix of all pairs is kept
LEARNT = ("l2", "E(x)", "f_xx(x, x)")
NEARNESS = ("x", "normal scores", "relations", "ranks")  # which need kept rows
# how "combined" weighs its distances: see `Ensemble`
EARLIER = {**dict.fromkeys((*LEARNT, "mean"), 1 / 8), "x": 1 / 2}
TABLES = {"x": 0.5, "normal scores": 0.2, "relations": 0.2, "tails": 0.1}
MANY_COLUMNS = {"x": 5 / 9, "normal scores": 1 / 3, "tails": 1 / 9}
WIDE = {"x": 1 / 3, "ranks": 2 / 3}
WITHOUT_ROWS = {"mean": 0.3, "relations": 0.3, "tails": 0.3, "l2": 0.1}
WIDE_WITHOUT_ROWS = {"mean": 0.5, "tails": 0.4, "l2": 0.1}
IMAGES = dict.fromkeys(LEARNT, 1 / 3)
NEIGHBOURS, LOCAL = 3, 1 / 3  # of tables
CONTAMINATED = {"neighbours": 10, "reach": 1.0}  # of tables with anomalies among the rows
SAME = 1e-4  # rows closer than this are the same row, up to rounding


def combination_for(x_shape, rows, keep="rows", contaminated=False):
    """How "combined" is computed, from the samples' shape and the number of training rows.

    Keys: "weights"; "neighbours"; "local", the share of the neighbours' own log-distances
    that is subtracted; "graded", whether this share is multiplied by the share of the variance in
    columns of more than two values; "soft", whether the mean is over exponentials, so that a row
    stands out if it does in one space; and for `contaminated` rows, some of which are anomalies,
    "reach": a neighbour counts as at least this many times as far away as its own neighbours are
    from it. An anomaly among the training rows has no near ones, and so does not make others look
    normal.
    """
    if len(x_shape) > 1:
        weights = IMAGES if keep != "none" else {"l2": 1.0}
        return {"weights": dict(weights), "neighbours": K, "local": 0.0}
    columns = x_shape[0]
    wide = columns > rows
    if keep == "none":
        weights = WIDE_WITHOUT_ROWS if wide or columns > MOST_RELATED else WITHOUT_ROWS
    elif wide:
        weights = WIDE
    else:
        weights = TABLES if columns <= MOST_RELATED else MANY_COLUMNS
    # distances between centres are not comparable to those between rows
    found = {"weights": dict(weights), "neighbours": NEIGHBOURS, "local": LOCAL * (keep == "rows")}
    found["graded"] = keep == "rows"
    found["soft"] = not wide  # with more columns than rows, the plain mean ranks better
    return found | (CONTAMINATED if contaminated and keep == "rows" else {})


def networks_count(weights):
    """Whether "combined", with these weights, uses networks."""
    return not weights.keys().isdisjoint(LEARNT)


def capacity(rows, neighbours=K):
    """The places for this many kept rows: a power of two, or `rows` if all are neighbours.

    Ensembles of one capacity share their programs.
    """
    return rows if rows <= neighbours else 1 << (rows - 1).bit_length()


def center_of(reference, count=None):
    """Mean (d,) of the first `count` rows of a reference (R, d); the others are zeros."""
    count = reference.shape[0] if count is None else count
    return tf.reduce_sum(reference, 0) / tf.cast(count, tf.float32)


def nearest(
    x, reference, count=None, skip_self=False, k=K, own=None, others=False, reach=0.0, but=None
):
    """Mean Euclidean distance of rows to their `k` nearest reference rows.

    Args:
        x: float32 tensor (B, d).
        reference: float32 tensor (R, d).
        count: int32 scalar, how many of the reference rows there are: more than `k`, and zeros
            after them; default all R.
        skip_self: bool, leave the nearest one out: rows of the reference themselves then have the
            distance they would have had without being in it.
        k: int.
        own: float32 tensor (R,), of the reference rows; or None.
        others: bool, a reference row that is the same as the row in question does not count: rows
            that trained have the distances that they had when the distances were calibrated.
        reach: float, with `own`: no reference row counts as nearer than this times its own.
        but: int32 tensor (B,), for each row a reference row that does not count; -1 for none.

    Returns:
        float32 tensor (B,); of fewer than `k` reference rows, the mean distance to all; 0 if none
        is left. With `own`, a pair: the distances, and the neighbours' mean of `own`.

    Source: Ramaswamy, Rastogi and Shim, SIGMOD 2000; Angiulli and Pizzuti, PKDD 2002, for the mean;
    Breunig et al., SIGMOD 2000, for the reach.
    """
    distances, found = _search(x, reference, count, skip_self, k, others, but)
    # with one more than k found, the row itself can be left out
    spare = others and found.shape[1] == k + 1
    same = distances[:, 0] < SAME

    def mean(values):
        if not spare:
            return tf.reduce_mean(values, -1)
        return tf.where(same, tf.reduce_mean(values[:, 1:], -1), tf.reduce_mean(values[:, :k], -1))

    if own is None:
        return mean(distances)
    around = tf.gather(own, found)
    if reach:
        distances = tf.maximum(distances, reach * around)
    return mean(distances), mean(around)


def _search(x, reference, count, skip_self, k, others, but=None):
    """Nearest reference rows, ascending: distances (B, K) and int32 indices (B, K)."""
    center = center_of(reference, count)  # near 0, differences of squares lose fewer digits
    x, reference = x - center, reference - center
    squares = tf.reduce_sum(tf.square(x), -1)[:, None] + tf.reduce_sum(tf.square(reference), -1)
    squares -= 2 * tf.matmul(x, reference, transpose_b=True)  # (B, R), without (B, R, d)
    rows = reference.shape[0]
    if count is not None:
        squares = tf.where(tf.range(rows) < count, squares, np.inf)
    if but is not None:
        squares = tf.where(tf.range(rows) == but[:, None], np.inf, squares)
    first = 1 if skip_self and rows > 1 else 0
    found = tf.math.top_k(-squares, min(k + first + others, rows)).indices[:, first:]
    # measured again, exactly: small differences of large squares are mostly rounding
    away = x[:, None] - tf.gather(reference, found)  # (B, K, d)
    # a root has no gradient at 0
    return tf.sqrt(tf.reduce_sum(tf.square(away), -1) + 1e-12), found  # (B, K)


@keras.saving.register_keras_serializable(package=PACKAGE)
class Ensemble(ScoringModel):
    """Several members of one architecture as one scorer.

    The reconstruction x' is the members' mean. "l1" and "l2" are the norms of x - x'; "features"
    and "logits" are averages over the members' D_xx. With one member, these are the paper's scores.
    "combined" is computed from standardised log-distances,

        t(s) = max((log(s + floor) - a log(s' + floor) - center) / spread, -3),

    with center and spread over the training rows (a row is not its own neighbour there). A typical
    normal row has 0; one unit is about a standard deviation. For neighbours' distances, s is the
    mean distance to the 3 nearest training rows, s' is the mean of these rows' own such distances,
    and a is 1/3 times the share of the variance in columns of more than two values. Dividing by the
    neighbours' distances allows for sparse clusters, whose rows lie farther apart; but in yes/no
    columns it would hide rare combinations, which are those that few rows share. A table's training
    row is not its own neighbour when it is scored, either. For tables the distances and their
    weights are

    - distances to neighbours in x, 1/2;
    - distances to neighbours in the columns' normal scores (`alad_tf.detector.spaces`), 1/5;
    - the same in decorrelated normal scores, 1/5: a row that breaks a relation between columns is
      far from all others;
    - the columns' tail probabilities, 1/10.

    With more than 512 columns, relations are left out, and the weights are 5/9, 1/3 and 1/9. The
    score is the logarithm of the weighted mean of exp(t), so that a row that stands out in one of
    these distances stands out.

    If the training rows are known to contain anomalies, 10 neighbours count instead of 3, and a
    neighbour counts as at least as far away as its own neighbours are from it.

    With more columns than rows, the weights are 1/3 for x and 2/3 for ranks, and the score is the
    weighted mean of t itself. These scores use no networks, which did not improve the ranking. For
    images, the score is the mean of t for ||x - x'||_2 and for the distances to neighbours in the
    members' codes E(x) and features f_xx(x, x), with 5 neighbours and a = 0.

    Distances to neighbours need training rows, so up to 4,096 of them are part of the scorer, its
    files and its exports. With `keep="centroids"`, the centres of k-means clusters of at least five
    rows replace them (up to 256 clusters, one for twenty rows), and a = 0. With `keep="none"`, only
    the rows' mean and 16 quantiles of each column are kept. Then the distance from the mean, the
    same in decorrelated normal scores, and the tails have 0.3 each, and ||x - x'||_2 has 0.1 (0.5,
    0, 0.4 and 0.1 if there are more columns than rows, or more than 512); for images ||x - x'||_2
    has all the weight.

    Args:
        scorer: dict, the members' `Scorer.architecture()`.
        members: int.
        rows: int, the number of training rows (or centres) that are kept for the distances.
        keep: "rows", "centroids" or "none".
        block: int, the number of rows that are computed together; default: as for `Scorer`.
        combination: dict from `combination_for`; None for that of earlier versions.

    Raises:
        ValueError: from `scores`, if samples have another shape or there are none.

    Example:
        >>> from alad_tf.model.specs import dense
        >>> rows = dict(E=[dense(2)], G=[dense(4)], D_xx=[dense(8, "lrelu"), dense(1)])
        >>> members = [Scorer(rows, x_shape=(4,), latent_dim=2) for _ in range(2)]
        >>> x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
        >>> ensemble, store = Ensemble.of(members, x), {}
        >>> ensemble.calibrate()  # `of` did that already
        >>> ensemble.save_own_variables(store)
        >>> ensemble.load_own_variables(store)
        >>> ensemble(x)["combined"].shape, sorted(ensemble.compare(x, 0 * x))
        (TensorShape([64]), ['combined', 'features', 'l1', 'l2', 'logits'])
        >>> ensemble.program_key() == Ensemble.of(members, x + 1).program_key()
        True

    Source: ALAD, Algorithm 1, for the scores; the combined score is this project's.
    """

    method = "alad_ensemble"
    score_names = (*SCORES, COMBINED)
    score = COMBINED
    explainable = True
    console = None

    def __init__(
        self, scorer, members=1, rows=1, block=None, keep="rows", combination=None, **kwargs
    ):
        super().__init__(**kwargs)
        if keep not in KEEPS:
            raise ValueError(f"received keep={keep!r}; expected one of {KEEPS}.")
        self.keep = keep
        self.members = [Scorer(**scorer, name=f"member_{k}") for k in range(int(members))]
        first = self.members[0]
        self.x_shape, self.latent_dim = first.x_shape, first.latent_dim
        self.make_blocks(block)
        self._config = {
            "scorer": copy.deepcopy(scorer),
            "members": len(self.members),
            "rows": int(rows),
            "block": self.block,
        } | ({} if keep == "rows" else {"keep": keep})  # as versions before had it
        if combination is not None:
            self._config["combination"] = copy.deepcopy(combination)
        combination = combination or _earlier(self.x_shape, keep)
        self.weights_of = dict(combination["weights"])
        self.neighbours, self.local = int(combination["neighbours"]), float(combination["local"])
        self.reach = float(combination.get("reach", 0))
        self.graded = bool(combination.get("graded", False))
        self.soft = bool(combination.get("soft", False))
        unknown = [n for n in self.weights_of if n not in (*LEARNT, *NEARNESS, "mean", "tails")]
        if unknown or not 1 <= self.neighbours <= MOST_ROWS:
            raise ValueError(
                f"received the combination {combination}; expected known weights (unknown: "
                f"{unknown or 'none'}) and 1 to {MOST_ROWS:,} neighbours."
            )
        frozen = {"trainable": False, "initializer": "zeros"}
        places = capacity(int(rows), self.neighbours)  # rows, then zeros: `save_own_variables`
        self.rows = self.add_weight(name="rows", shape=(places, *self.x_shape), **frozen)
        some = tf.zeros((1, *self.x_shape))
        # without networks, all members have one combined score
        self._learning = self.members if networks_count(self.weights_of) else []
        self.codes = [
            [
                self.add_weight(name="codes", shape=(places, codes.shape[-1]), **frozen)
                for codes in self._spaces_of(member, some)
            ]
            for member in self._learning
        ]  # of the rows, for each member in E(x) and f_xx(x, x)
        self._make_spaces(places, frozen)
        shape = (3, max(len(self._learning), 1), len(self.weights_of))
        self.calibration = self.add_weight(name="calibration", shape=shape, **frozen)
        self.count = self.add_weight(
            name="count",
            shape=(),
            dtype="int32",
            initializer=lambda shape, dtype: tf.constant(int(rows), dtype),
            trainable=False,
        )
        self.built = True

    def _make_spaces(self, places, frozen):
        """Variables of the spaces other than x and the learnt ones."""
        names, columns = self.weights_of, self.x_shape[-1]
        self.knots = self.moments = self.related = self.own = None
        if {"normal scores", "relations", "tails", "ranks"} & names.keys():
            self.knots = self.add_weight(name="knots", shape=(2, columns, spaces.KNOTS), **frozen)
            self.moments = self.add_weight(name="moments", shape=(3, columns), **frozen)
        if "relations" in names:
            self.related = self.add_weight(name="related", shape=(columns, columns), **frozen)
        self._near = [n for n in NEARNESS if n in names] if self.keep != "none" else []
        self.derived = {
            name: self.add_weight(name="derived", shape=(places, columns), **frozen)
            for name in self._near
            if name != "x"
        }  # the kept rows there
        if self.local:
            shape = (len(self._near), places)
            self.own = self.add_weight(name="own", shape=shape, **frozen)  # their own distances
            # the share of the neighbours' own log-distances that is subtracted
            self.shares = self.add_weight(name="shares", shape=(len(names), 1), **frozen)

    @classmethod
    def of(cls, scorers, x, seed=0, keep="rows", combination=None):
        """Make an ensemble of trained scorers.

        Args:
            scorers: sequence of `Scorer`s of one architecture.
            x: float32 array (N, *x_shape), the preprocessed training rows; up to 4,096 of them are
                kept, fewer if they are wide.
            seed: int, for choosing them.
            keep: "rows"; or "centroids" or "none", which keep no training rows.
            combination: dict as from `combination_for`, which returns the default.

        Returns:
            `Ensemble`.

        Raises:
            ValueError: if the scorers have several architectures.
        """
        architectures = [scorer.architecture() for scorer in scorers]
        if any(other != architectures[0] for other in architectures):
            raise ValueError("received members of several architectures; expected only one.")
        combination = combination or combination_for(x.shape[1:], len(x), keep)
        derived = [name for name in combination["weights"] if name in NEARNESS]
        learning = scorers if networks_count(combination["weights"]) else []
        width = x[0].size * max(len(derived), 1) + sum(
            int(np.prod(codes.shape[1:]))
            for scorer in learning
            for codes in cls._spaces_of(scorer, tf.constant(x[:1]))
        )
        most = int(np.clip(MOST_NUMBERS // width, FEWEST_ROWS, MOST_ROWS))
        x = _some(x, most, seed)
        kept = _kept_of(x, keep, seed)
        made = cls(architectures[0], len(scorers), len(kept), keep=keep, combination=combination)
        for member, scorer in zip(made.members, scorers, strict=True):
            member.set_weights(scorer.get_weights())
        made._most = most
        made._learn(kept, x)
        return made

    def _relearn(self, x, seed):
        """Learn from other training rows if what is kept of them fits; returns whether it did."""
        x = _some(x, self._most, seed)
        kept = _kept_of(x, self.keep, seed)
        fits = capacity(len(kept), self.neighbours) == self.rows.shape[0]
        if fits:
            self._learn(kept, x)
        return fits

    def _learn(self, kept, x):
        """Set everything but the members from training rows (N, ...), some of which are kept."""
        self._config["rows"] = len(kept)
        self.count.assign(len(kept))
        self.rows.assign(_filled(kept, self.rows.shape[0]))
        self._fit_spaces(x)
        self.calibrate(None if self.keep == "rows" else x)

    @classmethod
    def cross_scores(cls, scorers, x, seed=0, keep="rows", folds=FOLDS):
        """Cross-calibrated combined scores of training rows, without networks.

        The rows are divided into folds. Each fold is scored by an ensemble of the others, whose
        kept rows, quantiles, relations and spreads do not depend on the fold. So the scores are
        like those of new rows, except that each ensemble has fewer rows, and no rows have to be
        held out to set a threshold.

        Args:
            scorers, x, seed, keep: as for `of`; at least two rows.
            folds: int, the number of folds.

        Returns:
            float32 array (N,), in the order of `x`.

        Raises:
            ValueError: if the score uses networks, which have seen all of the rows.

        Example:
            >>> from alad_tf.model.specs import dense
            >>> rows = dict(E=[dense(2)], G=[dense(4)], D_xx=[dense(8, "lrelu"), dense(1)])
            >>> member = Scorer(rows, x_shape=(4,), latent_dim=2)
            >>> x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
            >>> Ensemble.cross_scores([member], x).shape
            (64,)

        Source: Vovk, "Cross-conformal predictors", Annals of Mathematics and Artificial
        Intelligence 2015.
        """
        order = np.random.default_rng(seed).permutation(len(x))
        scores = np.empty(len(x), "float32")
        combination = combination_for(x.shape[1:], len(x), keep)
        if networks_count(combination["weights"]):
            raise ValueError(
                "Cross-calibration does not work for scores that use networks, which have "
                "seen all of the rows. Hold rows out instead."
            )
        ensemble = None
        for fold in np.array_split(order, min(folds, len(x))):
            rest = np.ones(len(x), bool)
            rest[fold] = False
            if ensemble is None or not ensemble._relearn(x[rest], seed):
                ensemble = cls.of(scorers[:1], x[rest], seed, keep, combination)
            scores[fold] = ensemble.combined(x[fold])
        return scores

    def _fit_spaces(self, x):
        """Learn the spaces of a table from its training rows (N, d)."""
        if self.knots is not None:
            knots, moments = spaces.fit_knots(x)
            self.knots.assign(knots)
            self.moments.assign(moments)
        if self.related is not None:
            x = tf.constant(x, tf.float32)
            scores = [
                self._standardised(self._scores(x[i : i + BATCH])) for i in range(0, len(x), BATCH)
            ]
            self.related.assign(spaces.fit_relations(np.concatenate(scores)))

    def calibrate(self, x=None):
        """Compute the kept rows' codes, and floors, centers and spreads.

        Args:
            x: float32 array (N, *x_shape), training rows whose distances are standardised; default:
                the kept rows, none of which is its own neighbour.
        """
        kept = self.rows.value[: self._config["rows"]]
        for member, codes in zip(self._learning, self.codes, strict=True):
            parts = [
                self._spaces_of(member, kept[i : i + BATCH]) for i in range(0, len(kept), BATCH)
            ]
            for variable, found in zip(codes, zip(*parts, strict=True), strict=True):
                variable.assign(_filled(tf.concat(found, 0), variable.shape[0]))
        around = self._derive()
        own, x = x is None, tf.constant(kept if x is None else x, tf.float32)
        found = []
        for i in range(0, len(x), BATCH):
            part = x[i : i + BATCH]
            # searched for already
            near = None if around is None or not own else around[:, :, i : i + BATCH]
            found.append(self._distances(part, self._reconstruct(part), own, near))
        # (members, spaces, rows)
        values, around = (
            np.concatenate(parts, -1).astype("float64") for parts in zip(*found, strict=True)
        )
        floor = 0.1 * np.median(values, -1) + 1e-6  # log(0) must not stand out
        logs = np.log(values + floor[..., None])
        if self.local:
            logs -= self.shares.numpy() * np.log(around + floor[..., None])
        spread = logs.std(-1)
        spread = np.where(spread < 1e-3, 1.0, spread)  # of rows that are all alike
        self.calibration.assign(np.stack([floor, logs.mean(-1), spread]))

    def call(self, inputs, training=False):
        """All scores and the reconstruction of preprocessed samples.

        Args:
            inputs: float tensor (B, *x_shape).
            training: ignored; a scorer is always in inference mode.

        Returns:
            dict of float32 tensors: the scores (B,) and "reconstruction" (B, *x_shape).
        """
        x = tf.cast(inputs, tf.float32)
        reconstruction = self._reconstruct(x)
        return {**self.compare(x, reconstruction), "reconstruction": reconstruction}

    def compare(self, x, reconstruction):
        """The scores of samples for the given reconstructions.

        Args:
            x: float32 tensor (B, *x_shape), preprocessed samples.
            reconstruction: float32 tensor (B, *x_shape).

        Returns:
            dict of float32 tensors (B,) by score name.
        """
        found = []
        for member in self.members:
            logits, features = member.D_xx(x, reconstruction, both=True)
            real, fake = tf.split(features, 2)
            logits = tf.split(logits, 2)[1]
            found.append(anomaly_scores(x, reconstruction, real, fake, logits))
        scores = {name: tf.add_n([one[name] for one in found]) / len(found) for name in SCORES}
        return {**scores, COMBINED: self._combined(x, reconstruction)}

    def _combined(self, x, reconstruction, but=None):
        weights = np.array([*self.weights_of.values()], "float32")[:, None]
        parts = self.parts(x, reconstruction, but)
        if self.soft:
            return tf.reduce_logsumexp(parts + np.log(weights), 0)
        return tf.reduce_sum(weights * parts, 0)

    def own_rows(self, x):
        """Find each sample among the kept rows.

        Args:
            x: float32 array (N, *x_shape).

        Returns:
            int32 array (N,), numbers of kept rows; -1 for samples that are not among them. All are
            -1 where a training row is its own neighbour when it is scored: in detectors of earlier
            versions, and for images.

        Example:
            >>> from alad_tf.model.specs import dense
            >>> rows = dict(E=[dense(2)], G=[dense(4)], D_xx=[dense(8, "lrelu"), dense(1)])
            >>> x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
            >>> ensemble = Ensemble.of([Scorer(rows, x_shape=(4,), latent_dim=2)], x)
            >>> ensemble.own_rows(np.stack([x[7], x[7] + 1])).tolist()
            [7, -1]
        """
        found = np.full(len(x), -1, "int32")
        if self.keep != "rows" or not self.local:
            return found
        count = self.count.value if self.rows.shape[0] > self.neighbours else None
        for i in range(0, len(x), BATCH):
            part = tf.constant(x[i : i + BATCH])
            distances, rows = _search(part, self.rows.value, count, False, 1, False)
            found[i : i + BATCH] = np.where(distances[:, 0] < SAME, rows[:, 0], -1)
        return found

    def combined(self, x, but=None):
        """The combined score of a table's samples, for scores that use no networks; not compiled.

        Args:
            x: float32 array (N, *x_shape).
            but: int array (N,), for each sample the number of a kept row to ignore, -1 for none.
                For changed versions of records, pass `own_rows` of the original records: a training
                row is then no neighbour of its own changed version. None: all rows count.

        Returns:
            float32 array (N,).

        Example:
            >>> from alad_tf.model.specs import dense
            >>> rows = dict(E=[dense(2)], G=[dense(4)], D_xx=[dense(8, "lrelu"), dense(1)])
            >>> x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
            >>> ensemble = Ensemble.of([Scorer(rows, x_shape=(4,), latent_dim=2)], x)
            >>> near = x[:1] + np.float32(0.01)
            >>> ensemble.combined(near, [0]) > ensemble.combined(near)
            array([ True])
        """
        scores = np.empty(len(x), "float32")
        for i in range(0, len(x), BATCH):
            part = tf.constant(x[i : i + BATCH])
            without = None if but is None else tf.constant(but[i : i + BATCH], "int32")
            scores[i : i + BATCH] = self._combined(part, part, without)
        return scores

    def parts(self, x, reconstruction, but=None):
        """The standardised log-distances t, from which "combined" is computed.

        Args:
            x: float32 tensor (B, *x_shape), preprocessed samples.
            reconstruction: float32 tensor (B, *x_shape).
            but: int32 tensor (B,), for each sample a kept row that does not count; None for none.

        Returns:
            float32 tensor (spaces, B), in the order of the combination's weights.

        Example:
            >>> from alad_tf.model.specs import dense
            >>> rows = dict(E=[dense(2)], G=[dense(4)], D_xx=[dense(8, "lrelu"), dense(1)])
            >>> x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
            >>> ensemble = Ensemble.of([Scorer(rows, x_shape=(4,), latent_dim=2)], x)
            >>> list(ensemble.weights_of), ensemble.parts(x[:9], x[:9]).shape
            (['x', 'normal scores', 'relations', 'tails'], TensorShape([4, 9]))
        """
        distances, around = self._distances(x, reconstruction, but=but)
        floor, center, spread = (part[..., None] for part in tf.unstack(self.calibration.value))
        logs = tf.math.log(distances + floor)
        if self.local:
            logs -= self.shares.value * tf.math.log(around + floor)
        return tf.reduce_mean(tf.maximum((logs - center) / spread, LOWEST), 0)

    def generate(self, count, seed=0):
        """Samples G(z) with z ~ N(0, 1), in equal shares from the members.

        Args:
            count: int, the number of samples.
            seed: int, the seed of z.

        Returns:
            float32 array (count, *x_shape), in preprocessed space.

        Example:
            >>> from alad_tf.model.specs import dense
            >>> rows = dict(E=[dense(2)], G=[dense(4)], D_xx=[dense(8, "lrelu"), dense(1)])
            >>> member = Scorer(rows, x_shape=(4,), latent_dim=2)
            >>> Ensemble.of([member], np.eye(4, dtype="float32")).generate(3).shape
            (3, 4)
        """
        z = np.random.default_rng(seed).standard_normal((count, self.latent_dim), "float32")
        made = []
        for member, part in zip(self.members, np.array_split(z, len(self.members)), strict=True):
            parts = [part[i : i + BATCH] for i in range(0, len(part), BATCH)]
            made += [member.G(tf.constant(some)).numpy() for some in parts]
        return np.concatenate(made).reshape(count, *self.x_shape)

    def _reconstruct(self, x):
        made = [member.G(tf.reshape(member.E(x), (-1, self.latent_dim))) for member in self.members]
        return tf.reshape(tf.add_n(made) / len(made), (-1, *self.x_shape))

    @staticmethod
    def _spaces_of(member, x):
        """A member's codes and features of samples: float tensors (B, latent), (B, F)."""
        _, features = member.D_xx(x, x)
        return tf.reshape(member.E(x), (-1, member.latent_dim)), features

    def _distances(self, x, reconstruction, skip_self=False, near=None, but=None):
        """The distances in "combined", and the neighbours' own distances.

        Args:
            x, reconstruction: float32 tensors (B, *x_shape).
            skip_self: bool, the samples are kept rows.
            near: what `_derive` returned for these rows, or None to search.
            but: as for `parts`.

        Returns:
            two float32 tensors (members, spaces, B); the second is 1 where it is not used.
        """
        found = {"l2": _norm(x - reconstruction)}
        around = {}
        if "mean" in self.weights_of:
            found["mean"] = _norm(x - center_of(self.rows.value, self.count.value))
        views = self._views(x)
        if "tails" in self.weights_of:
            found["tails"] = spaces.tails(views["scores"])
        if self.keep == "none" and "relations" in views:
            found["relations"] = _norm(views["relations"])
        for number, name in enumerate(self._near):
            if near is not None:
                found[name], around[name] = near[0, number], near[1, number]
            elif self.local:
                own = self.own.value[number]
                found[name], around[name] = self._nearest(
                    views[name], self._kept_in(name), skip_self, own, but
                )
            else:
                found[name] = self._nearest(views[name], self._kept_in(name), skip_self)
        members = [] if self._learning else [tf.stack([found[name] for name in self.weights_of])]
        for member, codes in zip(self._learning, self.codes, strict=True):
            if "E(x)" in self.weights_of:
                learnt = zip(LEARNT[1:], self._spaces_of(member, x), codes, strict=True)
                found |= {n: self._nearest(ours, theirs, skip_self) for n, ours, theirs in learnt}
            members.append(tf.stack([found[name] for name in self.weights_of]))
        ones = tf.ones_like(found["l2"])
        around = tf.stack([around.get(name, ones) for name in self.weights_of])
        return tf.stack(members), tf.stack([around] * len(members))

    def _views(self, x):
        """Samples in the spaces that are not learnt: dict of tensors."""
        views, names = {"x": x}, self.weights_of
        if self.knots is not None:
            views["scores"] = self._scores(x)
        if "normal scores" in names or "relations" in names:
            views["normal scores"] = self._standardised(views["scores"])
        if "relations" in names:
            views["relations"] = tf.matmul(views["normal scores"], self.related.value)
        if "ranks" in names:
            views["ranks"] = spaces.ranks(views["scores"])
        return views

    def _scores(self, x):
        return spaces.normal_scores(x, self.knots.value, self.moments.value[0])

    def _standardised(self, scores):
        return (scores - self.moments.value[1]) / self.moments.value[2]

    def _kept_in(self, name):
        return self.rows if name == "x" else self.derived[name]

    def _derive(self):
        """Set the kept rows in the spaces that are not learnt, and their own distances.

        Returns:
            float32 array (2, spaces, rows), if neighbours' distances count: the distances of the
            kept rows, and their neighbours' mean; else None.
        """
        rows, places = self._config["rows"], self.rows.shape[0]
        starts = range(0, rows, BATCH)
        views = [self._views(self.rows.value[:rows][i : i + BATCH]) for i in starts]
        for name, variable in self.derived.items():
            variable.assign(_filled(tf.concat([view[name] for view in views], 0), places))
        if not self.local:
            return None
        own, around, reached = [], [], []
        for name in self._near:
            reference = self._kept_in(name).value
            found = [
                _search(view[name], reference, self.count.value, True, self.neighbours, False)
                for view in views
            ]
            distances, near = (np.concatenate(parts) for parts in zip(*found, strict=True))
            own.append(distances.mean(1))
            around.append(own[-1][near].mean(1))
            reached.append(np.maximum(distances, self.reach * own[-1][near]).mean(1))
        self.own.assign(tf.stack([_filled(values, places) for values in own]))
        share = self.local * (_continuous(self.rows.numpy()[:rows]) if self.graded else 1.0)
        self.shares.assign([[share * (name in self._near)] for name in self.weights_of])
        return np.stack([reached, around])

    def _nearest(self, x, reference, skip_self, own=None, but=None):
        padded = reference.shape[0] > self.neighbours
        count = self.count.value if padded else None
        others = self.local > 0 and not skip_self
        options = {"own": own, "others": others, "reach": self.reach, "but": but}
        return nearest(x, reference.value, count, skip_self, self.neighbours, **options)

    @property
    def contains(self):
        """What the scorer, its files and its exports contain of the training rows: str."""
        rows, kind = self._config["rows"], "images" if len(self.x_shape) == 3 else "rows"
        if self.keep == "rows":
            return f"{rows:,} of the training {kind}"
        if self.keep == "centroids":
            return f"no training {kind}, but the centres of {rows:,} clusters of them"
        parts = [f"no training {kind}, but their mean"]
        parts += [] if self.knots is None else [f"{spaces.KNOTS} quantiles of each column"]
        parts += [] if self.related is None else ["a matrix of the columns' relations"]
        return " and ".join([", ".join(parts[:-1]), parts[-1]]) if parts[1:] else parts[0]

    def program_key(self):
        """The key of the compiled program, which ensembles of one architecture share.

        Returns:
            tuple of two str: the method, and the architecture with the capacity for kept rows.
        """
        config = {**self._config, "rows": self.rows.shape[0]}
        return self.method, json.dumps(config, sort_keys=True)

    def _kept_variables(self):
        """The variables in files, and whether their first axis is that of the kept rows."""
        codes = [variable for pair in self.codes for variable in pair]
        fixed = (self.calibration, self.knots, self.moments, self.related)
        fixed = [(variable, False) for variable in fixed if variable is not None]
        return [(self.rows, True), *((variable, True) for variable in codes), *fixed]

    def save_own_variables(self, store):
        """Keras's hook: files contain the kept rows only, without padding.

        Args:
            store: dict of arrays by number, or `h5py`'s equivalent; changed in place.
        """
        for index, (variable, of_rows) in enumerate(self._kept_variables()):
            value = variable.numpy()
            store[str(index)] = value[: self._config["rows"]] if of_rows else value

    def load_own_variables(self, store):
        """Keras's hook, the inverse of `save_own_variables`.

        Args:
            store: dict of arrays by number, or `h5py`'s equivalent.

        Raises:
            ValueError: if the arrays are another ensemble's.
        """
        variables, rows = self._kept_variables(), self._config["rows"]
        if len(store.keys()) != len(variables):
            raise ValueError(f"expected {len(variables)} arrays, received {len(store.keys())}")
        for index, (variable, of_rows) in enumerate(variables):
            value = np.asarray(store[str(index)])
            shape = (rows, *variable.shape[1:]) if of_rows else tuple(variable.shape)
            if value.shape != shape:
                raise ValueError(f"{variable.path} has shape {shape}, received {value.shape}")
            variable.assign(_filled(value, variable.shape[0]) if of_rows else value)
        self._derive()  # not in the files, since it follows from the rows


def _earlier(x_shape, keep):
    """The combination of versions whose files do not contain it."""
    if len(x_shape) > 1:  # as it is now
        return combination_for(x_shape, 1, keep)
    weights = {"l2": 0.5, "mean": 0.5} if keep == "none" else EARLIER
    return {"weights": weights, "neighbours": K, "local": 0.0}


def _continuous(x):
    """The share of the variance of rows (N, d) in columns of more than two values."""
    variances = x.var(0, dtype="float64")
    two = np.all((x == x.min(0)) | (x == x.max(0)), 0)
    return float(variances[~two].sum() / max(variances.sum(), 1e-12))


def _some(x, most, seed):
    """At most this many samples, in their order."""
    if len(x) <= most:
        return x
    return x[np.sort(np.random.default_rng(seed).choice(len(x), most, replace=False))]


def _kept_of(x, keep, seed):
    """What is kept of training samples (N, ...)."""
    if keep == "centroids":
        return centroids(x, seed)
    return x.mean(0, keepdims=True) if keep == "none" else x


def centroids(x, seed=0):
    """Centres (k, ...) of training samples (N, ...) by k-means.

    Each is the mean of at least `OF_CENTROID` samples: the centre of a smaller cluster would give
    these away, and is left out. Source: Lloyd, IEEE
    Transactions on Information Theory 1982; Arthur and Vassilvitskii, SODA 2007, for the start.
    """
    from sklearn.cluster import KMeans

    flat = np.asarray(x, "float32").reshape(len(x), -1)
    most = max(1, min(CENTROIDS, len(flat) // (4 * OF_CENTROID)))
    distinct = len(np.unique(flat, axis=0))
    found = KMeans(min(most, distinct), n_init=1, random_state=int(seed) % 2**32).fit(flat)
    large = np.bincount(found.labels_, minlength=len(found.cluster_centers_)) >= OF_CENTROID
    centers = found.cluster_centers_[large] if large.any() else flat.mean(0, keepdims=True)
    return centers.reshape(-1, *x.shape[1:]).astype("float32")


def _filled(values, places):
    """An array (n, ...) padded with zeros to (places, ...)."""
    return tf.pad(values, [(0, places - len(values))] + [(0, 0)] * (len(values.shape) - 1))


def _norm(x):
    """Euclidean norms of samples (B, ...); a root has no gradient at 0, so a little is added."""
    x = tf.reshape(x, (tf.shape(x)[0], -1))
    return tf.sqrt(tf.reduce_sum(tf.square(x), -1) + 1e-12)
