"""Requests that TensorFlow Serving answers before it takes real ones: none of those waits."""

from pathlib import Path

import tensorflow as tf

from alad_tf.export_inputs import ENCODED, SERIALIZED, readable, request_of, sample, serialized

WARMUP = "assets.extra/tf_serving_warmup_requests"
BATCHES = (1, 5)


def requests(detector, columns, count):
    """A request of random records for every signature.

    Args:
        detector: `alad_tf.Detector`.
        columns: dict, for each input the column that it stands for, or None.
        count: int, records of a request.

    Returns:
        dict by signature of dicts of arrays by input.
    """
    records = sample(detector.preprocessor, count)
    raw = request_of(columns, records)
    found = {"serving_default": raw, "scores": raw}
    if detector.reconstructs:
        found["reconstruct"] = raw
    if SERIALIZED in readable(detector.preprocessor):
        found[SERIALIZED] = {"examples": serialized(detector.preprocessor, raw)}
    if ENCODED in readable(detector.preprocessor):
        found[ENCODED] = {"encoded": [tf.io.encode_png(x).numpy() for x in records]}
    return found


def write_warmup(folder, detector, columns):
    """Write `assets.extra/tf_serving_warmup_requests` into an export.

    Args:
        folder: str or Path of the export.
        detector: `alad_tf.Detector`.
        columns: dict, for each input the column that it stands for, or None.

    Returns:
        int, how many requests; 0 without the package tensorflow-serving-api, an extra.

    Source: TensorFlow Serving, "SavedModel warmup".
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
            for signature, request in requests(detector, columns, count).items():
                message = predict_pb2.PredictRequest()
                message.model_spec.signature_name = signature
                for name, values in request.items():
                    message.inputs[name].CopyFrom(tf.make_tensor_proto(values))
                log = prediction_log_pb2.PredictLog(request=message)
                entry = prediction_log_pb2.PredictionLog(predict_log=log)
                writer.write(entry.SerializeToString())
                written += 1
    return written
