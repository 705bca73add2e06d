"""Networks made of layer specifications: stacks, discriminators, and all five of an architecture.

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
from alad_tf.model.specs import LayerSpec, as_specs

KERNEL_LAYERS = (
    keras.layers.Dense,
    keras.layers.Conv2D,
    keras.layers.Conv2DTranspose,
    SpectralNormalization,
)
NETWORKS = ("E", "G", "D_xz", "D_xx", "D_zz")


class Network(OfPolicy):
    """How the layers of a network are made.

    Args:
        spectral_norm: bool, normalise every kernel but the output layer's.
        initializer: "glorot_uniform" (the paper's tables) or "normal_0.01" (its images); biases
            start at 0.
        slope: float, LReLU's negative slope.
        seed: int, of initial weights, u and dropout masks.
    """

    def __init__(
        self, spectral_norm=False, initializer="glorot_uniform", slope=0.2, seed=0, **kwargs
    ):
        super().__init__(**kwargs)
        self.spectral_norm = bool(spectral_norm)
        self.initializer = initializer
        self.slope = float(slope)
        self.seed = int(seed)

    def get_config(self):
        names = ("spectral_norm", "initializer", "slope", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package=PACKAGE)
class Stack(Network):
    """Layers one after the other: operation, batch norm, non-linearity, dropout of each.

    Args:
        specs: sequence of `LayerSpec` (or their config dicts).
        last_is_output: bool, leave the last kernel as it is (a network's output layer).
        **options: of `Network`.

    Call arguments:
        inputs: float tensor (B, ...), or what `products` takes.
        training: bool (batch statistics, dropout, power iteration).
        seed: int32 tensor (2,), the (call, step) pair that identifies the dropout masks.
        products: None, or a function of a layer, `inputs` and the layer's kernel, linear in the
            kernel, that takes the place of the first layer's product: see `apply_kernel`.
    """

    def __init__(self, specs, last_is_output=True, **options):
        super().__init__(**options)
        self.specs = as_specs(specs)
        if not self.specs:
            raise ValueError(f"{self.name} needs at least one layer; received none.")
        self.last_is_output = bool(last_is_output)
        self.steps = []
        for index, spec in enumerate(self.specs):
            wrap = self.spectral_norm and not (last_is_output and index == len(self.specs) - 1)
            self.steps += self._make_layers(spec, wrap, index)

    def _make_layers(self, spec, wrap, index):
        seeds = [derive_seed(self.seed, index, use) for use in range(3)]
        policy = self.policy
        layer = _operation(spec, _initializer(self.initializer, seeds[0]), policy)
        if wrap and spec.has_kernel:
            layer = SpectralNormalization(layer, seed=seeds[1])
        layers = [layer]
        if spec.batch_norm:
            layers.append(
                keras.layers.BatchNormalization(momentum=0.99, epsilon=1e-3, dtype=policy)
            )
        if spec.activation == "lrelu":
            layers.append(keras.layers.LeakyReLU(self.slope, dtype=policy))
        elif spec.activation:
            function = softplus if spec.activation == "softplus" else spec.activation
            layers.append(keras.layers.Activation(function, dtype=policy))
        if spec.dropout:
            layers.append(SeededDropout(spec.dropout, seed=seeds[2], dtype=policy))
        return layers

    @property
    def has_batch_norm(self):
        """Whether any layer normalises by batch statistics (then batches must not be merged)."""
        return any(spec.batch_norm for spec in self.specs)

    @property
    def takes_products(self):
        """Whether the first layer is one that `products` can stand for."""
        return self.specs[0].op in ("dense", "conv")

    def build(self, input_shape):
        for layer in self.steps:
            layer.build(input_shape)
            input_shape = layer.compute_output_shape(input_shape)

    def compute_output_shape(self, input_shape):
        for layer in self.steps:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

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
        specs = [spec.to_config() for spec in self.specs]
        return {**super().get_config(), "specs": specs, "last_is_output": self.last_is_output}


def _initializer(name, seed):
    if name == "glorot_uniform":
        return keras.initializers.GlorotUniform(seed=seed)
    if name == "normal_0.01":
        return keras.initializers.RandomNormal(0.0, 0.01, seed=seed)
    raise ValueError(
        f"received the initializer {name!r}; expected 'glorot_uniform' or 'normal_0.01'."
    )


def _operation(spec, initializer, policy):
    if spec.op == "dense":
        return keras.layers.Dense(spec.units, kernel_initializer=initializer, dtype=policy)
    if spec.op == "reshape":
        return keras.layers.Reshape(spec.shape, dtype=policy)
    if spec.op == "flatten":
        return keras.layers.Flatten(dtype=policy)
    if spec.op == "max_pool":
        return keras.layers.MaxPooling2D(spec.kernel, spec.strides, spec.padding, dtype=policy)
    kind = keras.layers.Conv2D if spec.op == "conv" else keras.layers.Conv2DTranspose
    return kind(
        spec.units,
        spec.kernel,
        spec.strides,
        padding=spec.padding,
        kernel_initializer=initializer,
        dtype=policy,
    )


class TwoPart(Network):
    """A discriminator's body, whose outputs are its features, and the top that makes a logit."""

    def _make_parts(self, specs, first):
        """`body` and `top` of all specs but the last, and of the last; their seeds are numbered."""
        if len(specs) < 2:
            raise ValueError(
                f"{self.name} needs a feature layer and a logit layer; received {len(specs)}."
            )
        self.body = self._stack(specs[:-1], "body", first)
        self.top = self._stack(specs[-1:], "top", first + 1, last_is_output=True)

    def _stack(self, specs, name, index, last_is_output=False):
        return Stack(
            specs,
            last_is_output,
            spectral_norm=self.spectral_norm,
            initializer=self.initializer,
            slope=self.slope,
            seed=derive_seed(self.seed, index),
            dtype=self.policy,
            name=name,
        )

    def _build_parts(self, input_shape):
        self.body.build(input_shape)
        self.top.build(self.body.compute_output_shape(input_shape))

    def _logits_and_features(self, joined, training, seed, products=None):
        features = self.body(joined, training=training, seed=seed, products=products)
        logits = self.top(features, training=training, seed=seed)  # (B, 1) or (B, 1, 1, 1)
        flat = tf.reshape(features, (-1, int(np.prod(features.shape[1:]))))
        return tf.reshape(logits, (-1,)), flat  # (B,), (B, F)


@keras.saving.register_keras_serializable(package=PACKAGE)
class Discriminator(TwoPart):
    """D of a plain GAN: tells x from G(z). ALAD, Tables X and XII, block D(x).

    Args:
        specs: sequence of `LayerSpec`; the last one makes the logit, the one before it the
            features.
        **options: of `Network`.
    """

    def __init__(self, specs, **options):
        super().__init__(**options)
        self.specs = as_specs(specs)
        self._make_parts(self.specs, 0)

    @property
    def has_batch_norm(self):
        """Whether any layer normalises by batch statistics (then batches must not be merged)."""
        return self.body.has_batch_norm

    def build(self, input_shape):
        self._build_parts(input_shape)

    def call(self, x, training=False, seed=None):
        return self._logits_and_features(x, training, seed)

    def get_config(self):
        return {**super().get_config(), "specs": [spec.to_config() for spec in self.specs]}


@keras.saving.register_keras_serializable(package=PACKAGE)
class PairDiscriminator(Discriminator):
    """D_xx or D_zz: tells (a, a) from (a, reconstruction of a). ALAD, Sections IV-A and IV-B.

    Args:
        specs: as for `Discriminator`.
        axis: int, the axis on which the pair is concatenated. Vectors: -1. Images: -1 (channels)
            or 1 (height).
        **options: of `Network`.

    Call arguments:
        a, b: float tensors (B, ...) of one shape.
        both: bool, answer for (a, a) as well: first its B rows, then those of (a, b). Training with
            batch norm would mix the two.
        by_parts: bool, multiply a and b by their own parts of the first kernel: the same, and
            cheaper where the kernel is frozen and a needs no gradient.
    """

    def __init__(self, specs, axis=-1, **options):
        super().__init__(specs, **options)
        self.axis = int(axis)

    @property
    def shares(self):
        """Whether the pairs (a, a) and (a, b) share the products of the first layer."""
        return self.axis == -1 and self.body.takes_products

    def build(self, a_shape, b_shape=None):
        joined = list(a_shape)
        joined[self.axis] *= 2
        self._build_parts(tuple(joined))

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
class JointDiscriminator(TwoPart):
    """D_xz: tells (x, E(x)) from (G(z), z). ALAD, Section IV-A; in its tables titled D_xx(x, z).

    Args:
        x, z: sequences of `LayerSpec`, the branches "only on x" and "only on z".
        joint: sequence of `LayerSpec` on the concatenated branches; the last one makes the logit.
        **options: of `Network`.

    Call arguments:
        by_parts: bool, multiply the branches by their own parts of the joint kernel: the same, and
            cheaper where the kernel is frozen and one of the branches needs no gradient.
    """

    def __init__(self, x, z, joint, **options):
        super().__init__(**options)
        self.specs = {"x": as_specs(x), "z": as_specs(z), "joint": as_specs(joint)}
        self.x_branch = self._stack(self.specs["x"], "x_branch", 0)
        self.z_branch = self._stack(self.specs["z"], "z_branch", 1)
        self._make_parts(self.specs["joint"], 2)

    def build(self, x_shape, z_shape=None):
        self.x_branch.build(x_shape)
        self.z_branch.build(z_shape)
        x_out = self.x_branch.compute_output_shape(x_shape)
        z_out = self.z_branch.compute_output_shape(z_shape)
        self._build_parts((*x_out[:-1], x_out[-1] + z_out[-1]))

    def call(self, x, z, training=False, seed=None, by_parts=False):
        branches = [
            self.x_branch(x, training=training, seed=seed),
            self.z_branch(z, training=training, seed=seed),
        ]
        if by_parts and self.body.takes_products:
            return self._logits_and_features(branches, training, seed, _joined)
        return self._logits_and_features(tf.concat(branches, axis=-1), training, seed)

    def get_config(self):
        return {**super().get_config(), **specs_to_config(self.specs)}


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


def build_networks(config, policy=None):
    """G, E, D_xz, D_xx and D_zz by name, built, each with seeds of its own.

    paper: spectral normalisation regularises the discriminators and the encoder (Section IV-B); G
    goes without. The authors' code normalises convolutional encoders only; here: dense ones too, as
    the text reads.

    Args:
        config: dict of `ALAD`'s arguments, "networks" as `specs_to_config` makes them.
        policy: Keras dtype policy of the networks; default the global one.

    Raises:
        ValueError: E does not end in the latent dimension or G in x's shape, with both shapes.
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

    specs, axis = config["networks"], config["pair_axis"]
    x, z = (None, *config["x_shape"]), (None, config["latent_dim"])
    E, G = Stack(specs["E"], **options("E")), Stack(specs["G"], **options("G"))
    networks = {
        "E": (E, (x,)),
        "G": (G, (z,)),
        "D_xz": (JointDiscriminator(**specs["D_xz"], **options("D_xz")), (x, z)),
        "D_xx": (PairDiscriminator(specs["D_xx"], axis, **options("D_xx")), (x, x)),
    }
    if config["latent_discriminator"]:
        networks["D_zz"] = (PairDiscriminator(specs["D_zz"], **options("D_zz")), (z, z))
    for network, shapes in networks.values():
        network.build(*shapes)
        network.built = True
    for network, source, target in ((E, x, z), (G, z, x)):
        found = network.compute_output_shape(source)
        # an image encoder ends in (1, 1, latent): the same numbers, reshaped by the model
        if np.prod(found[1:]) != np.prod(target[1:]):
            raise ValueError(
                f"{network.name} maps {source[1:]} to {found[1:]}; expected {target[1:]}. Check "
                "the units of its last layer, x_shape and latent_dim."
            )
    return {"D_zz": None, **{name: network for name, (network, _) in networks.items()}}


def specs_to_config(specs):
    """A nest of dicts and lists of `LayerSpec`s (or of their config dicts) as JSON-able dicts."""
    if isinstance(specs, LayerSpec):
        return specs.to_config()
    if isinstance(specs, dict):
        return {key: specs_to_config(value) for key, value in specs.items()}
    return [specs_to_config(s) for s in specs] if isinstance(specs, (list, tuple)) else specs
