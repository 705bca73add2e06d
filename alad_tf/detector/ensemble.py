"""The scorer of a detector for anyone's data: members' scores, and nearness to training rows."""

import copy
import json

import keras
import numpy as np
import tensorflow as tf

from alad_tf.model.layers import PACKAGE
from alad_tf.model.scorer import Scorer, ScoringModel
from alad_tf.model.scores import SCORES, anomaly_scores

K = 5  # neighbours; ADBench's and PyOD's default
COMBINED = "combined"
MOST_ROWS, FEWEST_ROWS, MOST_NUMBERS = 4096, 256, 2**23  # of the kept rows
KEEPS = ("rows", "centroids", "none")
CENTROIDS, OF_CENTROID = 256, 5  # at most so many; of so many training rows at least, each
BATCH = 512
LOWEST = -3.0  # one distance that is tiny beside all others must not vouch for a sample


def capacity(rows):
    """How many places hold so many kept rows: a power of two, or `rows` if there are at most `K`.

    Ensembles of one capacity share their programs.
    """
    return rows if rows <= K else 1 << (rows - 1).bit_length()


def center_of(reference, count=None):
    """Mean (d,) of the first `count` rows of a reference (R, d); the others are zeros."""
    count = reference.shape[0] if count is None else count
    return tf.reduce_sum(reference, 0) / tf.cast(count, tf.float32)


def nearest(x, reference, count=None, skip_self=False):
    """Mean Euclidean distance of rows to their `K` nearest reference rows.

    Args:
        x: float32 tensor (B, d).
        reference: float32 tensor (R, d).
        count: int32 scalar, how many of the reference rows there are: more than `K`, and zeros
            after them; default all R.
        skip_self: bool, leave the nearest one out: rows of the reference themselves then have the
            distance they would have had without being in it.

    Returns:
        float32 tensor (B,); of fewer than `K` reference rows, the mean distance to all; 0 if none
        is left.

    Source: Ramaswamy, Rastogi and Shim, SIGMOD 2000; Angiulli and Pizzuti, PKDD 2002, for the mean.
    """
    center = center_of(reference, count)  # near 0, differences of squares lose fewer digits
    x, reference = x - center, reference - center
    squares = tf.reduce_sum(tf.square(x), -1)[:, None] + tf.reduce_sum(tf.square(reference), -1)
    squares -= 2 * tf.matmul(x, reference, transpose_b=True)  # (B, R), without (B, R, d)
    rows = reference.shape[0]
    if count is not None:
        squares = tf.where(tf.range(rows) < count, squares, np.inf)
    first = 1 if skip_self and rows > 1 else 0
    found = tf.math.top_k(-squares, min(K + first, rows)).indices[:, first:]
    # what was found is measured anew, exactly: small differences of large squares are noise
    away = x[:, None] - tf.gather(reference, found)  # (B, K, d)
    # a root has no gradient at 0
    return tf.reduce_mean(tf.sqrt(tf.reduce_sum(tf.square(away), -1) + 1e-12), -1)


@keras.saving.register_keras_serializable(package=PACKAGE)
class Ensemble(ScoringModel):
    """Members of one architecture that answer as one scorer.

    The reconstruction x' is the members' mean. "l1" and "l2" are the norms of x - x'; "features"
    and "logits" are the means of what the members' D_xx give for it: with one member, the paper's
    scores. "combined" is a weighted mean of standardised log-distances,

        t(s) = max((log(s + floor) - center) / spread, -3),

    with center and spread over the training rows (a row is not its own neighbour there). Half of
    the weight has, for tables, the mean distance to the 5 nearest training rows in x, which takes
    no training and is hard to beat on small tables. The other half is shared by the distance of x
    from the training rows' mean, ||x - x'||_2, and the mean distances to the 5 nearest training
    rows in the members' codes E(x) and features f_xx(x, x); for images the last three have all of
    the weight. A typical normal row has 0; one unit is about a standard deviation.

    Nearness needs training rows, and so up to 4,096 of them are part of the scorer, its files and
    its exports. `keep` says what is kept instead: "centroids", the centres of k-means clusters of
    five rows at least (up to 256 clusters, one for twenty rows); or "none", only the rows' mean,
    and "combined" has no nearness: half of the weight has ||x - x'||_2, half the distance from that
    mean; for images the former has all of it.

    Args:
        scorer: dict, the members' `Scorer.architecture()`.
        members: int.
        rows: int, training rows (or centres) that are kept for the distances.
        keep: "rows", "centroids" or "none".
        block: int, rows that are computed together; default as for `Scorer`.

    Raises:
        ValueError: from `scores`, samples of another shape or none at all.

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

    Source: ALAD, Algorithm 1, for the scores; the combination is this project's.
    """

    method = "alad_ensemble"
    score_names = (*SCORES, COMBINED)
    score = COMBINED
    explainable = True
    console = None

    def __init__(self, scorer, members=1, rows=1, block=None, keep="rows", **kwargs):
        super().__init__(**kwargs)
        if keep not in KEEPS:
            raise ValueError(f"keep is {keep!r}; expected one of {KEEPS}.")
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
        frozen = {"trainable": False, "initializer": "zeros"}
        places = capacity(int(rows))  # the rows, then zeros: see `save_own_variables`
        self.rows = self.add_weight(name="rows", shape=(places, *self.x_shape), **frozen)
        some = tf.zeros((1, *self.x_shape))
        self.codes = [
            [
                self.add_weight(name="codes", shape=(places, codes.shape[-1]), **frozen)
                for codes in self._spaces_of(member, some)
            ]
            for member in self.members
        ]  # of the rows, for each member in E(x) and f_xx(x, x)
        shape = (3, len(self.members), len(self.weights_of))
        self.calibration = self.add_weight(name="calibration", shape=shape, **frozen)
        self.count = self.add_weight(
            name="count",
            shape=(),
            dtype="int32",
            initializer=lambda shape, dtype: tf.constant(int(rows), dtype),
            trainable=False,
        )
        self.built = True

    @property
    def weights_of(self):
        """The distances that "combined" is the mean of, with their weights: dict of floats."""
        if self.keep == "none":
            names = ("l2", "mean") if len(self.x_shape) == 1 else ("l2",)
            return dict.fromkeys(names, 1 / len(names))
        learnt = ("l2", "E(x)", "f_xx(x, x)")
        if len(self.x_shape) > 1:  # pixels say little of nearness
            return dict.fromkeys(learnt, 1 / 3)
        return {**dict.fromkeys((*learnt, "mean"), 1 / 8), "x": 1 / 2}

    @classmethod
    def of(cls, scorers, x, seed=0, keep="rows"):
        """An ensemble of trained scorers.

        Args:
            scorers: sequence of `Scorer`s of one architecture.
            x: float32 array (N, *x_shape), the preprocessed training rows; up to 4,096 of them are
                kept, fewer if they are wide.
            seed: int, of their choice.
            keep: "rows"; or "centroids" or "none", which keep no training row.

        Returns:
            `Ensemble`.

        Raises:
            ValueError: scorers of several architectures.
        """
        architectures = [scorer.architecture() for scorer in scorers]
        if any(other != architectures[0] for other in architectures):
            raise ValueError("The members of an ensemble have one architecture; received several.")
        width = x[0].size + sum(
            int(np.prod(codes.shape[1:]))
            for scorer in scorers
            for codes in cls._spaces_of(scorer, tf.constant(x[:1]))
        )
        most = int(np.clip(MOST_NUMBERS // width, FEWEST_ROWS, MOST_ROWS))
        if len(x) > most:
            x = x[np.sort(np.random.default_rng(seed).choice(len(x), most, replace=False))]
        kept = x
        if keep == "centroids":
            kept = centroids(x, seed)
        elif keep == "none":
            kept = x.mean(0, keepdims=True)
        made = cls(architectures[0], len(scorers), len(kept), keep=keep)
        for member, scorer in zip(made.members, scorers, strict=True):
            member.set_weights(scorer.get_weights())
        made.rows.assign(_filled(kept, made.rows.shape[0]))
        made.calibrate(None if keep == "rows" else x)
        return made

    def calibrate(self, x=None):
        """Learn the kept rows' codes, and floors, centers and spreads.

        Args:
            x: float32 array (N, *x_shape), the training rows that distances are learnt from;
                default those that are kept, of which none is its own neighbour.
        """
        kept = self.rows.value[: self._config["rows"]]
        for member, codes in zip(self.members, self.codes, strict=True):
            parts = [
                self._spaces_of(member, kept[i : i + BATCH]) for i in range(0, len(kept), BATCH)
            ]
            for variable, found in zip(codes, zip(*parts, strict=True), strict=True):
                variable.assign(_filled(tf.concat(found, 0), variable.shape[0]))
        own, x = x is None, tf.constant(kept if x is None else x, tf.float32)
        found = []
        for i in range(0, len(x), BATCH):
            part = x[i : i + BATCH]
            found.append(self._distances(part, self._reconstruct(part), skip_self=own).numpy())
        values = np.concatenate(found, -1).astype("float64")  # (members, spaces, rows)
        floor = 0.1 * np.median(values, -1) + 1e-6  # log(0) must not stand out
        logs = np.log(values + floor[..., None])
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
        """The scores of samples beside given reconstructions.

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
        distances = self._distances(x, reconstruction)
        floor, center, spread = (part[..., None] for part in tf.unstack(self.calibration.value))
        standardised = (tf.math.log(distances + floor) - center) / spread
        standardised = tf.maximum(standardised, LOWEST)
        weights = tf.constant(list(self.weights_of.values()))[:, None]
        return {**scores, COMBINED: tf.reduce_sum(weights * tf.reduce_mean(standardised, 0), 0)}

    def _reconstruct(self, x):
        made = [member.G(tf.reshape(member.E(x), (-1, self.latent_dim))) for member in self.members]
        return tf.reshape(tf.add_n(made) / len(made), (-1, *self.x_shape))

    @staticmethod
    def _spaces_of(member, x):
        """A member's codes and features of samples: float tensors (B, latent), (B, F)."""
        _, features = member.D_xx(x, x)
        return tf.reshape(member.E(x), (-1, member.latent_dim)), features

    def _distances(self, x, reconstruction, skip_self=False):
        """The distances that "combined" is made of: float32 tensor (members, spaces, B)."""
        common = [_norm(x - reconstruction)]
        if "mean" in self.weights_of:
            common.append(_norm(x - center_of(self.rows.value, self.count.value)))
        if "x" in self.weights_of:
            common.append(self._nearest(x, self.rows, skip_self))
        if self.keep == "none":
            common = common[: len(self.weights_of)]
            return tf.stack([tf.stack(common)] * len(self.members))
        made = []
        for member, codes in zip(self.members, self.codes, strict=True):
            spaces = zip(self._spaces_of(member, x), codes, strict=True)
            learnt = [self._nearest(ours, theirs, skip_self) for ours, theirs in spaces]
            made.append(tf.stack([common[0], *learnt, *common[1:]]))
        return tf.stack(made)

    def _nearest(self, x, reference, skip_self):
        padded = reference.shape[0] > K
        return nearest(x, reference.value, self.count.value if padded else None, skip_self)

    @property
    def contains(self):
        """What of the training rows is in the scorer, its files and its exports: str."""
        rows = self._config["rows"]
        if self.keep == "rows":
            return f"{rows:,} of the training rows"
        if self.keep == "centroids":
            return f"no training rows, but {rows:,} centres of clusters of them"
        return "no training rows, but their mean"

    def program_key(self):
        """What the program of a scorer is kept under: ensembles of one architecture share it.

        Returns:
            tuple of two str: the method and the architecture, with places for the count of rows.
        """
        config = {**self._config, "rows": self.rows.shape[0]}
        return self.method, json.dumps(config, sort_keys=True)

    def _kept_variables(self):
        """The variables that files hold, and whether their first axis is the kept rows'."""
        codes = [variable for pair in self.codes for variable in pair]
        return [(self.rows, True), *((v, True) for v in codes), (self.calibration, False)]

    def save_own_variables(self, store):
        """Keras's hook: files hold the kept rows alone, without what fills their places.

        Args:
            store: dict of arrays by number, or what `h5py` has for it; changed in place.
        """
        for index, (variable, of_rows) in enumerate(self._kept_variables()):
            value = variable.numpy()
            store[str(index)] = value[: self._config["rows"]] if of_rows else value

    def load_own_variables(self, store):
        """Keras's hook, the inverse of `save_own_variables`.

        Args:
            store: dict of arrays by number, or what `h5py` has for it.

        Raises:
            ValueError: arrays of another ensemble.
        """
        variables, rows = self._kept_variables(), self._config["rows"]
        if len(store.keys()) != len(variables):
            raise ValueError(f"expected {len(variables)} arrays, received {len(store.keys())}")
        for index, (variable, of_rows) in enumerate(variables):
            value = np.asarray(store[str(index)])
            shape = (rows, *variable.shape[1:]) if of_rows else tuple(variable.shape)
            if value.shape != shape:
                raise ValueError(f"{variable.path} has shape {shape}, received {value.shape}")
            variable.assign(_filled(value, variable.shape[0]))


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
    """An array (n, ...) with zeros after it: (places, ...)."""
    return tf.pad(values, [(0, places - len(values))] + [(0, 0)] * (len(values.shape) - 1))


def _norm(x):
    """Euclidean norms of samples (B, ...); a root has no gradient at 0, so a little is added."""
    x = tf.reshape(x, (tf.shape(x)[0], -1))
    return tf.sqrt(tf.reduce_sum(tf.square(x), -1) + 1e-12)
