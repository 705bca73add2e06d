"""The same records in any container are the same sample; columns are matched by name."""

import warnings

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest
from scipy.sparse import csr_matrix

from alad_tf.preprocess import MixedPreprocessor, VectorPreprocessor
from alad_tf.preprocess.containers import read_table

ROWS = [("a", 1.0, True), ("b", None, False), ("a", 3.5, True), (None, -2.0, True)]
FRAME = pd.DataFrame(ROWS, columns=["kind", "size", "on"])
#          size  on  size missing  kind: missing, a, b
EXPECTED = [
    [1.0, 1, 0, 0, 1, 0],
    [1.0, 0, 1, 0, 0, 1],  # the median of 1, 3.5 and -2
    [3.5, 1, 0, 0, 1, 0],
    [-2.0, 1, 0, 1, 0, 0],
]


def fitted(x=FRAME):
    return MixedPreprocessor("none").fit(x)


def encoded(x, layer=None):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return (layer or fitted()).transform(x)


NAMED = {
    "frame": FRAME,
    "columns in another order": FRAME[["on", "kind", "size"]],
    "rows under another index": FRAME.set_index(np.array([7, 7, 1, 0])),
    "object columns": FRAME.astype(object),
    "nullable types": FRAME.convert_dtypes(),
    "types of Arrow": FRAME.convert_dtypes(dtype_backend="pyarrow"),
    "a pandas category": FRAME.astype({"kind": "category"}),
    "dict of lists": FRAME.to_dict("list"),
    "dict of Series": dict(FRAME),
    "dict of arrays (N, 1)": {k: v.to_numpy()[:, None] for k, v in FRAME.items()},
    "list of dicts": FRAME.to_dict("records"),
    "Polars": polars.DataFrame(ROWS, schema=["kind", "size", "on"], orient="row"),
    "Arrow": pyarrow.Table.from_pandas(FRAME),
    "structured array": FRAME.fillna({"kind": ""}).to_records(index=False),
}


@pytest.mark.parametrize("what", NAMED)
def test_named_columns_in_any_container(what):
    np.testing.assert_array_equal(encoded(NAMED[what]), EXPECTED)
    layer = fitted(NAMED[what])
    order = [layer.feature_names.index(name) for name in fitted().feature_names]
    np.testing.assert_array_equal(encoded(FRAME, layer)[:, order], EXPECTED)


def test_one_record_is_one_row():
    for row, expected in zip(FRAME.to_dict("records"), EXPECTED, strict=True):
        np.testing.assert_array_equal(encoded(row), [expected])
    one = FRAME.iloc[2]
    for record in (one, one.to_frame().T):
        np.testing.assert_array_equal(encoded(record), [EXPECTED[2]])
    with pytest.raises(ValueError, match=r"For one record, pass x.to_frame\(\).T"):
        encoded(FRAME.iloc[:, 0])  # a column


@pytest.mark.parametrize(
    "rows",
    [
        [list(row) for row in ROWS],
        ROWS,
        np.array(ROWS, object),
        FRAME.convert_dtypes().to_numpy(),  # pandas.NA for gaps
        pd.DataFrame(ROWS),  # columns 0, 1, 2
        np.ma.masked_array(
            np.array([("a", 1.0, 1), ("b", 9.0, 0), ("a", 3.5, 1), ("z", -2.0, 1)], object),
            mask=[[0, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]],
        ),
    ],
    ids=["lists", "tuples", "objects", "NA", "numbered frame", "masked"],
)
def test_what_has_no_names_is_taken_by_position(rows):
    text = "X does not have valid feature names, but MixedPreprocessor was fitted with"
    with pytest.warns(UserWarning, match=text) as caught:
        np.testing.assert_array_equal(fitted().transform(rows), EXPECTED)
    assert len(caught) == 1
    np.testing.assert_array_equal(encoded(rows, fitted(rows)), EXPECTED)


def test_named_columns_where_none_were_learnt():
    x = np.array([[1.0, 20.0, 300.0], [2.0, 30.0, 500.0]])
    for layer in (fitted(x), VectorPreprocessor("none").fit(x)):
        text = f"X has feature names, but {type(layer).__name__} was fitted without"
        with pytest.warns(UserWarning, match=text) as caught:
            np.testing.assert_array_equal(layer.transform(pd.DataFrame(x, columns=list("abc"))), x)
        assert len(caught) == 1
        numbered = pd.DataFrame(x)
        np.testing.assert_array_equal(encoded(numbered, layer), x)
        np.testing.assert_array_equal(encoded(numbered[[2, 0, 1]], layer), x)
    numbered = fitted(pd.DataFrame(x))
    np.testing.assert_array_equal(encoded(x, numbered), x)
    np.testing.assert_array_equal(encoded(pd.DataFrame(x)[[1, 0, 2]], numbered), x)


def test_other_columns_are_ignored_with_one_warning():
    more = FRAME.assign(id=range(4), note="new")
    for x in (more, more.to_dict("list"), polars.from_pandas(more)):
        with pytest.warns(UserWarning, match="ignored 2 columns .*: 'id', 'note'") as caught:
            np.testing.assert_array_equal(fitted().transform(x), EXPECTED)
        assert len(caught) == 1


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (FRAME.drop(columns="size"), "1 of 3 columns are missing: 'size'; received 'kind', 'on'"),
        (FRAME.rename(columns=str.upper), "3 of 3 columns are missing: 'kind', 'size', 'on'"),
        ({"kind": ["a"], "size": [1]}, "1 of 3 columns are missing: 'on'"),
        (FRAME.set_index("size"), r"'size'; .* 'size' is in the index; call reset_index\(\)"),
        (np.zeros((2, 5)), "with 5 columns; expected the 3 that .*: 'kind', 'size', 'on'"),
        ([{"kind": "a", "size": 1}, {"kind": "a"}], "row 1 differs from row 0 in the names 'size'"),
        (pd.concat([FRAME, FRAME["on"]], axis=1), "two columns named 'on'"),
        (pd.DataFrame([[1, 2]], columns=[1, "1"]), "two columns named '1'"),
        ({"a": pd.Series([1, 2]), "b": pd.Series([1, 2], [1, 2])}, "indexes of different labels"),
        ({"a": np.zeros((2, 2))}, r"column 'a' has shape \(2, 2\); expected \(N,\)"),
        ({"a": (v for v in [1])}, "column 'a' is generator; pass it as a list"),
        ((row for row in ROWS), "received generator; expected a table. Pass its rows: list"),
        (polars.from_pandas(FRAME).lazy(), r"LazyFrame; .* Pass x.collect\(\)"),
        ([[1, 2], [1]], "rows of different lengths"),
        (csr_matrix(np.eye(3)), r"sparse .*Convert it with x.toarray\(\)"),
        (np.array(1.0), r"shape \(\); expected a table"),
        (np.zeros(3), r"pass x\[None, :\]"),
        (np.zeros((2, 3, 4)), r"shape \(2, 3, 4\); expected a table"),
        (FRAME.iloc[:0], "received 0 rows and 3 columns"),
        (FRAME[[]], "received 0 rows and 0 columns"),
        ([], "received list; expected a table"),
    ],
)
def test_what_does_not_fit_is_named(x, message):
    with pytest.raises(ValueError, match=message):
        fitted().transform(x)


def test_series_under_permuted_indexes_are_aligned():
    table = read_table({"a": pd.Series([1, 2], [0, 1]), "b": pd.Series([20, 10], [1, 0])})
    assert [list(column) for column in table.columns] == [[1, 2], [10, 20]]


def test_a_vectors_names_are_learnt_and_kept():
    frame = pd.DataFrame({"cm": [1.0, 2.0, 4.0], "kg": [30.0, 10.0, 20.0]})
    layer = VectorPreprocessor("none").fit(frame)
    again = VectorPreprocessor.from_state(layer.state())
    for one in (layer, again):
        assert one.feature_names == ["cm", "kg"] and list(one.raw_columns(frame)) == ["cm", "kg"]
        np.testing.assert_array_equal(encoded(frame[["kg", "cm"]], one), frame)
        np.testing.assert_array_equal(encoded(dict(frame), one), frame)
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            np.testing.assert_array_equal(one.transform(frame.to_numpy()), frame)
        with pytest.warns(UserWarning, match="'a', 'b', but .* 'cm', 'kg': .* matched by position"):
            np.testing.assert_array_equal(one.transform(frame.set_axis(["a", "b"], axis=1)), frame)
        with pytest.raises(ValueError, match="1 of 2 columns are missing: 'kg'"):
            one.transform(frame.rename(columns={"kg": "lb"}))
        assert list(one.signature()) == ["x"]  # records are still arrays to an export
    unnamed = VectorPreprocessor("none").fit(frame.to_numpy())
    assert "names" not in unnamed.state() and unnamed.feature_names == ["x0", "x1"]
    masked = np.ma.masked_array([[1.0, 2.0]], mask=[[False, True]])
    with pytest.raises(ValueError, match="1 of 2 values that are NaN"):
        unnamed.transform(masked)
