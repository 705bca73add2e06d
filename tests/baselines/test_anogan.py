"""AnoGAN: the GAN's updates against finite differences, and scores from the search."""

import numpy as np
import pytest
import tensorflow as tf

from alad_tf.baselines import AnoGAN
from alad_tf.baselines.latent_search import LatentSearch
from alad_tf.model.specs import conv, conv_transpose, dense, flatten, reshape

FEATURES, LATENT, BATCH, RATE = 5, 2, 8, 1e-3
ROWS = {"G": [dense(6, "relu"), dense(FEATURES)], "D": [dense(7, "lrelu"), dense(1)]}


def tiny(**options):
    options = {"search_steps": 5, "batch_size": BATCH, "learning_rate": RATE, **options}
    return AnoGAN(ROWS, (FEATURES,), LATENT, **options)


def weights(network):
    return [v.numpy().astype("float64") for v in network.trainable_variables]


def forward(x, w, slope):
    """Two dense layers with a leaky non-linearity between them, by hand."""
    hidden = x @ w[0] + w[1]
    return np.where(hidden > 0, hidden, slope * hidden) @ w[2] + w[3]


def softplus(a):
    return np.logaddexp(0, a)


def numeric(loss, w, h=1e-6):
    """Central differences of a loss by each number of the weights."""
    gradients = []
    for index, values in enumerate(w):
        gradient = np.zeros_like(values)
        for place in np.ndindex(values.shape):
            both = []
            for sign in (1, -1):
                moved = [v.copy() for v in w]
                moved[index][place] += sign * h
                both.append(loss(moved))
            gradient[place] = (both[0] - both[1]) / (2 * h)
        gradients.append(gradient)
    return gradients


def test_a_step_updates_d_then_g_down_their_losses():
    """Adam's first step is the learning rate against the gradient's sign."""
    model = tiny(seed=1)
    x = np.random.default_rng(0).standard_normal((BATCH, FEATURES))
    z_d, z_g = noise = model.noise(BATCH).numpy().astype("float64")
    g, d = weights(model.G), weights(model.D)

    def loss_d(d):
        real, fake = forward(x, d, 0.2), forward(forward(z_d, g, 0), d, 0.2)
        return softplus(-real).mean() + softplus(fake).mean()

    values = model.train_step((tf.constant(x, tf.float32), tf.constant(noise, tf.float32)))
    assert float(values["D"]) == pytest.approx(loss_d(d), rel=1e-5)
    new_d = weights(model.D)

    def loss_g(g):  # D has learnt by now
        return softplus(-forward(forward(z_g, g, 0), new_d, 0.2)).mean()

    assert float(values["G"]) == pytest.approx(loss_g(g), rel=1e-5)
    for loss, old, new in ((loss_d, d, new_d), (loss_g, g, weights(model.G))):
        seen = 0
        for gradient, before, after in zip(numeric(loss, old), old, new, strict=True):
            clear = np.abs(gradient) > 1e-4
            expected = -RATE * np.sign(gradient[clear])
            np.testing.assert_allclose((after - before)[clear], expected, rtol=2e-2)
            seen += clear.sum()
        assert seen > 20
    averaged = [0.999 * a + 0.001 * b for a, b in zip(g + d, weights(model.G) + new_d, strict=True)]
    for got, expected in zip(model.ema, averaged, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.xla
def test_scores_are_those_of_the_search_with_averaged_weights():
    x = np.random.default_rng(2).standard_normal((64, FEATURES)).astype("float32")
    model = tiny(seed=2, epochs=3, ema_decay=0.9).fit(x, verbose=0)
    rows = np.concatenate([x[:3], x[:2]])
    scores = model.scores(rows)
    assert np.array_equal(scores["weight_0.1"][:2], scores["weight_0.1"][3:])
    for name, weight in (("weight_0.1", 0.1), ("weight_0.9", 0.9)):
        search = model.searches[name]
        assert (search.weight, search.steps) == (weight, 5)
        z = search(rows)["z"]
        g, d = ([v.numpy() for v in model.averaged_weights(n)] for n in ("G", "D"))
        made = forward(z, g, 0)

        def features(rows, d=d):
            hidden = rows @ d[0] + d[1]
            return np.where(hidden > 0, hidden, 0.2 * hidden)

        misfit = np.abs(rows - made).sum(1), np.abs(features(rows) - features(made)).sum(1)
        expected = weight * misfit[0] + (1 - weight) * misfit[1]
        np.testing.assert_allclose(scores[name], expected, rtol=1e-3)
    np.testing.assert_allclose(model.reconstruct(rows).shape, rows.shape)


def test_a_search_with_the_networks_of_the_model_halves_its_loss():
    """Samples that the trained G makes: their codes are there to be found."""
    x = np.random.default_rng(3).standard_normal((64, FEATURES)).astype("float32")
    model = tiny(seed=3, epochs=2).fit(x, verbose=0)
    z = np.random.default_rng(4).standard_normal((6, LATENT)).astype("float32")
    made = model.call_averaged("G", tf.constant(z)).numpy()
    search = LatentSearch(
        lambda code: model.call_averaged("G", code),
        lambda sample: model.call_averaged("D", sample),
        (FEATURES,),
        LATENT,
        steps=500,
        learning_rate=0.01,
    )
    found = search(made)
    assert np.median(found["score"] / found["start"]) < 0.5


def test_images_with_batch_norm_train_and_score():
    rows = {
        "G": [
            reshape(1, 1, 3),
            conv_transpose(4, 4, 2, "relu", batch_norm=True, padding="valid"),
            conv_transpose(2, 4, 2, "tanh"),
        ],
        "D": [
            conv(3, 4, 2, "lrelu"),
            conv(4, 4, 2, "lrelu", batch_norm=True),
            flatten(),
            dense(1),
        ],
    }
    x = np.random.default_rng(0).uniform(-1, 1, (16, 8, 8, 2)).astype("float32")
    model = AnoGAN(rows, (8, 8, 2), 3, search_steps=2, batch_size=8, initializer="normal_0.01")
    (norm,) = [s for s in model.D.body.steps if hasattr(s, "moving_mean")]
    before = norm.moving_mean.numpy().copy()
    model.fit(x, epochs=1, verbose=0)
    assert not np.array_equal(norm.moving_mean, before)
    assert model.anomaly_score(x[:2]).shape == (2,)
    assert model.reconstruct(x[:2]).shape == (2, 8, 8, 2)
