"""Layers the paper needs and Keras does not have: spectral normalisation and seeded dropout."""

import keras
import numpy as np
import tensorflow as tf

from alad_tf.random import keep_mask

PACKAGE = "alad_tf"


@keras.saving.register_keras_serializable(package=PACKAGE)
class SpectralNormalization(keras.layers.Wrapper):
    r"""Divide a layer's kernel by its largest singular value, inside the computation graph.

    The wrapped layer's raw kernel W stays the trainable variable; what the layer computes with is
    W / sigma(W), and gradients flow through sigma. With the kernel as a matrix (inputs, outputs),
    one power iteration per training call advances the persistent vector u (outputs,),

        v = normalize(W u),  u <- normalize(W^T v),  sigma = v^T W u,

    where u and v are constants to the gradient, so that d sigma / dW = v u^T. In inference the same
    iteration runs from the stored u and nothing is stored.

    `keras.layers.SpectralNormalization` is not this: it assigns W / sigma into the variable on
    every training call and sends no gradient through sigma.

    Args:
        layer: a `Dense`, `Conv2D` or `Conv2DTranspose` layer. For the last one the kernel's output
            axis is the third; it is moved to the end before flattening.
        seed: int, seed of u's initial value.

    Call arguments:
        inputs: what the wrapped layer takes.
        training: bool; True advances u by one power iteration.

    Returns:
        What the wrapped layer returns.

    Raises:
        ValueError: the wrapped layer has no kernel.

    Example:
        >>> layer = SpectralNormalization(keras.layers.Dense(3), seed=0)
        >>> layer(np.ones((2, 5), "float32"), training=True).shape
        TensorShape([2, 3])

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
            `(sigma, u)`: the scalar estimate, differentiable in `kernel`, and the advanced vector
            u of shape (outputs,), a constant to the gradient.
        """
        matrix = self._matrix(kernel)
        fixed = tf.stop_gradient(matrix)
        v = tf.math.l2_normalize(tf.linalg.matvec(fixed, self.u.value), epsilon=1e-24)
        u = tf.math.l2_normalize(tf.linalg.matvec(fixed, v, transpose_a=True), epsilon=1e-24)
        return tf.tensordot(v, tf.linalg.matvec(matrix, u), 1), u

    def effective_kernel(self, kernel=None):
        """W / sigma(W) as inference uses it.

        Args:
            kernel: float tensor of the kernel's shape, for example its moving average; default the
                layer's own kernel.

        Returns:
            float tensor of the same shape, with a spectral norm close to 1.
        """
        kernel = self.layer.kernel.value if kernel is None else kernel
        return kernel / self.sigma(kernel)[0]

    def call(self, inputs, training=False):
        kernel = self.layer.kernel.value
        sigma, u = self.sigma(kernel)
        if training:
            self.u.assign(u)
        # Every variable is named, since an outer scope's values (averages, say) end where this
        # scope begins.
        values = [
            (v, kernel / sigma if v is self.layer.kernel else v.value) for v in self.layer.variables
        ]
        with keras.StatelessScope(state_mapping=values):
            return self.layer(inputs)

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(package=PACKAGE)
class SeededDropout(keras.layers.Layer):
    """Dropout whose mask is a function of the caller's seed and nothing else.

    Keras's own dropout draws from a hidden generator whose state a checkpoint does not restore; a
    run that is killed and resumed would then differ from one that was not.

    Args:
        rate: float in [0, 1), the share of units set to 0; the others are scaled by 1 / (1 - rate).
        seed: int that tells this layer's masks from other layers'.

    Call arguments:
        inputs: float tensor of any shape.
        training: bool; False returns the inputs.
        seed: int32 tensor (2,): the pair (call, step) that identifies this call.

    Returns:
        float tensor of the inputs' shape.

    Raises:
        ValueError: `rate` outside [0, 1), or a training call without a seed.

    Example:
        >>> layer = SeededDropout(0.5, seed=1)
        >>> mask = layer(tf.ones((2, 4)), training=True, seed=tf.constant([0, 7]))
        >>> bool(tf.reduce_all(mask == layer(tf.ones((2, 4)), training=True, seed=[0, 7])))
        True

    Source: Srivastava et al., JMLR 2014; rates in ALAD's Tables IX, XI and XIII.
    """

    def __init__(self, rate, seed=0, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"Dropout rate must be in [0, 1); received {rate}.")
        self.rate = float(rate)
        self.seed = int(seed)

    def call(self, inputs, training=False, seed=None):
        if not training or self.rate == 0:
            return inputs
        if seed is None:
            raise ValueError(
                f"{self.name} needs a seed in training: pass seed=tf.constant([call, step])."
            )
        seed = tf.convert_to_tensor(seed, tf.int32) + tf.constant([self.seed, 0], tf.int32)
        keep = keep_mask(inputs.shape, self.rate, seed)
        return tf.where(keep, inputs * tf.cast(1 / (1 - self.rate), inputs.dtype), 0)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
