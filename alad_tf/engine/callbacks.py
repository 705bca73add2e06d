"""Callbacks for long trainings: checkpoints, a stop at divergence, early stopping."""

import math
import time
from pathlib import Path

import keras
import numpy as np

from alad_tf.engine.files import (
    MANIFEST,
    read_json,
    remove_own,
    replacing_folder,
    set_aside,
    verify,
    write_json,
)
from alad_tf.engine.weights import save_weights

WEIGHTS, STATE = "model.weights.h5", "state.json"
# paper: "Patience 10"; the authors' code stops by it and restores nothing
RULES = {
    "fixed": "train for all epochs",
    "last": "stop when the validation score stalls, and keep the last weights",
    "best": "stop when the validation score stalls, and restore the weights of the best epoch",
}
MONITOR = "val_score"


class DivergenceError(FloatingPointError):
    """Training produced NaN or infinity; the message names the last good checkpoint."""


class _OfAnotherRun(ValueError):
    """A checkpoint of other settings, which is intact and must not be renamed."""


class StopOnDivergence(keras.callbacks.Callback):
    """Raise `DivergenceError` once an epoch's running loss is not finite, naming the checkpoint."""

    def __init__(self, checkpoint=None):
        super().__init__()
        self.checkpoint = checkpoint
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(float(logs["loss"])):
            raise DivergenceError(
                _divergence(self.epoch, "the loss is not finite", self.checkpoint)
            )


class Checkpoint(keras.callbacks.Callback):
    """Save all weights, optimizers, averages and the step count at ends of epochs.

    Each checkpoint is a folder `epoch-000012`, written under another name and renamed; only the
    newest is kept, and it is removed only once its successor is in place. Weights that are not
    finite are never saved.

    Args:
        folder: str or Path.
        every_s: float, seconds between checkpoints; 0 saves at every epoch. The last epoch of a
            training is always saved.
        identity: dict that must agree when training is resumed (entry, seed, settings).

    Attributes:
        history: list of dicts, the logs of every finished epoch, resumed ones included.
        wall_s: float, seconds of training so far, resumed ones included.

    Raises:
        DivergenceError: a weight is not finite.
    """

    def __init__(self, folder, every_s=30.0, identity=None):
        super().__init__()
        self.folder = Path(folder)
        self.every_s = float(every_s)
        self.identity = dict(identity or {})
        self.history = []
        self.wall_s = 0.0
        self._saved_at = self._started_at = time.monotonic()

    @property
    def newest(self):
        """Path of the newest whole checkpoint, or None."""
        found = self._all()
        return found[-1] if found else None

    def _all(self):
        return sorted(p for p in self.folder.glob("epoch-*") if p.name[6:].isdigit())

    def restore(self, model):
        """Load the newest intact checkpoint into a compiled model.

        A damaged one, which a crash of the machine or a full disk may leave, is renamed with a
        warning, and the one before it is used, if there is one.

        Returns:
            int, the number of finished epochs (0 if there is no checkpoint).

        Raises:
            ValueError: if the checkpoint has other settings.
        """
        while self.newest is not None:
            before = [variable.numpy() for variable in model.variables]
            try:
                state = self._read(self.newest)
                model.load_weights(self.newest / WEIGHTS)
            except _OfAnotherRun:
                raise
            except Exception as error:  # Keras and h5py raise many errors for damaged files
                for variable, value in zip(model.variables, before, strict=True):
                    variable.assign(value)
                set_aside(self.newest, error)
                continue
            self.history, self.wall_s = state["history"], state["wall_s"]
            return state["epoch"]
        return 0

    def _read(self, newest):
        """The state of a checkpoint, verified."""
        verify(newest)
        state = read_json(newest / STATE)
        if not {"identity", "history", "wall_s", "epoch"} <= set(state):
            raise ValueError(f"{newest / STATE} contains {sorted(state)}")
        different = {
            key: (state["identity"].get(key), value)
            for key, value in self.identity.items()
            if state["identity"].get(key) != value
        }
        if different:
            differences = "; ".join(
                f"{k}: saved {old!r}, now {new!r}" for k, (old, new) in different.items()
            )
            raise _OfAnotherRun(
                f"The checkpoint {newest} belongs to a run with other settings "
                f"({differences}). Resume with those settings, or choose another --out."
            )
        return state

    def on_train_begin(self, logs=None):
        self._saved_at = self._started_at = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        self.history.append({key: float(value) for key, value in (logs or {}).items()})
        done = epoch + 1
        now = time.monotonic()
        self.wall_s += now - self._started_at
        self._started_at = now
        last = done == self.params.get("epochs") or self.model.stop_training
        if last or now - self._saved_at >= self.every_s:
            self._save(done)
            self._saved_at = time.monotonic()

    def _save(self, epoch):
        for variable in self.model.variables:
            if not np.isfinite(variable.numpy()).all():
                raise DivergenceError(
                    _divergence(epoch - 1, f"{variable.path} is not finite", self)
                )
        path = self.folder / f"epoch-{epoch:06d}"
        with replacing_folder(path) as temporary:
            save_weights(self.model, temporary / WEIGHTS)
            state = {
                "epoch": epoch,
                "identity": self.identity,
                "wall_s": self.wall_s,
                "history": self.history,
            }
            write_json(temporary / STATE, state)
        for other in self._all():  # several, if a process was killed while removing one
            if other != path:
                remove_own(other, {WEIGHTS, STATE, MANIFEST}.__contains__)


def _divergence(epoch, what, checkpoint):
    newest = checkpoint.newest if checkpoint is not None else None
    kept = f"The last good checkpoint is {newest}." if newest else "No checkpoint was saved yet."
    return (
        f"Training diverged in epoch {epoch + 1}: {what}. {kept} Extreme values in the data "
        "are the usual cause. Lower the learning rate or scale the features, and train "
        "again."
    )


class Stopping(keras.callbacks.Callback):
    """Stop training by one of `RULES`. Must come before the `Checkpoint` in `callbacks`.

    The validation score is the mean features score of held-out normal rows under the averaged
    weights, which `ALAD.fit(validation_data=...)` logs; lower is better. The rule is a function of
    the history, so that a resumed run stops where an uninterrupted one does.

    Args:
        rule: str, one of `RULES`.
        patience: int, epochs without a better score after which to stop.
        checkpoint: the run's `Checkpoint`: its history counts, and its folder holds the best
            weights.

    Source: ALAD, Table IX, "Max Epochs 100, Patience 10".
    """

    def __init__(self, rule, patience, checkpoint):
        super().__init__()
        self.rule, self.patience, self.checkpoint = rule, int(patience), checkpoint

    @property
    def best_folder(self):
        """The folder of the weights of the best epoch."""
        return Path(self.checkpoint.folder) / "best"

    def require(self, validation):
        """Raise ValueError if the rule needs validation rows and there are none."""
        if self.rule != "fixed" and not validation:
            raise ValueError(
                f"received stopping={self.rule!r}, which needs validation rows, but there "
                "are none. Use stopping='fixed', or a data set whose protocol has "
                "validation rows."
            )

    def stalled(self, history):
        """Whether to stop after a history (list of epochs' logs)."""
        return self.rule != "fixed" and stop_epoch(history, self.patience) is not None

    def on_epoch_end(self, epoch, logs=None):
        history = [*self.checkpoint.history, dict(logs or {})]
        if self.rule == "fixed":
            return
        self.require(MONITOR in history[-1])
        if self.rule == "best" and best_epoch(history) == epoch + 1:
            with replacing_folder(self.best_folder) as temporary:
                save_weights(self.model, temporary / WEIGHTS)
                write_json(temporary / STATE, {"epoch": epoch + 1, **history[-1]})
        self.model.stop_training = self.stalled(history)

    def on_train_end(self, logs=None):
        if self.rule == "best":
            verify(self.best_folder)
            self.model.load_weights(self.best_folder / WEIGHTS)

    def kept_epoch(self, history):
        """The number (from 1) of the epoch whose weights were kept."""
        if self.rule == "best":
            return read_json(self.best_folder / STATE)["epoch"]
        return len(history)


def best_epoch(history):
    """The number (from 1) of the first epoch with the lowest validation score."""
    return 1 + int(np.argmin([logs[MONITOR] for logs in history]))


def stop_epoch(history, patience):
    """The number (from 1) of the epoch after which training with this patience stops, or None."""
    lowest, since = math.inf, 0
    for number, logs in enumerate(history, 1):
        since = 0 if logs[MONITOR] < lowest else since + 1
        lowest = min(lowest, logs[MONITOR])
        if since >= patience:
            return number
    return None
