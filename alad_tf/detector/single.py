"""One record at a time: preprocessing and networks as one compiled call, in a block of one.

A block of 256 rows or 32 images takes the same time however few records it holds. A block of one
sums in another order, so that the last bits of a score may differ from those in a full block.
Verdicts and p-values do not differ: a score so close to the threshold, or to a calibration score,
that rounding might move it across is computed again in a full block.
"""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from alad_tf.data.records import rows
from alad_tf.detector.ensemble import Ensemble
from alad_tf.engine.programs import check_finite
from alad_tf.engine.session import own_settings
from alad_tf.model.scorer import Scorer

RTOL, ATOL = 1e-5, 1e-6  # by which the two orders of summing may differ


def is_one(x):
    """Whether there is a single raw record, as far as can be seen before checking."""
    if isinstance(x, Mapping):
        x = next(iter(x.values()), ())
        if np.isscalar(x) or x is None:
            return True
    shape = getattr(x, "shape", None)
    if shape is None:
        return hasattr(x, "__len__") and len(x) == 1
    return len(shape) > 0 and shape[0] == 1


class Single:
    """Scores of one record.

    Args:
        preprocessor: a fitted preprocessor of `alad_tf.preprocess`.
        scorer: `Scorer` or `Ensemble`. Baselines do not score in blocks, or amplify rounding.
    """

    def __init__(self, preprocessor, scorer):
        self.preprocessor, self.scorer = preprocessor, scorer
        self._program = None

    def is_of(self, preprocessor, scorer):
        """Whether it was made from these."""
        return self.preprocessor is preprocessor and self.scorer is scorer

    @staticmethod
    def takes(scorer):
        """Whether a scorer can score a block of one."""
        return isinstance(scorer, (Scorer, Ensemble))

    @own_settings
    def scores(self, x):
        """The scores of a record, and the record preprocessed.

        Args:
            x: raw records, as the preprocessor's `check` takes them.

        Returns:
            `(scores, sample)`: dict of float32 arrays (1,) by name, and float32 (1, ...); None for
            more than one record.
        """
        checked = self.preprocessor.check(x)
        if rows(checked) != 1:
            return None
        if self._program is None:
            self._program = self._compiled(checked)
        found, sample = (part.numpy() for part in self._program(*_packed(checked)))
        if not np.isfinite(found).all():
            check_finite(sample)
        return dict(zip(self.scorer.score_names, found.T, strict=True)), sample

    def _compiled(self, checked):
        """The program for records of this structure; text stays out of XLA, which has none."""

        def answer(*packed):
            sample = self.preprocessor(_unpacked(packed, checked))
            return self.scorer.alone(sample), sample

        specs = [tf.TensorSpec(part.shape, part.dtype) for part in _packed(checked)]
        return tf.function(answer, autograph=False).get_concrete_function(*specs)


def undecided(threshold, score):
    """Whether rounding might move a score across the threshold or a calibration score.

    Args:
        threshold: `alad_tf.detector.threshold.Threshold`, or None.
        score: float.
    """
    if threshold is None:
        return False
    away = ATOL + RTOL * abs(float(score))
    least, most = np.float32(score - away), np.float32(score + away)
    if least <= np.float32(threshold) <= most:
        return True
    reference = threshold.reference
    return np.searchsorted(reference, least) < np.searchsorted(reference, most, side="right")


def _kind(leaf):
    return "text" if leaf.dtype.kind in "OUS" else leaf.dtype.name


def _packed(checked):
    """A record's leaves as one tensor per type, since passing forty tensors to a call is slow."""
    groups = {}
    for leaf in tf.nest.flatten(checked):
        groups.setdefault(_kind(leaf), []).append(leaf.ravel())
    return [tf.constant(np.concatenate(leaves)) for leaves in groups.values()]


def _unpacked(packed, checked):
    """Undo `_packed`: the tensors in the record's structure."""
    leaves = tf.nest.flatten(checked)
    kinds = [_kind(leaf) for leaf in leaves]
    found = [None] * len(leaves)
    for kind, tensor in zip(dict.fromkeys(kinds), packed, strict=True):
        places = [place for place, other in enumerate(kinds) if other == kind]
        parts = tf.split(tensor, [leaves[place].size for place in places])
        for place, part in zip(places, parts, strict=True):
            found[place] = tf.reshape(part, leaves[place].shape)
    return tf.nest.pack_sequence_as(checked, found)
