"""Members trained by one shared program are what `ALAD.fit` makes of each of them, to the bit."""

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

from alad_tf.detector.history import History
from alad_tf.detector.members import train_members
from alad_tf.engine.feed import PairedBatches
from alad_tf.model.alad import ALAD


def assert_alike(ours, theirs):
    """The weights agree but for their last bits.

    Not compared is a bias in front of a batch norm, which takes it out again: its gradient is 0,
    and Adam makes whole steps of what rounding leaves of it.
    """
    layers = [layer for layer in ours._flatten_layers() if hasattr(layer, "steps")]
    before_norms = {
        getattr(one, "layer", one).bias.path
        for stack in layers
        for one, other in zip(stack.steps, stack.steps[1:], strict=False)
        if isinstance(other, keras.layers.BatchNormalization)
    }
    assert before_norms
    for a, b in zip(ours.variables, theirs.variables, strict=True):
        if a.path not in before_norms:
            np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6, err_msg=a.path)


@pytest.mark.xla
def test_members_are_what_fit_makes():
    """Over ends of epochs as epoch by epoch; and in company, or alone, a member is the same."""
    x = tiny_data(70)
    together = [tiny_model(seed) for seed in (3, 8)]
    found = train_members(together, x, 32, steps=6)
    alone = tiny_model(8)
    history = alone.fit(x, batch_size=32, epochs=3, verbose=0).history
    assert equal(weights_of(together[1]), weights_of(alone))
    assert found[1]["G"] == pytest.approx(np.mean(history["G"]), rel=1e-5)
    first = tiny_model(3)
    assert train_members([first], x, 32, steps=6) == found[:1]
    assert equal(weights_of(together[0]), weights_of(first))
    assert [int(model.step.value) for model in together] == [6, 6]


def test_tables_of_one_step_an_epoch_are_trained_alike():
    together, alone = tiny_model(3), tiny_model(3)
    train_members([together], tiny_data(33), 32, steps=4)
    alone.fit(tiny_data(33), batch_size=32, epochs=4, verbose=0)
    assert equal(weights_of(together), weights_of(alone))


def test_tables_of_all_lengths_are_trained_by_one_program(monkeypatch):
    """`fit` as well as the members; the length of an epoch's last chunk is an argument."""
    monkeypatch.setattr("alad_tf.engine.programs._training", made := {})
    for rows in (40, 70, 64 * 110):
        tiny_model().fit(tiny_data(rows), batch_size=32, epochs=1, verbose=0)
    train_members([tiny_model(3)], tiny_data(90), 32, steps=4)
    assert len(made) == 1


@pytest.mark.slow
@pytest.mark.xla
def test_image_members_are_what_fit_makes():
    x = np.random.default_rng(0).uniform(-1, 1, (8, 8, 8, 2)).astype("float32")
    together, alone = tiny_image_model(), tiny_image_model()
    train_members([together], x, 4, steps=4)
    alone.fit(x, batch_size=4, epochs=2, verbose=0)
    assert_alike(together, alone)


def test_training_goes_on_where_it_stopped():
    x = tiny_data()
    whole, parts = tiny_model(1), tiny_model(1)
    train_members([whole], x, 32, steps=7)
    for steps in (3, 4):
        train_members([parts], x, 32, steps)
    assert equal(weights_of(whole), weights_of(parts))


def test_one_program_serves_other_tables_rates_and_seeds(monkeypatch):
    """Nothing of the first model is captured: what another one learns does not depend on it."""
    monkeypatch.setattr("alad_tf.engine.programs._training", made := {})
    x = tiny_data()
    alone = tiny_model(5, learning_rate=1e-2)
    alone.fit(x[:64], batch_size=32, epochs=1, verbose=0)
    made.clear()
    train_members([tiny_model(0)], x, 32, steps=2)
    (program,) = made.values()
    other = tiny_model(5, learning_rate=1e-2)
    train_members([other], x[:64], 32, steps=2)
    assert list(made.values()) == [program] and not program.captured_inputs
    assert equal(weights_of(other), weights_of(alone))


@pytest.mark.slow  # the quick test is that of a model that was patched
def test_a_model_that_captures_something_shares_no_program(monkeypatch):
    """A subclass whose step reads a variable of its own, which is no part of its state."""
    monkeypatch.setattr("alad_tf.engine.programs._training", made := {})

    class Scaled(ALAD):
        def train_step(self, data):
            x_d, x_g, noise = data
            return super().train_step((x_d * self.factor[0], x_g, noise))

    def trained(factor):
        model = Scaled(ROWS, x_shape=(FEATURES,), latent_dim=LATENT, seed=1)
        model.factor = (tf.Variable(factor, trainable=False),)
        model.compile(learning_rate=1e-3)
        model.fit(tiny_data(), batch_size=32, epochs=1, verbose=0)
        return model

    first, same, other = map(trained, (1.0, 1.0, 2.0))
    assert not made
    assert equal(weights_of(first)[:20], weights_of(same)[:20])
    assert not equal(weights_of(first)[:20], weights_of(other)[:20])


def test_a_model_that_was_patched_shares_no_program():
    plain, patched = tiny_model(1), tiny_model(1)
    patched.noise = lambda batch_size, ahead=0: tf.zeros((*ahead.shape, 2, batch_size, LATENT))
    for model in (plain, patched):
        model.fit(tiny_data(), batch_size=32, epochs=1, verbose=0)
    assert not equal(weights_of(plain), weights_of(patched))


def test_a_killed_training_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    """Interrupted in the third call of the program; another table's states are not taken."""
    monkeypatch.setattr("alad_tf.engine.feed.STEPS", 2)
    monkeypatch.setattr("alad_tf.engine.state_file.StateFile.__init__.__defaults__", (0.0,))
    x, calls = tiny_data(), []

    def interrupt(count):
        calls.append(count)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_members([tiny_model(4)], x, 32, 9, interrupt, checkpoint=tmp_path)
    assert sum(calls) == 6
    whole, resumed, told = tiny_model(4), tiny_model(4), []
    train_members([whole], x, 32, 9)
    train_members([resumed], x, 32, 9, told.append, checkpoint=tmp_path)
    assert told[0] == 6 and sum(told) == 9
    assert equal(weights_of(whole), weights_of(resumed))
    other, told = tiny_model(4), []
    train_members([other], x + 1, 32, 9, told.append, checkpoint=tmp_path)
    assert told[0] == 2
    (tmp_path / "member0.npz").write_bytes(b"damaged")
    train_members([tiny_model(4)], x, 32, 9, told.append, checkpoint=tmp_path)


def test_steps_are_reported():
    told = []
    train_members([tiny_model(0), tiny_model(1)], tiny_data(), 32, steps=3, report=told.append)
    assert sum(told) == 6


def test_losses_are_kept_by_blocks_of_steps(monkeypatch):
    """Blocks whose means make up the whole; with callbacks or without, the same losses."""
    monkeypatch.setattr("alad_tf.engine.feed.STEPS", 2)
    monkeypatch.setattr("alad_tf.detector.history.BLOCK", 4)
    monkeypatch.setattr("alad_tf.detector.members.BLOCK", 4)
    seen = []
    recorder = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda block, logs: seen.append((block, dict(logs)))
    )
    histories, means = [History(), History([recorder])], []
    for history in histories:
        models = [tiny_model(0), tiny_model(1)]
        history.begin(models, 10)
        means.append(train_members(models, tiny_data(), 32, steps=10, history=history))
    plain, called = (history.history for history in histories)
    assert plain == called and means[0] == means[1]
    assert plain["step"] == [4, 8, 10] and [block for block, _ in seen] == [0, 1, 2]
    assert [logs["G"] for _, logs in seen] == plain["G"]
    whole = np.mean([found["G"] for found in means[0]])
    assert np.average(plain["G"], weights=[4, 4, 2]) == pytest.approx(whole, rel=1e-4)


def test_callbacks_stop_all_members_and_set_their_rate(monkeypatch):
    monkeypatch.setattr("alad_tf.detector.history.BLOCK", 2)
    monkeypatch.setattr("alad_tf.detector.members.BLOCK", 2)
    monkeypatch.setattr("alad_tf.engine.feed.STEPS", 2)
    models = [tiny_model(0), tiny_model(1)]
    history = History(
        [
            keras.callbacks.LearningRateScheduler(lambda block, rate: 0.5 * rate),
            keras.callbacks.EarlyStopping("loss", min_delta=1e9),
        ]
    )
    history.begin(models, 20)
    train_members(models, tiny_data(), 32, steps=20, history=history)
    assert [int(model.step.value) for model in models] == [4, 4]
    assert [model.learning_rate for model in models] == pytest.approx([2.5e-4, 2.5e-4])
    assert history.history["learning_rate"] == pytest.approx([5e-4, 2.5e-4])
    with pytest.raises(ValueError, match="expected instances of keras.callbacks.Callback"):
        History([keras.callbacks.CSVLogger])


def test_only_one_architecture_and_finite_losses():
    models = [tiny_model(0), tiny_model(1, spectral_norm=False)]
    with pytest.raises(ValueError, match="2 models of 2 architectures"):
        train_members(models, tiny_data(), 32, steps=1)
    with pytest.raises(ValueError, match=rf"the model takes \({FEATURES},\)"):
        train_members([tiny_model(0)], tiny_data()[:, :4], 32, steps=1)
    with pytest.raises(FloatingPointError, match="seed 0"):
        train_members([tiny_model(0, learning_rate=1e30)], tiny_data(), 32, steps=20)


def test_batches_across_epochs_are_those_of_the_epochs():
    """From any step on, whatever the chunk: the same rows as epoch after epoch."""
    x = np.arange(14, dtype="float32")[:, None]
    feed = PairedBatches(x, 4, seed=3, chunk=2)
    assert feed.steps == 3
    by_epoch = [
        (x_d.numpy()[i], x_g.numpy()[i])
        for x_d, x_g, count in feed.epochs().take(3 * feed.chunks)
        for i in range(count)
    ]
    for first, count, chunk in ((0, 9, 4), (2, 6, 5), (4, 5, 1)):
        feed = PairedBatches(x, 4, seed=3, chunk=chunk)
        chunks = list(feed.across_epochs(first, count))
        assert all(x_d.shape[0] == chunk for x_d, _, _ in chunks)
        found = [(x_d.numpy()[i], x_g.numpy()[i]) for x_d, x_g, kept in chunks for i in range(kept)]
        np.testing.assert_array_equal(found, by_epoch[first : first + count])
