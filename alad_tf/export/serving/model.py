"""An exported model that answers requests: it checks inputs and scores them in blocks."""

import base64
import io
import json
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from alad_tf.engine.files import verify
from alad_tf.engine.weights import blaming
from alad_tf.export.graph import METADATA
from alad_tf.export.serving.together import Together

DEFAULT = "serving_default"
BLOCK = 1024  # records that are scored at a time: memory does not grow with a request
BLOCK_VALUES = 2**18  # fewer records at a time, where a record has many values: 85 of CIFAR-10
MOST_PIXELS = 16_000_000  # of an encoded image, where images may have any size
FEW_INPUTS = 4  # that a call takes one by one
AT_ONCE = 4  # requests that are read and scored at the same time
LARGEST = np.finfo("float32").max
NOT_FINITE = "Records must be finite"  # an export's message about other records


class RequestError(ValueError):
    """A request that cannot be answered; the text tells the client why."""

    def __init__(self, text):
        super().__init__(text if len(text) <= 600 else f"{text[:600]} ...")


class UnknownError(RequestError):
    """A model, version or signature that is not served."""


@dataclass(eq=False)
class ServedModel:
    """A SavedModel with its signatures.

    Attributes:
        name: str, the model's.
        version: int.
        folder: Path of the export.
        signatures: dict of TensorFlow functions by name.
        turns: semaphore to hold while a request is read and scored, which bounds the memory of many
            large requests.
        together: `Together`, which scores small requests that arrive together in one call.
    """

    name: str
    version: int
    folder: Path
    signatures: dict = field(repr=False)
    turns: threading.Semaphore = field(repr=False)
    _kept: object = field(repr=False, default=None)  # the module, which owns the variables
    _calls: dict = field(repr=False, default_factory=dict)  # by signature, see `_packed`

    def __post_init__(self):
        self.together = Together(self)

    @classmethod
    def load(cls, folder):
        """Read an export, `name/version` as `export_version` lays it out.

        Raises:
            FileNotFoundError: if there is no export.
            ValueError: if it is damaged.
        """
        folder = Path(folder).resolve()
        if not (folder / METADATA).is_file() or not folder.name.isdigit():
            raise FileNotFoundError(
                f"{folder} is not an export; expected a folder NAME/VERSION that `alad export` "
                "wrote."
            )
        verify(folder)
        with blaming(folder, "contain a SavedModel"):
            module = tf.saved_model.load(str(folder))
        turns = threading.BoundedSemaphore(AT_ONCE)
        signatures = dict(module.signatures)
        return cls(folder.parent.name, int(folder.name), folder, signatures, turns, module)

    def inputs(self, signature):
        """A signature's inputs: dict of TensorSpecs by name.

        Raises:
            UnknownError: no such signature.
        """
        if signature not in self.signatures:
            known = ", ".join(sorted(self.signatures))
            raise UnknownError(f"received the signature {signature!r}; {self.name} has {known}.")
        return self.signatures[signature].structured_input_signature[1]

    def predict(self, signature, inputs, wanted=lambda: True):
        """Answer a request: `checked`, then `answers`."""
        return self.answers(signature, self.checked(signature, inputs), wanted)

    def checked(self, signature, inputs):
        """A request's inputs as arrays of the signature's types and shapes.

        Args:
            signature: str.
            inputs: dict by name of array-likes (N, ...).

        Returns:
            dict by name of arrays (N, ...).

        Raises:
            UnknownError: no such signature.
            RequestError: names, types or shapes that the signature cannot take.
        """
        specs = self.inputs(signature)
        if set(inputs) != set(specs):
            raise RequestError(
                f"The signature {signature!r} takes {sorted(specs)}; received {sorted(inputs)}."
            )
        arrays = {name: array_of(name, inputs[name], spec) for name, spec in specs.items()}
        lengths = {name: len(array) for name, array in arrays.items()}
        if len(set(lengths.values())) != 1 or not min(lengths.values()):
            raise RequestError(f"Inputs must have the same length, at least 1; received {lengths}.")
        return arrays

    def answers(self, signature, arrays, wanted=lambda: True):
        """Score what `checked` gave, a block of records at a time.

        Args:
            signature: str.
            arrays: dict by name of arrays (N, ...).
            wanted: function without arguments, called before each block; False stops.

        Returns:
            dict by name of arrays (N, ...), all finite.

        Raises:
            RequestError: records that the signature cannot take, or a request that was abandoned.
        """
        count, found = len(next(iter(arrays.values()))), []
        step = BLOCK
        if count > 1:  # encoded images have as many values as others once they are decoded
            step = records_at_a_time(self.inputs(signature), self.inputs(DEFAULT))
        for start in range(0, count, step):
            if not wanted():
                raise RequestError("The request was abandoned before it was answered.")
            block = {name: array[start : start + step] for name, array in arrays.items()}
            found.append(self._score(signature, block))
        return {name: np.concatenate([part[name] for part in found]) for name in found[0]}

    def metadata(self):
        """The export's own metadata: a JSON-able dict."""
        return json.loads((self.folder / METADATA).read_text(encoding="utf-8"))

    def _score(self, signature, block):
        if "images" in self.inputs(DEFAULT):
            shape = self.inputs(DEFAULT)["images"].shape[1:]
            for content in _pictures(signature, block):
                _check_size(content, shape)
        if signature not in self._calls:
            self._calls[signature] = _packed(self.signatures[signature])
        try:
            found = self._calls[signature](block)
        except tf.errors.InvalidArgumentError as error:
            reason = reason_of(error)
            if NOT_FINITE not in reason:
                raise RequestError(reason) from error
            return self._score_far(signature, block, reason)
        return self._finite({name: value.numpy() for name, value in found.items()})

    def _score_far(self, signature, block, reason):
        """Answer a block with a record that is not finite, or that overflows the graph."""
        count = len(next(iter(block.values())))
        if count == 1:
            if not all(a.dtype != object and np.isfinite(a).all() for a in block.values()):
                raise RequestError(reason)
            specs = self.signatures[signature].structured_outputs
            beyond = {
                name: np.full((1, *spec.shape[1:]), np.inf if spec.dtype.is_floating else 0)
                for name, spec in specs.items()
            }
            dtypes = {name: spec.dtype.as_numpy_dtype for name, spec in specs.items()}
            return self._finite({name: a.astype(dtypes[name]) for name, a in beyond.items()})
        half = count // 2
        parts = [
            self._score(signature, {name: array[side] for name, array in block.items()})
            for side in (slice(half), slice(half, None))
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _finite(self, found):
        """Make answers finite, as JSON requires: a score beyond float32 is its largest value."""
        beyond = np.zeros(len(next(iter(found.values()))), bool)
        for name, values in found.items():
            if values.dtype.kind != "f" or np.isfinite(values).all():
                continue
            beyond |= ~np.isfinite(values).reshape(len(values), -1).all(1)
            found[name] = np.where(np.isfinite(values), values, LARGEST)
        if "is_anomaly" in found:
            found["is_anomaly"] = found["is_anomaly"] | beyond
        if "p_value" in found and beyond.any():
            held_out = self.metadata().get("held_out_rows")
            least = 1 / (held_out + 1) if held_out else 0  # early exports do not record it
            found["p_value"] = np.where(beyond, np.float32(least), found["p_value"])
        return found


def records_at_a_time(*inputs):
    """`BLOCK`, or fewer of records with many values, such as images.

    Args:
        *inputs: dicts of TensorSpecs; the one with most values counts.
    """
    sizes = [sum(map(_width, specs.values())) for specs in inputs]
    return max(1, min(BLOCK, BLOCK_VALUES // max(1, *sizes)))


def _width(spec):
    """The number of values per record; for images of any size, so many that one is scored at a
    time.
    """
    if None in spec.shape[1:]:
        return BLOCK_VALUES
    return 1 if spec.shape.rank == 1 else int(np.prod(spec.shape[1:]))


def _packed(function):
    """A signature as a function of a block: arrays by input.

    TensorFlow takes some fifteen microseconds for each argument of a call. A table's columns are
    therefore joined, those of one type in one tensor, and split again in the graph.
    """
    specs = function.structured_input_signature[1]
    if len(specs) <= FEW_INPUTS or any(spec.shape.rank != 1 for spec in specs.values()):
        return lambda block: function(
            **{name: tf.constant(block[name], spec.dtype) for name, spec in specs.items()}
        )
    names = {}
    for name, spec in specs.items():
        names.setdefault(spec.dtype, []).append(name)

    def of_columns(*packed):
        columns = {}
        for group, tensor in zip(names.values(), packed, strict=True):
            columns |= dict(zip(group, tf.unstack(tensor, len(group)), strict=True))
        return function(**columns)

    packed = [tf.TensorSpec((len(group), None), dtype) for dtype, group in names.items()]
    program = tf.function(of_columns, autograph=False).get_concrete_function(*packed)
    return lambda block: program(
        *(
            tf.constant(np.stack([block[name] for name in group]), dtype)
            for dtype, group in names.items()
        )
    )


def array_of(name, values, spec):
    """An input as an array of its signature's type and shape.

    Numbers beyond float32's range become its largest: a finite record stays finite. None is a gap.

    Raises:
        RequestError: values of another type or shape.
    """
    try:
        received = np.asarray(values) if isinstance(values, np.ndarray) else _listed(values)
        array = _texts(received) if spec.dtype == tf.string else _numbers(received, spec)
    except (TypeError, ValueError) as error:
        kind = "text" if spec.dtype == tf.string else spec.dtype.name
        raise RequestError(f"Input {name!r} must be {kind}: {error}.") from error
    if not spec.shape.is_compatible_with(array.shape):
        wanted = tuple(side or "N" for side in spec.shape.as_list())
        raise RequestError(f"Input {name!r} must have shape {wanted}; received {array.shape}.")
    return array


def _listed(values):
    """Nested lists as an array of objects: no text is widened to the longest one's length."""
    array = np.array(values, object)
    if any(isinstance(one, (list, tuple)) for one in array.ravel()):
        raise TypeError("received lists of different lengths, or nested too deeply")
    return array


def _numbers(received, spec):
    if received.dtype == object:
        others = set(map(type, received.ravel())) - {int, float, bool, type(None)}
        if others:
            raise TypeError(f"received {', '.join(sorted(kind.__name__ for kind in others))}")
        try:
            received = received.astype("float64")
        except OverflowError:
            received = np.array(np.inf)
        if np.isinf(received).any():
            raise TypeError("received a number too large for a 64-bit float")
    if received.dtype.kind not in "biuf":
        raise TypeError(f"received {received.dtype}")
    dtype = np.dtype(spec.dtype.as_numpy_dtype)
    if dtype.kind == "f":
        most = np.finfo(dtype).max
        if received.dtype.kind == "f" and received.dtype.itemsize > dtype.itemsize:
            received = np.where(np.isfinite(received), np.clip(received, -most, most), received)
        return received.astype(dtype, copy=False)
    with np.errstate(invalid="ignore"):
        array = received.astype(dtype)
    if not np.array_equal(array, received):
        least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
        raise TypeError(f"received values that are not whole numbers from {least} to {most}")
    return array


def _texts(received):
    texts = np.empty(received.size, object)
    texts[:] = [_bytes(value) for value in received.ravel()]
    return texts.reshape(received.shape)


def _bytes(value):
    """Text, bytes, or {"b64": ...} as bytes."""
    if isinstance(value, dict):
        if set(value) != {"b64"} or not isinstance(value["b64"], str):
            raise TypeError(f"received a dict with {sorted(value)}, expected 'b64' with text")
        return base64.b64decode(value["b64"], validate=True)
    if value is None:
        raise TypeError('received null; a missing value is ""')
    if not isinstance(value, (str, bytes)):
        raise TypeError(f"received {type(value).__name__}")
    return value.encode() if isinstance(value, str) else value


def _pictures(signature, block):
    """The encoded images of a block, as bytes; none where they come as arrays."""
    if signature == "encoded_images":
        yield from block["encoded"]
    elif signature == "serialized_examples":
        for content in block["examples"]:
            try:
                example = tf.train.Example.FromString(content)
            except Exception:  # protobuf's DecodeError; TensorFlow reports it
                continue
            yield from example.features.feature["image"].bytes_list.value


def _check_size(content, shape):
    """Refuse an image of a wrong size before it is decoded: few bytes may hold many pixels."""
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "GIF", "BMP")) as image:
            size = image.size[::-1]
    except Image.DecompressionBombError:
        size = "far more"
    except (OSError, ValueError, SyntaxError):  # not an image; TensorFlow reports it
        return
    if shape[0] is None:
        if size == "far more" or size[0] * size[1] > MOST_PIXELS:
            raise RequestError(f"Images may have at most {MOST_PIXELS:,} pixels; received {size}.")
    elif size != tuple(shape[:2]):
        raise RequestError(f"Images must have {shape[0]} x {shape[1]} pixels; received {size}.")


def reason_of(error):
    """The line of TensorFlow's message that says what is wrong with the records."""
    lines = [line.strip() for line in str(error.message).splitlines() if line.strip()]
    telling = (NOT_FINITE, "Images must", "Feature", "Could not parse", "Unknown image")
    for line in lines:
        if any(words in line for words in telling):
            return line.split("[[")[0].strip()
    return lines[0].split("[[")[0].strip() if lines else "invalid records"
