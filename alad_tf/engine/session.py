"""Fixed settings of Keras and TensorFlow while this package computes, whatever the user's are."""

import contextlib
import functools
import threading

import keras
import tensorflow as tf

_lock = threading.RLock()
_entered, _before = 0, ()


def own_settings(function):
    """Decorate a function to run under this package's settings; the user's are restored afterwards.

    A notebook may have set float64, mixed precision, channels first or eager functions for its own
    models; ours must neither fail nor give other results.
    """

    @functools.wraps(function)
    def within(*args, **kwargs):
        with settings():
            return function(*args, **kwargs)

    return within


@contextlib.contextmanager
def settings():
    """Float32, channels last, compiled functions; restored when the last thread leaves."""
    policy = _enter()
    try:
        yield
    finally:
        _leave(policy)


def _enter():
    global _entered, _before
    with _lock:
        policy = keras.config.dtype_policy()  # per thread, unlike the others
        if not _entered:
            _before = (
                keras.config.floatx(),
                keras.config.image_data_format(),
                tf.config.functions_run_eagerly(),
            )
            _apply("float32", "channels_last", False)
        _entered += 1
    keras.config.set_dtype_policy("float32")
    return policy


def _leave(policy):
    global _entered
    keras.config.set_dtype_policy(policy)
    with _lock:
        _entered -= 1
        if not _entered:
            _apply(*_before)


def _apply(floatx, data_format, eagerly):
    if keras.config.floatx() != floatx:
        keras.config.set_floatx(floatx)
    if keras.config.image_data_format() != data_format:
        keras.config.set_image_data_format(data_format)
    if tf.config.functions_run_eagerly() != eagerly:
        tf.config.run_functions_eagerly(eagerly)
