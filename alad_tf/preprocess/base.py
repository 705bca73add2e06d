"""What the preprocessors share: fitted state, batches, scaling, what an export takes."""

from __future__ import annotations

import itertools
import keyword
import re
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from alad_tf.data.records import rows, take

SCALINGS = ("standard", "minmax", "none")
UNSEEN = "\N{EM DASH}unseen\N{EM DASH}"  # in samples: a category that no training row had


class Encoding(NamedTuple):
    """Records as bytes: the name of the input that takes them, and both directions."""

    input: str
    decode: Callable  # string tensor (N,) -> a request: tensors by input
    encode: Callable  # raw records -> list of bytes (N,)


class Preprocessor(keras.layers.Layer):
    """Base of the preprocessing layers: raw records in, float32 `(N, ...)` out.

    What was fitted is part of the config, so that a config, a `.keras` file and a SavedModel each
    hold a whole preprocessor.

    Args:
        **kwargs: `name` of the layer.
    """

    kind: str
    scaling: str
    accepts_gaps = False  # whether values may be missing

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

    @property
    def groups(self) -> dict[str, list[int]]:
        """Which output columns each raw column became; images have no columns."""
        return {}

    def build(self, input_shape=None) -> None:
        """Raises RuntimeError unless fitted: the weights come from `fit`, not from a shape."""
        self._require_fitted()

    def check(self, x):
        """Checks raw records.

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

    def inverse(self, x):
        """Reconstructions as people look at them.

        Args:
            x: `(N, *output_shape)` float32, an array or a tensor.

        Returns:
            an array or tensor, as `x` is: of tables `x` itself, in preprocessed space; of images
            uint8 `(N, height, width, channels)`, rounded, values beyond [-1, 1] clipped.

        Example:
            >>> from alad_tf.preprocess import ImagePreprocessor
            >>> ImagePreprocessor((1, 1, 1)).inverse(np.zeros((1, 1, 1, 1), "float32")).tolist()
            [[[[128]]]]
        """
        return x

    def raw_columns(self, x) -> dict[str, np.ndarray]:
        """The columns of raw records that are used; images have none.

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
        return {}

    def decode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Preprocessed rows as raw columns; images have none.

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
        return {}

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

    # ------------------------------------------------ what an export of it takes

    def signature(self) -> dict[str, tf.TensorSpec]:
        """The inputs of an export.

        Returns:
            dict of `tf.TensorSpec` by the input's name.

        Example:
            >>> from alad_tf.preprocess import ImagePreprocessor
            >>> ImagePreprocessor((8, 8, 3)).signature()["images"].shape
            TensorShape([None, 8, 8, 3])
        """
        raise NotImplementedError

    def input_columns(self) -> dict[str, str] | None:
        """The column of each input, or None where one input takes whole records."""
        return None

    def request(self, records) -> dict[str, np.ndarray]:
        """Raw records as an export takes them: arrays by input."""
        columns = self.input_columns()
        if columns is None:
            return dict.fromkeys(self.signature(), records)
        return {name: np.asarray(records[column]) for name, column in columns.items()}

    def from_request(self, request: dict[str, tf.Tensor]):
        """A request of an export as `call` takes it.

        Args:
            request: dict of tensors by input.

        Returns:
            a tensor, or a dict of tensors.

        Example:
            >>> from alad_tf.preprocess import VectorPreprocessor
            >>> layer = VectorPreprocessor("none").fit([[2.0]])
            >>> layer.from_request(layer.request([[3.0]]))
            [[3.0]]
        """
        columns = self.input_columns()
        if columns is None:
            (records,) = request.values()
            return records
        return {columns[name]: values for name, values in request.items()}

    def sample(self, count: int, reach: float = 1):
        """Random raw records within the range of the training rows.

        Args:
            count: N; if above 1, a table's last row has categories that nobody has seen, and gaps
                where the training rows had some.
            reach: above 1 the rows of a table leave that range in all directions, the last one
                this many times as far.

        Returns:
            images: uint8 `(N, height, width, channels)`; arrays: float32 `(N, d)`; tables: dict of
            `(N,)` columns.

        Example:
            >>> from alad_tf.preprocess import ImagePreprocessor
            >>> ImagePreprocessor((8, 8, 2)).sample(3).shape
            (3, 8, 8, 2)
        """
        raise NotImplementedError

    def encodings(self) -> dict[str, Encoding]:
        """The signatures of an export that take records as bytes.

        Returns:
            dict by signature of `Encoding`; empty for images that no picture format holds.

        Example:
            >>> from alad_tf.preprocess import ImagePreprocessor
            >>> list(ImagePreprocessor((8, 8, 3)).encodings())
            ['serialized_examples', 'encoded_images']
        """
        return {"serialized_examples": Encoding("examples", self._parse, self._serialize)}

    def _parse(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Serialized `tf.Example`s as a request; an absent feature is a gap where it may be."""
        features = {}
        for name, spec in self.signature().items():
            shape = spec.shape[1:]
            gap = "" if spec.dtype == tf.string else np.full(shape, np.nan, "float32")
            default = gap if self.accepts_gaps else None
            features[name] = tf.io.FixedLenFeature(shape, spec.dtype, default)
        return tf.io.parse_example(examples, features)

    def _serialize(self, records) -> list[bytes]:
        request = self.request(records)
        each = zip(*request.values(), strict=True)
        return [serialized_example(dict(zip(request, values, strict=True))) for values in each]

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

    Attributes:
        named: bool, whether columns have names of their own; else records are arrays.
        numeric: list of str, the columns of numbers in `shift`'s order.
        vocabularies: dict of lists of str by categorical column.

    Raises:
        ValueError: unknown scaling, or shift and scale of different lengths.
    """

    named: bool
    numeric: list[str]
    vocabularies: dict[str, list[str]]

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

    @property
    def output_dim(self) -> int:
        """Number of output columns."""
        return len(self.feature_names)

    @property
    def feature_names(self) -> list[str]:
        """One name per output column: "service=http" for one-hot columns."""
        return [feature for _, features in self._blocks() for feature in features]

    @property
    def groups(self) -> dict[str, list[int]]:
        """Which output columns each raw column became: dict of lists of ints."""
        positions, found = itertools.count(), {}
        for column, features in self._blocks():
            found.setdefault(column, []).extend(next(positions) for _ in features)
        return found

    def _blocks(self) -> list[tuple[str, list[str]]]:
        """The output from left to right: raw columns, each with the names of its features."""
        raise NotImplementedError

    def decode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        groups = self.groups
        numbers = self._unscale(x[:, [groups[name][0] for name in self.numeric]])
        columns = dict(zip(self.numeric, numbers.T, strict=True))
        for name, known in self.vocabularies.items():
            columns[name] = likeliest(x[:, groups[name]], known)
        return {name: columns[name] for name in groups}

    def signature(self) -> dict[str, tf.TensorSpec]:
        columns = self.input_columns()
        if columns is None:
            return {"x": tf.TensorSpec((None, self.shift.shape[0]), tf.float32)}
        text = self.vocabularies
        dtypes = {n: tf.string if column in text else tf.float32 for n, column in columns.items()}
        return {name: tf.TensorSpec((None,), dtype) for name, dtype in dtypes.items()}

    def input_columns(self) -> dict[str, str] | None:
        return input_names([*self.vocabularies, *self.numeric]) if self.named else None

    def sample(self, count: int, reach: float = 1):
        generator = np.random.default_rng(count)
        shift, scale = self.shift.numpy(), self.scale.numpy()
        spread = 1.0 / np.where(scale > 0, scale, 1.0)
        away = generator.uniform(-1 if reach > 1 else 0, 1, (count, len(shift)))
        away *= np.geomspace(1, reach, count)[:, np.newaxis]
        numbers = (shift + away * spread).astype("float32")
        if self.accepts_gaps and count > 1:
            numbers[-1, self.gaps] = np.nan
        if not self.named:
            return numbers
        texts = {k: generator.choice(known, count) for k, known in self.vocabularies.items()}
        if count > 1:
            texts = {k: np.append(v[1:], UNSEEN) for k, v in texts.items()}
        return {**texts, **dict(zip(self.numeric, numbers.T, strict=True))}

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


def fit_scaling(x: np.ndarray, scaling: str) -> tuple[np.ndarray, np.ndarray]:
    """Shift and scale `(d,)` of each column of `(N, d)` float32 rows, for `(x - shift) * scale`.

    "standard" gives mean 0 and (population) standard deviation 1, "minmax" the range [0, 1], "none"
    leaves x alone. Constant columns get scale 0 under "standard" and "minmax": they are 0 whatever
    comes later, since nothing was learnt about another value.
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


def likeliest(block: np.ndarray, known: list[str]) -> np.ndarray:
    """The category of each row's highest value in a one-hot block, `(N,)` text."""
    if not known:
        return np.full(len(block), "", dtype="<U1")
    return np.array(known)[block.argmax(axis=1)]


def one_hot(column: tf.Tensor, known, gap: str | None = None) -> tf.Tensor:
    """`(N,)` text as a float32 block `(N, len(known))`; an unknown value gives zeros.

    Comparing needs no lookup table, which a SavedModel would have to initialise and which no
    `tf.function` could create. Empty text counts as the category `gap`.
    """
    column = tf.reshape(column, (-1, 1))  # (N, 1)
    same = tf.equal(column, tf.constant([list(known)]))
    if gap in known:
        same = same | (tf.equal(column, "") & tf.constant([[value == gap for value in known]]))
    return tf.cast(same, tf.float32)


def input_names(columns) -> dict[str, str]:
    """Columns by their names as inputs of an export, which have ASCII letters, digits and "_".

    Columns that would be one input get a number: "x%" and "x$" are `x_` and `x__2`.
    """
    named = {}
    for column in columns:
        name = re.sub(r"\W", "_", str(column), flags=re.ASCII)
        if not name[:1].isalpha() or keyword.iskeyword(name) or name == "self":
            name = f"column_{name}"
        named[column] = name
    # a column whose name needs no change keeps it; others that would be one input are counted
    taken, found = {name for column, name in named.items() if name == str(column)}, {}
    for column, name in named.items():
        fresh, number = name, 1
        while name != str(column) and fresh in taken:
            number += 1
            fresh = f"{name}_{number}"
        taken.add(fresh)
        found[fresh] = column
    return found


def serialized_example(features: dict) -> bytes:
    """One record's values by name, numbers, text or bytes, as a serialized `tf.Example`."""

    def feature(value):
        if isinstance(value, (bytes, str)):
            content = value if isinstance(value, bytes) else value.encode()
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[content]))
        return tf.train.Feature(float_list=tf.train.FloatList(value=np.ravel(value)))

    found = {name: feature(value) for name, value in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=found)).SerializeToString()
