"""One record at a time: preprocessing and networks as one compiled call, in a block of one.

A full block of 256 rows or 32 images takes its time, however few of them are records. A block of
one takes the sums in another order, so that last bits of a score may differ from those that the
record has among others. What is decided does not: a score so near to the threshold, or to a
calibration score, that rounding might move it across is computed again in a full block.
"""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from alad_tf.data.records import rows
from alad_tf.detector.ensemble import Ensemble
from alad_tf.engine.programs import check_finite
from alad_tf.engine.session import own_settings
from alad_tf.model.scorer import Scorer

RTOL, ATOL = 1e-5, 1e-6  # that the two orders of summing may differ by


def is_one(x):
    """Whether raw records are a single one, as far as that can be seen before they are checked."""
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
        scorer: `Scorer` or `Ensemble`; a rival's scores are not computed in blocks, or not to few
            roundings.
    """

    def __init__(self, preprocessor, scorer):
        self.preprocessor, self.scorer = preprocessor, scorer
        self._program = None

    def is_of(self, preprocessor, scorer):
        """Whether it scores with these."""
        return self.preprocessor is preprocessor and self.scorer is scorer

    @staticmethod
    def takes(scorer):
        """Whether a scorer has a block of one."""
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
    """A record's leaves as a tensor for each type: a call of forty tensors takes its time."""
    groups = {}
    for leaf in tf.nest.flatten(checked):
        groups.setdefault(_kind(leaf), []).append(leaf.ravel())
    return [tf.constant(np.concatenate(leaves)) for leaves in groups.values()]


def _unpacked(packed, checked):
    """The tensors of `_packed` in a record's structure again."""
    leaves = tf.nest.flatten(checked)
    kinds = [_kind(leaf) for leaf in leaves]
    found = [None] * len(leaves)
    for kind, tensor in zip(dict.fromkeys(kinds), packed, strict=True):
        places = [place for place, other in enumerate(kinds) if other == kind]
        parts = tf.split(tensor, [leaves[place].size for place in places])
        for place, part in zip(places, parts, strict=True):
            found[place] = tf.reshape(part, leaves[place].shape)
    return tf.nest.pack_sequence_as(checked, found)
