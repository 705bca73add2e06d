"""Cells of any type as numbers, or as the text of categories."""

from __future__ import annotations

import datetime
import numbers
import re
import uuid
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa

from alad_tf.data.cells import GAPS, numbers_in, trimmed
from alad_tf.preprocess.base import MISSING
from alad_tf.preprocess.containers import describe, is_named, listed, read_table
from alad_tf.preprocess.kinds import CATEGORY, DATE, DURATION_, decide, gaps_of
from alad_tf.preprocess.times import DATES, date_seconds, duration_seconds, iso_text, type_of

MOST_CATEGORIES = 64  # of a column; rarer values are "none of the known ones"
WORDS = {"true": 1.0, "false": 0.0}
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
CODE = re.compile(r"[+-]?0\d+", re.ASCII)  # 007 is no number
DURATIONS = (datetime.timedelta, np.timedelta64, datetime.time)


def finite_numbers(values, what: str) -> np.ndarray:
    """Numbers of any real dtype as float64, all finite; `what` names them in errors."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        objects = array.astype(object)
        for place in np.ndindex(array.shape):
            if not isinstance(objects[place], numbers.Real):
                raise ValueError(
                    f"{what} has dtype {array.dtype}, expected numbers; {_where(place)} is "
                    f"{objects[place]!r}. Encode text as numbers, or make the column a "
                    "category."
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
    refuse_times(values, what)
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
                f"{what} has {len(places)} of {len(array)} values that are not categories; "
                f"expected text or finite numbers; first: row {places[0]} is "
                f"{array[places[0]]!r}. {_advice(array[places[0]])}"
            )
        texts.append(text)
    return np.array(texts, dtype=object)[codes]


def as_columns(x, categorical: Sequence[str], continuous: Sequence[str], quiet=True):
    """The named columns of a table, cleaned: text for `categorical`, float64 for `continuous`.

    `x` is what `read_table` takes, with names; other columns are ignored, unless `quiet` with a
    warning.
    """
    names = [*categorical, *continuous]
    if not is_named(x):
        raise ValueError(
            f"received {describe(x)}; expected a dict of named columns or a pandas DataFrame with "
            f"the columns {listed(names)}."
        )
    raw = read_table(x).select(names, "", quiet=quiet)
    clean = {name: as_text(raw[name], f"column {name!r}") for name in categorical}
    return clean | {name: finite_numbers(raw[name], f"column {name!r}") for name in continuous}


def learn_columns(x) -> dict[str, np.ndarray]:
    """The columns of training rows by name: float64 with NaN for gaps, or objects for categories.

    Dates and durations are seconds. `x` is what `read_table` takes.
    """
    found = {}
    for name, column in read_table(x).named().items():
        decision = decide(column, name)
        text = decision.kind == CATEGORY
        found[name] = np.asarray(column, object) if text else as_values(column, name, decision)
    return found


def as_values(column, name, decision) -> np.ndarray:
    """A column of numbers, dates or durations as float64, NaN for gaps."""
    if decision.kind == DATE:
        return date_seconds(column, name)
    if decision.kind == DURATION_:
        return duration_seconds(column, name)
    return as_numbers(column, name, decision.decimal)


def as_numbers(column, name, decimal=".") -> np.ndarray:
    """A column of numbers as float64 with NaN for gaps; `decimal` is the mark of those in text."""
    what = f"column {name!r}"
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":  # as most are
        return np.asarray(column, np.float64)
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.to_numpy(object)
    refuse_times(column, what)
    if pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_numeric_dtype(column.dtype):
        return _floats(column, name)
    cells = np.asarray(column, object)
    gaps = pd.isna(cells)
    types = set(map(type, cells[~gaps]))
    found, rest = np.full(len(cells), np.nan), np.flatnonzero(~gaps)
    if types == {str}:
        texts = trimmed(pa.array(cells, pa.string(), from_pandas=True))
        found, bad = numbers_in(texts, decimal)
        rest = np.flatnonzero(bad)
    for row in rest:
        number = _number(cells[row], decimal)
        if number is None:
            raise ValueError(
                f"{what} is numeric, but row {row} is {cells[row]!r}. Correct it, or replace "
                "it by None if it is missing."
            )
        found[row] = number
    return found


def as_categories(column, name, known=()) -> np.ndarray:
    """A column as text, `MISSING` for gaps.

    Numbers and bools, which have no spelling, stand for the one `known` text of their value: 1.0
    for "01", or for "1.0", if no "1" is known. Dates are written as ISO 8601 has them.
    """
    if isinstance(getattr(column, "dtype", None), pd.CategoricalDtype):
        column = column.to_numpy(object)
    if type_of(getattr(column, "dtype", None)) == "date":
        return iso_text(date_seconds(column, name), MISSING)
    cells = np.asarray(column, object)
    gaps, empty = gaps_of(cells, known)
    gaps |= empty
    present = set(map(type, cells[~gaps]))
    if present and all(issubclass(one, DATES) for one in present):
        return iso_text(date_seconds(cells, name), MISSING)
    texts = as_text(np.where(gaps, MISSING, cells), f"column {name!r}")
    unseen = set(pd.unique(texts)) - {MISSING, *known}
    if not unseen or not known:
        return texts
    spellings: dict[float, list[str]] = {}
    for text in known:
        value = _value(text)
        if value is not None:
            spellings.setdefault(value, []).append(text)
    if not spellings:
        return texts
    texts = texts.copy()
    for row, (cell, text) in enumerate(zip(cells, texts, strict=True)):
        if text not in unseen:
            continue
        spelt = isinstance(cell, (str, bytes)) and text.lower() not in WORDS
        same = [] if spelt else spellings.get(_value(text), [])
        if len(same) == 1:
            texts[row] = same[0]
    return texts


def _value(text) -> float | None:
    word = WORDS.get(text.lower())
    return word if word is not None else float(text) if NUMBER.fullmatch(text) else None


def _number(value, decimal=".") -> float | None:
    """A cell as a float, NaN for a gap; None if it is not a number."""
    if _is_gap(value):
        return np.nan
    if _is_number(type(value)):
        try:
            return float(value)
        except OverflowError:  # an integer of more than 308 digits
            return np.inf
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if not isinstance(value, str):
        return None
    text = value.strip()
    if text.lower() in GAPS:
        return np.nan
    return _value(text.replace(decimal, "."))


def _floats(column, name) -> np.ndarray:
    if pd.api.types.is_complex_dtype(column.dtype):
        raise ValueError(
            f"column {name!r} has complex numbers ({column.dtype}); expected real ones. "
            "Split it into two columns, the real and the imaginary parts."
        )
    if isinstance(column, np.ndarray):
        return column.astype(np.float64)
    return column.to_numpy(np.float64, na_value=np.nan)


def _is_number(kind) -> bool:
    return issubclass(kind, (numbers.Real, np.bool_, Decimal))


def refuse_times(column, what):
    """Raise an error for a column of dates or durations, which says how to convert them."""
    dtype = getattr(column, "dtype", None)
    if isinstance(dtype, pd.CategoricalDtype):
        column, dtype = column.cat.categories, column.cat.categories.dtype
    kind = None if dtype is None else type_of(dtype)
    shown = ""
    if dtype is None or getattr(dtype, "kind", None) == "O":
        cells = np.asarray(column, object).ravel()
        times = tuple(one for one in set(map(type, cells)) if issubclass(one, (*DATES, *DURATIONS)))
        for row, value in enumerate(cells if times else ()):
            if isinstance(value, times) and not _is_gap(value):
                kind = "date" if isinstance(value, DATES) else "duration"
                shown = f" (row {row} is {value!r})"
                break
    if kind == "date":
        raise ValueError(
            f"{what} has dates{shown}; expected numbers or categories, as in the training "
            "rows. Convert them to what matters about them, such as the hour, the weekday, "
            "or the seconds since an event."
        )
    if kind == "duration":
        raise ValueError(
            f"{what} has durations or times of day{shown}; expected numbers or categories, "
            "as in the training rows. Convert durations with column.dt.total_seconds(), and "
            "times of day to seconds since midnight."
        )


def _is_gap(value) -> bool:
    return pd.api.types.is_scalar(value) and bool(pd.isna(value))


def is_categorical(column) -> bool:
    """Whether a column of `learn_columns` holds categories."""
    return column.dtype == object


def side_by_side(numbers, length) -> np.ndarray:
    """Numeric columns by name as one float64 block `(length, n)`, NaN for gaps."""
    block = np.empty((length, len(numbers)), np.float64)
    for i, (name, column) in enumerate(numbers.items()):
        block[:, i] = column
        bad = np.isinf(block[:, i])
        if bad.any():
            raise ValueError(
                f"column {name!r} has {int(bad.sum())} of {length} values that are infinite, "
                f"the first in row {int(np.argmax(bad))}; expected finite numbers, or NaN "
                "for missing values."
            )
    return block


def _category(value) -> str | None:
    """Text of one category, or None for what is no category (missing, infinite, a list, ...)."""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, np.bool_, numbers.Integral)):
        return str(int(value))
    if isinstance(value, (numbers.Real, Decimal)) and np.isfinite(float(value)):
        return str(int(value)) if float(value).is_integer() else str(value)
    if isinstance(value, (pd.Interval, uuid.UUID)):
        return str(value)
    return None


def _advice(value) -> str:
    if _is_gap(value) or isinstance(value, numbers.Real):
        return "Fill in or drop these rows."
    return (
        f"Convert values of the type {type(value).__name__} to text or numbers, for example "
        "with column.map(str)."
    )


def _where(place: tuple[int, ...]) -> str:
    return " ".join(f"{axis} {i}" for axis, i in zip(("row", "column"), place, strict=False))
