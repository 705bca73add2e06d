"""DSEBM against float64 NumPy: the energy, its slope, and the gradient of the training loss."""

import numpy as np
import pytest
import tensorflow as tf

from alad_tf.baselines import DSEBM
from alad_tf.model.specs import conv, dense, flatten, max_pool

FEATURES, BATCH = 5, 6


def tiny(**options):
    rows = {"f": [dense(4, "softplus"), dense(3, "softplus")]}
    return DSEBM(rows, (FEATURES,), batch_size=BATCH, learning_rate=1e-3, **options)


@pytest.fixture(scope="module")
def model():
    model = tiny(seed=3)
    generator = np.random.default_rng(0)
    for variable in model.energy.trainable_variables:
        variable.assign(0.5 * generator.standard_normal(variable.shape))
    return model


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).standard_normal((BATCH, FEATURES)).astype("float32")


def weights(model):
    """offset, W1, b1, W2, b2 as float64."""
    energy = model.energy
    layers = [step for step in energy.f.steps if hasattr(step, "kernel")]
    found = [energy.offset, *(v for layer in layers for v in (layer.kernel, layer.bias))]
    return [variable.numpy().astype("float64") for variable in found]


def energy(x, w):
    """E(x) = 0.5 ||x - b'||^2 - sum of the last softplus layer, by hand."""
    offset, w1, b1, w2, b2 = w
    hidden = np.logaddexp(0, np.logaddexp(0, x @ w1 + b1) @ w2 + b2)
    return 0.5 * ((x - offset) ** 2).sum(-1) - hidden.sum(-1)


def slope(x, w):
    """dE/dx: the layers run backwards with the same weights (tied)."""
    offset, w1, b1, w2, b2 = w
    sigmoid = lambda a: 1 / (1 + np.exp(-a))  # noqa: E731 - softplus's derivative
    first = x @ w1 + b1
    second = np.logaddexp(0, first) @ w2 + b2
    return x - offset - (sigmoid(first) * (sigmoid(second) @ w2.T)) @ w1.T


def test_the_scores_are_the_energy_and_the_length_of_its_slope(model, x):
    w = weights(model)
    scores = model.scores(x)
    np.testing.assert_allclose(scores["energy"], energy(x, w), rtol=1e-4, atol=1e-5)
    expected = np.linalg.norm(slope(x, w), axis=-1)
    np.testing.assert_allclose(scores["reconstruction_error"], expected, rtol=1e-4)
    np.testing.assert_allclose(model.reconstruct(x), x - slope(x, w), rtol=1e-4, atol=1e-5)


def test_the_gradient_field_is_that_of_finite_differences(model, x):
    w, h = weights(model), 1e-5
    got = model.field(tf.constant(x))[1].numpy()
    for column in range(FEATURES):
        step = h * np.eye(FEATURES)[column]
        central = (energy(x + step, w) - energy(x - step, w)) / (2 * h)
        np.testing.assert_allclose(got[:, column], central, rtol=1e-4, atol=1e-5)


def test_a_training_step_goes_down_the_denoising_loss(x):
    """Adam's first step is the learning rate against the gradient's sign, for every weight."""
    model = tiny(seed=4)
    model.energy.offset.assign(np.linspace(-0.5, 0.5, FEATURES))
    noise = model.noise(BATCH).numpy().astype("float64")
    before = weights(model)

    def loss(w):
        noisy = x + noise
        return ((noisy - slope(noisy, w) - x) ** 2).sum(-1).mean()

    values = model.train_step((tf.constant(x), tf.constant(noise, tf.float32)))
    assert float(values["denoising"]) == pytest.approx(loss(before), rel=1e-4)
    after, h, seen = weights(model), 1e-6, 0
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        for place in np.ndindex(old.shape):
            moved = [w.copy() for w in before]
            moved[index][place] += h
            up = loss(moved)
            moved[index][place] -= 2 * h
            gradient = (up - loss(moved)) / (2 * h)
            if abs(gradient) > 1e-3:  # of smaller ones float32 may not have the sign
                step = new[place] - old[place]
                assert step == pytest.approx(-1e-3 * np.sign(gradient), rel=1e-2)
                seen += 1
    assert seen > 30


def test_training_learns_to_denoise():
    """Rows on a line: the reconstruction of a corrupted row moves towards the line."""
    t = np.random.default_rng(0).standard_normal((256, 1))
    x = (t @ np.ones((1, FEATURES)) * 2).astype("float32")
    model = DSEBM({"f": [dense(16, "softplus")]}, (FEATURES,), batch_size=64, learning_rate=1e-2)
    model.fit(x, epochs=300, verbose=0)
    off = np.float32([[2, 2, 2, 2, -2], [2, -2, 2, -2, 2]])
    on = np.float32([[2] * 5, [-1] * 5])
    assert (model.anomaly_score(off).min() > model.anomaly_score(on).max()).all()
    distance = lambda rows: np.linalg.norm(rows - rows.mean(1, keepdims=True), axis=1)  # noqa: E731
    assert (distance(model.reconstruct(off)) < 0.7 * distance(off)).all()


def test_images_train_through_convolution_and_pooling():
    rows = {"f": [conv(4, 3, 2, "softplus"), max_pool(2), flatten(), dense(3, "softplus")]}
    x = np.random.default_rng(0).uniform(-1, 1, (32, 8, 8, 2)).astype("float32")
    model = DSEBM(rows, (8, 8, 2), batch_size=16, learning_rate=3e-3)
    first = model.fit(x, epochs=1, verbose=0).history.history["loss"][0]
    last = model.fit(x, epochs=30, verbose=0).history.history["loss"][-1]
    assert last < first
    assert model.reconstruct(x[:3]).shape == (3, 8, 8, 2)
