"""The losses of members by block of steps, for Keras's callbacks."""

import keras
import numpy as np

BLOCK = 100  # training steps that are one epoch to callbacks


class History:
    """Losses of members that train side by side, in blocks of `BLOCK` steps.

    To Keras's callbacks a block is an epoch, and the logs are the members' means. Their model is
    the first member: a learning rate that is set there is set in all of them, and `stop_training`
    ends the training of all after the block.

    Args:
        callbacks: sequence of `keras.callbacks.Callback`. With callbacks, all members end a block
            before one of them begins the next; without, they do not wait for each other.

    Attributes:
        history: dict of lists, a value for each block: "step", the number of steps at its end,
            "loss" and the loss of each network, on average over the block's steps and the members.
    """

    def __init__(self, callbacks=()):
        self.callbacks = list(callbacks)
        for callback in self.callbacks:
            if not isinstance(callback, keras.callbacks.Callback):
                raise ValueError(
                    f"received {callback!r} in callbacks; expected instances of "
                    "keras.callbacks.Callback, such as keras.callbacks.CSVLogger('log.csv')."
                )
        self.history = {}

    def begin(self, models, steps, **params):
        """Begin training, with further `params` for the callbacks; returns itself."""
        self.models, self.steps = models, steps
        self._list = keras.callbacks.CallbackList(
            [*self.callbacks, keras.callbacks.LambdaCallback(on_epoch_end=self._keep)],
            model=models[0],
            epochs=self.blocks,
            steps=BLOCK,
            verbose=0,
            **params,
        )
        models[0].stop_training = False
        self._list.on_train_begin()
        return self

    @property
    def blocks(self):
        return -(-self.steps // BLOCK)

    def block_begins(self, block):
        self._list.on_epoch_begin(block)
        self._list.on_train_batch_begin(0)
        self._share_rate()

    def block_ends(self, block, members):
        """Report a block's losses, a dict for each member; returns whether training continues.

        A member's dict is empty if it had already trained the block.
        """
        members = [losses for losses in members if losses]
        if not members:
            return True
        logs = {name: float(np.mean([losses[name] for losses in members])) for name in members[0]}
        end = min((block + 1) * BLOCK, self.steps)
        self._list.on_train_batch_end(end - block * BLOCK - 1, logs)
        self._list.on_epoch_end(block, logs)
        self._share_rate()
        return not self.models[0].stop_training

    def end(self):
        self._list.on_train_end()

    def _keep(self, block, logs):
        """Store a block's losses, and what callbacks added, such as the learning rate."""
        end = min((block + 1) * BLOCK, self.steps)
        for name, value in {"step": end, **logs}.items():
            self.history.setdefault(name, []).append(value)

    def _share_rate(self):
        first = self.models[0]
        for other in self.models[1:]:
            if self.callbacks and other.learning_rate != first.learning_rate:
                other.learning_rate = first.learning_rate
