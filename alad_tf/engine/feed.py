"""Shuffled batches, a function of (seed, epoch) alone."""

import numpy as np
import tensorflow as tf

from alad_tf.engine.random import derive_seed

STEPS, CALL_BYTES = 100, 2**23  # of one call of a training program, at most


class Batches:
    """The training rows of an epoch, in one or more independent orders, cut into whole batches.

    The orders follow from (seed, epoch): a run that resumes at epoch k sees the batches it would
    have seen. Batches come in chunks of K, so that one call of a compiled program makes many steps.
    K does not depend on the number of rows, so that tables of all lengths share a program; an
    epoch's last chunk is padded and says how many of its batches count.

    Args:
        x: float array (N, ...), finite; kept in memory, gathered by tf.data.
        batch_size: int, at most N; the last incomplete batch is skipped.
        seed: int.
        chunk: int, K; for vectors by default 100, fewer where a chunk would exceed 8 MiB; for
            images as many on a GPU, but 1 on a CPU, where XLA computes convolutions inside a loop
            some twenty times slower, and steps are long enough without one.
        orders: int, the number of orders: batches per step.

    Attributes:
        steps: int, steps an epoch, N // batch_size.
        chunks: int, chunks an epoch.
        chunk: int, K, steps a chunk.

    Raises:
        ValueError: if the array is empty or not finite, or a batch is larger than the data.
    """

    def __init__(self, x, batch_size, seed=0, chunk=None, orders=1):
        x = np.asarray(x, "float32")
        if x.ndim < 2 or len(x) == 0:
            raise ValueError(
                f"received training data of shape {x.shape}; expected (N, ...) with N > 0. "
                "Pass the preprocessed normal samples."
            )
        if not 1 <= batch_size <= len(x):
            raise ValueError(
                f"received batch_size={batch_size} for {len(x)} training rows; expected at least "
                "1 and at most that many. Change it, or add rows."
            )
        finite = np.isfinite(x).reshape(len(x), -1).all(axis=1)
        if not finite.all():
            raise ValueError(
                f"received training data with NaN or infinity in {int((~finite).sum())} of "
                f"{len(x)} rows, first in row {int(np.argmin(finite))}; expected finite "
                "numbers. Fill in or drop these rows."
            )
        self.batch_size, self.seed = int(batch_size), int(seed)
        self.steps = len(x) // self.batch_size
        self.sample_shape = x.shape[1:]
        self.orders = int(orders)
        step_bytes = self.orders * self.batch_size * x[0].nbytes
        if chunk is None:
            loops = x.ndim == 2 or tf.config.get_visible_devices("GPU")
            chunk = max(1, min(STEPS, CALL_BYTES // step_bytes)) if loops else 1
        self.chunk = int(chunk)
        self.chunks = -(-self.steps // self.chunk)
        self._rows = tf.constant(x)

    def epochs(self, first=0):
        """The chunks of epoch `first`, of the next one, and so on, without end.

        One dataset serves all epochs, because starting a new one costs more than an epoch of a
        small table.

        Returns:
            `tf.data.Dataset` of `(x, ..., count)`: float32 (K, batch_size, ...) for each order and
            an int32 scalar; `self.chunks` of them make an epoch.
        """

        def chunks(epoch):
            return tf.data.Dataset.from_tensor_slices(self._steps(epoch)).batch(self.chunk)

        return self._numbers(first, chunks).map(self._gather).prefetch(2)

    def across_epochs(self, first, count):
        """The batches of `count` steps from step `first` on, in chunks that span epochs.

        Returns:
            `tf.data.Dataset` of `(x, ..., count)`, as `epochs` has them.
        """
        epoch, skipped = divmod(first, self.steps)

        def steps(epoch):
            return tf.data.Dataset.from_tensor_slices(self._steps(epoch))

        wanted = self._numbers(epoch, steps).skip(skipped).take(count)
        return wanted.batch(self.chunk).map(self._gather).prefetch(2)

    def _numbers(self, first, of_epoch):
        return tf.data.Dataset.counter(tf.constant(first, tf.int64)).flat_map(of_epoch)

    def _steps(self, epoch):
        """An epoch's row numbers (steps, B, orders)."""
        orders = []
        for use in range(self.orders):
            seed = tf.stack([tf.constant(derive_seed(self.seed, use), tf.int64), epoch])
            rows = tf.range(self._rows.shape[0])
            order = tf.random.experimental.stateless_shuffle(rows, seed=seed)
            orders.append(order[: self.steps * self.batch_size])
        return tf.reshape(tf.stack(orders, -1), (self.steps, self.batch_size, self.orders))

    def _gather(self, numbers):
        """The rows of (k, B, orders) numbers, k <= K, filled up to K by the last batch, and k."""
        count = tf.shape(numbers)[0]
        numbers = tf.gather(numbers, tf.minimum(tf.range(self.chunk), count - 1))
        shape = (self.chunk, self.batch_size, *self.sample_shape)
        rows = (tf.gather(self._rows, numbers[..., use]) for use in range(self.orders))
        return *(tf.ensure_shape(x, shape) for x in rows), count

    def check(self, shape, orders):
        """Raise ValueError unless samples have `shape` (no batch axis) and there are `orders`."""
        if self.orders != orders:
            raise ValueError(f"received {self.orders} batches per step; the model takes {orders}.")
        if tuple(self.sample_shape) != tuple(shape):
            raise ValueError(
                f"received samples of shape {tuple(self.sample_shape)}; the model takes "
                f"{tuple(shape)}. Preprocess the data, or build the model for its shape."
            )


class PairedBatches(Batches):
    """`Batches` in two orders: the first trains the discriminators, the second one G and E.

    Source: the authors' released training loop (two permutations an epoch).
    """

    def __init__(self, x, batch_size, seed=0, chunk=None):
        super().__init__(x, batch_size, seed, chunk, orders=2)
