"""RESULTS.md: the runs in `results/`, beside the paper's numbers and the untrained network's.

Image sets have one task a normal class, compared by AUROC. README's table is a few rows of the
same, rendered from the same JSONs.
"""

import re
import statistics
from pathlib import Path
from statistics import fmean

from alad_tf.data import class_names
from alad_tf.detector.metrics import METRICS, spread_of, summarize
from alad_tf.engine.callbacks import best_epoch, stop_epoch
from alad_tf.engine.files import with_block, write_text
from alad_tf.experiments.figures import figure_sections, write_figures
from alad_tf.experiments.plan import AUTHORS_RUNS
from alad_tf.experiments.results import read_flagged, read_histories, read_results
from alad_tf.experiments.tables import (
    open_questions,
    own_data_sections,
    plural,
    table_eight,
    table_five,
    table_four,
    table_one,
    table_seven,
    table_six,
    table_three,
    table_two,
    untrained_cell,
)

MIN_ROWS = 100  # classes with fewer test rows are left out of the counts by class
TITLES = {"f1": "F1", "auroc": "AUROC", "auprc": "AUPRC"}


def render(entries, results="results"):
    """Render all runs of the entries as Markdown.

    Args:
        entries: list of entries of the zoo, in the order of the report.
        results: str or Path of the results folder.

    Returns:
        str, Markdown: the paper's tables and figures, what was measured on own tables, then
        for each entry and variant a table of its scores, mean and sample standard deviation over
        seeds, with the paper's value and the untrained network's; below it rows, seeds, time and
        machine. What has not been run says so.

    Raises:
        ValueError: a results file is not JSON.

    Example:
        >>> print(render([], "results").splitlines()[0])
        # Results
    """
    lines = [
        "# Results",
        "",
        "Rendered by `alad report` from the JSON files in `results/`, one a training run; do not "
        "edit by hand. Values are means over seeds ± the sample standard deviation; the split is "
        "the same in every run. Differences are ours minus the paper's.",
        "",
    ]
    lines += table_one(results)
    lines += table_two(entries, results)
    lines += table_three(entries, results)
    for table in (table_four, table_five, table_six, table_seven, table_eight):
        lines += table(results)
    lines += open_questions(results)
    lines += figure_sections(results)
    lines += own_data_sections(results)
    for entry in entries:
        sections = entry_sections(entry, results)
        lines += sections or [f"## {entry.name}", "", "Not run yet.", ""]
        if sections and entry.notes:
            lines += [f"### Notes on {entry.name}", "", *(f"- {n}" for n in entry.notes), ""]
    return "\n".join(lines)


def entry_sections(entry, results="results", variants=None):
    """The sections of one entry's runs.

    Args:
        entry: an entry of the zoo.
        results: str or Path of the results folder.
        variants: list of str, only these (of an image set: these besides the class); default all.

    Returns:
        list of lines, empty if there are no runs.
    """
    found = [path.name for path in (Path(results) / entry.name).glob("*") if path.is_dir()]
    if entry.is_image:
        return class_sections(entry, results, found, variants)
    lines = []
    # the default first: it is what the others are compared with
    for variant in sorted(found, key=lambda name: (name != "default", name)):
        runs = read_results(results, entry.name, variant)
        if runs and (variants is None or variant in variants):
            lines += _section(entry, variant, runs)
            lines += _by_label(entry, read_flagged(results, entry.name, variant))
    return lines


def write_report(entries, results="results", path="RESULTS.md"):
    """Draw the figures, then write `render`'s report.

    Args:
        entries, results: as for `render`; the figures go to `results/figures`.
        path: str or Path of the Markdown file.

    Returns:
        Path of the file.

    Example:
        >>> # write_report([zoo.entry(name) for name in zoo.list()])
    """
    write_figures(entries, results)
    return write_text(path, render(entries, results))


def _section(entry, variant, runs):
    lines = [f"## {entry.name}, {variant}", "", entry.summary, ""]
    lines += ["| score | " + " | ".join(TITLES.get(m, m) for m in METRICS) + " |"]
    lines += ["| --- |" + " --- |" * len(METRICS)]
    for score in entry.score_names:
        lines.append(_row(score, summarize(runs, score)))
    untrained = [{"metrics": run["untrained"]} for run in runs]
    if all(run["untrained"] for run in runs):
        lines.append(_row(f"{entry.score}, untrained", summarize(untrained, entry.score)))
    for score, reported in entry.reported_scores.items():
        if reported:
            lines += _paper(score, reported, entry.reported_in, summarize(runs, score))
    protocol, trained = runs[0]["protocol"], ""
    if runs[0]["steps"]:
        trained = f"{runs[0]['epochs']} epochs, {runs[0]['steps']:,} steps. "
    lines += [
        "",
        f"{plural(len(runs), 'seed')} ({', '.join(str(run['seed']) for run in runs)}); "
        f"{trained}{protocol['train_rows']:,} training rows, "
        f"{protocol['train_anomalies']:,} of them anomalous; {protocol['test_rows']:,} test rows, "
        f"{protocol['test_anomaly_rate']:.2%} anomalous; {protocol['threshold_rule']} are called "
        f"anomalous. Training took {took(runs)} a seed "
        f"({machines(runs)}; other runs may have shared the machine).",
        "",
    ]
    return lines


def _paper(score, reported, where, ours):
    """Two rows: the paper's values of a score, and ours less these."""
    told = [f"{reported[m]:.4f}" if m in reported else "" for m in METRICS]
    less = [f"{ours[m]['mean'] - reported[m]:+.4f}" if m in reported else "" for m in METRICS]
    return [
        f"| paper: {score} ({where}) | " + " | ".join(told) + " |",
        "| difference | " + " | ".join(less) + " |",
    ]


def _by_label(entry, seeds):
    """Share of each class's test rows that a score calls anomalous, over the seeds counted."""
    if not seeds:
        return []
    lines = [
        f"Test rows called anomalous, by class (classes of at least {MIN_ROWS} test rows; means "
        f"over {plural(len(seeds), 'seed')}):",
        "",
        "| class | training rows | test rows | " + " | ".join(entry.score_names) + " |",
        "| --- | --- | --- |" + " --- |" * len(entry.score_names),
    ]
    for row in seeds[0]:
        if row["test_rows"] < MIN_ROWS:
            continue
        same = [other for seed in seeds for other in seed if other["label"] == row["label"]]
        cells = [
            f"{sum(other['flagged'][score] for other in same) / len(same) / row['test_rows']:.1%}"
            for score in entry.score_names
        ]
        cells = [str(row["label"]), f"{row['train_rows']:,}", f"{row['test_rows']:,}", *cells]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def _row(name, summary):
    cells = [f"{summary[m]['mean']:.4f}" for m in METRICS]
    if summary[METRICS[0]]["seeds"] > 1:
        cells = [f"{c} ± {summary[m]['std']:.4f}" for c, m in zip(cells, METRICS, strict=True)]
    return f"| {name} | " + " | ".join(cells) + " |"


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
            lines += _class_section(entry, variant, tasks[variant])
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


def _class_section(entry, variant, tasks):
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


BEGIN = "<!-- rendered by `alad report` from results/; do not edit -->"
END = "<!-- end of the rendered part -->"
# the data's name, the entry's, the variant, the score, the row's name
ROWS = (
    ("KDD99", "kdd99_alad", AUTHORS_RUNS["default"], "features", "ALAD, the authors' rows"),
    ("KDD99", "kdd99_alad", "default", "features", "ALAD"),
    ("KDD99", "kdd99_alad", "default", "l1", "ALAD, L1 score"),
    ("KDD99", "kdd99_alad", "no_sn", "features", "ALAD without spectral norm"),
    ("KDD99", "kdd99_iforest", "default", "score", "Isolation Forest"),
    ("Arrhythmia", "arrhythmia_alad", "default", "features", "ALAD"),
    ("Arrhythmia", "arrhythmia_iforest", "default", "score", "Isolation Forest"),
)
IMAGES = (
    ("CIFAR-10", "cifar10_alad", "features", "ALAD"),
    ("CIFAR-10", "cifar10_iforest", "score", "Isolation Forest"),
)
HEAD = ("data", "model", "metric", "runs", "ours", "paper", "untrained")


def with_results(text, entries, results="results"):
    """A README's text with its rendered table renewed.

    Args:
        text: str, with the lines BEGIN and END once each.
        entries: list of entries of the zoo.
        results: str or Path of the results folder.

    Returns:
        str.

    Raises:
        ValueError: one of the two lines is not there once.

    Example:
        >>> with_results(f"{BEGIN}\\nold\\n{END}", []).count("old")
        0
    """
    return with_block(text, BEGIN, END, _readme_table(entries, results), "the README")


def write_readme(entries, results, path):
    """Renew the table of a README.

    Args:
        entries, results: as for `with_results`.
        path: str or Path of the README.

    Returns:
        Path of the README.

    Raises:
        ValueError: as for `with_results`; the file is then as it was.

    Example:
        >>> # write_readme([zoo.entry(name) for name in zoo.list()], "results", "README.md")
    """
    path = Path(path)
    return write_text(path, with_results(path.read_text(encoding="utf-8"), entries, results))


def _readme_table(entries, results):
    known = {entry.name: entry for entry in entries}
    lines = ["| " + " | ".join(HEAD) + " |", "|" + " --- |" * len(HEAD)]
    for data, name, variant, score, label in ROWS:
        if name in known:
            runs = read_results(results, name, variant)
            paper = known[name].reported_scores.get(score, {}).get("f1")
            ran = f"{len(runs)} seed{'s' * (len(runs) != 1)}"
            lines.append(_readme_row((data, label, "F1"), runs, score, ran, paper))
    for data, name, score, label in IMAGES:
        if name in known:
            lines.append(_image_row(known[name], results, (data, label, "AUROC"), score))
    return lines


def _image_row(entry, results, head, score):
    """One seed of each class; where classes are missing, the paper's mean is over the same ones."""
    by_class = {n: read_results(results, entry.name, f"class{n}")[:1] for n in range(10)}
    there = [number for number, runs in by_class.items() if runs]
    paper = entry.reported_scores.get(score, {}).get("auroc")
    if len(there) < 10 and entry.reported_by_class:
        paper = fmean([entry.reported_by_class[n] for n in there]) if there else None
    runs = [run for found in by_class.values() for run in found]
    return _readme_row(head, runs, score, f"{len(there)} of 10 classes", paper)


def _readme_row(head, runs, score, ran, paper):
    metric = head[2].lower()
    paper = f"{paper:.4f}" if paper else ""
    if not runs:
        return "| " + " | ".join([*head, "none", "not run", paper, ""]) + " |"
    ours = spread_of(summarize(runs, score)[metric])
    cells = [*head, ran, ours, paper, untrained_cell(runs, score, metric)]
    return "| " + " | ".join(cells) + " |"
