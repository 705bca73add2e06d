"""Figures of reasons: bars by column for a table's record, heat maps for images."""

import numpy as np

from alad_tf.detector.explain import expected_shown, observed_shown
from alad_tf.engine.texts import as_is
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

LONGEST = 48  # characters of a name or text: two in a line leave room for the bars


def column_bars(explanation, row, path, count=10, title=""):
    """The columns that contribute most to a record's score, with observed and expected values.

    Args:
        explanation: `alad_tf.detector.explain.Explanation` of a table.
        row: int, the number of the record.
        path: str or Path of the PNG.
        count: int, the number of columns, by the absolute value of their contributions.
        title: str; default: the record and its score.

    Returns:
        Path of the PNG.

    Raises:
        ValueError: if the explanation is of images.

    Example:
        >>> import tempfile
        >>> from alad_tf.detector.explain import Explanation
        >>> one, columns = np.ones(1), {"size": np.array([9.0])}
        >>> explanation = Explanation("l1", 8 * one, 0 * one, np.ones((1, 1)), ("size",),
        ...                           np.full((1, 1), 8.0), columns, {"size": one})
        >>> column_bars(explanation, 0, tempfile.mkdtemp() + "/reasons.png").name
        'reasons.png'
    """
    reasons = explanation.top(row, len(explanation.columns))
    ranked = sorted(reasons, key=lambda reason: -abs(reason["attribution"]))[:count]
    figure, axes = new_figure()
    figure.set_size_inches(8.0, 1.2 + 0.34 * len(ranked))
    values = [reason["attribution"] for reason in ranked]
    colors = [ANOMALOUS if value > 0 else NORMAL for value in values]
    places = np.arange(len(ranked))
    axes.barh(places, values, color=colors, height=0.7)
    labels = []
    for reason in ranked:
        texts = reason["column"], observed_shown(reason), expected_shown(reason)
        labels.append("{}: {} ({})".format(*(as_is(text, LONGEST) for text in texts)))
    axes.set_yticks(places, labels)
    axes.invert_yaxis()
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_xlabel(f"contribution to the {explanation.score} score")
    figure.suptitle(
        as_is(title) or f"record {row}: {explanation.score} score {explanation.scores[row]:.4g}"
    )
    return save_figure(figure, path)


def heat_maps(explanation, images, path, title=""):
    """Images, their reconstructions if there are any, and each pixel's contribution to the score.

    For features, how far each position is from those of the training images: 1 is typical.

    Args:
        explanation: `alad_tf.detector.explain.Explanation` of the images.
        images: uint8 array (n, H, W, C), C 1 or 3, at most ten.
        path: str or Path of the PNG.
        title: str.

    Returns:
        Path of the PNG.

    Raises:
        ValueError: if there are not one to ten images, or the explanation is of a table.

    Example:
        >>> import tempfile
        >>> from alad_tf.detector.explain import Explanation
        >>> one, images = np.ones(1), np.zeros((1, 4, 4, 3), "uint8")
        >>> explanation = Explanation("l1", one, 0 * one, images, (), np.ones((1, 4, 4)), {}, {})
        >>> heat_maps(explanation, images, tempfile.mkdtemp() + "/reasons.png").name
        'reasons.png'
    """
    maps = explanation.attributions
    if maps.ndim != 3 or not len(images) == len(maps) <= 10:
        raise ValueError(
            f"received {len(images)} images and attributions of shape {maps.shape}; expected "
            "one to ten images and their explanation."
        )
    of_features = explanation.reconstruction is None
    lines = 2 if of_features else 3
    figure = blank_figure((1.0 * len(images) + 2.2, 1.3 * lines))
    grid = image_grid(figure, lines, len(images))
    show_images(grid[0], images, "image")
    if not of_features:
        show_images(grid[1], explanation.reconstruction, "reconstruction")
    label = "distance" if of_features else "contribution"
    grid[-1, 0].set_ylabel(label, rotation=0, ha="right", va="center")
    limit = np.quantile(np.abs(maps), 0.995) or 1.0
    colours = dict(cmap="RdBu_r", vmin=-limit, vmax=limit)
    if of_features:  # as far as a typical position: no colour
        colours = dict(cmap="inferno", vmin=1, vmax=max(limit, 2))
    for column, heat in enumerate(maps):
        grid[0, column].set_title(short(explanation.scores[column]), fontsize=8)
        drawn = grid[-1, column].imshow(heat, **colours)
    figure.colorbar(drawn, ax=grid[-1, :], shrink=0.9)
    figure.suptitle(as_is(title) or f"{explanation.score} score above each image", fontsize=10)
    return save_figure(figure, path)
