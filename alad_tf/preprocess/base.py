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

from alad_tf.data.cells import MARKS
from alad_tf.data.records import rows, take

SCALINGS = ("standard", "minmax", "none")
FAR = 1e15  # largest value in preprocessed space; values beyond are set to it
REST = "_rest"  # suffix of a `tf.Example`'s feature: a float64 number minus its float32 part
MOST_OFFSET = 100  # in units of the spread: beyond it, float32 would round a column's values
ROUNDING = 64 * np.finfo(np.float64).eps  # of a column's largest value
MISSING = "(missing)"  # the category of a gap
UNSEEN = "\N{EM DASH}unseen\N{EM DASH}"  # in samples: a category that no training row had


class Encoding(NamedTuple):
    """Records as bytes: the name of the input that takes them, and both directions."""

    input: str
    decode: Callable  # string tensor (N,) -> a request: tensors by input
    encode: Callable  # raw records -> list of bytes (N,)


class Preprocessor(keras.layers.Layer):
    """Base of the preprocessing layers: raw records in, float32 `(N, ...)` out.

    The fitted state is part of the config, so that a config, a `.keras` file and a SavedModel each
    contain a complete preprocessor.

    Args:
        **kwargs: `name` of the layer.
    """

    kind: str
    scaling: str
    accepts_gaps = False  # whether values may be missing

    def __init__(self, **kwargs):
        # not the global policy; numbers keep their digits until they are centred
        kwargs |= {"dtype": "float32", "trainable": False, "autocast": False}
        super().__init__(**kwargs)

    @property
    def fitted(self) -> bool:
        """Whether `fit` was called (or a fitted state loaded)."""
        raise NotImplementedError

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one preprocessed sample."""
        raise NotImplementedError

    @property
    def groups(self) -> dict[str, list[int]]:
        """The output columns of each raw column; images have no columns."""
        return {}

    def build(self, input_shape=None) -> None:
        """Raises RuntimeError unless fitted: the weights come from `fit`, not from a shape."""
        self._require_fitted()

    def check(self, x):
        """Check raw records.

        Args:
            x: raw records.

        Returns:
            the array, or the dict of columns, that `call` takes.

        Raises:
            ValueError: if it cannot use the records.

        Example:
            >>> from alad_tf.preprocess import VectorPreprocessor
            >>> VectorPreprocessor("none").check([[1, 2]])
            array([[1., 2.]])
        """
        raise NotImplementedError

    def transform(self, x, batch_size: int = 65536) -> np.ndarray:
        """Check raw records and convert them to the networks' input.

        Args:
            x: raw records, as `check` takes them.
            batch_size: int, rows at a time; limits the memory and does not change the result.

        Returns:
            `(N, *output_shape)` float32.

        Raises:
            ValueError: if `check` refuses the records, or the batch size is below 1.
            RuntimeError: if it is not fitted.
        """
        self._require_fitted()
        if batch_size < 1:
            raise ValueError(f"received batch_size={batch_size}; expected at least 1.")
        x = self.check(x)
        n = rows(x)
        result = np.empty((n, *self.output_shape), np.float32)
        for start in range(0, n, batch_size):
            batch = take(x, slice(start, start + batch_size))
            result[start : start + batch_size] = self(tf.nest.map_structure(tf.constant, batch))
        return result

    def inverse(self, x):
        """Convert reconstructions to a form for display.

        Args:
            x: `(N, *output_shape)` float32, an array or a tensor.

        Returns:
            an array or tensor, as `x` is. Tables: `x` itself, in preprocessed space; images: uint8
            `(N, height, width, channels)`, rounded, with values beyond [-1, 1] clipped.

        Example:
            >>> from alad_tf.preprocess import ImagePreprocessor
            >>> ImagePreprocessor((1, 1, 1)).inverse(np.zeros((1, 1, 1, 1), "float32")).tolist()
            [[[[128]]]]
        """
        return x

    def raw_columns(self, x) -> dict[str, np.ndarray]:
        """The columns of raw records that are used; none for images.

        Args:
            x: raw records, as `check` takes them.

        Returns:
            dict of `(N,)` arrays by name: text, or float64.

        Raises:
            ValueError: if `check` refuses the records.

        Example:
            >>> from alad_tf.preprocess import VectorPreprocessor
            >>> VectorPreprocessor("none").fit([[2.0]]).raw_columns([[3.0]])
            {'x0': array([3.])}
        """
        return {}

    def notes(self, x: np.ndarray, observed: dict) -> dict[str, np.ndarray]:
        """Notes on values that are anomalous by themselves; none for images.

        Args:
            x: `(N, output_dim)` float32, preprocessed rows.
            observed: dict, the result of `raw_columns` for them.

        Returns:
            dict of `(N,)` text by column, for the columns that have such a value: "category never
            seen", "never missing in training", "too extreme", or empty.

        Example:
            >>> from alad_tf.preprocess import MixedPreprocessor
            >>> layer = MixedPreprocessor().fit({"kind": ["a", "b"] * 9})
            >>> rows = {"kind": ["a", "c"]}
            >>> layer.notes(layer.transform(rows), layer.raw_columns(rows))["kind"].tolist()
            ['', 'category never seen']
        """
        return {}

    def decode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Preprocessed rows as raw columns; none for images.

        Args:
            x: `(N, output_dim)` float32.

        Returns:
            dict of `(N,)` arrays by name: numbers in the columns' own units, and the most likely
            category.

        Example:
            >>> from alad_tf.preprocess import VectorPreprocessor
            >>> layer = VectorPreprocessor("minmax").fit([[2.0], [4.0]])
            >>> layer.decode(np.float32([[0.5]]))
            {'x0': array([3.])}
        """
        return {}

    def within_range(self, x: np.ndarray) -> np.ndarray:
        """Preprocessed rows, clipped to the range of the training rows as far as it is known.

        Args:
            x: `(N, *output_shape)` float32.

        Returns:
            float32 of the same shape: numbers between the smallest and the largest of the training
            rows in that column, and exactly one category in each categorical column.

        Example:
            >>> from alad_tf.preprocess import VectorPreprocessor
            >>> layer = VectorPreprocessor("none").fit([[2.0], [4.0]])
            >>> layer.within_range(np.float32([[-3.5], [2.5]])).tolist()
            [[2.0], [2.5]]
        """
        return x

    def state(self) -> dict:
        """The fitted preprocessor as values that JSON can represent; numbers are preserved exactly.

        Raises:
            RuntimeError: if it is not fitted.
        """
        self._require_fitted()
        return {"kind": self.kind, **self._own_config()}

    @classmethod
    def from_state(cls, state: dict):
        """Make a preprocessor from the result of `state()`.

        Raises:
            ValueError: if the state is that of another kind of preprocessor.
        """
        if state.get("kind") != cls.kind:
            raise ValueError(
                f"received a state of kind {state.get('kind')!r}; {cls.__name__} expects "
                f"{cls.kind!r}. Use preprocessor_from_state(state), which takes both."
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
        """Raw records in the form that an export takes: arrays by input."""
        columns = self.input_columns()
        if columns is None:
            return dict.fromkeys(self.signature(), records)
        return {name: np.asarray(records[column]) for name, column in columns.items()}

    def from_request(self, request: dict[str, tf.Tensor]):
        """A request to an export in the form that `call` takes.

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
            count: int, N; if above 1, a table's last row has unknown categories, and missing values
                where the training rows had some.
            reach: float; above 1, the rows of a table leave that range in all directions, the last
                one this many times as far.

        Returns:
            Images: uint8 `(N, height, width, channels)`; arrays: `(N, d)`; tables: dict of `(N,)`
            columns. Numbers have the signature's dtypes.

        Example:
            >>> from alad_tf.preprocess import ImagePreprocessor
            >>> ImagePreprocessor((8, 8, 2)).sample(3).shape
            (3, 8, 8, 2)
        """
        raise NotImplementedError

    def encodings(self) -> dict[str, Encoding]:
        """The signatures of an export that take records as bytes.

        Returns:
            dict by signature of `Encoding`; empty for images that no image format can store.

        Example:
            >>> from alad_tf.preprocess import ImagePreprocessor
            >>> list(ImagePreprocessor((8, 8, 3)).encodings())
            ['serialized_examples', 'encoded_images']
        """
        return {"serialized_examples": Encoding("examples", self._parse, self._serialize)}

    def _parse(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Serialized `tf.Example`s as a request; an absent feature is a gap where it may be."""
        features, specs = {}, self.signature()
        for name, spec in specs.items():
            shape = spec.shape[1:]
            gap = "" if spec.dtype == tf.string else np.full(shape, np.nan, "float32")
            default = gap if self.accepts_gaps else None
            dtype = tf.string if spec.dtype == tf.string else tf.float32
            features[name] = tf.io.FixedLenFeature(shape, dtype, default)
            if spec.dtype == tf.float64:
                zeros = np.zeros(shape, "float32")
                features[name + REST] = tf.io.FixedLenFeature(shape, tf.float32, zeros)
        found = tf.io.parse_example(examples, features)
        for name, spec in specs.items():
            if spec.dtype == tf.float64:
                rest = tf.cast(found.pop(name + REST), tf.float64)
                found[name] = tf.cast(found[name], tf.float64) + rest
        return found

    def _serialize(self, records) -> list[bytes]:
        request = self.request(records)
        for name, spec in self.signature().items():
            if spec.dtype == tf.float64:
                exact = np.asarray(request[name], np.float64)
                request[name] = exact.astype(np.float32)
                request[name + REST] = exact - np.where(np.isnan(exact), 0, request[name])
                request[name + REST][np.isnan(exact)] = 0
        each = zip(*request.values(), strict=True)
        return [serialized_example(dict(zip(request, values, strict=True))) for values in each]

    def in_single_precision(self, inputs):
        """`call` without float64, in which TensorFlow Lite cannot compute."""
        return self(inputs)

    def _own_config(self) -> dict:
        raise NotImplementedError

    def _require_fitted(self) -> None:
        if not self.fitted:
            raise RuntimeError(
                f"This {type(self).__name__} is not fitted. Call fit with the training rows first."
            )


class ScalingPreprocessor(Preprocessor):
    """Base of the tabular layers, which shift and scale columns.

    The fitted numbers are non-trainable float64 weights (`shift`, `scale`): a column of large
    numbers that vary little, such as epoch seconds, keeps its meaning. Values beyond `FAR` after
    scaling are set to it; `alad_tf.detector.Detector` gives such a record the largest possible
    score.

    Args:
        scaling: "standard", "minmax" or "none"; see `fit_scaling`.
        shift: `(d,)` fitted shift, or None for a layer that is not fitted yet.
        scale: `(d,)` fitted scale, or None.
        least: `(d,)` smallest number of each column in the training rows; None if unknown, as in
            states that earlier versions wrote.
        most: `(d,)` largest number of each column, likewise.
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

    def __init__(self, scaling: str, shift=None, scale=None, least=None, most=None, **kwargs):
        super().__init__(**kwargs)
        if scaling not in SCALINGS:
            raise ValueError(f"received scaling={scaling!r}; expected one of {SCALINGS}.")
        self.scaling = scaling
        self.shift = self.scale = None
        self.range = None if least is None else np.array([least, most], np.float64)  # (2, d)
        if shift is not None:
            self._set_scaling(np.asarray(shift, np.float64), np.asarray(scale, np.float64))

    @property
    def fitted(self) -> bool:
        """Whether `fit` was called (or a fitted state loaded)."""
        return self.shift is not None

    @property
    def texts(self) -> list[str]:
        """Names of the columns of text."""
        return list(self.vocabularies)

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
        """The output columns of each raw column: dict of lists of ints."""
        positions, found = itertools.count(), {}
        for column, features in self._blocks():
            found.setdefault(column, []).extend(next(positions) for _ in features)
        return found

    def _blocks(self) -> list[tuple[str, list[str]]]:
        """The output from left to right: raw columns, each with the names of its features."""
        raise NotImplementedError

    def notes(self, x: np.ndarray, observed: dict) -> dict[str, np.ndarray]:
        found = {}
        for name, places in self.groups.items():
            news = (np.abs(x[:, places]) >= np.float32(FAR)).any(1)
            if news.any():
                what = "category never seen" if name in self.texts else "too extreme"
                text = observed[name].dtype.kind not in "biuf"
                gaps = observed[name] == MISSING if text else np.isnan(observed[name])
                notes = np.where(gaps, "never missing in training", what)
                found[name] = np.where(news, notes, "").astype(object)
        return found

    def decode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        groups = self.groups
        numbers = self._unscale(x[:, [groups[name][0] for name in self.numeric]])
        columns = dict(zip(self.numeric, numbers.T, strict=True))
        for name, known in self.vocabularies.items():
            columns[name] = likeliest(x[:, groups[name]], known)
        return {name: columns[name] for name in groups}

    def one_of(self, x: np.ndarray) -> np.ndarray:
        """Rows with one whole category per column, the likeliest; gap indicators are 0 or 1."""
        x, features, numeric = np.array(x, np.float32), self.feature_names, set(self.numeric)
        for name, places in self.groups.items():
            if name not in numeric:
                x[:, places] = np.eye(len(places), dtype="float32")[x[:, places].argmax(1)]
            else:
                gap = [place for place in places[1:] if features[place] == f"{name} (missing)"]
                x[:, gap] = x[:, gap] > 0.5
        return x

    def within_range(self, x: np.ndarray) -> np.ndarray:
        x, groups = self.one_of(x), self.groups
        places = [groups[name][0] for name in self.numeric]
        if self.range is not None:
            least, most = (self.range - self._numbers("shift")) * self._numbers("scale")
            x[:, places] = np.clip(x[:, places], least, most)
        elif self.scaling == "minmax":
            x[:, places] = np.clip(x[:, places], 0, 1)
        return x

    def signature(self) -> dict[str, tf.TensorSpec]:
        columns = self.input_columns()
        dtypes = dict(zip(self.numeric, self._input_dtypes(), strict=True))
        if columns is None:
            dtype = tf.float64 if tf.float64 in dtypes.values() else tf.float32
            return {"x": tf.TensorSpec((None, self.shift.shape[0]), dtype)}
        dtypes |= dict.fromkeys(self.texts, tf.string)
        return {name: tf.TensorSpec((None,), dtypes[one]) for name, one in columns.items()}

    def _input_dtypes(self) -> list[tf.DType]:
        """For each column of numbers float32, or float64 where float32 would lose its meaning."""
        far = np.abs(self._numbers("shift")) * self._numbers("scale") > MOST_OFFSET
        return [tf.float64 if one else tf.float32 for one in far]

    def input_columns(self) -> dict[str, str] | None:
        return input_names([*self.texts, *self.numeric]) if self.named else None

    def sample(self, count: int, reach: float = 1):
        generator = np.random.default_rng(count)
        shift, scale = self._numbers("shift"), self._numbers("scale")
        spread = 1.0 / np.where(scale > 0, scale, 1.0)
        away = generator.uniform(-1 if reach > 1 else 0, 1, (count, len(shift)))
        away *= np.geomspace(1, reach, count)[:, np.newaxis]
        numbers = shift + away * spread
        if self.accepts_gaps and count > 1:
            numbers[-1, self.gaps] = np.nan
        if not self.named:
            return numbers.astype(self.signature()["x"].dtype.as_numpy_dtype)
        dtypes = [dtype.as_numpy_dtype for dtype in self._input_dtypes()]
        numbers = [column.astype(dtype) for column, dtype in zip(numbers.T, dtypes, strict=True)]
        texts = {k: generator.choice(known, count) for k, known in self.vocabularies.items()}
        if count > 1:
            texts = {k: np.append(v[1:], UNSEEN) for k, v in texts.items()}
        return {**texts, **dict(zip(self.numeric, numbers, strict=True))}

    def _unscale(self, x: np.ndarray) -> np.ndarray:
        """Scaled numbers `(N, n)` in their own units; the constant for constant columns."""
        x, scale = np.asarray(x, np.float64), self._numbers("scale")
        return np.divide(x, scale, out=np.zeros_like(x), where=scale != 0) + self._numbers("shift")

    def _scaled(self, x: tf.Tensor, double: bool = True) -> tf.Tensor:
        """(x - shift) * scale of `(N, n)` numbers as float32, beyond `FAR` set to it.

        Without `double` the shift is subtracted in two float32 parts: exact for float32 numbers.
        NaN and infinity stay what they are.
        """
        dtype = tf.float64 if double else tf.float32
        x = tf.cast(x, dtype)
        if double:
            away, scale = x - tf.cast(self.shift, dtype), tf.cast(self.scale, dtype)
        else:
            shift = self._numbers("shift")
            high = shift.astype(np.float32)
            away = (x - high) - (shift - high).astype(np.float32)
            scale = tf.constant(self._numbers("scale").astype(np.float32))
        away = tf.clip_by_value(away, dtype.min, dtype.max)  # infinity times 0 would be NaN
        scaled = tf.clip_by_value(away * scale, -FAR, FAR)
        finite = tf.abs(x) <= dtype.max
        return tf.cast(tf.where(finite, scaled, x), tf.float32)

    def in_single_precision(self, inputs):
        return self(inputs, double=False)

    def lost_in_float32(self) -> list[str]:
        """The columns of numbers that float32 rounds by over a hundredth of their spread."""
        error = np.abs(self._numbers("shift")) * self._numbers("scale") * 2.0**-24
        return [name for name, one in zip(self.numeric, error, strict=True) if one > 0.01]

    def _numbers(self, name: str) -> np.ndarray:
        """`shift` or `scale` as float64, also while a graph is traced."""
        with tf.init_scope():
            return getattr(self, name).numpy()

    def _own_config(self) -> dict:
        fitted = {"shift": None, "scale": None}
        if self.fitted:
            fitted = {name: self._numbers(name).tolist() for name in fitted}
        if self.range is not None:
            fitted |= {"least": self.range[0].tolist(), "most": self.range[1].tolist()}
        return {"scaling": self.scaling, **fitted}

    def _fit_numbers(self, x: np.ndarray) -> None:
        """Learns shift, scale and range of numbers `(N, d)` without gaps."""
        self.range = np.array([x.min(axis=0), x.max(axis=0)], np.float64)
        self._set_scaling(*fit_scaling(x, self.scaling))

    def _set_scaling(self, shift: np.ndarray, scale: np.ndarray) -> None:
        if shift.ndim != 1 or shift.shape != scale.shape:
            raise ValueError(
                f"received shift of shape {shift.shape} and scale of shape {scale.shape}; expected "
                "the same shape (d,)."
            )
        if not self.fitted:
            frozen = {"shape": shift.shape, "initializer": "zeros", "trainable": False}
            frozen |= {"dtype": "float64", "autocast": False}
            self.shift = self.add_weight(name="shift", **frozen)
            self.scale = self.add_weight(name="scale", **frozen)
        self.shift.assign(shift)
        self.scale.assign(scale)
        self.built = True  # ready for export, without a first call


def fit_scaling(x: np.ndarray, scaling: str) -> tuple[np.ndarray, np.ndarray]:
    """Shift and scale `(d,)` of each column of `(N, d)` float64 rows, for `(x - shift) * scale`.

    "standard" gives mean 0 and (population) standard deviation 1, "minmax" the range [0, 1], "none"
    leaves x alone. Constant columns get scale 0 under "standard" and "minmax": later values give 0,
    too, since nothing was learnt about them.
    """
    if scaling == "none":
        return np.zeros(x.shape[1]), np.ones(x.shape[1])
    x = np.asarray(x, np.float64)
    least, most = x.min(axis=0), x.max(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):  # numbers near the end of float64
        if scaling == "minmax":
            shift, spread = least, most - least
        else:  # from the least value on: a constant column deviates by exactly 0
            above = x - least
            shift, spread = least + above.mean(axis=0), above.std(axis=0)
    # what differs by rounding alone, 0.3 and 0.1 + 0.2, is constant
    noise = ROUNDING * np.maximum(np.abs(least), np.abs(most))
    varies = (spread > 1.0 / np.finfo(np.float32).max) & (spread > noise)
    scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=varies & np.isfinite(spread))
    return np.where(np.isfinite(shift), shift, 0.0), scale


def likeliest(block: np.ndarray, known: list[str]) -> np.ndarray:
    """The category of each row's highest value in a one-hot block, `(N,)` text."""
    if not known:
        return np.full(len(block), "", dtype="<U1")
    return np.array(known)[block.argmax(axis=1)]


def among(column: tf.Tensor, texts) -> tf.Tensor:
    """Whether cells of text `(N, 1)` are among some texts: bool `(N, 1)`."""
    return tf.reduce_any(tf.equal(column, tf.constant([sorted(texts)])), axis=1, keepdims=True)


def one_hot(
    column: tf.Tensor, known, gap: str | None = None, news: float = 0.0, unknown: float = 0.0
) -> tf.Tensor:
    """`(N,)` text as a float32 block `(N, len(known))`; an unknown value gives all `unknown`.

    Comparing needs no lookup table, which a SavedModel would have to initialise and which no
    `tf.function` could create. Empty text, and other marks of a gap, count as the category `gap`;
    where that is none of the known ones, the whole block is `news`.
    """
    column = tf.reshape(column, (-1, 1))  # (N, 1)
    same = tf.equal(column, tf.constant([list(known)]))
    missing = among(column, MARKS.difference(known) | {gap}) if gap else None
    if gap in known:
        same = same | (missing & tf.constant([[value == gap for value in known]]))
    block = tf.cast(same, tf.float32)
    if unknown:
        block = tf.where(tf.reduce_any(same, axis=1, keepdims=True), block, np.float32(unknown))
    if gap is None or gap in known:
        return block
    return tf.where(missing, np.float32(news), block)


def input_names(columns) -> dict[str, str]:
    """Columns by their names as inputs of an export, which have ASCII letters, digits and "_".

    Columns that would have the same name are numbered: "x%" and "x$" are `x_` and `x__2`.
    """
    named = {}
    for column in columns:
        name = re.sub(r"\W", "_", str(column), flags=re.ASCII)
        if not name[:1].isalpha() or keyword.iskeyword(name) or name == "self":
            name = f"column_{name}"
        named[column] = name
    # a column whose name needs no change keeps it; others with the same name are numbered
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
