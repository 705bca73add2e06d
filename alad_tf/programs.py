"""Compiled programs: a model's own, or shared by all models of one architecture."""

import contextlib
import os
import threading
from pathlib import Path

import keras
import tensorflow as tf

SHARED = 32  # scoring programs that are kept for models to come
TRAINING = 8  # training programs likewise, some 150 MiB each with their graphs
MAPPINGS = 2000  # that a program may need, at most: seen 970
XLA_ENV = "ALAD_XLA"

_shared, _training, _lock = {}, {}, threading.Lock()


def xla():
    """Whether programs are compiled by XLA: unless the environment variable ALAD_XLA is 0.

    Without XLA a program starts sooner, by seconds, and runs several times slower; scores differ in
    their last bits.

    Returns:
        bool.

    Example:
        >>> xla() == (os.environ.get("ALAD_XLA", "1") != "0")
        True
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
    """A model's `train_step` as a compiled function of its data, shared by models of one kind.

    Args:
        model: a compiled `alad_tf.stepped.SteppedModel`.
        data: tuple of tensors that `train_step` takes; their shapes become the program's.
        variables: list of the `tf.Variable`s that a step reads or changes.

    Returns:
        a function of such tensors, which trains this model and returns what `train_step` does.
    """
    seeds = model.draw_seeds()
    specs = [tf.TensorSpec(part.shape, part.dtype) for part in (*data, seeds)]

    def steps(*arguments):
        *data, seeds, others = arguments
        with _standing_in(variables, others), model.drawing_by(seeds):
            return model.train_step(tuple(data))

    def make():
        program = tf.function(steps, jit_compile=model.jit_compile, autograph=False)
        return program.get_concrete_function(*specs, variables)

    key = model.training_key()
    kind = None if key is None else (type(model), key, model.jit_compile, *specs)
    program = _remembered(_training, TRAINING, kind, make)
    return lambda *data: program(*data, seeds, variables)


def _remembered(programs, most, key, make):
    """The program of a key, made if need be; one that captures something is nobody else's."""
    with _lock:  # two threads must not compile the same one
        program = programs.pop(key, None)
        if program is None:
            require_room()
            program = make()
        if key is not None and not getattr(program, "captured_inputs", ()):
            programs[key] = program  # the one that was used last stands last
        while len(programs) > most:
            programs.pop(next(iter(programs)))
    return program


@contextlib.contextmanager
def _standing_in(variables, others):
    """While the body is traced, what is done to `variables` is done to `others`.

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

    Raises:
        MemoryError: some sixty architectures have been compiled in this process.

    Example:
        >>> require_room()
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
            "mappings are used, and TensorFlow frees none. Go on in a new process (a search goes "
            "on where it stopped), or raise the limit: sysctl -w vm.max_map_count=1000000."
        )


def _of_values(model, function):
    """A function of a model as one of its arguments and of the variables' values."""

    def of_values(*arguments):
        *arguments, values = arguments
        with keras.StatelessScope(zip(model.variables, values, strict=True)):
            return function(*arguments)

    return of_values
