"""Figures of scores, trainings and reconstructions, drawn with matplotlib."""

import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

from alad_tf.plots.canvas import (
    ANOMALOUS,
    GREY,
    NORMAL,
    blank_figure,
    image_grid,
    new_figure,
    save_figure,
    short,
    show_images,
)

_STYLES = {"D_xx": "--", "D_zz": ":", "E": "--", "D": "--", "energy": "--", "singularity": ":"}


def score_histogram(
    scores,
    is_anomaly,
    path,
    threshold=None,
    title="",
    label="anomaly score",
    kinds=("normal", "anomalous"),
):
    """Histograms of the scores of normal and anomalous samples, in percent, with the threshold.

    Args:
        scores: float array (N,).
        is_anomaly: bool array (N,).
        path: str or Path of the PNG.
        threshold: float, drawn as a line unless it is above all scores; None for none.
        title, label: str, the title, and the name of the score on the axis.
        kinds: tuple of two str, the names of the groups that are False and True in `is_anomaly`; an
            empty group is not drawn.

    Returns:
        Path of the PNG.

    Example:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/histogram.png"
        >>> score_histogram([0.1, 0.2, 0.9], [False, False, True], path, threshold=0.5).name
        'histogram.png'
    """
    scores, is_anomaly = np.asarray(scores, "float64"), np.asarray(is_anomaly, bool)
    threshold = None if threshold is None else float(threshold)
    figure, axes = new_figure()
    # a few far anomalies would squeeze all else into one bar: the last bar takes what lies beyond
    high = np.quantile(scores, 0.99)
    if threshold is not None and high < threshold <= scores.max():  # room for its line
        high = threshold + 0.05 * (threshold - scores.min())
    beyond = scores > high
    edges = np.linspace(scores.min(), high, 41)
    masks = (~is_anomaly, is_anomaly)
    for mask, color, name in zip(masks, (NORMAL, ANOMALOUS), kinds, strict=True):
        if not mask.any():
            continue
        values = np.minimum(scores[mask], high)
        share = np.full(len(values), 100 / max(len(values), 1))  # the kinds may differ in number
        kind = f"{name} ({mask.sum():,})"
        axes.hist(values, edges, weights=share, color=color, alpha=0.6, label=kind)
    if threshold is not None and threshold <= high:
        axes.axvline(threshold, color=GREY, linestyle="--", label=f"threshold {short(threshold)}")
    if beyond.any():
        label += f"  (last bar: scores above {high:,.4g}, up to {scores.max():,.4g})"
    axes.set(xlabel=label, ylabel="share of each group, %", title=title)
    axes.legend(edgecolor="none", framealpha=0.85)  # the line may run below it
    return save_figure(figure, path)


def roc(curves, is_anomaly, path, title=""):
    """ROC curves of several scores on the same samples.

    Args:
        curves: dict of scores, float arrays (N,), by name.
        is_anomaly: bool array (N,).
        path: str or Path of the PNG.
        title: str.

    Returns:
        Path of the PNG.

    Example:
        >>> import tempfile
        >>> scores, is_anomaly = [0.1, 0.2, 0.9], [False, False, True]
        >>> roc({"ALAD": scores}, is_anomaly, tempfile.mkdtemp() + "/roc.png").name
        'roc.png'
    """
    figure, axes = new_figure(square=True)
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
    axes.legend(edgecolor="none", framealpha=0.85)  # where it covers least
    return save_figure(figure, path)


def loss_curves(history, path, title="", kept_epoch=None):
    """Losses over the epochs, and the validation score if there is one.

    ALAD's losses have two panels, for the discriminators and for G and E; a baseline's have one.

    Args:
        history: list of dicts, the logs of each epoch: "D_xz", "G", ..., and "val_score" if there
            is one.
        path: str or Path of the PNG.
        title: str.
        kept_epoch: int, the epoch (from 1) whose weights were kept, drawn as a line.

    Returns:
        Path of the PNG.

    Raises:
        ValueError: if the history is empty.

    Example:
        >>> import tempfile
        >>> history = [{"loss": 3.0, "denoising": 3.0}, {"loss": 2.0, "denoising": 2.0}]
        >>> loss_curves(history, tempfile.mkdtemp() + "/loss_curves.png").name
        'loss_curves.png'
    """
    if not history:
        raise ValueError("received a history without epochs; train for at least one.")
    games = [name for name in history[0] if name.startswith("D_")]
    panels = [("discriminator losses", games), ("losses of G and E", ["G", "E"])]
    if not games:
        parts = [name for name in history[0] if name not in ("loss", "val_score")]
        panels = [("loss" if len(parts) > 1 else f"{parts[0]} loss", parts)]
    if "val_score" in history[0]:
        panels.append(("mean validation score", ["val_score"]))
    figure, all_axes = new_figure(panels=len(panels))
    all_axes = np.atleast_1d(all_axes)
    epochs = np.arange(1, len(history) + 1)
    for axes, (label, names) in zip(all_axes, panels, strict=True):
        for name in names:
            values = [logs[name] for logs in history]
            axes.plot(epochs, values, _STYLES.get(name, "-"), linewidth=1.6, label=name)
        if kept_epoch is not None:
            axes.axvline(kept_epoch, color=GREY, linewidth=0.8)
        lowest = min(logs[name] for logs in history for name in names)
        axes.set(ylabel=label, ylim=(0 if lowest >= 0 else None, None))
        if len(names) > 1:
            axes.legend(frameon=False, ncols=len(names))
    all_axes[-1].set_xlabel(
        "epoch" if kept_epoch is None else f"epoch (line: weights kept, epoch {kept_epoch})"
    )
    all_axes[0].set_title(title)
    return save_figure(figure, path)


def lines(curves, path, xlabel, ylabel, title=""):
    """Lines with markers on logarithmic axes, with a tick at each x.

    Args:
        curves: dict by label of `(x, y)`, lists of positive numbers.
        path: str or Path of the PNG.
        xlabel, ylabel, title: str.

    Returns:
        Path of the PNG.

    Example:
        >>> import tempfile
        >>> path, curves = tempfile.mkdtemp() + "/growth.png", {"step": ([8, 16], [0.5, 0.7])}
        >>> lines(curves, path, "batch size", "ms").name
        'growth.png'
    """
    from matplotlib.ticker import LogLocator, NullLocator

    figure, axes = new_figure()
    for (label, (x, y)), style in zip(curves.items(), ("o-", "s--", "^-.", "v:"), strict=False):
        axes.plot(x, y, style, linewidth=1.6, markersize=5, label=label)
    axes.set(xscale="log", yscale="log", xlabel=xlabel, ylabel=ylabel, title=title)
    ticks = sorted({value for x, _ in curves.values() for value in x})
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
    axes.grid(True, which="major", color="#e2e8f0", linewidth=0.8)
    axes.legend(frameon=False)
    return save_figure(figure, path)


def reconstructions(pictures, path, title=""):
    """Images in rows, with their reconstructions in the row below.

    Args:
        pictures: dict by the name of a row, such as "normal" and "anomalous", of tuples `(images,
            reconstructions, captions)`: uint8 (n, H, W, C) twice, C 1 or 3, and n str or None.
        path: str or Path of the PNG.
        title: str.

    Returns:
        Path of the PNG.

    Example:
        >>> import tempfile
        >>> x = np.zeros((2, 4, 4, 3), "uint8")
        >>> path = tempfile.mkdtemp() + "/pictures.png"
        >>> reconstructions({"normal": (x, x, ["0.1", "0.2"])}, path).name
        'pictures.png'

    Source: ALAD, Figures 5 and 6.
    """
    columns = max(len(images) for images, *_ in pictures.values())
    rows = 2 * len(pictures)
    figure = blank_figure((0.85 * columns + 1.3, 1.0 * rows + 0.4))
    grid = image_grid(figure, rows, columns)
    for index, (name, (images, reconstructed, captions)) in enumerate(pictures.items()):
        show_images(grid[2 * index], images, name)
        show_images(grid[2 * index + 1], reconstructed, "reconstruction")
        for axes, caption in zip(grid[2 * index], captions or (), strict=False):
            axes.set_title(caption, fontsize=7)
    figure.suptitle(title, fontsize=10)
    return save_figure(figure, path)
