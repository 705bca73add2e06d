"""An export's self-check: a fresh process's answers beside the detector's."""

import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import tensorflow as tf

from alad_tf.detector.detector import Detector
from alad_tf.export.inputs import ENCODED, SERIALIZED, readable, request_of, sample, serialized
from alad_tf.preprocess import preprocessor_from_state

BATCHES = (1, 5)  # rows of the requests

# The detector's program is compiled by XLA, the export's is not: their sums are taken in other
# orders. Seen: 1.3e-6 relative for the sums of distances of random records. What is near 0 (logits,
# reconstructions, scores of records that are reconstructed well) is the difference of numbers of
# order one; there an absolute 9e-5 was seen at most, after ten convolutions.
RTOL, ATOL = 1e-5, 1e-4
FAR, FAR_TOLERANCE = "far", 1e-2
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

# Runtimes that need no TensorFlow: each a function from a model's path to a function of a request.
PORTABLE_CHILD = """
import sys
sys.modules["alad_tf"] = sys.modules["zoo"] = sys.modules["tensorflow"] = None
import numpy as np
path, records, results = sys.argv[1:]
if path.endswith(".onnx"):
    import onnxruntime
    session = onnxruntime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    run = lambda request: dict(zip(names, session.run(names, request)))
    text = lambda column: column.astype(object)
else:
    from ai_edge_litert.interpreter import Interpreter
    runner = Interpreter(model_path=path).get_signature_runner("serving_default")
    run = lambda request: runner(**request)
    text = lambda column: np.array([value.encode() for value in column], object)
requests, answers = {}, {}
for key, array in np.load(records).items():
    batch, _, name = key.split("|")
    requests.setdefault(batch, {})[name] = text(array) if array.dtype.kind == "U" else array
for batch, request in requests.items():
    for name, answer in run(request).items():
        answers["|".join((batch, "serving_default", name))] = answer
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
    answers = _answers(CHILD, folder, _requests(detector.preprocessor, columns, samples))
    if isinstance(answers, str):
        return f"The export could not be loaded and run in a fresh process: {answers}"
    with tf.device("CPU"):  # as the export's process: a GPU rounds float32 products (TF32)
        twin = _twin(detector)
        wanted = expected(twin, samples)
    return first_difference(answers, wanted, twin.preprocessor)


def portable_difference(detector, path, columns):
    """Compare the answers of a model for another runtime with the detector's.

    Args:
        detector, columns: as for `difference`.
        path: str or Path of the file; its suffix says which runtime.

    Returns:
        str, what differs and by how much; None if nothing does.
    """
    samples = {str(count): sample(detector.preprocessor, count) for count in BATCHES}
    # Records far off are what a detector is for, and where another runtime's functions overflow.
    samples[FAR] = sample(detector.preprocessor, 64, reach=1000)
    requests = {
        f"{batch}|raw|{name}": np.asarray(values)
        for batch, records in samples.items()
        for name, values in request_of(columns, records).items()
    }
    answers = _answers(PORTABLE_CHILD, path, requests)
    if isinstance(answers, str):
        return f"{Path(path).name} could not be loaded and run in a fresh process: {answers}"
    with tf.device("CPU"):
        twin = _twin(detector)
        wanted = expected(twin, samples)
    served = {k: v for k, v in wanted.items() if k.split("|")[1] == "serving_default"}
    return first_difference(*_without_far_verdicts(answers, served), twin.preprocessor)


def _without_far_verdicts(answers, wanted):
    """Of the far records' answers only the scores, which rounding moves by more."""
    key = f"{FAR}|serving_default|score"
    score, _, dtype = wanted[key]
    near = [{k: v for k, v in some.items() if k.split("|")[0] != FAR} for some in (answers, wanted)]
    allowed = FAR_TOLERANCE * (1 + np.abs(score))
    return near[0] | {key: answers[key]}, near[1] | {key: (score, allowed, dtype)}


def _twin(detector):
    """The detector once more, with its variables on the device that is set."""
    scorer = detector.scorer
    if hasattr(scorer, "get_weights"):  # scikit-learn's are on the CPU anyway
        scorer = type(scorer)(**scorer.architecture())
        scorer.set_weights(detector.scorer.get_weights())
    return Detector(
        preprocessor_from_state(detector.preprocessor.state()),
        scorer,
        detector.score,
        detector.threshold,
        reference=detector.reference,
    )


def _requests(preprocessor, columns, samples):
    """Arrays by "batch|kind|input", kind a signature with inputs of its own, else "raw"."""
    requests = {}
    for batch, records in samples.items():
        raw = request_of(columns, records)
        requests |= {f"{batch}|raw|{name}": values for name, values in raw.items()}
        kinds = {}
        if SERIALIZED in readable(preprocessor):
            kinds[f"{SERIALIZED}|examples"] = serialized(preprocessor, raw)
        if ENCODED in readable(preprocessor):
            kinds[f"{ENCODED}|encoded"] = [tf.io.encode_png(x).numpy() for x in records]
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


def _answers(child, folder, requests):
    """What a fresh process that runs the code `child` answers.

    Returns:
        dict of arrays by "batch|signature|output"; or str, what the process said when it failed.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    # this process may hold all of the GPU's memory
    environment |= {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    with tempfile.TemporaryDirectory() as scratch:
        records, results = f"{scratch}/records.npz", f"{scratch}/results.npz"
        np.savez(records, **requests)
        command = [sys.executable, "-c", child, str(folder), records, results]
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
        scores, made = _answers_in_process(detector, x)
        for name, value in scores.items():
            wanted[f"{batch}|scores|{name}"] = (value, _allowed(value), "float32")
        for name, answer in _verdicts(detector, scores[detector.score]).items():
            for signature in ("serving_default", *readable(detector.preprocessor)):
                wanted[f"{batch}|{signature}|{name}"] = answer
        if made is not None:
            told = (made, _allowed(made), "float32")
            if detector.preprocessor.kind == "image":
                told = (np.clip(made, -1, 1), LEVEL, "uint8")
            wanted[f"{batch}|reconstruct|reconstruction"] = told
    return wanted


def _answers_in_process(detector, x):
    """The scorer's own scores by name, and its reconstruction of x, or None if it makes none."""
    scorer = detector.scorer
    if scorer.method == "anogan":
        # its compiled search rounds otherwise, which 500 steps amplify: see `LatentSearch`
        found = tf.function(lambda x: dict(scorer.graph()(x)))(tf.constant(x))
        scores = {name: value.numpy() for name, value in found.items()}
        return scores, scores.pop("reconstruction")
    return scorer.scores(x), scorer.reconstruct(x) if detector.reconstructs else None


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
