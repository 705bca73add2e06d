"""What a column is, is decided by the training rows, and later cells are read as that."""

import datetime
import decimal
import enum
import fractions
import warnings

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest

from alad_tf.preprocess import MixedPreprocessor, preprocessor_from_state
from alad_tf.preprocess.columns import learn_columns

DAY = datetime.date(2024, 1, 31)
Colour = enum.Enum("Colour", "RED BLUE")


def fitted(column):
    return MixedPreprocessor("none").fit(pd.DataFrame({"c": column}))


def encoded(layer, column):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return layer.transform(pd.DataFrame({"c": column})).tolist()


@pytest.mark.parametrize(
    ("column", "known"),
    [
        (pd.Categorical([101, 205, 101]), ["101", "205"]),
        (pd.Categorical([1.5, 2.0, 1.5]), ["1.5", "2"]),
        (pd.Categorical([True, False, True]), ["0", "1"]),
        (pd.Categorical(["a", "b", None], categories=["b", "a", "never"]), ["(missing)", "a", "b"]),
        (pd.Categorical([2**53, 2**53 + 1, 2**53]), ["9007199254740992", "9007199254740993"]),
        (pd.cut([0.0, 1.0, 2.0], [-1, 0, 2]), ["(-1, 0]", "(0, 2]"]),
        (pd.qcut([0.0, 1.0, 2.0], 2), ["(-0.001, 1.0]", "(1.0, 2.0]"]),
        (pd.interval_range(0, 3), ["(0, 1]", "(1, 2]", "(2, 3]"]),
        ([b"x", b"y", "x"], ["x", "y"]),
        (pd.Series(["x", None, np.nan, pd.NA, pd.NaT, ""], dtype=object), ["(missing)", "x"]),
        (pd.Series([1, "x", "y", True], dtype=object), ["1", "x", "y"]),
        (["01", "02", "A1"], ["01", "02", "A1"]),
        (polars.Series(["x", "y"], dtype=polars.Categorical).to_pandas(), ["x", "y"]),
    ],
)
def test_categories(column, known):
    layer = fitted(column)
    assert layer.vocabularies == {"c": known}
    rows = encoded(layer, column)
    assert [sum(row) for row in rows] == [1] * len(rows)
    assert encoded(layer, column[:1]) == rows[:1]  # a row by itself


@pytest.mark.parametrize(
    "column",
    [
        [decimal.Decimal("1.5"), decimal.Decimal("-2"), None],
        [fractions.Fraction(3, 2), -2, None],
        pd.array([decimal.Decimal("1.5"), decimal.Decimal("-2"), None],
                 dtype=pd.ArrowDtype(pyarrow.decimal128(6, 2))),
        pd.Series([1.5, np.int8(-2), pd.NA], dtype=object),
        pd.Series([1.5, -2, ""], dtype=object),
        pd.array([1.5, -2, None], dtype="Float32"),
        pd.arrays.SparseArray([1.5, -2, np.nan]),
    ],
)  # fmt: skip
def test_numbers(column):
    layer = fitted(column)
    assert layer.numeric == ["c"]
    assert encoded(layer, column) == [[1.5, 0], [-2, 0], [-0.25, 1]]


@pytest.mark.parametrize(
    ("column", "asked", "same"),
    [
        ([1.5, 2.0, 7.0], ["1.5", " 2 ", "7e0"], True),
        ([1.5, 2.0, 7.0], pd.Categorical([1.5, 2.0, 7.0]), True),
        ([1.5, 2.0, 7.0], [decimal.Decimal("1.5"), "2.0", 7], True),
        ([True, False, True], ["True", "false", "TRUE"], True),
        ([True, False, True], [1, 0, 1.0], True),
        (["True", "False", "True"], [True, False, True], True),
        (["01", "02", "01"], [1, 2, 1.0], True),
        (["1.0", "2.0", "1.0"], [1, 2, 1], True),
        (["1", "2", "1"], [1.0, 2.0, 1.0], True),
        (pd.Categorical([1, 2, 1]), ["1", "2", "1"], True),
        (pd.Categorical([True, False, True]), ["True", "False", "True"], True),
        (pd.Categorical(["a", "b", "a"]), np.array([b"a", b"b", b"a"]), True),
        (pd.Categorical(["1", "2", "1"]), ["01", "02", "01"], False),  # other codes
        (["01", "1", "001"], [2, 2, 2], False),
        (["01", "001", "x"], [1, 1, 1], False),  # which of them is meant, nobody knows
    ],
)
def test_the_same_value_is_the_same_sample_however_it_is_written(column, asked, same):
    layer = fitted(column)
    expected = encoded(layer, column)
    assert (encoded(layer, asked) == expected) is same
    if not same:
        assert not np.any(encoded(layer, asked))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["x", None, DAY], "column 'c' has dates, but row 0 is 'x'.*'category'"),
        (["2024-01-31", "2024-02-30"] * 3, "has dates, but row 1 is '2024-02-30'"),
        (["2024-01-31"] * 19 + ["soon"] + [f"2024-03-{d}" for d in range(10, 20)],
         "has dates, but row 19 is 'soon'"),
        ([10**400] * 3, "3 of 3 values that are infinite"),
        (["1 days", "2 days"] * 9 + [datetime.timedelta(3), "x"], "has durations, but row 19"),
        (["1,234", "2,345", "9,876"], "3 of 3 values look like numbers, but '1,234' in row 0"),
        ([1j, 2j], "column 'c' has complex numbers .* two columns"),
        ([Colour.RED, Colour.BLUE], "values of the type Colour to text or numbers"),
        ([{"a": 1}, "x"], "row 0 is {'a': 1}. Convert values of the type dict"),
        (pd.Series([*np.arange(0.5, 30), "?"], dtype=object),
         "column 'c': 30 of 31 values are numbers, .*; row 30 is '\\?'. Correct it"),
        ([*map(str, np.arange(0.5, 100)), "?"], "100 of 101 values are numbers, .*row 100 is"),
        (["-", *map(str, range(100))], "100 of 101 values are numbers, .*row 0 is '-'"),
        (pd.Series(["n.a.", *range(50)], dtype=object), "50 of 51 values .*; row 0 is 'n.a.'"),
        (pd.Series([1.25, 2.5, "low", 3.5, "high"], dtype=object), "3 of 5 values are numbers"),
    ],
)  # fmt: skip
def test_columns_that_are_neither_are_named_with_the_remedy(column, message):
    with pytest.raises(ValueError, match=message) as caught:
        fitted(column)
    assert "drop these rows" not in str(caught.value)


@pytest.mark.parametrize("bad", ["n.a.", "1,5", "0x10", "1_000", [1], DAY])
def test_a_bad_cell_in_a_column_of_numbers_is_named(bad):
    layer = fitted([1.5, 2.5, 3.5])
    with pytest.raises(ValueError, match="column 'c' is numeric.* row 1 is|'c' has dates .row 1"):
        encoded(layer, pd.Series([1.5, bad, 2.5], dtype=object))
    with pytest.raises(ValueError, match="column 'c' is numeric, but row 0"):
        encoded(layer, ["a", "b", "c"])


def test_gaps_as_text_are_gaps_in_a_column_of_numbers():
    layer = fitted([1.0, None, 3.0])
    assert encoded(layer, ["", "NaN", "null"]) == [[2, 1]] * 3


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (list(map(str, np.arange(0.5, 100))), np.arange(0.5, 100)),
        (["1.5", " -2 ", "7e1", None, ""], [1.5, -2, 70, 1.5, 1.5]),  # the median in the gaps
        (["1,5", "-2", "70,25"], [1.5, -2, 70.25]),
        (["1,234", "2,345", "0,5"], [1.234, 2.345, 0.5]),  # 0,5 is no thousand
        (["True", "false"], [1, 0]),
        ([b"1", b"2"], [1, 2]),
        ([1, "2", 3.5, "NaN"], [1, 2, 3.5, 2]),
    ],
)
def test_numbers_written_as_text_are_numbers(column, expected):
    layer = fitted(column)
    assert layer.numeric == ["c"]
    np.testing.assert_array_equal(np.array(encoded(layer, column))[:, 0], np.float32(expected))
    again = preprocessor_from_state(layer.state())
    assert encoded(again, column) == encoded(layer, column)


@pytest.mark.parametrize(
    "column",
    [
        [f"{i:04}" for i in range(100)] * 2,
        ["A1", "2", "3", "B4"],
        # classes, one of which looks like a number
        ["0%"] * 60 + ["1 - 10%"] * 30 + ["11 - 20%"] * 10,
        ["0%"] * 97 + ["1 - 10%", "11 - 20%", "100%"],
        ["0"] * 95 + ["1-5", "6-10"] * 2,
        ["0.5"] * 60 + ["0.5-1.0"] * 25 + ["1.0-2.0"] * 15,
        ["$10"] * 50 + ["$10 to $50", "over $50"] * 10,
        ["1", "2", "3+"] * 5 + ["none at all", "many"],
        pd.Series([0] * 95 + ["1-5", "6-10"], dtype=object),
        pd.Series([1, 2, "3 or more", "none of these"] * 9, dtype=object),
    ],
)
def test_codes_and_classes_are_categories(column):
    assert list(fitted(column).vocabularies) == ["c"]


@pytest.mark.parametrize(
    "make",
    [
        np.array,
        lambda values: pd.Series([*values, None], dtype="Int64"),
        lambda values: np.array(values.tolist(), object),
        lambda values: pd.Series(values, dtype="int64[pyarrow]"),
        lambda values: values.astype("uint64"),
    ],
)
def test_integers_that_float64_rounds_into_one_are_told(make):
    ids = 2**60 + np.arange(300)
    kept = len(set(ids.astype(float)))
    with pytest.warns(UserWarning, match=f"column 'id' .* 300 distinct values become {kept}"):
        learn_columns({"id": make(ids)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learn_columns({"id": make(2**53 - np.arange(300))})
        learn_columns({"nanoseconds": make(2**60 + 1_000_000 * np.arange(300))})
