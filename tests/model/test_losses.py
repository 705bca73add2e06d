"""The three games' losses equal -log sigmoid taken naively in float64, with analytic gradients.

Bound of every comparison: a float32 softplus is good to a few units in the last place, so values
agree to 1e-6 relative (2**-20, eight units); a gradient of the form sigmoid - 1 keeps float32's
absolute precision, 2**-24, instead.
"""

import numpy as np
import pytest
import tensorflow as tf

from alad_tf.model.losses import (
    constant_terms,
    cross_entropy,
    discriminator_loss,
    generator_encoder_losses,
)

RTOL = 1e-6


def naive(logits, label):
    """Mean of -log sigmoid or -log(1 - sigmoid) over rows, from the definitions, in float64."""
    logits = np.asarray(logits, "float64")
    probability = 1 / (1 + np.exp(-logits if label else logits))  # of the label
    return np.mean(-np.log(probability))


@pytest.fixture
def logits():
    """Four float32 vectors of logits, different in every row and between games."""
    return list(np.random.default_rng(0).normal(0, 3, (4, 7)).astype("float32"))


def value_and_gradients(function, *vectors):
    tensors = [tf.constant(v) for v in vectors]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
    return float(value), [g.numpy() for g in tape.gradient(value, tensors)]


@pytest.mark.parametrize("label", [0, 1])
def test_cross_entropy_value_and_gradient(logits, label):
    value, (gradient,) = value_and_gradients(lambda t: cross_entropy(t, label), logits[0])
    np.testing.assert_allclose(value, naive(logits[0], label), rtol=RTOL)
    # d/dt of -log sigmoid(t) is sigmoid(t) - 1, of -log(1 - sigmoid(t)) is sigmoid(t)
    probability = 1 / (1 + np.exp(-logits[0].astype("float64")))
    # atol: sigmoid - 1 in float32 keeps absolute, not relative, precision near 1
    analytic = (probability - label) / len(logits[0])
    np.testing.assert_allclose(gradient, analytic, rtol=RTOL, atol=2**-24)
    assert (np.sign(gradient) == (-1 if label else 1)).all()


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("extreme", [-80.0, 80.0])
def test_extreme_logits(extreme, label):
    value, (gradient,) = value_and_gradients(
        lambda t: cross_entropy(t, label), np.full(3, extreme, "float32")
    )
    wrong = (extreme > 0) != bool(label)
    # right: log(1 + e**-80) = e**-80 to first order, which 1 + e**-80 in float64 would round off
    expected = 80.0 if wrong else np.exp(-80.0)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    slope = 0.0 if not wrong else (-1.0 if label else 1.0)
    np.testing.assert_allclose(gradient, np.full(3, slope / 3), rtol=RTOL, atol=1e-30)


def test_far_beyond_the_range_of_exp():
    for sign in (-1, 1):
        for label in (0, 1):
            value, (gradient,) = value_and_gradients(
                lambda t, label=label: cross_entropy(t, label), np.full(2, sign * 1e4, "float32")
            )
            assert value == (1e4 if (sign > 0) != bool(label) else 0.0)
            assert np.isfinite(gradient).all()


def test_discriminator_loss(logits):
    real, fake = logits[:2]
    value, (by_real, by_fake) = value_and_gradients(discriminator_loss, real, fake)
    np.testing.assert_allclose(value, naive(real, 1) + naive(fake, 0), rtol=RTOL)
    assert (by_real < 0).all() and (by_fake > 0).all()  # descent lifts real, lowers made


def test_sum_over_games_is_sum_of_minus_log(logits):
    """D's three games of the paper, with logs of probabilities instead of cross-entropies."""
    real, fake = logits[:2]
    D = [1 / (1 + np.exp(-t.astype("float64"))) for t in (real, fake)]
    paper = np.mean(np.log(D[0])) + np.mean(np.log(1 - D[1]))  # what D maximises
    loss = float(discriminator_loss(tf.constant(real), tf.constant(fake)))
    np.testing.assert_allclose(loss, -paper, rtol=RTOL)


def test_generator_encoder_losses(logits):
    xz_real, xz_fake, xx_fake, zz_fake = map(tf.constant, logits)
    parts = generator_encoder_losses(xz_real, xz_fake, xx_fake, zz_fake)
    expected = {
        "G": naive(xz_fake, 1),  # (G(z), z) should be taken for real
        "E": naive(xz_real, 0),  # (x, E(x)) should be taken for made
        "cycle_x": naive(xx_fake, 1),
        "cycle_z": naive(zz_fake, 1),
    }
    assert parts.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(float(parts[name]), value, rtol=RTOL, err_msg=name)


def test_without_latent_game(logits):
    parts = generator_encoder_losses(*map(tf.constant, logits[:3]))
    assert set(parts) == {"G", "E", "cycle_x"}


def test_labels_are_swapped(logits):
    """What G and E minimise in a game is what D minimises with real and made exchanged."""
    real, fake = map(tf.constant, logits[:2])
    parts = generator_encoder_losses(real, fake, fake)
    swapped = float(parts["E"] + parts["G"])
    np.testing.assert_allclose(swapped, float(discriminator_loss(fake, real)), rtol=RTOL)
    np.testing.assert_allclose(
        float(parts["cycle_x"] + constant_terms(real)),
        float(discriminator_loss(fake, real)),
        rtol=RTOL,
    )
    assert abs(swapped - float(discriminator_loss(real, fake))) > 0.1


def test_opposite_directions(logits):
    """Where D pushes a logit up, G and E push it down, in every game, without a zero gradient."""
    real, fake = logits[:2]
    _, (d_real, d_fake) = value_and_gradients(discriminator_loss, real, fake)
    _, (e_real, g_fake, xx_fake, zz_fake) = value_and_gradients(
        lambda *t: tf.add_n(list(generator_encoder_losses(*t).values())), real, fake, fake, fake
    )
    assert (d_real * e_real < 0).all()
    for gradient in (g_fake, xx_fake, zz_fake):
        assert (d_fake * gradient < 0).all()


def test_non_saturating():
    """A made pair that D rejects with certainty still gives G the full gradient -1/B."""
    rejected = np.full(4, -30.0, "float32")
    _, (gradient,) = value_and_gradients(lambda t: generator_encoder_losses(t, t, t)["G"], rejected)
    np.testing.assert_allclose(gradient, -0.25, rtol=RTOL)


def test_constant_terms(logits):
    xx_real, zz_real = map(tf.constant, logits[:2])
    np.testing.assert_allclose(float(constant_terms(xx_real)), naive(xx_real, 0), rtol=RTOL)
    both = float(constant_terms(xx_real, zz_real))
    np.testing.assert_allclose(both, naive(xx_real, 0) + naive(zz_real, 0), rtol=RTOL)


@pytest.mark.parametrize("label", [2, -1, 0.5])
def test_unknown_label(label):
    with pytest.raises(ValueError, match=f"received label={label}"):
        cross_entropy(tf.zeros(3), label)


def test_logits_that_are_no_vector():
    column = tf.zeros((4, 1))
    calls = [
        lambda: cross_entropy(column, 1),
        lambda: discriminator_loss(column, column),
        lambda: generator_encoder_losses(tf.zeros(4), tf.zeros(4), tf.zeros(4), column),
        lambda: constant_terms(column),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"received logits of shape \(4, 1\); expected \(B,\)"):
            call()


def test_lengths_that_differ():
    """Unequal halves would silently weigh the two kinds of pairs differently."""
    with pytest.raises(ValueError, match=r"\(3,\) for real pairs and \(4,\) for generated"):
        discriminator_loss(tf.zeros(3), tf.zeros(4))
