import sys

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from alad_tf.data import DATASETS, load


@pytest.fixture(autouse=True)
def no_folders(monkeypatch, tmp_path):
    """Neither the caller's folders nor the home directory take part in these tests."""
    monkeypatch.delenv("ALAD_DATA_DIR", raising=False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))


def test_breast_cancer_marks_the_malignant_rows():
    records = load("breast_cancer", data_dir="/nowhere")  # bundled: the folder plays no part
    bunch = load_breast_cancer()
    assert records.x.dtype == np.float32 and records.x.shape == (569, 30)
    np.testing.assert_array_equal(records.x, bunch.data.astype(np.float32))
    np.testing.assert_array_equal(
        records.is_anomaly, bunch.target_names[bunch.target] == "malignant"
    )
    assert records.is_anomaly.sum() == 212


def test_unknown_dataset_offers_the_closest():
    with pytest.raises(ValueError, match="unknown dataset 'kdd-99'; closest: 'kdd99'; known: "):
        load("kdd-99")
    assert DATASETS == ("arrhythmia", "breast_cancer", "kdd99", "cifar10", "digits", "svhn_cropped")


@pytest.mark.parametrize(
    ("dataset", "file", "prepared"),
    [
        ("kdd99", "kddcup.data_10_percent.gz", "kddcup99_10percent"),
        ("arrhythmia", "arrhythmia.data", "uci_arrhythmia"),
    ],
)
def test_a_named_folder_without_the_data_is_an_error(
    tmp_path, monkeypatch, dataset, file, prepared
):
    (tmp_path / "empty").mkdir()
    (tmp_path / "unfinished" / prepared).mkdir(parents=True)
    for folder in ("empty", "unfinished"):
        with pytest.raises(FileNotFoundError, match="omit data_dir to download") as error:
            load(dataset, tmp_path / folder)
        for part in (
            str(tmp_path / folder),
            "contains neither",
            file,
            prepared,
            "Put the file there",
        ):
            assert part in str(error.value)
    with pytest.raises(
        FileNotFoundError, match=f"does not exist; it should contain the file {file}"
    ):
        load(dataset, tmp_path / "absent")
    monkeypatch.setenv("ALAD_DATA_DIR", str(tmp_path / "empty"))
    with pytest.raises(FileNotFoundError, match="or unset ALAD_DATA_DIR to download"):
        load(dataset)


def test_explicit_folder_comes_before_the_environment(data_dir, tmp_path, monkeypatch, arrhythmia):
    monkeypatch.setenv("ALAD_DATA_DIR", str(tmp_path))
    np.testing.assert_array_equal(load("arrhythmia", data_dir).x, arrhythmia.x)
    monkeypatch.setenv("ALAD_DATA_DIR", str(data_dir))
    np.testing.assert_array_equal(load("arrhythmia").x, arrhythmia.x)


def test_manual_folder_serves_when_nothing_is_named(data_dir, tmp_path, arrhythmia):
    manual = tmp_path / "tfds" / "downloads" / "manual"
    manual.mkdir(parents=True)
    (manual / "arrhythmia.data").write_bytes((data_dir / "arrhythmia.data").read_bytes())
    first = load("arrhythmia")
    (manual / "arrhythmia.data").unlink()  # now only the prepared set is left
    for records in (first, load("arrhythmia"), load("arrhythmia", tmp_path / "tfds")):
        assert records.name == "arrhythmia" and records.x.dtype == np.float32
        np.testing.assert_array_equal(records.x, arrhythmia.x)
        np.testing.assert_array_equal(records.is_anomaly, arrhythmia.is_anomaly)


@pytest.mark.parametrize("dataset", ["kdd99", "arrhythmia"])
def test_failed_download_says_where_to_put_the_file(dataset, monkeypatch, tmp_path):
    import tensorflow_datasets as tfds

    def offline(self, url):
        raise OSError("network is unreachable")

    monkeypatch.setattr(tfds.download.DownloadManager, "download", offline)
    monkeypatch.setattr("alad_tf.data.raw.require_reachable", lambda *_: None)
    with pytest.raises(ConnectionError, match="OSError: network is unreachable") as error:
        load(dataset)
    manual = str(tmp_path / "tfds" / "downloads" / "manual")
    assert f"yourself into {manual}" in str(error.value)
    assert {"kdd99": "kddcup.data_10_percent.gz", "arrhythmia": "arrhythmia.data"}[dataset] in str(
        error.value
    )


def test_damaged_manual_file_is_reported_as_such(tmp_path):
    manual = tmp_path / "tfds" / "downloads" / "manual"
    manual.mkdir(parents=True)
    (manual / "arrhythmia.data").write_text("1,2,3\n")
    with pytest.raises(ValueError, match="row 0 has 3 comma-separated fields, expected 280"):
        load("arrhythmia")
    assert not list((tmp_path / "tfds").glob("uci_arrhythmia/1.0.0"))


def test_missing_tensorflow_datasets_says_how_to_install_it(monkeypatch):
    for name in [m for m in sys.modules if m.startswith("alad_tf.data.uci_arrhythmia")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ImportError, match="pip install tensorflow-datasets .* as data_dir"):
        load("arrhythmia")
