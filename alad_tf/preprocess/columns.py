"""What a column holds, numbers or categories: decided at `fit`, checked ever after."""

from __future__ import annotations

import datetime
import numbers
import re
import warnings
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pandas as pd

from alad_tf.preprocess.containers import describe, is_named, listed, read_table

MISSING = "(missing)"  # the category of a gap
MOST_CATEGORIES = 64  # of a column; rarer values are "none of the known ones"
GAPS = ("", "nan", "none", "null", "na", "n/a", "<na>", "nat")  # as text, in a column of numbers
WORDS = {"true": 1.0, "false": 0.0}
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
CODE = re.compile(r"[+-]?0\d+", re.ASCII)  # 007 is no number
EXACT_INTEGERS = 2**53  # float64 holds all up to it
DATES = (datetime.date, np.datetime64, pd.Period)
DURATIONS = (datetime.timedelta, np.timedelta64)


def finite_numbers(values, what: str) -> np.ndarray:
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
                f"{what} has {len(places)} of {len(array)} values that are no category; expected "
                f"text or finite numbers; first: row {places[0]} is {array[places[0]]!r}. "
                f"{_advice(array[places[0]])}"
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

    Numbers and bools are numbers, whatever holds them; pandas categories are categories, whatever
    they are; so are text and intervals. `x` is what `read_table` takes.
    """
    return {name: _learn(column, name) for name, column in read_table(x).named().items()}


def _learn(column, name) -> np.ndarray:
    refuse_times(column, f"column {name!r}")
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.to_numpy(object)
    if _is_numeric(column):
        floats = _floats(column, name)
        if pd.api.types.is_integer_dtype(column.dtype):
            _mention_rounding(column, floats, name)
        return floats
    array = np.asarray(column, object)
    blank = np.array([_is_gap(value) or value == "" for value in array], bool)
    kinds = {type(value) for value in array[~blank]}
    if all(_is_number(kind) for kind in kinds) and (kinds or not (array == "").any()):
        floats = np.array([np.nan if b else float(v) for v, b in zip(array, blank, strict=True)])
        if any(issubclass(kind, numbers.Integral) for kind in kinds):
            _mention_rounding(array[~blank], floats[~blank], name)
        return floats
    if any(_is_number(kind) for kind in kinds) and any(issubclass(k, (str, bytes)) for k in kinds):
        _refuse_bad_cells(array, name)
    elif kinds == {str}:
        _mention_numbers(array, name)
    return array


def _mention_rounding(exact, floats, name):
    """A warning for integers of more digits than float64 has, such as identifiers."""
    if not (np.abs(floats) > EXACT_INTEGERS).any():
        return
    given, kept = pd.Series(exact).nunique(), pd.Series(floats).nunique()
    if kept < given:
        warnings.warn(
            f"column {name!r} holds integers beyond 2**53, which are rounded to about 16 digits: "
            f"{given:,} distinct values become {kept:,}. If it identifies rows, leave it out; if "
            "it is a code, make it text: column.astype(str).",
            stacklevel=2,
        )


def _refuse_bad_cells(array, name):
    """An error for a column of numbers in which a few cells are text."""
    values = [value for value in array if not _is_gap(value)]
    texts = {str(value) for value in values if not _is_number(type(value))}
    found = [float(value) for value in values if _is_number(type(value))]
    share, many = len(found) / len(values), len(set(found)) > 20 or any(v % 1 for v in found)
    if share < 0.9 and (share < 0.5 or len(texts) > 5 or not many):
        return
    row = next(i for i, v in enumerate(array) if not _is_gap(v) and not _is_number(type(v)))
    raise ValueError(
        f"column {name!r}: {len(found):,} of {len(values):,} values are numbers, the others are "
        f"text; row {row} is {array[row]!r}. Correct it, give it as None for a gap, or make the "
        "column a category: column.astype(str).astype('category')."
    )


def _mention_numbers(array, name):
    """A warning for numbers that are written as text, of which one-hot columns keep a few."""
    values = [value.strip() for value in array if not _is_gap(value)]
    found = [value for value in values if NUMBER.fullmatch(value)]
    whole = all(value.lstrip("+-").isdigit() for value in found)
    codes = any(CODE.fullmatch(value) for value in found) or (whole and len(found) == len(values))
    if len(found) < 0.9 * len(values) or codes or len(set(found)) <= MOST_CATEGORIES:
        return
    row = next((i for i, v in enumerate(array) if not NUMBER.fullmatch(str(v).strip())), None)
    other = "" if row is None else f" (row {row} is {array[row]!r})"
    warnings.warn(
        f"column {name!r} holds text, and is taken for categories, of which the "
        f"{MOST_CATEGORIES} most frequent count; but {len(found):,} of {len(values):,} values are "
        f"numbers{other}. If it is one of numbers, convert it by pandas.to_numeric.",
        stacklevel=2,
    )


def as_numbers(column, name) -> np.ndarray:
    """A column that held numbers in the training rows, as float64 with NaN for gaps."""
    what = f"column {name!r}"
    refuse_times(column, what)
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.to_numpy(object)
    if _is_numeric(column):
        return _floats(column, name)
    array = np.asarray(column, object)
    found = np.empty(len(array))
    for row, value in enumerate(array):
        number = _number(value)
        if number is None:
            raise ValueError(
                f"{what} held numbers in the training rows; row {row} is {value!r}. Correct it, or "
                "give it as None for a gap."
            )
        found[row] = number
    return found


def as_categories(column, name, known=()) -> np.ndarray:
    """A column as text, `MISSING` for gaps.

    Numbers and bools, which have no spelling, stand for the one `known` text of their value: 1.0
    for "01", or for "1.0", if no "1" is known.
    """
    if isinstance(getattr(column, "dtype", None), pd.CategoricalDtype):
        column = column.to_numpy(object)
    refuse_times(column, f"column {name!r}")
    cells = np.asarray(column, object)
    gaps = np.array([_is_gap(value) or (isinstance(value, str) and not value) for value in cells])
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


def _number(value) -> float | None:
    """A cell as a float, NaN for a gap; None for what is no number."""
    if _is_gap(value):
        return np.nan
    if _is_number(type(value)):
        return float(value)
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if not isinstance(value, str):
        return None
    text = value.strip()
    if text.lower() in GAPS:
        return np.nan
    return _value(text)


def _floats(column, name) -> np.ndarray:
    if pd.api.types.is_complex_dtype(column.dtype):
        raise ValueError(
            f"column {name!r} holds complex numbers ({column.dtype}); expected real ones. Make it "
            "two columns, the real and the imaginary parts."
        )
    if isinstance(column, np.ndarray):
        return column.astype(np.float64)
    return column.to_numpy(np.float64, na_value=np.nan)


def _is_numeric(column) -> bool:
    return pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_numeric_dtype(column.dtype)


def _is_number(kind) -> bool:
    return issubclass(kind, (numbers.Real, np.bool_, Decimal))


def refuse_times(column, what):
    """An error for a column of dates or durations, which says what to make of them."""
    dtype = getattr(column, "dtype", None)
    if isinstance(dtype, pd.CategoricalDtype):
        column, dtype = column.cat.categories, column.cat.categories.dtype
    first, row = None, 0
    if dtype is None or getattr(dtype, "kind", None) == "O":
        cells = np.asarray(column, object).ravel()
        times = (*DATES, *DURATIONS, datetime.time)
        found = ((i, v) for i, v in enumerate(cells) if isinstance(v, times) and not _is_gap(v))
        row, first = next(found, (0, None))
    text = str(dtype)
    dates = isinstance(dtype, pd.PeriodDtype) or pd.api.types.is_datetime64_any_dtype(dtype)
    if dates or text.startswith(("date32", "date64")) or isinstance(first, DATES):
        shown = "" if first is None else f" (row {row} is {first!r})"
        raise ValueError(
            f"{what} holds dates{shown}; expected numbers or categories. Turn it into what matters "
            "of it: the hour, the weekday, the seconds since an event."
        )
    durations = text.startswith(("timedelta", "duration")) or isinstance(first, DURATIONS)
    if durations or text.startswith("time") or isinstance(first, datetime.time):
        kind = "durations" if durations else "times"
        raise ValueError(
            f"{what} holds {kind}; expected numbers or categories. Turn it into numbers: "
            f"{'column.dt.total_seconds()' if durations else 'the seconds since midnight'}."
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
                f"column {name!r} has {int(bad.sum())} of {length} values that are infinite, the "
                f"first at row {int(np.argmax(bad))}; expected finite numbers, or NaN for gaps."
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
    if isinstance(value, pd.Interval):
        return str(value)
    return None


def _advice(value) -> str:
    if _is_gap(value) or isinstance(value, numbers.Real):
        return "Fill in or drop these rows."
    return (
        f"Turn values of the type {type(value).__name__} into text or numbers, such as by "
        "column.map(str)."
    )


def _where(place: tuple[int, ...]) -> str:
    return " ".join(f"{axis} {i}" for axis, i in zip(("row", "column"), place, strict=False))
