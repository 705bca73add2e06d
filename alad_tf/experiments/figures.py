"""The paper's figures, drawn from what is in `results/`; what has not been run is not drawn."""

import statistics
from pathlib import Path

import numpy as np

from alad_tf.data import class_names
from alad_tf.engine.files import read_json
from alad_tf.experiments.errors import ROWS, examples_path, read_examples
from alad_tf.experiments.paper import ABLATIONS, DATASETS
from alad_tf.experiments.plan import EXPERIMENTS
from alad_tf.experiments.tables import METHODS, SCORES, tasks_of
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

FOLDER = "figures"
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
NAMES = (
    "figure2",
    "figure3",
    "figure4",
    "figure5",
    "figure6",
    *(f"figure{n}" for n in range(7, 11)),
)


def write_figures(entries, results="results"):
    """Draw the figures that there are runs for into `results/figures`.

    Args:
        entries: list of entries of the zoo.
        results: str or Path of the results folder.

    Returns:
        dict by the figure's name: Path of the PNG, or None where nothing has been run. An old
        picture of what is no longer there is removed.

    Source: ALAD, Figures 2 to 10.
    """
    results, by_name, written = Path(results), {entry.name: entry for entry in entries}, {}
    for name in NAMES:
        path = results / FOLDER / f"{name}.png"
        if name in _BARS:
            drawn = _class_bars(by_name, results, name, path)
        elif name in _ERRORS:
            drawn = _errors(results, name, path)
        else:
            drawn = _toy(results, path)
        if not drawn:
            path.unlink(missing_ok=True)
        written[name] = path if drawn else None
    return written


def figure_sections(results="results"):
    """The report's list of figures: list of lines, Markdown."""
    lines = ["## Figures", ""]
    for name in NAMES:
        title = f"Figure {name.removeprefix('figure')}: {EXPERIMENTS[name].title}"
        path = Path(results) / FOLDER / f"{name}.png"
        if path.is_file():
            lines += [f"### {title}", "", f"![{title}](results/{FOLDER}/{name}.png)", ""]
        else:
            lines += [f"### {title}", "", "Not run.", ""]
    return lines


def _series(results, dataset, kind):
    """What the bars of a figure are: dict by label of dicts by class of lists of AUROCs."""
    if kind == "methods":
        chosen = [(label, f"{dataset}_{m}", "default", score) for label, m, score in METHODS]
    elif kind == "ablations":
        chosen = [(k, f"{dataset}_alad", v, "features") for v, k in ABLATIONS.items()]
    else:
        chosen = [(score, f"{dataset}_alad", "default", score) for score in SCORES]
    found = {}
    for label, entry, variant, score in chosen:
        tasks = tasks_of(results, entry, variant)
        if tasks:
            values = {k: [r["metrics"][score]["auroc"] for r in v] for k, v in tasks.items()}
            found[label] = values
    return found


def _class_bars(by_name, results, name, path):
    dataset, kind = _BARS[name]
    entry = by_name.get(f"{dataset}_alad")
    series = _series(results, dataset, kind)
    ours = {"methods": "ALAD", "ablations": None, "scores": "features"}[kind]
    if entry is None or not series or (kind == "ablations" and len(series) < 2):
        return False  # a single bar is no comparison
    figure, axes = new_figure()
    figure.set_size_inches(10, 4.2)
    names, width = class_names(entry.dataset), 0.8 / len(series)
    colors = dict(zip(series, _COLORS[-len(series) :], strict=True))
    for place, (label, tasks) in enumerate(series.items()):
        at = [k + (place - (len(series) - 1) / 2) * width for k in tasks]
        means = [statistics.mean(values) for values in tasks.values()]
        spread = [statistics.stdev(v) if len(v) > 1 else 0 for v in tasks.values()]
        seeds = sorted({len(values) for values in tasks.values()})
        told = f"{label} ({_range(seeds)} seed{'s' if seeds[-1] > 1 else ''})"
        axes.bar(at, means, width, yerr=spread, color=colors[label], label=told, ecolor=GREY)
    if kind != "ablations":
        for values, marker, label in (
            (entry.reported_by_class, "_", "ALAD in the paper, read off its bars"),
            (entry.reported_elsewhere_by_class, "x", "ALAD in an independent reproduction"),
        ):
            if values:
                size = 260 if marker == "_" else 40
                axes.scatter(
                    range(len(values)), values, size, "black", marker, label=label, zorder=3
                )
    lacking = [k for k in range(len(names)) if ours and k not in series.get(ours, {})]
    for k in lacking:
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
        told = f"{ours}:\nnot run"
        axes.text(k, 0.315, told, ha="center", va="bottom", fontsize=7, color="black", bbox=box)
    axes.axhline(0.5, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_xticks(range(len(names)), names)
    axes.set(ylim=(0.3, 0.95), ylabel="AUROC", xlabel="normal class")
    axes.set_title(f"{DATASETS[dataset]}: {kind} by normal class (0.5 is chance)", fontsize=10)
    axes.legend(fontsize=7, ncols=3, frameon=False, loc="upper center")
    save_figure(figure, path)
    return True


def _range(numbers):
    return f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def _errors(results, name, path):
    group = EXPERIMENTS[name].groups[0]
    number = group.classes[0]
    source = examples_path(results, group.entry, f"class{number}", 0)
    if not source.is_file():
        return False
    rows, told = read_examples(source), read_json(source.with_suffix(".json"))
    pictures = {}
    for place, kind in ((0, ROWS[0]), (2, ROWS[2])):
        (score,) = [key for key in told[kind] if key != "classes"]
        pairs = zip(told[kind]["classes"], told[kind][score], strict=True)
        captions = [f"{label}\n{short(value)}" for label, value in pairs]
        pictures[kind] = (rows[place], rows[place + 1], captions)
    normal = told[ROWS[0]]["classes"][0]
    title = (
        f"{group.entry}, normal class {normal}, seed 0: class and {score} score above each image"
    )
    reconstructions(pictures, path, title)
    return True


def _toy(results, path):
    source = results / "figure2.json"
    if not source.is_file():
        return False
    told = read_json(source)
    x, made = np.array(told["x"]), np.array(told["reconstruction"])
    z, odd = np.array(told["z"]), np.array(told["is_anomaly"])
    figure, axes = _two_panels()
    plane, line = axes
    plane.scatter(*np.array(told["x_train"]).T, s=4, color="#cbd5e0", label="training rows")
    for mask, color, marker, label in (
        (~odd, NORMAL, "o", "normal"),
        (odd, ANOMALOUS, "x", "anomalous"),
    ):
        faces = {} if marker == "x" else {"facecolors": "none", "edgecolors": color}
        plane.scatter(
            *x[mask].T,
            s=22,
            marker=marker,
            label=f"{label} sample x",
            **(faces or {"color": color}),
        )
        plane.scatter(
            *made[mask].T, s=8, marker="s", color=color, alpha=0.6, label="its x' = G(E(x))"
        )
        line.scatter(
            z[mask], np.array(told["features"])[mask], s=22, marker=marker, label=label,
            **(faces or {"color": color}),
        )  # fmt: skip
    for start, end in zip(x[odd], made[odd], strict=True):
        plane.plot(*np.stack([start, end]).T, color=ANOMALOUS, linewidth=0.5, alpha=0.4)
    plane.set(xlabel="first coordinate", ylabel="second coordinate", aspect="equal")
    plane.set_ylim(top=3.6)
    plane.legend(fontsize=7, frameon=False, ncols=2, loc="upper center")
    line.set(xlabel="code z = E(x)", ylabel="features score A(x)")
    line.legend(fontsize=8, frameon=False)
    figure.suptitle("Toy data: samples, their reconstructions, codes and scores", fontsize=10)
    save_figure(figure, path)
    return True


def _two_panels():
    figure = blank_figure((10, 5))
    axes = figure.subplots(1, 2)
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes
