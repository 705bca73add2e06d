"""A user's rows beside a detector: read as it was fitted, split by its labels."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from alad_tf.data.user_files import read_all
from alad_tf.given import anomaly_labels, is_images, take_rows
from alad_tf.preprocess import ImagePreprocessor, MixedPreprocessor
from alad_tf.score_files import as_fitted

HELD_OUT = 1 / 5  # of the normal rows, where labels say which are normal


@dataclass(frozen=True, eq=False)
class UserData:
    """The rows of a file or folder.

    Attributes:
        source: Path, where they came from.
        ids: list, row numbers or the images' paths.
        rows: `pandas.DataFrame`, float array (N, d) or uint8 array (N, H, W, C), without the
            columns that are left out.
        is_anomaly: bool array (N,), from the column of labels; None without one.
        origin: dict, how they were read: kept in the detector's metadata under "input".
    """

    source: Path
    ids: list
    rows: object
    is_anomaly: np.ndarray | None = None
    origin: dict = field(default_factory=dict)

    @classmethod
    def read(cls, source, size=None, exclude=(), label=None):
        """Read all rows to fit a detector on.

        Args:
            source: as for `alad_tf.data.user_files.read_batches`.
            size: (height, width) that images are resized to, or None.
            exclude: list of str, columns to leave out.
            label: str, the column of labels, or None.

        Returns:
            `UserData`.

        Raises:
            FileNotFoundError, ValueError: see `read_batches`; columns that are not there; labels
                that are not 0 and 1, or -1 and 1.
        """
        ids, rows = read_all(source, size)
        left_out = [*exclude, *([label] if label else [])]
        named = isinstance(rows, pd.DataFrame)
        absent = [name for name in left_out if not named or name not in rows.columns]
        if absent:
            known = f"it has {list(rows.columns)[:20]}" if named else "its columns have no names"
            raise ValueError(f"{source} has no column {absent[0]!r}; {known}.")
        labels = anomaly_labels(rows[label].to_numpy(), len(rows)) if label else None
        origin = {"exclude": left_out, "size": list(size) if size else None, "channels": None}
        if is_images(rows):
            origin |= {"size": list(rows.shape[1:3]), "channels": int(rows.shape[3])}
        rows = rows.drop(columns=left_out) if left_out else rows
        return cls(Path(source), ids, rows, labels, origin)

    @classmethod
    def for_detector(cls, detector, source):
        """Read all rows as a fitted detector takes them; errors as for `read_batches`."""
        ids, rows = read_all(source, **as_fitted(detector))
        return cls(Path(source), ids, rows)

    def take(self, indices):
        """Some of the rows, in the order of `indices`."""
        return take_rows(self.rows, indices)


def labelled_split(data, seed):
    """Labelled rows as what trains and what sets the threshold.

    Args:
        data: `UserData` with labels.
        seed: int, of the choice of the normal rows that are held out.

    Returns:
        `(train, (validation, is_anomaly))`: four fifths of the normal rows; the others and all
        anomalies.

    Raises:
        ValueError: no anomalies, or fewer than three normal rows.
    """
    normal = np.flatnonzero(~data.is_anomaly)
    if data.is_anomaly.all() or not data.is_anomaly.any() or len(normal) < 3:
        raise ValueError(
            f"{data.source} has {len(normal)} normal rows and {int(data.is_anomaly.sum())} "
            "anomalies; to set a threshold by labels, three normal rows and one anomaly are needed "
            "at least. Leave the labels out by --exclude to fit without them."
        )
    order = np.random.default_rng(seed).permutation(normal)
    held_out = max(int(len(normal) * HELD_OUT), 1)
    validation = np.sort(np.concatenate([order[:held_out], np.flatnonzero(data.is_anomaly)]))
    return data.take(np.sort(order[held_out:])), (
        data.take(validation),
        data.is_anomaly[validation],
    )


def preprocessed_normal(data):
    """The rows that are not labelled anomalous, as networks take them: float32 array (N, ...)."""
    rows = data.rows
    if data.is_anomaly is not None:
        rows = data.take(np.flatnonzero(~data.is_anomaly))
    if is_images(rows):
        return ImagePreprocessor(rows.shape[1:]).transform(rows)
    return MixedPreprocessor().fit(rows).transform(rows)
