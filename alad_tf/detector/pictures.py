"""`ALADDetector(features=...)`: fitting on pictures of any size, and heat maps."""

import keras
import numpy as np
from rich.console import Console

from alad_tf.detector.backbone import PIXELS, backbone_for
from alad_tf.detector.ensemble import COMBINED
from alad_tf.detector.explain import Explanation
from alad_tf.detector.patches import PatchScorer, learn
from alad_tf.engine.progress import counted
from alad_tf.model.scorer import Scorer
from alad_tf.preprocess.pictures import PicturePreprocessor, check_pictures, resized

MEMBERS = 3  # whose scores are averaged, where they decide
NETWORK = "network"  # stands for a Keras model among saved parameters: it is in the scorer


def uses_network(features):
    """Whether the argument `features` names or is a network."""
    return isinstance(features, keras.Model) or features not in (None, PIXELS)


def check_records_of_pictures(estimator, x, reset):
    """Pictures of any sizes, checked: uint8 (N, H, W, C), or an object array of pictures."""
    if hasattr(x, "columns") or isinstance(x, dict):
        raise ValueError(
            f"received features={_named(estimator.features)} and a table; `features` is for "
            "images. Leave it out."
        )
    x = check_pictures(x)
    if reset and len(x) < 2:
        raise ValueError(f"received {len(x)} image(s); expected at least 2.")
    return x


def _named(features):
    return repr(getattr(features, "name", features))


def fit_pictures(estimator, train, seed, keep, history):
    """What `ALADDetector.fit` makes of pictures: `(preprocessor, scorer, models)`.

    The network is built first, so that nothing long has begun if there is none.
    """
    if estimator.warm_start:
        raise ValueError(
            f"received warm_start=True with features={_named(estimator.features)}, which "
            "cannot be combined. Leave one of them out."
        )
    if history.callbacks and not _members(estimator):
        raise ValueError(
            "received callbacks, but the default score of features needs no training. Leave "
            "them out, or set n_members=1 to train an ALAD as well."
        )
    backbone = backbone_for(estimator.features)
    preprocessor = PicturePreprocessor(backbone.input_shape)
    estimator.n_features_in_ = int(np.prod(backbone.input_shape))
    console = Console(stderr=True) if estimator.verbose else None
    with counted(len(train), "images", console) as advance:
        parts = preprocessor.parts(train)
        learned = learn(backbone, parts, len(train), seed, keep, advance)
    models = _train_alads(estimator, learned.positions, seed, history, preprocessor)
    scorers = [Scorer.from_alad(model) for model in models]
    return preprocessor, PatchScorer.of(backbone, learned, scorers, keep), models


def _members(estimator):
    """How many ALADs train on positions' rows: none, unless they decide or are asked for."""
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
    """Heat maps of pictures, as `Detector.explain` gives them.

    Raises:
        ValueError: a score without a heat map, or pictures that the preprocessor refuses.
    """
    if (score or COMBINED) != COMBINED:
        raise ValueError(
            f"received score={score!r}; heat maps exist only for {COMBINED!r}. Leave `score` out."
        )
    x = detector.preprocessor.check(x)
    found = [detector.scorer.heat_maps(part) for part in detector.preprocessor.parts(x)]
    sizes = [picture.shape[:2] for picture in x]
    maps = [heat_at(*one) for one in zip(np.concatenate(found), sizes, strict=True)]
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


def heat_at(positions, size):
    """A heat map (h, w) of positions at a picture's size: float32 (H, W)."""
    return resized(positions[None, ..., None], size)[0, ..., 0].numpy()
