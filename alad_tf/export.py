"""Export: a fitted detector as a TensorFlow SavedModel, which needs nothing of this package."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from alad_tf.export_check import difference
from alad_tf.export_inputs import as_called, inputs_of
from alad_tf.files import replacing_folder, write_json

METADATA = "assets.extra/metadata.json"  # TensorFlow Serving leaves this folder alone
FORMAT = 1


def export(detector, folder):
    """Write a detector as a SavedModel: raw records in, scores and verdicts out.

    Preprocessing, weights and threshold are inside the graph. The batch size is free. Inputs of
    every signature: `x` float32 (N, d); or `images` uint8 (N, H, W, C); or, of a table, one (N,)
    for each column, string for a categorical and float32 for a continuous one, by the column's own
    name. What TensorFlow takes for no name is replaced ("mean radius": `mean_radius`); "columns" in
    the metadata has both. Categories are text: "1", not 1. Gaps, where the preprocessing takes
    them, are NaN and "". Records that are not finite otherwise are an InvalidArgumentError.
    Outputs:

    - `serving_default`: `score` float32 (N,), the deciding one; `is_anomaly` bool (N,), if the
      detector has a threshold; `p_value` float32 (N,), if normal rows were held out for it;
    - `scores`: the scorer's, such as `features`, `l1`, `l2`, `logits`, each float32 (N,);
    - `reconstruct`: `reconstruction`, tables float32 (N, d) in preprocessed space, images uint8.

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
        ValueError: preprocessing that is not fitted or does not fit the scorer, or columns whose
            names would be one input's.
        FileExistsError: the destination holds something else than an export.
        RuntimeError: the export's answers are not the detector's; nothing is written.

    Example:
        >>> import tempfile, zoo
        >>> folder = export(zoo.load("breast_cancer_alad"), tempfile.mkdtemp() + "/1")
        >>> serve = tf.saved_model.load(folder).signatures["serving_default"]
        >>> sorted(serve(x=tf.zeros((2, 30))))
        ['is_anomaly', 'score']

    Source: ALAD, Algorithm 1.
    """
    preprocessor, folder = detector.preprocessor, Path(folder)
    fitted = getattr(preprocessor, "fitted", False)
    if not fitted or preprocessor.output_shape != detector.scorer.x_shape:
        given = f"gives {preprocessor.output_shape}" if fitted else "is not fitted"
        raise ValueError(
            f"received a detector whose {type(preprocessor).__name__} {given}; its scorer takes "
            f"{detector.scorer.x_shape}. Fit the preprocessing on the rows that the model trains "
            "on, then make the detector of both."
        )
    is_ours = (folder / METADATA).is_file()
    if folder.exists() and not is_ours and not (folder.is_dir() and not any(folder.iterdir())):
        raise FileExistsError(
            f"{folder.resolve()} exists and is not an export; expected a new folder, an empty one "
            "or an old export. Choose another place, such as a folder in it."
        )
    inputs = inputs_of(preprocessor)
    with replacing_folder(folder.resolve()) as temporary:
        module = tf.Module()  # plain variables and functions: no object of Keras or of ours
        module.variables_ = [v.value for v in (*preprocessor.variables, *detector.scorer.variables)]
        specs = {name: spec for name, (_, spec) in inputs.items()}
        columns = {name: column for name, (column, _) in inputs.items()}
        functions = {
            name: tf.function(function).get_concrete_function(**specs)
            for name, function in _signatures(detector, columns).items()
        }
        tf.saved_model.save(module, str(temporary), signatures=functions)
        write_json(temporary / METADATA, _metadata(detector, columns))
        wrong = difference(detector, temporary, columns)
        if wrong:
            raise RuntimeError(f"{wrong} Nothing was written to {folder.resolve()}.")
    return folder


def _signatures(detector, columns):
    preprocessor, scorer = detector.preprocessor, detector.scorer

    def outputs(raw):
        x = preprocessor(as_called(preprocessor, columns, raw))
        # without it a NaN's score would be a NaN, and a NaN is not beyond any threshold
        return scorer(tf.debugging.check_numerics(x, "Records must be finite"))

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
        return {name: found[name] for name in scorer.score_names}

    def reconstruct(**raw):
        x = outputs(raw)["reconstruction"]
        if preprocessor.kind == "image":  # `inverse`, in TensorFlow
            x = tf.cast(tf.clip_by_value(tf.round((x + 1.0) * 127.5), 0.0, 255.0), tf.uint8)
        return {"reconstruction": x}

    return {f.__name__: f for f in (serving_default, scores, reconstruct)}


def _metadata(detector, columns):
    preprocessor = detector.preprocessor
    origin = {k: detector.metadata.get(k) for k in ("entry", "variant", "seed", "normal_class")}
    return {
        "format": FORMAT,
        **origin,
        "score": detector.score,
        "threshold": detector.threshold,
        "threshold_rule": detector.threshold_rule,
        "feature_names": getattr(preprocessor, "feature_names", None),
        "columns": None if None in columns.values() else columns,  # of each input
        "tensorflow": tf.__version__,
    }
