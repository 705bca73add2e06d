"""Rows through a compiled program in blocks of one size: a row's bits depend on it alone."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from alad_tf.machine import cores
from alad_tf.programs import kept, xla
from alad_tf.staging import Staging

FEW, CALL_BYTES = 2, 2**22  # blocks of a call for a small request; bytes of one for a large one


class InBlocks:
    """The part of a scoring Keras model that runs arrays through it.

    It expects `call`, which returns a dict of tensors by name, and the attributes below.

    Attributes:
        x_shape: tuple of ints, shape of one preprocessed sample.
        block: int, rows that are computed together. The scores' last bits depend on it.
        score_names: tuple of str, the outputs (B,) of `call` that are scores.
    """

    def make_blocks(self, block=None):
        """Set the block size: default 256 for tables and 32 for images."""
        self.block = int(block or (256 if len(self.x_shape) == 1 else 32))
        self._programs, self._staging = {}, Staging()

    def scores(self, x):
        """Score an array. A row's scores depend on the row alone: same bits in any company.

        Every row goes through one program, in blocks of one size; the last one is filled with
        zeros. Sums are thus taken in one order, whatever the size of the request. Large requests
        are shared out among threads, one a core.

        Args:
            x: float array (N, *x_shape), preprocessed, finite.

        Returns:
            dict of float32 arrays (N,) by score name.

        Raises:
            ValueError: no rows, another shape, or values that are not finite.
        """
        table = self._run("scores", x)  # (N, number of scores)
        names = self.score_names
        return {name: np.ascontiguousarray(table[:, i]) for i, name in enumerate(names)}

    def reconstruct(self, x):
        """The reconstructions of an array; errors as for `scores`.

        Args:
            x: float array (N, *x_shape), preprocessed, finite.

        Returns:
            float32 array (N, *x_shape).
        """
        return self._run("reconstruction", x)

    def program_key(self):
        """See `alad_tf.programs.kept`; here: a model's programs are its own."""
        return None

    def compare(self, x, reconstruction):
        """Scores of samples beside given reconstructions; here: as if there were none given."""
        return self(x)

    def gradient_of(self, score):
        """A function of samples and reconstructions: one of the scores, and its gradients.

        Args:
            score: str, one of `score_names`.

        Returns:
            a `tf.function`, the same one at every call, compiled by XLA for tables (unless
            `xla()` is off): of float32
            tensors (B, *x_shape) twice, returning (B,) and (B, *x_shape), the gradients by the
            samples where the reconstructions stay as they are.
        """

        def gradient(x, reconstruction):
            with tf.GradientTape() as tape:
                tape.watch(x)
                values = self.compare(x, reconstruction)[score]
                total = tf.reduce_sum(values)
            return values, tape.gradient(total, x)

        tables = len(self.x_shape) == 1

        def compiled(function, *values):
            return tf.function(function, jit_compile=tables and xla())

        return kept(self, ("gradient", score), gradient, compiled)

    def _run(self, what, x):
        x = check_samples(x, self.x_shape)
        blocks = self._blocks(len(x))
        program, size = self._program(what, blocks), self.block * blocks

        def run(start):
            rows = x[start : start + size]
            count = tf.constant(-(-len(rows) // self.block))
            made = program(self._staging.fill(rows, size), count).numpy()[: len(rows)]
            # a bad row shows in its scores, which are fewer to look at than the row
            told = made if what == "scores" else rows
            if not np.isfinite(told).all():
                check_finite(x)
            return made

        starts = range(0, len(x), size)
        threads = min(len(starts), cores())
        if threads == 1:
            return np.concatenate([run(start) for start in starts])
        with ThreadPoolExecutor(threads) as pool:
            return np.concatenate(list(pool.map(run, starts)))

    def _blocks(self, rows):
        """How many blocks a call takes: few to answer soon, or enough to hide the call's cost."""
        if len(self.x_shape) > 1:  # inside a loop XLA's convolutions are slow on a CPU
            return 1
        if rows <= FEW * self.block:
            return FEW
        return max(FEW, CALL_BYTES // (4 * self.x_shape[0] * self.block))

    def _program(self, what, blocks):
        """A compiled function of (blocks * block, *x_shape) rows and the number of full blocks.

        Programs of few and of many blocks run the same loop body: a row's bits do not differ.
        """

        def of_block(x):  # (block, *x_shape)
            outputs = self(x)
            if what == "scores":
                return tf.stack([outputs[name] for name in self.score_names], -1)
            return outputs[what]

        def of_rows(x, count):
            if blocks == 1:
                return of_block(x)
            x = tf.reshape(x, (blocks, self.block, *self.x_shape))
            _, made = tf.while_loop(
                lambda i, made: i < count,
                lambda i, made: (i + 1, made.write(i, of_block(x[i]))),
                (0, tf.TensorArray(tf.float32, blocks)),
            )
            return made.concat()

        shape = (blocks * self.block, *self.x_shape)
        signature = [tf.TensorSpec(shape, tf.float32), tf.TensorSpec((), tf.int32)]

        def compiled(function, *values):
            function = tf.function(function, [*signature, *values], jit_compile=xla())
            return function.get_concrete_function()

        return kept(self, (what, blocks), of_rows, compiled)


def check_samples(x, x_shape):
    """The samples as a float32 array.

    Args:
        x: array (N, *x_shape).
        x_shape: tuple of ints.

    Returns:
        float32 array.

    Raises:
        ValueError: no rows, or samples of another shape.

    Example:
        >>> check_samples([[1.0, 2.0]], (2,)).shape
        (1, 2)
    """
    x = np.asarray(x, "float32")
    if x.shape[1:] != tuple(x_shape) or len(x) == 0:
        raise ValueError(
            f"The scorer takes (N, {', '.join(map(str, x_shape))}) with N > 0; received "
            f"{x.shape}. Preprocess the raw records first, or use the detector."
        )
    return x


def check_finite(x):
    """Refuse samples that hold NaN or infinity.

    Args:
        x: float array (N, ...).

    Raises:
        ValueError: a value is not finite; the message has the first row.

    Example:
        >>> check_finite(np.zeros((2, 3)))
    """
    bad = ~np.isfinite(x).reshape(len(x), -1).all(axis=1)
    if bad.any():
        raise ValueError(
            f"Samples must be finite; {int(bad.sum())} of {len(x)} rows hold NaN or infinity, the "
            f"first at row {int(np.argmax(bad))}. Impute or drop them."
        )
