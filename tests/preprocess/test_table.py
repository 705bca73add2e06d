import json
import warnings

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from alad_tf.preprocess import TablePreprocessor

TABLE = {
    "service": np.array(["http", "smtp", "http", "é-mail"]),
    "land": np.array([0, 1, 0, 0]),
    "bytes": np.array([0, 50, 100, 25]),
    "rate": np.array([0.5, 0.5, 0.5, 0.5]),
}


def fitted(scaling="minmax", table=TABLE):
    return TablePreprocessor(["service", "land"], ["bytes", "rate"], scaling).fit(table)


def first(n, **changes):
    return {name: column[:n] for name, column in TABLE.items()} | changes


def test_encoding_is_the_one_written_out_by_hand():
    layer = fitted()
    assert layer.feature_names == [
        "service=http", "service=smtp", "service=é-mail", "land=0", "land=1", "bytes", "rate",
    ]  # fmt: skip
    out = layer.transform(TABLE)
    expected = [
        [1, 0, 0, 1, 0, 0.0, 0],
        [0, 1, 0, 0, 1, 0.5, 0],
        [1, 0, 0, 1, 0, 1.0, 0],
        [0, 0, 1, 1, 0, 0.25, 0],
    ]
    assert out.dtype == np.float32 and layer.output_dim == 7
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-7)
    assert layer.vocabularies == {"service": ["http", "smtp", "é-mail"], "land": ["0", "1"]}


def test_parity_with_pandas_get_dummies():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "a": rng.choice(["x", "y", "Z", "10", "9"], 500),
            "b": rng.choice(["p", "q"], 500),
            "u": rng.lognormal(0, 4, 500),
            "v": rng.integers(0, 9, 500),
        }
    )
    layer = TablePreprocessor(["a", "b"], ["u", "v"], "standard").fit(frame)
    dummies = pd.get_dummies(frame[["a", "b"]], prefix_sep="=")
    numbers = frame[["u", "v"]]
    numbers = (numbers - numbers.mean()) / numbers.std(ddof=0)
    expected = pd.concat([dummies, numbers], axis=1)
    assert layer.feature_names == list(expected)
    np.testing.assert_allclose(layer.transform(frame), expected.astype(float), atol=1e-5)


def test_unknown_categories_are_zero_and_warned_about_once():
    table = first(4, service=np.array(["http9", "http", "ftp", "http9"]), land=[2, 0, 0, 0])
    with pytest.warns(UserWarning) as caught:
        out = fitted().transform(table)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert "3 of 4 rows have a value of 'service'" in message and "('ftp', 'http9')" in message
    assert "1 of 4 rows have a value of 'land'" in message and "zeros" in message
    np.testing.assert_array_equal(
        out[:, :5], [[0, 0, 0, 0, 0], [1, 0, 0, 1, 0], [0, 0, 0, 1, 0], [0, 0, 0, 1, 0]]
    )


def test_many_unknown_values_are_abbreviated_and_known_ones_are_silent():
    with pytest.warns(UserWarning, match=r"4 of 4 rows .*\('s0', 's1', 's2', \.\.\.\)"):
        fitted().check(first(4, service=["s0", "s1", "s2", "s3"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted().check(TABLE)


@pytest.mark.parametrize(
    "land",
    [
        ["0", "1", "0", "0"],
        np.array([b"0", b"1", b"0", b"0"]),
        np.array([False, True, False, False]),
        np.array([0.0, 1.0, 0.0, 0.0], np.float32),
        np.array([0, True, "0", 0.0], object),
        tf.constant(["0", "1", "0", "0"]),
        pd.Series(["0", "1", "0", "0"], dtype="category"),
        np.array([[0], [1], [0], [0]]),
    ],
)
def test_one_category_however_it_is_typed(land):
    np.testing.assert_array_equal(
        fitted().transform(first(4, land=land)), fitted().transform(TABLE)
    )


def test_extra_columns_and_column_order_do_not_matter():
    shuffled = dict(reversed(TABLE.items())) | {"comment": np.array([None] * 4)}
    np.testing.assert_array_equal(fitted().transform(shuffled), fitted().transform(TABLE))
    frame = pd.DataFrame(shuffled)
    np.testing.assert_array_equal(fitted(table=frame).transform(frame), fitted().transform(TABLE))


def test_vocabulary_of_the_whole_table_scaling_of_the_training_rows():
    layer = TablePreprocessor(["service"], ["bytes"], "minmax")
    layer.fit(first(2), vocabulary_from=TABLE)
    assert layer.vocabularies["service"] == ["http", "smtp", "é-mail"]
    np.testing.assert_allclose(layer.transform(TABLE)[:, 3], [0, 1, 2, 0.5])  # range 0 to 50
    with pytest.raises(
        ValueError, match="1 training value.s. that vocabulary_from lacks.*'é-mail'"
    ):
        TablePreprocessor(["service"], ["bytes"]).fit(TABLE, vocabulary_from=first(2))


@pytest.mark.parametrize(("categorical", "continuous"), [(["land"], []), ([], ["bytes", "rate"])])
def test_one_kind_of_column_is_enough(categorical, continuous):
    layer = TablePreprocessor(categorical, continuous, "none").fit(TABLE)
    expected = [[1, 0], [0, 1], [1, 0], [1, 0]]
    if continuous:
        expected = np.column_stack([TABLE["bytes"], TABLE["rate"]])
    np.testing.assert_array_equal(layer.transform(TABLE, batch_size=3), expected)
    again = TablePreprocessor.from_state(json.loads(json.dumps(layer.state())))
    np.testing.assert_array_equal(again.transform(TABLE), expected)


def test_state_survives_json_exactly():
    table = first(4, bytes=[1e-3, 1 / 3, 7e8, 2.0])
    layer = fitted("standard", table)
    again = TablePreprocessor.from_state(json.loads(json.dumps(layer.state())))
    np.testing.assert_array_equal(again.transform(table), layer.transform(table))
    assert again.feature_names == layer.feature_names
    assert again.state() == layer.state()


def specs(layer):
    return {
        **{name: tf.TensorSpec((None,), tf.string, name) for name in layer.categorical},
        **{name: tf.TensorSpec((None,), tf.float64, name) for name in layer.continuous},
    }


def test_saved_model_takes_raw_columns(tmp_path):
    layer = fitted()
    archive = keras.export.ExportArchive()
    archive.track(layer)
    archive.add_endpoint("serve", layer.call, [specs(layer)])
    archive.write_out(tmp_path / "m", verbose=False)
    served = tf.saved_model.load(tmp_path / "m")
    for n in (1, 4):
        batch = layer.check(first(n)) | {"service": np.array(["é-mail", "new", "smtp", "http"][:n])}
        batch = tf.nest.map_structure(tf.constant, batch)
        received = served.serve(batch)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            np.testing.assert_array_equal(received, layer.transform(batch))
    assert received[1, :3].numpy().tolist() == [0, 0, 0]  # "new" is unknown there as well


def test_inside_a_tf_function_and_a_keras_model_file(tmp_path):
    layer = fitted()
    batch = tf.nest.map_structure(tf.constant, layer.check(TABLE))
    expected = layer.transform(TABLE)
    traced = tf.function(layer, input_signature=[specs(layer)])
    np.testing.assert_array_equal(traced(batch), expected)
    inputs = {
        name: keras.Input((), dtype=spec.dtype.name, name=name)
        for name, spec in specs(layer).items()
    }
    keras.Model(inputs, layer(inputs)).save(tmp_path / "m.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "m.keras")(batch), expected)


def test_refit_on_the_same_categories_only():
    layer = fitted()
    layer.transform(TABLE)
    assert layer.fit(first(4, bytes=[0, 0, 200, 0])).transform(TABLE)[2, 5] == 0.5
    with pytest.raises(ValueError, match="fitted already, to other categories"):
        layer.fit(first(2))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((2, 4)), r"ndarray of shape \(2, 4\); expected a dict of named columns"),
        ({"bytes": [1]}, "3 of 4 columns are missing: 'service', 'land', 'rate'; received 'bytes'"),
        (first(0), "empty: received 0 rows"),
        (first(4, land=[0, 1]), "'land' has 2 rows, 'service' has 4"),
        (first(4, bytes=np.zeros((4, 2))), r"column 'bytes' has shape \(4, 2\); expected \(N,\)"),
        (first(4, rate=[0, np.inf, 0, np.nan]), "'rate' has 2 of 4 values .* first: row 1 is inf"),
        (first(4, bytes=["1", "2", "3", "4"]), "'bytes' has dtype object, expected numbers; row 0"),
        (first(4, service=["a", None, "b", None]), "'service' has 2 of 4 .* row 1 is None"),
        (first(4, land=[0, 1, 0, np.nan]), "'land' has 1 of 4 values that are not categories"),
        (first(4, land=[0, 1, -np.inf, 0]), "first: row 2 is -inf"),
    ],
)
def test_what_cannot_be_encoded_is_refused(bad, message):
    for use in (fitted().check, fitted().transform, lambda table: fitted(table=table)):
        with pytest.raises(ValueError, match=message):
            use(bad)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"categorical": "service", "continuous": []}, "received categorical='service'"),
        ({"categorical": ["a", "b"], "continuous": ["b"]}, r"the columns \['b'\] twice"),
        ({"categorical": [], "continuous": []}, "no column names"),
        ({"categorical": ["a"], "continuous": [], "scaling": "max"}, "received scaling='max'"),
        ({"categorical": ["a"], "continuous": [], "vocabularies": {"a": ["1"]}}, "only some of"),
        (
            {"categorical": ["a"], "continuous": ["b"], "vocabularies": {"c": ["1"]},
             "shift": [0.0], "scale": [1.0]},
            r"received vocabularies of \['c'\] .* expected those of \['a', 'b'\]",
        ),
    ],
)  # fmt: skip
def test_constructor_refuses_what_does_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        TablePreprocessor(**arguments)


def test_unfitted_use_is_refused():
    layer = TablePreprocessor(["service"], ["bytes"])
    assert not TablePreprocessor.from_config(layer.get_config()).fitted
    for use in (lambda: layer.check(TABLE), layer.state, lambda: layer.feature_names):
        with pytest.raises(RuntimeError, match="TablePreprocessor is not fitted. Call fit"):
            use()
