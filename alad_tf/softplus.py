"""log(1 + exp(x)), written so that every runtime an export is converted to computes it."""

import tensorflow as tf


@tf.custom_gradient
def softplus(x):
    """log(1 + exp(x)) as max(x, 0) + log(1 + exp(-|x|)), whose exponential is at most 1.

    TensorFlow's own operation is as good, but TensorFlow Lite has none and computes just what the
    formula says. Beyond 88 that is infinite on some processors and stays at 88 on others, so that
    a far record's energy could be that of a normal one.

    Args:
        x: float tensor of any shape.

    Returns:
        tensor of x's shape and dtype, in nats where x is a logit.

    Example:
        >>> [round(float(value), 4) for value in softplus(tf.constant([-1e3, 0.0, 1e3]))]
        [0.0, 0.6931, 1000.0]
    """
    value = tf.maximum(x, 0) + tf.nn.softplus(-tf.abs(x))
    return value, lambda upstream: upstream * tf.sigmoid(x)  # at 0 the parts have no derivative
