"""Dates and durations of any type as float64 seconds."""

from __future__ import annotations

import contextlib
import datetime
import re

import numpy as np
import pandas as pd

from alad_tf.data.cells import GAPS

DAY = 86400
DATES = (datetime.date, np.datetime64, pd.Period)
DURATIONS = (datetime.timedelta, np.timedelta64, datetime.time)
# dates as ISO 8601 writes them, with a blank or a T before the time of day, or a month: 2024-05
CLOCK = r"\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?"
HOURS = r"\d+:[0-5]\d:[0-5]\d(?:[.,]\d{1,9})?"  # 9:05:00 or 100:00:00
ISO_DATE = re.compile(
    rf"[12]\d{{3}}-(?:0[1-9]|1[0-2])|\d{{4}}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
    rf"(?:[T ](?:{CLOCK}|\d{{2}}(?=$|Z))\s?(?:Z|[+-]\d{{2}}(?::?\d{{2}})?)?)?",
    re.ASCII,
)
# durations as pandas, ISO 8601 and clocks write them: 1 days 02:00:00, P1DT2H, 02:00:00
DURATION = re.compile(
    rf"-?(?:\d+ days?(?: [+-]?{CLOCK})?|{CLOCK}|{HOURS}"
    r"|P(?=\w)(?:\d+W)?(?:\d+D)?(?:T(?:\d+H)?(?:\d+M)?(?:\d+(?:\.\d+)?S)?)?)",
    re.ASCII,
)
LEAST, MOST = -62135596800, 253402300799  # years 1 and 9999, in seconds


def type_of(dtype) -> str | None:
    """What columns of a dtype hold: "date", "duration", or None for what is neither."""
    text = str(dtype)
    if isinstance(dtype, pd.PeriodDtype) or pd.api.types.is_datetime64_any_dtype(dtype):
        return "date"
    if text.startswith(("date32", "date64")):
        return "date"
    return "duration" if text.startswith(("timedelta", "duration", "time32", "time64")) else None


def date_seconds(column, name) -> np.ndarray:
    """A column of dates as seconds since 1970-01-01, NaN for gaps.

    Times with a zone count in UTC, others as they are; a period counts from its start, numbers are
    seconds. ValueError for a cell that is not a date.
    """
    return _seconds(column, name, "date", _date_cell, _date_texts)


def duration_seconds(column, name) -> np.ndarray:
    """A column of durations as seconds, NaN for gaps; a time of day counts from midnight."""
    return _seconds(column, name, "duration", _duration_cell, _duration_texts)


def as_seconds(column, name, kind) -> np.ndarray:
    """`date_seconds` or `duration_seconds`; other cells stay as they are."""
    read = date_seconds if kind == "date" else duration_seconds
    try:
        return read(column, name)
    except ValueError:
        found = np.asarray(column, object).copy()
        for place in range(len(found)):
            with contextlib.suppress(ValueError):
                found[place] = read(found[place : place + 1], name)[0]
        return found


def _seconds(column, name, what, of_cell, of_texts):
    if isinstance(column.dtype, pd.CategoricalDtype):
        values = _seconds(column.cat.categories, name, what, of_cell, of_texts)
        codes = column.cat.codes.to_numpy()
        return (
            np.where(codes < 0, np.nan, values[codes])
            if len(values)
            else np.full(len(codes), np.nan)
        )
    if isinstance(column.dtype, pd.PeriodDtype):
        column = pd.PeriodIndex(column).to_timestamp()
    if pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        numbers = (
            column
            if isinstance(column, np.ndarray)
            else column.to_numpy(np.float64, na_value=np.nan)
        )
        return numbers.astype(np.float64)
    kind = getattr(column.dtype, "kind", "O")
    if str(column.dtype).startswith("date"):  # Arrow's days: pandas has no datetime64 of gaps there
        kind = "O" if isinstance(column.dtype, pd.ArrowDtype) else kind
    if kind == "M" and what == "date":
        if getattr(column.dtype, "tz", None) is not None:
            index = pd.DatetimeIndex(column)
            return _of_ticks(index.tz_convert("UTC").tz_localize(None).to_numpy())
        column = (
            column if isinstance(column, np.ndarray) else column.to_numpy(f"M8[{_unit(column)}]")
        )
        return _of_ticks(column)
    if kind == "m" and what == "duration":
        column = (
            column if isinstance(column, np.ndarray) else column.to_numpy(f"m8[{_unit(column)}]")
        )
        return _of_ticks(column)
    cells = np.asarray(column, object)
    codes, kinds = pd.factorize(cells, use_na_sentinel=True)
    kinds = np.asarray(kinds, object)
    found = np.full(len(kinds) + 1, np.nan)  # the last one is of gaps, whose code is -1
    texts = np.array([isinstance(kind, str) for kind in kinds], bool)
    if texts.any():
        found[:-1][texts] = of_texts(kinds[texts].tolist())
    for place in np.flatnonzero(~texts):
        found[place] = of_cell(kinds[place])
    bad = np.isinf(found)
    if bad.any():
        row = int(np.flatnonzero(bad[codes])[0])
        examples = "2024-01-31 or 2024-01-31 08:30:00" if what == "date" else "1 days 02:30:00"
        raise ValueError(
            f"column {name!r} has {what}s, but row {row} is {cells[row]!r}. Correct it (as "
            f"text: {examples}), replace it with None if it is missing, or choose another kind "
            f"for the column: columns={{{name!r}: 'category'}} or 'ignore'."
        )
    return found[codes]


def _unit(column):
    """The unit of a pandas column of dates or durations, those of Arrow among them."""
    arrow = getattr(column.dtype, "pyarrow_dtype", None)
    if arrow is not None:
        return getattr(arrow, "unit", "us")
    return np.datetime_data(column.dtype)[0] if isinstance(column.dtype, np.dtype) else "ns"


def _of_ticks(array):
    """datetime64 or timedelta64 of any unit as seconds, each the nearest float64."""
    unit, count = np.datetime_data(array.dtype)
    gaps = np.isnat(array)
    parts = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}.get(unit if count == 1 else "")
    if parts is None:  # days, months, hours; or picoseconds
        coarse = np.datetime_data(array.dtype)[0] in ("ps", "fs", "as")
        unit, parts = ("ns", 10**9) if coarse else ("us", 10**6)
        array = array.astype(f"{array.dtype.kind}8[{unit}]")
    ticks = np.where(
        gaps, 0, array.view(np.int64) if array.flags.c_contiguous else array.astype(np.int64)
    )
    whole, rest = np.divmod(ticks, parts)
    return np.where(gaps, np.nan, whole + rest / parts)


def _date_cell(value):
    if isinstance(value, pd.Period):
        value = value.to_timestamp()
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        value = value.astimezone(datetime.UTC).replace(tzinfo=None)
    if isinstance(value, pd.Timestamp):
        value = value.to_datetime64()
    if isinstance(value, (datetime.date, np.datetime64)):
        return _of_ticks(np.array([value], "M8" if isinstance(value, np.datetime64) else "M8[us]"))[
            0
        ]
    return _number(value)


def _duration_cell(value):
    if isinstance(value, datetime.time):
        rest = value.microsecond / 10**6
        return value.hour * 3600 + value.minute * 60 + value.second + rest
    if isinstance(value, pd.Timedelta):
        value = value.to_timedelta64()
    if isinstance(value, (datetime.timedelta, np.timedelta64)):
        return _of_ticks(
            np.array([value], "m8" if isinstance(value, np.timedelta64) else "m8[us]")
        )[0]
    return _number(value)


def _number(value):
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.inf  # what is neither


def _texts(texts, pattern, parse):
    """Seconds of texts: `parse` takes those of the pattern; others are gaps or seconds."""
    texts = [text.strip() for text in texts]
    good = np.array([pattern.fullmatch(text) is not None for text in texts], bool)
    found = np.array([np.nan if text.lower() in GAPS else _number(text) for text in texts])
    if good.any():
        found[good] = parse([text for text, ok in zip(texts, good, strict=True) if ok])
    return found


def _date_texts(texts):
    return _texts(texts, ISO_DATE, _parsed_dates)


def _parsed_dates(texts):
    parsed = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")
    seconds = _of_ticks(parsed.tz_localize(None).to_numpy())
    for place in np.flatnonzero(np.isnan(seconds)):  # 9999-12-31, or the 30th of February
        seconds[place] = _far_date(texts[place])
    return seconds


def _far_date(text):
    """A date that nanoseconds do not reach; infinite if the calendar does not have it."""
    try:
        return _date_cell(datetime.datetime.fromisoformat(text.replace(",", ".")))
    except ValueError:
        return np.inf


def _duration_texts(texts):
    return _texts(texts, DURATION, _parsed_durations)


def _parsed_durations(texts):
    texts = [f"{text}:00" if re.fullmatch(r"-?\d+:\d\d", text) else text for text in texts]
    seconds = _of_ticks(pd.to_timedelta(texts, errors="coerce").to_numpy())
    return np.where(np.isnan(seconds), np.inf, seconds)


def iso_text(seconds, gap) -> np.ndarray:
    """Seconds since 1970-01-01 as text: a date, with the time of day if it is not midnight."""
    gaps = np.isnan(seconds)
    whole = np.clip(np.round(np.where(gaps, 0, seconds)), LEAST, MOST).astype(np.int64)
    texts = np.datetime_as_string(whole.view("M8[s]")).astype(object)
    texts = np.array(
        [t[:10] if t.endswith("T00:00:00") else t.replace("T", " ") for t in texts], object
    )
    return np.where(gaps, gap, texts)
