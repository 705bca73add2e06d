"""VectorPreprocessor: scales numeric vectors."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import tensorflow as tf

from alad_tf.preprocess.base import ScalingPreprocessor
from alad_tf.preprocess.columns import finite_numbers
from alad_tf.preprocess.containers import (
    WITHOUT_NAMES,
    as_array,
    by_position,
    describe,
    is_counted,
    is_named,
    read_table,
)


@keras.saving.register_keras_serializable(package="alad_tf")
class VectorPreprocessor(ScalingPreprocessor):
    """Scales columns of `(N, d)` numbers by statistics of the training rows: (x - shift) * scale.

    Columns that are constant in the training rows always give 0 (with "none", their values). Values
    beyond the training range are not clipped, up to 1e15 after scaling, since extreme values are
    what an anomaly score looks for.

    Args:
        scaling: "standard" (mean 0, standard deviation 1), "minmax" ([0, 1]) or "none".
        shift: `(d,)` fitted shift, from a state or config; None before `fit`.
        scale: `(d,)` fitted scale, likewise.
        names: list of str, the columns' names, likewise; None where they have none.
        from_arrays: bool, whether the training rows were an array, with `names` from elsewhere;
            later arrays then cause no warning.
        **kwargs: `name` of the layer.

    Raises:
        ValueError: if the scaling is unknown, or shift and scale have different lengths.

    Example:
        >>> layer = VectorPreprocessor("standard").fit([[1.0, 5.0], [3.0, 5.0]])
        >>> layer.transform([[5.0, 9.0]])
        array([[3., 0.]], dtype=float32)

    Source: the paper states no scaling for KDD99 and uses raw data for Arrhythmia (Zenati et al.
    2018, appendices B and C).
    """

    kind = "vector"
    named = False

    def __init__(
        self,
        scaling: str = "standard",
        shift=None,
        scale=None,
        names=None,
        from_arrays=False,
        **kwargs,
    ):
        super().__init__(scaling, shift, scale, **kwargs)
        self.vocabularies = {}
        self.names = None if names is None else [str(name) for name in names]
        self.from_arrays = from_arrays

    @property
    def output_dim(self) -> int:
        """Number of columns, d."""
        self._require_fitted()
        return int(self.shift.shape[0])

    @property
    def numeric(self) -> list[str]:
        """A name for each column: "x0", "x1", ... where they have none."""
        return self.names or by_position(self.output_dim)

    def _blocks(self) -> list[tuple[str, list[str]]]:
        return [(name, [name]) for name in self.numeric]

    def raw_columns(self, x) -> dict[str, np.ndarray]:
        return dict(zip(self.feature_names, self.check(x).T, strict=True))

    def fit(self, x) -> VectorPreprocessor:
        """Learn shift and scale from the training rows.

        Args:
            x: `(N, d)` numbers, as `check` takes them.

        Returns:
            the layer itself.

        Raises:
            ValueError: as for `check`, or if the layer is fitted already, to another number of
                columns.
        """
        self._fit_numbers(self.check(x))
        if is_named(x) and not self.names:
            names = list(read_table(x).named())
            self.names = None if is_counted(names) else names
        return self

    def check(self, x) -> np.ndarray:
        """Check raw rows and cast them to float64.

        Args:
            x: `(N, d)` array-like of finite numbers, N >= 1, or with names: a DataFrame or a dict
                of columns. If the training rows had names, columns are matched by them; if none of
                the names is known, names are ignored with a warning.

        Returns:
            `(N, d)` float64.

        Raises:
            ValueError: if the rows are not two-dimensional, empty, or of another width than the
                training rows, or values are not finite numbers.
        """
        if is_named(x):
            table = read_table(x)
            own = columns = table.named()
            if self.fitted:
                quiet = self.from_arrays and is_counted(own)
                who = type(self).__name__
                columns = table.select(self.numeric, who, strangers=True, quiet=quiet)
            names = columns if set(columns) <= set(own) else own  # for messages
            named = zip(names, columns.values(), strict=True)
            x = np.stack(
                [finite_numbers(values, f"column {name!r}") for name, values in named], axis=1
            )
        elif self.fitted and self.names and not self.from_arrays:
            warnings.warn(WITHOUT_NAMES.format(type(self).__name__), stacklevel=2)
        array = as_array(x)
        if array.ndim != 2:
            hint = " For one row, pass x[None, :]." if array.ndim == 1 else ""
            hint = hint or (" Convert it with x.toarray()." if hasattr(x, "toarray") else "")
            raise ValueError(f"received {describe(x)}; expected numbers of shape (N, d).{hint}")
        if not array.size:
            raise ValueError(
                f"received an empty table of shape {array.shape}; expected at least one row and "
                "one column."
            )
        if self.fitted and array.shape[1] != self.output_dim:
            raise ValueError(
                f"received {array.shape[1]} columns (shape {array.shape}); expected "
                f"{self.output_dim}, as in the training rows."
            )
        return finite_numbers(array, "x")

    def call(self, inputs: tf.Tensor, double: bool = True) -> tf.Tensor:
        """Scales `(N, d)` numbers that `check` would take; pure TensorFlow."""
        self._require_fitted()
        return self._scaled(inputs, double)

    def _own_config(self) -> dict:
        named = {"names": self.names, "from_arrays": self.from_arrays} if self.names else {}
        return {**super()._own_config(), **named}
