"""A user's rows beside a detector: read as it was fitted, split by its labels."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from alad_tf.cli.score_files import as_fitted
from alad_tf.data.user_files import read_all
from alad_tf.detector.validation import anomaly_labels, is_images, take_rows
from alad_tf.preprocess.fitting import for_records

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

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "orders.csv"
        >>> _ = path.write_text("size,fraud\\n1.0,0\\n2.0,0\\n9.0,1\\n")
        >>> data = UserData.read(path, label="fraud")
        >>> list(data.rows.columns), data.is_anomaly.tolist()
        (['size'], [False, False, True])
        >>> data.take([2])["size"].tolist()
        [9.0]
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
            source: str or Path, a file or folder; see `alad_tf.data.user_files.read_batches`.
            size: tuple (height, width) that images are resized to, or None.
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
        """Read all rows as a fitted detector takes them.

        Args:
            detector: `alad_tf.Detector`.
            source: str or Path, as for `read`.

        Returns:
            `UserData`, without labels.

        Raises:
            FileNotFoundError, ValueError: see `alad_tf.data.user_files.read_batches`.

        Example:
            >>> import tempfile, zoo
            >>> path = Path(tempfile.mkdtemp()) / "cells.csv"
            >>> _ = path.write_text(",".join("abc") + "\\n1,2,3\\n")
            >>> UserData.for_detector(zoo.load("breast_cancer_alad"), path).rows.shape
            (1, 3)
        """
        ids, rows = read_all(source, **as_fitted(detector))
        return cls(Path(source), ids, rows)

    def take(self, indices):
        """Some of the rows.

        Args:
            indices: int array (M,), row numbers.

        Returns:
            M rows of the type of `rows`, in the order of `indices`.
        """
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

    Example:
        >>> is_anomaly = np.arange(10) > 7
        >>> data = UserData(Path("orders.csv"), list(range(10)), np.eye(10), is_anomaly)
        >>> train, (validation, flags) = labelled_split(data, seed=0)
        >>> len(train), len(validation), flags.tolist()
        (7, 3, [False, True, True])
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
    """The rows that are not labelled anomalous, as networks take them.

    Args:
        data: `UserData`.

    Returns:
        float32 array (N, d), or (N, H, W, C) of images, in [-1, 1].

    Example:
        >>> data = UserData(Path("orders.csv"), [0, 1], np.array([[1.0, 2.0], [3.0, 2.0]]))
        >>> preprocessed_normal(data).tolist()
        [[-1.0, 0.0], [1.0, 0.0]]
    """
    rows = data.rows
    if data.is_anomaly is not None:
        rows = data.take(np.flatnonzero(~data.is_anomaly))
    return for_records(rows).transform(rows)
