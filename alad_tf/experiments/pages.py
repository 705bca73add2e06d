"""Tables within pages of docs/, rendered from the results and the zoo's entries."""

import statistics
from pathlib import Path

from alad_tf.data.adbench import EMBEDDINGS, TABLES
from alad_tf.engine.files import with_block, write_text
from alad_tf.engine.markdown import markdown_table
from alad_tf.experiments.results import measured_by
from alad_tf.experiments.tables import adbench_means, sets_of_all_methods


def with_tables(text, page, entries, results):
    """The text of a page of docs/ with its tables renewed, each between its two marks."""
    for name, render in PAGES[page].items():
        begin = f"<!-- rendered by `alad report`: {name}; do not edit -->"
        text = with_block(text, begin, f"<!-- end of {name} -->", render(entries, results), page)
    return text


def write_pages(entries, results, folder):
    """Renew the tables in the pages of a folder; returns the pages' Paths."""
    paths = [Path(folder) / page for page in PAGES]
    for path in paths:
        text = path.read_text(encoding="utf-8")
        write_text(path, with_tables(text, path.name, entries, results))
    return paths


def _deviations(entries, results):
    lines = []
    for entry in entries:
        if entry.deviations:
            lines += ["", f"## {entry.name}", "", *(f"- {text}" for text in entry.deviations)]
    return lines[1:]


def _origin(*benchmarks):
    """The commands, their commits, the machine, and the other libraries' versions."""
    hardware, versions = benchmarks[0]["hardware"], benchmarks[0]["versions"]
    commands = " and ".join(
        f"`{measured['command']}` at commit {measured['commit']}" for measured in benchmarks
    )
    place = f"{hardware['cores']} cores, {hardware['processor']}"
    names = {"pyod": "PyOD", "torch": "PyTorch", "scikit-learn": "scikit-learn"}
    peers = ", ".join(f"{names[key]} {versions[key]}" for key in names if key in versions)
    return ["", f"{commands}, {place}; {peers}."]


METHODS = {  # columns of RESULTS.md, in words
    "combined": "`ALADDetector` (combined score)",
    "features": "ALAD, the paper's score",
    "with networks": "`ALADDetector`, a tenth of the weight to networks",
    "with untrained networks": "`ALADDetector`, a tenth to untrained networks",
    "untrained, features": "ALAD, the paper's score, untrained",
    "5-NN, mean": "5 nearest neighbours, mean distance",
    "5-NN, fifth": "5 nearest neighbours, fifth distance",
    "IF": "Isolation Forest",
    "OC-SVM": "one-class SVM",
    "PyOD ALAD": "PyOD's ALAD",
}


def _adbench(entries, results):
    """Means over the sets of each kind, and over the sets that all methods ran on."""
    measured, columns = measured_by("adbench", results), {}
    done = {run["set"] for run in measured["runs"]}
    for kind, sets in (("tables", TABLES), ("image embeddings", EMBEDDINGS)):
        found = done.intersection(sets)
        if found:
            columns[f"{len(found)} {kind}"] = adbench_means(measured, found)
    shared = adbench_means(measured)
    if any(len(means) < len(shared) for means in columns.values()):
        columns[f"{len(sets_of_all_methods(measured))} sets that all methods ran on"] = shared
    cells = {
        head: {name: f"{mean} ± {spread}" for name, mean, spread in means}
        for head, means in columns.items()
    }
    names = dict.fromkeys(name for column in cells.values() for name in column)
    rows = [
        [METHODS.get(name, name), *(column.get(name, "") for column in cells.values())]
        for name in names
    ]
    return [*markdown_table(["method", *cells], rows), *_origin(measured)]


TIMED = {
    "ALADDetector": "`ALADDetector`",
    "pyod_alad": "PyOD's ALAD",
    "forest": "Isolation Forest (scikit-learn)",
    "svm": "one-class SVM (scikit-learn)",
    "neighbours": "5 nearest neighbours (scikit-learn)",
}


def _seconds(entries, results):
    """Seconds of fit and scoring, over the tables and seeds of ADBench."""
    measured, rows = measured_by("adbench", results), []
    for key, name in TIMED.items():
        runs = [run for run in measured["runs"] if TIMED.keys() <= run["seconds"].keys()]
        found = [run["seconds"][key] for run in runs]
        if found:
            cells = (f"{value:.3g}" for value in (statistics.median(found), max(found)))
            rows.append([name, *cells])
    table = markdown_table(["method", "median seconds", "longest"], rows)
    return [*table, *_origin(measured)]


def _speed(entries, results):
    """PyOD's ALAD of the same sizes: times of a step and of scoring, over ours."""
    step, scoring = measured_by("train_step", results), measured_by("scoring", results)
    rows = []
    for name in ("kdd99_alad", "arrhythmia_alad"):
        slower = step["entries"][name]["times_ours"]["PyOD"]["median"]
        faster = scoring["entries"][name]["ours_times"]["PyOD's decision_function"]["median"]
        rows.append([name, f"{slower:.1f}", f"{faster:.1f}"])
    head = ["architecture", "PyOD's training step takes", "PyOD's scoring takes"]
    rows = [[name, f"{one} times as long", f"{two} times as long"] for name, one, two in rows]
    return [*markdown_table(head, rows), *_origin(step, scoring)]


# by page: names in its marks, and the functions that render what stands between them
def _cards(entries, results):
    rows = [
        [f"[{entry.name}](../zoo/cards/{entry.name}.md)", entry.source, entry.summary]
        for entry in entries
    ]
    return markdown_table(["entry", "source", "description"], rows)


PAGES = {
    "zoo.md": {"entries": _cards},
    "deviations.md": {"deviations": _deviations},
    "when_not.md": {"adbench": _adbench},
    "comparison.md": {"adbench": _adbench, "seconds": _seconds, "speed": _speed},
}
