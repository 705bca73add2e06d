"""Columns as files and frames of others have them: marks of gaps, units, dates, containers."""

import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from alad_tf import ALADDetector
from alad_tf.data.user_files import read_all
from alad_tf.detector.defaults import rules_for
from alad_tf.detector.validation import check_records
from alad_tf.preprocess.base import MISSING
from alad_tf.preprocess.kinds import decide
from alad_tf.preprocess.mixed import MixedPreprocessor

NUMBERS = np.arange(30.0)


def decided(values, chosen=None):
    return decide(pd.Series(list(values), dtype=object), "c", chosen)


@pytest.mark.parametrize("mark", ["NA", "None", "N/A", "null", "nan", ""])
def test_marks_of_gaps_are_gaps_in_frames_as_in_files(mark, tmp_path):
    """Also in a request to an export, which the graph reads."""
    frame = pd.DataFrame({"a": NUMBERS, "c": ["x", "y", mark] * 10})
    frame.to_csv(tmp_path / "t.csv", index=False)
    _, rows = read_all(tmp_path / "t.csv")
    layer = MixedPreprocessor().fit(frame)
    assert layer.vocabularies["c"] == [MISSING, "x", "y"]
    expected = layer.transform(frame)
    np.testing.assert_array_equal(layer.transform(rows), expected)
    np.testing.assert_array_equal(MixedPreprocessor().fit(rows).transform(frame), expected)
    asked = layer({"numbers": NUMBERS[:, None], "categories": frame[["c"]].to_numpy(str)})
    np.testing.assert_array_equal(asked, expected)


def test_a_known_category_is_no_gap():
    """Detectors of earlier versions may have "NA" among their categories."""
    state = MixedPreprocessor().fit({"c": ["x", "y"] * 9}).state()
    state["vocabularies"]["c"] = ["NA", "x"]
    layer = MixedPreprocessor.from_state(state)
    assert layer.transform({"c": ["NA", "x"]}).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    "make",
    [
        lambda days: pd.Series(days, dtype=pd.ArrowDtype(pa.date32())),
        lambda days: pd.Series(days, dtype=pd.ArrowDtype(pa.date64())),
        lambda days: pd.Series(pd.to_datetime(days), dtype=pd.ArrowDtype(pa.timestamp("ms"))),
        lambda days: [None if day is None else f"{day}T00" for day in days],
    ],
)
def test_days_with_gaps(make):
    days = [None if day is pd.NaT else day.date() for day in pd.to_datetime(["2024-01-31", None])]
    layer = MixedPreprocessor().fit({"c": make(days)})
    assert layer.raw_columns({"c": make(days)})["c"].tolist() == ["2024-01-31", MISSING]


@pytest.mark.parametrize(
    ("texts", "seconds"),
    [(["9:05:00", "10:00:01"], [32700, 36001]), (["100:00:00", "99:59:59.5"], [360000, 359999.5])],
)
def test_clocks_of_any_hour(texts, seconds):
    layer = MixedPreprocessor().fit({"c": texts})
    assert layer.kinds["c"].kind == "duration"
    assert layer.raw_columns({"c": texts})["c"].tolist() == seconds


@pytest.mark.parametrize(
    "cells",
    [
        ["(1,200.50)", "3.5"],
        ["\N{MINUS SIGN}12", "12"],
        ["12.50-", "1"],
        ["($3)", "4"],
        ["₹5", "6"],
    ],
)
def test_numbers_to_people_alone_are_refused_with_the_remedy(cells):
    with pytest.raises(ValueError, match=r"look like numbers.*remove thousands separators"):
        decided(cells * 15)


def test_the_cell_that_is_no_number_is_named():
    with pytest.raises(ValueError, match="row 4 is '-'"):
        decided([f"-{i}.5" for i in range(4)] + ["-"] + [f"{i}.5" for i in range(40)])


@pytest.mark.parametrize(
    ("form", "what"),
    [
        ("%b %d, %Y", "dates that are not"),
        ("%d-%b-%y", "dates that are not"),
        ("%A, %d %B %Y", "dates that are not"),
        ("%Y%m%dT%H%M", "dates that are not"),
        ("%j kg", "numbers with a unit (kg)"),
        ("USD %j", "numbers with a unit (USD)"),
        ("ID%j", "identifiers"),
        ("%jA", "identifiers"),
    ],
)
def test_why_text_is_left_out(form, what):
    texts = pd.date_range("2024-01-01", periods=30).strftime(form).tolist()
    with pytest.warns(UserWarning, match="left out") as seen:
        layer = MixedPreprocessor().fit({"a": NUMBERS, "c": texts})
    assert layer.kinds["c"].reason.startswith(what)
    assert ("pandas.to_datetime" in str(seen[0].message)) == (what != "identifiers")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1700000000000"] * 3, "unit='ms'"),
        ([Decimal(1700000000000)] * 3, "unit='ms'"),
        ([1700000000000000, None], "unit='us'"),
        (np.array([17e17, 17e17]), "unit='ns'"),
        ([20240131, 20240201], "look like days, written as 20240131"),
        (["20240131", None], "look like days"),
        ([1999, 2024], "look like years"),
    ],
)
def test_numbers_that_are_no_seconds_are_no_dates(values, message):
    with pytest.raises(ValueError, match=message):
        decided(values, "date")
    assert decided([1.7e9, None], "date").kind == "date"


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([True, "False"], "number"),
        (["", ""], "number"),  # as where all are None
        ([uuid.UUID(int=1), uuid.UUID(int=2)], "category"),
    ],
)
def test_kinds_of_objects_are_those_of_their_text(values, kind):
    assert decided(values).kind == decided(map(str, values)).kind == kind
    MixedPreprocessor().fit({"a": [1, 2], "c": values})


def test_complex_objects_are_named_as_complex():
    with pytest.raises(ValueError, match="column 'c' has complex numbers"):
        decided([1j, 2j])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ("orders.csv", "received 'orders.csv'; expected rows. Read the file first"),
        (None, "received None; expected rows"),
        (pl.LazyFrame({"a": [1.0]}), "received a LazyFrame; expected rows. Pass x.collect"),
        (pd.DataFrame([[1.0, 2.0]] * 2, columns=["a", "a"]), "two columns named 'a'"),
        ([[1j, 2.0]], "Complex data not supported: received an array of complex128"),
    ],
)
def test_what_is_no_table_is_explained_in_a_line(x, message):
    with pytest.raises(ValueError, match=message) as error:
        check_records(ALADDetector(), x, True)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("texts", [["1_000", "2_000"], ["٣", "٤"], ["１", "２"]])
def test_text_of_arrays_is_read_as_that_of_frames(texts):
    array = np.array([[1.0, text] for text in texts], object)
    found = check_records(ALADDetector(), array, True)
    assert decide(found[:, 1], "c").kind == decided(texts).kind == "category"


def test_integers_of_128_bits():
    values = [2**70, 2**70 + 2**60, None]
    frame = pl.DataFrame({"c": pl.Series(values, dtype=pl.Int128)})
    found = MixedPreprocessor().fit(frame).raw_columns(frame)["c"]
    np.testing.assert_array_equal(found, [2.0**70, 2.0**70 + 2.0**60, np.nan])


def test_sizes_may_be_numpys():
    sizes = np.int64(8), np.int64(2), np.int64(4), np.int64(1)
    rules = rules_for((3,), 9, *sizes)
    units = [layer.units for layer in rules.networks["E"]]
    assert {type(size) for size in (*units, rules.latent_dim, rules.batch_size)} == {int}
