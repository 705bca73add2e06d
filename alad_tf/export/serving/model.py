"""An exported model that answers requests: names, types and shapes are checked, errors are said."""

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tensorflow as tf

from alad_tf.export.graph import METADATA

DEFAULT = "serving_default"


class RequestError(ValueError):
    """A request that cannot be answered; the text tells the client why."""


class UnknownError(RequestError):
    """A model, version or signature that is not served."""


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A SavedModel with its signatures.

    Attributes:
        name: str, the model's.
        version: int.
        folder: Path of the export.
        signatures: dict of TensorFlow functions by name.

    Example:
        >>> # model = ServedModel.load("served/kdd99_alad/1")
        >>> # model.predict("serving_default", {"x": rows})["score"]
    """

    name: str
    version: int
    folder: Path
    signatures: dict = field(repr=False)
    _kept: object = field(repr=False, default=None)  # the module, which owns the variables

    @classmethod
    def load(cls, folder):
        """Read an export, `name/version` as `export_version` lays it out.

        Raises:
            FileNotFoundError: no export there.
        """
        folder = Path(folder).resolve()
        if not (folder / METADATA).is_file() or not folder.name.isdigit():
            raise FileNotFoundError(f"No export NAME/VERSION in {folder}; `alad export` writes it.")
        module = tf.saved_model.load(str(folder))
        signatures = dict(module.signatures)
        return cls(folder.parent.name, int(folder.name), folder, signatures, module)

    def inputs(self, signature):
        """A signature's inputs: dict of TensorSpecs by name.

        Raises:
            UnknownError: no such signature.
        """
        if signature not in self.signatures:
            known = ", ".join(sorted(self.signatures))
            raise UnknownError(f"Unknown signature {signature!r}; {self.name} has {known}.")
        return self.signatures[signature].structured_input_signature[1]

    def predict(self, signature, inputs):
        """Answer a request.

        Args:
            signature: str.
            inputs: dict by name of array-likes (N, ...).

        Returns:
            dict by name of arrays (N, ...).

        Raises:
            UnknownError: no such signature.
            RequestError: names, types, shapes or records that the signature cannot take.
        """
        specs = self.inputs(signature)
        if set(inputs) != set(specs):
            raise RequestError(
                f"The signature {signature!r} takes {sorted(specs)}; received {sorted(inputs)}."
            )
        tensors = {name: _tensor(name, inputs[name], spec) for name, spec in specs.items()}
        lengths = {name: int(tensor.shape[0]) for name, tensor in tensors.items()}
        if len(set(lengths.values())) != 1 or not min(lengths.values()):
            raise RequestError(f"Inputs must have one length, at least 1; received {lengths}.")
        try:
            found = self.signatures[signature](**tensors)
        except tf.errors.InvalidArgumentError as error:
            raise RequestError(reason_of(error)) from error
        return {name: value.numpy() for name, value in found.items()}

    def metadata(self):
        """The export's own metadata: a JSON-able dict."""
        return json.loads((self.folder / METADATA).read_text(encoding="utf-8"))


def from_rows(instances, specs):
    """TensorFlow Serving's row format as columns.

    Args:
        instances: list of records: a dict by input each; or, of a signature with one input, its
            value each.
        specs: dict of TensorSpecs by input.

    Returns:
        dict of lists by input.

    Raises:
        RequestError: no list, an empty one, or records of several forms.
    """
    if not isinstance(instances, list) or not instances:
        raise RequestError("'instances' must be a list with at least one record.")
    if len(specs) == 1 and not all(
        isinstance(one, dict) and set(one) == set(specs) for one in instances
    ):
        (name,) = specs
        return {name: instances}
    for number, one in enumerate(instances):
        if not isinstance(one, dict) or set(one) != set(specs):
            got = sorted(one) if isinstance(one, dict) else type(one).__name__
            raise RequestError(
                f"Record {number} must be a dict with {sorted(specs)}; received {got}."
            )
    return {name: [one[name] for one in instances] for name in specs}


def _tensor(name, values, spec):
    """An input as a tensor of its signature's type and shape."""
    try:
        if spec.dtype == tf.string:
            array = np.array(
                [_bytes(value) for value in np.asarray(values, object).ravel()], object
            )
            array = array.reshape(np.shape(values) if not _has_b64(values) else (len(values),))
        else:
            array = np.asarray(values)
            if array.dtype.kind not in "biuf":
                raise TypeError(f"received {array.dtype}")
            as_typed = array.astype(spec.dtype.as_numpy_dtype)
            if spec.dtype == tf.uint8 and not np.array_equal(as_typed, array):
                raise TypeError("received values that are not whole numbers from 0 to 255")
            array = as_typed
    except (TypeError, ValueError) as error:
        kind = "text" if spec.dtype == tf.string else spec.dtype.name
        raise RequestError(f"Input {name!r} must be {kind}: {error}.") from error
    if not spec.shape.is_compatible_with(array.shape):
        wanted = tuple(side or "N" for side in spec.shape.as_list())
        raise RequestError(f"Input {name!r} must have shape {wanted}; received {array.shape}.")
    return tf.constant(array, spec.dtype)


def _has_b64(values):
    return any(isinstance(value, dict) for value in values)


def _bytes(value):
    """Text, bytes, or {"b64": ...} as bytes."""
    if isinstance(value, dict):
        if set(value) != {"b64"}:
            raise TypeError(f"received a dict with {sorted(value)}, expected 'b64'")
        return base64.b64decode(value["b64"], validate=True)
    if not isinstance(value, (str, bytes)):
        raise TypeError(f"received {type(value).__name__}")
    return value.encode() if isinstance(value, str) else value


def reason_of(error):
    """The line of TensorFlow's message that says what is wrong with the records."""
    lines = [line.strip() for line in str(error.message).splitlines() if line.strip()]
    telling = ("Records must be", "Images must", "Feature", "Could not parse", "Unknown image")
    for line in lines:
        if any(words in line for words in telling):
            return line.split("[[")[0].strip()
    return lines[0].split("[[")[0].strip() if lines else "invalid records"
