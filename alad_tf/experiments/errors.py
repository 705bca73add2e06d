"""What a detector gets wrong: examples of images, and the classes of the rows it flags.

Figures 5 and 6 show images of a class and of the others beside their reconstructions. They are kept
as a PNG of four rows of ten images, pixel by pixel and without text. The report's figure is drawn
from it, so that it needs neither data nor weights.
"""

import numpy as np
from PIL import Image

from alad_tf.data import class_names
from alad_tf.detector.metrics import top_fraction_threshold
from alad_tf.engine.files import write_json
from alad_tf.experiments.results import result_path
from alad_tf.plots.pictures import first_images

ROWS = ("normal", "reconstruction", "anomalous", "reconstruction")


def examples_path(results, entry, variant, seed):
    """The path of a run's example images: `<results>/<entry>/<variant>/examples_seed<k>.png`."""
    return result_path(results, entry, variant, seed, "examples").with_suffix(".png")


def write_examples(results, run, data, detector, test_scores):
    """Keep the first test images of the normal class and of the others, and their reconstructions.

    Beside the PNG, whose Path is returned, a JSON has each column's class and score.
    """
    test = data.part("test")
    names = class_names(test.name)
    few = min(int(test.is_anomaly.sum()), int((~test.is_anomaly).sum()))
    strips, captions = [], {}
    for kind, rows in first_images(test.is_anomaly, few).items():
        pair = test.x[rows], detector.reconstruct(test.x[rows])
        strips += [np.concatenate(list(images), 1) for images in pair]
        captions[kind] = {
            "classes": [names[test.labels[row]] for row in rows],
            detector.score: [round(float(test_scores[detector.score][row]), 3) for row in rows],
        }
    path = examples_path(results, run["entry"], run["variant"], run["seed"])
    write_json(path.with_suffix(".json"), captions)
    temporary = path.with_name(f".{path.name}.tmp")
    Image.fromarray(np.concatenate(strips, 0)).save(temporary, format="PNG", optimize=True)
    temporary.replace(path)
    return path


def read_examples(path):
    """The images that `write_examples` kept: uint8 array (4, n, H, W, 3), rows as in `ROWS`."""
    grid = np.asarray(Image.open(path).convert("RGB"))
    side = grid.shape[0] // len(ROWS)
    rows = grid.reshape(len(ROWS), side, -1, side, 3)
    return rows.transpose(0, 2, 1, 3, 4)


def flagged_by_label(scores, labels, train_labels, top_fraction):
    """Count the test rows of each class that each score puts into the top fraction.

    Returns a dict per class, the most frequent of the test rows first, those only among the
    training rows last: "label", "train_rows", "test_rows", and "flagged", the count by score name.

    Example:
        >>> table = flagged_by_label({"l1": [0.1, 0.9]}, ["a", "b"], ["a"], 0.5)
        >>> table[1]
        {'label': 'b', 'train_rows': 0, 'test_rows': 1, 'flagged': {'l1': 1}}
    """
    labels, train_labels = np.asarray(labels), np.asarray(train_labels)
    flags = {}
    for name, values in scores.items():
        if len(values) != len(labels):
            raise ValueError(
                f"received {len(values)} scores and {len(labels)} labels; expected one label "
                "for each score."
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
