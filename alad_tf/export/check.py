"""An export's self-check: a fresh process's answers, compared with the detector's."""

import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import tensorflow as tf

from alad_tf.detector.detector import Detector, judged
from alad_tf.detector.threshold import LARGEST
from alad_tf.engine.quiet import without_remarks
from alad_tf.export.graph import ENCODED_MAP, draws_heat_maps, requests, single_precision
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
    batch, signature, name = key.split("|")
    if signature in ("serialized_examples", "encoded_images", "encoded_heat_map"):
        array = [bytes.fromhex(digits) for digits in array]
    requests.setdefault(batch, {}).setdefault(signature, {})[name] = tf.constant(array)
served = tf.saved_model.load(folder)
for signature, function in served.signatures.items():
    for batch, request in requests.items():
        for name, answer in function(**request[signature]).items():
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


def difference(detector, folder):
    """Compare an export's answers to random raw records with the detector's.

    Verdicts may differ if the score is so close to the threshold that rounding may decide.

    Returns:
        str, what differs and by how much; None if nothing does.
    """
    samples = _samples(detector)
    requests_of = {batch: requests(detector, records) for batch, records in samples.items()}
    answers = _answers(CHILD, folder, requests_of)
    if isinstance(answers, str):
        return f"The export could not be loaded and run in a fresh process: {answers}"
    return first_difference(answers, *_expected_on_cpu(detector, samples))


def portable_difference(detector, path):
    """As `difference`, for a model for another runtime, which its suffix names."""
    samples = _samples(detector)
    # Records far off are what a detector is for, and where another runtime's functions overflow.
    samples[FAR] = detector.preprocessor.sample(64, reach=1000)
    if Path(path).suffix == ".tflite":
        samples = {key: _rounded(records) for key, records in samples.items()}
    request = detector.preprocessor.request
    requests_of = {k: {"serving_default": request(records)} for k, records in samples.items()}
    answers = _answers(PORTABLE_CHILD, path, requests_of)
    if isinstance(answers, str):
        return f"{Path(path).name} could not be loaded and run in a fresh process: {answers}"
    targets, preprocessor = _expected_on_cpu(detector, samples)
    for key in [key for key in targets if key.split("|")[1] == "heat_map"]:
        # these runtimes have one signature, with all that there is
        targets[key.replace("|heat_map|", "|serving_default|")] = targets[key]
    served = {k: v for k, v in targets.items() if k.split("|")[1] == "serving_default"}
    return first_difference(*_without_far_verdicts(answers, served), preprocessor)


def first_difference(answers, targets, preprocessor):
    """Compare answers with the expected ones.

    Args:
        answers: dict of arrays by "batch|signature|output".
        targets: dict, for the same keys: array, allowed error, dtype of the answer. An answer of
            uint8 pixels is brought to [-1, 1] first: its array holds reconstructions before they
            are rounded, so that a pixel at the border of two levels may be either.
        preprocessor: the fitted preprocessor.

    Returns:
        str, the first difference that is not allowed; None if there is none.
    """
    if set(answers) != set(targets):
        names = [sorted({key.partition("|")[2] for key in keys}) for keys in (answers, targets)]
        return f"The export has the outputs {names[0]}; expected {names[1]}."
    differences = (_compare(key, answers[key], *targets[key], preprocessor) for key in targets)
    return next(filter(None, differences), None)


def expected(detector, samples):
    """A detector's answers to batches of raw records, as `first_difference` takes them."""
    answers = {}
    for batch, records in samples.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # unseen categories are there on purpose
            x = detector.preprocessor.transform(records)
        scores, reconstruction = _answers_in_process(detector, x)
        scores = judged(scores, x)  # an unseen category counts as extreme
        for name, value in scores.items():
            answers[f"{batch}|scores|{name}"] = (value, _allowed(value), "float32")
        for name, answer in _verdicts(detector, scores[detector.score]).items():
            for signature in ("serving_default", *detector.preprocessor.encodings()):
                answers[f"{batch}|{signature}|{name}"] = answer
        if reconstruction is not None:
            answer = (reconstruction, _allowed(reconstruction), "float32")
            if detector.preprocessor.inverse(reconstruction[:0]).dtype == np.uint8:
                answer = (np.clip(reconstruction, -1, 1), LEVEL, "uint8")
            answers[f"{batch}|reconstruct|reconstruction"] = answer
        if draws_heat_maps(detector):
            maps = detector.scorer.heat_maps(x)
            sizes = {"heat_map": records.shape[1:3], ENCODED_MAP: x.shape[1:3]}
            for signature, size in sizes.items():
                heat = detector.preprocessor.at_size(maps, size).numpy()
                answers[f"{batch}|{signature}|heat_map"] = (heat, _allowed(heat), "float32")
    return answers


def _samples(detector):
    return {str(count): detector.preprocessor.sample(count) for count in BATCHES}


def _rounded(records):
    """Raw records whose numbers are float32."""
    if isinstance(records, dict):
        return single_precision(records)
    return single_precision({"": records})[""]


def _digits(contents):
    """Bytes as hexadecimal text, which NumPy's files keep whole."""
    return np.array([content.hex() for content in contents])


def _answers(child, folder, requests_of):
    """A fresh process's answers, by "batch|signature|output"; a str, its error, if it failed."""
    arrays = {
        f"{batch}|{signature}|{name}": _digits(values) if isinstance(values, list) else values
        for batch, signatures in requests_of.items()
        for signature, request in signatures.items()
        for name, values in request.items()
    }
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    # this process may hold all of the GPU's memory
    environment |= {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with tempfile.TemporaryDirectory() as scratch:
        records, results = f"{scratch}/records.npz", f"{scratch}/results.npz"
        np.savez(records, **arrays)
        command = [sys.executable, "-c", child, str(folder), records, results]
        done = subprocess.run(command, capture_output=True, text=True, cwd=scratch, env=environment)
        if done.returncode:
            return without_remarks(done.stderr).strip()[-2000:]
        with np.load(results) as answers:
            return dict(answers)


def _expected_on_cpu(detector, samples):
    """What is expected of an export's process, which has no GPU: a GPU rounds products (TF32)."""
    with tf.device("CPU"):
        scorer = detector.scorer
        if hasattr(scorer, "get_weights"):  # scikit-learn's are on the CPU anyway
            scorer = type(scorer)(**scorer.architecture())
            scorer.set_weights(detector.scorer.get_weights())
        preprocessor = preprocessor_from_state(detector.preprocessor.state())
        twin = Detector(preprocessor, scorer, detector.score, detector.threshold)
        return expected(twin, samples), preprocessor


def _without_far_verdicts(answers, targets):
    """Of the far records' answers only the scores, which rounding moves by more."""
    key = f"{FAR}|serving_default|score"
    score, _, dtype = targets[key]
    near = [
        {k: v for k, v in some.items() if k.split("|")[0] != FAR} for some in (answers, targets)
    ]
    allowed = FAR_TOLERANCE * (1 + np.abs(score))
    return near[0] | {key: answers[key]}, near[1] | {key: (score, allowed, dtype)}


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
    threshold = detector.threshold
    if threshold is not None:
        either = np.abs(score - threshold.value) <= _allowed(score)  # this or that verdict
        found["is_anomaly"] = (threshold.flags(score), either.astype("float32"), "bool")
    if len(detector.reference):
        allowed = np.minimum(_allowed(score), LARGEST - score)  # beyond it float32 overflows
        middle, least, most = (detector.p_values_of(score + side * allowed) for side in (0, 1, -1))
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
