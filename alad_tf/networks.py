"""The five networks of ALAD, built from the rows of a table.

E and G are `Stack`s. The three discriminators return `(logits, features)`, so that no score needs a
second graph: D_xz is a `JointDiscriminator`, D_xx and D_zz are `PairDiscriminator`s.
"""

import keras
import numpy as np
import tensorflow as tf

from alad_tf.layers import PACKAGE, SeededDropout, SpectralNormalization
from alad_tf.rows import Row


def derive_seed(*path):
    """A 31-bit seed from a path of ints, e.g. (run seed, network, row).

    Args:
        *path: ints in [0, 2**32).

    Returns:
        int in [0, 2**31): a hash of the path and its length, equal for equal paths.

    Raises:
        ValueError: an int outside [0, 2**32).

    Example:
        >>> derive_seed(0, 1) == derive_seed(0, 1) != derive_seed(0, 1, 0)
        True
    """
    if any(not 0 <= part < 2**32 for part in path):
        raise ValueError(f"Seeds must be in [0, 2**32); received {path}.")
    # The length goes in because SeedSequence pads with zeros: (5, 2) and (5, 2, 0) are one to it.
    return int(np.random.SeedSequence((len(path), *path)).generate_state(1)[0] >> 1)


def _initializer(name, seed):
    if name == "glorot_uniform":
        return keras.initializers.GlorotUniform(seed=seed)
    if name == "normal_0.01":
        return keras.initializers.RandomNormal(0.0, 0.01, seed=seed)
    raise ValueError(
        f"Unknown initializer {name!r}; expected 'glorot_uniform' (the paper's tables) or "
        "'normal_0.01' (the paper's images)."
    )


@keras.saving.register_keras_serializable(package=PACKAGE)
class Stack(keras.layers.Layer):
    """Rows of a table, one after the other: operation, batch norm, non-linearity, dropout.

    Args:
        rows: sequence of `Row` (or their config dicts).
        spectral_norm: bool, wrap the rows' layers in `SpectralNormalization`.
        last_is_output: bool, leave the last row's layer unwrapped (a network's output layer).
        initializer: "glorot_uniform" or "normal_0.01"; biases start at 0.
        slope: float, LReLU's negative slope.
        seed: int, of initial weights, u and dropout masks.

    Call arguments:
        inputs: float tensor (B, ...).
        training: bool (batch statistics, dropout, power iteration).
        seed: int32 tensor (2,), the (call, step) pair that identifies the dropout masks.

    Returns:
        float tensor (B, ...), the last row's output.

    Raises:
        ValueError: no rows, or an unknown initializer.

    Example:
        >>> from alad_tf.rows import dense
        >>> Stack([dense(8, "lrelu"), dense(2)])(np.ones((3, 5), "float32")).shape
        TensorShape([3, 2])

    Source: ALAD, Tables IX, XI and XIII: blocks E(x) and G(z).
    """

    def __init__(
        self,
        rows,
        spectral_norm=False,
        last_is_output=True,
        initializer="glorot_uniform",
        slope=0.2,
        seed=0,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.rows = [row if isinstance(row, Row) else Row(**row) for row in rows]
        if not self.rows:
            raise ValueError(f"{self.name} needs at least one row; received none.")
        self.spectral_norm = bool(spectral_norm)
        self.last_is_output = bool(last_is_output)
        self.initializer = initializer
        self.slope = float(slope)
        self.seed = int(seed)
        self.steps = []
        for index, row in enumerate(self.rows):
            wrap = spectral_norm and not (last_is_output and index == len(self.rows) - 1)
            self.steps += self._make_layers(row, wrap, index)

    def _make_layers(self, row, wrap, index):
        seeds = [derive_seed(self.seed, index, use) for use in range(3)]
        policy = self.dtype_policy
        layer = _operation(row, _initializer(self.initializer, seeds[0]), policy)
        if wrap and row.has_kernel:
            layer = SpectralNormalization(layer, seed=seeds[1])
        layers = [layer]
        if row.batch_norm:
            layers.append(
                keras.layers.BatchNormalization(momentum=0.99, epsilon=1e-3, dtype=policy)
            )
        if row.activation == "lrelu":
            layers.append(keras.layers.LeakyReLU(self.slope, dtype=policy))
        elif row.activation:
            layers.append(keras.layers.Activation(row.activation, dtype=policy))
        if row.dropout:
            layers.append(SeededDropout(row.dropout, seed=seeds[2], dtype=policy))
        return layers

    @property
    def has_batch_norm(self):
        """Whether any row normalises by batch statistics (then batches must not be merged)."""
        return any(row.batch_norm for row in self.rows)

    def build(self, input_shape):
        for layer in self.steps:
            layer.build(input_shape)
            input_shape = layer.compute_output_shape(input_shape)

    def compute_output_shape(self, input_shape):
        for layer in self.steps:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    def call(self, inputs, training=False, seed=None):
        x = inputs
        for layer in self.steps:
            if isinstance(layer, SeededDropout):
                x = layer(x, training=training, seed=seed)
            elif isinstance(layer, (SpectralNormalization, keras.layers.BatchNormalization)):
                x = layer(x, training=training)
            else:
                x = layer(x)
        return tf.cast(x, self.variable_dtype)  # sums and losses stay float32 in mixed precision

    def get_config(self):
        return {
            **super().get_config(),
            "rows": [row.to_config() for row in self.rows],
            "spectral_norm": self.spectral_norm,
            "last_is_output": self.last_is_output,
            "initializer": self.initializer,
            "slope": self.slope,
            "seed": self.seed,
        }


def _operation(row, initializer, policy):
    if row.op == "dense":
        return keras.layers.Dense(row.units, kernel_initializer=initializer, dtype=policy)
    if row.op == "reshape":
        return keras.layers.Reshape(row.shape, dtype=policy)
    if row.op == "flatten":
        return keras.layers.Flatten(dtype=policy)
    kind = keras.layers.Conv2D if row.op == "conv" else keras.layers.Conv2DTranspose
    return kind(
        row.units,
        row.kernel,
        row.strides,
        padding=row.padding,
        kernel_initializer=initializer,
        dtype=policy,
    )


class _Discriminator(keras.layers.Layer):
    """Shared part of the discriminators: config, and the split into body and last row."""

    def __init__(self, spectral_norm, initializer, slope, seed, **kwargs):
        super().__init__(autocast=False, **kwargs)
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
            dtype=self.dtype_policy,
            name=name,
        )

    def _logits_and_features(self, joined, training, seed):
        """Body, then last row: logits (B,) and the flattened layer before them (B, F)."""
        features = self.body(joined, training=training, seed=seed)
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
class PairDiscriminator(_Discriminator):
    """D_xx or D_zz: tells (a, a) from (a, reconstruction of a).

    Args:
        rows: sequence of `Row`; the last one gives the logit, the one before it the features.
        axis: int, the axis on which the pair is concatenated. Vectors: -1. Images: -1 (channels)
            or 1 (height).
        spectral_norm, initializer, slope, seed: as for `Stack`.

    Call arguments:
        a, b: float tensors (B, ...) of one shape.
        training, seed: as for `Stack`.

    Returns:
        `(logits, features)`: float tensors (B,) and (B, F).

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
        super().__init__(spectral_norm, initializer, slope, seed, **kwargs)
        self.rows = [row if isinstance(row, Row) else Row(**row) for row in rows]
        if len(self.rows) < 2:
            raise ValueError(
                f"{self.name} needs a feature row and a logit row; received {len(self.rows)} rows."
            )
        self.axis = int(axis)
        self.body = self._stack(self.rows[:-1], "body", 0)
        self.top = self._stack(self.rows[-1:], "top", 1, output=True)

    @property
    def has_batch_norm(self):
        """Whether any row normalises by batch statistics (then batches must not be merged)."""
        return self.body.has_batch_norm

    def build(self, a_shape, b_shape=None):
        joined = list(a_shape)
        joined[self.axis] *= 2
        self.body.build(tuple(joined))
        self.top.build(self.body.compute_output_shape(tuple(joined)))

    def call(self, a, b, training=False, seed=None):
        joined = tf.concat([a, b], axis=self.axis)  # (B, 2d) or the images side by side
        return self._logits_and_features(joined, training, seed)

    def get_config(self):
        rows = [row.to_config() for row in self.rows]
        return {**super().get_config(), "rows": rows, "axis": self.axis}


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

    def call(self, x, z, training=False, seed=None):
        branches = [
            self.x_branch(x, training=training, seed=seed),
            self.z_branch(z, training=training, seed=seed),
        ]
        joined = tf.concat(branches, axis=-1)
        return self._logits_and_features(joined, training, seed)

    def get_config(self):
        return {
            **super().get_config(),
            "x_rows": [row.to_config() for row in self.x_rows],
            "z_rows": [row.to_config() for row in self.z_rows],
            "joint_rows": [row.to_config() for row in self.joint_rows],
        }
