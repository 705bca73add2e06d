"""MixedPreprocessor: anyone's table, columns of all kinds, with gaps, to one vector a row."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from alad_tf.preprocess.base import FAR, ScalingPreprocessor, fit_scaling, one_hot
from alad_tf.preprocess.columns import (
    MISSING,
    MOST_CATEGORIES,
    as_categories,
    as_numbers,
    is_categorical,
    learn_columns,
    side_by_side,
)
from alad_tf.preprocess.containers import read_table

NEW_GAPS = ("flag", "refuse")  # what is done with a gap in a column that had none
NEW_CATEGORIES = 1 / 200  # of normal rows may hold a category that is new, for it to be news


@keras.saving.register_keras_serializable(package="alad_tf")
class MixedPreprocessor(ScalingPreprocessor):
    """Finds out what each column is, fills gaps, encodes and scales.

    What a column is, the training rows decide, and later rows are read as that: numbers and bools
    are numbers (also Decimals and those among objects); text, intervals and pandas categories of
    whatever kind are categories. Dates and durations are refused. Columns are matched by name in
    any order; what has no names is taken by position, with scikit-learn's warning.

    Numbers are scaled; a gap gets the training rows' median, and a column that has gaps in the
    training rows gets an indicator, 1 where there is one. A gap in a column that had none is news,
    in numbers as in text: it counts as a value as far off as can be, or, by `missing`, is refused.
    Categories become one-hot blocks of their most frequent `MOST_CATEGORIES` values; a gap is a
    value of its own (so is empty text). An unknown value is news as well, if the column is closed:
    it has no more values than that in the training rows, and at most `NEW_CATEGORIES` of these rows
    hold a value that no other row has, which estimates how often normal rows will hold a new one
    (Good and Turing). In other columns it gives zeros. Columns that never vary
    give 0; a later value c' instead of the constant c gives (c' - c) / max(1, |c|).

    Args:
        scaling: "standard", "minmax" or "none", for the numbers.
        names: list of str, all columns in the table's order, from a state; None before `fit`.
        vocabularies: dict of lists of str by categorical column, likewise.
        fill: `(n,)` medians of the numeric columns, likewise.
        gaps: list of bool `(n,)`, which of them have an indicator, likewise.
        shift, scale: `(n,)`, likewise.
        missing: "flag" or "refuse": what a gap is in a column that had none in the training rows.
        closed: list of str, the categorical columns in which an unknown value is news, from a
            state.
        **kwargs: `name` of the layer.

    Raises:
        ValueError: unknown scaling, or unknown `missing`.

    Example:
        >>> table = pd.DataFrame({"size": [1.0, None, 3.0], "kind": ["a", "b", None]})
        >>> layer = MixedPreprocessor().fit(table)
        >>> layer.feature_names
        ['size', 'size (missing)', 'kind=(missing)', 'kind=a', 'kind=b']
        >>> layer.transform(table)[1].tolist()
        [0.0, 1.0, 0.0, 0.0, 1.0]
    """

    kind = "mixed"
    accepts_gaps = True

    def __init__(
        self,
        scaling="standard",
        names=None,
        vocabularies=None,
        fill=None,
        gaps=None,
        shift=None,
        scale=None,
        missing="flag",
        closed=(),
        **kwargs,
    ):
        super().__init__(scaling, shift, scale, **kwargs)
        if missing not in NEW_GAPS:
            raise ValueError(f"unknown missing {missing!r}; expected one of {NEW_GAPS}.")
        self.missing = missing
        self.names = None if names is None else [str(name) for name in names]
        self.vocabularies = {k: list(v) for k, v in (vocabularies or {}).items()}
        self.fill = np.asarray([] if fill is None else fill, np.float64)
        self.gaps = np.asarray([] if gaps is None else gaps, bool)
        self.closed = list(closed)

    @property
    def numeric(self) -> list[str]:
        """Names of the columns of numbers and bools."""
        self._require_fitted()
        return [name for name in self.names if name not in self.vocabularies]

    @property
    def named(self) -> bool:
        """Whether it was fitted on named columns, and not on an array of numbers."""
        return bool(self.vocabularies) or self.names != [f"x{i}" for i in range(len(self.names))]

    @property
    def groups(self) -> dict[str, list[int]]:
        """Which output columns each raw column became: dict of lists of ints."""
        found = super().groups
        return {name: found[name] for name in self.names}

    def _blocks(self) -> list[tuple[str, list[str]]]:
        numeric = self.numeric
        gaps = [name for name, gap in zip(numeric, self.gaps, strict=True) if gap]
        one_hot = [(n, [f"{n}={v}" for v in known]) for n, known in self.vocabularies.items()]
        marks = [(name, [f"{name} (missing)"]) for name in gaps]
        return [*((name, [name]) for name in numeric), *marks, *one_hot]

    def from_request(self, request: dict[str, tf.Tensor]) -> dict:
        columns = super().from_request(request)
        if not isinstance(columns, dict):
            return {"numbers": columns, "categories": []}
        numbers = [columns[name] for name in self.numeric]
        count = tf.shape(next(iter(columns.values())))[0]
        return {
            "numbers": _side_by_side(numbers) if numbers else tf.zeros((count, 0)),
            "categories": [columns[name] for name in self.vocabularies],
        }

    def raw_columns(self, x) -> dict[str, np.ndarray]:
        clean, numeric = self.check(x), self.numeric
        found = dict(zip(numeric, clean["numbers"].T, strict=True))
        found |= dict(zip(self.vocabularies, clean["categories"].T, strict=True))
        return {name: found[name] for name in self.names}

    def fit(self, x, gaps_from=None) -> MixedPreprocessor:
        """Learns columns, medians, vocabularies and scaling from the training rows.

        Args:
            x: `(N, d)` array or list of rows, NaN or None for gaps; or with names: a DataFrame of
                pandas or Polars, a dict of `(N,)` columns, a list of dicts, a structured array.
            gaps_from: None, or more rows as in x, of the same columns, such as those that are held
                out of training: gaps and categories that are there are not news.

        Returns:
            The layer itself.

        Raises:
            ValueError: not a table, no rows or columns, infinite numbers, two columns of one name,
                a column of dates, or one of numbers in which a few cells are text.
            RuntimeError: fitted before.
        """
        if self.fitted:
            raise RuntimeError("this MixedPreprocessor is fitted; make a new one for a new table.")
        columns = learn_columns(x)
        self.names = list(columns)
        others = {} if gaps_from is None else learn_columns(gaps_from)
        more = with_gaps(others)
        numbers = {name: c for name, c in columns.items() if not is_categorical(c)}
        for name, column in columns.items():
            if name not in numbers:
                values = pd.Series(as_categories(column, name))
                most = list(values.value_counts().index)
                if name in others:
                    values = pd.Series(as_categories(others[name], name))
                    most += [value for value in values.unique() if value not in set(most)]
                if MISSING in most or name in more:  # gaps that were seen are not news, if rare
                    most = [MISSING, *(value for value in most if value != MISSING)]
                self.vocabularies[name] = sorted(most[:MOST_CATEGORIES])
                once = (values.value_counts() == 1).sum()
                if len(most) <= MOST_CATEGORIES and once <= NEW_CATEGORIES * len(values):
                    self.closed.append(name)
        block = side_by_side(numbers, len(next(iter(columns.values()))))
        missing = np.isnan(block)
        self.gaps = missing.any(axis=0) | np.array([name in more for name in numbers], bool)
        present = np.where(missing.all(axis=0), 0, block)
        self.fill = np.nanmedian(present, axis=0)
        filled = np.where(missing, self.fill, block)
        self.range = np.array([filled.min(axis=0), filled.max(axis=0)])
        shift, scale = fit_scaling(filled, self.scaling)
        # another value in a column that never varied is news: it counts in the column's own unit
        self._set_scaling(shift, np.where(scale > 0, scale, 1 / np.maximum(1, np.abs(shift))))
        return self

    def check(self, x) -> dict[str, np.ndarray]:
        """Checks raw rows.

        Args:
            x: rows, as for `fit`.

        Returns:
            dict: "numbers" `(N, n)` float64 with NaN for gaps, "categories" `(N, c)` text.

        Raises:
            ValueError: as for `fit`; columns that are missing, or hold text instead of numbers.

        Warns:
            UserWarning: columns that the training rows did not have, which are ignored; names on
                one side alone.
            RuntimeError: not fitted.
        """
        self._require_fitted()
        columns = read_table(x).select(self.names, type(self).__name__)
        length = len(next(iter(columns.values())))
        numbers = {name: as_numbers(columns[name], name) for name in self.numeric}
        texts = [as_categories(columns[k], k, known) for k, known in self.vocabularies.items()]
        empty = np.zeros((length, 0), dtype="<U1")
        numbers = side_by_side(numbers, length)
        if self.missing == "refuse":
            self._refuse_new_gaps(numbers, texts)
        return {"numbers": numbers, "categories": np.stack(texts, axis=1) if texts else empty}

    def _refuse_new_gaps(self, numbers, texts) -> None:
        columns = zip(self.numeric, np.isnan(numbers).T, self.gaps, strict=True)
        missing = {name: rows for name, rows, seen in columns if not seen}
        for (name, known), text in zip(self.vocabularies.items(), texts, strict=True):
            if MISSING not in known:
                missing[name] = text == MISSING
        for name, rows in missing.items():
            if np.any(rows):
                raise ValueError(
                    f"column {name!r} has {int(np.sum(rows))} gaps, the first at row "
                    f"{int(np.argmax(rows))}; it had none in the training rows, and "
                    'missing="refuse" was chosen. Fill in or drop these rows.'
                )

    def call(self, inputs: Mapping[str, tf.Tensor], double: bool = True) -> tf.Tensor:
        """Encodes what `check` returned; pure TensorFlow.

        "categories" may be a list of `(N,)` columns as well, which other runtimes than TensorFlow
        need: TensorFlow Lite stacks no text.
        """
        self._require_fitted()
        dtype = tf.float64 if double else tf.float32
        news = np.float32(FAR if self.missing == "flag" else np.nan)
        numbers = tf.cast(inputs["numbers"], dtype)
        missing = tf.math.is_nan(numbers)
        filled = tf.where(missing, tf.constant(self.fill, dtype), numbers)
        scaled = self._scaled(filled, double)
        blocks = [tf.where(missing & ~self.gaps, news, scaled)]
        if self.gaps.any():
            marks = tf.gather(missing, np.flatnonzero(self.gaps), axis=1)
            blocks.append(tf.cast(marks, tf.float32))
        texts = inputs["categories"]
        if not isinstance(texts, (list, tuple)):
            texts = tf.unstack(texts, len(self.vocabularies), axis=1)
        for column, (name, known) in zip(texts, self.vocabularies.items(), strict=True):
            unknown = FAR if name in self.closed else 0.0
            blocks.append(one_hot(column, known, MISSING, news, unknown))  # in requests "" is a gap
        return tf.concat(blocks, axis=1)  # (N, output_dim)

    def _own_config(self) -> dict:
        return {
            "names": self.names,
            "vocabularies": self.vocabularies if self.fitted else None,
            "fill": self.fill.tolist(),
            "gaps": self.gaps.tolist(),
            "missing": self.missing,
            "closed": self.closed,
            **super()._own_config(),
        }


def with_gaps(columns) -> set[str]:
    """Names of the columns that have gaps; empty text is one."""
    found = set()
    for name, column in columns.items():
        if is_categorical(column):
            missing = as_categories(column, name) == MISSING
        else:
            missing = np.isnan(column)
        if np.any(missing):
            found.add(name)
    return found


def _side_by_side(columns: list[tf.Tensor]) -> tf.Tensor:
    """Columns `(N,)` as `(N, n)`, of float64 if one of them is."""
    dtype = tf.float64 if any(c.dtype == tf.float64 for c in columns) else columns[0].dtype
    return tf.stack([tf.cast(column, dtype) for column in columns], 1)
