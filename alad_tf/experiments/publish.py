"""Make a finished run the pretrained preset of its entry.

python -m alad_tf.experiments.publish RUN_FOLDER

The weights are rounded to the smallest type that moves no test score by more than 1% and no AUROC
by more than 5e-4 (images; a table's few weights, and small arrays, stay float32). The threshold is
set again with the rounded weights, and the preset's card says how far its scores moved.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

import zoo
from alad_tf.detector.detector import Detector
from alad_tf.engine.files import MANIFEST, read_json, sha256, write_json
from alad_tf.engine.weights import DETECTOR, DTYPES
from alad_tf.experiments.card import HOME
from alad_tf.experiments.run import read_run, set_threshold
from alad_tf.experiments.settings import Settings, prepare

SCORE_MOVES, AUROC_MOVES = 1e-2, 5e-4


def publish(run_folder, data_dir=None, weights=HOME / "weights", registry=HOME / "registry.json"):
    """Write a run's detector into the package and its hashes into the registry.

    Returns `(folder, dtype, moved)`: Path of the preset, its weights' dtype, and a dict with the
    largest relative move of a test score, "score", and of an AUROC, "auroc".
    """
    run = read_run(run_folder)
    entry, settings = zoo.entry(run["entry"]), Settings(**run["settings"])
    detector = Detector.load(Path(run_folder) / DETECTOR)
    data = prepare(entry, settings, data_dir)
    before = detector.scores(data.part("test").x)
    dtypes = sorted(DTYPES, key=lambda name: np.dtype(name).itemsize)
    for dtype in dtypes if entry.is_image else ["float32"]:
        rounded, scores, moved = _rounded(detector, dtype, data.part("test"), before)
        if moved["score"] <= SCORE_MOVES and moved["auroc"] <= AUROC_MOVES:
            break
    set_threshold(rounded, data, scores)
    rounded.metadata["rounding"] = {"weights": dtype, **moved}
    folder = zoo.save_preset(rounded, Path(weights) / entry.name / run["variant"], dtype)
    (folder / MANIFEST).unlink()  # the registry has the hashes of what is published
    registry = Path(registry)
    listed = read_json(registry) if registry.is_file() else {"release": None, "presets": {}}
    files = {path.name: sha256(path) for path in sorted(folder.iterdir())}
    listed["presets"].setdefault(entry.name, {})[run["variant"]] = files
    write_json(registry, listed)
    return folder, dtype, moved


def _rounded(detector, dtype, test, before):
    """The detector with weights of a dtype, its test scores, and their largest change."""
    with tempfile.TemporaryDirectory() as folder:
        rounded = Detector.load(detector.save(Path(folder) / DETECTOR, dtype))
    after = rounded.scores(test.x)
    least = np.finfo("float32").tiny  # of a score that is 0
    scores = (
        np.max(np.abs(after[k] - old) / np.maximum(np.abs(old), least)) for k, old in before.items()
    )
    aurocs = [
        [roc_auc_score(test.is_anomaly, values[name]) for name in before]
        for values in (before, after)
    ]
    auroc = np.max(np.abs(np.subtract(*aurocs)))
    return rounded, after, {"score": float(max(scores)), "auroc": float(auroc)}


if __name__ == "__main__":
    print(*publish(sys.argv[1], *sys.argv[2:3]), sep="\n")
