"""VectorPreprocessor: scales numeric vectors."""

from __future__ import annotations

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from alad_tf.preprocess.base import ScalingPreprocessor, fit_scaling
from alad_tf.preprocess.columns import as_numbers, describe


@keras.saving.register_keras_serializable(package="alad_tf")
class VectorPreprocessor(ScalingPreprocessor):
    """Scales each column of `(N, d)` numbers by what the training rows had: (x - shift) * scale.

    Columns that are constant in the training rows always give 0 (but pass under "none"). Values
    beyond the training range are not clipped, up to 1e15 in the scaled unit: being far out is what
    an anomaly score looks for.

    Args:
        scaling: "standard" (mean 0, standard deviation 1), "minmax" ([0, 1]) or "none".
        shift: `(d,)` fitted shift, from a state or config; None before `fit`.
        scale: `(d,)` fitted scale, likewise.
        **kwargs: `name` of the layer.

    Raises:
        ValueError: unknown scaling, or shift and scale of different lengths.

    Example:
        >>> layer = VectorPreprocessor("standard").fit([[1.0, 5.0], [3.0, 5.0]])
        >>> layer.transform([[5.0, 9.0]])
        array([[3., 0.]], dtype=float32)

    Source: the paper does not state its scaling (Zenati et al. 2018, section V-A, appendix B, C).
    """

    kind = "vector"
    named = False

    def __init__(self, scaling: str = "standard", shift=None, scale=None, **kwargs):
        super().__init__(scaling, shift, scale, **kwargs)
        self.vocabularies = {}

    @property
    def output_dim(self) -> int:
        """Number of columns, d."""
        self._require_fitted()
        return int(self.shift.shape[0])

    @property
    def numeric(self) -> list[str]:
        """`["x0", "x1", ...]`, a name for each column."""
        return [f"x{i}" for i in range(self.output_dim)]

    def _blocks(self) -> list[tuple[str, list[str]]]:
        return [(name, [name]) for name in self.numeric]

    def raw_columns(self, x) -> dict[str, np.ndarray]:
        return dict(zip(self.feature_names, self.check(x).T, strict=True))

    def fit(self, x) -> VectorPreprocessor:
        """Learns shift and scale from the training rows.

        Args:
            x: `(N, d)` numbers, as `check` takes them.

        Returns:
            The layer itself.

        Raises:
            ValueError: see `check`; or fitted before to another number of columns.
        """
        self._set_scaling(*fit_scaling(self.check(x), self.scaling))
        return self

    def check(self, x) -> np.ndarray:
        """Checks raw rows and casts them to float64.

        Args:
            x: `(N, d)` array-like or DataFrame of finite numbers, N >= 1.

        Returns:
            `(N, d)` float64.

        Raises:
            ValueError: not two-dimensional, empty, another width than the fitted one, or values
                that are no finite numbers.
        """
        if isinstance(x, pd.DataFrame):
            columns = [
                as_numbers(x.iloc[:, i], f"column {name!r}") for i, name in enumerate(x.columns)
            ]
            x = np.stack(columns, axis=1) if columns else np.zeros((len(x), 0))
        try:
            array = np.asarray(x)
        except ValueError as error:
            raise ValueError(
                f"received a {type(x).__name__} with rows of unequal length; expected (N, d)."
            ) from error
        if array.ndim != 2:
            hint = " For one row, pass x[None, :]." if array.ndim == 1 else ""
            hint = hint or (" Densify with x.toarray()." if hasattr(x, "toarray") else "")
            raise ValueError(f"received {describe(x)}; expected numbers of shape (N, d).{hint}")
        if not array.size:
            raise ValueError(f"the table is empty: shape {array.shape}; expected N, d >= 1.")
        if self.fitted and array.shape[1] != self.output_dim:
            raise ValueError(
                f"received {array.shape[1]} columns (shape {array.shape}), expected "
                f"{self.output_dim}: the columns that the preprocessor was fitted on."
            )
        return as_numbers(array, "x")

    def call(self, inputs: tf.Tensor, double: bool = True) -> tf.Tensor:
        """Scales `(N, d)` numbers that `check` would take; pure TensorFlow."""
        self._require_fitted()
        return self._scaled(inputs, double)
