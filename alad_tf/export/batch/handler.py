"""A Beam model handler for exports: keyed records in, verdicts out, bad records separate."""

import numpy as np
from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from alad_tf.engine.files import verify

MOST, FEWEST = 512, 16  # records of a batch


class ExportHandler(ModelHandler):
    """Runs an export's `serving_default` on batches of records.

    Records are dicts by input, with numbers, text or arrays as values. A record that the export
    refuses does not fail its batch: the batch is halved until the refused records stand alone, and
    their result is `Refused`.

    Args:
        folder: str, the export's folder; a path that every worker can read.

    Example:
        >>> # keyed | RunInference(KeyedModelHandler(ExportHandler("served/orders/1")))

    Source: Apache Beam, "RunInference", "Build a custom model handler".
    """

    def __init__(self, folder):
        super().__init__()
        self.folder = str(folder)

    def load_model(self):
        """The export's module, loaded once in each process."""
        import tensorflow as tf

        verify(self.folder)
        return tf.saved_model.load(self.folder)

    def run_inference(self, batch, model, inference_args=None):
        """Verdicts of a batch: `PredictionResult`s with dicts, or `Refused`."""
        function = model.signatures["serving_default"]
        specs = function.structured_input_signature[1]
        shaped = [_shaped(record, specs) for record in batch]
        found = [one if isinstance(one, Refused) else None for one in shaped]
        good = [i for i, one in enumerate(shaped) if not isinstance(one, Refused)]
        for i, answer in zip(good, _ask(function, [shaped[i] for i in good], specs), strict=True):
            found[i] = answer
        return [PredictionResult(*one, self.folder) for one in zip(batch, found, strict=True)]

    def batch_elements_kwargs(self):
        return {"min_batch_size": FEWEST, "max_batch_size": MOST}

    def get_metrics_namespace(self):
        return "alad_tf"


class Refused(str):
    """Why a record was not scored."""


def _ask(function, records, specs):
    """Answers of records, dicts or `Refused`; a refused batch is halved."""
    import tensorflow as tf

    if not records:
        return []
    stacked = {
        name: tf.constant(np.stack([record[name] for record in records]), spec.dtype)
        for name, spec in specs.items()
    }
    try:
        outputs = {name: value.numpy() for name, value in function(**stacked).items()}
    except tf.errors.InvalidArgumentError as error:
        if len(records) == 1:
            from alad_tf.export.serving.model import reason_of

            return [Refused(reason_of(error))]
        middle = len(records) // 2
        return _ask(function, records[:middle], specs) + _ask(function, records[middle:], specs)
    return [{name: v[i].item() for name, v in outputs.items()} for i in range(len(records))]


def _shaped(record, specs):
    """A record as values of the signature's types and shapes, or why that is impossible."""
    missing = sorted(set(specs) - set(record))
    if missing:
        return Refused(f"The record lacks {missing}.")
    made = {}
    for name, spec in specs.items():
        kind = object if spec.dtype.name == "string" else spec.dtype.as_numpy_dtype
        try:
            if kind is object and not isinstance(record[name], (str, bytes)):
                raise TypeError(f"received {type(record[name]).__name__}")
            made[name] = _as(kind, record[name])
        except (TypeError, ValueError) as error:
            return Refused(f"{name!r} must be {spec.dtype.name}: {error}.")
        if not spec.shape[1:].is_compatible_with(made[name].shape):
            return Refused(
                f"{name!r} must have shape {tuple(spec.shape[1:])}; received {made[name].shape}."
            )
    return made


def _as(kind, value):
    """A value as an array; a finite number beyond the type's range is its largest."""
    if kind is object or np.dtype(kind).kind != "f":
        return np.asarray(value, kind)
    value, most = np.asarray(value, "float64"), np.finfo(kind).max
    return np.where(np.isfinite(value), np.clip(value, -most, most), value).astype(kind)
