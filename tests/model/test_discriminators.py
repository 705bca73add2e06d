"""The discriminators' cheaper ways through their first row compute what the joined tensor gives.

Outputs, features, gradients and the advanced u agree with the plain way within 1e-5 of the largest
value, float32's rounding of sums in another order (84 units).
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from alad_tf.model.layers import SpectralNormalization, product
from alad_tf.model.networks import JointDiscriminator, PairDiscriminator
from alad_tf.model.specs import conv, dense, flatten

DENSE = [dense(7, "lrelu"), dense(1)]
CONV = [conv(4, 3, 2, "lrelu"), conv(3, 3, 2, "lrelu"), flatten(), dense(1)]
PAIRS = {
    "table": (DENSE, (5,), -1),
    "channels": (CONV, (8, 8, 2), -1),
    "height": (CONV, (8, 8, 2), 1),
}


def twins(make, *shapes):
    """Two equal built discriminators with biases off 0."""
    made = [make() for _ in range(2)]
    for network in made:
        network.build(*shapes)
        network.built = True
        rng = np.random.default_rng(3)
        for variable in network.trainable_variables:
            variable.assign(rng.normal(0, 0.5, variable.shape))
    return made


def draw(rows, shape, seed):
    return tf.constant(np.random.default_rng(seed).standard_normal((rows, *shape)), tf.float32)


def watched(network, call, *inputs):
    """Everything that a call gives: logits, features, gradients, the next u."""
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        logits, features = call(*inputs)
        loss = tf.reduce_sum(tf.sin(logits)) + tf.reduce_sum(tf.cos(features))
    gradients = tape.gradient(loss, [*inputs, *(v.value for v in network.trainable_variables)])
    layers = [v for v in network._flatten_layers() if isinstance(v, SpectralNormalization)]
    return [logits, features, *gradients, *(layer.u.numpy() for layer in layers)]


def assert_equal(got, wanted):
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * max(1.0, np.abs(b).max()))


@pytest.mark.parametrize("spectral_norm", [True, False])
@pytest.mark.parametrize("name", PAIRS)
def test_both_pairs_at_once_are_the_two_joined_tensors(name, spectral_norm):
    rows, shape, axis = PAIRS[name]
    ours, plain = twins(
        lambda: PairDiscriminator(rows, axis=axis, spectral_norm=spectral_norm),
        *[(None, *shape)] * 2,
    )
    assert ours.shares == (axis == -1)
    a, b = draw(4, shape, 0), draw(4, shape, 1)
    got = watched(ours, lambda a, b: ours(a, b, training=True, both=True), a, b)
    wanted = watched(
        plain,
        lambda a, b: plain(tf.concat([a, a], 0), tf.concat([a, b], 0), training=True),
        a,
        b,
    )
    assert_equal(got, wanted)


@pytest.mark.parametrize("spectral_norm", [True, False])
@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_by_parts_is_the_joined_pair(name, spectral_norm):
    rows, shape, axis = PAIRS[name]
    ours, plain = twins(
        lambda: PairDiscriminator(rows, axis=axis, spectral_norm=spectral_norm),
        *[(None, *shape)] * 2,
    )
    a, b = draw(4, shape, 0), draw(4, shape, 1)
    got = watched(ours, lambda a, b: ours(a, b, training=True, by_parts=True), a, b)
    assert_equal(got, watched(plain, lambda a, b: plain(a, b, training=True), a, b))


@pytest.mark.parametrize("joint", [DENSE, [conv(6, 1, 1, "lrelu"), conv(1, 1, 1)]])
def test_branches_by_parts_are_the_joined_branches(joint):
    image = joint[0].op == "conv"
    branch = [conv(5, 1, 1, "lrelu")] if image else [dense(5, "lrelu")]
    shapes = ((1, 1, 4), (1, 1, 3)) if image else ((4,), (3,))
    ours, plain = twins(
        lambda: JointDiscriminator(branch, branch, joint, spectral_norm=True),
        *((None, *shape) for shape in shapes),
    )
    x, z = (draw(6, shape, seed) for seed, shape in enumerate(shapes))
    got = watched(ours, lambda x, z: ours(x, z, training=True, by_parts=True), x, z)
    assert_equal(got, watched(plain, lambda x, z: plain(x, z, training=True), x, z))


@pytest.mark.parametrize("kind", ["conv", "conv_transpose"])
@pytest.mark.parametrize("size", [1, 3])
def test_products_are_those_of_keras(kind, size):
    """Each kind of layer, 1x1 kernels (which are multiplied as matrices) among them."""
    make = {"conv": keras.layers.Conv2D, "conv_transpose": keras.layers.Conv2DTranspose}[kind]
    layer = make(4, size, padding="same")
    x = draw(2, (5, 5, 3), 0)
    wanted = layer(x)
    np.testing.assert_allclose(product(layer, x, layer.kernel.value), wanted, rtol=1e-4, atol=1e-5)
