"""Batch norm in training equals Keras's: outputs, gradients, moving statistics, in every mode.

The bound: both sides are float32 sums of up to 512 products of size 1, in other orders; 1e-5 of the
largest value is 84 units of float32's rounding.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from alad_tf.engine.kernels import normalise_batch

SHAPES = [(50, 3), (64, 4), (7, 5), (1, 3), (8, 4, 4, 6), (3, 5, 7, 2)]


def pair(shape):
    """Two layers of equal scale, offset and statistics, none of them at its start."""
    rng = np.random.default_rng(1)
    values = [rng.uniform(0.5, 2, shape[-1]) for _ in range(4)]
    layers = [keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3) for _ in range(2)]
    for layer in layers:
        layer.build((None, *shape[1:]))
        for variable, value in zip(layer.variables, values, strict=True):
            variable.assign(value)
    return layers


def run(function, layer, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = function(x)
        loss = tf.reduce_sum(tf.sin(3 * out))  # a gradient that differs from entry to entry
    return out, tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])


@pytest.mark.parametrize("jit", [None, True], ids=["eager", "xla"])
@pytest.mark.parametrize("shape", SHAPES)
def test_outputs_gradients_and_statistics_are_those_of_keras(shape, jit):
    ours, theirs = pair(shape)
    x = tf.constant(np.random.default_rng(0).normal(3, 2, shape), tf.float32)

    def step(x):
        return run(lambda x: normalise_batch(ours, x), ours, x)

    got = (step if jit is None else tf.function(step, jit_compile=True))(x)
    wanted = run(lambda x: theirs(x, training=True), theirs, x)
    for a, b in zip(tf.nest.flatten(got), tf.nest.flatten(wanted), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * max(1.0, np.abs(b).max()))
    for a, b in zip(ours.variables, theirs.variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_a_large_mean_does_not_spoil_the_variance():
    """Mean 1000, deviation 0.1: the squares of the values would leave no digit of the variance."""
    layer, before = pair((256, 2))
    x = np.random.default_rng(0).normal(1000, 0.1, (256, 2)).astype("float32")
    normalise_batch(layer, tf.constant(x))
    moved = (layer.moving_variance.numpy() - 0.9 * before.moving_variance.numpy()) / 0.1
    np.testing.assert_allclose(moved, x.astype("float64").var(0), rtol=1e-3)


def test_half_precision_keeps_float32_statistics():
    layer = keras.layers.BatchNormalization(dtype="mixed_bfloat16")
    layer.build((None, 3))
    out = normalise_batch(layer, tf.ones((4, 3), tf.bfloat16))
    assert out.dtype == tf.bfloat16 and layer.moving_mean.dtype == "float32"


def test_an_unknown_number_of_rows_is_refused():
    layer, _ = pair((4, 3))
    with pytest.raises(
        ValueError, match=r"shape \(None, 3\); .* static shape. Use complete batches"
    ):
        tf.function(lambda x: normalise_batch(layer, x)).get_concrete_function(
            tf.TensorSpec((None, 3))
        )
