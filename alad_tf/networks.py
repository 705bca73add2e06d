"""Networks built from the rows of a table: `Stack`, which E and G are and discriminators hold."""

import functools

import keras
import tensorflow as tf

from alad_tf.batch_norm import normalise_batch
from alad_tf.layers import PACKAGE, SeededDropout, SpectralNormalization, apply_kernel, product
from alad_tf.precision import OfPolicy
from alad_tf.random import derive_seed
from alad_tf.rows import Row
from alad_tf.softplus import softplus

KERNEL_LAYERS = (
    keras.layers.Dense,
    keras.layers.Conv2D,
    keras.layers.Conv2DTranspose,
    SpectralNormalization,
)


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
        >>> from alad_tf.rows import dense
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
