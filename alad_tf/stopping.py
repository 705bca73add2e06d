"""When a training ends, and which weights it leaves: fixed epochs, or early stopping."""

import math
from pathlib import Path

import keras
import numpy as np

from alad_tf.files import read_json, replacing_folder, write_json

# paper: "Patience 10"; the authors' code stops by it and restores nothing
RULES = {
    "fixed": "train all epochs",
    "last": "stop when the validation score stalls, keep the weights of the stop",
    "best": "stop when the validation score stalls, restore the weights of its best epoch",
}
MONITOR = "val_score"
WEIGHTS, STATE = "model.weights.h5", "state.json"


class Stopping(keras.callbacks.Callback):
    """End a training by one of `RULES`. It belongs before the `Checkpoint` in `callbacks`.

    The validation score is the mean features score of held-out normal rows under the averaged
    weights, which `ALAD.fit(validation_data=...)` logs; lower is better. The rule is a function of
    the history, so that a run that was killed and resumed stops where one that was not does.

    Args:
        rule: str, one of `RULES`.
        patience: int, epochs without a better score after which to stop.
        checkpoint: the run's `Checkpoint`: its history counts, and its folder holds the best
            weights.

    Raises:
        ValueError: an epoch without a validation score, unless the rule is "fixed".

    Example:
        >>> # stopping = Stopping("best", 10, checkpoint)
        >>> # model.fit(x, validation_data=rows, callbacks=[stopping, checkpoint])

    Source: ALAD, Table IX, "Max Epochs 100, Patience 10".
    """

    def __init__(self, rule, patience, checkpoint):
        super().__init__()
        self.rule, self.patience, self.checkpoint = rule, int(patience), checkpoint

    @property
    def best_folder(self):
        """Where the weights of the best epoch are kept."""
        return Path(self.checkpoint.folder) / "best"

    def require(self, validation):
        """Raise ValueError if the rule needs validation rows and there are none."""
        if self.rule != "fixed" and not validation:
            raise ValueError(
                f"stopping={self.rule!r} needs held-out normal rows, and there are none. Use "
                "stopping='fixed', or a data set whose protocol has validation rows."
            )

    def stalled(self, history):
        """Whether a history (list of epochs' logs) calls for the stop."""
        return self.rule != "fixed" and stop_epoch(history, self.patience) is not None

    def on_epoch_end(self, epoch, logs=None):
        history = [*self.checkpoint.history, dict(logs or {})]
        if self.rule == "fixed":
            return
        self.require(MONITOR in history[-1])
        if self.rule == "best" and best_epoch(history) == epoch + 1:
            with replacing_folder(self.best_folder) as temporary:
                self.model.save_weights(temporary / WEIGHTS)
                write_json(temporary / STATE, {"epoch": epoch + 1, **history[-1]})
        self.model.stop_training = self.stalled(history)

    def on_train_end(self, logs=None):
        if self.rule == "best":
            self.model.load_weights(self.best_folder / WEIGHTS)

    def kept_epoch(self, history):
        """The number (from 1) of the epoch whose weights the training left."""
        if self.rule == "best":
            return read_json(self.best_folder / STATE)["epoch"]
        return len(history)


def best_epoch(history):
    """The number (from 1) of the first epoch with the lowest validation score.

    Args:
        history: list of dicts, an epoch's logs each, with "val_score"; at least one.

    Example:
        >>> best_epoch([{"val_score": 3.0}, {"val_score": 2.0}, {"val_score": 2.5}])
        2
    """
    return 1 + int(np.argmin([logs[MONITOR] for logs in history]))


def stop_epoch(history, patience):
    """The number (from 1) of the epoch after which a patience stops, or None.

    Args:
        history: list of dicts, an epoch's logs each, with "val_score".
        patience: int, epochs without a new lowest score.

    Example:
        >>> stop_epoch([{"val_score": score} for score in (3.0, 2.0, 2.5, 2.0, 1.0)], 2)
        4
    """
    lowest, since = math.inf, 0
    for number, logs in enumerate(history, 1):
        since = 0 if logs[MONITOR] < lowest else since + 1
        lowest = min(lowest, logs[MONITOR])
        if since >= patience:
            return number
    return None
