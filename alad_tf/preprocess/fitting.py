"""Which preprocessing each data set gets, and preprocessors from their stored state."""

from __future__ import annotations

import numpy as np

from alad_tf.data.images import IMAGE_DATASETS
from alad_tf.data.records import Records, take, unknown_name_error
from alad_tf.preprocess.base import Preprocessor
from alad_tf.preprocess.image import ImagePreprocessor
from alad_tf.preprocess.mixed import MixedPreprocessor
from alad_tf.preprocess.pictures import PicturePreprocessor
from alad_tf.preprocess.table import TablePreprocessor
from alad_tf.preprocess.vector import VectorPreprocessor

_SCALING = {"kdd99": "none", "arrhythmia": "standard", "breast_cancer": "standard"}
_CLASSES = (
    ImagePreprocessor,
    MixedPreprocessor,
    PicturePreprocessor,
    TablePreprocessor,
    VectorPreprocessor,
)
_KINDS = {cls.kind: cls for cls in _CLASSES}


def for_dataset(
    dataset: str, records: Records, train_indices: np.ndarray, scaling: str | None = None
) -> Preprocessor:
    """Fit the preprocessor of a data set on its training rows.

    KDD99's vocabularies come from the whole table, since the paper's 121 features do: 87 one-hot
    columns (3 + 66 + 11 + 2 + 2 + 1 + 2) and 34 continuous ones. For KDD99 the paper states no
    scaling, and for Arrhythmia it uses raw data; the authors' released code scales neither. Here:
    none for KDD99, standard for the others. Scaling is fitted on the training rows only. For images
    there is nothing to fit: pixels are always scaled to [-1, 1].

    Args:
        dataset: one of `alad_tf.data.DATASETS`.
        records: all rows of the data set, raw.
        train_indices: `(n,)` int row numbers of the training rows.
        scaling: "standard", "minmax" or "none" (the raw numbers); default: the data set's own.

    Returns:
        ImagePreprocessor for images, TablePreprocessor for named columns (text ones are
        categorical), else VectorPreprocessor.

    Raises:
        ValueError: if the data set is unknown (the message offers the closest names), there are no
            training rows, or scaling is set for images.

    Example:
        >>> from alad_tf.data import load, split
        >>> records = load("breast_cancer")
        >>> train = split("breast_cancer", records.is_anomaly).train
        >>> for_dataset("breast_cancer", records, train).output_dim
        30

    Source: Zenati et al. 2018, section V-A, Table I.
    """
    if dataset in IMAGE_DATASETS:
        if scaling is not None:
            raise ValueError(
                f"received scaling={scaling!r} for {dataset!r}; pixels are always scaled to "
                "[-1, 1]. Leave it out."
            )
        return ImagePreprocessor(records.x.shape[1:])
    if dataset not in _SCALING:
        raise unknown_name_error("dataset", dataset, [*_SCALING, *IMAGE_DATASETS])
    scaling = scaling or _SCALING[dataset]
    train = take(records.x, train_indices)
    if not isinstance(train, dict):
        return VectorPreprocessor(scaling, names=_names(dataset), from_arrays=True).fit(train)
    categorical = [name for name, column in train.items() if column.dtype.kind not in "biuf"]
    continuous = [name for name in train if name not in categorical]
    layer = TablePreprocessor(categorical, continuous, scaling)
    return layer.fit(train, vocabulary_from=records.x)


def default_scaling(dataset):
    """The scaling that a table of the paper has by default, or None for images."""
    return _SCALING.get(dataset)


def _names(dataset):
    """What the columns of a data set's array are called, where that is known."""
    if dataset != "breast_cancer":
        return None
    from sklearn.datasets import load_breast_cancer  # only this set needs it

    return load_breast_cancer().feature_names


def for_records(
    x, scaling: str = "standard", missing: str = "flag", gaps_from=None, columns=None
) -> Preprocessor:
    """The preprocessor of anyone's images `(N, H, W, C)` or table, fitted on them.

    `missing`, `gaps_from` and `columns` as for `MixedPreprocessor`.
    """
    if getattr(x, "ndim", 2) == 4:
        if columns:
            raise ValueError(
                f"received columns={columns!r} for images, which have no columns. Leave it out."
            )
        return ImagePreprocessor(x.shape[1:])
    return MixedPreprocessor(scaling, missing=missing).fit(x, gaps_from, columns)


def preprocessor_from_state(state: dict) -> Preprocessor:
    """Make the fitted preprocessor, of any kind, that a `state()` dict describes.

    Args:
        state: dict, the result of `state()`, also after a round trip through JSON.

    Returns:
        the preprocessor, fitted.

    Raises:
        ValueError: if the kind is unknown, or the state does not describe a preprocessor of that
            kind.

    Example:
        >>> state = VectorPreprocessor("none").fit([[1.0]]).state()
        >>> preprocessor_from_state(state).output_dim
        1
    """
    kind = state.get("kind")
    if kind not in _KINDS:
        raise unknown_name_error("preprocessor kind", kind, _KINDS)
    try:
        preprocessor = _KINDS[kind].from_state(state)
        if not (preprocessor.fitted and all(preprocessor.output_shape)):
            raise ValueError("it has no fitted values")
        for name in ("shift", "scale", "fill"):  # one for each column of numbers
            values = getattr(preprocessor, name, None)
            if values is not None and values.shape != (len(preprocessor.numeric),):
                raise ValueError(f"{name} does not have a number for each of its columns")
    # constructors raise all kinds of errors for a damaged state
    except Exception as error:
        raise ValueError(
            f"received a state that does not describe a {kind!r} preprocessor "
            f"({type(error).__name__}: {error}); expected the result of `state()`."
        ) from error
    return preprocessor
