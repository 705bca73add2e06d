"""Layers the paper needs and Keras does not have: spectral normalisation, seeded dropout,
and softplus as losses and scores take it.
"""

import keras
import numpy as np
import tensorflow as tf

from alad_tf.engine.distributed import own_rows
from alad_tf.engine.kernels import convolve, convolve_transposed
from alad_tf.engine.random import keep_mask

PACKAGE = "alad_tf"


@keras.saving.register_keras_serializable(package=PACKAGE)
class SpectralNormalization(keras.layers.Wrapper):
    r"""Divide a layer's kernel by its largest singular value, inside the computation graph.

    The wrapped layer's raw kernel W stays the trainable variable; what the layer computes with is
    W / sigma(W), and gradients flow through sigma. With the kernel as a matrix (inputs, outputs),
    one power iteration per training call advances the persistent vector u (outputs,),

        v = normalize(W u),  u <- normalize(W^T v),  sigma = v^T W u,

    where u and v are constants for the gradient, so that d sigma / dW = v u^T. In inference the
    same iteration starts from the stored u, and its result is not stored.

    Two identities keep it cheap: v^T W u is the length of W^T v, which the iteration computes
    anyway; and x (W / sigma) = (x W) / sigma, so that no normalised kernel is ever formed.

    `keras.layers.SpectralNormalization` is different: it overwrites the variable with W / sigma in
    every training call, and has no gradient through sigma.

    Args:
        layer: a `Dense`, `Conv2D` or `Conv2DTranspose` layer without an activation. In
            `Conv2DTranspose` the kernel's output axis is the third; it is moved to the end before
            flattening.
        seed: int, the seed of u's initial value.

    Call arguments:
        inputs: what the wrapped layer takes.
        training: bool; True advances u by one power iteration.

    Returns:
        what the wrapped layer returns.

    Raises:
        ValueError: if the wrapped layer has no kernel, or has an activation.

    Example:
        >>> layer = SpectralNormalization(keras.layers.Dense(3), seed=0)
        >>> x = np.ones((2, 5), "float32")
        >>> layer(x, training=True).shape
        TensorShape([2, 3])
        >>> sigma, u = layer.sigma(layer.layer.kernel.value)  # the scalar, and u (outputs,)
        >>> bool(tf.reduce_all(layer.effective_kernel() == layer.layer.kernel.value / sigma))
        True
        >>> bool(tf.reduce_all(layer.normalise(lambda kernel: x @ kernel) == layer(x)))
        True

    Source: Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018,
    Algorithm 1; ALAD, Section IV-B.
    """

    def __init__(self, layer, seed=0, **kwargs):
        # Under a mixed-precision policy sigma comes from the float32 kernel; the wrapped layer
        # keeps its own policy and casts W / sigma and its inputs by itself.
        kwargs["dtype"] = layer.dtype_policy.variable_dtype
        super().__init__(layer, autocast=False, **kwargs)
        self.seed = int(seed)

    def build(self, input_shape=None):
        super().build(input_shape)
        if getattr(self.layer, "kernel", None) is None:
            raise ValueError(
                f"SpectralNormalization needs a layer with a kernel; {self.layer.name} "
                f"({type(self.layer).__name__}) has none. Wrap a Dense, Conv2D or Conv2DTranspose."
            )
        if self.layer.activation is not keras.activations.linear:
            raise ValueError(
                f"SpectralNormalization needs a layer without an activation; {self.layer.name} has "
                f"{self.layer.activation.__name__!r}. Move that to an Activation layer after it."
            )
        outputs = self._matrix(self.layer.kernel.value).shape[-1]
        start = np.random.default_rng(self.seed).standard_normal(outputs)
        self.u = self.add_weight(
            name="u",
            shape=(outputs,),
            initializer=lambda shape, dtype: tf.constant(start / np.linalg.norm(start), dtype),
            trainable=False,
            autocast=False,
        )

    def _matrix(self, kernel):
        """The kernel as a matrix (inputs, outputs); Conv2DTranspose stores (kh, kw, out, in)."""
        if isinstance(self.layer, keras.layers.Conv2DTranspose):
            kernel = tf.transpose(kernel, (0, 1, 3, 2))
        return tf.reshape(kernel, (-1, kernel.shape[-1]))

    def sigma(self, kernel):
        """Estimate the largest singular value of a kernel by one power iteration from `u`.

        Args:
            kernel: float tensor of the wrapped kernel's shape.

        Returns:
            `(sigma, u)`: the scalar estimate, differentiable in `kernel`, and the new vector u of
            shape (outputs,), a constant for the gradient.
        """
        matrix = self._matrix(kernel)
        fixed = tf.stop_gradient(matrix)
        v = tf.math.l2_normalize(tf.linalg.matvec(fixed, self.u.value), epsilon=1e-24)
        image = tf.linalg.matvec(matrix, v, transpose_a=True)  # W^T v
        u = tf.math.l2_normalize(tf.stop_gradient(image), epsilon=1e-24)
        return tf.tensordot(u, image, 1), u

    def effective_kernel(self, kernel=None):
        """W / sigma(W), as used in inference.

        Args:
            kernel: float tensor of the kernel's shape, for example its moving average; default: the
                layer's own kernel.

        Returns:
            float tensor of the same shape, with a spectral norm close to 1.
        """
        kernel = self.layer.kernel.value if kernel is None else kernel
        return kernel / self.sigma(kernel)[0]

    def call(self, inputs, training=False):
        return self.normalise(lambda kernel: product(self.layer, inputs, kernel), training)

    def normalise(self, products, training=False):
        """The layer's output for a sum of products with its kernel.

        Args:
            products: function of the raw kernel, linear in it: float tensor (..., outputs).
            training: bool; True advances u by one power iteration.

        Returns:
            products(W) / sigma(W) + bias.
        """
        kernel = self.layer.kernel.value
        sigma, u = self.sigma(kernel)
        if training:
            self.u.assign(u)
        outputs = products(kernel)
        return _with_bias(self.layer, outputs * tf.cast(1 / sigma, outputs.dtype))

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


def product(layer, inputs, kernel):
    """Inputs times kernel, as a layer computes it before its bias, in the layer's precision.

    Args:
        layer: a `Dense`, `Conv2D` or `Conv2DTranspose` layer: how to multiply.
        inputs: float tensor (B, ..., inputs).
        kernel: float tensor: the layer's kernel, or its part for some of the input channels.
    """
    inputs, kernel = (tf.cast(value, layer.compute_dtype) for value in (inputs, kernel))
    if isinstance(layer, keras.layers.Dense):
        return keras.ops.matmul(inputs, kernel)
    if _by_patches(layer):
        return _convolved(layer, inputs, kernel)
    if isinstance(layer, keras.layers.Conv2DTranspose):
        names = ("strides", "padding", "output_padding", "data_format", "dilation_rate")
        return keras.ops.conv_transpose(inputs, kernel, **{n: getattr(layer, n) for n in names})
    if kernel.shape[:2] == (1, 1) and layer.strides == (1, 1):
        # the same function; the gradient of a convolution would transpose the kernel first
        return keras.ops.matmul(inputs, tf.reshape(kernel, kernel.shape[2:]))
    return layer.convolution_op(inputs, kernel)


def _by_patches(layer):
    """Whether patches are faster for a layer's filter gradient: in bfloat16 on a CPU."""
    if layer.compute_dtype != "bfloat16" or layer.strides == (1, 1):
        return False
    return not tf.config.get_visible_devices("GPU")


def _convolved(layer, inputs, kernel):
    strides, padding = layer.strides[0], layer.padding.upper()
    if isinstance(layer, keras.layers.Conv2DTranspose):
        side = layer.compute_output_shape(inputs.shape)[1]
        return convolve_transposed(inputs, kernel, strides, padding, side)
    return convolve(inputs, kernel, strides, padding)


def apply_kernel(layer, products, training=False):
    """A layer's output, normalised or not, for a sum of products with its kernel.

    For inputs that are joined: [a, b] K = a K_a + b K_b, where K_a and K_b are rows of K, without
    the joined tensor, and without the gradient into a part that needs none.

    Args:
        layer: a `Dense`, `Conv2D` or `Conv2DTranspose` layer, or one wrapped in
            `SpectralNormalization`.
        products: function of the kernel, linear in it: float tensor (..., outputs).
        training: bool, see `SpectralNormalization`.
    """
    if isinstance(layer, SpectralNormalization):
        return layer.normalise(products, training)
    return _with_bias(layer, products(layer.kernel.value))


def _with_bias(layer, outputs):
    return outputs + tf.cast(layer.bias.value, outputs.dtype) if layer.use_bias else outputs


@keras.saving.register_keras_serializable(package=PACKAGE)
class SeededDropout(keras.layers.Layer):
    """Dropout whose mask is a function of the caller's seed and nothing else.

    Keras's own dropout draws from a hidden generator whose state a checkpoint does not restore; a
    run that is killed and resumed would then differ from one that was not.

    Args:
        rate: float in [0, 1), the share of units set to 0; the others are scaled by 1 / (1 - rate).
        seed: int that distinguishes this layer's masks from those of other layers.

    Call arguments:
        inputs: float tensor of any shape.
        training: bool; False returns the inputs.
        seed: int32 tensor (2,): the pair (call, step) that identifies this call.
    """

    def __init__(self, rate, seed=0, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"received a dropout rate of {rate}; expected a number in [0, 1).")
        self.rate = float(rate)
        self.seed = int(seed)

    def call(self, inputs, training=False, seed=None):
        if not training or self.rate == 0:
            return inputs
        if seed is None:
            raise ValueError(
                f"{self.name} needs a seed in training: pass seed=tf.constant([call, step])."
            )
        seed = tf.convert_to_tensor(seed, tf.int32) + tf.stack([self.seed, 0])
        keep = own_rows(lambda shape: keep_mask(shape, self.rate, seed), inputs.shape)
        return tf.where(keep, inputs * tf.cast(1 / (1 - self.rate), inputs.dtype), 0)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


@tf.custom_gradient
def softplus(x):
    """log(1 + exp(x)) as max(x, 0) + log(1 + exp(-|x|)), whose exponential is at most 1.

    TensorFlow's own operation is as good, but TensorFlow Lite has none and computes just what the
    formula says. Beyond 88 that is infinite on some processors and stays at 88 on others, so that
    a far record's energy could be that of a normal one.
    """
    value = tf.maximum(x, 0) + tf.nn.softplus(-tf.abs(x))
    return value, lambda upstream: upstream * tf.sigmoid(x)  # at 0 the parts have no derivative
