"""Early stopping: when it stops, and which weights it leaves, also after a resume."""

import numpy as np
import pytest
import tensorflow as tf
from tiny import equal, tiny_data, tiny_model, weights_of

from alad_tf.engine.callbacks import Checkpoint, Stopping, best_epoch, stop_epoch
from alad_tf.model.scorer import Scorer

SCORES = [5.0, 3.0, 4.0, 3.5, 2.9, 3.1, 3.0, 2.95, 9.0]  # the best is epoch 5, the stop epoch 8


class Scripted(tf.keras.callbacks.Callback):
    """Puts a scripted validation score into the logs, before `Stopping` reads them."""

    def on_epoch_end(self, epoch, logs=None):
        logs["val_score"] = SCORES[epoch]


class Kill(tf.keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.epoch:
            raise KeyboardInterrupt


def fit(folder, rule, kill_after=None, resume=False):
    model = tiny_model(seed=4, jit_compile=False)  # compiles faster; the rules do not depend on it
    checkpoint = Checkpoint(folder, every_s=0)
    stopping = Stopping(rule, 3, checkpoint)
    done = checkpoint.restore(model) if resume else 0
    callbacks = [Scripted(), stopping, checkpoint]
    if kill_after:
        callbacks.append(Kill(kill_after))
    model.fit(
        tiny_data(),
        batch_size=16,
        epochs=done if stopping.stalled(checkpoint.history) else len(SCORES),
        initial_epoch=done,
        verbose=0,
        callbacks=callbacks,
    )
    return model, checkpoint, stopping


@pytest.fixture(scope="module")
def weights_after():
    """All weights after each epoch of a training without any stopping rule."""
    model, weights = tiny_model(seed=4, jit_compile=False), []
    keep = tf.keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: weights.append(weights_of(model))
    )
    model.fit(tiny_data(), batch_size=16, epochs=len(SCORES), verbose=0, callbacks=[keep])
    return weights


@pytest.mark.parametrize(
    ("rule", "epochs", "kept"), [("fixed", 9, 9), ("last", 8, 8), ("best", 8, 5)]
)
def test_where_each_rule_stops_and_what_it_keeps(tmp_path, weights_after, rule, epochs, kept):
    model, checkpoint, stopping = fit(tmp_path, rule)
    assert len(checkpoint.history) == epochs
    assert stopping.kept_epoch(checkpoint.history) == kept
    assert int(model.step.value) == kept * (70 // 16)
    assert equal(weights_of(model), weights_after[kept - 1])


@pytest.mark.parametrize(("rule", "kill_after", "kept"), [("last", 6, 8), ("best", 6, 5)])
def test_a_killed_and_resumed_run_stops_at_the_same_epoch(
    tmp_path, weights_after, rule, kill_after, kept
):
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, rule, kill_after=kill_after)
    model, checkpoint, _ = fit(tmp_path, rule, resume=True)
    assert len(checkpoint.history) == 8
    assert equal(weights_of(model), weights_after[kept - 1])
    # and once more, after its end: nothing is trained
    model, checkpoint, _ = fit(tmp_path, rule, resume=True)
    assert len(checkpoint.history) == 8
    assert equal(weights_of(model), weights_after[kept - 1])


def test_a_rule_without_validation_rows_says_so(tmp_path):
    model, checkpoint = tiny_model(jit_compile=False), Checkpoint(tmp_path)
    with pytest.raises(ValueError, match="stopping='best', which needs validation rows"):
        model.fit(
            tiny_data(),
            batch_size=16,
            verbose=0,
            callbacks=[Stopping("best", 3, checkpoint), checkpoint],
        )


def test_the_monitored_score_is_the_scorers_mean_over_the_validation_rows():
    model, held_out = tiny_model(seed=2, jit_compile=False), tiny_data(21, seed=9)
    batches = tf.data.Dataset.from_tensor_slices(held_out).batch(8)
    history = model.fit(
        tiny_data(), batch_size=16, epochs=2, validation_data=batches, verbose=0
    ).history
    expected = Scorer.from_alad(model).scores(held_out)["features"].mean()
    np.testing.assert_allclose(history["val_score"][-1], expected, rtol=1e-5)


def test_best_and_stop_epochs_of_a_history():
    def history(*scores):
        return [{"val_score": score} for score in scores]

    assert best_epoch(history(3.0, 2.0, 2.5, 2.0)) == 2
    assert stop_epoch(history(3.0, 2.0, 2.5, 2.0, 1.0), 2) == 4
    assert stop_epoch(history(3.0, 2.0, 2.5), 2) is None
