"""`ALADDetector(features=...)`: fitting on pictures of any size, and heat maps."""

import keras
import numpy as np
from rich.console import Console

from alad_tf.detector.backbone import PIXELS, backbone_for
from alad_tf.detector.defaults import rules_for
from alad_tf.detector.ensemble import COMBINED
from alad_tf.detector.explain import Explanation
from alad_tf.detector.members import train_members
from alad_tf.detector.patches import FeatureOptions, PatchScorer, embedding, learn
from alad_tf.engine.progress import counted
from alad_tf.model.scorer import Scorer
from alad_tf.preprocess.pictures import PicturePreprocessor, check_pictures

MEMBERS = 3  # whose scores are averaged, if they decide
NETWORK = "network"  # stands for a Keras model among saved parameters: it is in the scorer


def uses_network(features):
    """Whether the argument `features` names or is a network."""
    return isinstance(features, keras.Model) or features not in (None, PIXELS)


def check_records_of_pictures(estimator, x, reset):
    """Pictures of any sizes, checked: uint8 (N, H, W, C), or an object array of pictures."""
    x = require_pictures(x, estimator.features)
    if reset and len(x) < 2:
        raise ValueError(f"received {len(x)} image(s); expected at least 2.")
    return x


def require_pictures(x, features):
    """Pictures as `check_pictures` returns them; ValueError for a table."""
    if hasattr(x, "columns") or isinstance(x, dict):
        raise ValueError(
            f"received features={_named(features)} and a table; `features` is for images. Leave it "
            "out."
        )
    return check_pictures(x)


def _named(features):
    return repr(getattr(features, "name", features))


def fit_pictures(estimator, train, seed, keep, history):
    """`ALADDetector.fit` for pictures: returns `(preprocessor, scorer, models)`.

    The network is built first, so that a missing one is an error before anything long begins.
    """
    if estimator.warm_start:
        raise ValueError(
            f"received warm_start=True with features={_named(estimator.features)}, which "
            "cannot be combined. Leave one of them out."
        )
    if history.callbacks and not _members(estimator):
        raise ValueError(
            "received callbacks, but with features of a pretrained network the default score needs "
            "no training. Leave them out, or set n_members=1 to train an ALAD as well."
        )
    options = FeatureOptions.of(estimator.feature_options)
    backbone = backbone_for(estimator.features, options.layers)
    preprocessor = PicturePreprocessor(backbone.input_shape, options.keep_aspect)
    estimator.n_features_in_ = int(np.prod(backbone.input_shape))
    console = Console(stderr=True) if estimator.verbose else None
    with counted(len(train), "images", console) as advance:
        features_of = embedding(backbone, options.neighbourhood)
        parts = preprocessor.parts(train)
        learned = learn(features_of, parts, len(train), seed, keep, options.rows, advance)
    models = _train_alads(estimator, learned.positions, seed, history, preprocessor)
    scorers = [Scorer.from_alad(model) for model in models]
    return preprocessor, PatchScorer.of(backbone, learned, scorers, keep, options), models


def _members(estimator):
    """How many ALADs train on positions' rows: 0, unless they decide or `n_members` is set."""
    return estimator.n_members or (MEMBERS if estimator.score_name != COMBINED else 0)


def _train_alads(estimator, rows, seed, history, preprocessor):
    """ALADs that were trained on positions' rows: see `PatchScorer`."""
    estimator.history_ = history.history
    count = _members(estimator)
    if not count:
        return []
    estimator.rules_ = estimator._rules_for(rows)
    models = estimator.rules_.build_members(count, seed)
    estimator._train(models, rows, history, preprocessor)
    return models


def explain_pictures(detector, x, score=None):
    """Heat maps of pictures, as `Detector.explain` returns them.

    Raises:
        ValueError: if the score has no heat map, or the preprocessor refuses the pictures.
    """
    if (score or COMBINED) != COMBINED:
        raise ValueError(
            f"received score={score!r}; heat maps exist only for {COMBINED!r}. Leave `score` out."
        )
    x = detector.preprocessor.check(x)
    found = [detector.scorer.heat_maps(part) for part in detector.preprocessor.parts(x)]
    sizes = [picture.shape[:2] for picture in x]
    at_size = detector.preprocessor.at_size
    maps = zip(np.concatenate(found), sizes, strict=True)
    maps = [at_size(heat[None], size)[0].numpy() for heat, size in maps]
    if len({one.shape for one in maps}) == 1:
        attributions = np.stack(maps)
    else:
        attributions = np.empty(len(maps), object)
        attributions[:] = maps
    scores = detector.scores(x)[COMBINED]
    return Explanation(
        score=COMBINED,
        scores=scores,
        baseline=np.zeros_like(scores),
        reconstruction=None,
        columns=(),
        attributions=attributions,
        observed={},
        expected={},
    )


class FeaturesModel:
    """Features of a network and an ALAD on them, fitted to preprocessed pictures, as in the zoo.

    Attributes:
        scorer: `PatchScorer`, after `fit`.
    """

    def __init__(self, network, rows, steps, hidden, seed=0):
        self.backbone = backbone_for(network)
        self.options = FeatureOptions.of({"rows": rows})
        self.steps, self.hidden, self.seed = int(steps), int(hidden), int(seed)
        self.scorer = self.console = None

    def fit(self, x):
        """Fit to pictures (N, *x_shape); returns the model itself."""
        learned, rules, models = self._learn(x)
        train_members(models, learned.positions, rules.batch_size, rules.steps)
        self.scorer = self._scorer(learned, models)
        return self

    def untrained_scores(self, x_train, x_test):
        """The scores by name with an untrained ALAD; "combined" does not use it."""
        learned, _, models = self._learn(x_train)
        return self._scorer(learned, models).scores(x_test)

    def _learn(self, x):
        features_of = embedding(self.backbone)
        learned = learn(features_of, [x], len(x), self.seed, rows=self.options.rows)
        rows = learned.positions
        rules = rules_for(rows.shape[1:], len(rows), hidden=self.hidden, steps=self.steps)
        return learned, rules, rules.build_members(1, self.seed)

    def _scorer(self, learned, models):
        scorers = [Scorer.from_alad(model) for model in models]
        return PatchScorer.of(self.backbone, learned, scorers, options=self.options)
