"""The figures of a training run: losses, scores, ROC, and reconstructions of images."""

from pathlib import Path

import numpy as np

from alad_tf.data import IMAGE_DATASETS, class_names
from alad_tf.plots import charts
from alad_tf.plots.canvas import short

COLUMNS = 10  # images a row, as in the paper's figures


def first_images(is_anomaly, columns=COLUMNS):
    """The rows of the first normal and the first anomalous images."""
    kinds = {"normal": ~is_anomaly, "anomalous": is_anomaly}
    return {kind: np.flatnonzero(mask)[: min(columns, COLUMNS)] for kind, mask in kinds.items()}


def write_pictures(folder, test, detector, test_scores, history):
    """Draw a run's pictures into its folder: scores and ROC of test `Records`, losses, images."""
    folder, run = Path(folder), detector.metadata
    title = f"{run['entry']}, {run['variant']}, seed {run['seed']}"
    name = "anomaly score" if detector.score == "score" else f"{detector.score} score"
    scores, of_test = test_scores[detector.score], f"{title}: test rows"
    path = folder / "score_histogram.png"
    charts.score_histogram(scores, test.is_anomaly, path, detector.threshold, of_test, name)
    charts.roc(test_scores, test.is_anomaly, folder / "roc.png", of_test)
    if history:
        charts.loss_curves(history, folder / "loss_curves.png", title, run["kept_epoch"])
    if test.name in IMAGE_DATASETS and detector.reconstructs:
        names, pictures = class_names(test.name), {}
        for kind, rows in first_images(test.is_anomaly).items():
            captions = [f"{names[test.labels[row]]}\n{short(scores[row])}" for row in rows]
            pictures[kind] = (test.x[rows], detector.reconstruct(test.x[rows]), captions)
        title = f"{title}: class and {detector.score} score above each image"
        charts.reconstructions(pictures, folder / "reconstructions.png", title)
