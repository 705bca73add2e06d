"""The scorer of pictures by a network's features: distances of positions and of whole pictures."""

from dataclasses import asdict, dataclass, fields

import keras
import numpy as np
import tensorflow as tf

from alad_tf.detector.backbone import backbone_of
from alad_tf.detector.ensemble import COMBINED, KEEPS, LOWEST, centroids
from alad_tf.engine.programs import kept
from alad_tf.model.layers import PACKAGE
from alad_tf.model.scorer import Scorer, ScoringModel
from alad_tf.model.scores import SCORES

BLOCK = 1  # pictures scored together; larger blocks add in another order, and scores would differ
BATCH = 8  # pictures embedded together
PICTURES = 1000  # most whole pictures that are kept, as vectors
CANDIDATES = 20_000  # rows from which the kept ones are chosen
PROJECTED = 32  # dimensions of the projection in which they are chosen
SAMPLED = 50_000  # positions that are sampled from all training pictures
CALIBRATED = 200  # training pictures that calibrate the distances
PRIOR = 2  # pictures; weight of the mean over positions in the mean of one position
NEIGHBOURS, COPIES = 3, 5  # nearest pictures, and how many more may be copies of the picture
SAME = 1e-4  # unit vectors closer than this are of the same picture, up to rounding
SMALLEST = 1e-3  # least variance of a direction, relative to the mean variance
PARTS = ("strongest", "positions", "whole")  # of the combined score
EARLIER_WEIGHTS = (1 / 4, 1 / 4, 1 / 2)  # of files without weights


@dataclass(frozen=True)
class FeatureOptions:
    """The options of `ALADDetector(features=...)`: its argument `feature_options`.

    Attributes:
        layers: names of two or three of the network's layers, whose outputs are the fine map, the
            coarse map and the last one (by default the network's own last). None: see
            `alad_tf.detector.backbone.backbone_for`.
        neighbourhood: odd int, the side, in positions, of the square averaged around each position.
        rows: int, the most positions that are kept of each map.
        weights: three floats that add up to 1, for a picture's most unusual position, all its
            positions, and the picture as a whole, in the mean of their exponentials.
        keep_aspect: bool, keep the aspect ratio when resizing; repeated edges fill the rest.

    Raises:
        ValueError: for unknown options or values.
    """

    layers: tuple | None = None
    neighbourhood: int = 3
    rows: int = 1000
    weights: tuple = (1 / 5, 1 / 5, 3 / 5)
    keep_aspect: bool = False

    @classmethod
    def of(cls, chosen):
        """Options from a dict or None, checked."""
        chosen, known = dict(chosen or {}), [one.name for one in fields(cls)]
        unknown = sorted(set(chosen) - set(known))
        if unknown:
            raise ValueError(f"received feature_options {unknown}; expected some of {known}.")
        for name in ("layers", "weights"):
            if chosen.get(name) is not None:
                chosen[name] = tuple(chosen[name])
        options = cls(**chosen)
        options._check()
        return options

    def _check(self):
        if self.layers is not None and len(self.layers) not in (2, 3):
            raise ValueError(f"received layers={list(self.layers)}; expected two or three names.")
        if self.neighbourhood < 1 or self.neighbourhood % 2 != 1:
            raise ValueError(
                f"received neighbourhood={self.neighbourhood}; expected an odd number of positions."
            )
        if self.rows < 1:
            raise ValueError(f"received rows={self.rows}; expected at least 1.")
        require_weights(self.weights)

    def changed(self):
        """The options that differ from the defaults, as a dict."""
        default = asdict(type(self)())
        return {name: value for name, value in asdict(self).items() if value != default[name]}


def require_weights(weights):
    """Refuse invalid weights of the score's parts."""
    good = len(weights) == len(PARTS) and min(weights) >= 0 and abs(sum(weights) - 1) < 1e-6
    if not good:
        raise ValueError(
            f"received weights={list(weights)}; expected three, none negative, with sum 1, for "
            f"{', '.join(PARTS)}."
        )


@dataclass(frozen=True)
class Learned:
    """What the distances need to know about the training pictures.

    Attributes:
        means, maps: lists of float32 arrays (c,) and (c, c), of the fine and the coarse map: what
            makes its rows white.
        rows: list of float32 arrays (k, c), the kept ones.
        owners: list of int32 arrays (k,), the kept picture that a row is of; -1 for none.
        whole: float32 array (m, w), pictures as unit vectors.
        typical: float32 array (2, positions), the mean distance of each map's positions.
        calibration: float32 array (3, 3): floors, centers and spreads of the distances.
        positions: float32 array (n, c + c'), rows of both maps that networks train on.
    """

    means: list
    maps: list
    rows: list
    owners: list
    whole: np.ndarray
    typical: np.ndarray
    calibration: np.ndarray
    positions: np.ndarray


@keras.saving.register_keras_serializable(package=PACKAGE)
class PatchScorer(ScoringModel):
    """Scores pictures by the features of a frozen network.

    Each position of a map, averaged with its eight neighbours, is a row; the fine map is averaged
    to the coarse one's positions. Rows are made white by the training rows' covariance. A
    position's distance is that to the nearest kept row, in units of the mean distance that training
    pictures have in this position: positions at the border, which see less, are not far for that.
    "combined" is

        log(exp(t(greatest distance, fine map)) / 5 + exp(t(mean distance, coarse map)) / 5
            + 3 exp(t(whole)) / 5),

    where the last is the mean distance of the picture's last map, averaged over its positions and
    brought to length 1, to the 3 nearest of the kept pictures, and t standardises log-distances as
    `alad_tf.detector.ensemble.Ensemble` does, by training pictures. A training picture is not its
    own neighbour, either there or when it is scored (if there are more than 1,000, only the kept
    ones are recognised): an unusual one among them stays unusual. A small defect is one distant
    position, a picture of another kind is distant as a whole; in a mean of exponentials, each
    stands out by itself.

    The heat map is, for each position, the mean of its distances in the two maps.

    The paper's scores are those of ALADs that were trained on positions' rows, averaged over a
    picture's positions. They have no part in "combined", which they did not improve, and are absent
    if no ALAD was trained.

    Args:
        backbone: dict, `alad_tf.detector.backbone.Backbone.config`.
        x_shape: (height, width, channels) of pictures, as the backbone takes them.
        rows: two ints, rows of the fine and of the coarse map that are kept.
        pictures: int, pictures that are kept as vectors.
        scorer: dict, the ALADs' `Scorer.architecture()`; None where there are none.
        members: int, how many there are.
        keep: "rows", "centroids" or "none", what `rows` and `pictures` are: training rows, centres
            of clusters of them, or their mean.
        neighbourhood, weights: as `FeatureOptions` has them; the text above has the defaults.
        soft: bool; False: "combined" is the weighted mean of t itself, as in earlier versions.
        block: int, pictures that are computed together.

    Raises:
        ValueError: from `scores`, samples of another shape or none at all.

    Source: Roth et al., "Towards total recall in industrial anomaly detection", CVPR 2022, for
    positions, neighbourhoods and the choice of rows; Defard et al., PaDiM, ICPR 2021, for the
    covariance; ALAD, Algorithm 1, for the paper's scores.
    """

    method = "alad_patches"
    score = COMBINED
    explainable = True
    reconstructs = False  # its networks reconstruct features, which nobody can look at
    console = None

    def __init__(
        self,
        backbone,
        x_shape,
        rows,
        pictures,
        scorer=None,
        members=0,
        keep="rows",
        neighbourhood=FeatureOptions.neighbourhood,
        weights=EARLIER_WEIGHTS,
        soft=False,
        block=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if keep not in KEEPS:
            raise ValueError(f"received keep={keep!r}; expected one of {KEEPS}.")
        require_weights(weights)
        self.keep = keep
        found = backbone_of(backbone)
        self.x_shape = tuple(int(side) for side in x_shape)
        if found.input_shape != self.x_shape:
            raise ValueError(f"the backbone takes {found.input_shape}; x_shape is {self.x_shape}.")
        self.network = found.network
        self.make_blocks(block or BLOCK)
        self._config = {
            "backbone": backbone,
            "x_shape": list(self.x_shape),
            "rows": [int(count) for count in rows],
            "pictures": int(pictures),
            "scorer": scorer,
            "members": int(members),
            "keep": keep,
            "neighbourhood": int(neighbourhood),
            "weights": [float(weight) for weight in weights],
            "soft": bool(soft),
            "block": self.block,
        }
        self.members = [Scorer(**scorer, name=f"member_{k}") for k in range(int(members))]
        self.score_names = (*SCORES, COMBINED) if self.members else (COMBINED,)
        *maps, last = found.output_shapes
        self.grid = maps[1][:2]
        widths = [shape[-1] for shape in maps]
        frozen = {"trainable": False, "initializer": "zeros"}

        def both(name, *shapes):
            return [self.add_weight(name=name, shape=shape, **frozen) for shape in shapes]

        self.means = both("mean", *((w,) for w in widths))
        self.whitening = both("whitening", *((w, w) for w in widths))
        self.rows = both("rows", *zip(self._config["rows"], widths, strict=True))
        numbers = frozen | {"dtype": "int32"}
        self.owners = [
            self.add_weight(name="owners", shape=(count,), **numbers)
            for count in self._config["rows"]
        ]
        (self.whole,) = both("whole", (int(pictures), last[-1]))
        (self.typical,) = both("typical", (2, self.grid[0] * self.grid[1]))
        (self.calibration,) = both("calibration", (3, len(PARTS)))
        self.built = True

    @classmethod
    def of(cls, backbone, learned, scorers=(), keep="rows", options=None):
        """A scorer from what was learned and, if any, trained `Scorer`s of positions' rows."""
        options = options or FeatureOptions()
        made = cls(
            backbone.config,
            backbone.input_shape,
            [len(rows) for rows in learned.rows],
            len(learned.whole),
            scorers[0].architecture() if scorers else None,
            len(scorers),
            keep,
            options.neighbourhood,
            options.weights,
            soft=True,
        )
        made.network.set_weights(backbone.network.get_weights())
        for member, scorer in zip(made.members, scorers, strict=True):
            member.set_weights(scorer.get_weights())
        for variables, values in (
            (made.means, learned.means),
            (made.whitening, learned.maps),
            (made.rows, learned.rows),
            (made.owners, learned.owners),
        ):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        made.whole.assign(learned.whole)
        made.typical.assign(learned.typical)
        made.calibration.assign(learned.calibration)
        return made

    def call(self, inputs, training=False):
        """All scores and the heat map of preprocessed pictures.

        Args:
            inputs: float tensor (B, *x_shape), 0 to 255.
            training: ignored; a scorer is always in inference mode.

        Returns:
            dict of float32 tensors: the scores (B,) and "heat_map" (B, *grid).
        """
        maps = self.network(tf.cast(inputs, tf.float32), training=False)
        return self.answers(*positions_of(maps, self._config["neighbourhood"]))

    def answers(self, fine, coarse, whole):
        """What `call` returns, for the features of B pictures as `positions_of` returns them."""
        white = [
            tf.matmul(rows - mean, matrix)
            for rows, mean, matrix in zip(
                (fine, coarse), self._values(self.means), self._values(self.whitening), strict=True
            )
        ]
        count = self.grid[0] * self.grid[1]
        of_whole, own = nearest_pictures(whole, self.whole.value)
        distances = []
        for some, reference, owners, typical in zip(
            white,
            self._values(self.rows),
            self._values(self.owners),
            tf.unstack(self.typical.value),
            strict=True,
        ):
            some = tf.reshape(some, (-1, count, some.shape[-1]))
            distances.append(nearest_row(some, reference, rows_of(own, owners)) / typical)
        parts = distances_of_pictures(*distances, of_whole)
        floor, center, spread = tf.unstack(self.calibration.value)
        standardised = (tf.math.log(parts + floor) - center) / spread  # (B, parts)
        standardised = tf.maximum(standardised, LOWEST)
        heat = tf.add_n(distances) / 2
        return {
            **self._of_networks(tf.concat(white, -1)),
            COMBINED: self._combined(standardised),
            "heat_map": tf.reshape(heat, (-1, *self.grid)),
        }

    def _combined(self, parts):
        """The score (B,) of standardised parts (B, 3)."""
        weights = np.array(self._config["weights"], "float32")
        if not self._config["soft"]:
            return tf.reduce_sum(weights * parts, -1)
        (used,) = np.nonzero(weights)  # without log(0) in exported graphs
        return tf.reduce_logsumexp(tf.gather(parts, used, axis=-1) + np.log(weights[used]), -1)

    def _of_networks(self, rows):
        """The paper's scores of pictures: means over their positions' rows and over members."""
        found = [member(rows) for member in self.members]
        names = SCORES if found else ()
        count = self.grid[0] * self.grid[1]
        return {
            name: tf.reduce_mean(
                tf.reshape(tf.add_n([one[name] for one in found]) / len(found), (-1, count)), -1
            )
            for name in names
        }

    @staticmethod
    def _values(variables):
        return [variable.value for variable in variables]

    def heat_maps(self, x):
        """The positions' scores (N, *grid) of preprocessed pictures; errors as for `scores`."""
        return self._run("heat_map", x)

    @property
    def contains(self):
        """What the scorer, its files and its exports contain of the training pictures: str."""
        rows, pictures = self._config["rows"], self._config["pictures"]
        if self.keep == "none":
            return "no features of training images, but their means and covariances"
        positions, whole = f"{sum(rows):,}", f"{pictures:,}"
        if self.keep == "rows":
            return (
                f"no training images, but the features of {positions} positions and of {whole} "
                "whole images"
            )
        return (
            "no training images, but centres of clusters of their features: "
            f"{positions} for positions and {whole} for whole images"
        )

    def _program(self, what, blocks):
        """As for all scorers, but without XLA, whose convolutions are slow on a CPU."""

        def of_block(x, count):
            outputs = self(x)
            if what == "scores":
                return tf.stack([outputs[name] for name in self.score_names], -1)
            return outputs[what]

        shape = (self.block, *self.x_shape)
        signature = [tf.TensorSpec(shape, tf.float32), tf.TensorSpec((), tf.int32)]

        def compiled(function, *values):
            return tf.function(function, [*signature, *values]).get_concrete_function()

        return kept(self, (what, blocks), of_block, compiled)


def positions_of(maps, neighbourhood=FeatureOptions.neighbourhood):
    """Rows of the fine and the coarse map (B * positions, c), and unit vectors (B, w)."""
    fine, coarse, last = maps
    factors = [int(f) // int(c) for f, c in zip(fine.shape[1:3], coarse.shape[1:3], strict=True)]
    fine, coarse = (tf.nn.avg_pool2d(one, neighbourhood, 1, "SAME") for one in (fine, coarse))
    if factors != [1, 1]:
        fine = tf.nn.avg_pool2d(fine, factors, factors, "VALID")
    whole = tf.reduce_mean(last, (1, 2))
    length = tf.sqrt(tf.reduce_sum(tf.square(whole), -1, keepdims=True) + 1e-12)
    return *(tf.reshape(one, (-1, one.shape[-1])) for one in (fine, coarse)), whole / length


def _squares(x, reference):
    """Squared distances (B, R), up to rounding."""
    squares = tf.reduce_sum(tf.square(x), -1)[:, None] + tf.reduce_sum(tf.square(reference), -1)
    return squares - 2 * tf.matmul(x, reference, transpose_b=True)


def nearest_row(x, reference, own):
    """Distances (B, P) of positions' rows (B, P, c) to the nearest of the kept rows (R, c).

    `own`, bool (B, R), marks kept rows that do not count, unless there are no others.
    """
    flat = tf.reshape(x, (-1, x.shape[-1]))
    squares = tf.reshape(_squares(flat, reference), (-1, x.shape[1], reference.shape[0]))
    own = own & ~tf.reduce_all(own, -1, keepdims=True)
    squares = tf.where(own[:, None], np.float32(np.inf), squares)
    found = tf.gather(reference, tf.argmin(squares, -1))
    # measured again, exactly: small differences of large squares are mostly rounding
    return tf.sqrt(tf.reduce_sum(tf.square(x - found), -1) + 1e-12)


def nearest_pictures(x, reference):
    """Mean distances (B,) of unit vectors (B, w) to the nearest of the kept ones (R, w).

    Returns:
        `(distances, own)`: float32 (B,), and the kept pictures that are the same picture and did
        not count: int32 (B, some), -1 for none.
    """
    rows = int(reference.shape[0])
    found = tf.math.top_k(-_squares(x, reference), min(NEIGHBOURS + COPIES, rows)).indices
    away = tf.reduce_sum(tf.square(x[:, None] - tf.gather(reference, found)), -1)
    away = tf.sqrt(away + 1e-12)
    same = away < SAME
    same = same & ~tf.reduce_all(same, -1, keepdims=True)
    away = tf.where(same, np.float32(np.inf), away)
    best = -tf.math.top_k(-away, min(NEIGHBOURS, rows)).values
    counts = tf.cast(best < np.inf, tf.float32)
    total = tf.reduce_sum(tf.where(best < np.inf, best, 0.0), -1)
    return total / tf.reduce_sum(counts, -1), tf.where(same, found, -1)


def rows_of(own, owners):
    """Which kept rows, from the pictures `owners` (R,), are from the pictures `own` (B, some)."""
    own = tf.where(own < 0, -2, own)  # no picture owns the rows of none
    return tf.reduce_any(tf.equal(own[:, :, None], owners), 1)


def distances_of_pictures(fine, coarse, whole):
    """The three parts (B, 3): the fine map's maximum, the coarse map's mean, the whole picture."""
    return tf.stack([tf.reduce_max(fine, -1), tf.reduce_mean(coarse, -1), whole], -1)


# ------------------------------------------------------------------- learning


def embedding(backbone, neighbourhood=FeatureOptions.neighbourhood):
    """A function that computes the features of a few pictures at a time.

    It takes float32 arrays (n, height, width, channels) of at most `BATCH` pictures, and returns
    rows of the fine and the coarse map, (n, positions, c) each, and unit vectors (n, w).
    """
    network = tf.function(
        lambda x: positions_of(backbone.network(x, training=False), neighbourhood), autograph=False
    )

    def features_of(some):
        padded = np.pad(some, [(0, BATCH - len(some)), (0, 0), (0, 0), (0, 0)])
        *maps, vectors = (one.numpy() for one in network(tf.constant(padded)))
        maps = [one.reshape(BATCH, -1, one.shape[-1]) for one in maps]
        return [one[: len(some)] for one in (*maps, vectors)]

    return features_of


def learn(features_of, parts, count, seed, keep="rows", rows=FeatureOptions.rows, advance=None):
    """Learn from training pictures what the distances need.

    Args:
        features_of: function, from `embedding`.
        parts: iterable of float32 arrays (n, height, width, channels), the pictures; each is read
            once, and the network sees it once.
        count: int, how many pictures there are.
        seed: int, of the choices.
        keep: "rows", "centroids" or "none".
        rows: int, the most positions that are kept of each map.
        advance: function that is called with the number of pictures done since its last call.

    Returns:
        `Learned`.
    """
    rng = np.random.default_rng(seed)
    calibrated = set(rng.choice(count, min(CALIBRATED, count), replace=False).tolist())
    sampled, owners, whole, full, number = ([], []), [], [], {}, 0
    for part in parts:
        for start in range(0, len(part), BATCH):
            some = part[start : start + BATCH]
            *maps, vectors = features_of(some)
            whole.append(vectors)
            positions = maps[0].shape[1]
            each = int(np.clip(SAMPLED // count, 1, positions))
            for place in range(len(some)):
                picked = np.sort(rng.choice(positions, each, replace=False))
                for chosen, one in zip(sampled, maps, strict=True):
                    chosen.append(one[place, picked])
                owners.append(np.full(each, number))
                if number in calibrated:
                    full[number] = [one[place] for one in maps]
                number += 1
            if advance is not None:
                advance(len(some))
    owners, whole = np.concatenate(owners), np.concatenate(whole)
    vectors, picked = _keep_pictures(whole, keep, rng)
    place_of = np.full(count, -1, "int32")  # among the kept pictures
    place_of[picked] = np.arange(len(picked))
    white, means, maps, kept_rows, kept_owners, distances = [], [], [], [], [], []
    for number, found in enumerate(map(np.concatenate, sampled)):
        mean, matrix = whitening(found)
        found = (found - mean) @ matrix
        chosen, theirs = _keep_rows(found, owners, keep, rows, rng)
        there = {n: (maps_of[number] - mean) @ matrix for n, maps_of in full.items()}
        distances.append(
            tf.concat([nearest_row(x[None], chosen, [theirs == n]) for n, x in there.items()], 0)
        )
        white.append(found)
        means.append(mean)
        maps.append(matrix)
        kept_rows.append(chosen)
        kept_owners.append(np.where(theirs < 0, -1, place_of[theirs]).astype("int32"))
    typical = [typical_of(one) for one in distances]
    distances = [one / there for one, there in zip(distances, typical, strict=True)]
    of_whole, _ = nearest_pictures(tf.constant(whole[sorted(full)]), tf.constant(vectors))
    found = distances_of_pictures(*distances, of_whole).numpy().astype("float64")
    floor = 0.1 * np.median(found, 0) + 1e-6  # log(0) must not stand out
    logs = np.log(found + floor)
    spread = logs.std(0)
    return Learned(
        means,
        maps,
        kept_rows,
        kept_owners,
        vectors,
        np.stack(typical),
        np.float32([floor, logs.mean(0), np.where(spread < 1e-3, 1.0, spread)]),
        np.concatenate(white, -1),
    )


def typical_of(distances):
    """The mean distance (P,) of each position from distances (N, P), shrunk towards their mean.

    Source: a mean with a prior worth `PRIOR` pictures at the mean of all positions.
    """
    distances = np.asarray(distances, "float64")
    count, total = len(distances), max(distances.mean(), 1e-6)
    return ((distances.sum(0) + PRIOR * total) / (count + PRIOR)).astype("float32")


def whitening(rows):
    """The mean (c,) of rows (N, c), and a matrix (c, c) that whitens them."""
    exact = rows.astype("float64")
    mean = exact.mean(0)
    covariance = (exact - mean).T @ (exact - mean) / len(rows)
    variances, directions = np.linalg.eigh(covariance)
    # directions that hardly vary must not dominate
    variances = np.maximum(variances, max(SMALLEST * variances.mean(), 1e-12))
    return mean.astype("float32"), (directions / np.sqrt(variances)).astype("float32")


def far_apart(x, count, rng):
    """Indices of `count` rows (N, d) such that no row is far from all of them: greedy k-centre.

    Among at most `CANDIDATES` rows, in a random projection to `PROJECTED` dimensions.

    Source: Sener and Savarese, ICLR 2018; Roth et al., CVPR 2022, Algorithm 1.
    """
    candidates = np.sort(rng.choice(len(x), min(CANDIDATES, len(x)), replace=False))
    y = x[candidates]
    if y.shape[1] > PROJECTED:
        y = y @ rng.standard_normal((y.shape[1], PROJECTED), "float32") / np.sqrt(PROJECTED)
    squares, away = (y * y).sum(1), np.full(len(y), np.inf, "float32")
    chosen = [int(rng.integers(len(y)))]
    while len(chosen) < min(count, len(y)):
        last = chosen[-1]
        away = np.minimum(away, squares - 2 * (y @ y[last]) + squares[last])
        away[last] = -np.inf  # rounding must not choose it twice
        chosen.append(int(away.argmax()))
    return candidates[chosen]


def _keep_rows(rows, owners, keep, most, rng):
    """Which whitened rows are kept, and the picture each is from; -1 for none."""
    if keep == "none":
        return np.zeros((1, rows.shape[1]), "float32"), np.array([-1])
    if keep == "centroids":
        some = rows[np.sort(rng.choice(len(rows), min(CANDIDATES, len(rows)), replace=False))]
        found = centroids(some, int(rng.integers(2**31)))
        return found, np.full(len(found), -1)
    chosen = far_apart(rows, most, rng)
    return rows[chosen], owners[chosen]


def _keep_pictures(whole, keep, rng):
    """Which unit vectors (N, w) are kept, and their numbers if they are training pictures."""
    if keep == "none":
        return whole.mean(0, keepdims=True), np.zeros(0, int)
    if keep == "centroids":
        return centroids(whole, int(rng.integers(2**31))), np.zeros(0, int)
    picked = np.sort(rng.choice(len(whole), min(PICTURES, len(whole)), replace=False))
    return whole[picked], picked
