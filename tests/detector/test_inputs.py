"""Datasets, sparse matrices and single records: the same rows, the same scores."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy import sparse

import zoo
from alad_tf import ALADDetector
from alad_tf.detector.inputs import as_rows


@pytest.fixture(scope="module")
def table():
    generator = np.random.default_rng(0)
    size, kind = generator.normal(size=60), generator.choice(["a", "b"], 60)
    return pd.DataFrame({"size": size, "kind": kind})


@pytest.fixture(scope="module")
def fitted(table):
    dataset = tf.data.Dataset.from_tensor_slices(dict(table)).batch(32)
    detector = ALADDetector(steps=1, n_members=1, batch_size=16)
    return detector.fit(dataset, callbacks=[keras.callbacks.TerminateOnNaN()])


def test_losses_are_kept_and_callbacks_checked(table, fitted):
    history = fitted.history_
    assert history["step"] == [1] and {"loss", "D_xz", "G", "E"} <= set(history)
    with pytest.raises(ValueError, match="expected instances of keras.callbacks.Callback"):
        ALADDetector().fit(table, callbacks=["csv"])


def test_a_dataset_of_columns_is_a_table(table, fitted):
    assert list(fitted.feature_names_in_) == ["size", "kind"]
    expected = fitted.score_samples(table)
    unbatched = tf.data.Dataset.from_tensor_slices(dict(table))
    np.testing.assert_array_equal(fitted.score_samples(unbatched), expected)


@pytest.mark.parametrize("one", [dict, pd.Series], ids=["dict", "Series"])
def test_a_record_is_a_row(table, fitted, one):
    expected = fitted.scores(table.iloc[[3]], as_frame=True)
    for taken in (one(table.iloc[3].to_dict()), [table.iloc[3].to_dict()]):
        found = fitted.scores(taken, as_frame=True)
        np.testing.assert_array_equal(found, expected)
        alone = fitted.detector_.anomaly_score(taken)  # may come from another program: last bits
        np.testing.assert_allclose(alone, expected["combined"], rtol=1e-5)
    with pytest.raises(ValueError, match="- kind"):
        fitted.predict(one({"size": 1.0, "sort": "a"}))


def test_a_column_is_no_record(table, fitted):
    with pytest.raises(ValueError, match="expected a table. For one record"):
        fitted.predict(table["size"])


def test_a_zoo_detector_takes_a_record(breast_cancer):
    detector = zoo.load("breast_cancer_alad")
    record = pd.Series(np.asarray(breast_cancer.x)[0], index=detector.preprocessor.names)
    expected = detector.anomaly_score(np.asarray(breast_cancer.x)[:1])
    np.testing.assert_array_equal(detector.anomaly_score(record), expected)


@pytest.mark.parametrize("shape", [(3,), (8, 8, 3)])
def test_rows_and_batches_of_a_dataset_are_arrays(shape):
    x = np.arange(10 * np.prod(shape)).reshape(10, *shape) % 256
    dataset = tf.data.Dataset.from_tensor_slices(x)
    for one in (dataset, dataset.batch(4)):
        np.testing.assert_array_equal(as_rows(one), x)


@pytest.mark.parametrize(
    ("dataset", "told"),
    [
        (lambda d: d.repeat(), "an infinite Dataset; expected a finite one"),
        (lambda d: d.take(0), "an empty Dataset"),
        (lambda d: d.map(lambda x: (x, 0)), "Drop the labels"),
    ],
)
def test_datasets_that_are_no_rows_are_explained(dataset, told):
    with pytest.raises(ValueError, match=told):
        as_rows(dataset(tf.data.Dataset.from_tensor_slices(np.eye(3))))


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.coo_array])
def test_sparse_rows_are_densified(kind):
    x = np.random.default_rng(0).normal(size=(40, 3)) * (np.arange(3) > 0)
    np.testing.assert_array_equal(as_rows(kind(x)), x)


def test_sparse_rows_that_do_not_fit_are_refused_with_their_size(monkeypatch):
    x = sparse.csr_matrix((2**20, 2**11))
    monkeypatch.setattr("alad_tf.detector.inputs.available_memory", lambda: 2**34)
    with pytest.raises(ValueError, match="needs 16.0 GiB as an array; 16.0 GiB are available"):
        ALADDetector().fit(x)
