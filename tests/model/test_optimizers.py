"""One optimizer a network: rates that change in training, schedules, optimizers of one's own."""

import csv

import keras
import pytest
from tiny import equal, tiny_data, tiny_model, weights_of

OPTIONS = dict(batch_size=32, verbose=0)


def rates(model):
    return [float(getattr(model, f"optimizer_{name}").learning_rate) for name in model.optimized]


def test_the_rate_of_all_networks_is_set_without_another_program(monkeypatch):
    monkeypatch.setattr("alad_tf.engine.programs._training", made := {})
    model, other = tiny_model(0, learning_rate=1e-2), tiny_model(0, learning_rate=1e-3)
    assert model.learning_rate == pytest.approx(1e-2)
    model.learning_rate = 1e-3
    assert rates(model) == pytest.approx(5 * [1e-3])
    for one in (model, other):
        one.fit(tiny_data(), epochs=1, **OPTIONS)
    assert equal(weights_of(model), weights_of(other)) and len(made) == 1
    with pytest.raises(ValueError, match="learning_rate must be positive; received -1"):
        model.learning_rate = -1


def test_keras_callbacks_change_the_rate_and_log(tmp_path):
    model = tiny_model(0, learning_rate=1e-2)
    callbacks = [
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: 1e-3 if epoch else rate),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.TensorBoard(tmp_path / "board"),
    ]
    history = model.fit(tiny_data(), epochs=3, callbacks=callbacks, **OPTIONS)
    assert history.history["learning_rate"] == pytest.approx([1e-2, 1e-3, 1e-3])
    assert rates(model) == pytest.approx(5 * [1e-3])
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert len(rows) == 3 and float(rows[0]["D_xz"]) == pytest.approx(history.history["D_xz"][0])
    assert list((tmp_path / "board").rglob("events*"))
    plateau = keras.callbacks.ReduceLROnPlateau("loss", 0.1, patience=1, min_delta=1e9)
    model.fit(tiny_data(), epochs=3, callbacks=[plateau], **OPTIONS)
    assert rates(model) == pytest.approx(5 * [1e-5])


def test_a_schedule_is_a_function_of_the_steps(tmp_path):
    """Half the rate from the second epoch on: as a change of the rate by hand, to the bit."""
    rate = keras.optimizers.schedules.PiecewiseConstantDecay([1], [1e-2, 5e-3])
    model, by_hand = tiny_model(1), tiny_model(1, learning_rate=1e-2)
    model.compile(learning_rate=rate)
    model.fit(tiny_data(), epochs=2, **OPTIONS)  # two steps each
    by_hand.fit(tiny_data(), epochs=1, **OPTIONS)
    by_hand.learning_rate = 5e-3
    by_hand.fit(tiny_data(), epochs=2, initial_epoch=1, **OPTIONS)
    assert equal([v.numpy() for v in model.variables], [v.numpy() for v in by_hand.variables])
    assert model.learning_rate == pytest.approx(5e-3)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.learning_rate == pytest.approx(5e-3)
    with pytest.raises(TypeError, match="LearningRateSchedule"):
        model.learning_rate = 1e-3


def test_an_optimizer_is_copied_for_every_network(tmp_path):
    model, same = tiny_model(2, learning_rate=1e-3), tiny_model(2)
    same.compile(optimizer=keras.optimizers.Adam(1e-3, beta_1=0.5, epsilon=1e-8))
    for one in (model, same):
        one.fit(tiny_data(), epochs=1, **OPTIONS)
    assert equal(weights_of(model), weights_of(same))
    same.compile(optimizer=keras.optimizers.RMSprop(1e-3))
    assert len({id(getattr(same, f"optimizer_{name}")) for name in same.optimized}) == 5
    same.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.optimizer_G, keras.optimizers.RMSprop)
    assert equal(weights_of(loaded), weights_of(same))


def test_optimizers_that_are_none_are_explained():
    model = tiny_model()
    with pytest.raises(ValueError, match="every network has an optimizer of its own"):
        model.compile(optimizer="adam")
    with pytest.raises(ValueError, match="received optimizer and learning_rate, beta_1"):
        model.compile(1e-3, 0.5, optimizer=keras.optimizers.Adam())
