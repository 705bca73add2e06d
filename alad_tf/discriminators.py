"""The discriminators. They return `(logits, features)`, so that no score needs a second graph.

D_xz is a `JointDiscriminator`; D_xx and D_zz are `PairDiscriminator`s; AnoGAN's D is a plain
`Discriminator`.
"""

import keras
import numpy as np
import tensorflow as tf

from alad_tf.layers import PACKAGE, product
from alad_tf.networks import Stack
from alad_tf.precision import OfPolicy
from alad_tf.random import derive_seed
from alad_tf.rows import Row


def _joined(layer, parts, kernel):
    """[a, b] K by parts, so that a frozen part costs no gradient."""
    kernels = tf.split(kernel, [part.shape[-1] for part in parts], axis=-2)
    products = [product(layer, part, k) for part, k in zip(parts, kernels, strict=True)]
    return tf.add_n(products)


def _pairs(layer, pair, kernel):
    """[a, a] K, then [a, b] K, which share most: [a, b] K = [a, a] K + (b - a) K_b."""
    a, b = pair
    kernels = tf.split(kernel, 2, axis=-2)
    same = product(layer, a, tf.add_n(kernels))
    return tf.concat([same, same + product(layer, b - a, kernels[1])], 0)


class _Discriminator(OfPolicy):
    """Shared part of the discriminators: config, and the split into body and last row."""

    def __init__(self, spectral_norm, initializer, slope, seed, **kwargs):
        super().__init__(**kwargs)
        self.spectral_norm = bool(spectral_norm)
        self.initializer = initializer
        self.slope = float(slope)
        self.seed = int(seed)

    def _stack(self, rows, name, index, output=False):
        return Stack(
            rows,
            spectral_norm=self.spectral_norm,
            last_is_output=output,
            initializer=self.initializer,
            slope=self.slope,
            seed=derive_seed(self.seed, index),
            dtype=self.policy,
            name=name,
        )

    def _logits_and_features(self, joined, training, seed, products=None):
        """Body, then last row: logits (B,) and the flattened layer before them (B, F)."""
        features = self.body(joined, training=training, seed=seed, products=products)
        logits = self.top(features, training=training, seed=seed)  # (B, 1) or (B, 1, 1, 1)
        flat = tf.reshape(features, (-1, int(np.prod(features.shape[1:]))))
        return tf.reshape(logits, (-1,)), flat

    def get_config(self):
        return {
            **super().get_config(),
            "spectral_norm": self.spectral_norm,
            "initializer": self.initializer,
            "slope": self.slope,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package=PACKAGE)
class Discriminator(_Discriminator):
    """D of a plain GAN: tells x from G(z).

    Args:
        rows: sequence of `Row`; the last one gives the logit, the one before it the features.
        spectral_norm, initializer, slope, seed: as for `Stack`.

    Call arguments:
        x: float tensor (B, ...).
        training, seed: as for `Stack`.

    Returns:
        `(logits, features)`: float tensors (B,) and (B, F).

    Raises:
        ValueError: fewer than two rows.

    Example:
        >>> from alad_tf.rows import dense
        >>> logits, features = Discriminator([dense(8, "lrelu"), dense(1)])(tf.ones((3, 5)))
        >>> logits.shape, features.shape
        (TensorShape([3]), TensorShape([3, 8]))

    Source: ALAD, Tables X and XII, block D(x).
    """

    def __init__(
        self,
        rows,
        spectral_norm=False,
        initializer="glorot_uniform",
        slope=0.2,
        seed=0,
        **kwargs,
    ):
        super().__init__(spectral_norm, initializer, slope, seed, **kwargs)
        self.rows = [row if isinstance(row, Row) else Row(**row) for row in rows]
        if len(self.rows) < 2:
            raise ValueError(
                f"{self.name} needs a feature row and a logit row; received {len(self.rows)} rows."
            )
        self.body = self._stack(self.rows[:-1], "body", 0)
        self.top = self._stack(self.rows[-1:], "top", 1, output=True)

    @property
    def has_batch_norm(self):
        """Whether any row normalises by batch statistics (then batches must not be merged)."""
        return self.body.has_batch_norm

    def build(self, input_shape):
        self.body.build(input_shape)
        self.top.build(self.body.compute_output_shape(input_shape))

    def call(self, x, training=False, seed=None):
        return self._logits_and_features(x, training, seed)

    def get_config(self):
        return {**super().get_config(), "rows": [row.to_config() for row in self.rows]}


@keras.saving.register_keras_serializable(package=PACKAGE)
class PairDiscriminator(Discriminator):
    """D_xx or D_zz: tells (a, a) from (a, reconstruction of a).

    Args:
        rows: sequence of `Row`; the last one gives the logit, the one before it the features.
        axis: int, the axis on which the pair is concatenated. Vectors: -1. Images: -1 (channels)
            or 1 (height).
        spectral_norm, initializer, slope, seed: as for `Stack`.

    Call arguments:
        a, b: float tensors (B, ...) of one shape.
        training, seed: as for `Stack`.
        both: bool, answer for (a, a) as well: first its B rows, then those of (a, b). Training with
            batch norm would mix the two.
        by_parts: bool, multiply a and b by their own parts of the first kernel: the same, and
            cheaper where the kernel is frozen and a needs no gradient.

    Returns:
        `(logits, features)`: float tensors (B,) and (B, F), or (2B,) and (2B, F).

    Raises:
        ValueError: fewer than two rows.

    Example:
        >>> from alad_tf.rows import dense
        >>> D_xx = PairDiscriminator([dense(8, "lrelu", dropout=0.2), dense(1)])
        >>> logits, features = D_xx(tf.ones((3, 5)), tf.ones((3, 5)))
        >>> logits.shape, features.shape
        (TensorShape([3]), TensorShape([3, 8]))

    Source: ALAD, Section IV-A and IV-B; Tables IX, XI, XIII, blocks D_xx and D_zz.
    """

    def __init__(
        self,
        rows,
        axis=-1,
        spectral_norm=False,
        initializer="glorot_uniform",
        slope=0.2,
        seed=0,
        **kwargs,
    ):
        super().__init__(rows, spectral_norm, initializer, slope, seed, **kwargs)
        self.axis = int(axis)

    def build(self, a_shape, b_shape=None):
        joined = list(a_shape)
        joined[self.axis] *= 2
        super().build(tuple(joined))

    @property
    def shares(self):
        """Whether the pairs (a, a) and (a, b) share the products of the first row."""
        return self.axis == -1 and self.body.takes_products

    def call(self, a, b, training=False, seed=None, both=False, by_parts=False):
        if self.shares and (both or by_parts):
            return self._logits_and_features((a, b), training, seed, _pairs if both else _joined)
        if both:
            a, b = tf.concat([a, a], 0), tf.concat([a, b], 0)
        joined = tf.concat([a, b], axis=self.axis)  # (B, 2d) or the images side by side
        return self._logits_and_features(joined, training, seed)

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}


@keras.saving.register_keras_serializable(package=PACKAGE)
class JointDiscriminator(_Discriminator):
    """D_xz: tells (x, E(x)) from (G(z), z).

    Args:
        x_rows, z_rows: sequences of `Row`, the branches "only on x" and "only on z".
        joint_rows: sequence of `Row` on the concatenated branches; the last one gives the logit.
        spectral_norm, initializer, slope, seed: as for `Stack`.

    Call arguments:
        x: float tensor (B, ...).
        z: float tensor (B, latent).
        training, seed: as for `Stack`.
        by_parts: bool, multiply the branches by their own parts of the joint kernel: the same, and
            cheaper where the kernel is frozen and one of the branches needs no gradient.

    Returns:
        `(logits, features)`: float tensors (B,) and (B, F).

    Raises:
        ValueError: fewer than two joint rows.

    Example:
        >>> from alad_tf.rows import dense
        >>> D_xz = JointDiscriminator([dense(8)], [dense(8)], [dense(4, "lrelu"), dense(1)])
        >>> D_xz(tf.ones((3, 5)), tf.ones((3, 2)))[0].shape
        TensorShape([3])

    Source: ALAD, Section IV-A; the blocks of Tables IX, XI and XIII that are titled D_xx(x, z).
    """

    def __init__(
        self,
        x_rows,
        z_rows,
        joint_rows,
        spectral_norm=False,
        initializer="glorot_uniform",
        slope=0.2,
        seed=0,
        **kwargs,
    ):
        super().__init__(spectral_norm, initializer, slope, seed, **kwargs)
        as_rows = [
            [row if isinstance(row, Row) else Row(**row) for row in rows]
            for rows in (x_rows, z_rows, joint_rows)
        ]
        self.x_rows, self.z_rows, self.joint_rows = as_rows
        if len(self.joint_rows) < 2:
            raise ValueError(
                f"{self.name} needs a feature row and a logit row on the joined branches; "
                f"received {len(self.joint_rows)} rows."
            )
        self.x_branch = self._stack(self.x_rows, "x_branch", 0)
        self.z_branch = self._stack(self.z_rows, "z_branch", 1)
        self.body = self._stack(self.joint_rows[:-1], "body", 2)
        self.top = self._stack(self.joint_rows[-1:], "top", 3, output=True)

    @property
    def has_batch_norm(self):
        """Whether any row normalises by batch statistics (then batches must not be merged)."""
        return any(s.has_batch_norm for s in (self.x_branch, self.z_branch, self.body))

    def build(self, x_shape, z_shape=None):
        self.x_branch.build(x_shape)
        self.z_branch.build(z_shape)
        x_out = self.x_branch.compute_output_shape(x_shape)
        z_out = self.z_branch.compute_output_shape(z_shape)
        joined = (*x_out[:-1], x_out[-1] + z_out[-1])
        self.body.build(joined)
        self.top.build(self.body.compute_output_shape(joined))

    def call(self, x, z, training=False, seed=None, by_parts=False):
        branches = [
            self.x_branch(x, training=training, seed=seed),
            self.z_branch(z, training=training, seed=seed),
        ]
        if by_parts and self.body.takes_products:
            return self._logits_and_features(branches, training, seed, _joined)
        return self._logits_and_features(tf.concat(branches, axis=-1), training, seed)

    def get_config(self):
        return {
            **super().get_config(),
            "x_rows": [row.to_config() for row in self.x_rows],
            "z_rows": [row.to_config() for row in self.z_rows],
            "joint_rows": [row.to_config() for row in self.joint_rows],
        }
