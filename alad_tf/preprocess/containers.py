"""Records in any container, as a table whose columns are matched by name."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from alad_tf.data.cells import NULLABLE

WITHOUT_NAMES = "X does not have valid feature names, but {} was fitted with feature names"
WITH_NAMES = "X has feature names, but {} was fitted without feature names"


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of one length, in the order in which they came.

    Attributes:
        source: str, the kind of container, for messages.
        columns: list of arrays or `pandas.Series` (N,).
        names: list of str; None for arrays and lists.
        index: names of the index, which is no column.
    """

    source: str
    columns: list
    names: list | None = None
    index: tuple = ()

    def __len__(self):
        return len(self.columns[0])

    def named(self) -> dict:
        """The columns by name; those of an array are x0, x1, ..."""
        names = self.names or by_position(len(self.columns))
        return dict(zip(names, self.columns, strict=True))

    def select(self, names, who, strangers=False, quiet=False, optional=()) -> dict:
        """The columns that the training rows had, by the names they had there.

        If both sides have names, columns are matched by name, in any order, and others are ignored
        with a warning. If one side has no names, or only numbers, they are matched by position,
        with scikit-learn's warning. `who` names what was fitted. With `strangers`, names are
        ignored, too, if none of them is known. Names in `optional` may be missing.
        """
        names, unnamed = list(names), is_counted(names)
        found = self.named()
        if optional and (set(found) >= set(names) - set(optional) or len(found) < len(names)):
            names = [name for name in names if name not in set(optional) or name in found]
        count = len(names)
        if unnamed and self.names and all(name.isdigit() for name in self.names):
            # as pandas numbers columns: the number is the position
            places = {str(i): name for i, name in enumerate(names)}
            found = {places.get(name, name): column for name, column in found.items()}
        missing = [name for name in names if name not in found]
        if self.names and not missing:
            extra = [name for name in found if name not in set(names)]
            if extra and not quiet:
                some = "1 column" if len(extra) == 1 else f"{len(extra)} columns"
                _warn(f"ignored {some} that the training rows did not have: {listed(extra)}.")
            return {name: found[name] for name in names}
        counted = self.names is not None and is_counted(self.names)
        foreign = len(missing) == count == len(found) and (unnamed or counted or strangers)
        if self.names and not foreign:
            inside = [name for name in missing if name in self.index]
            hint = f" {listed(inside)} is in the index; call reset_index()." if inside else ""
            raise ValueError(
                f"{len(missing)} of {count} columns are missing: {listed(missing)}; received "
                f"{listed(list(found))}. Add the missing columns, or rename those that go by "
                f"another name.{hint}"
            )
        if len(found) != count:
            raise ValueError(
                f"received {self.source} with {len(found)} columns; expected the {count} that the "
                f"training rows had: {listed(names)}."
            )
        if not quiet and self.names and unnamed:
            _warn(WITH_NAMES.format(who))
        elif not quiet and self.names and not counted:
            _warn(
                f"X has the feature names {listed(self.names, 3)}, but {who} was fitted with "
                f"{listed(names, 3)}: columns are matched by position."
            )
        elif not quiet and not unnamed:
            _warn(WITHOUT_NAMES.format(who))
        return dict(zip(names, self.columns, strict=True))


def by_position(count) -> list[str]:
    """Names of columns that have none."""
    return [f"x{i}" for i in range(count)]


def is_counted(names) -> bool:
    """Whether names only say the position, as of a frame that was made of an array."""
    return list(names) in (by_position(len(names)), [str(i) for i in range(len(names))])


def _warn(text):
    warnings.warn(text, stacklevel=3)  # one place: Python shows equal warnings of it once


def is_named(x) -> bool:
    """Whether a container names its columns."""
    return (
        isinstance(x, (Mapping, pd.DataFrame, pd.Series))
        or hasattr(x, "to_pandas")
        or getattr(getattr(x, "dtype", None), "names", None) is not None
        or (isinstance(x, (list, tuple)) and len(x) > 0 and isinstance(x[0], Mapping))
    )


def read_table(x) -> Table:
    """The table in any container.

    A DataFrame of pandas, Polars or Arrow; a mapping from names to columns, or to the values of
    one record, or a Series of these by name; a list of such records; a structured array; an array
    `(N, d)`, or lists of rows.
    """
    if hasattr(x, "toarray"):
        raise ValueError(
            f"received the sparse {describe(x)}; expected a dense array. Convert it with "
            "x.toarray()."
        )
    if hasattr(x, "to_pandas"):  # Polars, Arrow
        x = _to_pandas(x)
    if isinstance(x, pd.Series) and len(x) and all(isinstance(name, str) for name in x.index):
        x = x.to_dict()  # one record: a column's index has numbers
    if isinstance(x, pd.Series):
        raise ValueError(
            f"received {describe(x)}; expected a table. For one record, pass x.to_frame().T; for "
            "one column, x.to_frame()."
        )
    if isinstance(x, (list, tuple)) and len(x) and all(isinstance(row, Mapping) for row in x):
        x = _of_records(x)
    if getattr(getattr(x, "dtype", None), "names", None) is not None:
        x = {name: x[name] for name in x.dtype.names}
    if isinstance(x, pd.DataFrame):
        index = tuple(str(name) for name in x.index.names if name is not None)
        columns = [x.iloc[:, i] for i in range(x.shape[1])]
        return _checked(Table(describe(x), columns, [str(name) for name in x.columns], index))
    if isinstance(x, Mapping):
        return _checked(Table(describe(x), _columns(x), [str(name) for name in x]))
    array = as_array(x)
    if array.ndim != 2:
        hint = " For one row, pass x[None, :]." if array.ndim == 1 and len(array) else ""
        hint = " Pass x.collect()." if hasattr(x, "collect") else hint
        raise ValueError(f"received {describe(x)}; expected a table of shape (N, d).{hint}")
    return _checked(Table(describe(array), list(array.T)))


def _to_pandas(x):
    """A table or column of Polars or Arrow; integers with gaps stay integers, of all digits."""
    if hasattr(x, "to_arrow"):
        try:
            x = x.to_arrow()
        except pa.ArrowInvalid:  # types that Arrow does not have: Polars' integers of 128 bits
            cells = x.to_dict(as_series=False) if hasattr(x, "to_dict") else x.to_list()
            return (pd.DataFrame if isinstance(cells, dict) else pd.Series)(cells, dtype=object)
    if not hasattr(x, "null_count") and not hasattr(x, "column_names"):
        return x.to_pandas()
    return x.to_pandas(types_mapper=NULLABLE.get)


def as_array(x) -> np.ndarray:
    """An array-like without names as an array: cells keep their types, masked ones are gaps."""
    if isinstance(x, np.ma.MaskedArray):
        if x.dtype.kind in "biuf":
            return x.astype(np.float64).filled(np.nan)
        return np.where(np.ma.getmaskarray(x), None, x.data.astype(object))
    if isinstance(x, (Iterator, set, frozenset)):
        raise ValueError(f"received {describe(x)}; expected a table. Pass its rows: list(x).")
    try:
        array = np.asarray(x)
        if array.dtype.kind in "US" and not hasattr(x, "dtype"):
            array = np.array(x, dtype=object)  # NumPy turned the numbers beside text into text
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise ValueError(
            f"received a {type(x).__name__} with rows of different lengths; expected a table "
            "of shape (N, d)."
        ) from error
    return array


def _of_records(records) -> dict:
    names = list(records[0])
    for row, record in enumerate(records):
        if set(record) != set(names):
            odd = sorted(map(str, set(record) ^ set(names)))
            raise ValueError(
                f"row {row} differs from row 0 in the names {listed(odd)}; expected the same "
                "names in every record. Use None for missing values."
            )
    return {name: [record[name] for record in records] for name in names}


def _columns(x: Mapping) -> list:
    """The columns of a mapping. Series keep their types, and are aligned where indexes differ."""
    values = {name: _column(value, name) for name, value in x.items()}
    lengths = {name: len(v) for name, v in values.items() if v is not None}
    count = max(lengths.values(), default=1)  # of one record: 1
    if len(set(lengths.values())) > 1:
        short, long = min(lengths, key=lengths.get), max(lengths, key=lengths.get)
        raise ValueError(
            f"the columns differ in length: {str(short)!r} has {lengths[short]} rows, "
            f"{str(long)!r} has {lengths[long]}; expected one value per row in each."
        )
    for name, value in values.items():
        if value is None:
            values[name] = np.full(count, x[name], None if np.isscalar(x[name]) else object)
    series = {name: x[name] for name in values if isinstance(x[name], pd.Series)}
    indexes = [one.index for one in series.values()]
    if any(not indexes[0].equals(other) for other in indexes[1:]):
        aligned = pd.DataFrame(series)
        if len(aligned) != count:
            raise ValueError(
                "the columns are Series with indexes of different labels; expected the same "
                "index in all. Call reset_index(drop=True) on them, or pass their values."
            )
        values |= {name: aligned[name] for name in series}
    return list(values.values())


def _column(value, name):
    """One column as an array or a Series; None for a single value."""
    if isinstance(value, pd.Series):
        return value
    if hasattr(value, "to_pandas"):
        return _to_pandas(value)
    if isinstance(value, (pd.Categorical, pd.Index, pd.api.extensions.ExtensionArray)):
        return pd.Series(value)
    if isinstance(value, (Iterator, set, frozenset)):
        raise ValueError(f"column {name!r} is {describe(value)}; pass it as a list.")
    if pd.api.types.is_scalar(value):
        return None
    array = as_array(value)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(
            f"column {str(name)!r} has shape {array.shape}; expected (N,), one value per row."
        )
    return array


def _checked(table: Table) -> Table:
    names, width = table.names or (), len(table.columns)
    if len(set(names)) < len(names):
        twice, _ = Counter(names).most_common(1)[0]
        raise ValueError(
            f"received two columns named {twice!r}; expected different names. Rename one of them."
        )
    if not width or not len(table):
        count = len(table) if width else 0
        raise ValueError(
            f"the table is empty: received {count} rows and {width} columns; expected at least one "
            "column and one row."
        )
    return table


def describe(x) -> str:
    """What `x` is, for messages: its type, and its shape if it has one."""
    shape = getattr(x, "shape", None)
    return type(x).__name__ + (f" of shape {tuple(shape)}" if shape is not None else "")


def listed(names: Sequence, most: int = 8) -> str:
    """Names for messages."""
    more = f", ... ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more if names else "none"
