"""Checkpoints are whole and finite, and a divergence stops with the last good one in place."""

import shutil

import keras
import numpy as np
import pytest
from tiny import equal, tiny_data, weights_of
from tiny import tiny_model as compiled_model

from alad_tf.engine.callbacks import Checkpoint, DivergenceError, StopOnDivergence


def tiny_model(**options):
    """Not compiled by XLA, of which callbacks see nothing: a third of the time."""
    return compiled_model(jit_compile=False, **options)


class Poison(keras.callbacks.Callback):
    """Make a weight NaN at the start or at the end of an epoch."""

    def __init__(self, epoch, when):
        super().__init__()
        self.epoch, self.when = epoch, when

    def _poison(self, epoch):
        if epoch == self.epoch:
            kernel = self.model.G.trainable_variables[0]
            kernel.assign(kernel.value * np.nan)

    def on_epoch_begin(self, epoch, logs=None):
        if self.when == "begin":
            self._poison(epoch)

    def on_epoch_end(self, epoch, logs=None):
        if self.when == "end":
            self._poison(epoch)


@pytest.mark.parametrize(("when", "what"), [("begin", "loss"), ("end", "G/")])
def test_divergence_keeps_the_last_good_checkpoint(tmp_path, when, what):
    model, x = tiny_model(), tiny_data()
    checkpoint = Checkpoint(tmp_path, every_s=0)
    callbacks = [Poison(2, when), StopOnDivergence(checkpoint), checkpoint]
    with pytest.raises(DivergenceError, match=f"diverged in epoch 3: .*{what}.*epoch-000002"):
        model.fit(x, batch_size=16, epochs=5, verbose=0, callbacks=callbacks)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-000002"]
    twin = tiny_model()
    assert Checkpoint(tmp_path).restore(twin) == 2
    assert all(np.isfinite(values).all() for values in weights_of(twin))


def test_extreme_features_diverge_with_advice():
    x = tiny_data() * np.float32(1e30)
    with pytest.raises(DivergenceError, match="No checkpoint was saved yet.*scale the features"):
        tiny_model().fit(x, batch_size=16, verbose=0, callbacks=[StopOnDivergence()])


def test_only_the_newest_checkpoint_stays_and_restores_everything(tmp_path):
    model = tiny_model()
    checkpoint = Checkpoint(tmp_path / "c", every_s=0, identity={"seed": 0})
    model.fit(tiny_data(), batch_size=16, epochs=3, verbose=0, callbacks=[checkpoint])
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["epoch-000003"]
    twin = tiny_model(seed=9)
    again = Checkpoint(tmp_path / "c", identity={"seed": 0})
    assert again.restore(twin) == 3
    assert equal(weights_of(twin), weights_of(model))
    assert again.history == checkpoint.history and len(again.history) == 3
    with pytest.raises(ValueError, match="other settings .seed: saved 0, now 1"):
        Checkpoint(tmp_path / "c", identity={"seed": 1}).restore(twin)


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    model, x = tiny_model(), tiny_data()
    checkpoint = Checkpoint(tmp_path, every_s=0)
    model.fit(x, batch_size=16, epochs=1, verbose=0, callbacks=[checkpoint])

    def full_disk(path):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(model, "save_weights", full_disk)
    with pytest.raises(OSError, match="No space left"):
        model.fit(
            x, batch_size=16, epochs=2, initial_epoch=1, verbose=0, callbacks=[checkpoint]
        )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-000001"]


def test_the_last_epoch_is_saved_whatever_the_interval(tmp_path):
    checkpoint = Checkpoint(tmp_path, every_s=1e6)
    tiny_model().fit(tiny_data(), batch_size=16, epochs=3, verbose=0, callbacks=[checkpoint])
    assert checkpoint.newest.name == "epoch-000003"


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: flip(p / "model.weights.h5"),
        lambda p: flip(p / "state.json"),
        lambda p: (p / "state.json").write_text("{"),
        lambda p: (p / "model.weights.h5").unlink(),
        # as an earlier version wrote it, without a manifest
        lambda p: [
            (p / "sha256.json").unlink(),
            (p / "model.weights.h5").write_bytes((p / "model.weights.h5").read_bytes()[:-500]),
        ],
        lambda p: [(p / "sha256.json").unlink(), (p / "state.json").write_text("[]")],
    ],
)
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_taken(tmp_path, damage):
    model = tiny_model()
    checkpoint = Checkpoint(tmp_path, every_s=0)
    options = dict(batch_size=16, verbose=0, callbacks=[checkpoint])
    model.fit(tiny_data(), epochs=1, **options)
    shutil.copytree(tmp_path / "epoch-000001", tmp_path / "kept")
    first = weights_of(model)
    model.fit(tiny_data(), epochs=2, initial_epoch=1, **options)
    damage(tmp_path / "epoch-000002")
    fresh = tiny_model(seed=9)
    before = weights_of(fresh)
    with pytest.warns(UserWarning, match="epoch-000002 is damaged .*renamed to damaged-epoch"):
        assert Checkpoint(tmp_path).restore(fresh) == 0
    assert equal(weights_of(fresh), before)  # what was read in part is undone
    (tmp_path / "damaged-epoch-000002").rename(tmp_path / "epoch-000002")
    (tmp_path / "kept").rename(tmp_path / "epoch-000001")
    with pytest.warns(UserWarning, match="epoch-000002 is damaged"):
        assert Checkpoint(tmp_path).restore(fresh) == 1
    assert equal(weights_of(fresh), first)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["damaged-epoch-000002", "epoch-000001"]


def test_what_a_kill_left_of_an_older_checkpoint_goes_with_the_next(tmp_path):
    """Killed while it removed one, whole or half; a file of somebody else's stays."""
    x = tiny_data()
    tiny_model().fit(x, batch_size=32, callbacks=[Checkpoint(tmp_path, every_s=0)], verbose=0)
    shutil.copytree(tmp_path / "epoch-000001", tmp_path / "epoch-000000")
    (tmp_path / "epoch-000000/state.json").unlink()
    shutil.copytree(tmp_path / "epoch-000001", tmp_path / "epoch-000002")
    (tmp_path / "epoch-000002/notes.txt").write_text("mine")
    tiny_model().fit(x, batch_size=32, callbacks=[Checkpoint(tmp_path, every_s=0)], verbose=0)
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*/*"))
    assert [name for name in names if "000001" not in name] == ["epoch-000002/notes.txt"]
    assert (tmp_path / "epoch-000001").is_dir()
