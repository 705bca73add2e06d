"""Image sets from TensorFlow Datasets, training and test images pooled, and from scikit-learn."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alad_tf.data.raw import no_tfds_error, require_reachable
from alad_tf.data.records import Records, unknown_name_error

DIGITS = "digits"  # the set that comes with scikit-learn
IMAGE_DATASETS = ("cifar10", DIGITS, "svhn_cropped")


@dataclass(frozen=True)
class _Images:
    classes: tuple[str, ...]
    splits: str  # SVHN goes without its "extra" images, as in the paper's Table I
    home: str


_SETS = {
    "cifar10": _Images(
        (
            *("airplane", "automobile", "bird", "cat", "deer"),
            *("dog", "frog", "horse", "ship", "truck"),
        ),
        "train+test",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
    ),
    DIGITS: _Images(
        tuple("0123456789"),
        "all",
        "https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
    ),
    "svhn_cropped": _Images(
        tuple("0123456789"), "train+test", "http://ufldl.stanford.edu/housenumbers/"
    ),
}


def class_names(dataset: str) -> tuple[str, ...]:
    """The names of an image set's classes, in the order of their numbers.

    Args:
        dataset: "cifar10", "digits" or "svhn_cropped".

    Returns:
        tuple of ten str.

    Raises:
        ValueError: if the image set is unknown.

    Example:
        >>> class_names("cifar10")[1]
        'automobile'
    """
    if dataset not in _SETS:
        raise unknown_name_error("image set", dataset, _SETS)
    return _SETS[dataset].classes


def class_number(dataset: str, normal_class: int | str | None) -> int:
    """The number of a class, from its number or name; default: class 0.

    Args:
        dataset: "cifar10", "digits" or "svhn_cropped".
        normal_class: name, number, number as text, or None.

    Returns:
        0 to 9.

    Raises:
        ValueError: if there is no such class; the message lists them.

    Example:
        >>> class_number("cifar10", "automobile"), class_number("cifar10", None)
        (1, 0)
    """
    names = class_names(dataset)
    text = "0" if normal_class is None else str(normal_class)
    if text in names:
        return names.index(text)
    if text.isdecimal() and int(text) < len(names):
        return int(text)
    known = [name if name == str(i) else f"{i} {name}" for i, name in enumerate(names)]
    raise unknown_name_error(f"class of {dataset}", normal_class, known)


def load_images(
    dataset: str,
    normal_class: int | str | None = None,
    data_dir: str | os.PathLike | None = None,
) -> Records:
    """Load a whole image set, with one of its classes as the normal one.

    The set is read from `data_dir`, which must then contain it, or else from TensorFlow Datasets'
    own folder (`TFDS_DATA_DIR`, by default `~/tensorflow_datasets`), where it is downloaded and
    prepared if necessary. Rows are the official training images, then the official test images,
    both in TensorFlow Datasets' order, which is the same on every machine. "digits" is part of
    scikit-learn and needs no folder.

    Args:
        dataset: "cifar10" (60,000 images), "svhn_cropped" (99,289 images, without "extra") or
            "digits" (1,797 grey images of 8 x 8 pixels).
        normal_class: name or number of the normal class; default: class 0.
        data_dir: folder with `<dataset>/<version>` as TensorFlow Datasets prepares it.

    Returns:
        Records with `x` uint8 `(N, 32, 32, 3)`, of "digits" `(N, 8, 8, 1)`; `labels` int64 `(N,)`
        class numbers.

    Raises:
        ValueError: if the image set or the class is unknown.
        FileNotFoundError: if `data_dir` does not contain the prepared set.
        ConnectionError: if the download fails.
        ImportError: if TensorFlow Datasets cannot be imported.

    Example:
        >>> # load_images("cifar10", "automobile").x.shape == (60000, 32, 32, 3)
        >>> load_images("cifar10", "autmobile")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        ValueError: unknown class of cifar10 'autmobile'; closest: '1 automobile'; known: ...

    Source: Zenati et al. 2018, section V-A, Table I; https://www.tensorflow.org/datasets.
    """
    normal = class_number(dataset, normal_class)
    if dataset == DIGITS:
        images, labels = _digits()
        return Records(dataset, images, labels != normal, labels)
    # TFDS reads the variable once, when it is imported; a later change must count as well
    folder = data_dir or os.environ.get("TFDS_DATA_DIR")
    images, labels = _read(dataset, data_dir, None if folder is None else str(folder))
    return Records(dataset, images, labels != normal, labels)


def _digits():
    from sklearn.datasets import load_digits  # only this set needs it

    bunch = load_digits()  # levels from 0 to 16
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    return images, bunch.target.astype(np.int64)


@functools.lru_cache(maxsize=1)  # decoding takes seconds, and a sweep over classes reads one set
def _read(dataset: str, data_dir: str | os.PathLike | None, folder: str | None):
    try:
        import tensorflow_datasets as tfds
    except Exception as error:  # protobuf has an error of its own for incompatible versions
        raise no_tfds_error(dataset, error) from error
    builder = tfds.builder(dataset, data_dir=folder)
    if data_dir is not None and not builder.is_prepared():
        raise FileNotFoundError(
            f"{Path(data_dir)} does not contain {dataset} as TensorFlow Datasets prepares it; "
            f"expected {builder.data_path}. Choose another folder, or pass none to download the "
            f"set ({_SETS[dataset].home})."
        )
    try:
        if not builder.is_prepared():
            downloads = Path(builder.data_dir).parents[1] / "downloads"
            require_reachable(_SETS[dataset].home, downloads)
        builder.download_and_prepare()
    except (OSError, tfds.download.DownloadError) as error:
        raise ConnectionError(
            f"{dataset} could not be downloaded: {error}. Prepare it on a machine with "
            f"internet access (tfds build {dataset}), copy the folder here, and pass it with "
            "--data-dir or TFDS_DATA_DIR."
        ) from error
    batch = builder.as_dataset(split=_SETS[dataset].splits, batch_size=-1, shuffle_files=False)
    images, labels = batch["image"].numpy(), np.asarray(batch["label"].numpy(), np.int64)
    images.flags.writeable = labels.flags.writeable = False  # all who read the set share them
    return images, labels
