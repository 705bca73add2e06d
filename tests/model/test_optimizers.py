"""One optimizer a network: rates that change in training, schedules, optimizers of one's own."""

import csv

import keras
import pytest
from tiny import equal, tiny_data, tiny_model, weights_of

OPTIONS = dict(batch_size=32, verbose=0)


def rates(model):
    return [float(getattr(model, f"optimizer_{name}").learning_rate) for name in model.optimized]


def test_the_rate_is_changed_without_another_program(tmp_path, monkeypatch):
    """By hand and by Keras's callbacks, of all networks; loggers log."""
    monkeypatch.setattr("alad_tf.engine.programs._training", made := {})
    model, other = tiny_model(0, learning_rate=1e-2), tiny_model(0, learning_rate=1e-3)
    assert model.learning_rate == pytest.approx(1e-2)
    model.learning_rate = 1e-3
    assert rates(model) == pytest.approx(5 * [1e-3])
    for one in (model, other):
        one.fit(tiny_data(), epochs=1, **OPTIONS)
    assert equal(weights_of(model), weights_of(other))

    model.learning_rate = 1e-2
    callbacks = [
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: 1e-3 if epoch else rate),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.TensorBoard(tmp_path / "board"),
    ]
    history = model.fit(tiny_data(), epochs=3, callbacks=callbacks, **OPTIONS)
    assert history.history["learning_rate"] == pytest.approx([1e-2, 1e-3, 1e-3])
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert len(rows) == 3 and float(rows[0]["D_xz"]) == pytest.approx(history.history["D_xz"][0])
    assert list((tmp_path / "board").rglob("events*"))
    plateau = keras.callbacks.ReduceLROnPlateau("loss", 0.1, patience=1, min_delta=1e9)
    model.fit(tiny_data(), epochs=3, callbacks=[plateau], **OPTIONS)
    assert rates(model) == pytest.approx(5 * [1e-5]) and len(made) == 1
    with pytest.raises(ValueError, match="received learning_rate=-1"):
        model.learning_rate = -1


SCHEDULE = keras.optimizers.schedules.PiecewiseConstantDecay([1], [1e-2, 5e-3])


def test_a_schedule_is_a_function_of_the_steps():
    model, same = tiny_model(1), tiny_model(1)
    model.compile(learning_rate=SCHEDULE)
    same.compile_from_config(model.get_compile_config())
    for one in (model, same):
        assert one.learning_rate == pytest.approx(1e-2)
        one.optimizer_E.iterations.assign(2)
        assert float(one.optimizer_E.learning_rate) == pytest.approx(5e-3)
        with pytest.raises(TypeError, match="LearningRateSchedule"):
            one.learning_rate = 1e-3
    assert model.training_key() != tiny_model(1).training_key()  # it is part of the program


@pytest.mark.slow
def test_a_schedule_trains_as_a_change_by_hand(tmp_path):
    """Half the rate from the second epoch on, to the bit."""
    model, by_hand = tiny_model(1), tiny_model(1, learning_rate=1e-2)
    model.compile(learning_rate=SCHEDULE)
    model.fit(tiny_data(), epochs=2, **OPTIONS)  # two steps each
    by_hand.fit(tiny_data(), epochs=1, **OPTIONS)
    by_hand.learning_rate = 5e-3
    by_hand.fit(tiny_data(), epochs=2, initial_epoch=1, **OPTIONS)
    assert equal([v.numpy() for v in model.variables], [v.numpy() for v in by_hand.variables])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.learning_rate == pytest.approx(5e-3)


def test_an_optimizer_is_copied_for_every_network():
    model, same = tiny_model(2), tiny_model(2)
    model.compile(optimizer=keras.optimizers.RMSprop(1e-3, rho=0.8))
    same.compile_from_config(model.get_compile_config())
    for one in (model, same):
        own = [getattr(one, f"optimizer_{name}") for name in one.optimized]
        assert len(set(map(id, own))) == 5
        assert all(isinstance(o, keras.optimizers.RMSprop) and o.rho == 0.8 for o in own)
        assert rates(one) == pytest.approx(5 * [1e-3])
    slower = tiny_model(2)
    slower.compile(optimizer=keras.optimizers.RMSprop(1e-4, rho=0.8))
    assert slower.training_key() == model.training_key() != tiny_model(2).training_key()


@pytest.mark.slow
def test_an_optimizer_trains_as_the_arguments_do(tmp_path):
    model, same = tiny_model(2, learning_rate=1e-3), tiny_model(2)
    same.compile(optimizer=keras.optimizers.Adam(1e-3, beta_1=0.5, epsilon=1e-8))
    for one in (model, same):
        one.fit(tiny_data(), epochs=1, **OPTIONS)
    assert equal(weights_of(model), weights_of(same))
    same.save(tmp_path / "model.keras")
    assert equal(weights_of(keras.models.load_model(tmp_path / "model.keras")), weights_of(same))


def test_optimizers_that_are_none_are_explained():
    model = tiny_model()
    with pytest.raises(ValueError, match="of which each network gets a copy"):
        model.compile(optimizer="adam")
    with pytest.raises(ValueError, match="received both optimizer and learning_rate, beta_1"):
        model.compile(1e-3, 0.5, optimizer=keras.optimizers.Adam())
