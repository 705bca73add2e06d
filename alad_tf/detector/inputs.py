"""Containers of rows that have to be read or densified first: datasets and sparse matrices."""

import numpy as np
import tensorflow as tf

from alad_tf.engine.machine import available_memory


def as_rows(x):
    """A `tf.data.Dataset` or a sparse matrix as `check_records` takes it; anything else as it is.

    Raises:
        ValueError: if a dataset is infinite or empty or yields tuples, or if a sparse matrix needs
            too much memory as an array.
    """
    if isinstance(x, tf.data.Dataset):
        return _of_dataset(x)
    if hasattr(x, "toarray"):
        return _dense(x)
    return x


def _of_dataset(dataset):
    """All elements: an array of rows or images, or a dict of columns."""
    if isinstance(dataset.element_spec, tuple):
        raise ValueError(
            f"received a Dataset whose elements are tuples of {len(dataset.element_spec)}; "
            "expected rows alone. Drop the labels: dataset.map(lambda x, y: x)."
        )
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "received an infinite Dataset; expected a finite one. Limit it with dataset.take(n)."
        )
    parts = list(dataset.as_numpy_iterator())
    if not parts:
        raise ValueError("received an empty Dataset; expected at least one row.")
    if isinstance(parts[0], dict):
        columns = {name: [np.atleast_1d(part[name]) for part in parts] for name in parts[0]}
        return {name: _text(np.concatenate(some)) for name, some in columns.items()}
    # a row or an image, or a batch of them
    return np.concatenate([part[None] if part.ndim in (1, 3) else part for part in parts])


def _text(column):
    """TensorFlow's strings, which are bytes, as str."""
    if column.dtype != object:
        return column
    return np.array([c.decode() if isinstance(c, bytes) else c for c in column], object)


def _dense(x):
    rows, columns = x.shape
    needed, available = rows * columns * np.dtype(float).itemsize, available_memory()
    if needed > available / 2:
        raise ValueError(
            f"received a sparse {type(x).__name__} of {rows:,} x {columns:,}, which needs "
            f"{needed / 2**30:.1f} GiB as an array; {available / 2**30:.1f} GiB are available, of "
            "which half may be used. Reduce the columns first, for example with "
            "sklearn.decomposition.TruncatedSVD."
        )
    return x.toarray()
