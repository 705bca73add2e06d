"""What a long training needs around it: checkpoints, a stop at divergence."""

import math
import shutil
import time
from pathlib import Path

import keras
import numpy as np

from alad_tf.files import read_json, replacing_folder, write_json

WEIGHTS, STATE = "model.weights.h5", "state.json"


class DivergenceError(FloatingPointError):
    """Training produced NaN or infinity; the message names the last good checkpoint.

    Example:
        >>> issubclass(DivergenceError, FloatingPointError)  # the estimator's users catch that
        True
    """


class StopOnDivergence(keras.callbacks.Callback):
    """Raise `DivergenceError` as soon as an epoch's running loss is not finite.

    Args:
        checkpoint: the run's `Checkpoint`, named in the message; or None.

    Raises:
        DivergenceError: from `fit`, a batch's running loss is NaN or infinite.

    Example:
        >>> # model.fit(x, callbacks=[StopOnDivergence()])
        >>> StopOnDivergence().on_train_batch_end(0, {"loss": 0.5})
    """

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

    Example:
        >>> import tempfile
        >>> checkpoint = Checkpoint(tempfile.mkdtemp(), every_s=30, identity={"seed": 0})
        >>> # model.fit(x, callbacks=[checkpoint])
        >>> checkpoint.restore(model=None)  # nothing is there yet: epochs that are finished
        0
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
        found = sorted(self.folder.glob("epoch-*"))
        return found[-1] if found else None

    def restore(self, model):
        """Load the newest checkpoint into a compiled model.

        Args:
            model: the `ALAD` that the checkpoint is of.

        Returns:
            int, the number of finished epochs (0 if there is no checkpoint).

        Raises:
            ValueError: the checkpoint is of other settings.
        """
        newest = self.newest
        if newest is None:
            return 0
        state = read_json(newest / STATE)
        different = {
            key: (state["identity"].get(key), value)
            for key, value in self.identity.items()
            if state["identity"].get(key) != value
        }
        if different:
            told = "; ".join(
                f"{k}: saved {old!r}, now {new!r}" for k, (old, new) in different.items()
            )
            raise ValueError(
                f"The checkpoint {newest} is of another run ({told}). Resume with the settings it "
                "was started with, or choose another --out."
            )
        model.load_weights(newest / WEIGHTS)
        self.history, self.wall_s = state["history"], state["wall_s"]
        return state["epoch"]

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
        previous = self.newest
        path = self.folder / f"epoch-{epoch:06d}"
        with replacing_folder(path) as temporary:
            self.model.save_weights(temporary / WEIGHTS)
            state = {
                "epoch": epoch,
                "identity": self.identity,
                "wall_s": self.wall_s,
                "history": self.history,
            }
            write_json(temporary / STATE, state)
        if previous is not None and previous != path:
            shutil.rmtree(previous)


def _divergence(epoch, what, checkpoint):
    newest = checkpoint.newest if checkpoint is not None else None
    kept = f"The last good checkpoint is {newest}." if newest else "No checkpoint was saved yet."
    return (
        f"Training diverged in epoch {epoch + 1}: {what}. {kept} Lower the learning rate, or scale "
        "the features (extreme values are the usual cause), and train again."
    )
