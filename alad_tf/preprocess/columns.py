"""Edge validation of raw values: what users pass in, to clean arrays or a clear ValueError."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd


def as_float32(values, what: str) -> np.ndarray:
    """Numbers of any real dtype as float32, all finite.

    Args:
        values: `(N,)` or `(N, d)` array-like of numbers.
        what: what the values are, for messages, e.g. `"column 'duration'"`.

    Returns:
        float32 array of the same shape.

    Raises:
        ValueError: a value that is no number, NaN, infinite or beyond float32; the message names
            the first one by row (and column).

    Example:
        >>> as_float32([1, 2], "x")
        array([1., 2.], dtype=float32)
    """
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        objects = array.astype(object)
        for place in np.ndindex(array.shape):
            if not isinstance(objects[place], numbers.Real):
                raise ValueError(
                    f"{what} has dtype {array.dtype}, expected numbers; {_where(place)} is "
                    f"{objects[place]!r}. Encode text as numbers, or declare the column "
                    "categorical."
                )
    with np.errstate(over="ignore"):  # beyond float32 becomes inf, reported below
        result = array.astype(np.float32)
    bad = ~np.isfinite(result)
    if bad.any():
        place = tuple(np.argwhere(bad)[0])
        raise ValueError(
            f"{what} has {bad.sum()} of {bad.size} values that are NaN, infinite or beyond float32;"
            f" expected finite numbers; first: {_where(place)} is {array[place]}. Fill in or drop "
            "these rows."
        )
    return result


def as_text(values, what: str) -> np.ndarray:
    """Categories as text, so that 1, True, 1.0, "1" and b"1" are the same category.

    Args:
        values: `(N,)` array-like of text, bytes (UTF-8), bools, integers or floats.
        what: what the values are, for messages, e.g. `"column 'service'"`.

    Returns:
        `(N,)` array of text: of objects, since one long text would widen all others.

    Raises:
        ValueError: a missing value (None, NaN) or another kind of value, by its row.

    Example:
        >>> as_text([True, False], "column 'land'")
        array(['1', '0'], dtype=object)
    """
    array = np.asarray(values)
    if array.dtype.kind == "U":
        return array
    array = array.astype(object)
    try:
        codes, kinds = pd.factorize(array, use_na_sentinel=False)
    except TypeError:  # lists and the like have no hash
        codes, kinds = np.arange(len(array)), array
    texts = []
    for kind in kinds:  # each distinct value once: tables have few
        text = _category(kind)
        if text is None:
            places = np.flatnonzero([_category(value) is None for value in array])
            raise ValueError(
                f"{what} has {len(places)} of {len(array)} values that are no category; expected "
                f"text or finite numbers; first: row {places[0]} is {array[places[0]]!r}. Fill in "
                "or drop these rows."
            )
        texts.append(text)
    return np.array(texts, dtype=object)[codes]


def as_columns(x, categorical: Sequence[str], continuous: Sequence[str]) -> dict[str, np.ndarray]:
    """The named columns of a table, cleaned: text for `categorical`, float32 for `continuous`.

    Args:
        x: mapping from names to `(N,)` or `(N, 1)` columns, or a pandas DataFrame; columns that
            are not named are ignored.
        categorical: names of the columns to return as text.
        continuous: names of the columns to return as float32.

    Returns:
        dict of `(N,)` arrays in the order `categorical`, `continuous`.

    Raises:
        ValueError: not a table, a missing column, columns of several lengths or with more than one
            value per row, no rows, or values that `as_text` or `as_float32` refuse.

    Example:
        >>> as_columns({"a": ["x"], "b": [1], "c": [2]}, ["a"], ["b"])
        {'a': array(['x'], dtype='<U1'), 'b': array([1.], dtype=float32)}
    """
    names = [*categorical, *continuous]
    if not isinstance(x, (Mapping, pd.DataFrame)):
        raise ValueError(
            f"received {describe(x)}; expected a dict of named columns or a pandas DataFrame with "
            f"the columns {_listed(names)}."
        )
    missing = [name for name in names if name not in x]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(names)} columns are missing: {_listed(missing)}; received "
            f"{_listed(list(x))}. Add them, under these names."
        )
    raw = {name: np.asarray(x[name]) for name in names}
    for name, column in raw.items():
        if column.ndim == 2 and column.shape[1] == 1:
            raw[name] = column[:, 0]
        elif column.ndim != 1:
            raise ValueError(
                f"column {name!r} has shape {column.shape}; expected (N,), one value per row."
            )
    lengths = {name: len(column) for name, column in raw.items()}
    if len(set(lengths.values())) > 1:
        name, other = min(lengths, key=lengths.get), max(lengths, key=lengths.get)
        raise ValueError(
            f"the columns differ in length: {name!r} has {lengths[name]} rows, {other!r} has "
            f"{lengths[other]}; expected one value per row in each."
        )
    if not next(iter(lengths.values())):
        raise ValueError("the table is empty: received 0 rows, expected at least 1.")
    clean = {name: as_text(raw[name], f"column {name!r}") for name in categorical}
    return clean | {name: as_float32(raw[name], f"column {name!r}") for name in continuous}


def describe(x) -> str:
    """What `x` is, for messages: its type, and its shape if it has one.

    Example:
        >>> describe(np.zeros((2, 3)))
        'ndarray of shape (2, 3)'
    """
    shape = getattr(x, "shape", None)
    return type(x).__name__ + (f" of shape {tuple(shape)}" if shape is not None else "")


def _category(value) -> str | None:
    """Text of one category, or None for what is no category (missing, infinite, a list, ...)."""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, np.bool_, numbers.Integral)):
        return str(int(value))
    if isinstance(value, numbers.Real) and np.isfinite(value):
        return str(int(value)) if float(value).is_integer() else str(value)
    return None


def _where(place: tuple[int, ...]) -> str:
    return " ".join(f"{axis} {i}" for axis, i in zip(("row", "column"), place, strict=False))


def _listed(names: list, most: int = 8) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more if names else "none"
