"""The model: compiled by XLA, a function of its seed, averaged, saved and loaded whole."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import (
    FEATURES,
    LATENT,
    ROWS,
    equal,
    tiny_data,
    tiny_image_model,
    tiny_model,
    weights_of,
)

from alad_tf.model.alad import ALAD, train_discriminators, train_generator_encoder
from alad_tf.model.specs import dense


@pytest.fixture(scope="module")
def trained():
    model = tiny_model()
    model.fit(tiny_data(), batch_size=16, epochs=3, verbose=0)
    return model


@pytest.mark.xla
def test_step_is_compiled_by_xla():
    def with_python(self, data):
        tf.py_function(lambda: None, [], [])  # XLA cannot compile this

    class Uncompilable(ALAD):
        train_step = with_python

    def fit(**options):
        model = Uncompilable(ROWS, x_shape=(FEATURES,), latent_dim=LATENT)
        model.compile(**options)
        model.fit(tiny_data(), batch_size=16, epochs=1, verbose=0)

    with pytest.raises(tf.errors.InvalidArgumentError, match="XLA_CPU_JIT|XLA_GPU_JIT"):
        fit()
    fit(jit_compile=False)


def test_same_seed_same_weights_and_another_seed_others(trained):
    again = tiny_model()
    again.fit(tiny_data(), batch_size=16, epochs=3, verbose=0)
    assert equal(weights_of(trained), weights_of(again))
    first, second = tiny_model(seed=0), tiny_model(seed=1)
    assert not np.array_equal(first.E.variables[1].numpy(), second.E.variables[1].numpy())


def test_training_counts_whole_batches_and_reports_every_loss(trained):
    assert int(trained.step.value) == 3 * (70 // 16)
    expected = {"loss", "D_xz", "D_xx", "D_zz", "G", "E"}
    assert set(trained.history.history) == expected
    logs = {name: values[-1] for name, values in trained.history.history.items()}
    parts = sum(value for name, value in logs.items() if name != "loss")
    assert logs["loss"] == pytest.approx(parts, rel=1e-5)


def test_chunks_and_single_steps_train_alike():
    x = tiny_data(64)
    chunked, single = tiny_model(), tiny_model()
    x_d, x_g = x[:32].reshape(2, 16, -1), x[32:].reshape(2, 16, -1)
    step = tf.function(chunked.train_steps)
    step((tf.constant(x_d), tf.constant(x_g), tf.constant(2)))
    step = tf.function(single.train_step)
    for k in range(2):
        step((tf.constant(x_d[k]), tf.constant(x_g[k])))
    for a, b in zip(weights_of(chunked), weights_of(single), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", [{"run_eagerly": True}, {"steps_per_execution": 3}])
def test_kerass_ways_to_run_a_step_train_alike(options):
    usual, other = tiny_model(), tiny_model()
    other.compile(**{**other.get_compile_config(), **options})
    found = [
        model.fit(tiny_data(40), batch_size=8, epochs=2, verbose=0).history
        for model in (usual, other)
    ]
    assert int(other.step.value) == 10
    for name, values in found[0].items():
        np.testing.assert_allclose(found[1][name], values, rtol=1e-4)


def test_average_follows_the_weights():
    model = tiny_model(ema_decay=0.9)
    start = [v.numpy() for v in model.ema_sources]
    assert equal([v.numpy() for v in model.ema], start)
    x = tf.constant(tiny_data(32))
    expected = start
    for _ in range(3):
        model.train_step((x[:16], x[16:]))
        expected = [
            0.9 * a + 0.1 * v.numpy() for a, v in zip(expected, model.ema_sources, strict=True)
        ]
    for average, value in zip(model.ema, expected, strict=True):
        np.testing.assert_allclose(average.numpy(), value, rtol=1e-5, atol=1e-7)


def test_averaged_weights_score_and_raw_ones_do_not(trained):
    x = tiny_data(5, seed=1)
    before = trained(x)["features"].numpy()
    copy = tiny_model()
    copy.set_weights(trained.get_weights())
    bias = copy.E.trainable_variables[1]  # biases: a kernel also enters through u
    bias.assign(bias.value + 1.0)
    np.testing.assert_array_equal(copy(x)["features"], before)
    average = copy.averaged_weights("E")[1]
    average.assign(average.value + 1.0)
    assert not np.allclose(copy(x)["features"], before)


def test_validation_score_is_the_mean_features_score(trained):
    x = tiny_data(21, seed=2)
    logs = trained.evaluate(x, batch_size=8, verbose=0, return_dict=True)
    assert logs["score"] == pytest.approx(float(np.mean(trained(x)["features"])), rel=1e-5)


def test_early_stopping_can_watch_the_validation_score():
    model = tiny_model(jit_compile=False)  # quicker; the callback sees only the logs
    stop = keras.callbacks.EarlyStopping("val_score", patience=1, mode="max", baseline=1e9)
    options = dict(validation_data=tiny_data(9), callbacks=[stop], verbose=0)
    model.fit(tiny_data(), batch_size=16, epochs=9, **options)
    assert stop.stopped_epoch == 1  # no score reaches the baseline: patience ends it there


@pytest.mark.parametrize("options", [{}, {"spectral_norm": False, "latent_discriminator": False}])
def test_keras_file_round_trip_keeps_scores_and_goes_on_training(tmp_path, options):
    x = tiny_data()
    model = tiny_model(**options, jit_compile=False)  # quicker; the same variables
    model.fit(x, batch_size=16, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert not loaded.jit_compile
    assert loaded.get_config() == model.get_config()
    assert equal(weights_of(loaded), weights_of(model))
    np.testing.assert_array_equal(loaded(x)["features"], model(x)["features"])
    for one in (model, loaded):
        one.fit(x, batch_size=16, epochs=2, initial_epoch=1, verbose=0)
    assert equal(weights_of(loaded), weights_of(model))


@pytest.mark.xla
def test_a_loaded_model_is_compiled_by_xla_as_before(tmp_path):
    tiny_model(learning_rate=0.01).save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.jit_compile and float(loaded.optimizer_E.learning_rate) == pytest.approx(0.01)


def test_ablations_change_what_they_name():
    plain = tiny_model(spectral_norm=False, latent_discriminator=False)
    assert plain.D_zz is None
    assert plain.discriminators == ("D_xz", "D_xx")
    assert not any(v.path.endswith("/u") for v in plain.variables)
    full = tiny_model()
    normalised = {v.path.split("/")[0] for v in full.variables if v.path.endswith("/u")}
    assert normalised == {"E", "D_xz", "D_xx", "D_zz"}  # and not G
    x = tf.constant(tiny_data(32))
    assert set(plain.train_step((x[:16], x[16:]))) == {"loss", "D_xz", "D_xx", "G", "E"}


def test_each_networks_state_advances_only_in_the_pass_that_trains_it():
    model = tiny_image_model()
    x = tf.constant(np.random.default_rng(0).uniform(-1, 1, (8, 8, 8, 2)).astype("float32"))
    z = tf.constant(np.random.default_rng(1).standard_normal((8, 3)).astype("float32"))

    def changed(train_pass):
        networks = ("E", "G", "D_xz", "D_xx", "D_zz")
        states = {name: getattr(model, name).non_trainable_variables for name in networks}
        weights = {name: getattr(model, name).trainable_variables for name in networks}
        before = {v.path: v.numpy() for part in (states, weights) for n in part for v in part[n]}
        train_pass(model, x, z)
        moved = [
            {n for n in part if any((v.numpy() != before[v.path]).any() for v in part[n])}
            for part in (states, weights)
        ]
        return moved

    # E is normalised and G has batch statistics: both have states to advance
    assert any(v.path.endswith("/u") for v in model.E.variables)
    discriminators = {"D_xz", "D_xx", "D_zz"}
    assert changed(train_discriminators) == [discriminators, discriminators]
    assert changed(train_generator_encoder) == [{"E", "G"}, {"E", "G"}]


def test_mixed_precision_trains_with_float32_variables():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = tiny_model()
        model.fit(tiny_data(), batch_size=16, epochs=1, verbose=0)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    floats = [v for v in model.variables if "float" in str(v.dtype)]
    assert {str(v.dtype) for v in floats} == {"float32"}
    assert all(np.isfinite(v.numpy()).all() for v in floats)
    assert model(tiny_data(4))["features"].dtype == tf.float32


def test_errors_say_what_was_expected():
    with pytest.raises(ValueError, match=r"without \['D_zz'\]"):
        ALAD({k: v for k, v in ROWS.items() if k != "D_zz"}, (FEATURES,), LATENT)
    with pytest.raises(ValueError, match=r"E maps \(6,\) to \(3,\); expected \(4,\)"):
        ALAD(ROWS, (FEATURES,), 4)
    with pytest.raises(ValueError, match="needs a feature layer and a logit layer; received 1"):
        ALAD({**ROWS, "D_xx": [dense(1)]}, (FEATURES,), LATENT)
    with pytest.raises(ValueError, match="received learning_rate=0"):
        tiny_model(learning_rate=0.0)
    with pytest.raises(
        ValueError, match=r"received samples of shape \(5,\); the model takes \(6,\)"
    ):
        tiny_model().fit(tiny_data()[:, :5], batch_size=16)
