"""What both preprocessors share: scaling, fitted state, batch-wise transformation."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from alad_tf.data.records import rows, take

SCALINGS = ("standard", "minmax", "none")


def fit_scaling(x: np.ndarray, scaling: str) -> tuple[np.ndarray, np.ndarray]:
    """Shift and scale of each column, for `(x - shift) * scale`.

    "standard" gives mean 0 and (population) standard deviation 1, "minmax" the range [0, 1], "none"
    leaves x alone. Constant columns get scale 0 under "standard" and "minmax": they are 0 whatever
    comes later, since nothing was learnt about another value.

    Args:
        x: `(N, d)` float32 training rows, finite.
        scaling: "standard", "minmax" or "none".

    Returns:
        `(shift, scale)`, each `(d,)` float32.

    Example:
        >>> fit_scaling(np.array([[0, 7], [4, 7]], "float32"), "minmax")
        (array([0., 7.], dtype=float32), array([0.25, 0.  ], dtype=float32))
    """
    if scaling == "none":
        return np.zeros(x.shape[1], np.float32), np.ones(x.shape[1], np.float32)
    # float64 sums of float32 values are exact (up to 2**29 rows): constant columns deviate by 0
    if scaling == "minmax":
        shift = x.min(axis=0).astype(np.float64)
        spread = x.max(axis=0) - shift
    else:
        shift, spread = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    varies = spread > 1.0 / np.finfo(np.float32).max  # the inverse must fit into float32
    scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=varies)
    return shift.astype(np.float32), scale.astype(np.float32)


class Preprocessor(keras.layers.Layer):
    """Base of the preprocessing layers: raw records in, float32 `(N, ...)` out.

    What was fitted is part of the config, so that a config, a `.keras` file and a SavedModel each
    hold a whole preprocessor.

    Args:
        **kwargs: `name` of the layer.

    Example:
        >>> from alad_tf.preprocess import VectorPreprocessor
        >>> VectorPreprocessor("none").fit([[2.0]]).state()["kind"]
        'vector'
    """

    kind: str
    scaling: str

    def __init__(self, **kwargs):
        kwargs |= {"dtype": "float32", "trainable": False}  # whatever the global policy is
        super().__init__(**kwargs)

    @property
    def fitted(self) -> bool:
        """Whether `fit` ran (or a fitted state was loaded)."""
        raise NotImplementedError

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one preprocessed sample."""
        raise NotImplementedError

    def build(self, input_shape=None) -> None:
        """Raises RuntimeError unless fitted: the weights come from `fit`, not from a shape."""
        self._require_fitted()

    def check(self, x):
        """Clean records, as `call` takes them.

        Args:
            x: raw records.

        Returns:
            the array, or the dict of columns, that `call` takes.

        Raises:
            ValueError: records that it cannot take.

        Example:
            >>> from alad_tf.preprocess import VectorPreprocessor
            >>> VectorPreprocessor("none").check([[1, 2]])
            array([[1., 2.]], dtype=float32)
        """
        raise NotImplementedError

    def transform(self, x, batch_size: int = 65536) -> np.ndarray:
        """Checks raw records and turns them into what the networks take.

        Args:
            x: raw records, as `check` takes them.
            batch_size: rows at a time; bounds the memory, has no influence on the result.

        Returns:
            `(N, *output_shape)` float32.

        Raises:
            ValueError: `check` refuses the records, or a batch size below 1.
            RuntimeError: not fitted.
        """
        self._require_fitted()
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected at least 1.")
        x = self.check(x)
        n = rows(x)
        result = np.empty((n, *self.output_shape), np.float32)
        for start in range(0, n, batch_size):
            batch = take(x, slice(start, start + batch_size))
            result[start : start + batch_size] = self(tf.nest.map_structure(tf.constant, batch))
        return result

    def inverse(self, x: np.ndarray) -> np.ndarray:
        """Reconstructions as people look at them; tables stay in preprocessed space.

        Args:
            x: `(N, *output_shape)` float32.

        Returns:
            tables: `x`; images: uint8 `(N, height, width, channels)`.

        Example:
            >>> from alad_tf.preprocess import ImagePreprocessor
            >>> ImagePreprocessor((1, 1, 1)).inverse(np.zeros((1, 1, 1, 1))).ravel().tolist()
            [128]
        """
        return x

    def state(self) -> dict:
        """The fitted preprocessor as JSON-able values; float32 values survive JSON exactly.

        Raises:
            RuntimeError: not fitted.
        """
        self._require_fitted()
        return {"kind": self.kind, **self._own_config()}

    @classmethod
    def from_state(cls, state: dict):
        """The preprocessor that `state()` described.

        Raises:
            ValueError: the state of another kind of preprocessor.
        """
        if state.get("kind") != cls.kind:
            raise ValueError(
                f"received a state of kind {state.get('kind')!r}; {cls.__name__} expected "
                f"{cls.kind!r}. Use preprocessor_from_state(state) for either."
            )
        return cls(**{key: value for key, value in state.items() if key != "kind"})

    def get_config(self) -> dict:
        """Layer config with the fitted state, for `keras.saving`."""
        return {**super().get_config(), **self._own_config()}

    @property
    def groups(self) -> dict[str, list[int]]:
        """Which output columns each raw column became; images have no columns."""
        raise NotImplementedError

    def raw_columns(self, x) -> dict[str, np.ndarray]:
        """The columns of raw records that are used.

        Args:
            x: raw records, as `check` takes them.

        Returns:
            dict of `(N,)` arrays by name: text, or float32.

        Raises:
            ValueError: `check` refuses the records.

        Example:
            >>> from alad_tf.preprocess import VectorPreprocessor
            >>> VectorPreprocessor("none").fit([[2.0]]).raw_columns([[3.0]])
            {'x0': array([3.], dtype=float32)}
        """
        raise NotImplementedError

    def decode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Preprocessed rows as raw columns.

        Args:
            x: `(N, output_dim)` float32.

        Returns:
            dict of `(N,)` arrays by name: numbers in their unit, the likeliest category.

        Example:
            >>> from alad_tf.preprocess import VectorPreprocessor
            >>> layer = VectorPreprocessor("minmax").fit([[2.0], [4.0]])
            >>> layer.decode(np.float32([[0.5]]))
            {'x0': array([3.], dtype=float32)}
        """
        raise NotImplementedError

    def _own_config(self) -> dict:
        raise NotImplementedError

    def _require_fitted(self) -> None:
        if not self.fitted:
            raise RuntimeError(
                f"this {type(self).__name__} is not fitted; call fit with the training rows first."
            )


class ScalingPreprocessor(Preprocessor):
    """Base of the tabular layers, which shift and scale columns.

    The fitted numbers are non-trainable weights (`shift`, `scale`).

    Args:
        scaling: "standard", "minmax" or "none"; see `fit_scaling`.
        shift: `(d,)` fitted shift, or None for a layer that is not fitted yet.
        scale: `(d,)` fitted scale, or None.
        **kwargs: `name` of the layer.

    Raises:
        ValueError: unknown scaling, or shift and scale of different lengths.

    Example:
        >>> from alad_tf.preprocess import VectorPreprocessor
        >>> VectorPreprocessor("minmax").fit([[2.0], [4.0]]).scale.numpy()
        array([0.5], dtype=float32)
    """

    def __init__(self, scaling: str, shift=None, scale=None, **kwargs):
        super().__init__(**kwargs)
        if scaling not in SCALINGS:
            raise ValueError(f"unknown scaling {scaling!r}; expected one of {SCALINGS}.")
        self.scaling = scaling
        self.shift = self.scale = None
        if shift is not None:
            self._set_scaling(np.asarray(shift, np.float32), np.asarray(scale, np.float32))

    @property
    def fitted(self) -> bool:
        """Whether `fit` ran (or a fitted state was loaded)."""
        return self.shift is not None

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one preprocessed row."""
        return (self.output_dim,)

    def _unscale(self, x: np.ndarray) -> np.ndarray:
        """Scaled numbers `(N, n)` in their unit; of a constant column, the constant."""
        shift, scale = self.shift.numpy(), self.scale.numpy()
        return np.divide(x, scale, out=np.zeros_like(x), where=scale != 0) + shift

    def _own_config(self) -> dict:
        fitted = {"shift": None, "scale": None}
        if self.fitted:
            fitted = {name: getattr(self, name).numpy().tolist() for name in fitted}
        return {"scaling": self.scaling, **fitted}

    def _set_scaling(self, shift: np.ndarray, scale: np.ndarray) -> None:
        if shift.ndim != 1 or shift.shape != scale.shape:
            raise ValueError(f"shift {shift.shape} and scale {scale.shape}: expected equal (d,).")
        if not self.fitted:
            frozen = {"shape": shift.shape, "initializer": "zeros", "trainable": False}
            self.shift = self.add_weight(name="shift", **frozen)
            self.scale = self.add_weight(name="scale", **frozen)
        self.shift.assign(shift)
        self.scale.assign(scale)
        self.built = True  # ready for export, without a first call


def likeliest(block: np.ndarray, known: list[str]) -> np.ndarray:
    """The category of each row's highest value in a one-hot block, `(N,)` text."""
    if not known:
        return np.full(len(block), "", dtype="<U1")
    return np.array(known)[block.argmax(axis=1)]
