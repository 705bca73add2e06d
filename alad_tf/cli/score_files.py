"""Scores for the rows of a file or folder: streaming, in order, resumed, written whole."""

import os
import queue
import re
import shutil
import threading
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from alad_tf.cli.lines import UsageError
from alad_tf.data.user_files import BATCH, ReadOptions, count_rows, read_batches
from alad_tf.engine.files import claimed, remove_own, write_text
from alad_tf.engine.progress import counted
from alad_tf.engine.state_file import identity_of

KINDS = (".csv", ".parquet")
_HEADERS = (b"row,score", b"row,score,p_value", b"row,score,is_anomaly")
_HEADERS += (b"row,score,p_value,is_anomaly",)
AHEAD = 2  # batches that are read while one is scored


def write_scores(
    detector,
    source,
    path,
    console=None,
    batch=BATCH,
    options=None,
    note=None,
    overwrite=False,
    *,
    top=None,
):
    """Score the rows of a file or folder, batch by batch, into a CSV or Parquet file.

    Rows keep their order; columns are "row" (number from 0, or the image's path), "score", and
    "p_value" and "is_anomaly" where the detector has them. Each batch is kept in a folder beside
    the output until all are there: after a kill, the same call goes on with the first one that is
    missing. The output itself is whole or absent.

    `batch` rows are in memory at a time; `options` and `note` as for `read_batches`. Returns how
    many rows there were, and how many are flagged: None without a threshold.
    `overwrite` replaces a file that holds other things than scores. `top` is a
    `alad_tf.cli.top_rows.TopRows` that all batches are added to, or None.
    Raises BlockingIOError if another process is writing the same output.
    """
    path, source = require_output(path, source, overwrite), Path(source)
    with claimed(path.with_name(f".{path.name}.parts"), path):
        return _write_scores(detector, source, path, console, batch, options, note, top)


def _write_scores(detector, source, path, console, batch, options, note, top):
    kind = path.suffix.lower()
    total = count_rows(source) if source.exists() else None
    read = as_fitted(detector, options)
    identity = _identity(detector, source, batch, read)
    parts = _Parts(path.with_name(f".{path.name}.parts"), kind, identity)
    done = parts.rows()
    if top is not None:
        for start, table in parts.tables():
            top.add(start, table)
    shown = console if total else None
    fresh = done == 0
    with warnings.catch_warnings(), counted(total or 1, "rows", shown) as advance:
        warnings.filterwarnings("once", category=UserWarning, append=True)  # not for each batch
        advance(done)
        try:
            batches = read_batches(source, **read, batch=batch, skip=done, note=note)
            for ids, rows in _ahead(batches):
                rows = without_excluded(detector, rows)
                try:
                    table = verdicts(detector, ids, rows)
                except ValueError as error:
                    first = f" (row 0 here is row {ids[0]})" if done else ""
                    place = f"rows {ids[0]} to {ids[-1]}{first}"
                    raise ValueError(f"{source}, {place}: {error}") from error
                parts.add(done, table)
                if top is not None:
                    top.add(done, table, rows)
                done += len(table)
                advance(len(table))
        except (ValueError, FileNotFoundError):
            if fresh and done == 0:
                parts.remove()
            raise
    flagged = parts.join(path)
    parts.remove()
    return done, flagged


def verdicts(detector, ids, rows):
    """A table: "row", "score", and "p_value" and "is_anomaly" where the detector has them."""
    score = detector.anomaly_score(rows)
    table = pd.DataFrame({"row": ids, "score": score})
    if len(detector.reference):
        table["p_value"] = detector.p_values_of(score)
    if detector.threshold is not None:
        table["is_anomaly"] = detector.threshold.flags(score)
    return table


def without_excluded(detector, rows):
    """Rows without the columns that were left out of the fit."""
    excluded = (detector.metadata.get("input") or {}).get("exclude") or ()
    present = [name for name in excluded if name in getattr(rows, "columns", ())]
    return rows.drop(columns=present) if present else rows


def record_at(detector, source, place, options=None):
    """The record at a place of the input, from 0, as `write_scores` reads it."""
    batches = read_batches(source, **as_fitted(detector, options), batch=1, skip=place)
    return without_excluded(detector, next(iter(batches))[1])[:1]


def as_fitted(detector, options=None):
    """Arguments of `alad_tf.data.user_files.read_batches` that read as a detector was fitted.

    The kinds of columns were decided by the training rows; parts of a file may look different by
    themselves.
    """
    preprocessor, options = detector.preprocessor, options or ReadOptions()
    origin = detector.metadata.get("input") or {}
    missing = dict.fromkeys([*options.missing, *origin.get("missing", ())])
    read = {"options": replace(options, missing=tuple(missing))}
    if preprocessor.kind in ("image", "pictures"):
        height, width, channels = preprocessor.output_shape
        channels, depth = origin.get("channels") or channels, origin.get("depth")
        return read | {"size": (height, width), "channels": channels, "depth": depth}
    if preprocessor.kind == "mixed":
        either = [*preprocessor.written, *preprocessor.ignored]
        numbers = [name for name in preprocessor.numeric if name not in either]
        return read | {"text": preprocessor.texts, "numbers": numbers, "either": either}
    if preprocessor.kind == "table":
        return read | {"text": preprocessor.categorical, "numbers": preprocessor.continuous}
    return read | {"numbers": preprocessor.names or True}


def require_output(path, source, overwrite=False):
    """The path of an --out, links followed; ValueError if something there would be lost."""
    kind = Path(path).suffix.lower()
    if kind not in KINDS:
        raise UsageError(f"received --out {path}; expected a .csv or .parquet file.")
    place = Path(os.path.realpath(path))
    if place.is_dir():
        raise ValueError(f"received --out {path}, a folder; expected a .csv or .parquet file.")
    if place.exists():
        if os.path.exists(source) and os.path.samefile(place, source):
            raise ValueError(f"received --out {path}, the input file. Choose another file.")
        if not overwrite and not _are_scores(place, kind):
            raise ValueError(
                f"received --out {path}, which exists and does not contain scores. Choose "
                "another file, or add --overwrite to replace it."
            )
    return place


def _are_scores(path, kind):
    """Whether `write_scores` wrote a file, by its columns."""
    try:
        if kind == ".csv":
            with open(path, "rb") as file:
                return file.readline(100).rstrip() in _HEADERS
        import pyarrow.parquet

        return ",".join(pyarrow.parquet.read_schema(path).names).encode() in _HEADERS
    except (OSError, ValueError):
        return False


def _identity(detector, source, batch, read):
    """The identity of kept batches: the detector, the file in its present state, how it is read."""
    stat = source.stat() if source.is_file() else None
    files = [] if stat else sorted(path for path in source.rglob("*") if path.is_file())
    about = [(str(one), one.stat().st_size, one.stat().st_mtime_ns) for one in files]
    about = (stat.st_size, stat.st_mtime_ns) if stat else about
    # the scores of some samples identify the weights of any kind of scorer
    probe = np.random.default_rng(0).normal(size=(8, *detector.preprocessor.output_shape))
    scores = detector.scorer.scores(probe.astype("float32"))[detector.score]
    threshold = (detector.score, detector.threshold and detector.threshold.value)
    state = detector.preprocessor.state()
    return identity_of(
        source.resolve(), about, batch, str(read), state, *threshold, detector.reference, scores
    )


def _ahead(batches):
    """The same batches, read in another thread while the caller works."""
    waiting, stop = queue.Queue(AHEAD), threading.Event()

    def put(item):
        while not stop.is_set():
            try:
                return waiting.put(item, timeout=0.1)
            except queue.Full:
                continue

    def read():
        try:
            for item in batches:
                put((item, None))
                if stop.is_set():
                    return
            put((None, None))
        except BaseException as error:  # the caller raises it
            put((None, error))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        stop.set()
        reader.join()


class _Parts:
    """The batches that were scored so far, a file each, in a folder that knows its job."""

    def __init__(self, folder, kind, identity):
        self.folder, self.kind = folder, kind
        mark = folder / "identity"
        if folder.exists() and not mark.is_file() and any(folder.iterdir()):
            raise ValueError(
                f"Finished batches go to {folder}, but it contains other files. Move them "
                "away, or choose another --out."
            )
        if not mark.is_file() or mark.read_text() != identity:
            for path in folder.iterdir():  # the folder itself is claimed
                if self._is_own(path.name):
                    path.unlink()
            write_text(mark, identity)

    def paths(self):
        return sorted(self.folder.glob(f"[0-9]*{self.kind}"))

    def rows(self):
        """How many rows are there; a part's name says its first row and its length."""
        return sum(int(path.stem.split("-")[1]) for path in self.paths())

    def tables(self):
        """The parts, each with the number of its first row."""
        read = pd.read_csv if self.kind == ".csv" else pd.read_parquet
        for path in self.paths():
            yield int(path.stem.split("-")[0]), read(path)

    def add(self, start, table):
        path = self.folder / f"{start:015d}-{len(table)}{self.kind}"
        temporary = path.with_name(f".{path.name}")
        if self.kind == ".csv":
            table.to_csv(temporary, index=False)
        else:
            table.to_parquet(temporary, index=False)
        temporary.replace(path)

    def join(self, path):
        """Write the output of all parts; returns how many rows are flagged, or None."""
        temporary = path.with_name(f".{path.name}.tmp")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        try:
            flagged = (self._join_csv if self.kind == ".csv" else self._join_parquet)(temporary)
            if path.exists():
                shutil.copymode(path, temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return flagged

    def _join_csv(self, path):
        flagged = None
        with open(path, "wb") as target:
            for number, part in enumerate(self.paths()):
                content = part.read_bytes()
                header, _, rows = content.partition(b"\n")
                target.write(content if number == 0 else rows)
                if header.endswith(b"is_anomaly"):
                    flagged = (flagged or 0) + rows.count(b",True\n")
        return flagged

    def _join_parquet(self, path):
        import pyarrow.compute
        import pyarrow.parquet

        flagged, paths = None, self.paths()
        with pyarrow.parquet.ParquetWriter(path, pyarrow.parquet.read_schema(paths[0])) as writer:
            for part in paths:
                table = pyarrow.parquet.read_table(part)
                writer.write_table(table)
                if "is_anomaly" in table.column_names:
                    some = pyarrow.compute.sum(table["is_anomaly"]).as_py()
                    flagged = (flagged or 0) + some
        return flagged

    def remove(self):
        remove_own(self.folder, self._is_own)

    def _is_own(self, name):
        parts = rf"\.?\d+-\d+{re.escape(self.kind)}"
        return re.fullmatch(rf"identity|\.identity\.\d+\.partial|{parts}", name) is not None
