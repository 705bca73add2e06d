"""Distances to the nearest rows agree with scikit-learn's."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.neighbors import NearestNeighbors

from alad_tf.detector.ensemble import K, nearest


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_distances_are_scikit_learns(offset):
    """Also far from the origin, where differences of squares would lose all digits."""
    generator = np.random.default_rng(0)
    reference = (generator.normal(size=(300, 4)) + offset).astype("float32")
    x = (generator.normal(size=(50, 4)) + offset).astype("float32")
    model = NearestNeighbors(n_neighbors=K).fit(reference)
    expected = model.kneighbors(x)[0].mean(1)
    found = nearest(tf.constant(x), tf.constant(reference))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    padded = tf.pad(reference, [(0, 212), (0, 0)])  # zeros, which are nobody's neighbours
    zero = nearest(tf.zeros((1, 4)), tf.constant(reference))
    np.testing.assert_allclose(nearest(tf.zeros((1, 4)), padded, tf.constant(300)), zero, rtol=1e-5)
    np.testing.assert_allclose(nearest(tf.constant(x), padded, 300), expected, rtol=1e-5)
    without_itself = model.kneighbors()[0].mean(1)
    found = nearest(tf.constant(reference), tf.constant(reference), skip_self=True)
    np.testing.assert_allclose(found, without_itself, rtol=1e-5)


def test_fewer_rows_than_neighbours():
    x, rows = tf.constant([[0.0]]), tf.constant([[1.0], [3.0]])
    assert float(nearest(x, rows)[0]) == 2.0
    np.testing.assert_allclose(nearest(rows, rows, skip_self=True), [2.0, 2.0], rtol=1e-5)
    # a row alone: itself is all there is
    np.testing.assert_allclose(nearest(rows[:1], rows[:1], skip_self=True), [0.0], atol=1e-5)


def test_the_gradient_is_finite_at_a_reference_row():
    x = tf.constant([[1.0, 2.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        distance = nearest(x, tf.constant([[1.0, 2.0], [3.0, 4.0]]))
    assert np.isfinite(tape.gradient(distance, x)).all()


def test_rows_that_are_far_from_all_others_have_no_one_near():
    """By hand: the row at 10 is 7.5 away from its own two neighbours on average."""
    rows = tf.constant([[0.0], [1.0], [2.0], [3.0], [10.0]])
    own = nearest(rows, rows, skip_self=True, k=2)
    np.testing.assert_allclose(own, [1.5, 1.0, 1.0, 1.5, 7.5], rtol=1e-5)
    x = tf.constant([[10.5], [1.5]])
    distances, around = nearest(x, rows, k=2, own=own)
    np.testing.assert_allclose(distances, [(0.5 + 7.5) / 2, 0.5], rtol=1e-5)
    reached, same = nearest(x, rows, k=2, own=own, reach=1.0)
    np.testing.assert_allclose(reached, [7.5, 1.0], rtol=1e-5)
    np.testing.assert_array_equal(around, same)
