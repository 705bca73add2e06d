"""What an exported detector computes, in plain TensorFlow: raw records to scores and verdicts."""

import logging

import numpy as np
import tensorflow as tf

from alad_tf.export_inputs import ENCODED, SERIALIZED, as_called, decoded, examples_spec, readable


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
        inputs: what `alad_tf.export_inputs.inputs_of` returned of its preprocessing.

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
