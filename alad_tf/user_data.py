"""A user's rows beside a detector: read as it was fitted, scored batch by batch."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from alad_tf.data.user_files import count_rows, read_all, read_batches
from alad_tf.given import anomaly_labels, is_images, take_rows
from alad_tf.preprocess import ImagePreprocessor, MixedPreprocessor
from alad_tf.progress import counted

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


def verdicts(detector, ids, rows):
    """A table of rows: "row", "score", and "p_value" and "is_anomaly" where the detector has them.

    Args:
        detector: `alad_tf.Detector`.
        ids: list (N,).
        rows: N raw records.

    Returns:
        `pandas.DataFrame`.
    """
    score = detector.anomaly_score(rows)
    table = pd.DataFrame({"row": ids, "score": score})
    if len(detector.reference):
        table["p_value"] = detector.p_values_of(score)
    if detector.threshold is not None:
        table["is_anomaly"] = score >= np.float32(detector.threshold)
    return table


def write_scores(detector, source, path, console=None):
    """Score the rows of a file or folder, batch by batch, into a CSV or Parquet file.

    Args:
        detector: `alad_tf.Detector`.
        source: as for `read_batches`.
        path: str or Path of the file, whole or absent.
        console: `rich.console.Console` for the progress, or None.

    Returns:
        `(rows, flagged)`: ints; flagged is None without a threshold.

    Raises:
        FileNotFoundError, ValueError: see `read_batches`; a file of another kind.
    """
    path = Path(path)
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise ValueError(f"received --out {path.name}; expected a .csv or .parquet file.")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    rows, flagged = 0, None if detector.threshold is None else 0
    total = count_rows(source)
    shown = console if total else None
    try:
        with (
            _Writer(temporary, path.suffix.lower()) as writer,
            counted(total or 1, "rows", shown) as advance,
        ):
            for ids, part in read_batches(source, **as_fitted(detector)):
                try:
                    table = verdicts(detector, ids, part)
                except ValueError as error:
                    raise ValueError(f"{source}, rows {ids[0]} to {ids[-1]}: {error}") from error
                writer.write(table)
                rows += len(table)
                flagged = None if flagged is None else flagged + int(table["is_anomaly"].sum())
                advance(len(table))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return rows, flagged


def as_fitted(detector):
    """How `read_batches` is to read for a detector: keyword arguments of it."""
    preprocessor = detector.preprocessor
    if preprocessor.kind == "image":
        height, width, channels = preprocessor.output_shape
        return {"size": (height, width), "channels": channels}
    # by themselves, parts of a file may look like numbers: the code "01" must not become 1
    return {"text": list(getattr(preprocessor, "vocabularies", {}))}


class _Writer:
    """A CSV or Parquet file that grows by tables of the same columns."""

    def __init__(self, path, kind):
        self.path, self.kind, self.file = path, kind, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.file is not None:
            self.file.close()

    def write(self, table):
        if self.kind == ".csv":
            table.to_csv(self.path, mode="a", index=False, header=not self.path.exists())
            return
        import pyarrow
        import pyarrow.parquet

        made = pyarrow.Table.from_pandas(table, preserve_index=False)
        self.file = self.file or pyarrow.parquet.ParquetWriter(self.path, made.schema)
        self.file.write_table(made)
