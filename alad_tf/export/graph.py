"""What every export is made of: the detector's graph, its functions, its metadata."""

import hashlib
import logging

import numpy as np
import tensorflow as tf

from alad_tf.export.inputs import (
    ENCODED,
    SERIALIZED,
    as_called,
    decoded,
    examples_spec,
    readable,
)

METADATA = "assets.extra/metadata.json"  # TensorFlow Serving leaves this folder alone
FORMAT = 2


def require_exportable(detector):
    """The preprocessor of a detector that can be exported.

    Args:
        detector: `alad_tf.Detector`.

    Returns:
        its preprocessor.

    Raises:
        ValueError: preprocessing that is not fitted or does not fit the scorer.

    Example:
        >>> import zoo
        >>> require_exportable(zoo.load("breast_cancer_alad")).kind
        'vector'
    """
    preprocessor = detector.preprocessor
    fitted = getattr(preprocessor, "fitted", False)
    if not fitted or preprocessor.output_shape != detector.scorer.x_shape:
        given = f"gives {preprocessor.output_shape}" if fitted else "is not fitted"
        raise ValueError(
            f"received a detector whose {type(preprocessor).__name__} {given}; its scorer takes "
            f"{detector.scorer.x_shape}. Fit the preprocessing on the rows that the model trains "
            "on, then make the detector of both."
        )
    return preprocessor


def require_place(folder, marker):
    """Refuse to write an export over what is none.

    Args:
        folder: Path of the destination.
        marker: str, a file's path in the folder that every export of the kind has.

    Raises:
        FileExistsError: the folder holds something, and not the marker; or it is a file.

    Example:
        >>> from pathlib import Path
        >>> require_place(Path("new/folder"), METADATA)
    """
    if (folder / marker).is_file() or not folder.exists():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise FileExistsError(
            f"{folder.resolve()} exists and is not an export; expected a new folder, an empty one "
            "or an old export. Choose another place, such as a folder in it."
        )


def metadata(detector, columns, folder):
    """What an export says of itself: origin, score, threshold, and the sha256 of its files.

    Args:
        detector: `alad_tf.Detector`.
        columns: dict, for each input the column that it stands for; None if it is all of the
            records.
        folder: Path of the export's files.

    Returns:
        dict that JSON can hold.

    Example:
        >>> import tempfile, zoo
        >>> from pathlib import Path
        >>> told = metadata(zoo.load("breast_cancer_alad"), {"x": None}, Path(tempfile.mkdtemp()))
        >>> told["entry"], told["score"], told["columns"]
        ('breast_cancer_alad', 'features', None)
    """
    preprocessor = detector.preprocessor
    told = ("entry", "variant", "seed", "normal_class", "metrics", "estimator")
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {
        "format": FORMAT,
        **{key: detector.metadata.get(key) for key in told},
        "score": detector.score,
        "threshold": detector.threshold,
        "threshold_rule": detector.threshold_rule,
        "held_out_rows": len(detector.reference),  # that p_value is counted from
        "feature_names": getattr(preprocessor, "feature_names", None),
        "columns": None if None in columns.values() else columns,  # of each input
        "tensorflow": tf.__version__,
        "sha256": {
            str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
        },
    }


def graph_of(detector):
    """A detector's scorer as a function of preprocessed samples that TensorFlow can trace."""
    scorer = detector.scorer
    return scorer.graph() if hasattr(scorer, "graph") else scorer


def module_of(preprocessor, graph):
    """A `tf.Module` of the variables alone: no object of Keras or of ours gets into an export."""
    module = tf.Module()
    variables = (*preprocessor.variables, *graph.variables)
    module.variables_ = [v if isinstance(v, tf.Variable) else v.value for v in variables]
    return module


def save(module, folder, functions):
    """Write a SavedModel without TensorFlow's line on the folder: it is renamed afterwards.

    Args:
        module: what `module_of` returned.
        folder: str or Path.
        functions: dict of concrete functions by signature, or one function.
    """
    logger = tf.get_logger()
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        tf.saved_model.save(module, str(folder), signatures=functions)
    finally:
        logger.setLevel(before)


def signatures(detector, graph, inputs):
    """The signatures of a SavedModel.

    Args:
        detector: `alad_tf.Detector`.
        graph: what `graph_of` returned of it.
        inputs: what `alad_tf.export.inputs.inputs_of` returned of its preprocessing.

    Returns:
        dict: for each signature its function and the TensorSpecs of its inputs by name.
    """
    preprocessor = detector.preprocessor
    columns = {name: column for name, (column, _) in inputs.items()}
    raw_specs = {name: spec for name, (_, spec) in inputs.items()}
    strings = tf.TensorSpec((None,), tf.string)

    def outputs(raw):
        x = preprocessor(as_called(preprocessor, columns, raw))
        # without it a NaN's score would be a NaN, and a NaN is not beyond any threshold
        return graph(tf.debugging.check_numerics(x, "Records must be finite"))

    def serving_default(**raw):
        score = outputs(raw)[detector.score]
        answer = {"score": score}
        if detector.threshold is not None:
            answer["is_anomaly"] = score >= np.float32(detector.threshold)
        if len(detector.reference):  # `Threshold.p_values`, in TensorFlow
            held_out = tf.constant(detector.reference)
            below = tf.searchsorted(held_out, score, side="left")
            count = len(detector.reference) + 1
            answer["p_value"] = tf.cast(count - below, tf.float32) / count
        return answer

    def scores(**raw):
        found = outputs(raw)
        return {name: found[name] for name in detector.scorer.score_names}

    def reconstruct(**raw):
        x = outputs(raw)["reconstruction"]
        if preprocessor.kind == "image":  # `inverse`, in TensorFlow
            x = tf.cast(tf.clip_by_value(tf.round((x + 1.0) * 127.5), 0.0, 255.0), tf.uint8)
        return {"reconstruction": x}

    def serialized_examples(examples):
        found = tf.io.parse_example(examples, examples_spec(preprocessor, inputs))
        if preprocessor.kind == "image":
            return encoded_images(found["image"])
        return serving_default(**found)

    def encoded_images(encoded):
        return serving_default(images=decoded(preprocessor, encoded))

    found = {"serving_default": (serving_default, raw_specs), "scores": (scores, raw_specs)}
    if detector.reconstructs:
        found["reconstruct"] = (reconstruct, raw_specs)
    serialized = {SERIALIZED: (serialized_examples, {"examples": strings})}
    serialized[ENCODED] = (encoded_images, {"encoded": strings})
    found |= {name: serialized[name] for name in readable(preprocessor)}
    return found


def portable(detector, graph, inputs):
    """What `serving_default` gives, of operations that other runtimes have as well.

    A record that is not finite cannot be refused there; it is called anomalous.

    Args:
        detector, graph, inputs: as for `signatures`.

    Returns:
        `(function, specs)`: a function of tensors in the inputs' order, which returns a dict; and
        their named TensorSpecs.
    """
    preprocessor = detector.preprocessor
    columns = {name: column for name, (column, _) in inputs.items()}

    def answer(*values):
        raw = dict(zip(inputs, values, strict=True))
        x = preprocessor(as_called(preprocessor, columns, raw))
        flat = tf.reshape(x, (-1, int(np.prod(preprocessor.output_shape))))
        # NaN compares with nothing, and a network's maxima may lose it on the way to the score
        finite = tf.reduce_all(tf.abs(flat) <= tf.float32.max, 1)
        score = graph(x)[detector.score]
        found = {"score": score}
        if detector.threshold is not None:
            beyond = score >= np.float32(detector.threshold)
            found["is_anomaly"] = tf.logical_not(finite) | beyond
        if len(detector.reference):
            held_out = tf.constant(detector.reference)
            above = tf.reduce_sum(tf.cast(held_out >= score[:, tf.newaxis], tf.float32), 1)
            above *= tf.cast(finite, tf.float32)
            found["p_value"] = (above + 1) / (len(detector.reference) + 1)
        return found

    specs = [tf.TensorSpec(spec.shape, spec.dtype, name) for name, (_, spec) in inputs.items()]
    return answer, specs
