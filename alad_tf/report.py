"""RESULTS.md: the runs in `results/`, beside the paper's numbers and the untrained network's."""

from pathlib import Path

from alad_tf.evaluate import METRICS, summarize
from alad_tf.figures import figure_sections, write_figures
from alad_tf.files import write_text
from alad_tf.report_classes import class_sections, machines, plural, took
from alad_tf.report_own import own_data_sections
from alad_tf.report_paper import (
    open_questions,
    table_eight,
    table_five,
    table_four,
    table_one,
    table_seven,
    table_six,
    table_three,
)
from alad_tf.report_tables import table_two
from alad_tf.results import read_flagged, read_results

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
