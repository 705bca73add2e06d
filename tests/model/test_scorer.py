"""The scorer: parity with NumPy and with the model, and a score that depends on the row alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import FEATURES, tiny_data, tiny_image_model, tiny_model

import zoo
from alad_tf.engine.programs import FEW
from alad_tf.model.scorer import Scorer
from alad_tf.model.scores import SCORES, check_score

pytestmark = pytest.mark.xla


@pytest.fixture(scope="module")
def model():
    model = tiny_model(learning_rate=1e-2, jit_compile=False)  # quicker; any weights will do
    model.fit(tiny_data(), batch_size=16, epochs=5, verbose=0)
    return model


@pytest.fixture(scope="module")
def scorer(model):
    return Scorer.from_alad(model, block=16)


def everything(scorer, x):
    return {**scorer.scores(x), "reconstruction": scorer.reconstruct(x)}


def test_scores_agree_with_numpy(model, scorer):
    """Float64 NumPy from the averaged raw kernels and one power iteration from the stored u."""

    def apply(name, x, normalise):
        weights = [v.numpy().astype("float64") for v in model.averaged_weights(name)]
        (w1, b1), (w2, b2) = weights[:2], weights[2:]
        if normalise:
            network = getattr(model, name)
            (u,) = [v.numpy() for v in network.variables if v.path.endswith("/u")]
            v = w1 @ u / np.linalg.norm(w1 @ u)
            w1 = w1 / np.linalg.norm(w1.T @ v)
        hidden = x @ w1 + b1
        slope = 0.0 if name == "G" else 0.2  # G: ReLU
        hidden = np.where(hidden > 0, hidden, slope * hidden)
        return hidden, hidden @ w2 + b2

    x = tiny_data(40, seed=1).astype("float64")
    reconstruction = apply("G", apply("E", x, True)[1], False)[1]
    real, _ = apply("D_xx", np.concatenate([x, x], 1), True)
    fake, logit = apply("D_xx", np.concatenate([x, reconstruction], 1), True)
    expected = {
        "features": np.abs(real - fake).sum(1),
        "l1": np.abs(x - reconstruction).sum(1),
        "l2": np.sqrt(((x - reconstruction) ** 2).sum(1)),
        "logits": np.log1p(np.exp(-logit[:, 0])),
        "reconstruction": reconstruction,
    }
    got = everything(scorer, x)
    assert set(got) == {*SCORES, "reconstruction"}
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-5, atol=1e-5)


def test_folding_keeps_the_models_scores(model, scorer):
    x = tiny_data(40, seed=1)
    ours, theirs = everything(scorer, x), model(x)
    for name, values in ours.items():
        np.testing.assert_allclose(values, theirs[name], rtol=1e-5, atol=1e-6)
    assert not any(v.path.endswith("/u") for v in scorer.variables)
    assert len(scorer.variables) == len(model.ema)


def test_a_row_scores_the_same_in_any_company(scorer):
    x = tiny_data(50, seed=2)
    whole = scorer.scores(x)
    order = np.random.default_rng(0).permutation(50)
    shuffled = scorer.scores(x[order])
    alone = [scorer.scores(x[i : i + 1]) for i in range(50)]
    for name in SCORES:
        np.testing.assert_array_equal(scorer.scores(x)[name], whole[name])
        np.testing.assert_array_equal(shuffled[name], whole[name][order])
        np.testing.assert_array_equal([row[name][0] for row in alone], whole[name])
        for size in (1, 7, 16, 33):
            parts = [scorer.scores(x[i : i + size])[name] for i in range(0, 50, size)]
            np.testing.assert_array_equal(np.concatenate(parts), whole[name])


@pytest.mark.parametrize("name", ["kdd99_alad", "arrhythmia_alad", "breast_cancer_alad"])
def test_few_and_many_rows_give_the_same_bits(name):
    """Large requests run another program, in several threads; the paper's networks, odd sizes."""
    scorer = zoo.load(name).scorer
    many = 2 * scorer._blocks(10**9) * scorer.block + 77
    x = np.random.default_rng(0).uniform(-1, 1, (many, *scorer.x_shape)).astype("float32")
    whole = scorer.scores(x)
    assert len(scorer._programs) == 1
    few = FEW * scorer.block
    for start, count in ((0, 1), (5, few), (many - 200, 200), (many // 2, 3)):
        part = scorer.scores(x[start : start + count])
        for score in SCORES:
            np.testing.assert_array_equal(part[score], whole[score][start : start + count])
    assert len(scorer._programs) == 2
    order = np.random.default_rng(1).permutation(many)
    for score, values in scorer.scores(x[order]).items():
        np.testing.assert_array_equal(values, whole[score][order])
    made = scorer.reconstruct(x)
    np.testing.assert_array_equal(scorer.reconstruct(x[7:9]), made[7:9])


def test_a_bad_row_in_a_large_request_is_found(scorer):
    x = tiny_data(50_000, seed=2)
    x[[33_000, 49_999], 1] = np.nan
    with pytest.raises(ValueError, match="in 2 of 50000 rows, first in row 33000"):
        scorer.scores(x)


def test_the_block_size_hardly_matters(model, scorer):
    x = tiny_data(50, seed=2)
    other = Scorer.from_alad(model, block=64)
    for name, values in scorer.scores(x).items():
        np.testing.assert_allclose(other.scores(x)[name], values, rtol=1e-5, atol=1e-6)


def test_round_trips_keep_the_bits(scorer, tmp_path):
    x = tiny_data(20, seed=3)
    expected = scorer.scores(x)
    scorer.save(tmp_path / "scorer.keras")
    scorer.save_weights(tmp_path / "scorer.weights.h5")
    twin = Scorer(**scorer.architecture())
    twin.load_weights(tmp_path / "scorer.weights.h5")
    for loaded in (keras.models.load_model(tmp_path / "scorer.keras"), twin):
        for name, values in loaded.scores(x).items():
            np.testing.assert_array_equal(values, expected[name])


def test_worse_reconstructions_score_higher(scorer):
    """A row far from the training plane scores above the rows on it."""
    normal = scorer.scores(tiny_data(50, seed=4))
    far = scorer.scores(np.full((1, FEATURES), 50.0, "float32"))
    for name in ("features", "l1", "l2"):
        assert far[name][0] > normal[name].max()


@pytest.mark.parametrize("axis", [pytest.param(-1, marks=pytest.mark.slow), 1])
def test_image_networks_fold_and_score_by_either_pair_axis(axis):
    model = tiny_image_model(pair_axis=axis, jit_compile=False)
    x = np.random.default_rng(0).uniform(-1, 1, (24, 8, 8, 2)).astype("float32")
    model.fit(x, batch_size=8, epochs=2, verbose=0)
    scorer = Scorer.from_alad(model)
    got, expected = everything(scorer, x), model(x)
    assert got["reconstruction"].shape == x.shape
    for name, values in got.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-4, atol=1e-6)
    features = scorer.D_xx(tf.constant(x), tf.constant(x))[1]
    assert features.shape[1] == (2 * 2 * 4 if axis == -1 else 4 * 2 * 4)


def test_bad_samples_are_refused(scorer):
    with pytest.raises(ValueError, match=r"takes \(N, 6\) with N > 0; received \(3, 5\)"):
        scorer.scores(np.zeros((3, 5)))
    with pytest.raises(ValueError, match=r"received \(0, 6\)"):
        scorer.scores(np.zeros((0, 6)))
    for value in (np.nan, np.inf):
        bad = np.zeros((4, FEATURES))
        bad[2, 1] = value
        with pytest.raises(ValueError, match="NaN or infinity in 1 of 4 rows, first in row 2"):
            scorer.scores(bad)
    with pytest.raises(ValueError, match="received the score 'feature'; expected one of"):
        check_score("feature")
