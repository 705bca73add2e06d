import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from alad_tf.data import Records, rows, take
from alad_tf.data.records import unknown_name_error


def test_take_keeps_the_given_order_in_arrays_and_columns():
    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    np.testing.assert_array_equal(take(x, np.array([3, 0])), [[6, 7], [0, 1]])
    table = {"a": np.array(["p", "q", "r"]), "b": np.arange(3.0)}
    assert {k: v.tolist() for k, v in take(table, np.array([2, 0])).items()} == {
        "a": ["r", "p"],
        "b": [2.0, 0.0],
    }


def test_records_take_moves_flags_with_their_rows():
    records = Records("toy", {"a": np.arange(4)}, np.array([True, False, False, True]))
    part = records.take(np.array([3, 1]))
    assert (part.name, len(part), len(records)) == ("toy", 2, 4)
    assert part.x["a"].tolist() == [3, 1]
    assert part.is_anomaly.tolist() == [True, False]
    assert records.take(records.is_anomaly).x["a"].tolist() == [0, 3]


def test_records_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Records("toy", np.zeros((1, 1)), np.array([True])).name = "other"


def test_rows_refuses_ragged_and_empty_tables():
    assert rows(np.zeros((3, 2))) == 3
    with pytest.raises(ValueError, match=r"differ in length: \{'a': 2, 'b': 3\}"):
        rows({"a": np.zeros(2), "b": np.zeros(3)})
    with pytest.raises(ValueError, match="without columns"):
        rows({})
    with pytest.raises(ValueError, match="toy: x has 3 rows and is_anomaly has 2"):
        Records("toy", np.zeros((3, 1)), np.zeros(2, bool))


def test_unknown_name_offers_the_closest_or_none():
    known = ["kdd99", "arrhythmia"]
    assert "closest: 'arrhythmia'" in str(unknown_name_error("dataset", "Arrythmia", known))
    message = str(unknown_name_error("dataset", "zzz", known))
    assert "closest" not in message and "known: 'arrhythmia', 'kdd99'" in message


def test_importing_the_data_package_does_not_import_tensorflow_datasets():
    code = (
        "import sys, alad_tf.data.sources, alad_tf.data as d\n"
        "assert 'tensorflow_datasets' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
