import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from alad_tf.data import load, read_kdd99
from alad_tf.data.kddcup99_10percent import kddcup99_10percent_dataset_builder as kdd
from alad_tf.data.raw import ARRHYTHMIA_URL, KDD99_COLUMNS, KDD99_SYMBOLIC, KDD99_URL
from alad_tf.data.uci_arrhythmia import uci_arrhythmia_dataset_builder as uci


def prepare(builder, manual_dir):
    config = tfds.download.DownloadConfig(manual_dir=manual_dir)
    builder.download_and_prepare(download_config=config)
    return builder


@pytest.fixture
def small_kdd(tmp_path):
    """A folder with 300 synthetic rows, each of which tells its own row number."""
    rng = np.random.default_rng(0)
    with gzip.open(tmp_path / "kddcup.data_10_percent.gz", "wt") as file:
        for i in range(300):
            row = {name: f"{rng.integers(100) / 100}" for name in KDD99_COLUMNS}
            row |= {name: str(rng.integers(2)) for name in KDD99_SYMBOLIC}
            row |= {"duration": str(i), "service": f"s{i}"}
            file.write(",".join([*row.values(), rng.choice(["normal.", "smurf."])]) + "\n")
    return tmp_path


def test_kdd_builder_keeps_rows_values_and_order(small_kdd, tmp_path, monkeypatch):
    monkeypatch.setattr(kdd.Builder, "EXPECTED_ROWS", 300)
    builder = prepare(kdd.Builder(data_dir=tmp_path / "tfds"), small_kdd)
    columns, labels = read_kdd99(small_kdd / "kddcup.data_10_percent.gz", expected_rows=300)
    examples = list(tfds.as_numpy(builder.as_dataset(split="train", shuffle_files=False)))
    assert [e["duration"] for e in examples] == list(range(300))
    assert [e["label"].decode() for e in examples] == labels.tolist()
    records = load("kdd99", tmp_path / "tfds")
    assert list(records.x) == list(KDD99_COLUMNS)
    for name, column in columns.items():
        assert records.x[name].dtype.kind == column.dtype.kind
        np.testing.assert_array_equal(records.x[name], column)
        received = [e[name].decode() if column.dtype.kind == "U" else e[name] for e in examples]
        assert received == column.tolist()
    np.testing.assert_array_equal(records.is_anomaly, labels == "normal.")


def test_kdd_builder_refuses_a_file_of_the_wrong_length(small_kdd, tmp_path):
    with pytest.raises(ValueError, match="has 300 rows, expected 494,021"):
        prepare(kdd.Builder(data_dir=tmp_path / "tfds"), small_kdd)


def test_arrhythmia_builder_equals_the_file(data_dir, tmp_path, arrhythmia):
    builder = prepare(uci.Builder(data_dir=tmp_path), data_dir)
    assert builder.info.splits["train"].num_examples == 452
    table = next(iter(tfds.as_numpy(builder.as_dataset(split="train", batch_size=452))))
    assert table["features"].dtype == np.float32 and table["label"].dtype == np.int64
    np.testing.assert_array_equal(table["features"], arrhythmia.x)
    np.testing.assert_array_equal(
        load("arrhythmia", tmp_path).is_anomaly,
        np.isin(table["label"], (3, 4, 5, 7, 8, 9, 14, 15)),
    )


@pytest.mark.parametrize(
    ("module", "name", "url"),
    [(kdd, "kddcup99_10percent", KDD99_URL), (uci, "uci_arrhythmia", ARRHYTHMIA_URL)],
)
def test_builders_describe_themselves(module, name, url, tmp_path):
    builder = module.Builder(data_dir=tmp_path)
    assert builder.name == name and builder.info.disable_shuffling
    assert "in the order of the file" in " ".join(builder.info.description.split())
    assert builder.info.citation.startswith("@misc")
    assert url in builder.url_infos  # size and sha256 of the download are registered


def test_registered_checksum_is_that_of_the_official_file(data_dir, tmp_path):
    info = uci.Builder(data_dir=tmp_path).url_infos[ARRHYTHMIA_URL]
    content = (data_dir / "arrhythmia.data").read_bytes()
    assert (info.size, info.checksum) == (len(content), hashlib.sha256(content).hexdigest())


def test_kdd_checksum_is_the_one_that_scikit_learn_verifies(tmp_path):
    from sklearn.datasets import _kddcup99

    info = kdd.Builder(data_dir=tmp_path).url_infos[KDD99_URL]
    assert info.checksum == _kddcup99.ARCHIVE_10_PERCENT.checksum
    assert _kddcup99.ARCHIVE_10_PERCENT.url == KDD99_URL


def test_a_download_is_used_when_the_manual_folder_has_no_file(data_dir, tmp_path, monkeypatch):
    def download(self, url):
        assert url == ARRHYTHMIA_URL
        return Path(data_dir / "arrhythmia.data")

    monkeypatch.setattr(tfds.download.DownloadManager, "download", download)
    monkeypatch.setattr("alad_tf.data.raw.require_reachable", lambda *_: None)
    builder = prepare(uci.Builder(data_dir=tmp_path), tmp_path / "manual")
    assert builder.info.splits["train"].num_examples == 452
