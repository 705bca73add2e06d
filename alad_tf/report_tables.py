"""The paper's tables that compare methods, rendered from the runs of several entries."""

from alad_tf.evaluate import spread_of, summarize
from alad_tf.experiments import AUTHORS_RUNS
from alad_tf.results import read_results

THEIRS, WITHOUT_SN = AUTHORS_RUNS["default"], AUTHORS_RUNS["no_sn"]
# a row's label, the end of its entry's name, the run's variant, the score
TABLE_TWO = (
    ("OC-SVM", "ocsvm", "default", "score"),
    ("IF", "iforest", "default", "score"),
    ("DSEBM-r", "dsebm", "default", "reconstruction_error"),
    ("DSEBM-e", "dsebm", "default", "energy"),
    ("DAGMM", "dagmm", "default", "energy"),
    ("DAGMM, features in [0, 1]", "dagmm", "minmax", "energy"),
    ("AnoGAN, reconstruction 0.1", "anogan", "default", "weight_0.1"),
    ("AnoGAN, reconstruction 0.9", "anogan", "default", "weight_0.9"),
    ("ALAD", "alad", "default", "features"),
    ("ALAD, no spectral norm", "alad", "no_sn", "features"),
    ("OC-SVM, raw features", "ocsvm", "raw", "score"),
    ("DSEBM-r, raw features", "dsebm", "raw", "reconstruction_error"),
    ("DSEBM-e, raw features", "dsebm", "raw", "energy"),
    ("DAGMM, raw features", "dagmm", "raw", "energy"),
    ("AnoGAN, raw features, reconstruction 0.1", "anogan", "raw", "weight_0.1"),
    ("AnoGAN, raw features, reconstruction 0.9", "anogan", "raw", "weight_0.9"),
    ("ALAD, raw features", "alad", "raw", "features"),
    ("OC-SVM, the authors' rows", "ocsvm", THEIRS, "score"),
    ("IF, the authors' rows", "iforest", THEIRS, "score"),
    ("DSEBM-r, the authors' rows", "dsebm", THEIRS, "reconstruction_error"),
    ("DSEBM-e, the authors' rows", "dsebm", THEIRS, "energy"),
    ("DAGMM, the authors' rows", "dagmm", THEIRS, "energy"),
    ("AnoGAN, the authors' rows, reconstruction 0.1", "anogan", THEIRS, "weight_0.1"),
    ("AnoGAN, the authors' rows, reconstruction 0.9", "anogan", THEIRS, "weight_0.9"),
    ("ALAD, the authors' rows", "alad", THEIRS, "features"),
    ("ALAD, the authors' rows, no spectral norm", "alad", WITHOUT_SN, "features"),
)
DATASETS = {"kdd99": "KDD99", "arrhythmia": "Arrhythmia"}
COLUMNS = ("precision", "recall", "f1")


def table_two(entries, results="results"):
    """Table II: precision, recall and F1 of every method on the two tables, beside the paper's.

    Args:
        entries: list of entries of the zoo; rows without an entry are left out.
        results: str or Path of the results folder.

    Returns:
        list of lines, Markdown; empty without entries. A row whose entry has no run says so; rows
        of our own variants without a run are left out.

    Example:
        >>> table_two([])
        []

    Source: ALAD, Table II.
    """
    by_name = {entry.name: entry for entry in entries}
    lines = []
    for dataset, title in DATASETS.items():
        for label, method, variant, score in TABLE_TWO:
            entry = by_name.get(f"{dataset}_{method}")
            if entry is None:
                continue
            runs = read_results(results, entry.name, variant)
            if runs or variant == "default":
                lines.append(_row(title, label, entry, score, runs))
    if not lines:
        return []
    head = ["data", "model", "seeds", "precision", "recall", "F1", "paper: P, R, F1"]
    head += ["F1 less the paper's", "F1 untrained"]
    return [
        "## Table II: the two tables, all methods",
        "",
        "| " + " | ".join(head) + " |",
        "|" + " --- |" * len(head),
        *lines,
        "",
        "The threshold is the paper's rule, the top 20% (KDD99) and 15% (Arrhythmia) of the test "
        "scores. The paper quotes the rows of OC-SVM, DSEBM and DAGMM from earlier papers, and "
        "prints one row of AnoGAN without naming its weighting. OC-SVM does not depend on a seed. "
        "Notes on each method are below and on its card.",
        "",
    ]


def _row(title, label, entry, score, runs):
    reported = entry.reported_scores.get(score, {})
    if entry.method == "anogan":
        reported = entry.reported  # whichever weighting it was
    paper = ", ".join(f"{reported[name]:.4f}" for name in COLUMNS) if reported else ""
    if not runs:
        cells = ["", "not run", "", "", paper, "", ""]
        return f"| {title} | {label} | " + " | ".join(cells) + " |"
    ours = summarize(runs, score)
    cells = [str(len(runs)), *(spread_of(ours[name]) for name in COLUMNS), paper]
    cells.append(f"{ours['f1']['mean'] - reported['f1']:+.4f}" if reported else "")
    cells.append(untrained_cell(runs, score, "f1"))
    return f"| {title} | {label} | " + " | ".join(cells) + " |"


def untrained_cell(runs, score, metric):
    """A metric of the networks before training, mean and spread over the runs that have it.

    Args:
        runs: list of result dicts.
        score, metric: str.

    Returns:
        str, empty if no run has it.

    Example:
        >>> untrained_cell([{"untrained": {}}], "features", "f1")
        ''
    """
    untrained = [{"metrics": run["untrained"]} for run in runs if score in run["untrained"]]
    return spread_of(summarize(untrained, score)[metric]) if untrained else ""
