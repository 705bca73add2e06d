"""Compiled programs, of one model or shared by an architecture, and running rows through them.

Rows go through a program in blocks of equal size, so that a row's result depends on that row alone,
and in memory that is reused.
"""

import contextlib
import functools
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from alad_tf.engine.machine import cores

SHARED = 32  # scoring programs that are kept for later models
TRAINING = 8  # training programs likewise, some 150 MiB each with their graphs
MAPPINGS = 2000  # memory mappings that a program needs at most; 970 have been seen
XLA_ENV = "ALAD_XLA"
_shared, _training, _lock = {}, {}, threading.Lock()
ALIGNMENT = 64  # bytes; XLA expects its inputs to be aligned like this
FEW, CALL_BYTES = 2, 2**22  # blocks of a call for a small request; bytes of one for a large one


def xla():
    """Whether programs are compiled by XLA: unless the environment variable ALAD_XLA is 0.

    Without XLA a program starts sooner, by seconds, and runs several times slower; scores differ in
    their last bits.
    """
    return os.environ.get(XLA_ENV, "1") != "0"


def kept(model, name, function, compiled):
    """A function of a model, compiled once.

    If the model has a `program_key()`, models of one key run one program, which takes their
    variables' values as arguments: a new model of a known architecture, such as a fit in a grid
    search, compiles nothing. Otherwise the program is kept in the model's `_programs`.

    Args:
        model: a Keras model.
        name: hashable, which of its functions.
        function: the function, of tensors, which reads the model's variables.
        compiled: function of `function` and, if programs are shared, of a list of the variables'
            TensorSpecs; it returns the program.

    Returns:
        the program, a function of `function`'s arguments.
    """
    key = model.program_key()
    if key is None:
        if name not in model._programs:
            model._programs[name] = compiled(function)
        return model._programs[name]

    def make():
        specs = [tf.TensorSpec(v.shape, v.dtype) for v in model.variables]
        return compiled(_of_values(model, function), specs)

    program = _remembered(_shared, SHARED, (key, name, xla()), make)
    values = [tf.convert_to_tensor(v.value) for v in model.variables]
    return lambda *arguments: program(*arguments, values)


def training_program(model, data, variables):
    """A model's `train_steps` as a compiled function of its data, shared by models of one kind.

    Args:
        model: a compiled `alad_tf.model.training.SteppedModel`.
        data: tuple of tensors that `train_steps` takes; their shapes become the program's.
        variables: list of the `tf.Variable`s that a step reads or changes.

    Returns:
        a function of such tensors, which trains this model and returns what `train_steps` does.
    """
    seeds = model.draw_seeds()
    specs = [tf.TensorSpec(part.shape, part.dtype) for part in (*data, seeds)]

    def steps(*arguments):
        *data, seeds, others = arguments
        with _standing_in(variables, others), model.drawing_by(seeds):
            return model.train_steps(tuple(data))

    def make():
        program = tf.function(steps, jit_compile=model.jit_compile, autograph=False)
        return program.get_concrete_function(*specs, variables)

    key = model.training_key()
    kind = None if key is None else (type(model), key, model.jit_compile, *specs)
    program = _remembered(_training, TRAINING, kind, make)
    return lambda *data: program(*data, seeds, variables)


def _remembered(programs, most, key, make):
    """The program of a key, compiled if necessary; one that captures tensors is not shared."""
    with _lock:  # two threads must not compile the same one
        program = programs.pop(key, None)
        if program is None:
            require_room()
            program = make()
        if key is not None and not getattr(program, "captured_inputs", ()):
            programs[key] = program  # the most recently used one comes last
        while len(programs) > most:
            programs.pop(next(iter(programs)))
    return program


@contextlib.contextmanager
def _standing_in(variables, others):
    """While the body is traced, operations on `variables` act on `others`.

    TensorFlow has no public way to trace a function of variables that Keras holds. A variable is
    what its handle points to, and `tf.Variable` has its handle in this attribute.
    """
    own = [v._handle for v in variables]
    try:
        for variable, other in zip(variables, others, strict=True):
            variable._handle = other.handle
        yield
    finally:
        for variable, handle in zip(variables, own, strict=True):
            variable._handle = handle


def require_room():
    """Raise before another program would take more memory mappings than Linux gives a process.

    TensorFlow keeps what XLA has compiled until the process ends, hundreds of mappings a program.
    Beyond the limit (65,530 by default) the process would end with a segmentation fault.
    """
    try:
        limit = int(Path("/proc/sys/vm/max_map_count").read_text())
        with open("/proc/self/maps", "rb") as lines:
            used = sum(1 for _ in lines)
    except OSError:
        return  # not Linux
    if used + MAPPINGS > limit:
        raise MemoryError(
            f"This process has compiled so many programs that {used:,} of {limit:,} memory "
            "mappings are in use, which TensorFlow does not release. Continue in a new process (a "
            "search resumes where it stopped), or raise the limit: sysctl -w "
            "vm.max_map_count=1000000."
        )


def _of_values(model, function):
    """A function of a model as one of its arguments and of the variables' values."""

    def of_values(*arguments):
        *arguments, values = arguments
        with keras.StatelessScope(zip(model.variables, values, strict=True)):
            return function(*arguments)

    return of_values


class Staging(threading.local):
    """One buffer for each thread and shape, which NumPy fills and TensorFlow reads.

    A new tensor for every call of a program costs more than copying the rows: its pages are fresh,
    and the system hands them out one by one.
    """

    def __init__(self):
        self._buffers = {}

    def fill(self, rows, size):
        """Rows (n, ...) and zeros after them as a float32 tensor (size, ...).

        The thread's next call with this shape overwrites it: the program that reads it must have
        ended by then.
        """
        shape = (size, *rows.shape[1:])
        if shape not in self._buffers:
            self._buffers[shape] = _aligned(shape)
        array, tensor = self._buffers[shape]
        array[: len(rows)] = rows
        array[len(rows) :] = 0
        # a GPU keeps its copy of a tensor, and would go on with the rows that came first
        return tensor if _one_device() else tf.constant(array.copy())


@functools.cache
def _one_device():
    return len(tf.config.list_logical_devices()) == 1


def _aligned(shape):
    """An aligned float32 array, and a tensor of the same memory."""
    size = 4 * int(np.prod(shape))
    memory = np.empty(size + ALIGNMENT, "uint8")
    start = -memory.ctypes.data % ALIGNMENT
    array = memory[start : start + size].view("float32").reshape(shape)
    return array, tf.experimental.dlpack.from_dlpack(array.__dlpack__())


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
        """Score an array. The scores of a row depend on that row alone, bit for bit.

        All rows go through the same program, in blocks of equal size; the last one is filled with
        zeros. Sums are therefore taken in the same order, whatever the size of the request. Large
        requests are divided among threads, one per core.

        Args:
            x: float array (N, *x_shape), preprocessed, finite.

        Returns:
            dict of float32 arrays (N,) by score name.

        Raises:
            ValueError: if there are no rows, the shape differs, or values are not finite.
        """
        table = self._run("scores", x)  # (N, number of scores)
        names = self.score_names
        return {name: np.ascontiguousarray(table[:, i]) for i, name in enumerate(names)}

    def reconstruct(self, x):
        """The reconstructions (N, *x_shape) of an array. Raises what `scores` raises."""
        return self._run("reconstruction", x)

    def alone(self, x):
        """The scores of a single sample, as a block of one, for graphs that take single records.

        Args:
            x: float32 tensor (1, *x_shape), preprocessed.

        Returns:
            float32 tensor (1, number of scores), in the order of `score_names`. Sums are taken in
            another order than in a full block, so the last bits may differ from those of `scores`.
        """

        def of_one(x):
            outputs = self(x)
            return tf.stack([outputs[name] for name in self.score_names], -1)

        tables = len(self.x_shape) == 1  # XLA's convolutions take longer for one image

        def compiled(function, *values):
            spec = tf.TensorSpec((1, *self.x_shape), tf.float32)
            with tf.init_scope():  # a program of its own, whoever's graph calls it
                function = tf.function(function, [spec, *values], jit_compile=tables and xla())
                return function.get_concrete_function()

        return kept(self, "alone", of_one, compiled)(x)

    def program_key(self):
        """See `kept`; here: a model's programs are its own."""
        return None

    def compare(self, x, reconstruction):
        """Scores of samples for other reconstructions; here: for any."""
        return self(x)

    def gradient_of(self, score):
        """A function of samples and reconstructions that returns a score and its gradients.

        Returns:
            a `tf.function`, the same one at every call, of two float32 tensors (B, *x_shape). It
            returns the scores (B,) and their gradients (B, *x_shape) with respect to the samples,
            with the reconstructions held constant.
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
            found = program(self._staging.fill(rows, size), count).numpy()[: len(rows)]
            # a bad row shows in its scores, which are fewer numbers to check than the row
            if not np.isfinite(found if what == "scores" else rows).all():
                check_finite(x)
            return found

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
            _, outputs = tf.while_loop(
                lambda i, outputs: i < count,
                lambda i, outputs: (i + 1, outputs.write(i, of_block(x[i]))),
                (0, tf.TensorArray(tf.float32, blocks)),
            )
            return outputs.concat()

        shape = (blocks * self.block, *self.x_shape)
        signature = [tf.TensorSpec(shape, tf.float32), tf.TensorSpec((), tf.int32)]

        def compiled(function, *values):
            function = tf.function(function, [*signature, *values], jit_compile=xla())
            return function.get_concrete_function()

        return kept(self, (what, blocks), of_rows, compiled)


def check_samples(x, x_shape):
    """Samples (N, *x_shape) as a float32 array; no rows or another shape are refused."""
    x = np.asarray(x, "float32")
    if x.shape[1:] != tuple(x_shape) or len(x) == 0:
        raise ValueError(
            f"The scorer takes (N, {', '.join(map(str, x_shape))}) with N > 0; received "
            f"{x.shape}. Preprocess raw records first, or use a Detector."
        )
    return x


def check_finite(x):
    """Refuse samples (N, ...) that hold NaN or infinity."""
    bad = ~np.isfinite(x).reshape(len(x), -1).all(axis=1)
    if bad.any():
        raise ValueError(
            f"received samples with NaN or infinity in {int(bad.sum())} of {len(x)} rows, "
            f"first in row {int(np.argmax(bad))}; expected finite numbers. Fill in or drop "
            "these rows."
        )
