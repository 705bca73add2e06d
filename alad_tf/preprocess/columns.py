"""Edge validation of raw values: what users pass in, to clean arrays or a clear ValueError."""

from __future__ import annotations

import numbers
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np
import pandas as pd

MISSING = "(missing)"  # the category of a gap


def as_numbers(values, what: str) -> np.ndarray:
    """Numbers of any real dtype as float64, all finite; `what` names them in errors."""
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
    with np.errstate(over="ignore"):  # beyond float64 becomes inf, reported below
        result = array.astype(np.float64)
    bad = ~np.isfinite(result)
    if bad.any():
        place = tuple(np.argwhere(bad)[0])
        raise ValueError(
            f"{what} has {bad.sum()} of {bad.size} values that are NaN or infinite; expected "
            f"finite numbers; first: {_where(place)} is {array[place]}. Fill in or drop these rows."
        )
    return result


def as_text(values, what: str) -> np.ndarray:
    """Categories as text, so that 1, True, 1.0, "1" and b"1" are the same category.

    An array of objects: in one of fixed width, one long text would widen all others.
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
    """The named columns of a table, cleaned: text for `categorical`, float64 for `continuous`.

    `x` maps names to `(N,)` or `(N, 1)` columns, or is a DataFrame; other columns are ignored.
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
    return clean | {name: as_numbers(raw[name], f"column {name!r}") for name in continuous}


def columns_with_gaps(x) -> dict[str, np.ndarray]:
    """The columns of a table by name: float64 with NaN for gaps, or objects where there is text.

    `x` is a DataFrame of pandas or Polars, a mapping from names to columns, or an array `(N, d)`.
    """
    if hasattr(x, "toarray"):
        raise ValueError(f"received the sparse {describe(x)}; densify it with x.toarray().")
    if hasattr(x, "to_pandas"):  # Polars
        x = x.to_pandas()
    if isinstance(x, pd.DataFrame):
        names = [str(name) for name in x.columns]
        if len(set(names)) < len(names):
            twice, _ = Counter(names).most_common(1)[0]
            raise ValueError(f"received two columns of the name {twice!r}; rename one of them.")
        columns = {name: _column(x.iloc[:, i]) for i, name in enumerate(names)}
    elif isinstance(x, Mapping):
        columns = {str(name): _column(pd.Series(column)) for name, column in x.items()}
    else:
        array = np.asarray(x)
        if array.ndim != 2:
            hint = " For one row, pass x[None, :]." if array.ndim == 1 else ""
            raise ValueError(f"received {describe(x)}; expected a table of shape (N, d).{hint}")
        columns = {f"x{i}": _column(pd.Series(array[:, i])) for i in range(array.shape[1])}
    lengths = {len(column) for column in columns.values()}
    if len(lengths) != 1 or not min(lengths):
        raise ValueError(
            f"received {describe(x)} with columns of {sorted(lengths)} rows; expected at least one "
            "column and one row, and columns of one length."
        )
    return columns


def _column(series) -> np.ndarray:
    """One column as float64 numbers (NaN for gaps) or as objects."""
    if pd.api.types.is_bool_dtype(series) or pd.api.types.is_numeric_dtype(series):
        if pd.api.types.is_complex_dtype(series):
            raise ValueError(f"received complex numbers ({series.dtype}); expected real ones.")
        return series.to_numpy(np.float64, na_value=np.nan)
    if pd.api.types.is_datetime64_any_dtype(series):
        raise ValueError(
            f"column {series.name!r} holds dates; expected numbers or categories. Turn it into "
            "what matters of it: the hour, the weekday, the seconds since an event."
        )
    array = series.to_numpy(object)
    kinds = {type(value) for value in array if not _is_gap(value)}
    if all(issubclass(kind, (bool, int, float, np.number, np.bool_, Decimal)) for kind in kinds):
        return np.array([np.nan if _is_gap(value) else float(value) for value in array])
    return array


def _is_gap(value) -> bool:
    return pd.api.types.is_scalar(value) and bool(pd.isna(value))


def is_categorical(column) -> bool:
    """Whether a column of `columns_with_gaps` holds categories."""
    return column.dtype == object


def as_categories(column, name) -> np.ndarray:
    """A column as text, `MISSING` for gaps; also numbers, where the training rows held text."""
    gaps = np.array([_is_gap(value) or value == "" for value in column])
    filled = np.where(gaps, MISSING, column.astype(object))
    return as_text(filled, f"column {name!r}")


def side_by_side(numbers, length) -> np.ndarray:
    """Numeric columns by name as one float64 block `(length, n)`, NaN for gaps."""
    block = np.empty((length, len(numbers)), np.float64)
    for i, (name, column) in enumerate(numbers.items()):
        block[:, i] = column
        bad = np.isinf(block[:, i])
        if bad.any():
            raise ValueError(
                f"column {name!r} has {int(bad.sum())} of {length} values that are infinite, the "
                f"first at row {int(np.argmax(bad))}; expected finite numbers, or NaN for gaps."
            )
    return block


def describe(x) -> str:
    """What `x` is, for messages: its type, and its shape if it has one."""
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
