"""The pictures of a training run: losses, scores, ROC, and reconstructions of images."""

from pathlib import Path

import numpy as np

from alad_tf.data import IMAGE_DATASETS, class_names
from alad_tf.plots import charts
from alad_tf.plots.canvas import short

COLUMNS = 10  # images a row, as in the paper's figures


def write_pictures(folder, data, detector, test_scores, history):
    """Draw a run's pictures into its folder.

    Args:
        folder: str or Path of the run folder.
        data: `alad_tf.experiments.settings.Prepared`.
        detector: the run's `Detector`.
        test_scores: dict of the test rows' scores, float arrays (n,) by score name.
        history: list of dicts, the logs of every epoch.

    Returns:
        dict of Paths by name.

    Source: ALAD, Figures 5 and 6 for images.
    """
    folder = Path(folder)
    test = data.part("test")
    title = f"{detector.metadata['entry']}, {detector.metadata['variant']}"
    seed = f"seed {detector.metadata['seed']}"
    name = "anomaly score" if detector.score == "score" else f"{detector.score} score"
    written = {
        "score histogram": charts.score_histogram(
            test_scores[detector.score],
            test.is_anomaly,
            folder / "score_histogram.png",
            detector.threshold,
            f"{title}, {seed}: test rows",
            name,
        ),
        "ROC curves": charts.roc(
            test_scores, test.is_anomaly, folder / "roc.png", f"{title}, {seed}: test rows"
        ),
    }
    if history:
        written["loss curves"] = charts.loss_curves(
            history, folder / "loss_curves.png", f"{title}, {seed}", detector.metadata["kept_epoch"]
        )
    if test.name in IMAGE_DATASETS and detector.reconstructs:
        written["reconstructions"] = _reconstructions(
            folder / "reconstructions.png", test, detector, test_scores, f"{title}, {seed}"
        )
    return written


def _reconstructions(path, test, detector, test_scores, title):
    """The first normal and the first anomalous test images, whatever they look like."""
    names, scores = class_names(test.name), test_scores[detector.score]
    pictures = {}
    for name, mask in (("normal", ~test.is_anomaly), ("anomalous", test.is_anomaly)):
        rows = np.flatnonzero(mask)[:COLUMNS]
        captions = [f"{names[test.labels[row]]}\n{short(scores[row])}" for row in rows]
        pictures[name] = (test.x[rows], detector.reconstruct(test.x[rows]), captions)
    above = f"{title}: class and {detector.score} score above each image"
    return charts.reconstructions(pictures, path, above)
