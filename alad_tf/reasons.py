"""Pictures of the reasons for some rows of a file: bars for tables, heat maps for images."""

from pathlib import Path

from alad_tf.plots_explain import column_bars, heat_maps

MOST_IMAGES = 10  # in one picture


def draw_reasons(folder, told, data, chosen):
    """Draw the explanation of rows.

    Args:
        folder: str or Path to write PNGs to.
        told: `alad_tf.explain.Explanation` of the chosen rows.
        data: `alad_tf.user_data.UserData` that they are from.
        chosen: sequence of ints, their places in it.

    Returns:
        list of Paths: a picture for each row of a table; one for every ten images.

    Example:
        >>> # draw_reasons("reasons", detector.explain(data.take([3])), data, [3])
    """
    folder, written = Path(folder), []
    if told.columns:
        for place, row in enumerate(chosen):
            title = f"row {data.ids[row]}: {told.score} score {told.scores[place]:.4g}"
            written.append(column_bars(told, place, folder / f"row_{row}.png", title=title))
        return written
    images = data.take(chosen)
    for first in range(0, len(chosen), MOST_IMAGES):
        part = slice(first, first + MOST_IMAGES)
        path = folder / f"images_{first}.png"
        written.append(heat_maps(told.take(part), images[part], path))
    return written
