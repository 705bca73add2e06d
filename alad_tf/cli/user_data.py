"""A user's rows: read as a detector was fitted, split by labels."""

from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from alad_tf.cli.image_size import size_by_rule
from alad_tf.cli.lines import UsageError
from alad_tf.cli.score_files import as_fitted, without_excluded
from alad_tf.data.pictures import Mode
from alad_tf.data.user_files import ReadOptions, array_shape, image_paths, read_all
from alad_tf.detector.backbone import IMAGENET, PIXELS, backbone_for
from alad_tf.detector.validation import anomaly_labels, is_images, take_rows
from alad_tf.engine.weights import blaming
from alad_tf.preprocess.containers import by_position
from alad_tf.preprocess.fitting import for_records
from alad_tf.preprocess.kinds import checked_choices

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

    @property
    def kind(self):
        """What the detector is fitted to, in words: "rows" or "images"."""
        return "images" if is_images(self.rows) else "rows"

    def rule_of(self, detector):
        """The rule of a detector's threshold, about images where these are images."""
        return detector.threshold_rule.replace("rows", self.kind)

    @classmethod
    def read(
        cls,
        source,
        size=None,
        exclude=(),
        label=None,
        categorical=(),
        options=None,
        note=None,
        chosen=None,
        normal=(),
    ):
        """Read all rows to fit a detector on; `size` and `options` as for `read_batches`.

        `exclude` and `label` name columns to leave out and of labels, `categorical` those that are
        text even if they look like numbers; `chosen` has the kinds of others, which are checked.
        Kept in `origin`: what scoring has to know. Of a folder of images, `exclude` names
        sub-folders, and `normal` those whose images are normal: all others are labelled anomalous.
        """
        source, options, chosen = Path(source), options or ReadOptions(), checked_choices(chosen)
        if source.is_dir():
            names = {"label": label, "categorical": categorical, "column": chosen}
            return cls._of_folders(source, size, exclude, names, options, note, normal)
        if normal:
            raise ValueError(
                f"received --normal for {source}, which is not a folder of images. Leave it out; "
                "for a table, use --label."
            )
        if size is not None:
            raise ValueError(
                f"received --size for {source}, which is not a folder of images. Leave it out."
            )
        left_out = [*exclude, *([label] if label else [])]
        kinds = {"text": categorical, "ignored": left_out, "either": list(chosen)}
        ids, rows = read_all(source, size, **kinds, options=options, note=note)
        named = isinstance(rows, pd.DataFrame)
        absent = [name for name in left_out if not named or name not in rows.columns]
        if absent:
            known = (
                f"it has {list(rows.columns)[:20]}"
                if named
                else "its columns have no names. Save the table with names, as CSV or Parquet"
            )
            raise ValueError(f"{source} has no column {absent[0]!r}; {known}.")
        labels = _labels(rows[label], source) if label else None
        origin = {
            "exclude": left_out,
            "size": list(size) if size else None,
            "channels": None,
            "missing": list(options.missing),
        }
        if is_images(rows):
            origin |= {"size": list(rows.shape[1:3])}
        rows = rows.drop(columns=left_out) if left_out else rows
        if chosen:
            checked_choices(chosen, list(rows.columns) if named else by_position(rows.shape[1]))
        if not rows.shape[1]:
            raise ValueError(
                f"{source} has no columns except {left_out}; expected at least one more."
            )
        return cls(source, ids, rows, labels, origin)

    @classmethod
    def _of_folders(cls, source, size, exclude, names, options, note, normal):
        """The images of a folder, labelled by the folders they are in."""
        for option, value in names.items():
            if value:
                raise ValueError(
                    f"received --{option} for {source}, whose images have no columns. Leave it "
                    "out. To label images, name the sub-folders of normal ones with `alad fit "
                    "--normal`."
                )
        paths = image_paths(source)
        folders = [set(path.relative_to(source).parts[:-1]) for path in paths]
        for name in (*exclude, *normal):
            if not any(name in some for some in folders):
                known = sorted(set().union(*folders))[:20]
                raise ValueError(f"{source} has no sub-folder {name!r} of images; it has {known}.")
        kept = [p for p, some in zip(paths, folders, strict=True) if some.isdisjoint(exclude)]
        if exclude and note is not None:
            note(f"{source}: left out {len(paths) - len(kept):,} image(s) in {', '.join(exclude)}")
        if size is None:
            size, line = size_by_rule(kept)
            if note and size:
                note(f"{source}: {line}")
        mode = Mode.of(kept)
        images = {"channels": mode.channels, "depth": mode.depth}
        ids, rows = read_all(source, size, ignored=exclude, options=options, note=note, **images)
        labels = None
        if normal:
            labels = np.array([set(Path(one).parts[:-1]).isdisjoint(normal) for one in ids])
        missing = list(options.missing)
        origin = {"exclude": [], "size": list(rows.shape[1:3]), "missing": missing, **images}
        return cls(source, ids, rows, labels, origin)

    @classmethod
    def for_detector(cls, detector, source, options=None, note=None):
        """Read all rows as a fitted detector takes them, without labels."""
        ids, rows = read_all(source, **as_fitted(detector, options), note=note)
        return cls(Path(source), ids, without_excluded(detector, rows))

    def take(self, indices):
        """Some of the rows, in the order of `indices`."""
        return take_rows(self.rows, indices)


def _labels(column, source):
    """Labels as bool; those of a CSV are still text."""
    words = {"true": 1, "false": 0}
    plain = column.map(lambda cell: words.get(str(cell).strip().lower(), cell))
    numbers = pd.to_numeric(plain, errors="coerce")
    bad = np.flatnonzero(numbers.isna())
    if len(bad):
        raise ValueError(
            f"{source}, row {bad[0]}, label column {column.name!r}: received "
            f"{column.iloc[bad[0]]!r}; expected 1 (or True) for anomalies and 0 for normal "
            "rows, or -1 for anomalies and 1 for normal rows, as in scikit-learn."
        )
    return anomaly_labels(numbers.to_numpy(), len(column))


def labelled_split(data, seed):
    """Split labelled rows into those that train and those that set the threshold.

    Four fifths of the normal rows, in order, train; `(validation, is_anomaly)` has the others and
    all anomalies.

    Example:
        >>> is_anomaly = np.arange(10) > 7
        >>> data = UserData(Path("orders.csv"), list(range(10)), np.eye(10), is_anomaly)
        >>> train, (validation, flags) = labelled_split(data, seed=0)
        >>> len(train), len(validation), flags.tolist()
        (7, 3, [False, True, True])
    """
    normal = np.flatnonzero(~data.is_anomaly)
    if data.is_anomaly.all() or not data.is_anomaly.any() or len(normal) < 3:
        kind, remedy = data.kind, "--label and exclude the column with --exclude"
        if kind == "images":
            remedy = "--normal"
        raise ValueError(
            f"{data.source} has {len(normal)} normal {kind} and {int(data.is_anomaly.sum())} "
            f"anomalies; choosing the threshold by labels takes at least three normal {kind} "
            f"and one anomaly. To fit without labels, leave out {remedy}."
        )
    order = np.random.default_rng(seed).permutation(normal)
    held_out = max(int(len(normal) * HELD_OUT), 1)
    validation = np.sort(np.concatenate([order[:held_out], np.flatnonzero(data.is_anomaly)]))
    return data.take(np.sort(order[held_out:])), (
        data.take(validation),
        data.is_anomaly[validation],
    )


def label_metrics(detector, rows, is_anomaly):
    """How well a detector finds labelled anomalies among rows that did not train it.

    Returns:
        dict of floats "auroc", "f1", "precision" and "recall" at the threshold, and "words", all
        of them in a line.
    """
    scores = detector.anomaly_score(rows)
    flagged = detector.threshold.flags(scores)
    found = {
        "auroc": float(roc_auc_score(is_anomaly, np.asarray(scores, "float64"))),
        "f1": float(f1_score(is_anomaly, flagged)),
        "precision": float(precision_score(is_anomaly, flagged, zero_division=0)),
        "recall": float(recall_score(is_anomaly, flagged)),
    }
    anomalies, kind = int(np.sum(is_anomaly)), "images" if is_images(rows) else "rows"
    words = (
        f"AUROC {found['auroc']:.3f}, F1 {found['f1']:.3f} (precision "
        f"{found['precision']:.3f}, recall {found['recall']:.3f}), on "
        f"{len(scores) - anomalies:,} normal {kind} and {anomalies:,} anomalies that were not "
        f"trained on; the threshold was chosen for the best F1 on the same {kind}"
    )
    return {**found, "words": words}


def network_of(features, source):
    """What --features names, and the size that a folder of images is read at, or None.

    The network is checked before the images are read, which may take a long time.

    Raises:
        ValueError: a table, no such choice or file, or a network that cannot be used.
        ConnectionError: "imagenet" has to be downloaded, and there is no way to.
    """
    if features == PIXELS:
        return features, None
    path = Path(features)
    if features != IMAGENET and (path.suffix != ".keras" or not path.is_file()):
        raise UsageError(
            f"received --features {features}; expected pixels, imagenet or an existing .keras file."
        )
    _require_images(features, source)
    if features != IMAGENET:
        with blaming(path, "contain a Keras model"):
            features = keras.saving.load_model(path, compile=False)
    height, width, _ = backbone_for(features).input_shape
    return features, f"{height}x{width}" if Path(source).is_dir() else None


def _require_images(features, source):
    """Refuse --features for a table before a network is downloaded or loaded."""
    source = Path(source)
    if source.is_dir() or not source.exists():
        return  # reading says what is missing
    shape = array_shape(source)
    if shape is None:
        raise UsageError(
            f"received --features {features} for {source}, which is a table; features are for "
            "images. Leave it out."
        )
    if len(shape) < 3:
        raise ValueError(
            f"received --features {features} for {source}, an array of shape {shape}; expected "
            "images, of shape (N, H, W) or (N, H, W, C). Leave it out."
        )


def preprocessed_normal(data, chosen=None):
    """The rows that are not labelled anomalous, as networks take them: float32, standardised.

    Example:
        >>> data = UserData(Path("orders.csv"), [0, 1], np.array([[1.0, 2.0], [3.0, 2.0]]))
        >>> preprocessed_normal(data).tolist()
        [[-1.0, 0.0], [1.0, 0.0]]
    """
    rows = normal_rows(data)
    return for_records(rows, columns=chosen).transform(rows)


def normal_rows(data):
    """The rows that are not labelled anomalous."""
    if data.is_anomaly is None:
        return data.rows
    return data.take(np.flatnonzero(~data.is_anomaly))
