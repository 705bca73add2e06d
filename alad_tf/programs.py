"""Compiled programs: a model's own, or shared by all models of one architecture."""

import threading
from pathlib import Path

import keras
import tensorflow as tf

SHARED = 32  # programs that are kept for models to come
MAPPINGS = 2000  # that a program may need, at most: seen 970

_shared, _lock = {}, threading.Lock()


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
    with _lock:  # two threads must not compile the same one
        program = _shared.pop((key, name), None)
        if program is None:
            require_room()
            specs = [tf.TensorSpec(v.shape, v.dtype) for v in model.variables]
            program = compiled(_of_values(model, function), specs)
        _shared[key, name] = program  # the one that was used last stands last
        while len(_shared) > SHARED:
            _shared.pop(next(iter(_shared)))
    values = [tf.convert_to_tensor(v.value) for v in model.variables]
    return lambda *arguments: program(*arguments, values)


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
