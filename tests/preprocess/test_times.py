"""Dates and durations of any type are the same float64 seconds."""

import datetime as dt

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest

from alad_tf.preprocess.times import as_seconds, date_seconds, duration_seconds, iso_text, type_of

BASE = pd.Series(
    pd.to_datetime(
        ["2024-01-01 10:00:00.123456", None, "1969-12-31 23:59:59.9", "9999-12-31"],
        format="ISO8601",
    ).as_unit("us")
)
SECONDS = [1704103200.123456, np.nan, -0.1, 253402214400.0]
UTC = BASE.dt.tz_localize("UTC")


def text(*cells):
    return np.array(cells, object)


@pytest.mark.parametrize(
    "column",
    [
        BASE,
        BASE.to_numpy(),
        BASE.to_numpy().astype("M8[us]")[::1],
        UTC,
        UTC.iloc[:3].dt.tz_convert("Europe/Berlin"),
        BASE.astype(pd.ArrowDtype(pyarrow.timestamp("us"))),
        UTC.iloc[:3].astype(pd.ArrowDtype(pyarrow.timestamp("ns", "Asia/Tokyo"))),
        pd.Series(pd.Categorical(BASE)),
        polars.Series([None if pd.isna(x) else x.to_pydatetime() for x in BASE]).to_pandas(),
        text(*[None if pd.isna(x) else x.to_pydatetime() for x in BASE]),
        text(*[x.to_datetime64() for x in BASE]),
        text("2024-01-01 10:00:00.123456", None, "1969-12-31T23:59:59.900", "9999-12-31"),
        text("2024-01-01 11:00:00.123456+01:00", "", "1969-12-31T23:59:59.9Z", "9999-12-31"),
        text("2024-01-01T10:00:00,123456+0000", np.nan, "1970-01-01T01:59:59.9+02"),
        np.array(SECONDS),
        text("1704103200.123456", None, -0.1, "253402214400"),
    ],
)
def test_dates(column):
    found = date_seconds(column, "c")
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, SECONDS[: len(column)], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(found[:2], date_seconds(BASE, "c")[:2])  # to the bit


@pytest.mark.parametrize(
    ("column", "day"),
    [
        (pd.Series(pd.period_range("2024-03", periods=1, freq="M")), "2024-03-01"),
        (text(pd.Period("2024Q2")), "2024-04-01"),
        (text(dt.date(2024, 2, 29)), "2024-02-29"),
        (pd.Series([dt.date(2024, 2, 29)], dtype="date32[pyarrow]"), "2024-02-29"),
        (np.array(["2024-05"], "M8[M]"), "2024-05-01"),
        (text("2024-05"), "2024-05-01"),
        (pd.Series(["2024-05-07"]), "2024-05-07"),
        (text("0001-01-01"), "0001-01-01"),
        (text("NaT"), ""),
        (pd.Series(["nan"]), ""),
    ],
)
def test_days_and_months(column, day):
    assert iso_text(date_seconds(column, "c"), "").tolist() == [day]


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(pd.to_timedelta([1.5, -3600], "s")),
        np.array([1500, -3600000], "m8[ms]"),
        text("0 days 00:00:01.5", "-1 days +23:00:00"),
        text("PT1.5S", "-PT1H"),
        text(dt.timedelta(seconds=1.5), dt.timedelta(hours=-1)),
        pd.Series(pd.to_timedelta([1.5, -3600], "s"), dtype=pd.ArrowDtype(pyarrow.duration("ms"))),
        text(1.5, "-3600"),
    ],
)
def test_durations(column):
    np.testing.assert_array_equal(duration_seconds(column, "c"), [1.5, -3600])


def test_times_of_day_count_from_midnight():
    column = text(dt.time(10, 30, 0, 500000), "10:30", None)
    np.testing.assert_array_equal(duration_seconds(column, "c"), [37800.5, 37800, np.nan])
    arrow = pd.Series([dt.time(1)], dtype=pd.ArrowDtype(pyarrow.time64("us")))
    assert duration_seconds(arrow, "c").tolist() == [3600] and type_of(arrow.dtype) == "duration"


@pytest.mark.parametrize("bad", ["2024-02-30", "31.12.2024", "soon", [1]])
def test_what_is_no_date_is_named(bad):
    cells = np.empty(2, object)
    cells[:] = ["2024-01-31", bad]
    if isinstance(bad, str):
        with pytest.raises(ValueError, match="column 'c' has dates, but row 1 is .*2024-01-31"):
            date_seconds(cells, "c")
        kept = as_seconds(cells, "c", "date")
        assert kept.tolist() == [1706659200.0, bad]
    else:
        with pytest.raises((ValueError, TypeError)):
            date_seconds(cells, "c")


def test_seconds_as_text():
    shown = iso_text(np.array([0, 86399.6, np.nan, 1e30, -1e30]), "none")
    assert shown.tolist() == [
        "1970-01-01",
        "1970-01-02",
        "none",
        "9999-12-31 23:59:59",
        "0001-01-01",
    ]
