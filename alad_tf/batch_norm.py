"""Batch normalisation by a batch's own statistics, with the sums taken as a CPU takes them fast.

Under XLA on a CPU, Keras's batch norm spends its time in sums over the rows of products, which XLA
fuses into one slow loop: a fifth of a training step of the image networks. Here the mathematics is
the same, the gradient is written out, and the sums are over wide rows.
"""

import tensorflow as tf

from alad_tf import replicas

_WIDE = 32  # samples side by side in one row of a sum


def normalise_batch(layer, inputs):
    """What a Keras `BatchNormalization` layer computes in training; its statistics advance.

    Args:
        layer: a built `keras.layers.BatchNormalization` of the last axis, with scale and offset.
        inputs: float tensor (..., C) of a static shape.

    Returns:
        float tensor of the inputs' shape, in the layer's compute dtype.

    Raises:
        ValueError: inputs of an unknown number of rows.

    Example:
        >>> import keras
        >>> layer = keras.layers.BatchNormalization()
        >>> layer.build((None, 3))
        >>> x = tf.random.normal((8, 3))
        >>> bool(tf.reduce_all(tf.abs(tf.reduce_mean(normalise_batch(layer, x), 0)) < 1e-5))
        True

    Source: Ioffe and Szegedy, "Batch Normalization", ICML 2015, Algorithm 1 and Section 3.
    """
    channels = inputs.shape[-1]
    if inputs.shape.num_elements() is None:
        raise ValueError(
            f"Batch statistics need a static shape; received {inputs.shape}. Use whole batches."
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
    count = x.shape[0] * replicas.count()
    mean = replicas.total(_sum_rows(x)) / count
    variance = replicas.total(_sum_rows(tf.square(x - mean))) / count
    inverse = tf.math.rsqrt(variance + epsilon)
    normalised = (x - mean) * inverse

    def gradient(upstream, *_):  # the statistics are state: no gradient comes through them
        d_beta = _sum_rows(upstream)
        d_gamma = _sum_rows(upstream * normalised)
        # x moves the statistics of all replicas; gamma's and beta's shares are summed by Adam
        all_beta, all_gamma = replicas.total((d_beta, d_gamma))
        d_x = gamma * inverse * (upstream - (all_beta + normalised * all_gamma) / count)
        return d_x, d_gamma, d_beta, None

    return (normalised * gamma + beta, mean, variance), gradient


def _sum_rows(x):
    """Sum over the rows of (N, C): first over wide rows of many samples, then within one."""
    rows, channels = x.shape
    wide = next(w for w in range(min(_WIDE, rows), 0, -1) if rows % w == 0)
    sums = tf.reduce_sum(tf.reshape(x, (-1, wide * channels)), 0)
    return tf.reduce_sum(tf.reshape(sums, (wide, channels)), 0)
