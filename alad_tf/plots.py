"""Pictures of a detector's scores, drawn with matplotlib and written whole."""

from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

NORMAL, ANOMALOUS, GREY = "#2b6cb0", "#c53030", "#4a5568"


def score_histogram(scores, is_anomaly, path, threshold=None, title="", label="anomaly score"):
    """Histograms of normal and anomalous samples' scores, with the threshold.

    Args:
        scores: float array (N,).
        is_anomaly: bool array (N,).
        path: str or Path of the PNG.
        threshold: float, drawn as a line.
        title, label: str, the title and the name of the score on its axis.

    Returns:
        Path of the PNG.

    Example:
        >>> # score_histogram(scores, is_anomaly, "histogram.png", threshold=3.2)
    """
    scores, is_anomaly = np.asarray(scores, "float64"), np.asarray(is_anomaly, bool)
    figure, axes = _figure()
    # a few far anomalies would squeeze all else into one bar: the last bar takes what lies beyond
    high = np.quantile(scores, 0.99)
    beyond = scores > high
    edges = np.linspace(scores.min(), high, 41)
    for mask, color, name in (
        (~is_anomaly, NORMAL, "normal"),
        (is_anomaly, ANOMALOUS, "anomalous"),
    ):
        values = np.minimum(scores[mask], high)
        axes.hist(values, edges, color=color, alpha=0.6, label=f"{name} ({mask.sum():,})")
    if threshold is not None and threshold <= high:
        axes.axvline(threshold, color=GREY, linestyle="--", label=f"threshold {threshold:.3g}")
    if beyond.any():
        axes.annotate(
            f"last bar: {beyond.sum():,} samples\nbeyond {high:.3g}, up to {scores.max():.3g}",
            (1, 0.5),
            xycoords="axes fraction",
            ha="right",
            color=GREY,
        )
    axes.set(xlabel=label, ylabel="samples", title=title)
    axes.legend(frameon=False)
    return _save(figure, path)


def roc(curves, is_anomaly, path, title=""):
    """ROC curves of several scores on the same samples.

    Args:
        curves: dict of float arrays (N,) by name.
        is_anomaly: bool array (N,).
        path: str or Path of the PNG.
        title: str.

    Returns:
        Path of the PNG.

    Example:
        >>> # roc({"ALAD": scores}, is_anomaly, "roc.png")
    """
    figure, axes = _figure(square=True)
    for (name, scores), style in zip(curves.items(), ("-", "--", "-.", ":"), strict=False):
        false_alarms, hits, _ = roc_curve(is_anomaly, scores)
        area = roc_auc_score(is_anomaly, scores)
        axes.plot(false_alarms, hits, style, linewidth=2, label=f"{name}, AUROC {area:.3f}")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, label="chance")
    axes.set(
        xlabel="false-alarm rate (normal samples flagged)",
        ylabel="recall (anomalies flagged)",
        title=title,
        xlim=(-0.01, 1),
        ylim=(0, 1.01),
    )
    axes.legend(frameon=False, loc="lower right")
    return _save(figure, path)


def _figure(square=False):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 5.0) if square else (7.0, 4.2), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)  # no display is needed, and pyplot's global state is left alone
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure, path):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    figure.savefig(temporary, format="png")
    temporary.replace(path)
    return path
