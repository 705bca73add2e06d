"""DAGMM: its mixture against scikit-learn and NumPy, and no NaN where others get one."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.mixture import GaussianMixture

import zoo
from alad_tf.baselines import DAGMM
from alad_tf.baselines.mixture import FLOOR, RIDGE, Mixture, energies, fit_mixture, singularity
from alad_tf.data import split
from alad_tf.model.specs import dense
from alad_tf.preprocess import for_dataset

ROWS = {
    "encoder": [dense(4, "tanh"), dense(1)],
    "decoder": [dense(4, "tanh"), dense(6)],
    "estimation": [dense(5, "tanh", dropout=0.5), dense(3)],
}


def samples(rows=200, dimensions=3, seed=0):
    generator = np.random.default_rng(seed)
    return generator.standard_normal((rows, dimensions)) * [1.0, 5.0, 0.1][:dimensions]


def memberships(rows, components, seed=1):
    logits = 3 * np.random.default_rng(seed).standard_normal((rows, components))
    return logits - np.logaddexp.reduce(logits, -1, keepdims=True)


def test_the_energy_is_scikit_learns_with_the_same_parameters():
    z, log_gamma = samples(), memberships(200, 4)
    mixture = fit_mixture(tf.constant(z), tf.constant(log_gamma))
    covariances = mixture.factors.numpy() @ mixture.factors.numpy().transpose(0, 2, 1)
    reference = GaussianMixture(4)
    reference.weights_ = np.exp(mixture.log_weights.numpy())
    reference.means_, reference.covariances_ = mixture.means.numpy(), covariances
    reference.precisions_cholesky_ = np.linalg.cholesky(np.linalg.inv(covariances))
    expected = -reference.score_samples(z)
    np.testing.assert_allclose(energies(tf.constant(z), mixture), expected, rtol=1e-9)
    single = Mixture(*(tf.cast(value, tf.float32) for value in mixture))
    got = energies(tf.constant(z, tf.float32), single)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_the_mixture_has_the_moments_of_its_members():
    z, log_gamma = samples(), memberships(200, 2)
    gamma = np.exp(log_gamma)
    mixture = fit_mixture(tf.constant(z), tf.constant(log_gamma))
    np.testing.assert_allclose(np.exp(mixture.log_weights), gamma.mean(0))
    for k in range(2):
        mean = (gamma[:, k : k + 1] * z).sum(0) / gamma[:, k].sum()
        np.testing.assert_allclose(mixture.means[k], mean)
        covariance = np.cov(z.T, aweights=gamma[:, k], bias=True)
        ridged = covariance + np.diag(RIDGE * np.diag(covariance) + FLOOR)
        factor = mixture.factors[k].numpy()
        np.testing.assert_allclose(factor @ factor.T, ridged, rtol=1e-9, atol=1e-12)
        assert not np.triu(factor, 1).any()
    variances = [np.diag(f @ f.T) for f in mixture.factors.numpy()]
    assert float(singularity(mixture)) == pytest.approx((1 / np.concatenate(variances)).sum())


@pytest.mark.parametrize(
    ("z", "log_gamma"),
    [
        (np.zeros((64, 3)), memberships(64, 4)),  # all rows alike: covariances of 0
        (samples(64), np.log([[1.0, 1e-45]] * 64)),  # nothing belongs to the second component
        (samples(64), np.where(np.eye(4, dtype=bool)[np.arange(64) % 4], 0.0, -1e4)),
        (samples(64)[:, [1, 1, 1]], memberships(64, 2)),  # rank one
        (samples(64) * [1e6, 1.0, 1e-6], memberships(64, 2)),
        (samples(2), memberships(2, 4)),  # fewer rows than dimensions
    ],
)
def test_degenerate_mixtures_have_finite_energies_and_gradients_in_float32(z, log_gamma):
    z, log_gamma = tf.constant(z, tf.float32), tf.constant(log_gamma, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch([z, log_gamma])
        mixture = fit_mixture(z, log_gamma)
        loss = tf.reduce_mean(energies(z, mixture)) + singularity(mixture)
    assert np.isfinite(loss)
    for gradient in tape.gradient(loss, [z, log_gamma]):
        assert np.isfinite(gradient).all()


def test_the_loss_is_the_papers():
    """Reconstruction, mean energy and 1 / variance, from the networks' own outputs."""
    rows = {**ROWS, "estimation": [dense(5, "tanh"), dense(3)]}  # without dropout
    model = DAGMM(rows, (6,), seed=2)
    x = np.random.default_rng(0).standard_normal((32, 6)).astype("float32")
    code = model.encoder(x).numpy()
    made = model.decoder(code).numpy()
    distance = np.linalg.norm(x - made, axis=1) / np.linalg.norm(x, axis=1)
    cosine = (x * made).sum(1) / (np.linalg.norm(x, axis=1) * np.linalg.norm(made, axis=1))
    z = np.concatenate([code, distance[:, None], cosine[:, None]], 1)
    np.testing.assert_allclose(model.compress(tf.constant(x))[0], z, rtol=1e-4, atol=1e-5)
    logits = model.estimation(z.astype("float32")).numpy().astype("float64")
    log_gamma = logits - np.logaddexp.reduce(logits, -1, keepdims=True)
    mixture = fit_mixture(tf.constant(z, tf.float64), tf.constant(log_gamma))
    parts = model.train_step((tf.constant(x),))
    assert float(parts["reconstruction"]) == pytest.approx(
        ((x - made) ** 2).sum(1).mean(), rel=1e-4
    )
    energy = 0.1 * float(tf.reduce_mean(energies(tf.constant(z, tf.float64), mixture)))
    assert float(parts["energy"]) == pytest.approx(energy, rel=1e-3, abs=1e-4)
    assert float(parts["singularity"]) == pytest.approx(
        0.005 * float(singularity(mixture)), rel=1e-3
    )


def test_scores_use_the_mixture_of_all_training_rows():
    x = np.random.default_rng(0).standard_normal((500, 6)).astype("float32")
    model = DAGMM(ROWS, (6,), batch_size=100, epochs=3, seed=1).fit(x, verbose=0)
    z = tf.cast(model.compress(tf.constant(x))[0], tf.float64)
    log_gamma = tf.nn.log_softmax(tf.cast(model.estimation(tf.cast(z, tf.float32)), tf.float64))
    whole = fit_mixture(z, log_gamma)
    for got, expected in zip(model.mixture, whole, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.anomaly_score(x), energies(z, whole), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("seeds", [2, pytest.param(20, marks=[pytest.mark.slow, pytest.mark.xla])])
def test_seeds_train_on_arrhythmia_without_nan(arrhythmia, seeds):
    """The initial weights of twenty seeds; the whole trainings are results."""
    train = split("arrhythmia", arrhythmia.is_anomaly).train
    x = for_dataset("arrhythmia", arrhythmia, train).transform(arrhythmia.x[train])
    assert x.shape == (192, 274)
    entry = zoo.entry("arrhythmia_dagmm")
    for seed in range(seeds):
        model = entry.build(seed)
        model.fit(x, epochs=100, verbose=0)
        assert np.isfinite(model.history.history["loss"]).all()
        assert np.isfinite(model.anomaly_score(x)).all()


def test_bad_shapes_are_refused():
    with pytest.raises(
        ValueError, match=r"received samples of shape \(4, 4, 1\); DAGMM takes vectors"
    ):
        DAGMM(ROWS, (4, 4, 1))
    with pytest.raises(ValueError, match=r"\(3, 2\) and .* \(4, 2\); expected"):
        fit_mixture(tf.zeros((3, 2)), tf.zeros((4, 2)))
