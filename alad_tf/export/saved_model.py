"""Export: a fitted detector as a TensorFlow SavedModel, which does not need this package."""

import contextlib
import re
from pathlib import Path

import tensorflow as tf

from alad_tf.engine.files import replacing_folder, write_json
from alad_tf.export.check import BATCHES, difference
from alad_tf.export.graph import (
    METADATA,
    exported_earlier,
    graph_of,
    metadata,
    module_of,
    requests,
    require_exportable,
    require_place,
    save,
    signatures,
)
from alad_tf.export.portable import CONVERTERS, export_portable

WARMUP = "assets.extra/tf_serving_warmup_requests"


def export_version(detector, directory, name=None, version=1, kind="saved_model"):
    """Export a detector to where TensorFlow Serving looks for it: `directory/name/version`.

    Args:
        detector: `alad_tf.Detector`.
        directory: str or Path; the model's base path is `directory/name`.
        name: str, the model's name; default: the entry's, or "detector".
        version: int, at least 1. An existing export of that version is replaced.
        kind: "saved_model"; or "onnx" or "tflite" for a single file, see `alad_tf.export.portable`.

    Returns:
        Path of the folder, or of the file.

    Raises:
        ValueError: if TensorFlow Serving does not allow the name or version, or the kind is
            unknown.
        ValueError, FileExistsError, RuntimeError: see `export`.

    Example:
        >>> # export_version(zoo.load("kdd99_alad"), "served")  # served/kdd99_alad/1
        >>> import zoo
        >>> export_version(zoo.load("breast_cancer_alad"), "served", name="a/b")
        Traceback (most recent call last):
        ...
        ValueError: received the model name 'a/b'; expected letters, digits, '_', '-' and '.',
        beginning with a letter or digit.
    """
    name = name or detector.metadata.get("entry") or "detector"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise ValueError(
            f"received the model name {name!r}; expected letters, digits, '_', '-' and '.', "
            "beginning with a letter or digit."
        )
    if kind not in (kinds := ("saved_model", *CONVERTERS)):
        raise ValueError(f"received the format {kind!r}; expected one of {', '.join(kinds)}.")
    if int(version) != version or version < 1:
        raise ValueError(f"received version {version!r}; expected a whole number, at least 1.")
    folder = Path(directory) / name / str(int(version))
    new = [place for place in folder.parents[:2] if not place.exists()]
    try:
        if kind == "saved_model":
            return export(detector, folder)
        return export_portable(detector, folder, kind)
    except BaseException:
        for place in new:  # a failed export leaves no empty folders either
            if place.is_dir() and not any(place.iterdir()):
                place.rmdir()
        raise


def export(detector, folder):
    """Export a detector as a SavedModel: raw records in, scores and verdicts out.

    Preprocessing, weights and threshold are inside the graph. The batch size is free. Inputs of
    every signature: `x` float32 (N, d); or `images` uint8 (N, H, W, C); or, for a table, one (N,)
    for each column, named like the column: string for categories, float32 for numbers. Columns of
    large numbers that vary little, such as epoch seconds, are float64, and so is `x` if it has one.
    Characters that TensorFlow does not allow in names are replaced ("mean radius": `mean_radius`),
    and names that would then be equal get numbers; "columns" in the metadata maps inputs to
    columns.
    Categories are text: "1", not 1. Dates are float64, seconds since 1970-01-01 (in UTC, if they
    have a time zone), and durations are seconds; "seconds" in the metadata lists these columns.
    Missing values, where the preprocessing allows them, are NaN and "". All other records that are
    not finite raise an InvalidArgumentError. Outputs:

    - `serving_default`: `score` float32 (N,), the one that decides; `is_anomaly` bool (N,), if the
      detector has a threshold; `p_value` float32 (N,), if it was set from calibration rows;
    - `scores`: the scorer's, such as `features`, `l1`, `l2`, `logits`, each float32 (N,);
    - `serialized_examples`: the outputs of `serving_default`, for `examples`, string (N,):
      serialized `tf.Example`s with the inputs by name, or with the bytes of a PNG or JPEG as
      "image";
    - `encoded_images`, for images: the outputs of `serving_default`, for `encoded`, string (N,),
      the bytes of a PNG or JPEG (neither of these two for images with 2 channels or more than 4);
    - `reconstruct`: `reconstruction`, tables float32 (N, d) in preprocessed space, images uint8;
    - `heat_map` and `encoded_heat_map`, for features of images: `heat_map` float32 (N, H, W), at
      the size of `images`, or for `encoded` at the size that the network takes.

    For features of images, `images` are uint8 (N, H, W, C) of any size with 1 to 4 channels, and
    `encoded` images may differ in size. Encoded JPEGs and PNGs are rotated by their EXIF
    orientation.

    The export is checked before it is put in place: a fresh process without this package loads it
    and scores random records with every signature, and its answers are compared with the
    detector's. Both are computed on the CPU, since a GPU rounds float32 products (TF32). They must
    be equal up to rounding; a verdict may differ if the score is within 1e-4 of the threshold.

    Args:
        detector: `alad_tf.Detector`.
        folder: str or Path; an existing export there is replaced, other files are not.

    Returns:
        Path of the folder; its `assets.extra/metadata.json` has the detector's origin, score and
        threshold.

    Raises:
        ValueError: if the preprocessing is not fitted, or does not fit the scorer.
        FileExistsError: if the folder contains something other than an export.
        OSError: if the folder cannot be written.
        RuntimeError: if the export's answers differ from the detector's; nothing is written.

    Example:
        >>> import tempfile, zoo
        >>> folder = export(zoo.load("breast_cancer_alad"), tempfile.mkdtemp() + "/1")
        >>> serve = tf.saved_model.load(folder).signatures["serving_default"]
        >>> sorted(serve(x=tf.zeros((2, 30))))
        ['is_anomaly', 'p_value', 'score']

    Source: ALAD, Algorithm 1.
    """
    preprocessor, folder = require_exportable(detector), Path(folder)
    require_place(folder, METADATA)
    with replacing_folder(folder, exported_earlier) as temporary, _errors_of_the_disk():
        graph = graph_of(detector)
        module = module_of(preprocessor, graph)
        functions = {
            name: tf.function(function).get_concrete_function(**specs)
            for name, (function, specs) in signatures(detector, graph).items()
        }
        save(module, temporary, functions)
        written = write_warmup(temporary, detector)
        about = metadata(detector, temporary)
        write_json(temporary / METADATA, {**about, "warmup_requests": written})
        wrong = difference(detector, temporary)
        if wrong:
            raise RuntimeError(
                f"{wrong} Nothing was written to {folder.resolve()}. This is a fault of the export "
                "or of the installed TensorFlow, not of your data: please report this message."
            )
    return folder


@contextlib.contextmanager
def _errors_of_the_disk():
    """Turn TensorFlow's errors while it writes, such as for a full disk, into OSErrors."""
    try:
        yield
    except tf.errors.OpError as error:
        raise OSError(f"The export cannot be written: {error.message}") from error


def write_warmup(folder, detector):
    """Write requests with which TensorFlow Serving warms up an export; returns how many.

    Returns 0 without the optional package tensorflow-serving-api. Source: TensorFlow Serving,
    "SavedModel warmup".
    """
    try:
        from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
    except ImportError:
        return 0
    path = Path(folder) / WARMUP
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with tf.io.TFRecordWriter(str(path)) as writer:
        for count in BATCHES:
            records = detector.preprocessor.sample(count)
            for signature, request in requests(detector, records).items():
                message = predict_pb2.PredictRequest()
                message.model_spec.signature_name = signature
                for name, values in request.items():
                    message.inputs[name].CopyFrom(tf.make_tensor_proto(values))
                log = prediction_log_pb2.PredictLog(request=message)
                entry = prediction_log_pb2.PredictionLog(predict_log=log)
                writer.write(entry.SerializeToString())
                written += 1
    return written
