"""A table of any kind with gaps, column by column: numbers with NaN, or categories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal

import numpy as np
import pandas as pd

from alad_tf.preprocess.columns import as_text, describe

MISSING = "(missing)"  # the category of a gap


def columns_with_gaps(x) -> dict[str, np.ndarray]:
    """The columns of a table by name.

    Args:
        x: DataFrame of pandas or Polars, mapping from names to columns, or array `(N, d)`.

    Returns:
        dict of `(N,)` arrays: float64 with NaN for gaps, or objects where there is text.

    Raises:
        ValueError: no table, a sparse one, no rows, columns of several lengths or of one name,
            dates or complex numbers.

    Example:
        >>> columns = columns_with_gaps({"size": [1, None], "kind": ["a", None]})
        >>> columns["size"].tolist(), columns["kind"].dtype
        ([1.0, nan], dtype('O'))
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
    """Whether a column holds categories.

    Args:
        column: `(N,)` array of `columns_with_gaps`.

    Returns:
        bool.

    Example:
        >>> is_categorical(np.array([1.0, np.nan]))
        False
    """
    return column.dtype == object


def as_categories(column, name) -> np.ndarray:
    """A column's values as text; also numbers, where the training rows held text.

    Args:
        column: `(N,)` array of `columns_with_gaps`.
        name: str, for messages.

    Returns:
        `(N,)` array of text, `MISSING` for gaps and empty text.

    Raises:
        ValueError: a value that is no category, such as a list.

    Example:
        >>> as_categories(np.array(["a", None, ""], dtype=object), "kind").tolist()
        ['a', '(missing)', '(missing)']
    """
    gaps = np.array([_is_gap(value) or value == "" for value in column])
    filled = np.where(gaps, MISSING, column.astype(object))
    return as_text(filled, f"column {name!r}")


def side_by_side(numbers, length) -> np.ndarray:
    """Numeric columns as one block.

    Args:
        numbers: dict of `(N,)` float arrays by name, NaN for gaps.
        length: int N, for tables without numeric columns.

    Returns:
        `(N, n)` float32 array.

    Raises:
        ValueError: values that are infinite or beyond float32, by column and row.

    Example:
        >>> side_by_side({"a": np.array([1.0, 2.0]), "b": np.array([3.0, 4.0])}, 2).tolist()
        [[1.0, 3.0], [2.0, 4.0]]
    """
    block = np.empty((length, len(numbers)), np.float32)
    for i, (name, column) in enumerate(numbers.items()):
        with np.errstate(over="ignore"):
            block[:, i] = column
        bad = np.isinf(block[:, i])
        if bad.any():
            raise ValueError(
                f"column {name!r} has {int(bad.sum())} of {length} values that are infinite or "
                f"beyond float32, the first at row {int(np.argmax(bad))}; expected finite numbers, "
                "or NaN for gaps."
            )
    return block
