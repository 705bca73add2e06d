"""Operations made fast: precision of products, batch normalisation, convolutions on a CPU.

Under XLA on a CPU, Keras's batch norm spends its time in sums over the rows of products, which
XLA fuses into one slow loop: a fifth of a training step of the image networks. Here the
mathematics is the same, the gradient is written out, and the sums are over wide rows.

TensorFlow's CPU library convolves in bfloat16 twice as fast as in float32, but for the gradient
with respect to the filter, where it is slower than float32. As one product of patches with the
gradients of the outputs it is as fast as the rest.
"""

import math

import keras
import tensorflow as tf

from alad_tf.engine import distributed

PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}  # Keras's names of the policies
_WIDE = 32  # samples side by side in one row of a sum


def xla_pays(precision):
    """Whether a training step of a precision, a key of `PRECISIONS`, is faster compiled by XLA.

    On a CPU, XLA has no fast products in bfloat16; TensorFlow's own library has, on processors with
    AVX512-BF16 or AMX.
    """
    return precision == "float32" or bool(tf.config.get_visible_devices("GPU"))


class OfPolicy(keras.layers.Layer):
    """A layer whose parts compute by a dtype policy, while it reads its variables as they are.

    Under a mixed policy Keras hands a layer's call its float32 variables cast to the compute dtype,
    `autocast=False` or not. A network's own work (power iterations, batch statistics, sums) needs
    them whole; products cast for themselves. Subclasses give `policy` to their layers.
    """

    def __init__(self, dtype=None, **kwargs):
        self.policy = keras.dtype_policies.get(dtype)
        super().__init__(dtype=self.policy.variable_dtype, autocast=False, **kwargs)

    def get_config(self):
        return {**super().get_config(), "dtype": keras.dtype_policies.serialize(self.policy)}


def normalise_batch(layer, inputs):
    """What a Keras `BatchNormalization` layer computes in training; its statistics advance.

    Args:
        layer: a built `keras.layers.BatchNormalization` of the last axis, with scale and offset.
        inputs: float tensor (..., C) of a static shape.

    Source: Ioffe and Szegedy, "Batch Normalization", ICML 2015, Algorithm 1 and Section 3.
    """
    channels = inputs.shape[-1]
    if inputs.shape.num_elements() is None:
        raise ValueError(
            f"received a batch of shape {inputs.shape}; batch statistics need a static "
            "shape. Use complete batches."
        )
    rows = tf.cast(tf.reshape(inputs, (-1, channels)), layer.variable_dtype)  # (N, C)
    outputs, mean, variance = _normalise(
        rows, layer.gamma.value, layer.beta.value, tf.constant(layer.epsilon, rows.dtype)
    )
    for moving, now in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        moving.assign(layer.momentum * moving.value + (1 - layer.momentum) * now)
    return tf.cast(tf.reshape(outputs, inputs.shape), layer.compute_dtype)


@tf.custom_gradient
def _normalise(x, gamma, beta, epsilon):
    """Rows (N, C) normalised, scaled and shifted, and their mean and variance (C,)."""
    count = x.shape[0] * distributed.count()
    mean = distributed.total(_sum_rows(x)) / count
    variance = distributed.total(_sum_rows(tf.square(x - mean))) / count
    inverse = tf.math.rsqrt(variance + epsilon)
    normalised = (x - mean) * inverse

    def gradient(upstream, *_):  # the statistics are state: no gradient comes through them
        d_beta = _sum_rows(upstream)
        d_gamma = _sum_rows(upstream * normalised)
        # x moves the statistics of all replicas; gamma's and beta's shares are summed by Adam
        all_beta, all_gamma = distributed.total((d_beta, d_gamma))
        d_x = gamma * inverse * (upstream - (all_beta + normalised * all_gamma) / count)
        return d_x, d_gamma, d_beta, None

    return (normalised * gamma + beta, mean, variance), gradient


def _sum_rows(x):
    """Sum over the rows of (N, C): first over wide rows of many samples, then within one."""
    rows, channels = x.shape
    wide = next(w for w in range(min(_WIDE, rows), 0, -1) if rows % w == 0)
    sums = tf.reduce_sum(tf.reshape(x, (-1, wide * channels)), 0)
    return tf.reduce_sum(tf.reshape(sums, (wide, channels)), 0)


def convolve(inputs, kernel, strides, padding):
    """`tf.nn.conv2d` with a filter gradient of its own.

    Args:
        inputs: float tensor (B, H, W, C) of static height and width.
        kernel: float tensor (k, k, C, O) of the same dtype.
        strides: int.
        padding: "SAME" or "VALID".
    """

    @tf.custom_gradient
    def operation(x, k):
        def gradient(upstream):
            to_x = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(x),
                filter=k,
                out_backprop=upstream,
                strides=[1, strides, strides, 1],
                padding=padding,
            )
            return to_x, filter_gradient(x, upstream, k.shape[0], strides, padding)

        return tf.nn.conv2d(x, k, strides, padding), gradient

    return operation(inputs, kernel)


def convolve_transposed(inputs, kernel, strides, padding, side):
    """`tf.nn.conv2d_transpose` to (B, side, side, O) with a filter gradient of its own.

    Args:
        inputs: float tensor (B, H, W, C) of static height and width.
        kernel: float tensor (k, k, O, C) of the same dtype.
        strides: int.
        padding: "SAME" or "VALID".
        side: int, height and width of the outputs.
    """

    @tf.custom_gradient
    def operation(x, k):
        def gradient(upstream):
            to_x = tf.nn.conv2d(upstream, k, strides, padding)
            return to_x, filter_gradient(upstream, x, k.shape[0], strides, padding)

        shape = tf.stack([tf.shape(x)[0], side, side, k.shape[2]])
        return tf.nn.conv2d_transpose(x, k, shape, strides, padding), gradient

    return operation(inputs, kernel)


def filter_gradient(x, upstream, size, strides, padding):
    """The gradient of a convolution with respect to its filter, as one matrix product.

    With the strides' phases moved to the channels (space to depth), the patches of x are a few
    shifted copies of it, side by side.

    Args:
        x: float tensor (B, H, W, C), the convolution's inputs.
        upstream: float tensor (B, H', W', O), the gradient of its outputs.
        size: int, height and width of the filter.
        strides: int.
        padding: "SAME" or "VALID".

    Returns:
        float tensor (size, size, C, O).
    """
    (height, width), channels = upstream.shape[1:3], x.shape[-1]
    blocks = math.ceil(size / strides)  # of `strides` pixels, in a filter's side
    pads = [
        _pads(before, after, size, strides, padding, blocks)
        for before, after in zip(x.shape[1:3], (height, width), strict=True)
    ]
    padded = tf.pad(x, ((0, 0), *(pad for pad, _ in pads), (0, 0)))
    padded = padded[:, : pads[0][1], : pads[1][1]]
    phases = tf.nn.space_to_depth(padded, strides) if strides > 1 else padded
    shifted = [
        phases[:, i : i + height, j : j + width] for i in range(blocks) for j in range(blocks)
    ]
    rows = blocks**2 * strides**2 * channels
    patches = tf.reshape(tf.concat(shifted, -1), (-1, rows))
    product = tf.matmul(patches, tf.reshape(upstream, (-1, upstream.shape[-1])), transpose_a=True)
    split = tf.reshape(product, (blocks, blocks, strides, strides, channels, -1))
    side = blocks * strides
    whole = tf.reshape(tf.transpose(split, (0, 2, 1, 3, 4, 5)), (side, side, channels, -1))
    return whole[:size, :size]


def _pads(before, after, size, strides, padding, blocks):
    """Zeros on both sides of a side of `before` pixels, and how many pixels are used then."""
    missing = max((after - 1) * strides + size - before, 0) if padding == "SAME" else 0
    used = (after - 1 + blocks) * strides
    return (missing // 2, max(used - before - missing // 2, 0)), used
