"""Parsers and downloads of the two raw files, as their official pages distribute them.

KDD Cup 1999, 10% set: https://kdd.ics.uci.edu/databases/kddcup99/kddcup99.html
Arrhythmia: https://archive.ics.uci.edu/dataset/5/arrhythmia

A download needs a server that can be reached, and TensorFlow Datasets.
"""

from __future__ import annotations

import gzip
import os
import socket
import urllib.parse
import urllib.request
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

KDD99_FILE = "kddcup.data_10_percent.gz"
KDD99_URL = "https://ndownloader.figshare.com/files/5976042"
KDD99_ROWS = 494_021
KDD99_COLUMNS = (
    "duration", "protocol_type", "service", "flag", "src_bytes", "dst_bytes", "land",
    "wrong_fragment", "urgent", "hot", "num_failed_logins", "logged_in", "num_compromised",
    "root_shell", "su_attempted", "num_root", "num_file_creations", "num_shells",
    "num_access_files", "num_outbound_cmds", "is_host_login", "is_guest_login", "count",
    "srv_count", "serror_rate", "srv_serror_rate", "rerror_rate", "srv_rerror_rate",
    "same_srv_rate", "diff_srv_rate", "srv_diff_host_rate", "dst_host_count",
    "dst_host_srv_count", "dst_host_same_srv_rate", "dst_host_diff_srv_rate",
    "dst_host_same_src_port_rate", "dst_host_srv_diff_host_rate", "dst_host_serror_rate",
    "dst_host_srv_serror_rate", "dst_host_rerror_rate", "dst_host_srv_rerror_rate",
)  # fmt: skip
KDD99_SYMBOLIC = (
    "protocol_type", "service", "flag", "land", "logged_in", "is_host_login", "is_guest_login",
)  # fmt: skip
ARRHYTHMIA_FILE = "arrhythmia.data"
ARRHYTHMIA_URL = (
    "https://archive.ics.uci.edu/ml/machine-learning-databases/arrhythmia/arrhythmia.data"
)
ARRHYTHMIA_ROWS = 452
_ARRHYTHMIA_FIELDS = 280
_ARRHYTHMIA_INCOMPLETE = (10, 11, 12, 13, 14)  # vector angles and heart rate: "?" in some rows
PORTS = {"http": 80, "https": 443}


def read_kdd99(
    path: str | os.PathLike, expected_rows: int | None = KDD99_ROWS
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Read the KDD Cup 1999 10% set (`kddcup.data_10_percent.gz`).

    Args:
        path: str or Path of the gzip-compressed file; 42 comma-separated fields per row, no header.
        expected_rows: int, the number of rows of a complete file; None accepts any number.

    Returns:
        `(columns, labels)`: the 41 named columns in file order, each `(N,)`: text for the 7
        symbolic ones (`land`, `logged_in`, `is_host_login`, `is_guest_login` as "0"/"1"), float32
        for the 34 continuous ones; and the `(N,)` text labels, such as "normal." or "smurf.".

    Raises:
        FileNotFoundError: if there is no file at `path`.
        ValueError: if the file is not gzip, is cut off, or has a wrong number of fields or rows or
            a field that is not a number.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / KDD99_FILE
        >>> row = b"0,tcp,http,SF" + 37 * b",0" + b",normal.\\n"
        >>> _ = path.write_bytes(gzip.compress(row))  # 494,021 such rows in the real file
        >>> columns, labels = read_kdd99(path, expected_rows=1)
        >>> str(columns["service"][0]), str(labels[0])
        ('http', 'normal.')

    Source: the data set's column list, https://kdd.ics.uci.edu/databases/kddcup99/kddcup.names.
    """
    path = _existing_file(path, KDD99_FILE, KDD99_URL)
    fields = len(KDD99_COLUMNS) + 1
    remedy = f"download {KDD99_FILE} again from {KDD99_URL}"
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            received = len(file.readline().split(","))
        if received != fields:
            raise ValueError(f"row 0 has {received} comma-separated fields, expected {fields}")
        table = pd.read_csv(
            path,
            compression="gzip",
            header=None,
            keep_default_na=False,
            na_values=[""],  # what pandas also makes of the fields that a short row lacks
            dtype={
                i: str if name in (*KDD99_SYMBOLIC, "label") else np.float32
                for i, name in enumerate((*KDD99_COLUMNS, "label"))
            },
        )
    except (EOFError, OSError, zlib.error, ValueError) as error:  # ParserError is a ValueError
        raise ValueError(
            f"{path} is not a readable {KDD99_FILE}: {str(error).strip()}. Expected a gzip file "
            f"with {fields} fields in each row; {remedy}."
        ) from error
    missing = np.flatnonzero(table.isna().any(axis=1).to_numpy())
    if missing.size:
        raise ValueError(
            f"{path}: row {missing[0]} has an empty or cut-off field ({missing.size} such rows in "
            f"all); expected {fields} fields in each row; {remedy}."
        )
    _check_rows(path, len(table), expected_rows, remedy)
    columns = {
        name: _text(table[i]) if name in KDD99_SYMBOLIC else table[i].to_numpy()
        for i, name in enumerate(KDD99_COLUMNS)
    }
    return columns, _text(table[len(KDD99_COLUMNS)])


def read_arrhythmia(
    path: str | os.PathLike, expected_rows: int | None = ARRHYTHMIA_ROWS
) -> tuple[np.ndarray, np.ndarray]:
    """Read the UCI Arrhythmia set (`arrhythmia.data`) without its five incomplete attributes.

    The file has 279 attributes; the paper's Table I has 274 features: those left when the five
    attributes with missing values ("?", 0-based columns 10 to 14) are dropped.

    Args:
        path: str or Path of the comma-separated file; 279 attributes and the class in each row, no
            header.
        expected_rows: int, the number of rows of a complete file; None accepts any number.

    Returns:
        `(x, classes)`: `(N, 274)` float32 features and `(N,)` int64 classes from 1 to 16.

    Raises:
        FileNotFoundError: if there is no file at `path`.
        ValueError: if the number of fields or rows is wrong, a field is not a number, a value is
            missing outside the five columns, or a class is not from 1 to 16.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / ARRHYTHMIA_FILE
        >>> _ = path.write_text(",".join(["1"] * 280))  # 452 such rows in the real file
        >>> x, classes = read_arrhythmia(path, expected_rows=1)
        >>> x.shape, classes.tolist()
        ((1, 274), [1])

    Source: https://archive.ics.uci.edu/dataset/5/arrhythmia; Zenati et al. 2018, Table I.
    """
    path = _existing_file(path, ARRHYTHMIA_FILE, ARRHYTHMIA_URL)
    remedy = f"download {ARRHYTHMIA_FILE} again from {ARRHYTHMIA_URL}"
    try:
        table = pd.read_csv(path, header=None, na_values="?", dtype=np.float64).to_numpy()
    except (OSError, ValueError) as error:  # pandas' ParserError and EmptyDataError are ValueErrors
        raise ValueError(
            f"{path} is not a readable {ARRHYTHMIA_FILE}: {str(error).strip()}. Expected "
            f"{_ARRHYTHMIA_FIELDS} comma-separated numbers (or '?') in each row; {remedy}."
        ) from error
    if table.shape[1] != _ARRHYTHMIA_FIELDS:
        raise ValueError(
            f"{path}: row 0 has {table.shape[1]} comma-separated fields, expected "
            f"{_ARRHYTHMIA_FIELDS} (279 attributes and the class); {remedy}."
        )
    complete = np.delete(table, _ARRHYTHMIA_INCOMPLETE, axis=1)  # (N, 275), the class last
    missing = np.argwhere(np.isnan(complete))
    if missing.size:
        raise ValueError(
            f"{path}: row {missing[0][0]} has a missing or cut-off field outside columns 10 "
            f"to 14 ({len(missing)} in all); expected '?' in these five columns only; "
            f"{remedy}."
        )
    _check_rows(path, len(table), expected_rows, remedy)
    classes = complete[:, -1]
    wrong = np.flatnonzero(~np.isin(classes, np.arange(1, 17)))
    if wrong.size:
        raise ValueError(
            f"{path}: row {wrong[0]} has class {classes[wrong[0]]:g}, expected 1 to 16; {remedy}."
        )
    return complete[:, :-1].astype(np.float32), classes.astype(np.int64)


def manual_or_download(dl_manager, file_name: str, url: str) -> os.PathLike:
    """The raw file from TFDS's manual-download folder; if it is not there, it is downloaded.

    A manual copy is judged by its content (the parsers count its rows), not by its sha256:
    mirrors compress the same rows differently.
    """
    try:
        manual = dl_manager.manual_dir
    except AssertionError:  # how TFDS says that the manual folder is missing or empty
        manual = dl_manager.download_dir / "manual"
    if (manual / file_name).exists():
        return manual / file_name
    try:
        require_reachable(url, dl_manager.download_dir)
        return dl_manager.download(url)
    except Exception as error:  # TFDS, requests and the system each have their own kinds
        raise ConnectionError(
            f"could not download {url}: {type(error).__name__}: {error}. Download the file "
            f"{file_name} yourself into {manual} and try again, or into a folder of your own "
            "and pass that as data_dir."
        ) from error


def _existing_file(path: str | os.PathLike, file_name: str, url: str) -> Path:
    path = Path(path).expanduser()
    if path.is_file():
        return path
    received = "is a folder" if path.is_dir() else "does not exist"
    raise FileNotFoundError(
        f"{path} {received}; expected the file {file_name}. Download it from {url}, or correct "
        "the path."
    )


def _check_rows(path: Path, received: int, expected: int | None, remedy: str) -> None:
    if expected is not None and received != expected:
        raise ValueError(
            f"{path} has {received:,} rows, expected {expected:,}: it is truncated, or it "
            f"is a different file; {remedy}."
        )


def _text(column: pd.Series) -> np.ndarray:
    """Fixed-width text, (N,): compact, and sortable and comparable without Python objects."""
    return column.to_numpy(dtype=object).astype(str)


def require_reachable(url, downloads, timeout_s=10.0):
    """Raise `ConnectionError` at once if an address's server cannot be reached.

    TensorFlow Datasets retries a download for more than three minutes before it gives up. Nothing
    is checked if it may not need the server: behind a proxy, or if it keeps files of earlier
    downloads, which may include this one.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in PORTS or parts.scheme in urllib.request.getproxies():
        return
    if any(path.is_file() for path in Path(downloads).rglob("*")):
        return
    place = (parts.hostname, parts.port or PORTS[parts.scheme])
    try:
        socket.create_connection(place, timeout_s).close()
    except OSError as error:
        raise ConnectionError(f"{parts.hostname} cannot be reached ({error})") from error


def no_tfds_error(what, error, otherwise=""):
    """The error if TensorFlow Datasets cannot be imported, with a remedy."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    remedy = "install it: pip install tensorflow-datasets importlib_resources"
    if "protobuf" in reason.lower():  # tensorflow-metadata does not say which protobuf it needs
        remedy = "use an older tensorflow-metadata: pip install 'tensorflow-metadata<1.18'"
    return ImportError(
        f"{what} needs TensorFlow Datasets, which cannot be imported ({reason}). To fix "
        f"this, {remedy}{otherwise}."
    )
