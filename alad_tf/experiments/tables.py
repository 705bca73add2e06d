"""Tables of RESULTS.md that take the runs of several entries: the paper's, and anyone's data.

What has not been run says so.
"""

import statistics
from pathlib import Path

import numpy as np

from alad_tf.detector.metrics import spread_of, summarize
from alad_tf.engine.files import read_json
from alad_tf.experiments.paper import (
    ABLATIONS,
    DATASETS,
    IMAGES,
    TABLE_EIGHT,
    TABLE_FIVE,
    TABLE_FOUR,
    TABLE_ONE,
    TABLE_SEVEN,
    TABLE_SIX,
    TABULAR,
)
from alad_tf.experiments.plan import AUTHORS_RUNS
from alad_tf.experiments.results import read_results


def plural(count, noun):
    """A count and its noun: "1 seed", "3 seeds"."""
    return f"{count} {noun}" + "s" * (count != 1)


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
TABLE_TWO_DATA = {"kdd99": "KDD99", "arrhythmia": "Arrhythmia"}
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
    for dataset, title in TABLE_TWO_DATA.items():
        for label, method, variant, score in TABLE_TWO:
            entry = by_name.get(f"{dataset}_{method}")
            if entry is None:
                continue
            runs = read_results(results, entry.name, variant)
            if runs or variant == "default":
                lines.append(_table_two_row(title, label, entry, score, runs))
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


def _table_two_row(title, label, entry, score, runs):
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


NOT_RUN = "not run"
SCORES = ("l1", "l2", "logits", "features")
METRICS = ("precision", "recall", "f1")
CLASSES = 10
# a row of Table III, the end of its entry's name, the score
METHODS = (
    ("OC-SVM", "ocsvm", "score"),
    ("IF", "iforest", "score"),
    ("DSEBM-r", "dsebm", "reconstruction_error"),
    ("DSEBM-e", "dsebm", "energy"),
    ("AnoGAN", "anogan", "weight_0.1"),
    ("ALAD", "alad", "features"),
)
ON_AUTHORS_ROWS = (
    "The authors' rows are the half of KDD99 that their released script trains on, with its raw "
    f"features: variant {AUTHORS_RUNS['default']}, and {AUTHORS_RUNS['no_sn']} for the networks "
    "that the script makes of it."
)
AS_IN_THE_ZOO = ("default", *(f"class{number}" for number in range(10)))
# the question, its entry, the variant to compare with, the other one, the metric
QUESTIONS = (
    ("Arrhythmia: anomalies in training", "arrhythmia_alad", "default", "contaminated", "f1"),
    ("Arrhythmia: raw features", "arrhythmia_alad", "default", "raw", "f1"),
    ("KDD99: number of epochs", "kdd99_alad", "default", "epochs25", "f1"),
    ("KDD99: raw features", "kdd99_alad", "default", "raw", "f1"),
    ("KDD99, no spectral norm: number of epochs", "kdd99_alad", "no_sn", "no_sn_epochs25", "f1"),
    ("KDD99, no spectral norm: raw features", "kdd99_alad", "no_sn", "no_sn_raw", "f1"),
    ("KDD99, raw features: half", "kdd99_alad", "raw", AUTHORS_RUNS["default"], "f1"),
    ("KDD99, raw, no spectral norm: half", "kdd99_alad", "no_sn_raw", AUTHORS_RUNS["no_sn"], "f1"),
    ("CIFAR-10, airplane: D_xx's axis", "cifar10_alad", "class0", "class0_channels", "auroc"),
    ("CIFAR-10, airplane: 100 epochs", "cifar10_alad", "class0", "class0_stop_fixed", "auroc"),
    ("CIFAR-10, automobile: 100 epochs", "cifar10_alad", "class1", "class1_stop_fixed", "auroc"),
    ("CIFAR-10, bird: 100 epochs", "cifar10_alad", "class2", "class2_stop_fixed", "auroc"),
    ("CIFAR-10, cat: 100 epochs", "cifar10_alad", "class3", "class3_stop_fixed", "auroc"),
)


def table_one(results="results"):
    """Table I: rows and features of the data sets, counted in the files.

    Args:
        results: str or Path of the results folder.

    Returns:
        list of lines, Markdown; a set that was not counted says so. So do the other tables here.
    """
    path = Path(results) / "table1.json"
    counted = read_json(path) if path.is_file() else {}
    rows = []
    for dataset, (features, instances) in TABLE_ONE.items():
        paper, found = f"{features:,}; {instances:,}", counted.get(dataset)
        if found is None:
            rows.append([DATASETS[dataset], NOT_RUN, "", "", "", paper])
            continue
        rate = found["test_anomalies"] / found["test_rows"]
        parts = f"{found['train_rows']:,} / {found['validation_rows']:,} / {found['test_rows']:,}"
        own = [f"{found['features']:,}", f"{found['rows']:,}", parts, f"{rate:.1%}"]
        rows.append([DATASETS[dataset], *own, paper])
    head = ["data", "features", "rows", "rows that train / validate / test"]
    head += ["anomalies among test rows", "paper: features; rows"]
    return _table("Table I: the data sets", head, rows, "Of images for class 0 as the normal one.")


def table_three(entries, results="results"):
    """Table III: AUROC on images, mean of the classes, all methods."""
    by_name, rows = {entry.name: entry for entry in entries}, []
    for dataset in IMAGES:
        for label, method, score in METHODS:
            entry = by_name.get(f"{dataset}_{method}")
            if entry is None:
                continue
            reported = entry.reported_scores.get(score, {})
            paper = f"{reported['auroc']:.4f}" if reported else ""
            tasks = tasks_of(results, entry.name)
            rows.append([DATASETS[dataset], label, *_mean_of(tasks, score), paper])
    head = ["data", "model", "AUROC", "classes", "seeds", "paper"]
    note = (
        "Mean of the classes ± standard deviation between them, as in the paper. A mean of fewer "
        "than ten classes is no estimate of the paper's: classes differ by far more than methods."
    )
    return _table("Table III: images, all methods", head, rows, note) if rows else []


def table_four(results="results"):
    """Table IV: the time of a batch, AnoGAN's search against ALAD's one pass."""
    path, rows = Path(results) / "benchmarks" / "anogan.json", []
    measured = read_json(path) if path.is_file() else {"datasets": {}}
    for dataset, (batch, anogan, alad) in TABLE_FOUR.items():
        paper = f"{anogan:,} ms / {alad} ms: {anogan / alad:,.0f}"
        found = measured["datasets"].get(dataset)
        if found is None:
            rows.append([DATASETS[dataset], str(batch), NOT_RUN, "", "", paper])
            continue
        ours = found["seconds"]["ALAD"]["median"] * 1e3
        # the paper's comparison is with the published search; the fastest is ours
        names = [name for name in found["seconds"] if name != "ALAD"]
        times = {name: found["seconds"][name]["median"] * 1e3 for name in names}
        fast, slow = min(times, key=times.get), max(times, key=times.get)
        cells = [f"{times[k]:,.0f} ms ({k.removeprefix('AnoGAN, ')})" for k in (slow, fast)]
        speed = f"{times[slow] / ours:,.0f} / {times[fast] / ours:,.0f}"
        rows.append([
            DATASETS[dataset],
            str(found["batch"]),
            cells[0] if slow == fast else " / ".join(cells),
            f"{ours:,.2f} ms",
            speed if slow != fast else speed.split(" / ")[0],
            paper,
        ])  # fmt: skip
    hardware = measured.get("hardware")
    place = f" on {plural(hardware['cores'], 'core')}, {hardware['processor']}" if hardware else ""
    head = ["data", "batch", "AnoGAN: slowest / fastest search", "ALAD", "speed-up", "paper's"]
    note = (
        f"`python -m benchmarks.anogan`{place}; the paper's are of a GeForce GTX Titan X. "
        "Medians; 500 steps a search."
    )
    return _table("Table IV: time of a batch", head, rows, note)


def table_five(results="results"):
    """Table V: ablations on the two tables."""
    rows = []
    for dataset, title, variants in _blocks({name: name for name in ABLATIONS}, AUTHORS_RUNS):
        for name, label in ABLATIONS.items():
            runs = read_results(results, f"{dataset}_alad", variants[name])
            printed = TABLE_FIVE[dataset][name]
            rows.append([title, label, *_tabular(runs, "features", printed)])
    head = ["data", "model", "seeds", "precision", "recall", "F1", "paper: F1", "difference"]
    note = (
        "DL is D_zz, SN spectral normalisation. In the authors' released code SN does nothing on "
        "tables (a flag that is not read), so their rows with and without it differ by seed alone. "
        + ON_AUTHORS_ROWS
    )
    return _table("Table V: ablations on the two tables", head, rows, note)


def table_six(results="results"):
    """Table VI: ablations on images, AUROC, mean of the classes."""
    chosen = {variant: (label, variant, "features") for variant, label in ABLATIONS.items()}
    return _of_classes("Table VI: ablations on images", "model", results, chosen, TABLE_SIX)


def table_seven(results="results"):
    """Table VII: the four scores on the two tables."""
    rows = []
    for dataset, title, variant in _blocks("default", AUTHORS_RUNS["default"]):
        runs = read_results(results, f"{dataset}_alad", variant)
        for score in SCORES:
            printed = TABLE_SEVEN[dataset][score]
            rows.append([title, score, *_tabular(runs, score, printed)])
    head = ["data", "score", "seeds", "precision", "recall", "F1", "paper: F1", "difference"]
    note = (
        "All four of each run. logits has the sign of the authors' code: -log D_xx(x, x'). "
        + ON_AUTHORS_ROWS
    )
    return _table("Table VII: scores on the two tables", head, rows, note)


def _blocks(as_in_the_zoo, on_authors_rows):
    """The two tables, KDD99 a second time on the authors' rows: (dataset, title, what is given)."""
    blocks = [(dataset, DATASETS[dataset], as_in_the_zoo) for dataset in TABULAR]
    return [blocks[0], ("kdd99", "KDD99, the authors' rows", on_authors_rows), *blocks[1:]]


def table_eight(results="results"):
    """Table VIII: the four scores on images, AUROC, mean of the classes."""
    chosen = {score: (score, "default", score) for score in SCORES}
    return _of_classes("Table VIII: scores on images", "score", results, chosen, TABLE_EIGHT)


def _of_classes(title, what, results, chosen, printed):
    """A table of ALAD on images: by key of `printed` a row's label, its variant and its score."""
    rows = []
    for dataset in IMAGES:
        for key, (label, variant, score) in chosen.items():
            told = _mean_of(tasks_of(results, f"{dataset}_alad", variant), score)
            rows.append([DATASETS[dataset], label, *told, _pair(printed[dataset][key])])
    return _table(title, ["data", what, "AUROC", "classes", "seeds", "paper"], rows)


def open_questions(results="results"):
    """What the paper leaves open, as far as it was tried: variants beside the default."""
    rows = []
    for question, entry, default, variant, metric in QUESTIONS:
        for name in (default, variant):
            told = "as in the zoo" if name in AS_IN_THE_ZOO else name
            runs = read_results(results, entry, name)
            if not runs:
                rows.append([question, told, NOT_RUN, "", "", ""])
                continue
            found = {score: summarize(runs, score)[metric] for score in ("features", "l1")}
            cells = [spread_of(values) for values in found.values()]
            title = "AUROC" if metric == "auroc" else "F1"
            rows.append([question, told, str(len(runs)), title, *cells])
    head = ["question", "variant", "seeds", "metric", "features", "L1"]
    rows = [row for place, row in enumerate(rows) if row not in rows[:place]]
    lines = _table("What the paper leaves open", head, rows)
    path = Path(results) / "benchmarks" / "batch_norm.json"
    return lines + (_batch_norm(read_json(path)) if path.is_file() else [])


def _batch_norm(measured):
    scores = list(next(iter(measured["auroc"].values())))
    rows = [[k, *(f"{v[score]:.4f}" for score in scores)] for k, v in measured["auroc"].items()]
    lines = _table("", ["batch norm's statistics", *scores], rows)[2:]
    note = (
        f"`python -m benchmarks.batch_norm`, {measured['entry']}, {measured['variant']}, seed "
        f"{measured['seed']}, AUROC. The scorer's weights are averages over steps, while batch "
        "norm's moving statistics are those that the raw weights saw; counted anew with the "
        f"averaged weights over the {measured['train_rows']:,} training images they are other ones."
    )
    return [*lines, note, ""]


def tasks_of(results, entry, variant="default"):
    """The runs of an image entry by normal class: dict of lists of results."""
    tail = "" if variant == "default" else f"_{variant}"
    found = {k: read_results(results, entry, f"class{k}{tail}") for k in range(CLASSES)}
    return {number: runs for number, runs in found.items() if runs}


def _mean_of(tasks, score):
    """Cells: mean of the classes ± their spread; how many classes; how many seeds of each."""
    if not tasks:
        return [NOT_RUN, "", ""]
    means = [statistics.mean(r["metrics"][score]["auroc"] for r in runs) for runs in tasks.values()]
    told = f"{statistics.mean(means):.4f}"
    if len(means) > 1:
        told += f" ± {statistics.stdev(means):.4f}"
    seeds = sorted({len(runs) for runs in tasks.values()})
    return [told, f"{len(means)} of {CLASSES}", " to ".join(map(str, {seeds[0]: 0, seeds[-1]: 0}))]


def _tabular(runs, score, printed):
    """Cells: seeds, three metrics, the paper's F1, ours less it."""
    paper = _pair(printed[-1])
    if not runs:
        return [NOT_RUN, "", "", "", paper, ""]
    ours = summarize(runs, score)
    cells = [spread_of(ours[metric]) for metric in METRICS]
    return [str(len(runs)), *cells, paper, f"{ours['f1']['mean'] - printed[-1][0]:+.4f}"]


def _pair(value):
    digits = 3 if value[0] == round(value[0], 3) else 4
    return f"{value[0]:.{digits}f} ± {value[1]:.{digits}f}"


def _table(title, head, rows, note=""):
    lines = [f"## {title}", "", "| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return [*lines, "", *([note, ""] if note else [])]


OWN_METHODS = {
    "combined": "ALADDetector, combined",
    "features": "ALADDetector, features",
    "untrained, combined": "untrained, combined",
    "untrained, features": "untrained, features",
    "5-NN, mean": "5-NN, mean of five",
    "5-NN, fifth": "5-NN, the fifth",
    "IF": "Isolation Forest",
    "OC-SVM": "OC-SVM",
    "PyOD ALAD": "PyOD ALAD",
}
BUDGET, ENOUGH = 0.01, 99  # held-out rows that a budget of 1% needs


def own_data_sections(results="results"):
    """What `benchmarks.adbench` and `benchmarks.criterion` measured, as Markdown.

    Args:
        results: str or Path of the results folder.

    Returns:
        list of lines; what has not been run is left out.

    Example:
        >>> own_data_sections("nowhere")
        []
    """
    folder, lines = Path(results) / "benchmarks", []
    if (folder / "adbench.json").is_file():
        lines += _tables_section(read_json(folder / "adbench.json"))
    if (folder / "criterion.json").is_file():
        lines += _criterion_section(read_json(folder / "criterion.json"))
    return lines


def adbench_means(measured):
    """The mean AUROC over the tables, by method.

    Args:
        measured: dict, what `benchmarks.adbench` wrote.

    Returns:
        list of `(column, mean, spread)`, str: the column's name as in the report, the mean over
        tables and seeds, and the standard deviation over seeds of the mean over tables.

    Example:
        >>> run = {"set": "a", "seed": 0, "auroc": {"Isolation Forest": 0.5}}
        >>> adbench_means({"runs": [run]})
        [('IF', '0.5000', '0.0000')]
    """
    runs = measured["runs"]
    seeds = sorted({run["seed"] for run in runs})
    found = []
    for column, method in OWN_METHODS.items():
        if method in runs[0]["auroc"]:
            values = [
                np.mean([run["auroc"][method] for run in runs if run["seed"] == seed])
                for seed in seeds
            ]
            found.append((column, f"{np.mean(values):.4f}", f"{np.std(values):.4f}"))
    return found


def _tables_section(measured):
    runs = measured["runs"]
    methods = {k: v for k, v in OWN_METHODS.items() if v in runs[0]["auroc"]}
    names = list(dict.fromkeys(run["set"] for run in runs))
    seeds = sorted({run["seed"] for run in runs})
    lines = [
        "## Anyone's own table: ten sets of ADBench, AUROC",
        "",
        "| set | rows, columns | " + " | ".join(methods) + " |",
        "|" + " --- |" * (len(methods) + 2),
    ]
    for name in names:
        some = [run for run in runs if run["set"] == name]
        cells = [_own_spread([run["auroc"][m] for run in some]) for m in methods.values()]
        shape = f"{some[0]['rows']:,}, {some[0]['columns']}"
        lines.append(f"| {name} | {shape} | " + " | ".join(cells) + " |")
    cells = [f"**{mean}** ± {spread}" for _, mean, spread in adbench_means(measured)]
    lines += [f"| mean | | {' | '.join(cells)} |", ""]
    slowest = max(runs, key=lambda run: run["seconds"]["ALADDetector"])
    hardware = measured["hardware"]
    lines += [
        f"`{measured['command']}`, {len(seeds)} seeds of split and training (mean ± standard "
        "deviation; of the last row, over seeds of the mean). Half of the normal rows train; the "
        "others and all anomalies test. All methods have their defaults, ours those that "
        "`alad_tf/detector/defaults.py` derives from a table's shape and length. ALADDetector "
        "holds a fifth or a third of its rows out for the threshold; its rivals train on all of "
        "them. Untrained: "
        "the same detector with the networks as they were drawn. Its combined score is mostly "
        "nearness and distance that take no training, which is why it is no weaker for it: on "
        "small tables ALAD's training helps where normal rows lie in clusters (vowels, pendigits, "
        "Ionosphere), and costs where anomalies merely lie far out (cardio, mammography). Fit and "
        f"scoring took {slowest['seconds']['ALADDetector']:.0f} s at most ({slowest['set']}; "
        f"{hardware['cores']} cores, {hardware['processor']}).",
        "",
        *_alarms(runs),
    ]
    return lines


def _alarms(runs):
    """How many normal test rows the default budget of 1% flags, where rows allow it."""
    enough = [run for run in runs if run["held_out"] >= ENOUGH]
    names = list(dict.fromkeys(run["set"] for run in enough))
    if not names:
        return []
    lines = [
        "| false alarms, budget 1% | held-out rows | fresh normal rows, all seeds | flagged |",
        "| --- | --- | --- | --- |",
    ]
    for name in names:
        some = [run for run in enough if run["set"] == name]
        fresh = sum(run["test_normal"] for run in some)
        flagged = sum(run["flagged_normal"] for run in some)
        share = f"{flagged:,} ({flagged / fresh:.2%})"
        lines.append(f"| {name} | {some[0]['held_out']:,} | {fresh:,} | {share} |")
    return [*lines, ""]


def _criterion_section(measured):
    lines = [
        "### What a search without anomalies is worth",
        "",
        "| score | criterion | Spearman with AUROC | AUROC: chosen | defaults | mean | best |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    told = {"corruptions": "held-out rows against their corruptions", "mean score": "mean score"}
    for score, criteria in measured["means"].items():
        for criterion, means in criteria.items():
            cells = " | ".join(f"{means[key]:.3f}" for key in means)
            lines.append(f"| {score} | {told[criterion]} | {cells} |")
    trials = {len(trials) for trials in measured["trials"].values()}
    count = " or ".join(map(str, sorted(trials)))
    return [
        *lines,
        "",
        f"`{measured['command']}`: {count} random trials on each of {len(measured['trials'])} "
        "tables, one network each, seed 0; means over tables. Chosen: the trial with the best "
        "criterion, of which the search knows nothing else.",
        "",
    ]


def _own_spread(values):
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"
