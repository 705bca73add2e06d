"""Rows handed to a compiled program in memory that is used again."""

import threading

import numpy as np
import tensorflow as tf

ALIGNMENT = 64  # bytes; what XLA takes for granted of its inputs


class Staging(threading.local):
    """One buffer for each thread and shape, which NumPy fills and TensorFlow reads.

    A new tensor for every call of a program costs more than copying the rows: its pages are fresh,
    and the system hands them out one by one.

    Example:
        >>> Staging().fill(np.ones((2, 3)), 4).numpy().tolist()[1:3]
        [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]
    """

    def __init__(self):
        self._buffers = {}

    def fill(self, rows, size):
        """The rows, filled up with zeros to `size` of them.

        Args:
            rows: float array (n, ...), n at most `size`.
            size: int.

        Returns:
            float32 tensor (size, ...). The thread's next call with this shape overwrites it: the
            program that reads it must have ended by then.
        """
        shape = (size, *rows.shape[1:])
        if shape not in self._buffers:
            self._buffers[shape] = _shared(shape)
        array, tensor = self._buffers[shape]
        array[: len(rows)] = rows
        array[len(rows) :] = 0
        return tensor


def _shared(shape):
    """An aligned float32 array, and a tensor of the same memory."""
    size = 4 * int(np.prod(shape))
    memory = np.empty(size + ALIGNMENT, "uint8")
    start = -memory.ctypes.data % ALIGNMENT
    array = memory[start : start + size].view("float32").reshape(shape)
    return array, tf.experimental.dlpack.from_dlpack(array.__dlpack__())
