"""Make a finished run the pretrained preset of its entry.

python -m alad_tf.experiments.publish RUN_FOLDER

The weights are rounded to the smallest type that moves no test score by more than 1% and no AUROC
by more than 5e-4 (images; a table's few weights, and small arrays, stay float32). The threshold is
set again with the rounded weights, and the preset's card says how far its scores moved.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from alad_tf.detector.detector import Detector
from alad_tf.engine.files import DTYPES, read_json, write_json
from alad_tf.experiments import run as runs
from alad_tf.experiments.settings import Settings, prepare
from zoo import _presets as presets
from zoo._loading import entry as find_entry
from zoo._loading import save_preset

SCORE_MOVES, AUROC_MOVES = 1e-2, 5e-4


def publish(run_folder, data_dir=None, weights=presets.BUNDLED, registry=presets.REGISTRY):
    """Write a run's detector into the package and its hashes into the registry.

    Args:
        run_folder: str or Path that `alad train` wrote.
        data_dir: str or Path, folder of the data; see `alad_tf.data.load`.
        weights: str or Path, the folder of the bundled presets.
        registry: str or Path of the registry.json.

    Returns:
        `(folder, dtype, moved)`: Path of the preset, its weights' dtype, and a dict with the
        largest relative move of a test score, "score", and of an AUROC, "auroc".

    Raises:
        FileNotFoundError: no finished run there.

    Example:
        >>> # publish("runs/cifar10_alad/class0/seed0")
        >>> publish("nowhere")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        FileNotFoundError: No run in ...nowhere: expected run.json. Give the folder that ...
    """
    run = runs.read_run(run_folder)
    entry, settings = find_entry(run["entry"]), Settings(**run["settings"])
    detector = Detector.load(Path(run_folder) / runs.DETECTOR)
    data = prepare(entry, settings, data_dir)
    test = data.part("test")
    before = detector.scores(test.x)
    weights, registry = Path(weights), Path(registry)
    folder = weights / entry.name / run["variant"]
    for dtype in sorted(DTYPES, key=lambda name: np.dtype(name).itemsize):
        if dtype != "float32" and not entry.is_image:
            continue
        rounded = Detector.load(detector.save(Path(run_folder) / f"rounded_{dtype}", dtype))
        shutil.rmtree(Path(run_folder) / f"rounded_{dtype}")
        after = rounded.scores(test.x)
        moved = _moved(before, after, test.is_anomaly)
        if moved["score"] <= SCORE_MOVES and moved["auroc"] <= AUROC_MOVES:
            break
    runs.set_threshold(rounded, data, after)
    rounded.metadata["rounding"] = {"weights": dtype, **moved}
    save_preset(rounded, folder, dtype)
    (folder / presets.MANIFEST).unlink()  # the registry has the hashes of what is published
    listed = read_json(registry) if registry.is_file() else {"release": None, "presets": {}}
    files = {path.name: presets.sha256(path) for path in sorted(folder.iterdir())}
    listed["presets"].setdefault(entry.name, {})[run["variant"]] = files
    write_json(registry, listed)
    return folder, dtype, moved


def _moved(before, after, is_anomaly):
    score = max(
        float(np.max(np.abs(after[name] - before[name]) / np.abs(before[name]))) for name in before
    )
    auroc = max(
        abs(roc_auc_score(is_anomaly, after[name]) - roc_auc_score(is_anomaly, before[name]))
        for name in before
    )
    return {"score": score, "auroc": auroc}


if __name__ == "__main__":
    print(*publish(sys.argv[1], *sys.argv[2:3]), sep="\n")
