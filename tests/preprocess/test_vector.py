import json

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from alad_tf.preprocess import VectorPreprocessor
from alad_tf.preprocess.base import FAR


@pytest.fixture
def x():
    """Columns of very different scales, one constant, one at a large offset."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 5)) * [1, 1e6, 1e-6, 0, 3] + [0, 5, 0, 0.1, 100]
    return x.astype(np.float32)


@pytest.mark.parametrize(
    ("scaling", "peer"), [("standard", StandardScaler), ("minmax", MinMaxScaler)]
)
def test_scaling_equals_scikit_learns(x, scaling, peer):
    train, test = x[:200], x[200:]
    received = VectorPreprocessor(scaling).fit(train).transform(test)
    expected = peer().fit(train.astype(np.float64)).transform(test.astype(np.float64))
    expected[:, 3] = 0  # the constant column
    assert received.dtype == np.float32 and received.shape == test.shape
    # the column at offset 100 with spread 3 loses two digits to the subtraction in float32
    np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-5)


def test_real_data_equals_scikit_learns(arrhythmia):
    train, test = arrhythmia.x[:200], arrhythmia.x[200:]
    received = VectorPreprocessor("standard").fit(train).transform(test)
    constant = train.min(axis=0) == train.max(axis=0)
    assert constant.any()  # the case is there
    expected = StandardScaler().fit(train.astype(np.float64)).transform(test.astype(np.float64))
    np.testing.assert_allclose(received[:, ~constant], expected[:, ~constant], rtol=1e-4, atol=1e-5)
    assert (received[:, constant] == 0).all()


def test_none_leaves_the_rows_alone(x):
    np.testing.assert_array_equal(VectorPreprocessor("none").fit(x).transform(x), x)


@pytest.mark.parametrize("scaling", ["standard", "minmax"])
@pytest.mark.parametrize("constant", [0.1, 1e-42, -7.0, 3e38])
def test_constant_columns_are_zero_whatever_comes(scaling, constant):
    train = np.column_stack([np.full(7, constant), np.arange(7)])
    layer = VectorPreprocessor(scaling).fit(train)
    out = layer.transform([[123.0, 3.0], [constant, 3.0]])
    np.testing.assert_array_equal(out[:, 0], [0, 0])
    assert (out[:, 1] == out[0, 1]).all() and np.isfinite(out).all()


def test_tiny_spread_does_not_overflow():
    layer = VectorPreprocessor("minmax").fit(np.array([[0], [1e-42]], np.float32))
    np.testing.assert_array_equal(layer.transform([[0.0], [1.0]]), [[0], [0]])


def test_values_beyond_the_training_range_are_not_clipped():
    assert VectorPreprocessor("minmax").fit([[0.0], [2.0]]).transform([[10.0]])[0, 0] == 5


@pytest.mark.parametrize("batch_size", [1, 7, 300, 1000])
def test_batch_size_has_no_influence(x, batch_size):
    layer = VectorPreprocessor().fit(x)
    np.testing.assert_array_equal(layer.transform(x, batch_size=batch_size), layer.transform(x))


def test_state_survives_json_exactly(x):
    layer = VectorPreprocessor("standard").fit(x)
    again = VectorPreprocessor.from_state(json.loads(json.dumps(layer.state())))
    np.testing.assert_array_equal(again.shift.numpy(), layer.shift.numpy())
    np.testing.assert_array_equal(again.scale.numpy(), layer.scale.numpy())
    np.testing.assert_array_equal(again.transform(x), layer.transform(x))
    assert again.scaling == "standard" and again.output_dim == 5
    assert again.state() == layer.state()


def test_keras_file_holds_the_fitted_layer(x, tmp_path):
    inputs = keras.Input((5,))
    layer = VectorPreprocessor("minmax").fit(x)
    keras.Model(inputs, layer(inputs)).save(tmp_path / "m.keras")
    model = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(model(x), layer.transform(x))


def test_config_round_trip_before_and_after_fit(x):
    layer = VectorPreprocessor("minmax", name="scaler")
    assert not VectorPreprocessor.from_config(layer.get_config()).fitted
    layer.fit(x)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert isinstance(again, VectorPreprocessor) and again.name == "scaler" and again.fitted
    np.testing.assert_array_equal(again.transform(x), layer.transform(x))


def test_nothing_is_trainable_and_output_is_float32_under_mixed_precision(x):
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        layer = VectorPreprocessor().fit(x)
        assert layer(tf.constant(x)).dtype == tf.float32
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert layer.trainable_weights == [] and len(layer.weights) == 2


def test_saved_model_scores_batches_of_any_size(x, tmp_path):
    layer = VectorPreprocessor().fit(x)
    archive = keras.export.ExportArchive()
    archive.track(layer)
    archive.add_endpoint("serve", layer.call, [tf.TensorSpec((None, 5), tf.float32)])
    archive.write_out(tmp_path / "m", verbose=False)
    served = tf.saved_model.load(tmp_path / "m")
    for n in (1, 300):
        np.testing.assert_array_equal(served.serve(tf.constant(x[:n])), layer.transform(x[:n]))


def test_refit_replaces_the_numbers_but_not_the_width(x):
    layer = VectorPreprocessor("minmax").fit(x)
    layer.transform(x)  # built: Keras locks the layer's variables
    np.testing.assert_array_equal(
        layer.fit(x[:50]).transform(x), VectorPreprocessor("minmax").fit(x[:50]).transform(x)
    )
    with pytest.raises(ValueError, match=r"received 3 columns .* expected 5"):
        layer.fit(x[:, :3])


def test_dataframes_and_integers_are_accepted(x):
    layer = VectorPreprocessor().fit(pd.DataFrame(x))
    np.testing.assert_array_equal(layer.transform(pd.DataFrame(x)), layer.transform(x))
    assert VectorPreprocessor("none").fit([[1, 2]]).transform([[True, 7]]).tolist() == [[1, 7]]
    assert layer.feature_names == ["x0", "x1", "x2", "x3", "x4"]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros(3), r"ndarray of shape \(3,\); expected .*\(N, d\).*x\[None, :\]"),
        (np.zeros((2, 3, 1)), r"shape \(2, 3, 1\)"),
        (np.zeros((0, 3)), r"empty table of shape \(0, 3\)"),
        (np.zeros((2, 4)), r"received 4 columns \(shape \(2, 4\)\); expected 3"),
        ([[1, 2, 3], [1, 2]], "rows of different lengths"),
        ([[1, 2, 3], [1, np.nan, np.inf]], "2 of 6 values .* first: row 1 column 1 is nan"),
        ([["1", "2", "x"]], "dtype object, expected numbers; row 0 column 0 is '1'"),
        (np.array([[1, None, 2]], object), "row 0 column 1 is None"),
        (np.zeros((1, 3), complex), "dtype complex128, expected numbers"),
        (pd.DataFrame({"a": [1.0], "b": ["u"], "c": [2]}), "column 'b' has dtype .* row 0 is 'u'"),
        (pd.DataFrame({"a": [1.0], "b": [np.nan], "c": [2]}), "column 'b' has 1 of 1 values"),
    ],
)
def test_what_cannot_be_scaled_is_refused(bad, message):
    layer = VectorPreprocessor().fit(np.arange(6).reshape(2, 3))
    with pytest.raises(ValueError, match=message):
        layer.check(bad)
    with pytest.raises(ValueError, match=message):
        layer.transform(bad)


def test_sparse_matrices_are_told_how_to_become_dense():
    from scipy.sparse import csr_matrix

    with pytest.raises(ValueError, match=r"csr_matrix of shape \(2, 2\).*x.toarray\(\)"):
        VectorPreprocessor().check(csr_matrix(np.eye(2)))


def test_misuse_is_refused(x):
    with pytest.raises(ValueError, match="received scaling='robust'; expected one of"):
        VectorPreprocessor("robust")
    layer = VectorPreprocessor()
    for use in (
        lambda: layer.transform(x),
        layer.state,
        lambda: layer(x),
        lambda: layer.output_dim,
    ):
        with pytest.raises(RuntimeError, match="VectorPreprocessor is not fitted. Call fit"):
            use()
    with pytest.raises(ValueError, match="batch_size=0"):
        layer.fit(x).transform(x, batch_size=0)
    with pytest.raises(ValueError, match=r"shift of shape \(2,\) and scale of shape \(3,\)"):
        VectorPreprocessor("none", shift=[0, 0], scale=[1, 1, 1])


LARGE = {
    "pressure, Pa": (101_325, 5),
    "cents": (-1.2e8, 100),
    "epoch seconds of an hour": (1.7e9, 1000),
    "nanoseconds": (1.7e18, 1e6),
}


@pytest.mark.parametrize(("base", "spread"), LARGE.values(), ids=LARGE)
@pytest.mark.parametrize("scaling", ["standard", "minmax"])
def test_large_numbers_that_vary_little_keep_their_meaning(base, spread, scaling):
    column = base + spread * np.random.default_rng(0).normal(size=(1000, 1))
    fitted = VectorPreprocessor(scaling).fit(column)
    peer = (StandardScaler() if scaling == "standard" else MinMaxScaler()).fit(column - base)
    again = VectorPreprocessor.from_state(json.loads(json.dumps(fitted.state())))
    for layer in (fitted, again):
        received = layer.transform(np.append(column, [[base + 20 * spread]], 0))
        expected = peer.transform(np.append(column - base, [[20 * spread]], 0))
        np.testing.assert_allclose(received, expected, atol=1e-3)
        np.testing.assert_allclose(layer.decode(received)["x0"][:1000], column[:, 0], rtol=1e-9)
        assert layer.signature()["x"].dtype == tf.float64
    single = layer.in_single_precision(tf.constant(column, tf.float32))
    exact = layer.transform(column.astype(np.float32))  # float32 has lost digits, and no more
    np.testing.assert_allclose(single, exact, rtol=1e-5, atol=1e-5)


def test_ordinary_numbers_stay_float32_in_exports(x):
    assert VectorPreprocessor().fit(x).signature()["x"].dtype == tf.float32


def test_columns_that_float32_would_lose_are_named():
    column = np.random.default_rng(0).normal(size=300)
    layer = VectorPreprocessor().fit(np.column_stack([column, 1e5 + column, 1e9 + column]))
    assert layer.lost_in_float32() == ["x2"]


@pytest.mark.parametrize("scaling", ["standard", "minmax", "none"])
@pytest.mark.parametrize("value", [1e20, 3e38, -1e39, 1.7e308, -1.7e308])
def test_finite_numbers_however_far_stay_finite(scaling, value):
    layer = VectorPreprocessor(scaling).fit([[0.0, 7.0], [2.0, 7.0]])
    received = layer.transform([[value, 7.0], [1.0, value]])
    assert np.isfinite(received).all() and received[0, 0] == np.sign(value) * np.float32(FAR)
    with np.errstate(over="ignore"):
        single = np.clip(np.float32([[value, 7.0]]), -3e38, 3e38)
    np.testing.assert_array_equal(layer.in_single_precision(tf.constant(single))[0], received[0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_graph_keeps_what_is_not_finite(value):
    layer = VectorPreprocessor().fit([[0.0], [2.0]])
    assert not np.isfinite(layer(tf.constant([[value]], tf.float64))).any()
    assert not np.isfinite(layer.in_single_precision(tf.constant([[value]], tf.float32))).any()


def test_differences_by_rounding_alone_are_none():
    column = np.array([0.3, 0.1 + 0.2, 0.3, 0.3])[:, np.newaxis]
    assert len(set(column[:, 0])) == 2
    assert not VectorPreprocessor().fit(column).transform(column).any()


def test_an_earlier_state_in_float32_gives_what_it_gave(x):
    layer = VectorPreprocessor().fit(x)
    state = layer.state()
    for name in ("shift", "scale"):
        state[name] = np.float32(state[name]).tolist()
    again = VectorPreprocessor.from_state(state)
    shift, scale = np.float32(state["shift"]), np.float32(state["scale"])
    np.testing.assert_allclose(again.transform(x), (x - shift) * scale, rtol=1e-5, atol=1e-5)
