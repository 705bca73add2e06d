"""Convolutions with a filter gradient of their own against TensorFlow's, in float32 and bfloat16.

In float32 within 1e-5 of the largest value: sums in another order. bfloat16 holds 8 bits of each
factor, so that a sum of products is good to some 2**-7 of the largest.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from alad_tf.engine.kernels import convolve, convolve_transposed
from alad_tf.model.layers import product

CASES = [  # filter's side, strides, padding, height, width
    (4, 2, "SAME", 8, 8),
    (4, 2, "SAME", 7, 10),
    (5, 2, "SAME", 12, 6),
    (5, 2, "SAME", 7, 7),
    (3, 2, "SAME", 8, 5),
    (5, 3, "SAME", 9, 11),
    (2, 3, "SAME", 9, 9),  # strides longer than the filter leave pixels out
    (4, 1, "VALID", 4, 4),
    (3, 1, "SAME", 6, 4),
    (4, 2, "VALID", 9, 8),
    (2, 3, "VALID", 8, 8),
]


def draw(*shape):
    return tf.constant(np.random.default_rng(len(shape)).standard_normal(shape), tf.float32)


def watched(function, *inputs):
    """Outputs, then gradients of a weighted sum of them."""
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = function(*inputs)
        weights = tf.cast(draw(1, *outputs.shape), outputs.dtype)[0]
        loss = tf.reduce_sum(tf.cast(outputs * weights, tf.float32))
    return [outputs, *tape.gradient(loss, inputs)]


def assert_equal(got, wanted, unit):
    for a, b in zip(got, wanted, strict=True):
        a, b = (np.asarray(tf.cast(value, tf.float32)) for value in (a, b))
        np.testing.assert_allclose(a, b, atol=unit * np.abs(b).max())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_outputs_and_gradients_are_tensorflows(case):
    size, strides, padding, height, width = case
    inputs = draw(3, height, width, 2), draw(size, size, 2, 4)
    wanted = watched(lambda x, k: tf.nn.conv2d(x, k, strides, padding), *inputs)
    assert_equal(watched(lambda x, k: convolve(x, k, strides, padding), *inputs), wanted, 1e-5)


@pytest.mark.parametrize(
    ("size", "strides", "padding", "side", "made"),
    [(4, 2, "SAME", 4, 8), (4, 2, "VALID", 1, 4), (5, 2, "SAME", 3, 6), (3, 3, "VALID", 2, 6)],
)
def test_transposed_ones_are_tensorflows(size, strides, padding, side, made):
    inputs = draw(3, side, side, 2), draw(size, size, 4, 2)
    shape = (3, made, made, 4)
    wanted = watched(lambda x, k: tf.nn.conv2d_transpose(x, k, shape, strides, padding), *inputs)
    got = watched(lambda x, k: convolve_transposed(x, k, strides, padding, made), *inputs)
    assert_equal(got, wanted, 1e-5)


@pytest.mark.parametrize("kind", [keras.layers.Conv2D, keras.layers.Conv2DTranspose])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_layers_product_in_bfloat16_is_that_of_float32_rounded(kind, padding):
    results = []
    for dtype in ("mixed_bfloat16", "float32"):
        layer = kind(4, 4, 2, padding=padding, dtype=dtype)
        x = draw(2, 4, 4, 3)
        layer.build(x.shape)
        kernel = draw(*layer.kernel.shape)
        results.append(watched(lambda x, k, layer=layer: product(layer, x, k), x, kernel))
    assert results[0][0].dtype == tf.bfloat16 and results[0][2].dtype == tf.float32
    assert_equal(*results, 2**-6)


def test_the_batch_may_be_unknown():
    kernel = draw(4, 4, 2, 3)

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 2))])
    def both_ways(x):
        return convolve_transposed(convolve(x, kernel, 2, "SAME"), kernel, 2, "SAME", 8)

    assert both_ways(draw(5, 8, 8, 2)).shape == (5, 8, 8, 2)
