"""What a detector gets wrong: examples of images, and the classes of the rows it flags.

Figures 5 and 6 show images of a class and of the others beside their reconstructions. They are
kept as a PNG of four rows of ten images, pixel by pixel and without a word: the report's figure
is drawn from it, so that it needs neither data nor weights.
"""

import numpy as np
from PIL import Image

from alad_tf.data import class_names
from alad_tf.detector.metrics import top_fraction_threshold
from alad_tf.engine.files import write_json
from alad_tf.experiments.results import result_path

COLUMNS = 10
ROWS = ("normal", "reconstruction", "anomalous", "reconstruction")


def examples_path(results, entry, variant, seed):
    """Where a run's example images lie: `<results>/<entry>/<variant>/examples_seed<k>.png`."""
    path = result_path(results, entry, variant, seed)
    return path.with_name(f"examples_{path.stem}.png")


def write_examples(results, run, data, detector, test_scores):
    """Keep the first test images of the normal class and of the others, and what is made of them.

    Args:
        results: str or Path of the results folder.
        run: dict with "entry", "variant" and "seed".
        data: `alad_tf.experiments.settings.Prepared` of images.
        detector: the run's `Detector`.
        test_scores: dict of the test rows' scores, float arrays (n,) by score name.

    Returns:
        Path of the PNG; beside it a JSON with each column's class and score.

    Source: ALAD, Figures 5 and 6.
    """
    test, strips, told = data.part("test"), [], {}
    names = class_names(test.name)
    columns = min(COLUMNS, int(test.is_anomaly.sum()), int((~test.is_anomaly).sum()))
    for kind, mask in (("normal", ~test.is_anomaly), ("anomalous", test.is_anomaly)):
        rows = np.flatnonzero(mask)[:columns]
        pair = test.x[rows], detector.reconstruct(test.x[rows])
        strips += [np.concatenate(list(images), 1) for images in pair]
        told[kind] = {
            "classes": [names[test.labels[row]] for row in rows],
            detector.score: [round(float(test_scores[detector.score][row]), 3) for row in rows],
        }
    path = examples_path(results, run["entry"], run["variant"], run["seed"])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path.with_suffix(".json"), told)
    temporary = path.with_name(f".{path.name}.tmp")
    Image.fromarray(np.concatenate(strips, 0)).save(temporary, format="PNG", optimize=True)
    temporary.replace(path)
    return path


def read_examples(path):
    """What `write_examples` kept.

    Args:
        path: str or Path of the PNG.

    Returns:
        uint8 array (4, n, H, W, 3), rows as in `ROWS`.
    """
    grid = np.asarray(Image.open(path).convert("RGB"))
    side = grid.shape[0] // len(ROWS)
    rows = grid.reshape(len(ROWS), side, -1, side, 3)
    return rows.transpose(0, 2, 1, 3, 4)


def flagged_by_label(scores, labels, train_labels, top_fraction):
    """Count the test rows of each class that each score puts into the top fraction.

    Args:
        scores: dict of float arrays (N,) by score name.
        labels: array (N,), the file's own class of each test row.
        train_labels: array (M,), that of each training row.
        top_fraction: float in (0, 1), the share of test rows that is called anomalous.

    Returns:
        list of dicts, the most frequent class of the test rows first, those of the training rows
        alone last: "label", "train_rows", "test_rows", and "flagged", the count by score name.

    Raises:
        ValueError: scores and labels differ in length.

    Example:
        >>> table = flagged_by_label({"l1": [0.1, 0.9]}, ["a", "b"], ["a"], 0.5)
        >>> table[1]
        {'label': 'b', 'train_rows': 0, 'test_rows': 1, 'flagged': {'l1': 1}}

    Source: the paper's rule of Section V-A, broken down by class.
    """
    labels, train_labels = np.asarray(labels), np.asarray(train_labels)
    flags = {}
    for name, values in scores.items():
        if len(values) != len(labels):
            raise ValueError(
                f"One label per score is needed; received {len(values)} and {len(labels)}."
            )
        flags[name] = np.asarray(values) >= top_fraction_threshold(values, top_fraction)
    table = []
    for label in sorted({*labels.tolist(), *train_labels.tolist()}):
        rows = labels == label
        table.append(
            {
                "label": label,
                "train_rows": int((train_labels == label).sum()),
                "test_rows": int(rows.sum()),
                "flagged": {name: int(flag[rows].sum()) for name, flag in flags.items()},
            }
        )
    return sorted(table, key=lambda row: -row["test_rows"])
