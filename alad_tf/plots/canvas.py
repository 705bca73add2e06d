"""Empty figures without a display, their colours, and how they are written."""

from pathlib import Path

NORMAL, ANOMALOUS, GREY = "#2b6cb0", "#c53030", "#4a5568"


def new_figure(square=False, panels=1):
    """A figure and its axes, without a display.

    Args:
        square: bool, 5.5 x 5 inches instead of 7 inches across.
        panels: int, axes one below the other, with one x-axis.

    Returns:
        `(figure, axes)`: matplotlib's; of several panels, an array of axes.

    Example:
        >>> figure, axes = new_figure(panels=2)
        >>> len(axes), figure.get_size_inches().tolist()
        (2, [7.0, 4.8])
    """
    size = (5.5, 5.0) if square else (7.0, 4.2 if panels == 1 else 2.4 * panels)
    figure = blank_figure(size)
    all_axes = figure.subplots(panels, sharex=True, squeeze=False)[:, 0]
    for axes in all_axes:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, all_axes[0] if panels == 1 else all_axes


def blank_figure(size):
    """An empty figure, without a display.

    Args:
        size: tuple (width, height) of floats, inches.

    Returns:
        `matplotlib.figure.Figure`.

    Example:
        >>> blank_figure((2.0, 1.0)).get_size_inches().tolist()
        [2.0, 1.0]
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=120, layout="constrained")
    FigureCanvasAgg(figure)  # no display is needed, and pyplot's global state is left alone
    return figure


def save_figure(figure, path):
    """Write a figure as a PNG, through a temporary name.

    Args:
        figure: `matplotlib.figure.Figure`.
        path: str or Path of the PNG; its folder is made if it is not there.

    Returns:
        Path of the PNG.

    Example:
        >>> import tempfile
        >>> save_figure(blank_figure((2.0, 1.0)), tempfile.mkdtemp() + "/new/blank.png").name
        'blank.png'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    figure.savefig(temporary, format="png")
    temporary.replace(path)
    return path


def short(value):
    """A score as text of a few characters, for captions.

    Args:
        value: float.

    Returns:
        str: three digits, or all digits before the point.

    Example:
        >>> short(0.01234), short(98.76), short(999.6), short(1974.2), short(1e9)
        ('0.0123', '98.8', '1,000', '1,974', '1e+09')
    """
    return f"{value:,.0f}" if 999.5 <= abs(value) < 1e6 else f"{value:.3g}"
