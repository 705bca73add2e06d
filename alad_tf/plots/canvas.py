"""Empty figures without a display, their colours, and how they are written."""

import io
import warnings

from alad_tf.engine.files import write_bytes

NORMAL, ANOMALOUS, GREY = "#2b6cb0", "#c53030", "#4a5568"


DPI = 120


def new_figure(square=False, panels=1):
    """A figure and its axes, 7 inches across, or 5.5 x 5 if it is to be square.

    Of several panels, one below the other with one x-axis, the axes are an array.
    """
    size = (5.5, 5.0) if square else (7.0, 4.2 if panels == 1 else 2.4 * panels)
    figure = blank_figure(size)
    all_axes = figure.subplots(panels, sharex=True, squeeze=False)[:, 0]
    for axes in all_axes:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, all_axes[0] if panels == 1 else all_axes


def blank_figure(size):
    """An empty `matplotlib.figure.Figure` of a (width, height) in inches, without a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)  # no display is needed, and pyplot's global state is left alone
    return figure


def image_grid(figure, rows, columns):
    """Axes for images, without ticks and frames: array (rows, columns)."""
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    return grid


def show_images(line, images, label):
    """Draw images side by side into one line of a grid, with a label before the first."""
    line[0].set_ylabel(label, rotation=0, ha="right", va="center")
    for axes, image in zip(line, images, strict=False):
        axes.imshow(image.squeeze(), cmap="gray" if image.shape[-1] == 1 else None)


def save_figure(figure, path):
    """Write a figure as a PNG, whole or not at all; the Path. Its folder is made.

    All texts are drawn as they are: a $ is a dollar sign and does not begin mathematics.
    """
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    picture = io.BytesIO()
    with warnings.catch_warnings():  # on a busy machine matplotlib says that it is slow
        warnings.filterwarnings("ignore", "Creating legend with loc")
        figure.savefig(picture, format="png")
    return write_bytes(path, picture.getvalue())


def short(value):
    """A score as text of a few characters: three digits, or all digits before the point.

    Example:
        >>> short(0.01234), short(98.76), short(999.6), short(1974.2), short(1e9)
        ('0.0123', '98.8', '1,000', '1,974', '1e+09')
    """
    return f"{value:,.0f}" if 999.5 <= abs(value) < 1e6 else f"{value:.3g}"
