"""Export: a fitted detector as a TensorFlow SavedModel, which needs nothing of this package."""

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
from alad_tf.export.portable import export_portable

WARMUP = "assets.extra/tf_serving_warmup_requests"


def export_version(detector, directory, name=None, version=1, kind="saved_model"):
    """Write an export where TensorFlow Serving looks for it: `directory/name/version`.

    Args:
        detector: `alad_tf.Detector`.
        directory: str or Path; the model's base path is `directory/name`.
        name: str, the model's name; default the entry's, or "detector".
        version: int, at least 1. An old export of that version is replaced.
        kind: "saved_model"; "onnx" or "tflite" write one file, see `alad_tf.export.portable`.

    Returns:
        Path of the folder, or of the file.

    Raises:
        ValueError: a name or version that TensorFlow Serving cannot have, or an unknown kind.
        ValueError, FileExistsError, RuntimeError: see `export`.

    Example:
        >>> # export_version(zoo.load("kdd99_alad"), "served")  # served/kdd99_alad/1
        >>> import zoo
        >>> export_version(zoo.load("breast_cancer_alad"), "served", name="a/b")
        Traceback (most recent call last):
        ...
        ValueError: received the model name 'a/b'; expected letters, digits, '_', '-' and '.'.
    """
    name = name or detector.metadata.get("entry") or "detector"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise ValueError(
            f"received the model name {name!r}; expected letters, digits, '_', '-' and '.'."
        )
    if int(version) != version or version < 1:
        raise ValueError(f"received version {version!r}; expected a whole number from 1 on.")
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
    """Write a detector as a SavedModel: raw records in, scores and verdicts out.

    Preprocessing, weights and threshold are inside the graph. The batch size is free. Inputs of
    every signature: `x` float32 (N, d); or `images` uint8 (N, H, W, C); or, of a table, one (N,)
    for each column, string for a categorical and float32 for a continuous one, by the column's own
    name. What TensorFlow takes for no name is replaced ("mean radius": `mean_radius`), and inputs
    that would be alike get numbers; "columns" in the metadata has both. Categories are text: "1",
    not 1. Dates are float64, seconds since 1970-01-01 (in UTC, if they have a time zone), durations
    seconds; "seconds" in the metadata names these columns. Gaps, where the preprocessing takes
    them, are NaN and "". Records that are not finite otherwise are an InvalidArgumentError.
    Outputs:

    - `serving_default`: `score` float32 (N,), the deciding one; `is_anomaly` bool (N,), if the
      detector has a threshold; `p_value` float32 (N,), if it was set from calibration rows;
    - `scores`: the scorer's, such as `features`, `l1`, `l2`, `logits`, each float32 (N,);
    - `serialized_examples`: what `serving_default` gives, for `examples`, string (N,): serialized
      `tf.Example`s with the inputs by name, or with the bytes of a PNG or JPEG as "image";
    - `encoded_images`, of images: the same for `encoded`, string (N,), such bytes themselves
      (neither of these two for images of 2 or of more than 4 channels);
    - `reconstruct`: `reconstruction`, tables float32 (N, d) in preprocessed space, images uint8;
    - `heat_map` and `encoded_heat_map`, of features of images: `heat_map` float32 (N, H, W), of
      `images` at their size, of `encoded` ones at the size that the network takes.

    With features of images, `images` are uint8 (N, H, W, C) of any size and of 1 to 4 channels, and
    `encoded` ones need not be of one size. Encoded images are turned as their EXIF data say, in
    JPEGs and PNGs.

    Before it takes its place, a fresh process without this package loads the export and answers
    random records with every signature; the answers are compared with the detector's. Both are
    computed on the CPU, since a GPU rounds float32 products (TF32). They are equal up to rounding:
    a verdict may differ where the score is within 1e-4 of the threshold.

    Args:
        detector: `alad_tf.Detector`.
        folder: str or Path; an old export there is replaced, other files are not.

    Returns:
        Path of the folder, with the detector's origin, score and threshold in
        `assets.extra/metadata.json`.

    Raises:
        ValueError: preprocessing that is not fitted or does not fit the scorer.
        FileExistsError: the destination holds something else than an export.
        OSError: it cannot be written there.
        RuntimeError: the export's answers are not the detector's; nothing is written.

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
            raise RuntimeError(f"{wrong} Nothing was written to {folder.resolve()}.")
    return folder


@contextlib.contextmanager
def _errors_of_the_disk():
    """TensorFlow's errors as it writes, such as of a full disk, as OSErrors."""
    try:
        yield
    except tf.errors.OpError as error:
        raise OSError(f"The export cannot be written: {error.message}") from error


def write_warmup(folder, detector):
    """Writes requests with which TensorFlow Serving warms an export up; returns how many.

    0 without the package tensorflow-serving-api, an extra. Source: TensorFlow Serving,
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
