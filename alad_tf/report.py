"""RESULTS.md: the runs in `results/`, beside the paper's numbers and the untrained network's."""

from pathlib import Path

from alad_tf.evaluate import METRICS, summarize
from alad_tf.files import write_text
from alad_tf.report_classes import class_sections, machines, plural, took
from alad_tf.results import read_flagged, read_results
from alad_tf.scores import SCORES

MIN_ROWS = 100  # classes with fewer test rows are left out of the counts by class
TITLES = {"f1": "F1", "auroc": "AUROC", "auprc": "AUPRC"}


def render(entries, results="results"):
    """Render all runs of the entries as Markdown.

    Args:
        entries: list of `Entry`, in the order of the report.
        results: str or Path of the results folder.

    Returns:
        str, Markdown: for each entry and variant a table of the four scores, mean and sample
        standard deviation over seeds, with the paper's value and the untrained network's features
        score; below it rows, seeds, time and machine.

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
    for entry in entries:
        sections = entry_sections(entry, results)
        lines += sections or [f"## {entry.name}", "", "Not run yet.", ""]
        if sections and entry.notes:
            lines += [f"### Notes on {entry.name}", "", *(f"- {n}" for n in entry.notes), ""]
    return "\n".join(lines)


def entry_sections(entry, results="results", variants=None):
    """The sections of one entry's runs.

    Args:
        entry: `Entry`.
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
            lines += _by_label(read_flagged(results, entry.name, variant))
    return lines


def write_report(entries, results="results", path="RESULTS.md"):
    """Write `render`'s report.

    Args:
        entries, results: as for `render`.
        path: str or Path of the Markdown file.

    Returns:
        Path of the file.

    Example:
        >>> # write_report([zoo.entry(name) for name in zoo.list()])
    """
    return write_text(path, render(entries, results))


def _section(entry, variant, runs):
    untrained = [{"metrics": run["untrained"]} for run in runs]
    lines = [f"## {entry.name}, {variant}", "", entry.summary, ""]
    lines += ["| score | " + " | ".join(TITLES.get(m, m) for m in METRICS) + " |"]
    lines += ["| --- |" + " --- |" * len(METRICS)]
    for score in SCORES:
        lines.append(_row(score, summarize(runs, score)))
    lines.append(_row("features, untrained", summarize(untrained, "features")))
    if entry.reported:
        cells = [f"{entry.reported[m]:.4f}" if m in entry.reported else "" for m in METRICS]
        lines.append(f"| paper: features ({entry.reported_in}) | " + " | ".join(cells) + " |")
        ours = summarize(runs, "features")
        cells = [
            f"{ours[m]['mean'] - entry.reported[m]:+.4f}" if m in entry.reported else ""
            for m in METRICS
        ]
        lines.append("| difference | " + " | ".join(cells) + " |")
    protocol = runs[0]["protocol"]
    lines += [
        "",
        f"{plural(len(runs), 'seed')} ({', '.join(str(run['seed']) for run in runs)}); "
        f"{runs[0]['epochs']} epochs, "
        f"{runs[0]['steps']:,} steps. {protocol['train_rows']:,} training rows, "
        f"{protocol['train_anomalies']:,} of them anomalous; {protocol['test_rows']:,} test rows, "
        f"{protocol['test_anomaly_rate']:.2%} anomalous; {protocol['threshold_rule']} are called "
        f"anomalous. Training took {took(runs)} a seed "
        f"({machines(runs)}; other runs may have shared the machine).",
        "",
    ]
    return lines


def _by_label(seeds):
    """Share of each class's test rows that a score calls anomalous, over the seeds counted."""
    if not seeds:
        return []
    lines = [
        f"Test rows called anomalous, by class (classes of at least {MIN_ROWS} test rows; means "
        f"over {plural(len(seeds), 'seed')}):",
        "",
        "| class | training rows | test rows | " + " | ".join(SCORES) + " |",
        "| --- | --- | --- |" + " --- |" * len(SCORES),
    ]
    for row in seeds[0]:
        if row["test_rows"] < MIN_ROWS:
            continue
        same = [other for seed in seeds for other in seed if other["label"] == row["label"]]
        cells = [
            f"{sum(other['flagged'][score] for other in same) / len(same) / row['test_rows']:.1%}"
            for score in SCORES
        ]
        cells = [str(row["label"]), f"{row['train_rows']:,}", f"{row['test_rows']:,}", *cells]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def _row(name, summary):
    cells = [f"{summary[m]['mean']:.4f}" for m in METRICS]
    if summary[METRICS[0]]["seeds"] > 1:
        cells = [f"{c} ± {summary[m]['std']:.4f}" for c, m in zip(cells, METRICS, strict=True)]
    return f"| {name} | " + " | ".join(cells) + " |"
