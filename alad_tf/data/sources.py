"""Where the data sets come from: a folder with the raw file, a prepared TFDS folder, or TFDS."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alad_tf.data import raw
from alad_tf.data.images import IMAGE_DATASETS, load_images
from alad_tf.data.raw import no_tfds_error
from alad_tf.data.records import Records, unknown_name_error

KDD99_ANOMALY = "normal."
ARRHYTHMIA_ANOMALIES = (3, 4, 5, 7, 8, 9, 14, 15)
DATASETS = ("arrhythmia", "breast_cancer", "kdd99", *IMAGE_DATASETS)
_ENV = "ALAD_DATA_DIR"
_READ_ROWS = 8192


def _kdd99(columns: dict[str, np.ndarray], labels: np.ndarray) -> Records:
    return Records("kdd99", columns, labels == KDD99_ANOMALY, labels)


def _arrhythmia(x: np.ndarray, classes: np.ndarray) -> Records:
    return Records("arrhythmia", x, np.isin(classes, ARRHYTHMIA_ANOMALIES), classes)


def _kdd99_from_tfds(table: dict[str, np.ndarray]) -> Records:
    text = (*raw.KDD99_SYMBOLIC, "label")
    table = {k: np.char.decode(v.astype("S")) if k in text else v for k, v in table.items()}
    return _kdd99({k: table[k] for k in raw.KDD99_COLUMNS}, table["label"])


def _arrhythmia_from_tfds(table: dict[str, np.ndarray]) -> Records:
    return _arrhythmia(table["features"], table["label"])


@dataclass(frozen=True)
class _Source:
    file: str
    url: str
    builder: str  # package in alad_tf.data, and the name of the prepared TFDS folder
    read: Callable[[Path], Records]
    from_tfds: Callable[[dict[str, np.ndarray]], Records]


_SOURCES = {
    "kdd99": _Source(
        raw.KDD99_FILE,
        raw.KDD99_URL,
        "kddcup99_10percent",
        lambda path: _kdd99(*raw.read_kdd99(path)),
        _kdd99_from_tfds,
    ),
    "arrhythmia": _Source(
        raw.ARRHYTHMIA_FILE,
        raw.ARRHYTHMIA_URL,
        "uci_arrhythmia",
        lambda path: _arrhythmia(*raw.read_arrhythmia(path)),
        _arrhythmia_from_tfds,
    ),
}


def load(
    dataset: str,
    data_dir: str | os.PathLike | None = None,
    normal_class: int | str | None = None,
) -> Records:
    """Load a data set as raw records, in file order.

    "kdd99" and "arrhythmia" are read from `data_dir`, or else from the folder in the environment
    variable `ALAD_DATA_DIR`, or else from TensorFlow Datasets' folder (`TFDS_DATA_DIR`, by default
    `~/tensorflow_datasets`), where they are prepared from its manual-download folder or downloaded
    if necessary (for "kdd99" a few minutes, once). If you choose a folder, it must contain the
    data: nothing is downloaded instead.

    - "kdd99": 494,021 rows of 41 named columns; anomalies are the 97,278 "normal." connections.
    - "arrhythmia": 452 rows of 274 features; anomalies are the 66 of classes 3, 4, 5, 7, 8, 9, 14
      and 15, the smallest classes.
    - "breast_cancer": 569 rows of 30 features, bundled with scikit-learn (`data_dir` is not used);
      anomalies are the 212 malignant ones.
    - "cifar10", "digits", "svhn_cropped": uint8 images, anomalous outside `normal_class`; see
      `load_images`, also for where they are read from. "digits" is part of scikit-learn.

    Args:
        dataset: one of the above.
        data_dir: str or Path of the folder with `kddcup.data_10_percent.gz` or `arrhythmia.data`,
            or with the set as TFDS prepares it (`kddcup99_10percent/1.0.0`,
            `uci_arrhythmia/1.0.0`).
        normal_class: name or number of the normal class, for image sets; default: class 0.

    Returns:
        `Records` with float32 `(N, d)` features, named columns for "kdd99", or uint8 images.

    Raises:
        ValueError: if the data set is unknown (the message offers the closest names), the file is
            damaged, or a normal class is chosen for a table.
        FileNotFoundError: if the chosen folder has neither the raw file nor the prepared set.
        ConnectionError: if the download fails; the message says where to put the file instead.
        ImportError: if TensorFlow Datasets is needed but not installed.

    Example:
        >>> records = load("breast_cancer")
        >>> records.x.shape, int(records.is_anomaly.sum())
        ((569, 30), 212)

    Source: Zenati et al. 2018, section V-A, Table I; https://www.tensorflow.org/datasets.
    """
    if dataset in IMAGE_DATASETS:
        return load_images(dataset, normal_class, data_dir)
    if normal_class is not None:
        raise ValueError(
            f"received normal_class={normal_class!r} for {dataset!r}; only the image sets "
            f"{IMAGE_DATASETS} have a normal class to choose. Leave it out."
        )
    if dataset == "breast_cancer":
        return _breast_cancer()
    if dataset not in _SOURCES:
        raise unknown_name_error("dataset", dataset, DATASETS)
    source = _SOURCES[dataset]
    if data_dir is not None:
        return _from_folder(source, Path(data_dir).expanduser(), "omit data_dir")
    if os.environ.get(_ENV):
        return _from_folder(source, Path(os.environ[_ENV]).expanduser(), f"unset {_ENV}")
    # TFDS reads the variable once, when it is imported; a later change must count as well
    builder = _builder(source, os.environ.get("TFDS_DATA_DIR"))
    builder.download_and_prepare()
    return _read_prepared(source, builder)


def _breast_cancer() -> Records:
    from sklearn.datasets import load_breast_cancer  # only this set needs it

    bunch = load_breast_cancer()
    malignant = list(bunch.target_names).index("malignant")
    return Records("breast_cancer", bunch.data.astype(np.float32), bunch.target == malignant)


def _from_folder(source: _Source, folder: Path, otherwise: str) -> Records:
    if (folder / source.file).is_file():
        return source.read(folder / source.file)
    if (folder / source.builder).is_dir():
        builder = _builder(source, folder)
        if builder.is_prepared():
            return _read_prepared(source, builder)
    received = "contains neither" if folder.is_dir() else "does not exist; it should contain"
    expected = f"the file {source.file} {'nor' if folder.is_dir() else 'or'} the prepared"
    raise FileNotFoundError(
        f"{folder} {received} {expected} TensorFlow Datasets folder {source.builder}. Put "
        f"the file there ({source.url}), or {otherwise} to download it."
    )


def _builder(source: _Source, data_dir: str | os.PathLike | None):
    module = f"alad_tf.data.{source.builder}.{source.builder}_dataset_builder"
    try:
        return importlib.import_module(module).Builder(data_dir=data_dir or None)
    except Exception as error:  # protobuf has an error of its own for incompatible versions
        otherwise = f"; or pass the folder with {source.file} as data_dir"
        raise no_tfds_error(source.builder, error, otherwise) from error


def _read_prepared(source: _Source, builder) -> Records:
    import tensorflow as tf

    # Whole batches are parsed at once: TFDS's own reader parses row by row, which takes minutes.
    spec = builder.info.features.tf_example_spec
    files = [os.fspath(path) for path in builder.info.splits["train"].filepaths]
    batches = tf.data.TFRecordDataset(files).batch(_READ_ROWS)  # one file after the other: in order
    batches = batches.map(lambda batch: tf.io.parse_example(batch, spec), num_parallel_calls=2)
    parts = list(batches.as_numpy_iterator())
    return source.from_tfds({k: np.concatenate([part[k] for part in parts]) for k in parts[0]})
