"""The part of RESULTS.md on anyone's own data: ten small tables, and what a search is worth."""

from pathlib import Path

import numpy as np

from alad_tf.files import read_json

METHODS = {
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
    for column, method in METHODS.items():
        if method in runs[0]["auroc"]:
            values = [
                np.mean([run["auroc"][method] for run in runs if run["seed"] == seed])
                for seed in seeds
            ]
            found.append((column, f"{np.mean(values):.4f}", f"{np.std(values):.4f}"))
    return found


def _tables_section(measured):
    runs = measured["runs"]
    methods = {k: v for k, v in METHODS.items() if v in runs[0]["auroc"]}
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
        cells = [_spread([run["auroc"][m] for run in some]) for m in methods.values()]
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
        "`alad_tf/rules.py` derives from a table's shape and length. ALADDetector holds a fifth or "
        "a third of its rows out for the threshold; its rivals train on all of them. Untrained: "
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


def _spread(values):
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"
