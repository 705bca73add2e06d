"""Networks made of a table's rows: stacks, discriminators, and all five of an architecture.

Discriminators return `(logits, features)`, so that no score needs a second graph.
"""

import functools

import keras
import numpy as np
import tensorflow as tf

from alad_tf.engine.kernels import OfPolicy, normalise_batch
from alad_tf.engine.random import derive_seed
from alad_tf.model.layers import (
    PACKAGE,
    SeededDropout,
    SpectralNormalization,
    apply_kernel,
    product,
    softplus,
)
from alad_tf.model.specs import Row

KERNEL_LAYERS = (
    keras.layers.Dense,
    keras.layers.Conv2D,
    keras.layers.Conv2DTranspose,
    SpectralNormalization,
)
NETWORKS = ("E", "G", "D_xz", "D_xx", "D_zz")


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
class Stack(OfPolicy):
    """Rows of a table, one after the other: operation, batch norm, non-linearity, dropout.

    Args:
        rows: sequence of `Row` (or their config dicts).
        spectral_norm: bool, wrap the rows' layers in `SpectralNormalization`.
        last_is_output: bool, leave the last row's layer unwrapped (a network's output layer).
        initializer: "glorot_uniform" or "normal_0.01"; biases start at 0.
        slope: float, LReLU's negative slope.
        seed: int, of initial weights, u and dropout masks.

    Call arguments:
        inputs: float tensor (B, ...), or what `products` takes.
        training: bool (batch statistics, dropout, power iteration).
        seed: int32 tensor (2,), the (call, step) pair that identifies the dropout masks.
        products: None, or a function of a layer, `inputs` and the layer's kernel, linear in the
            kernel, that takes the place of the first row's product: see `apply_kernel`.

    Returns:
        float tensor (B, ...), the last row's output.

    Raises:
        ValueError: no rows, or an unknown initializer.

    Example:
        >>> from alad_tf.model.specs import dense
        >>> Stack([dense(8, "lrelu"), dense(2)])(tf.ones((3, 5))).shape
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
        super().__init__(**kwargs)
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
        policy = self.policy
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
            function = softplus if row.activation == "softplus" else row.activation
            layers.append(keras.layers.Activation(function, dtype=policy))
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

    @property
    def takes_products(self):
        """Whether the first row is one that `products` can stand for."""
        return self.rows[0].op in ("dense", "conv")

    def call(self, inputs, training=False, seed=None, products=None):
        x, multiply = inputs, products or product
        for layer in self.steps:
            if isinstance(layer, KERNEL_LAYERS):
                plain = getattr(layer, "layer", layer)  # without the normalisation
                x = apply_kernel(layer, functools.partial(multiply, plain, x), training)
                multiply = product
            elif isinstance(layer, SeededDropout):
                x = layer(x, training=training, seed=seed)
            elif isinstance(layer, keras.layers.BatchNormalization):
                x = normalise_batch(layer, x) if training else layer(x)
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
    if row.op == "max_pool":
        return keras.layers.MaxPooling2D(row.kernel, row.strides, row.padding, dtype=policy)
    kind = keras.layers.Conv2D if row.op == "conv" else keras.layers.Conv2DTranspose
    return kind(
        row.units,
        row.kernel,
        row.strides,
        padding=row.padding,
        kernel_initializer=initializer,
        dtype=policy,
    )


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
        >>> from alad_tf.model.specs import dense
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
        >>> from alad_tf.model.specs import dense
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
        >>> from alad_tf.model.specs import dense
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


def build_networks(config, policy=None):
    """Build G, E, D_xz, D_xx and D_zz, each with seeds of its own.

    paper: spectral normalisation regularises the discriminators and the encoder (Section IV-B); G
    goes without. The authors' code normalises convolutional encoders only; here: dense ones too, as
    the text reads.

    Args:
        config: dict of `ALAD`'s arguments, "networks" as `rows_to_config` gives them.
        policy: Keras dtype policy of the networks; default the global one.

    Returns:
        dict of built layers by name; "D_zz" is None without the latent discriminator.

    Raises:
        ValueError: E does not end in the latent dimension or G in x's shape, with both shapes.

    Example:
        >>> from alad_tf.model.specs import dense
        >>> D = [dense(4, "lrelu"), dense(1)]
        >>> rows = dict(E=[dense(2)], G=[dense(5)], D_xx=D, D_zz=D,
        ...             D_xz=dict(x=[dense(4)], z=[dense(4)], joint=D))
        >>> config = dict(networks=rows_to_config(rows), x_shape=(5,), latent_dim=2, pair_axis=-1,
        ...               spectral_norm=True, latent_discriminator=True, slope=0.2, seed=0,
        ...               initializer="glorot_uniform")
        >>> sorted(build_networks(config))
        ['D_xx', 'D_xz', 'D_zz', 'E', 'G']

    Source: ALAD, Section IV; Tables IX, XI and XIII.
    """

    def options(name):
        return {
            "name": name,
            "spectral_norm": config["spectral_norm"] and name != "G",
            "initializer": config["initializer"],
            "slope": config["slope"],
            "seed": derive_seed(config["seed"], 1, NETWORKS.index(name)),
            "dtype": policy,
        }

    rows, axis = config["networks"], config["pair_axis"]
    x, z = (None, *config["x_shape"]), (None, config["latent_dim"])
    branches = (rows["D_xz"][part] for part in ("x", "z", "joint"))
    networks = {
        "E": (Stack(rows["E"], **options("E")), (x,)),
        "G": (Stack(rows["G"], **options("G")), (z,)),
        "D_xz": (JointDiscriminator(*branches, **options("D_xz")), (x, z)),
        "D_xx": (PairDiscriminator(rows["D_xx"], axis=axis, **options("D_xx")), (x, x)),
    }
    if config["latent_discriminator"]:
        networks["D_zz"] = (PairDiscriminator(rows["D_zz"], **options("D_zz")), (z, z))
    for network, shapes in networks.values():
        network.build(*shapes)
        network.built = True
    built = {name: network for name, (network, _) in networks.items()}
    for name, source, target in (("E", x, z), ("G", z, x)):
        got = built[name].compute_output_shape(source)
        # an image encoder ends in (1, 1, latent): the same numbers, reshaped by the model
        if np.prod(got[1:]) != np.prod(target[1:]):
            raise ValueError(
                f"{name} maps {source[1:]} to {got[1:]}; expected {target[1:]}. Check the units of "
                "its last row, x_shape and latent_dim."
            )
    return {"D_zz": None, **built}


def rows_to_config(networks):
    """The rows of all networks as JSON-able dicts.

    Args:
        networks: dict with rows (`Row` or config dicts) under "E", "G", "D_xx" and "D_zz", and a
            dict of rows ("x", "z", "joint") under "D_xz".

    Returns:
        dict of the same form, every row a dict.

    Raises:
        ValueError: a network is missing.

    Example:
        >>> from alad_tf.model.specs import dense
        >>> rows = dict.fromkeys(NETWORKS, [dense(2)])
        >>> rows_to_config(rows)["E"][0]["units"]
        2
    """
    missing = sorted(set(NETWORKS) - set(networks))
    if missing:
        raise ValueError(
            f"networks must hold rows for E, G, D_xz, D_xx and D_zz; missing {missing}."
        )

    def convert(value):
        if isinstance(value, dict) and "op" not in value:
            return {key: convert(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [convert(item) for item in value]
        return value.to_config() if isinstance(value, Row) else dict(value)

    return convert(networks)
