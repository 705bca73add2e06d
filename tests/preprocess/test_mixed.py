"""MixedPreprocessor: columns of all kinds, gaps, unknown values, and what it refuses."""

import decimal
import json
import tracemalloc
import warnings

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from alad_tf.preprocess import MixedPreprocessor, preprocessor_from_state
from alad_tf.preprocess.base import FAR
from alad_tf.preprocess.mixed import MOST_CATEGORIES


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "size": [1.0, np.nan, 3.0, 8.0],
            "colour": ["red", "blue", None, "red"],
            "count": pd.array([1, 2, 3, None], dtype="Int64"),
            "on": [True, False, True, True],
            "grade": pd.Categorical(["a", "b", "a", "a"]),
            "always": [5, 5, 5, 5],
            "never": [None, None, None, None],
        }
    )


def test_every_kind_of_column_by_hand(table):
    layer = MixedPreprocessor("standard").fit(table)
    assert layer.feature_names == [
        "size",
        "count",
        "on",
        "always",
        "never",
        "size (missing)",
        "count (missing)",
        "never (missing)",
        "colour=(missing)",
        "colour=blue",
        "colour=red",
        "grade=a",
        "grade=b",
    ]
    size = np.array([1.0, 3.0, 3.0, 8.0])  # the median of 1, 3 and 8 in the gap
    count, on = np.array([1.0, 2.0, 3.0, 2.0]), np.array([1.0, 0.0, 1.0, 1.0])
    scaled = [(c - c.mean()) / c.std() for c in (size, count, on)]
    marks = [[0, 1, 0, 0], [0, 0, 0, 1], [1, 1, 1, 1]]
    colours = [[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 1]]
    grades = [[1, 0, 1, 1], [0, 1, 0, 0]]
    expected = np.stack([*scaled, np.zeros(4), np.zeros(4), *marks, *colours, *grades], 1)
    np.testing.assert_allclose(layer.transform(table), expected, atol=1e-6)
    assert layer.groups["size"] == [0, 5] and layer.groups["colour"] == [8, 9, 10]
    assert list(layer.groups) == list(table.columns)
    assert sorted(sum(layer.groups.values(), [])) == list(range(layer.output_dim))


def test_frames_dicts_and_arrays_give_the_same(table):
    layer = MixedPreprocessor().fit(table)
    expected = layer.transform(table)
    np.testing.assert_array_equal(layer.transform(dict(table.items())), expected)
    np.testing.assert_array_equal(layer.transform(table[reversed(table.columns)]), expected)
    numbers = table[["size", "on"]].to_numpy(float)
    by_position = MixedPreprocessor().fit(numbers)
    assert by_position.names == ["x0", "x1"]
    np.testing.assert_array_equal(
        by_position.transform(numbers),
        MixedPreprocessor().fit(table[["size", "on"]]).transform(table),
    )


def test_state_config_and_graph_keep_the_outputs(table):
    layer = MixedPreprocessor("minmax").fit(table)
    expected = layer.transform(table)
    state = json.loads(json.dumps(layer.state()))
    np.testing.assert_array_equal(preprocessor_from_state(state).transform(table), expected)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    np.testing.assert_array_equal(again.transform(table), expected)
    compiled = tf.function(layer, reduce_retracing=True)
    clean = layer.check(table)
    np.testing.assert_allclose(
        compiled({name: tf.constant(values) for name, values in clean.items()}), expected, rtol=1e-6
    )


def test_a_row_does_not_depend_on_its_company(table):
    layer = MixedPreprocessor().fit(table)
    whole = layer.transform(table)
    for row in range(len(table)):
        np.testing.assert_array_equal(layer.transform(table.iloc[[row]]), whole[row : row + 1])


def test_unknown_values_and_new_gaps(table):
    layer = MixedPreprocessor().fit(table)
    other = table.copy()
    other.loc[0, ["colour", "size"]] = ["green", np.nan]
    other["always"] = np.nan  # had no gaps in the training rows
    encoded = dict(zip(layer.feature_names, layer.transform(other).T, strict=True))
    assert (
        encoded["colour=red"][0] == encoded["colour=blue"][0] == encoded["colour=(missing)"][0] == 0
    )
    assert encoded["size (missing)"].tolist() == [1, 1, 0, 0]
    assert (encoded["always"] == np.float32(FAR)).all()


def test_only_the_most_frequent_categories_are_encoded():
    values = [f"often{i}" for i in range(MOST_CATEGORIES)] * 2 + ["once"]
    layer = MixedPreprocessor().fit(pd.DataFrame({"name": values}))
    assert layer.output_dim == MOST_CATEGORIES and "name=once" not in layer.feature_names
    assert not layer.transform(pd.DataFrame({"name": ["once"]})).any()


def test_text_that_holds_numbers_and_gaps_is_numeric():
    layer = MixedPreprocessor().fit({"n": np.array([1, None, 2.5], object)})
    assert layer.numeric == ["n"] and layer.fill == [1.75]


def test_ten_thousand_columns():
    x = np.random.default_rng(0).standard_normal((3, 10_000))
    x[0, ::7] = np.nan
    encoded = MixedPreprocessor().fit(x).transform(x)
    assert encoded.shape == (3, 10_000 + 1429) and np.isfinite(encoded).all()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros(3), r"expected a table of shape \(N, d\). For one row, pass x\[None, :\]"),
        (np.zeros((0, 3)), "at least one column and one row"),
        (np.zeros((3, 0)), "at least one column and one row"),
        ([[1.0, np.inf]], "column 'x1' has 1 of 1 values that are infinite"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns named 'a'"),
        ({"a": [1, 2], "b": [1]}, "differ in length: 'b' has 1 rows, 'a' has 2"),
        (np.array([[1j]]), "complex"),
        (pd.DataFrame({"a": [[1], [2]]}), "column 'a' has 2 of 2 values that are not categories"),
    ],
)
def test_what_is_no_table_is_refused(x, message):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is cast silently on the way to the error
        with pytest.raises(ValueError, match=message):
            MixedPreprocessor().fit(x)


def test_rows_that_do_not_fit_the_training_rows_are_refused(table):
    layer = MixedPreprocessor().fit(table)
    with pytest.raises(ValueError, match="1 of 7 columns are missing: 'size'; received 'colour'"):
        layer.transform(table.drop(columns="size"))
    with pytest.raises(ValueError, match="expected the 7 that the training rows had"):
        layer.transform(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="'size' is numeric, but row 0 is 'a'"):
        layer.transform(table.assign(size=["a", "b", "c", "d"]))
    with pytest.raises(RuntimeError, match="not fitted"):
        MixedPreprocessor().transform(table)
    with pytest.raises(RuntimeError, match="Make a new one"):
        layer.fit(table)


@pytest.mark.parametrize("length", [1000, 20_000])
@pytest.mark.parametrize("gaps", [False, True])
def test_one_long_text_takes_memory_for_itself_alone(length, gaps):
    """NumPy's fixed-width text would give each of the 4,000 cells that length."""
    cells = [None if gaps and k % 7 == 0 else "abc"[k % 3] for k in range(2000)]
    table = pd.DataFrame({"a": cells, "b": cells})
    table.loc[8, "a"] = "x" * length
    tracemalloc.start()
    layer = MixedPreprocessor().fit(table)
    clean = layer.check(table)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**21 + 50 * length
    assert clean["categories"][8].tolist() == ["x" * length, "c"]
    assert layer.transform(table)[8].sum() == 2


def test_decimals_are_numbers():
    amounts = [decimal.Decimal("1.50"), decimal.Decimal("-2"), None]
    for values in (amounts, np.array(amounts, object), pd.Series(amounts)):
        layer = MixedPreprocessor("none").fit(pd.DataFrame({"amount": values}))
        assert layer.numeric == ["amount"]
        assert layer.transform(pd.DataFrame({"amount": values}))[:2, 0].tolist() == [1.5, -2]


WHOLE = pd.DataFrame(
    {"n": [1.0, 2.0, 4.0, 5.0], "on": [True, False, True, True], "kind": list("abab")}
)


@pytest.mark.parametrize("column", ["n", "on", "kind"])
@pytest.mark.parametrize("gap", [None, np.nan, pd.NA])
def test_a_gap_in_a_column_that_had_none_is_far_off_or_refused(column, gap):
    gappy = WHOLE.astype(object)
    gappy.loc[2, column] = gap
    encoded = MixedPreprocessor().fit(WHOLE).transform(gappy)
    far = (encoded == np.float32(FAR)).any(1)
    assert far.tolist() == [False, False, True, False] and np.isfinite(encoded).all()
    strict = MixedPreprocessor(missing="refuse").fit(WHOLE)
    assert preprocessor_from_state(strict.state()).missing == "refuse"
    with pytest.raises(
        ValueError, match=f"column '{column}' has 1 missing value.s., the first in row 2"
    ):
        strict.transform(gappy)
    np.testing.assert_array_equal(
        strict.transform(WHOLE),
        MixedPreprocessor().fit(WHOLE)(MixedPreprocessor().fit(WHOLE).check(WHOLE)),
    )


@pytest.mark.parametrize("new", ["NL", "", None, "de", 7])
def test_a_category_never_seen_is_far_off(new):
    """Also where it is a gap; in all three containers, and as TensorFlow Lite computes it."""
    table = pd.DataFrame({"country": ["DE", "FR"] * 20, "size": np.arange(40.0)})
    layer = MixedPreprocessor().fit(table)
    assert layer.closed == ["country"]
    usual, odd = ({"country": ["FR", value], "size": [1.0, 1.0]} for value in ("DE", new))
    assert np.abs(layer.transform(usual)).max() < 3
    for records in (odd, pd.DataFrame(odd), pd.DataFrame(odd).to_dict("records")):
        assert (layer.transform(records)[:, 1:] >= FAR).any(1).tolist() == [False, True]
    inputs = layer.check(odd)
    assert (layer.in_single_precision(inputs).numpy()[:, 1:] >= FAR).any(1).tolist() == [
        False,
        True,
    ]
    again = MixedPreprocessor.from_state(json.loads(json.dumps(layer.state())))
    np.testing.assert_array_equal(again.transform(odd), layer.transform(odd))
    before = {key: value for key, value in layer.state().items() if key != "closed"}
    assert MixedPreprocessor.from_state(before).closed == []  # as earlier versions saved it


@pytest.mark.parametrize(
    ("values", "closed"),
    [
        (["a", "b"] * 200, True),
        ([*["a", "b"] * 200, "once", "and", "again"], False),  # 3 in 403 rows had a new one
        ([*["a", "b"] * 200, "once"], True),
        ([f"user {i}" for i in range(65)] * 4, False),
        ([f"user {i}" for i in range(64)] * 4, True),
    ],
)
def test_new_categories_are_news_where_few_are_expected(values, closed):
    table = {"kind": values, "size": np.arange(float(len(values)))}
    layer = MixedPreprocessor().fit(table)
    assert (layer.closed == ["kind"]) == closed
    far = layer.transform({"kind": ["never seen"], "size": [1.0]})
    assert (np.abs(far).max() >= FAR) == closed


def test_categories_of_held_out_rows_are_known():
    rows = {"kind": ["a", "b"] * 20}
    layer = MixedPreprocessor().fit(rows, gaps_from={"kind": ["a", "b", "c", "c"] * 20})
    assert layer.transform({"kind": ["c"]}).tolist() == [[0, 0, 1]]


@pytest.mark.parametrize("column", ["n", "on", "kind"])
def test_gaps_that_were_seen_when_fitting_are_no_news(column):
    gappy = WHOLE.astype(object)
    gappy.loc[3, column] = None
    for layer in (
        MixedPreprocessor(missing="refuse").fit(gappy),
        MixedPreprocessor(missing="refuse").fit(WHOLE, gaps_from=gappy),  # among the held-out rows
    ):
        encoded = layer.transform(gappy)
        assert np.abs(encoded).max() < 10
        marks = [i for i, name in enumerate(layer.feature_names) if "(missing)" in name]
        assert encoded[:, marks].tolist() == [[0], [0], [0], [1]]


def test_a_rare_gap_is_known_among_many_categories():
    values = [f"often{i}" for i in range(MOST_CATEGORIES)] * 2 + [None]
    layer = MixedPreprocessor().fit(pd.DataFrame({"name": values}))
    assert layer.output_dim == MOST_CATEGORIES and "name=(missing)" in layer.feature_names
    asked = pd.DataFrame({"name": [None, "often0"]})
    assert layer.transform(asked).sum(1).tolist() == [1, 1]


def test_an_unknown_rule_for_gaps_is_refused():
    with pytest.raises(ValueError, match="received missing='drop'; expected one of"):
        MixedPreprocessor(missing="drop")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (
            [f"o-{i}" for i in range(40)],
            "identifiers: 40 of 40 rows have a value that no other row has",
        ),
        ([f"the box {i} came late" for i in range(30)], "free text: 30 of 30 rows"),
        ([*[f"o-{i}" for i in range(21)], *["same"] * 19], "identifiers: 21 of 40"),
        ([f"{i}.1.2024" for i in range(30)], "dates that are not written as 2024-01-31: 30 of"),
        ([*[f"o-{i}" for i in range(20)], *["same"] * 20], None),  # half of them
        ([f"o-{i}" for i in range(19)], None),  # too few to tell
        ([f"o-{i}" for i in range(400)] * 2, None),
    ],
)
def test_text_that_tells_rows_apart_is_left_out(values, reason):
    table = pd.DataFrame({"t": values, "x": np.arange(float(len(values)))})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        layer = MixedPreprocessor().fit(table)
    assert (layer.ignored == ["t"]) == (reason is not None) == (len(caught) == 1)
    if reason is None:
        return
    assert reason in str(caught[0].message) and reason in layer.column_table()["reason"][0]
    assert layer.feature_names == ["x"] and list(layer.groups) == ["x"]
    encoded = layer.transform(table)
    for rows in (table, table[["x"]], table[["x"]].to_numpy(), table.to_numpy(object)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            np.testing.assert_array_equal(layer.transform(rows), encoded)


def test_new_categories_are_rare_in_all_closed_columns_together():
    """Each of the columns may have one in 251 rows; two of them, more than one in 200."""
    once = {f"c{i}": [*["a", "b"] * 125, f"once {i}"] for i in range(3)}
    never = {"never": ["a", "b", *["a"] * 249]}
    layer = MixedPreprocessor().fit({**once, "never": ["a", "b", "b", *["a"] * 248]})
    assert layer.closed == ["c0", "never"]
    assert MixedPreprocessor().fit(never).closed == ["never"]
    one_gap = {"kind": [*["a", "b"] * 20, None]}
    assert MixedPreprocessor().fit(one_gap).closed == ["kind"]  # a gap is no new category
