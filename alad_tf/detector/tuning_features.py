"""The search of `alad_tf.detector.tuning`, for features of a network: layers, positions, weights.

The network's features of each picture are computed once, so that a trial takes seconds.
"""

from dataclasses import dataclass, field

import keras_tuner
import numpy as np
import tensorflow as tf

from alad_tf.detector.backbone import backbone_for, candidates_for
from alad_tf.detector.ensemble import COMBINED
from alad_tf.detector.patches import BATCH, FeatureOptions, PatchScorer, learn, positions_of
from alad_tf.detector.pictures import require_pictures
from alad_tf.detector.tuning import HELD_OUT, OBJECTIVE, area, corrupt
from alad_tf.engine.state_file import identity_of
from alad_tf.preprocess.pictures import PicturePreprocessor

DEFAULT_LAYERS = "default"
PIECES = (1 / 8, 1 / 2)  # sides of the pasted piece, relative to the picture's: by turns
MOST = 400  # pictures that are used: their maps are kept in memory
FEWEST = 10


@dataclass(frozen=True, eq=False)
class FeatureTuningData:
    """A network's features of training pictures, held-out ones, and corrupted copies of these.

    Attributes:
        features: what `ALADDetector` takes: "imagenet" or a Keras model.
        layers: dict of pairs of layers, `(fine, coarse)`, by their names in a trial; None for the
            default.
        maps: dict of float16 arrays (N, h, w, c) by layer, and of the last map's means (N, w).
        backbones: dict of `Backbone`s by their names in a trial.
        trained: int, how many pictures are for training: the first ones. Of the others, the first
            half is normal and the second half corrupted.
    """

    features: object
    layers: dict
    maps: dict = field(repr=False)
    backbones: dict = field(repr=False)
    trained: int
    keep_aspect: bool = False

    @classmethod
    def split(cls, pictures, features, seed, keep_aspect=False):
        """Hold out a fifth of N >= 10 normal pictures, corrupt copies, and compute all features."""
        pictures = require_pictures(pictures, features)
        if len(pictures) < FEWEST:
            raise ValueError(f"A search needs at least ten images; received {len(pictures)}.")
        generator = np.random.default_rng(seed)
        order = generator.permutation(len(pictures))[:MOST]
        held_out = round(HELD_OUT * len(order))
        chosen = [pictures[number] for number in (*order[held_out:], *order[:held_out])]
        layers = {DEFAULT_LAYERS: None}
        layers |= {f"{fine}, {coarse}": (fine, coarse) for fine, coarse in candidates_for(features)}
        backbones = {name: backbone_for(features, pair) for name, pair in layers.items()}
        preprocessor = PicturePreprocessor(backbones[DEFAULT_LAYERS].input_shape, keep_aspect)
        x = preprocessor.transform(chosen)
        normal = x[len(x) - held_out :]
        versions = [corrupt(normal, generator, piece) for piece in PIECES]
        corrupted = [versions[place % len(PIECES)][place] for place in range(held_out)]
        x = np.concatenate([x, corrupted])
        maps = {name: _embedded(backbone, x) for name, backbone in backbones.items()}
        return cls(features, layers, maps, backbones, len(order) - held_out, keep_aspect)

    def of(self, layers, neighbourhood, rows):
        """The features of the pictures with the numbers `rows`, as `embedding` returns them."""
        maps = [one[rows].astype("float32") for one in self.maps[layers]]
        *places, whole = (one.numpy() for one in positions_of(maps, neighbourhood))
        return [*(one.reshape(len(rows), -1, one.shape[-1]) for one in places), whole]

    def hypermodel(self, score_name=None, seed=0):
        """The space that `alad_tf.detector.tuning.search` searches."""
        return FeaturesHyperModel(self, score_name, seed)

    def identity(self, score_name, seed):
        """A text that identifies pictures, network and seed."""
        parts = (one for maps in self.maps.values() for one in maps)
        return identity_of(*self.layers, self.trained, self.keep_aspect, *parts, score_name, seed)

    def arguments(self, values):
        """The arguments of `ALADDetector` that a trial's values stand for."""
        pair, neighbourhood, rows, weights = _choices(values, self.layers)
        chosen = {"layers": pair, "neighbourhood": neighbourhood, "rows": rows, "weights": weights}
        options = FeatureOptions.of({**chosen, "keep_aspect": self.keep_aspect})
        return {"features": self.features, "feature_options": options.changed()}


class FeaturesHyperModel(keras_tuner.HyperModel):
    """Layers, neighbourhood, kept positions and weights as a space to search.

    Args:
        data: `FeatureTuningData`.
        score_name: "combined" or None: no other score depends on them.
        seed: int, the seed of the choice of kept positions, the same in all trials.
    """

    def __init__(self, data, score_name=None, seed=0):
        super().__init__()
        self.data, self.seed = data, int(seed)
        self.score_name = require_combined(score_name)

    def build(self, hp):
        """Define the search space; there is no model to build before a trial is fitted."""
        hp.Choice("layers", list(self.data.layers), default=DEFAULT_LAYERS)
        hp.Choice("neighbourhood", [1, 3, 5], default=FeatureOptions.neighbourhood)
        hp.Choice("rows", [250, 1000, 4000], default=FeatureOptions.rows)
        hp.Choice("whole", [0.2, 0.4, 0.6, 0.8], default=0.6)
        hp.Choice("strongest", [0.25, 0.5, 0.75], default=0.5)

    def fit(self, hp, model, *args, **kwargs):
        """Fit to the training pictures and score the held-out ones: dict of "corruption_auroc"."""
        data = self.data
        pair, neighbourhood, rows, weights = _choices(hp.values, data.layers)
        layers = hp.values["layers"]
        options = FeatureOptions(pair, neighbourhood, rows, weights)

        def features_of(numbers):
            return data.of(layers, neighbourhood, numbers)

        count = len(data.maps[layers][0])
        learned = learn(
            features_of, [np.arange(data.trained)], data.trained, self.seed, rows=options.rows
        )
        scorer = PatchScorer.of(data.backbones[layers], learned, options=options)
        scores = []
        for start in range(data.trained, count, BATCH):
            fine, coarse, whole = features_of(np.arange(start, min(start + BATCH, count)))
            places = (one.reshape(-1, one.shape[-1]) for one in (fine, coarse))
            scores.append(scorer.answers(*places, whole)[COMBINED].numpy())
        return {OBJECTIVE: area(np.concatenate(scores))}


def require_combined(score_name):
    """The score that a search over features tunes; ValueError for another one."""
    if score_name not in (None, COMBINED):
        raise ValueError(
            f"received the score {score_name!r}; with features, only {COMBINED!r} can be tuned, "
            "since the other scores come from networks that are trained on them. Leave it out."
        )
    return COMBINED


def _choices(values, layers):
    """What a trial's values stand for: layers, neighbourhood, rows and weights of the parts."""
    whole, strongest = float(values["whole"]), float(values["strongest"])
    weights = ((1 - whole) * strongest, (1 - whole) * (1 - strongest), whole)
    return layers[values["layers"]], int(values["neighbourhood"]), int(values["rows"]), weights


def _embedded(backbone, x):
    """The maps of a network for pictures: float16, the last one averaged over its positions."""
    network = tf.function(lambda some: backbone.network(some, training=False), autograph=False)
    found = []
    for start in range(0, len(x), BATCH):
        some = x[start : start + BATCH]
        padded = np.pad(some, [(0, BATCH - len(some)), (0, 0), (0, 0), (0, 0)])
        fine, coarse, last = (one.numpy()[: len(some)] for one in network(tf.constant(padded)))
        found.append((fine, coarse, last.mean((1, 2), keepdims=True)))
    return [np.concatenate(kind).astype("float16") for kind in zip(*found, strict=True)]
