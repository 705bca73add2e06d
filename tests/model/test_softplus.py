"""log(1 + exp(x)): values and derivatives against NumPy's in float64."""

import numpy as np
import pytest
import tensorflow as tf

from alad_tf.model.layers import softplus

X = np.concatenate([-np.geomspace(1e-3, 1e4, 40), [0.0], np.geomspace(1e-3, 1e4, 40)])


def of(x):
    """The value and the first two derivatives at each entry."""
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            value = softplus(x)
        slope = inner.gradient(value, x)
    return value, slope, outer.gradient(slope, x)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_values_and_derivatives(jit_compile):
    """Bound: a few units in the last place of float32, and what is below its smallest number."""
    value, slope, bend = tf.function(of, jit_compile=jit_compile)(tf.constant(X, tf.float32))
    x = X.astype("float32").astype("float64")
    sigmoid = np.exp(-np.logaddexp(0, -x))
    bounds = dict(rtol=1e-6, atol=1e-37)
    np.testing.assert_allclose(value, np.logaddexp(0, x), **bounds)
    np.testing.assert_allclose(slope, sigmoid, **bounds)
    np.testing.assert_allclose(bend, sigmoid * (1 - sigmoid), rtol=1e-5, atol=1e-7)


def test_dtype_is_kept():
    assert softplus(tf.constant([1.0, -3.0], tf.bfloat16)).dtype == tf.bfloat16
