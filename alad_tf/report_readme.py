"""The README's table of results: a few rows of RESULTS.md, rendered from the same JSONs."""

from pathlib import Path
from statistics import fmean

from alad_tf.evaluate import spread_of, summarize
from alad_tf.experiments import AUTHORS_RUNS
from alad_tf.files import with_block, write_text
from alad_tf.report_tables import untrained_cell
from alad_tf.results import read_results

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
    return with_block(text, BEGIN, END, _table(entries, results), "the README")


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


def _table(entries, results):
    known = {entry.name: entry for entry in entries}
    lines = ["| " + " | ".join(HEAD) + " |", "|" + " --- |" * len(HEAD)]
    for data, name, variant, score, label in ROWS:
        if name in known:
            runs = read_results(results, name, variant)
            paper = known[name].reported_scores.get(score, {}).get("f1")
            ran = f"{len(runs)} seed{'s' * (len(runs) != 1)}"
            lines.append(_row((data, label, "F1"), runs, score, ran, paper))
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
    return _row(head, runs, score, f"{len(there)} of 10 classes", paper)


def _row(head, runs, score, ran, paper):
    metric = head[2].lower()
    paper = f"{paper:.4f}" if paper else ""
    if not runs:
        return "| " + " | ".join([*head, "none", "not run", paper, ""]) + " |"
    ours = spread_of(summarize(runs, score)[metric])
    cells = [*head, ran, ours, paper, untrained_cell(runs, score, metric)]
    return "| " + " | ".join(cells) + " |"
