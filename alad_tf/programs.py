"""Compiled programs: a model's own, or shared by all models of one architecture."""

import threading

import keras
import tensorflow as tf

# Never forgotten. XLA's code on a CPU is registered with the unwinder of C++ exceptions, and where
# a program is freed its registration stays behind: after some dozens a later exception, even a
# caught one, may end the process (TensorFlow 2.21; seen in a search of 80 trials, in libgcc).
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
        program = _shared.get((key, name))
        if program is None:
            specs = [tf.TensorSpec(v.shape, v.dtype) for v in model.variables]
            program = _shared[key, name] = compiled(_of_values(model, function), specs)
    values = [tf.convert_to_tensor(v.value) for v in model.variables]
    return lambda *arguments: program(*arguments, values)


def _of_values(model, function):
    """A function of a model as one of its arguments and of the variables' values."""

    def of_values(*arguments):
        *arguments, values = arguments
        with keras.StatelessScope(zip(model.variables, values, strict=True)):
            return function(*arguments)

    return of_values
