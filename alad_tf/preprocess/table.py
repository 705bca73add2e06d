"""TablePreprocessor: one-hot categories and scaled numbers, from named raw columns."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from alad_tf.preprocess.base import ScalingPreprocessor, one_hot
from alad_tf.preprocess.columns import as_columns


@keras.saving.register_keras_serializable(package="alad_tf")
class TablePreprocessor(ScalingPreprocessor):
    """Encodes named raw columns as one vector: one-hot blocks, then scaled numbers.

    A category that is not in the vocabulary gives a block of zeros, "none of the known ones";
    `check` and `transform` warn about such rows. One-hot values are 0 and 1 with every scaling.

    Args:
        categorical: names of the columns to one-hot encode; text, bools or numbers.
        continuous: names of the columns to scale.
        scaling: "standard", "minmax" or "none", for the continuous columns.
        vocabularies: known values of each categorical column, from a state or config; None before
            `fit`.
        shift: `(len(continuous),)` fitted shift, likewise.
        scale: `(len(continuous),)` fitted scale, likewise.
        **kwargs: `name` of the layer.

    Raises:
        ValueError: if there are no columns, a name occurs twice, the scaling is unknown, or the
            state does not fit.

    Example:
        >>> layer = TablePreprocessor(["flag"], ["bytes"], scaling="minmax")
        >>> layer.fit({"flag": ["SF", "S0"], "bytes": [0, 10]}).feature_names
        ['flag=S0', 'flag=SF', 'bytes']
        >>> layer.transform({"flag": ["SF"], "bytes": [5]})
        array([[0. , 1. , 0.5]], dtype=float32)

    Source: Zenati et al. 2018, Table I: the 121 features of KDD99.
    """

    kind = "table"
    named = True

    def __init__(
        self,
        categorical: Sequence[str],
        continuous: Sequence[str],
        scaling: str = "standard",
        vocabularies: Mapping[str, Sequence[str]] | None = None,
        shift=None,
        scale=None,
        **kwargs,
    ):
        for what, value in (("categorical", categorical), ("continuous", continuous)):
            if isinstance(value, str):
                raise ValueError(f"received {what}={value!r}; expected a list of column names.")
        names = [*categorical, *continuous]
        twice = sorted({name for name in names if names.count(name) > 1})
        if not names or twice:
            raise ValueError(
                f"received the columns {twice} twice; expected each name once, in "
                "categorical or in continuous."
                if twice
                else "received no column names; expected at least one column."
            )
        if (vocabularies is None) != (shift is None):
            raise ValueError(
                "received only some of vocabularies, shift and scale; expected all of them, or "
                "none."
            )
        super().__init__(scaling, shift, scale, **kwargs)
        self.categorical, self.continuous = tuple(categorical), tuple(continuous)
        self._vocabularies = ()  # one tuple of text per categorical column
        if vocabularies is not None:
            if set(vocabularies) != set(categorical) or self.shift.shape[0] != len(continuous):
                raise ValueError(
                    f"received vocabularies of {list(vocabularies)} and {self.shift.shape[0]} "
                    f"scales; expected those of {names}."
                )
            self._vocabularies = tuple(tuple(vocabularies[name]) for name in categorical)

    @property
    def vocabularies(self) -> dict[str, list[str]]:
        """Known values of each categorical column, sorted."""
        self._require_fitted()
        return {
            name: list(known)
            for name, known in zip(self.categorical, self._vocabularies, strict=True)
        }

    @property
    def numeric(self) -> list[str]:
        """Names of the continuous columns."""
        return list(self.continuous)

    def _blocks(self) -> list[tuple[str, list[str]]]:
        one_hot = [(n, [f"{n}={v}" for v in known]) for n, known in self.vocabularies.items()]
        return [*one_hot, *((name, [name]) for name in self.continuous)]

    def raw_columns(self, x) -> dict[str, np.ndarray]:
        return as_columns(x, self.categorical, self.continuous)

    def fit(self, columns, vocabulary_from=None) -> TablePreprocessor:
        """Learn vocabularies and scaling from the training rows.

        Args:
            columns: the training rows, as `check` takes them.
            vocabulary_from: rows, as `check` takes them, from which to take the vocabularies: the
                whole table, if all possible values are known in advance. Default: the training
                rows.

        Returns:
            the layer itself.

        Raises:
            ValueError: as for `check`; or if a training value is not in `vocabulary_from`, or the
                layer is fitted already, to other values.
        """
        clean = as_columns(columns, self.categorical, self.continuous)
        source = clean
        if vocabulary_from is not None:
            source = as_columns(vocabulary_from, self.categorical, ())
        known = tuple(tuple(sorted(_unique(source[name]))) for name in self.categorical)
        for name, values in zip(self.categorical, known, strict=True):
            extra = _unique(clean[name]) - set(values)
            if extra:
                raise ValueError(
                    f"column {name!r} has {len(extra)} training value(s) that "
                    f"vocabulary_from lacks, such as {min(extra)!r}; expected a table that "
                    "includes the training rows."
                )
        if self.fitted and known != self._vocabularies:
            raise ValueError(
                "This TablePreprocessor is fitted already, to other categories, and its "
                "outputs may be in use. Make a new one for another table."
            )
        n = len(next(iter(clean.values())))
        numbers = np.empty((n, len(self.continuous)))
        for i, name in enumerate(self.continuous):
            numbers[:, i] = clean[name]
        self._fit_numbers(numbers)
        self._vocabularies = known
        return self

    def check(self, x) -> dict[str, np.ndarray]:
        """Check raw columns, and warn once about all categories that `fit` did not see.

        Args:
            x: dict of `(N,)` or `(N, 1)` columns, or a DataFrame, N >= 1; columns that the
                preprocessor does not use are ignored, with a warning.

        Returns:
            dict of `(N,)` columns: text for categorical ones, float64 for continuous ones.

        Raises:
            ValueError: if a column is missing, lengths differ, there are no rows, values are
                missing or infinite, or a continuous column has text.
            RuntimeError: not fitted.
        """
        self._require_fitted()
        clean = as_columns(x, self.categorical, self.continuous, quiet=False)
        notes = []
        for name, known in self.vocabularies.items():
            unknown = sorted(_unique(clean[name]) - set(known))
            if unknown:
                count = int(np.isin(clean[name], unknown).sum())
                some = ", ".join(map(repr, unknown[:3])) + (", ..." if len(unknown) > 3 else "")
                notes.append(
                    f"{count} of {len(clean[name])} rows have a value of {name!r} that the "
                    f"training table did not have ({some})"
                )
        if notes:
            warnings.warn(
                "; ".join(notes) + ": encoded as none of the known values (zeros).",
                stacklevel=2,
            )
        return clean

    def call(self, inputs: Mapping[str, tf.Tensor], double: bool = True) -> tf.Tensor:
        """Encodes a dict of `(N,)` columns that `check` returned; pure TensorFlow."""
        blocks = [one_hot(inputs[name], known) for name, known in self.vocabularies.items()]
        if self.continuous:
            dtype = tf.float64 if double else tf.float32
            numbers = [
                tf.cast(tf.reshape(inputs[name], (-1, 1)), dtype) for name in self.continuous
            ]
            blocks.append(self._scaled(tf.concat(numbers, axis=1), double))
        return tf.concat(blocks, axis=1)  # (N, output_dim)

    def _own_config(self) -> dict:
        return {
            "categorical": list(self.categorical),
            "continuous": list(self.continuous),
            "vocabularies": self.vocabularies if self.fitted else None,
            **super()._own_config(),
        }


def _unique(column: np.ndarray) -> set[str]:
    # hashing Python text beats NumPy's sort by far on half a million rows
    return set(pd.unique(column.astype(object)))
