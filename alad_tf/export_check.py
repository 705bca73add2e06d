"""An export's self-check: a fresh process's answers beside the detector's."""

import os
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import tensorflow as tf

from alad_tf.detector import Detector
from alad_tf.export_inputs import request_of, sample, serialized
from alad_tf.preprocess import preprocessor_from_state

BATCHES = (1, 5)  # rows of the requests

# The detector's program is compiled by XLA, the export's is not: their sums are taken in other
# orders. Seen: 1.3e-6 relative for the sums of distances of random records. What is near 0 (logits,
# reconstructions, scores of records that are reconstructed well) is the difference of numbers of
# order one; there an absolute 9e-5 was seen at most, after ten convolutions.
RTOL, ATOL = 1e-5, 1e-4
LEVEL = 1.1 / 255  # half a level of a uint8 pixel, and a tenth of that: it may round either way

CHILD = """
import sys
sys.modules["alad_tf"] = sys.modules["zoo"] = None  # to import them is an error from here on
import numpy as np
import tensorflow as tf
folder, records, results = sys.argv[1:]
requests, answers = {}, {}
for key, array in np.load(records).items():
    batch, kind, name = key.split("|")
    if kind != "raw":  # bytes, as hexadecimal digits
        array = [bytes.fromhex(digits) for digits in array]
    requests.setdefault(batch, {}).setdefault(kind, {})[name] = tf.constant(array)
served = tf.saved_model.load(folder)
for signature, function in served.signatures.items():
    for batch, kinds in requests.items():
        for name, answer in function(**kinds.get(signature, kinds["raw"])).items():
            answers["|".join((batch, signature, name))] = answer.numpy()
np.savez(results, **answers)
"""


def difference(detector, folder, columns):
    """Compare an export's answers to random raw records with the detector's.

    Args:
        detector: `alad_tf.Detector`, fitted.
        folder: str or Path of the export.
        columns: dict, for each input the column that it stands for; None if it is all of the
            records.

    Returns:
        str, what differs and by how much; None if nothing does. Verdicts may differ where the
        score is as near to the threshold as scores may be to each other.
    """
    samples = {str(count): sample(detector.preprocessor, count) for count in BATCHES}
    answers = _answers(folder, _requests(detector.preprocessor, columns, samples))
    if isinstance(answers, str):
        return f"The export could not be loaded and run in a fresh process: {answers}"
    with tf.device("CPU"):  # as the export's process: a GPU rounds float32 products (TF32)
        scorer = detector.scorer
        if hasattr(scorer, "get_weights"):  # scikit-learn's are on the CPU anyway
            scorer = type(scorer)(**scorer.architecture())
            scorer.set_weights(detector.scorer.get_weights())
        preprocessor = preprocessor_from_state(detector.preprocessor.state())
        twin = Detector(
            preprocessor,
            scorer,
            detector.score,
            detector.threshold,
            reference=detector.reference,
        )
        wanted = expected(twin, samples)
    return first_difference(answers, wanted, preprocessor)


def _requests(preprocessor, columns, samples):
    """Arrays by "batch|kind|input", kind a signature with inputs of its own, else "raw"."""
    requests = {}
    for batch, records in samples.items():
        raw = request_of(columns, records)
        requests |= {f"{batch}|raw|{name}": values for name, values in raw.items()}
        kinds = {"serialized_examples|examples": serialized(preprocessor, raw)}
        if preprocessor.kind == "image":
            kinds["encoded_images|encoded"] = [tf.io.encode_png(x).numpy() for x in records]
        for key, contents in kinds.items():
            requests[f"{batch}|{key}"] = np.array([content.hex() for content in contents])
    return requests


def first_difference(answers, wanted, preprocessor):
    """Compare answers with what they should be.

    Args:
        answers: dict of arrays by "batch|signature|output".
        wanted: dict, for the same keys: array, allowed error, dtype of the answer. An answer of
            uint8 pixels is brought to [-1, 1] first: its array holds reconstructions before they
            are rounded, so that a pixel at the border of two levels may be either.
        preprocessor: the fitted preprocessor.

    Returns:
        str, the first difference that is not allowed; None if there is none.

    Example:
        >>> answers, wanted = {"2|scores|l1": np.ones(2)}, {"2|scores|l1": (np.zeros(2), 1, "f8")}
        >>> first_difference(answers, wanted, None) is None
        True
    """
    if set(answers) != set(wanted):
        names = [sorted({key.partition("|")[2] for key in keys}) for keys in (answers, wanted)]
        return f"The export has the outputs {names[0]}; expected {names[1]}."
    differences = (_compare(key, answers[key], *wanted[key], preprocessor) for key in wanted)
    return next(filter(None, differences), None)


def _answers(folder, requests):
    """Arrays by "batch|signature|output", or what the process said when it failed."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    # this process may hold all of the GPU's memory
    environment |= {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    with tempfile.TemporaryDirectory() as scratch:
        records, results = f"{scratch}/records.npz", f"{scratch}/results.npz"
        np.savez(records, **requests)
        command = [sys.executable, "-c", CHILD, str(folder), records, results]
        done = subprocess.run(command, capture_output=True, text=True, cwd=scratch, env=environment)
        if done.returncode:
            return done.stderr.strip()[-2000:]
        with np.load(results) as arrays:
            return dict(arrays)


def expected(detector, samples):
    """A detector's answers.

    Args:
        detector: `alad_tf.Detector`.
        samples: dict of raw records by batch.

    Returns:
        dict as `first_difference` takes it.
    """
    wanted = {}
    for batch, records in samples.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the unseen categories are there on purpose
            x = detector.preprocessor.transform(records)
        scores = detector.scorer.scores(x)
        for name, value in scores.items():
            wanted[f"{batch}|scores|{name}"] = (value, _allowed(value), "float32")
        for name, answer in _verdicts(detector, scores[detector.score]).items():
            for signature in ("serving_default", "serialized_examples", "encoded_images"):
                if signature != "encoded_images" or detector.preprocessor.kind == "image":
                    wanted[f"{batch}|{signature}|{name}"] = answer
        if detector.reconstructs:
            made = detector.scorer.reconstruct(x)
            told = (made, _allowed(made), "float32")
            if detector.preprocessor.kind == "image":
                told = (np.clip(made, -1, 1), LEVEL, "uint8")
            wanted[f"{batch}|reconstruct|reconstruction"] = told
    return wanted


def _verdicts(detector, score):
    """The answers of `serving_default`: by name the value, what it may differ by, and its dtype."""
    found = {"score": (score, _allowed(score), "float32")}
    if detector.threshold is not None:
        threshold = np.float32(detector.threshold)
        either = np.abs(score - threshold) <= _allowed(score)  # this or that verdict
        found["is_anomaly"] = (score >= threshold, either.astype("float32"), "bool")
    if len(detector.reference):
        middle, least, most = (
            detector.p_values_of(score + side * _allowed(score)) for side in (0, 1, -1)
        )
        found["p_value"] = (middle, np.maximum(most - middle, middle - least) + 1e-6, "float32")
    return found


def _allowed(value):
    return ATOL + RTOL * np.abs(value)


def _compare(key, answer, value, allowed, dtype, preprocessor):
    batch, signature, output = key.split("|")
    what = f"The export's output {output!r} of the signature {signature!r}"
    if (answer.dtype, answer.shape) != (np.dtype(dtype), value.shape):
        return f"{what} is {answer.dtype} {answer.shape}; expected {dtype} {value.shape}."
    if dtype == "uint8":
        answer = preprocessor.transform(answer)
    error = np.abs(answer.astype("float64") - value)
    beyond = ~(error <= allowed)  # a NaN is beyond, too
    if not beyond.any():
        return None
    place = np.unravel_index(np.argmax(np.where(beyond, error, -1)), error.shape)
    return (
        f"{what} differs from the detector's by {error[place]:.3g} for a request of {batch} "
        f"record(s): {answer[place]} instead of {value[place]}."
    )
