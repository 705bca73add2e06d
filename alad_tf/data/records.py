"""Records: a named table of raw rows, before any preprocessing, with the true label of each row."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

RawTable = np.ndarray | Mapping[str, np.ndarray]


def rows(x: RawTable) -> int:
    """The number of rows of a raw table.

    Args:
        x: `(N, ...)` array, or a mapping from column names to `(N,)` arrays.

    Returns:
        int, N.

    Raises:
        ValueError: if a mapping has no columns, or columns of different lengths.

    Example:
        >>> rows({"a": np.zeros(3), "b": np.ones(3)})
        3
    """
    if not isinstance(x, Mapping):
        return len(x)
    lengths = {name: len(column) for name, column in x.items()}
    if not lengths:
        raise ValueError("received a table without columns; expected at least one.")
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"the columns differ in length: {lengths}; expected one value per row in each column."
        )
    return next(iter(lengths.values()))


def take(x: RawTable, indices: np.ndarray) -> RawTable:
    """Some rows of a raw table, in the order of `indices`.

    Args:
        x: `(N, ...)` array, or a mapping from column names to `(N,)` arrays.
        indices: `(M,)` row numbers (int) or an `(N,)` bool mask.

    Returns:
        the same kind of table with M rows (a dict for a mapping).

    Raises:
        IndexError: if an index is outside the table.

    Example:
        >>> take({"a": np.array([1, 2, 3])}, np.array([2, 0]))
        {'a': array([3, 1])}
    """
    if isinstance(x, Mapping):
        return {name: column[indices] for name, column in x.items()}
    return x[indices]


@dataclass(frozen=True, eq=False)
class Records:
    """A data set as it is in its file: raw rows, in file order.

    Args:
        name: str, the data set's name, such as "kdd99".
        x: `(N, d)` float32 array; a dict of raw columns, each `(N,)` text or float32; or uint8
            images `(N, H, W, C)`.
        is_anomaly: `(N,)` bool, True for the rows that a detector should flag.
        labels: `(N,)` array, the file's own classes, such as attack types; None if it has none.

    Raises:
        ValueError: if `x`, `is_anomaly` and `labels` do not have the same number of rows.

    Example:
        >>> records = Records("toy", np.eye(3, dtype="float32"), np.array([False, False, True]))
        >>> len(records.take(np.array([2])))
        1
    """

    name: str
    x: np.ndarray | dict[str, np.ndarray]
    is_anomaly: np.ndarray
    labels: np.ndarray | None = None

    def __post_init__(self) -> None:
        optional = {"is_anomaly": self.is_anomaly, "labels": self.labels}
        for what, values in optional.items():
            if values is not None and rows(self.x) != len(values):
                raise ValueError(
                    f"{self.name}: x has {rows(self.x)} rows and {what} has {len(values)}; "
                    "expected one per row."
                )

    def __len__(self) -> int:
        return len(self.is_anomaly)

    def take(self, indices: np.ndarray) -> Records:
        """The records at `indices`, in that order.

        Args:
            indices: `(M,)` row numbers (int) or an `(N,)` bool mask.

        Returns:
            new `Records` with M rows.

        Raises:
            IndexError: if an index is outside the records.
        """
        labels = None if self.labels is None else self.labels[indices]
        return Records(self.name, take(self.x, indices), self.is_anomaly[indices], labels)


def unknown_name_error(what: str, name: object, known: Iterable[str]) -> ValueError:
    """A ValueError for a name that is not one of `known`, which offers the closest ones.

    Example:
        >>> print(unknown_name_error("dataset", "kdd", ["kdd99", "arrhythmia"]))
        unknown dataset 'kdd'; closest: 'kdd99'; known: 'arrhythmia', 'kdd99'.
    """
    known = sorted(known)
    lowered = {k.lower(): k for k in known}
    close = [lowered[c] for c in difflib.get_close_matches(str(name).lower(), lowered)]
    closest = f"; closest: {', '.join(map(repr, close))}" if close else ""
    return ValueError(f"unknown {what} {name!r}{closest}; known: {', '.join(map(repr, known))}.")
