"""The kinds of columns: decided once, by all rows of `fit`, or by the user."""

from __future__ import annotations

import numbers
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from alad_tf.data.cells import (
    EXACT_INTEGERS,
    GAPS,
    MARKS,
    WORDS,
    Seen,
    are_markers,
    mention_rounding,
    number_pattern,
    trimmed,
)
from alad_tf.data.cells import NUMBER as OF_NUMBERS
from alad_tf.data.records import unknown_name_error
from alad_tf.preprocess.containers import listed
from alad_tf.preprocess.times import DATES, DURATION, DURATIONS, ISO_DATE, type_of

KINDS = ("number", "category", "date", "duration", "hash", "ignore")
NUMBER, CATEGORY, DATE, DURATION_, HASH, IGNORE = KINDS
FEWEST_IDS, MOST_OWN = 20, 0.5  # rows, and the share of them with a value of their own
# 1,5 but not 1,234, which may be a thousand
COMMA = r"^[+-]?\d*,\d+$"
MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
# 31.1.2024  31 Jan 2024  Jan 31, 2024  Mon, 31-Jan-24  20240131T0830
OTHER_DATE = re.compile(
    rf"\d{{1,4}}([./-])\d{{1,2}}\1\d{{1,4}}\b|(?:[a-z]+,?\s)?\d{{1,2}}[\s.-]*{MONTH}[\s.,-]+\d{{2,4}}\b"
    rf"|(?:[a-z]+,?\s)?{MONTH}[\s.-]+\d{{1,2}}[\s,]+.*\d{{2,4}}|\d{{8}}T\d{{2,6}}",
    re.ASCII | re.IGNORECASE,
)
# 5 kg  5kg  1,200 km/h  USD 5
WITH_UNIT = re.compile(
    r"([^\W\d_]{2,4}) [+-]?[\d.,]*\d|[+-]?[\d.,]*\d(?: ?([^\W\d_]{2,}|[°µ]\w+|\w+/\w+))"
)
MOST_UNITS = 5  # different ones in a column
THOUSANDS = r"^[+-]?[1-9]\d{0,2}(?:,\d{3})+$"


@dataclass(frozen=True)
class Decision:
    """What a column is.

    Attributes:
        kind: str, one of `KINDS`.
        reason: str, why, for `ALADDetector.columns_`.
        decimal: str, the decimal mark of numbers that are written as text.
    """

    kind: str
    reason: str
    decimal: str = "."

    def state(self):
        """JSON-able dict."""
        return asdict(self)


def checked_choices(choices, names=None) -> dict[str, str]:
    """The user's choices of kinds by column, checked: names against `names`, if they are known."""
    if choices is None:
        return {}
    if not isinstance(choices, Mapping):
        raise ValueError(
            f"received columns={choices!r}; expected a dict of kinds by column, such as "
            "{'zip': 'category'}."
        )
    found = {str(name): kind for name, kind in choices.items()}
    for name, kind in found.items():
        if kind not in KINDS:
            raise ValueError(
                f"received columns={{{name!r}: {kind!r}}}; the kind must be one of "
                f"{', '.join(KINDS)}."
            )
    if names is None:
        return found
    if list(names) == [f"x{i}" for i in range(len(names))]:  # of an array: 3 is "x3"
        found = {f"x{n}" if n.isdigit() else n: kind for n, kind in found.items()}
    for name in found:
        if name not in names:
            error = unknown_name_error("column", name, names) if len(names) < 50 else None
            raise error or ValueError(
                f"`columns` has a kind for {name!r}, which is not among the columns: "
                f"{listed(list(names))}."
            )
    return found


def decide(column, name, chosen=None) -> Decision:
    """What a column of the rows of `fit` is; `chosen` is the user's kind, or None.

    ValueError if it is of no kind, or its kind is not clear.
    """
    dtype = column.dtype
    if chosen is not None:
        return _as_chosen(column, name, chosen)
    if isinstance(dtype, np.dtype) and dtype.kind == "f":  # as most are
        return Decision(NUMBER, "numbers")
    if isinstance(dtype, pd.CategoricalDtype):
        inner = type_of(dtype.categories.dtype) or _of_times(np.asarray(dtype.categories, object))
        return Decision(inner or CATEGORY, f"{inner}s" if inner else "a categorical column")
    if pd.api.types.is_complex_dtype(dtype):
        _refuse_complex(name, dtype)
    if type_of(dtype):
        return Decision(type_of(dtype), f"{type_of(dtype)}s")
    if pd.api.types.is_bool_dtype(dtype):
        return Decision(NUMBER, "True or False")
    if pd.api.types.is_numeric_dtype(dtype):
        _mention_long(column, name)
        return Decision(NUMBER, "numbers")
    return _of_cells(np.asarray(column, object), name)


def _refuse_complex(name, dtype):
    raise ValueError(
        f"column {name!r} has complex numbers ({dtype}); expected real ones. Split it "
        "into two columns, the real and the imaginary parts."
    )


def _as_chosen(column, name, kind):
    decimal = "."
    if kind == NUMBER and not pd.api.types.is_numeric_dtype(column.dtype):
        texts = [c for c in pd.unique(np.asarray(column, object)) if isinstance(c, str)]
        if texts and _has_commas(pa.array(texts, pa.string())):
            decimal = ","
    if kind == DATE and not type_of(column.dtype):
        _require_seconds(column, name)
    return Decision(kind, "as chosen", decimal)


def _require_seconds(column, name):
    """Refuse numbers, also as text, that were chosen to be dates and are not seconds."""
    values = np.array([_as_float(cell) for cell in np.asarray(column, object)])
    values = values[np.isfinite(values)]
    if not len(values):
        return
    middle = float(np.median(np.abs(values)))
    found = f"column {name!r} was chosen to be a date. Numbers are then seconds since 1970-01-01, "
    if middle > 1e11:
        units = ((1e14, "milliseconds", "ms", "1,000"), (1e17, "microseconds", "us", "1,000,000"))
        units += ((np.inf, "nanoseconds", "ns", "1,000,000,000"),)
        _, unit, short, factor = next(one for one in units if middle < one[0])
        raise ValueError(
            f"{found}but these are about {middle:.2g}, beyond the year 5000. If they are {unit}, "
            f"divide them by {factor}, or convert them with pandas.to_datetime(column, "
            f"unit={short!r})."
        )
    if (values % 1).any():
        return
    days = pd.to_datetime(
        pd.Series(values.astype(np.int64)).astype(str), format="%Y%m%d", errors="coerce"
    )
    if values.min() >= 19000101 and days.notna().all():
        raise ValueError(
            f"{found}but these look like days, written as {values[0]:.0f}. Convert them with "
            "pandas.to_datetime(column.astype(str), format='%Y%m%d'), or write them as 2024-01-31."
        )
    if values.min() >= 1900 and values.max() <= 2100:
        raise ValueError(
            f"{found}but these look like years, such as {values[0]:.0f}. Choose 'number', or "
            "'category'."
        )


def _as_float(cell) -> float:
    if isinstance(cell, (bool, np.bool_)) or not isinstance(cell, (numbers.Real, Decimal, str)):
        return np.nan
    try:
        return float(cell)
    except (ValueError, OverflowError):
        return np.nan


def _of_cells(cells, name):
    """The decision on objects and text."""
    gaps, empty = gaps_of(cells)
    present = cells[~(gaps | empty)]
    types = set(map(type, present))
    if not types:
        return Decision(NUMBER, "empty")
    if any(issubclass(one, numbers.Complex) and not _is_number(one) for one in types):
        _refuse_complex(name, "complex")
    if all(map(_is_number, types)):
        if any(issubclass(one, (numbers.Integral, Decimal)) for one in types):
            _mention_long(present, name)
        return Decision(NUMBER, "numbers")
    texts = {one for one in types if issubclass(one, (str, bytes))}
    if not texts:
        return Decision(_of_times(present) or CATEGORY, f"{_of_times(present) or 'object'}s")
    plain = present
    if bytes in types:
        plain = np.array(
            [c.decode(errors="replace") if type(c) is bytes else c for c in present], object
        )
    if texts == types:
        return _of_texts(plain, cells, name)
    if types & {str, bytes} and _of_times(plain[[not isinstance(c, str) for c in plain]]):
        kind = _of_times(plain[[not isinstance(c, str) for c in plain]])
        return Decision(kind, f"{kind}s")  # reading it names a cell that is neither
    if all(map(_is_number, types - texts)):
        words = [c for c in plain if isinstance(c, str) and c.strip().lower() not in GAPS]
        if types - texts <= {bool, np.bool_} and all(w.strip() in WORDS for w in words):
            return Decision(NUMBER, "True or False")
        seen = Seen()
        seen.add(pa.array(words, pa.string()), np.arange(len(words)))
        if seen.verdict() == (OF_NUMBERS, None) and seen.numbers:
            return Decision(NUMBER, "numbers, some as text")
        _refuse_bad_cells(cells, name)
    return Decision(CATEGORY, "text and others")


def _of_times(cells):
    if len(cells) and all(issubclass(one, DATES) for one in set(map(type, cells))):
        return DATE
    if len(cells) and all(issubclass(one, DURATIONS) for one in set(map(type, cells))):
        return DURATION_
    return None


def _of_texts(texts, cells, name):
    """The decision on text: numbers, dates or durations that are written out, or categories."""
    some = texts[:: 1 + len(texts) // 1000]
    if sum(re.search(r"\d|true|false", t, re.IGNORECASE) is not None for t in some) < 0.4 * len(
        some
    ):
        return Decision(CATEGORY, "text")  # nothing in most of it is a number or a date
    found = _written_out(texts, name)
    if found is not None:
        return found
    values = pa.array(texts, pa.string())
    if any(text.lower() in GAPS for text in some):
        lower = pc.utf8_lower(pc.utf8_trim_whitespace(values))
        values = values.filter(pc.invert(pc.is_in(lower, pa.array(GAPS))))
    decimal = "," if _has_commas(pc.unique(values)) else "."
    seen = Seen()
    seen.add(values, np.arange(len(values)), decimal)
    kind, wrong = seen.verdict()
    if wrong is not None:
        good, what, cell, _ = wrong
        row = next(
            i
            for i, c in enumerate(cells)
            if isinstance(c, (str, bytes)) and _str(c).strip() == cell
        )
        said = f"values are {what}, written as text; row {row} is {cells[row]!r}. Correct it"
        remedy = "convert the column with pandas.to_numeric"
        if seen.alike:
            said = (
                f"values look like numbers, but {cells[row]!r} in row {row} cannot be read as one. "
                "Correct it"
            )
            remedy = (
                "remove thousands separators, currency signs, % and parentheses, for example with "
                "column.str.replace(',', '')"
            )
        raise ValueError(
            f"column {name!r}: {good + seen.alike:,} of {seen.cells:,} {said}, replace it with "
            f"None if it is missing, {remedy}, or make the column a category: "
            f"columns={{{name!r}: 'category'}}."
        )
    if kind == OF_NUMBERS and seen.cells:
        seen.mention_rounding(name)
        return Decision(NUMBER, "numbers as text", decimal)
    return Decision(CATEGORY, "codes" if seen.codes else "text")


def _str(cell):
    return cell.decode(errors="replace") if isinstance(cell, bytes) else cell


def _written_out(texts, name):
    """The decision on text of dates or durations; None if it is neither."""
    for kind, pattern in ((DATE, ISO_DATE), (DURATION_, DURATION)):
        some = texts[:20]
        if sum(pattern.fullmatch(text.strip()) is not None for text in some) < 0.5 * len(some):
            continue
        distinct = pd.unique(texts)
        others = [
            t
            for t in distinct
            if not pattern.fullmatch(t.strip()) and t.strip().lower() not in GAPS
        ]
        if len(others) <= 5 and len(others) <= 0.1 * len(distinct):
            return Decision(kind, f"{kind}s as text")
    return None


def _has_commas(values):
    """Whether texts are numbers with decimal commas, some of which can be nothing else."""
    cells = trimmed(values)
    commas = pc.sum(pc.match_substring_regex(cells, COMMA)).as_py() or 0
    if not commas or pc.sum(pc.match_substring_regex(cells, number_pattern(","))).as_py() < len(
        cells
    ):
        return False
    return (pc.sum(pc.match_substring_regex(cells, THOUSANDS)).as_py() or 0) < commas


def _is_number(kind) -> bool:
    return issubclass(kind, (numbers.Real, np.bool_, Decimal))


def _mention_long(exact, name):
    """A warning for integers of more digits than float64 has, such as identifiers."""
    if pd.api.types.is_float_dtype(exact.dtype):
        return
    values = pd.Series(exact).dropna()
    try:
        floats = values.to_numpy(np.float64)
    except OverflowError:  # beyond float64: reading it says so
        return
    beyond = np.abs(floats) >= EXACT_INTEGERS
    if beyond.any():
        mention_rounding(name, values[beyond].nunique(), pd.Series(floats[beyond]).nunique())


def _refuse_bad_cells(array, name):
    """An error for a column of numbers in which a few cells are text."""
    values = [value for value in array if not _is_gap(value)]
    texts = {str(value) for value in values if not _is_number(type(value))}
    found = [float(value) for value in values if _is_number(type(value))]
    share, many = len(found) / len(values), len(set(found)) > 20 or any(v % 1 for v in found)
    if share < 0.9 and (share < 0.5 or len(texts) > 5 or not many):
        return
    if len(set(found)) <= len(texts) and not are_markers(texts):  # classes: 0, 1-5, 6-10
        return
    row = next(i for i, v in enumerate(array) if not _is_gap(v) and not _is_number(type(v)))
    raise ValueError(
        f"column {name!r}: {len(found):,} of {len(values):,} values are numbers, the others "
        f"are text; row {row} is {array[row]!r}. Correct it, replace it with None if it is "
        f"missing, or make the column a category: columns={{{name!r}: 'category'}}."
    )


def gaps_of(cells, known=()) -> tuple[np.ndarray, np.ndarray]:
    """Which objects are gaps, and which are text that counts as one.

    That is empty text, and what marks a gap in CSV files, such as "NA": else a table would have
    other scores there. The `known` categories of an earlier version's detector stay what they are.
    """
    marks = MARKS.difference(known)
    empty = np.fromiter((type(c) is str and c in marks for c in cells), bool, len(cells))
    return pd.isna(cells), empty


def _is_gap(value) -> bool:
    return value is None or (
        pd.api.types.is_scalar(value) and (value == "" or bool(pd.isna(value)))
    )


def tells_rows_apart(counts) -> str | None:
    """Why a column of text only tells rows apart; None if it says more.

    It only tells rows apart if more than `MOST_OWN` of at least `FEWEST_IDS` rows have a value that
    no other row has: about as many future rows will then have a new value (Good and Turing).

    Args:
        counts: pandas.Series, how often each value occurs, by value.
    """
    own, rows = int((counts == 1).sum()), int(counts.sum())
    if rows < FEWEST_IDS or own <= MOST_OWN * rows:
        return None
    words = np.mean([len(re.findall(r"\w+", str(text))) for text in counts.index[:1000]])
    blanks = np.mean([" " in str(text).strip() for text in counts.index[:1000]])
    what = "free text" if words >= 3 and blanks > 0.5 else "identifiers"
    some = [str(text).strip() for text in counts.index[:1000]]
    if np.mean([OTHER_DATE.match(text) is not None for text in some]) > 0.9:
        what = "dates that are not written as 2024-01-31"
    units = [match and (match[1] or match[2]) for match in map(WITH_UNIT.fullmatch, some)]
    if None not in units and len(set(units)) <= MOST_UNITS:
        what = f"numbers with a unit ({', '.join(sorted(set(units)))})"
    return f"{what}: {own:,} of {rows:,} rows have a value that no other row has"
