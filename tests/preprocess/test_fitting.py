import json

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from alad_tf.data import split
from alad_tf.preprocess import (
    TablePreprocessor,
    VectorPreprocessor,
    for_dataset,
    preprocessor_from_state,
)


@pytest.fixture(scope="module")
def kdd99_fitted(kdd99):
    train = split("kdd99", kdd99.is_anomaly).train
    return for_dataset("kdd99", kdd99, train, "minmax"), train


def test_kdd99_has_the_papers_121_features(kdd99_fitted):
    layer, _ = kdd99_fitted
    assert layer.output_dim == len(layer.feature_names) == 121  # Table I
    assert {name: len(known) for name, known in layer.vocabularies.items()} == {
        "protocol_type": 3, "service": 66, "flag": 11, "land": 2, "logged_in": 2,
        "is_host_login": 1, "is_guest_login": 2,
    }  # fmt: skip
    assert {"service=http", "duration", "num_outbound_cmds"} <= set(layer.feature_names)
    assert len(layer.continuous) == 34


def test_kdd99_equals_get_dummies_and_min_max_of_the_training_rows(kdd99, kdd99_fitted):
    layer, train = kdd99_fitted
    some = np.arange(0, len(kdd99), 97)  # 5,094 rows, all through the file
    received = layer.transform(kdd99.take(some).x)
    columns = []
    for name in layer.categorical:
        known = sorted(set(kdd99.x[name].tolist()))
        values = pd.Categorical(kdd99.x[name][some], categories=known)
        columns.append(pd.get_dummies(values).to_numpy(float))
    for name in layer.continuous:
        column = kdd99.x[name].astype(np.float64)[:, None]
        scaler = MinMaxScaler().fit(column[train])
        if scaler.data_range_[0] == 0:
            columns.append(np.zeros((len(some), 1)))
        else:
            columns.append(scaler.transform(column[some]))
    np.testing.assert_allclose(received, np.hstack(columns), rtol=1e-5, atol=1e-6)


def test_kdd99_scaling_does_not_see_the_test_rows(kdd99, kdd99_fitted):
    layer, train = kdd99_fitted
    i = layer.continuous.index("duration")
    assert layer.shift.numpy()[i] == kdd99.x["duration"][train].min()
    assert layer.scale.numpy()[i] == pytest.approx(1 / np.ptp(kdd99.x["duration"][train]))
    assert np.ptp(kdd99.x["duration"][train]) < np.ptp(kdd99.x["duration"])  # it could have


def test_kdd99_is_not_scaled_by_default(kdd99):
    layer = for_dataset("kdd99", kdd99, split("kdd99", kdd99.is_anomaly).train)
    numbers = layer.transform(kdd99.take(np.arange(5)).x)[:, -len(layer.continuous) :]
    expected = np.stack([kdd99.x[name][:5] for name in layer.continuous], 1)
    np.testing.assert_array_equal(numbers, expected.astype("float32"))


@pytest.mark.parametrize("dataset", ["arrhythmia", "breast_cancer"])
def test_vector_sets_are_standardised_on_the_training_rows(dataset, request):
    records = request.getfixturevalue(dataset)
    train = split(dataset, records.is_anomaly).train
    layer = for_dataset(dataset, records, train)
    assert isinstance(layer, VectorPreprocessor)
    x = records.x.astype(np.float64)
    expected = StandardScaler().fit(x[train]).transform(x)
    expected[:, np.ptp(x[train], axis=0) == 0] = 0
    np.testing.assert_allclose(layer.transform(records.x), expected, rtol=1e-4, atol=1e-4)


def test_state_dispatches_to_its_kind(breast_cancer):
    vector = VectorPreprocessor().fit(breast_cancer.x)
    table = TablePreprocessor(["a"], ["b"]).fit({"a": ["p", "q"], "b": [1, 2]})
    for layer in (vector, table):
        again = preprocessor_from_state(json.loads(json.dumps(layer.state())))
        assert type(again) is type(layer) and again.state() == layer.state()
    with pytest.raises(ValueError, match="unknown preprocessor kind 'tabel'; closest: 'table'"):
        preprocessor_from_state({"kind": "tabel"})
    with pytest.raises(ValueError, match="kind 'table'; VectorPreprocessor expects 'vector'"):
        VectorPreprocessor.from_state(table.state())


def test_unknown_dataset(breast_cancer):
    with pytest.raises(ValueError, match="unknown dataset 'arythmia'; closest: 'arrhythmia'"):
        for_dataset("arythmia", breast_cancer, np.arange(3))
