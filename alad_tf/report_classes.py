"""The report's sections for image sets: one task a normal class, compared by AUROC."""

import re
import statistics

from alad_tf.data import class_names
from alad_tf.results import read_histories, read_results
from alad_tf.stopping import best_epoch, stop_epoch

VARIANT = re.compile(r"class(\d)(?:_(.+))?")


def class_sections(entry, results, found, variants=None):
    """The sections of an image entry: a table of the classes for each variant.

    Args:
        entry: `Entry` of an image set.
        results: str or Path of the results folder.
        found: list of str, the entry's folders there: "class0", "class1_stop_last", ...
        variants: list of str, only these: "default" or what follows the class; default all.

    Returns:
        list of lines, empty if there are no runs.
    """
    tasks = {}
    for name in sorted(found):
        match = VARIANT.fullmatch(name)
        runs = read_results(results, entry.name, name) if match else []
        if runs:
            tasks.setdefault(match[2] or "default", {})[int(match[1])] = runs
    lines = []
    for variant in sorted(tasks, key=lambda name: (name != "default", name)):
        if variants is None or variant in variants:
            lines += _section(entry, variant, tasks[variant])
            lines += _stops(entry, results, variant, tasks[variant])
    return lines


def _stops(entry, results, variant, tasks):
    """Where the paper's patience would have stopped the runs that trained on."""
    names, told = class_names(entry.dataset), []
    for number in sorted(tasks):
        folder = f"class{number}" + (f"_{variant}" if variant != "default" else "")
        for seed, history in read_histories(results, entry.name, folder).items():
            if "val_score" not in history[0]:
                continue
            scores = [logs["val_score"] for logs in history]
            best, stop = best_epoch(history), stop_epoch(history, entry.patience)
            told.append(
                f"{names[number]}, seed {seed}: {f'epoch {stop}' if stop else 'no epoch'} (score "
                f"{scores[0]:.0f} after the first epoch, lowest {scores[best - 1]:.0f} at epoch "
                f"{best}, {scores[-1]:.0f} at the last)"
            )
    if not told:
        return []
    rule = f"Where patience {entry.patience} on the validation rows' mean features score stops"
    return [f"{rule}: {'; '.join(told)}.", ""]


def _section(entry, variant, tasks):
    names = class_names(entry.dataset)
    reported, elsewhere = entry.reported_by_class, entry.reported_elsewhere_by_class
    with_untrained = all(run["untrained"] for runs in tasks.values() for run in runs)
    all_runs = [run for task in tasks.values() for run in task]
    rounded = set(map(_precision, all_runs)) != {"float32"}
    head = ["normal class", "seeds", *["products in"] * rounded, *entry.score_names]
    head += [f"{entry.score}, untrained"] * with_untrained
    head += ["paper"] * bool(reported) + ["reproduced elsewhere"] * bool(elsewhere)
    lines = [
        f"## {entry.name}, {variant}",
        "",
        entry.summary,
        "",
        "AUROC, one task a normal class:",
    ]
    lines += ["", "| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for number, runs in sorted(tasks.items()):
        cells = [names[number], str(len(runs))]
        cells += [", ".join(sorted(set(map(_precision, runs))))] * rounded
        cells += [
            _spread([run["metrics"][score]["auroc"] for run in runs]) for score in entry.score_names
        ]
        if with_untrained:
            cells.append(_spread([run["untrained"][entry.score]["auroc"] for run in runs]))
        cells += [f"{known[number]:.2f}" for known in (reported, elsewhere) if known]
        lines.append("| " + " | ".join(cells) + " |")
    if len(tasks) == len(names):
        means = [
            statistics.mean(
                statistics.mean(run["metrics"][score]["auroc"] for run in runs)
                for runs in tasks.values()
            )
            for score in entry.score_names
        ]
        cells = ["mean of the classes", "", *[""] * rounded, *(f"{mean:.4f}" for mean in means)]
        cells += [""] * with_untrained
        cells += [""] * (bool(reported) + bool(elsewhere))
        lines.append("| " + " | ".join(cells) + " |")
    epochs = sorted({run["epochs"] for run in all_runs})
    told = str(epochs[0]) if len(epochs) == 1 else f"{epochs[0]} to {epochs[-1]}"
    missing = [name for number, name in enumerate(names) if number not in tasks]
    lines += [
        "",
        f"The paper's mean over all classes is {_told(entry)} ({entry.reported_in})"
        + (f"; {entry.reported_by_class_in}." if reported else ".")
        + (f" Not run yet: {', '.join(missing)}; so no mean is given here." if missing else ""),
        (f"{told} epochs; weights kept: {_kept(all_runs)}. " if epochs[-1] else "")
        + f"Protocol: {_protocol(all_runs[0])}. Training "
        f"took {took(all_runs)} a class and seed ({machines(all_runs)}; other runs may have "
        "shared the machine).",
        "",
    ]
    return lines


def _told(entry):
    told = f"{entry.reported['auroc']:.4f}"
    others = (f", {name} {values['auroc']:.4f}" for name, values in entry.reported_others.items())
    return told + "".join(others)


def _spread(values):
    mean = f"{statistics.mean(values):.4f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.4f}"


def _kept(runs):
    rules = sorted({run["config"].get("stopping", "fixed") for run in runs})
    epochs = sorted({run["config"]["kept_epoch"] for run in runs})
    return f"those of epoch {', '.join(map(str, epochs))} (stopping rule: {', '.join(rules)})"


def _protocol(run):
    rows = run["protocol"]
    return (
        f"{rows['train_rows']:,} training and {rows['validation_rows']:,} validation images of the "
        f"normal class, {rows['test_rows']:,} test images of all classes"
    )


def _precision(run):
    return run["config"].get("precision", "float32")


def took(runs):
    """The wall time of runs in words: "3.0 to 4.5 minutes"."""
    minutes = sorted(run["wall_s"] / 60 for run in runs)
    if len(runs) == 1:
        return f"{minutes[0]:.1f} minutes"
    return f"{minutes[0]:.1f} to {minutes[-1]:.1f} minutes"


def machines(runs):
    """The hardware of the runs in words: "1 core or 2 cores, AMD EPYC"."""
    used = {}
    for run in runs:
        hardware = run["hardware"]
        place = ", ".join(hardware["gpus"]) or hardware["processor"]
        if _precision(run) != "float32":
            place += f" with products in {_precision(run)}"
        used.setdefault(place, set()).update([] if hardware["gpus"] else [hardware["cores"]])
    told = []
    for place, cores in sorted(used.items()):
        counts = " or ".join(plural(count, "core") for count in sorted(cores))
        told.append(f"{counts}, {place}" if counts else place)
    return "; ".join(told)


def plural(count, noun):
    """A count and its noun: "1 seed", "3 seeds"."""
    return f"{count} {noun}" + "s" * (count != 1)
