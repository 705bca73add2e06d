"""What all exports share: the detector's graph, its functions, its metadata."""

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from alad_tf.detector.threshold import LARGEST
from alad_tf.engine.files import MANIFEST, check_place, damaged, read_json
from alad_tf.preprocess.base import FAR

ENCODED_MAP = "encoded_heat_map"  # the signature of heat maps of encoded images
METADATA = "assets.extra/metadata.json"  # TensorFlow Serving leaves this folder alone
FORMAT = 2
ORIGIN = ("entry", "variant", "seed", "normal_class", "metrics", "estimator")  # of a detector


def require_exportable(detector):
    """The preprocessor of a detector, if it is fitted and fits the scorer; else a ValueError."""
    preprocessor = detector.preprocessor
    fitted = getattr(preprocessor, "fitted", False)
    if not fitted or preprocessor.output_shape != detector.scorer.x_shape:
        problem = (
            f"returns samples of shape {preprocessor.output_shape}" if fitted else "is not fitted"
        )
        raise ValueError(
            f"received a detector whose {type(preprocessor).__name__} {problem}; its scorer "
            f"takes {detector.scorer.x_shape}. Fit the preprocessing on the model's training "
            "rows, then make a detector of both."
        )
    return preprocessor


def require_place(folder, file):
    """Refuse a destination that holds anything but an export of one format, known by a file."""
    check_place(folder, exported_earlier)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / file).is_file():
        raise FileExistsError(
            f"{folder} contains something other than an export of this format: it has no "
            f"{file}. Choose another folder, name or version."
        )


def exported_earlier(folder):
    """Names of an export's files in a folder without a manifest, as earlier versions wrote them."""
    for name in (METADATA, Path(METADATA).name) if not (folder / MANIFEST).is_file() else ():
        try:
            hashes = read_json(folder / name)["sha256"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if isinstance(hashes, dict) and not damaged(folder, hashes):
            return {*hashes, name, "assets/"}  # TensorFlow makes that folder; often it is empty
    return set()


def metadata(detector, folder):
    """An export's metadata: origin, score, threshold, and the sha256 of its files."""
    preprocessor = detector.preprocessor
    threshold = detector.threshold
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {
        "format": FORMAT,
        **{key: detector.metadata.get(key) for key in ORIGIN},
        "score": detector.score,
        "threshold": None if threshold is None else threshold.value,
        "threshold_rule": detector.threshold_rule,
        "held_out_rows": len(detector.reference),  # for p_value
        "contains": getattr(detector.scorer, "contains", None),  # of the training rows
        "feature_names": getattr(preprocessor, "feature_names", None),
        "columns": preprocessor.input_columns(),  # of each input
        "seconds": {c: preprocessor.kinds[c].kind for c in getattr(preprocessor, "written", ())},
        "tensorflow": tf.__version__,
        "sha256": {
            str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
        },
    }


def inputs_of(preprocessor):
    """An export's inputs, TensorSpecs by name; "columns" in the metadata says which is which."""
    return preprocessor.signature()


def graph_of(detector):
    """A detector's scorer as a function of preprocessed samples that TensorFlow can trace."""
    scorer = detector.scorer
    return scorer.graph() if hasattr(scorer, "graph") else scorer


class Judged(Mapping):
    """`alad_tf.detector.detector.judged` in TensorFlow; a sample with NaN is too far off, too.

    Each answer is computed when it is read: AnoGAN's take a search each.
    """

    def __init__(self, found, x, names):
        self.found, self.names = found, names
        flat = tf.reshape(x, (-1, int(np.prod(x.shape[1:]))))
        # NaN compares with nothing, and a network's maxima may lose it on the way to the score
        self.near = tf.reduce_all(tf.abs(flat) < FAR, 1)

    def __getitem__(self, name):
        value = self.found[name]
        if name not in self.names:
            return value
        return tf.where(self.near & (tf.abs(value) <= LARGEST), value, LARGEST)

    def __iter__(self):
        return iter(self.found)

    def __len__(self):
        return len(self.found)


def module_of(preprocessor, graph):
    """A `tf.Module` of the variables alone: no object of Keras or of ours gets into an export."""
    module = tf.Module()
    variables = (*preprocessor.variables, *graph.variables)
    module.variables_ = [v if isinstance(v, tf.Variable) else v.value for v in variables]
    return module


def save(module, folder, functions):
    """Writes a SavedModel without TensorFlow's line on the folder: it is renamed afterwards."""
    logger = tf.get_logger()
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        tf.saved_model.save(module, str(folder), signatures=functions)
    finally:
        logger.setLevel(before)


def signatures(detector, graph):
    """A SavedModel's signatures: for each its function, and its inputs' TensorSpecs by name."""
    preprocessor, threshold = detector.preprocessor, detector.threshold
    specs = preprocessor.signature()

    def outputs(request):
        x = preprocessor(preprocessor.from_request(request))
        # without it a NaN's score would be a NaN, and a NaN is not beyond any threshold
        x = tf.debugging.check_numerics(x, "Records must be finite")
        return Judged(graph(x), x, detector.scorer.score_names)

    def serving_default(**request):
        score = outputs(request)[detector.score]
        answer = {"score": score}
        if threshold is not None:
            answer["is_anomaly"] = threshold.flags(score)
        if len(detector.reference):  # `Threshold.p_values`, in TensorFlow
            below = tf.searchsorted(tf.constant(detector.reference), score, side="left")
            count = len(detector.reference) + 1
            answer["p_value"] = tf.cast(count - below, tf.float32) / count
        return answer

    def scores(**request):
        found = outputs(request)
        return {name: found[name] for name in detector.scorer.score_names}

    def reconstruct(**request):
        return {"reconstruction": preprocessor.inverse(outputs(request)["reconstruction"])}

    def heat_map(**request):
        return {"heat_map": heat_at_size(preprocessor, request, outputs(request))}

    def from_bytes(encoding, answer=serving_default):
        def function(**encoded):
            return answer(**encoding.decode(encoded[encoding.input]))

        return function, {encoding.input: tf.TensorSpec((None,), tf.string)}

    found = {"serving_default": (serving_default, specs), "scores": (scores, specs)}
    if detector.reconstructs:
        found["reconstruct"] = (reconstruct, specs)
    if draws_heat_maps(detector):
        encoding = preprocessor.encodings()["encoded_images"]
        found |= {"heat_map": (heat_map, specs), ENCODED_MAP: from_bytes(encoding, heat_map)}
    return found | {name: from_bytes(one) for name, one in preprocessor.encodings().items()}


def heat_at_size(preprocessor, request, found):
    """The heat maps among a scorer's outputs, at the size of the requested images."""
    (images,) = request.values()
    return preprocessor.at_size(found["heat_map"], tf.unstack(tf.shape(images)[1:3]))


def draws_heat_maps(detector):
    """Whether a detector's scorer has heat maps."""
    return hasattr(detector.scorer, "heat_maps")


def requests(detector, records):
    """Raw records as a request for every signature: by input arrays, or lists of bytes."""
    preprocessor = detector.preprocessor
    names = ["serving_default", "scores", *["reconstruct"] * detector.reconstructs]
    names += ["heat_map"] * draws_heat_maps(detector)
    encoded = preprocessor.encodings()
    if draws_heat_maps(detector):
        encoded[ENCODED_MAP] = encoded["encoded_images"]
    return dict.fromkeys(names, preprocessor.request(records)) | {
        name: {encoding.input: encoding.encode(records)} for name, encoding in encoded.items()
    }


def portable(detector, graph, double=True):
    """`serving_default`, and heat maps, as operations that other runtimes have as well.

    These cannot refuse a record that is not finite; they flag it. Without `double`, all numbers are
    float32.

    Returns:
        `(function, specs)`: a function of tensors in the inputs' order, which returns a dict; and
        their named TensorSpecs.
    """
    preprocessor, threshold = detector.preprocessor, detector.threshold
    inputs = preprocessor.signature()
    encode = preprocessor if double else preprocessor.in_single_precision

    def answer(*values):
        request = dict(zip(inputs, values, strict=True))
        x = encode(preprocessor.from_request(request))
        outputs = graph(x)
        score = Judged(outputs, x, [detector.score])[detector.score]
        found = {"score": score}
        if threshold is not None:
            found["is_anomaly"] = threshold.flags(score)
        if len(detector.reference):  # no other runtime has `tf.searchsorted`
            reference = tf.constant(detector.reference)
            above = tf.reduce_sum(tf.cast(reference >= score[:, tf.newaxis], tf.float32), 1)
            found["p_value"] = (above + 1) / (len(detector.reference) + 1)
        if draws_heat_maps(detector):
            found["heat_map"] = heat_at_size(preprocessor, request, outputs)
        return found

    specs = inputs if double else single_precision(inputs)
    return answer, [tf.TensorSpec(s.shape, s.dtype, name) for name, s in specs.items()]


def single_precision(arrays):
    """A dict of arrays or TensorSpecs, float64 ones as float32."""
    found = dict(arrays)
    for name, one in found.items():
        if one.dtype == tf.float64:
            spec = isinstance(one, tf.TensorSpec)
            found[name] = tf.TensorSpec(one.shape, tf.float32) if spec else one.astype("float32")
    return found
