"""The paper's figures and the toy example's, drawn from `results/` where there are results."""

import shutil
import tempfile
from pathlib import Path

import numpy as np

from alad_tf.data import class_names
from alad_tf.engine.files import adding_to, check_adding, read_json, removing_from
from alad_tf.experiments import RESULTS, toy
from alad_tf.experiments.errors import ROWS, examples_path, read_examples
from alad_tf.experiments.paper import DATASETS
from alad_tf.experiments.plan import EXPERIMENTS
from alad_tf.experiments.results import read_frame
from alad_tf.experiments.tables import ABLATED, METHODS, SCORED, class_means
from alad_tf.plots.canvas import (
    ANOMALOUS,
    GREY,
    NORMAL,
    blank_figure,
    new_figure,
    save_figure,
    short,
)
from alad_tf.plots.charts import reconstructions

_COLORS = ("#a0aec0", "#718096", "#d69e2e", "#dd6b20", "#38a169", NORMAL)
_BARS = {  # figure: data set, and what stands side by side
    "figure3": ("svhn", "methods"),
    "figure4": ("cifar10", "methods"),
    "figure7": ("svhn", "ablations"),
    "figure8": ("cifar10", "ablations"),
    "figure9": ("svhn", "scores"),
    "figure10": ("cifar10", "scores"),
}
_ERRORS = ("figure5", "figure6")
_TOYS = ("toy_scores", "toy_training")
NAMES = tuple(f"figure{number}" for number in range(2, 11))


def picture_path(results, name):
    """The path of a figure: `<results>/figures/<name>.png`."""
    return Path(results) / "figures" / f"{name}.png"


def write_figures(entries, results=RESULTS):
    """Draw the figures that have runs; pictures of runs that no longer exist are removed.

    Returns a dict by the figure's name: Path of the PNG, or None where nothing has been run.
    Raises FileExistsError if one of them would replace another picture.
    """
    with tempfile.TemporaryDirectory() as scratch:
        drawn = _draw(entries, results, Path(scratch))
        paths = {name: path and picture_path(results, name) for name, path in drawn.items()}
        folder = picture_path(results, "any").parent
        if any(drawn.values()):
            with adding_to(folder, ".") as temporary:
                for path in filter(None, drawn.values()):
                    shutil.copyfile(path, temporary / path.name)
    removing_from(folder, [f"{name}.png" for name, path in paths.items() if path is None])
    return paths


def check_figures(results=RESULTS):
    """Refuse a folder with pictures by the names of figures that this program did not write."""
    check_adding(picture_path(results, "any").parent, rf"({'|'.join((*NAMES, *_TOYS))})\.png")


def _draw(entries, results, folder):
    """Draw into a folder; Path or None by the figure's name."""
    by_name, frame, written = {entry.name: entry for entry in entries}, read_frame(results), {}
    for name in NAMES:
        path = folder / f"{name}.png"
        if name in _BARS:
            written[name] = _class_bars(by_name, frame, *_BARS[name], path)
        elif name in _ERRORS:
            written[name] = _errors(results, name, path)
        else:
            written[name] = _toy(Path(results) / toy.PATH, path)
    for name, draw in zip(_TOYS, (_toy_scores, _toy_training), strict=True):
        written[name] = draw(Path(results) / toy.PATH, folder / f"{name}.png")
    return written


def figure_sections(results=RESULTS):
    """The report's list of figures: list of lines, Markdown."""
    lines = ["## Figures", ""]
    for name in NAMES:
        title = f"Figure {name.removeprefix('figure')}: {EXPERIMENTS[name].title}"
        path = picture_path(results, name)
        picture = f"![{title}]({picture_path(RESULTS, name)})" if path.is_file() else "Not run."
        lines += [f"### {title}", "", picture, ""]
    return lines


def _series(frame, dataset, kind):
    """The bars of a figure: dict by label of `class_means`, of those with runs."""
    if kind == "methods":
        chosen = {label: (f"{dataset}_{method}", score) for label, method, score in METHODS}
    else:
        rows = {"ablations": ABLATED, "scores": SCORED}[kind].values()
        chosen = {label: (f"{dataset}_alad", score, changes) for label, changes, score in rows}
    means = {label: class_means(frame, *keys) for label, keys in chosen.items()}
    return {label: found for label, found in means.items() if len(found)}


def _class_bars(by_name, frame, dataset, kind, path):
    entry, series = by_name.get(f"{dataset}_alad"), _series(frame, dataset, kind)
    ours = {"methods": "ALAD", "ablations": None, "scores": "features"}[kind]
    if entry is None or not series or (kind == "ablations" and len(series) < 2):
        return None  # a single bar is no comparison
    figure, axes = new_figure()
    figure.set_size_inches(10, 4.2)
    names, width = class_names(entry.dataset), 0.8 / len(series)
    for place, ((label, means), color) in enumerate(
        zip(series.items(), _COLORS[-len(series) :], strict=True)
    ):
        at = means.index.to_numpy(float) + (place - (len(series) - 1) / 2) * width
        spread = means["std"].fillna(0)
        few, many = means["count"].min(), means["count"].max()
        seeds = f"{few}" if few == many else f"{few} to {many}"
        label = f"{label} ({seeds} seed{'s' if many > 1 else ''})"
        axes.bar(at, means["mean"], width, yerr=spread, color=color, label=label, ecolor=GREY)
    if kind != "ablations":
        for values, marker, size, label in (
            (entry.reported_by_class, "_", 260, "ALAD in the paper (read off its bar chart)"),
            (entry.reported_elsewhere_by_class, "x", 40, "ALAD, independent reproduction"),
        ):
            if values:
                places = range(len(values))
                axes.scatter(places, values, size, "black", marker, label=label, zorder=3)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
        run = series[ours].index if ours in series else ()
        for k in sorted({*range(len(names))} - {*run}):
            style = dict(ha="center", va="bottom", fontsize=7, color="black", bbox=box)
            axes.text(k, 0.315, f"{ours}:\nnot run", **style)
    axes.axhline(0.5, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_xticks(range(len(names)), names)
    axes.set(ylim=(0.3, 0.95), ylabel="AUROC", xlabel="normal class")
    axes.set_title(f"{DATASETS[dataset]}: {kind} by normal class (0.5 is chance)", fontsize=10)
    axes.legend(fontsize=7, ncols=3, frameon=False, loc="upper center")
    return save_figure(figure, path)


def _errors(results, name, path):
    group = EXPERIMENTS[name].groups[0]
    source = examples_path(results, group.entry, f"class{group.classes[0]}", 0)
    if not source.is_file():
        return None
    rows, captions = read_examples(source), read_json(source.with_suffix(".json"))
    pictures = {}
    for place in (0, 2):
        (score,) = set(captions[ROWS[place]]) - {"classes"}
        classes, scores = (captions[ROWS[place]][key] for key in ("classes", score))
        above = [f"{c}\n{short(value)}" for c, value in zip(classes, scores, strict=True)]
        pictures[ROWS[place]] = (rows[place], rows[place + 1], above)
    normal = captions[ROWS[0]]["classes"][0]
    title = f"{group.entry}, normal class {normal}, seed 0: class and {score} score"
    return reconstructions(pictures, path, f"{title} above each image")


def _toy(source, path):
    if not source.is_file():
        return None
    data = read_json(source)
    names = ("x_train", "x", "reconstruction", "z", "features", "is_anomaly")
    x_train, x, rebuilt, z, features, odd = (np.array(data[name]) for name in names)
    figure = blank_figure((10, 5))
    plane, line = figure.subplots(1, 2)
    for axes in (plane, line):
        axes.spines[["top", "right"]].set_visible(False)
    plane.scatter(*x_train.T, s=4, color="#cbd5e0", label="training rows")
    for mask, label, color, style in (
        (~odd, "normal", NORMAL, dict(marker="o", facecolors="none", edgecolors=NORMAL)),
        (odd, "anomalous", ANOMALOUS, dict(marker="x", color=ANOMALOUS)),
    ):
        plane.scatter(*x[mask].T, s=22, label=f"{label} sample x", **style)
        square = dict(s=8, marker="s", color=color, alpha=0.6)
        plane.scatter(*rebuilt[mask].T, label="its reconstruction G(E(x))", **square)
        line.scatter(z[mask], features[mask], s=22, label=label, **style)
    for start, end in zip(x[odd], rebuilt[odd], strict=True):
        plane.plot(*np.stack([start, end]).T, color=ANOMALOUS, linewidth=0.5, alpha=0.4)
    plane.set(xlabel="first coordinate", ylabel="second coordinate", aspect="equal")
    plane.set_ylim(top=3.6)
    plane.legend(fontsize=7, frameon=False, ncols=2, loc="upper center")
    line.set(xlabel="code z = E(x)", ylabel="features score A(x)")
    line.legend(fontsize=8, frameon=False)
    figure.suptitle("Toy data: samples, their reconstructions, codes and scores", fontsize=10)
    return save_figure(figure, path)


def _toy_scores(source, path):
    """Samples and reconstructions, the score over the plane, and the scores with the threshold."""
    data = read_json(source) if source.is_file() else {}
    if "grid_features" not in data:  # not run, or by an earlier version
        return None
    names = ("x", "reconstruction", "features", "is_anomaly")
    x, reconstruction, features, odd = (np.array(data[name]) for name in names)
    figure = blank_figure((10, 3.6))
    plane, heat, histogram = figure.subplots(1, 3)
    _plane(plane, data, "samples and their reconstructions")
    for mask, color, label in ((~odd, NORMAL, "normal"), (odd, ANOMALOUS, "anomalous")):
        _moves(plane, x[mask], reconstruction[mask], color)
        style = dict(marker="x", color=color) if label == "anomalous" else dict(color=color)
        plane.scatter(*x[mask].T, s=14, label=f"{label} sample", **style)
    plane.legend(
        fontsize=8, frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.08)
    )
    side, low = np.array(data["grid"]), data["threshold"] / 10
    scores = np.log10(np.maximum(data["grid_features"], low)).reshape(len(side), len(side))
    drawn = heat.pcolormesh(side, side, scores, cmap="magma", rasterized=True)
    heat.contour(
        side,
        side,
        scores,
        [np.log10(data["threshold"])],
        colors="white",
        linewidths=1,
        linestyles="solid",
    )
    heat.scatter(*x[~odd].T, s=2, color="#63b3ed")
    _axes_of_plane(heat, "anomaly score A(x); white: threshold")
    bar = figure.colorbar(drawn, ax=heat, shrink=0.8)
    bar.set_label("log10 of the score", fontsize=8)
    edges = np.geomspace(features.min(), features.max(), 31)
    for mask, color, label in ((~odd, NORMAL, "normal"), (odd, ANOMALOUS, "anomalous")):
        label = f"{label} ({mask.sum()})"
        histogram.hist(features[mask], edges, color=color, alpha=0.6, label=label)
    histogram.axvline(data["threshold"], color=GREY, linestyle="--", label="threshold")
    histogram.set(xscale="log", xlabel="anomaly score A(x)", ylabel="test samples")
    histogram.set_title("scores of test samples", fontsize=10)
    histogram.spines[["top", "right"]].set_visible(False)
    histogram.set_box_aspect(1)
    histogram.set_ylim(top=1.25 * histogram.get_ylim()[1])  # room for the legend
    histogram.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    histogram.legend(fontsize=8, frameon=False)
    return save_figure(figure, path)


def _toy_training(source, path):
    """G's curve and the reconstructions, after some epochs of the training."""
    data = read_json(source) if source.is_file() else {}
    if "snapshots" not in data:
        return None
    x, odd = (np.array(data[name])[:: toy.EVERY] for name in ("x", "is_anomaly"))
    snapshots = data["snapshots"]
    columns = 3
    rows = -(-len(snapshots) // columns)
    figure = blank_figure((9, 3.1 * rows))
    grid = figure.subplots(rows, columns, squeeze=False).flat
    for axes, snapshot in zip(grid, snapshots, strict=False):
        epoch, reconstruction = snapshot["epoch"], np.array(snapshot["reconstruction"])
        title = f"after {epoch} epoch{'s' * (epoch > 1)}" if epoch else "before training"
        _plane(axes, data, title)
        _moves(axes, x[~odd], reconstruction[~odd], NORMAL)
        _moves(axes, x[odd], reconstruction[odd], ANOMALOUS)
        axes.plot(*np.array(snapshot["curve"]).T, color="black", linewidth=1.6)
    for axes in grid:  # what is left over
        axes.axis("off")
    figure.suptitle(
        "black: all that G can generate; lines from x to G(E(x)): normal (blue), anomalous (red)",
        fontsize=10,
    )
    return save_figure(figure, path)


def _plane(axes, data, title):
    axes.scatter(*np.array(data["x_train"]).T, s=3, color="#cbd5e0")
    _axes_of_plane(axes, title)


def _axes_of_plane(axes, title):
    axes.set(xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), aspect="equal")
    axes.set(xticks=[-2, 0, 2], yticks=[-2, 0, 2])
    axes.set_title(title, fontsize=10)


def _moves(axes, x, reconstruction, color):
    """A line from each sample to its reconstruction."""
    from matplotlib.collections import LineCollection

    lines = np.stack([x, reconstruction], 1)
    axes.add_collection(LineCollection(lines, colors=color, linewidths=0.8, alpha=0.6))
