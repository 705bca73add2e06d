"""RESULTS.md: the runs in `results/`, with the paper's numbers and the untrained networks'.

Image sets have one task per normal class, compared by AUROC. README's table is a summary, rendered
from the same JSONs.
"""

from pathlib import Path

from alad_tf.data import class_names
from alad_tf.data.adbench import TABLES
from alad_tf.detector.metrics import METRICS
from alad_tf.engine.callbacks import best_epoch, stop_epoch
from alad_tf.engine.files import with_block, write_text
from alad_tf.engine.markdown import markdown_table
from alad_tf.experiments import RESULTS
from alad_tf.experiments.figures import check_figures, figure_sections, write_figures
from alad_tf.experiments.paper import CLASSES
from alad_tf.experiments.pictures import features_sections
from alad_tf.experiments.results import (
    DEFAULT,
    TITLES,
    measured_by,
    read_flagged,
    read_frame,
    read_histories,
    runs_in,
    select,
    spread_of,
)
from alad_tf.experiments.tables import (
    NOT_RUN,
    adbench_means,
    open_questions,
    own_data_sections,
    plural,
    reproduction,
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
OPENING = "# Results\n\nRendered by `alad report`"  # by which a report is recognised
HEADER = [
    f"{OPENING} from the JSON files in `results/`, one per training run; do not "
    "edit by hand. Values are means over seeds ± the sample standard deviation. All runs of a data "
    "set use the same split, except that variants on the *other half* swap its halves. Differences "
    "are this project's result minus the paper's. *Untrained* is the same network at "
    "initialisation.",
    "",
]


def render(entries, results=RESULTS):
    """All runs of the entries as Markdown: tables, figures, then each entry's sections."""
    frame = read_frame(results)
    lines = [*HEADER, *reproduction(entries, frame), *table_one(results)]
    lines += table_two(entries, frame)
    lines += table_three(entries, frame)
    lines += table_four(results)
    for table in (table_five, table_six, table_seven, table_eight):
        lines += table(frame)
    lines += open_questions(frame, results)
    lines += figure_sections(results)
    lines += own_data_sections(results)
    lines += features_sections(entries, frame, results)
    for entry in entries:
        sections = entry_sections(entry, frame, results)
        lines += sections or [f"## {entry.name}", "", "Not run yet.", ""]
        if sections and entry.notes:
            lines += [f"### Notes on {entry.name}", "", *(f"- {n}" for n in entry.notes), ""]
    return "\n".join(lines)


def check_report(results=RESULTS, path="RESULTS.md"):
    """Refuse to replace a file or figures that `write_report` did not write."""
    path = Path(path)
    if path.is_dir():
        raise FileExistsError(f"{path} is a folder; expected a file. Choose another name.")
    if path.is_file() and path.stat().st_size:
        with path.open(encoding="utf-8", errors="replace") as file:
            if file.read(len(OPENING)) != OPENING:
                raise FileExistsError(
                    f"{path} was not written by `alad report`. Nothing was changed. Choose another "
                    "file, or move it away first."
                )
    check_figures(results)


def write_report(entries, results=RESULTS, path="RESULTS.md"):
    """Draw the figures into `results/figures`, then write `render`'s report; its Path.

    Raises FileExistsError if that would replace what it did not write.
    """
    check_report(results, path)
    write_figures(entries, results)
    return write_text(path, render(entries, results))


def entry_sections(entry, frame, results=RESULTS, variants=None):
    """A section for each variant of an entry, or only for some: lines, none without runs.

    An image set has one section for all its classes; its variants are what changes besides.
    """
    found = select(frame, entry=entry.name)
    if entry.is_image:
        found = found[found["normal_class"].notna()]
    lines = []
    for variant, runs in sorted(found.groupby("changes"), key=lambda pair: pair[0] != DEFAULT):
        if variants is None or variant in variants:
            section = _image_section if entry.is_image else _table_section
            lines += section(entry, variant, runs, results)
    return lines


def _table_section(entry, variant, frame, results):
    trained = frame[frame["trained"]]
    rows = [[score, *_means(select(trained, score=score))] for score in entry.score_names]
    runs = runs_in(frame)
    if all(run["untrained"] for run in runs):
        untrained = select(frame, trained=False, score=entry.score)
        rows.append([f"{entry.score}, untrained", *_means(untrained)])
    for score, reported in entry.reported_scores.items():
        if reported:
            ours = select(trained, score=score)
            less = {name: ours[name].mean() - value for name, value in reported.items()}
            rows.append([f"paper: {score} ({entry.reported_in})", *_values(reported, ".4f")])
            rows.append(["difference", *_values(less, "+.4f")])
    protocol, steps = runs[0]["protocol"], ""
    if runs[0]["steps"]:
        steps = f"{runs[0]['epochs']:,} epochs, {runs[0]['steps']:,} steps. "
    return [
        *_heading(entry, variant),
        *markdown_table(["score", *(TITLES.get(m, m) for m in METRICS)], rows),
        "",
        f"{plural(len(runs), 'seed')} ({_numbers([run['seed'] for run in runs])}); "
        f"{steps}{protocol['train_rows']:,} training rows, "
        f"{protocol['train_anomalies']:,} of them anomalous; {protocol['test_rows']:,} test rows, "
        f"{protocol['test_anomaly_rate']:.2%} anomalous. Flagged: {protocol['threshold_rule']}. "
        f"Training time per seed: {_times(runs)}; other runs may have shared the machine.",
        "",
        *_flagged_section(entry, read_flagged(results, entry.name, variant)),
    ]


def _heading(entry, variant):
    return [f"## {entry.name}, {variant}", "", entry.summary, ""]


def _means(frame):
    """A cell per metric: mean ± spread over the rows of a frame."""
    return [spread_of(frame[name]) for name in METRICS]


def _values(metrics, form):
    """A cell per metric of a dict, "" if it is missing."""
    return [f"{metrics[name]:{form}}" if name in metrics else "" for name in METRICS]


def _flagged_section(entry, seeds):
    """Share of each class's test rows that a score calls anomalous, over the seeds counted."""
    if not seeds:
        return []
    rows = []
    for first in seeds[0]:
        if first["test_rows"] < MIN_ROWS:
            continue
        same = [row["flagged"] for seed in seeds for row in seed if row["label"] == first["label"]]
        counts = [sum(flagged[score] for flagged in same) for score in entry.score_names]
        shares = [f"{count / len(same) / first['test_rows']:.1%}" for count in counts]
        rows.append(
            [first["label"], f"{first['train_rows']:,}", f"{first['test_rows']:,}", *shares]
        )
    return [
        f"Share of test rows flagged, by class (classes of at least {MIN_ROWS} test rows; means "
        f"over {plural(len(seeds), 'seed')}):",
        "",
        *markdown_table(["class", "training rows", "test rows", *entry.score_names], rows),
        "",
    ]


def _image_section(entry, variant, frame, results):
    names, runs = class_names(entry.dataset), runs_in(frame)
    missing = [name for k, name in enumerate(names) if k not in set(frame["normal_class"])]
    table = _class_table(entry, frame, names)
    epochs = sorted({run["epochs"] for run in runs})
    trained_for = " to ".join(map(str, dict.fromkeys([epochs[0], epochs[-1]])))
    return [
        *_heading(entry, variant),
        "AUROC, with each class in turn as the normal one:",
        "",
        *markdown_table(list(table), table.itertuples(index=False)),
        "",
        _reported_means(entry)
        + (f" Not run yet: {', '.join(missing)}, hence no mean here." if missing else ""),
        (f"{trained_for} epochs; weights kept: {_kept_epochs(runs)}. " if epochs[-1] else "")
        + f"Protocol, with {names[runs[0]['normal_class']]} as the normal class: "
        f"{_protocol(runs[0])}. Training time per class and seed: {_times(runs)}; other runs may "
        "have shared the machine.",
        "",
        *_stopping_section(entry, frame, results),
    ]


def _class_table(entry, frame, names):
    """AUROC by class and score, beside the untrained network's, the paper's, another's: a frame."""
    trained, by_class = frame[frame["trained"]], frame.groupby("normal_class")
    aurocs = trained.groupby(["normal_class", "score"])["auroc"]
    table = aurocs.agg(spread_of).unstack()[list(entry.score_names)]
    precisions = by_class["run"].agg(lambda runs: ", ".join(sorted(set(map(_precision, runs)))))
    if set(precisions) != {"float32"}:
        table.insert(0, "number format", precisions)
    table.insert(0, "seeds", by_class["seed"].nunique().map(str))
    table.insert(0, "normal class", [names[number] for number in table.index])
    if all(run["untrained"] for run in runs_in(frame)):
        score = entry.trained_score
        untrained = select(frame, trained=False, score=score).groupby("normal_class")
        table[f"{score}, untrained"] = untrained["auroc"].agg(spread_of)
    for title, values in (
        ("paper", entry.reported_by_class),
        ("independent reproduction", entry.reported_elsewhere_by_class),
    ):
        if values:
            table[title] = [f"{values[number]:.2f}" for number in table.index]
    if len(table) == len(names):
        means = aurocs.mean().groupby("score").mean()  # of a class's seeds first
        mean = {"normal class": "mean of the classes", **means.map("{:.4f}".format)}
        table.loc[len(table)] = [mean.get(title, "") for title in table]
    return table


def _stopping_section(entry, frame, results):
    """The epochs at which the paper's patience runs out, whether or not a run went on."""
    names, rows = class_names(entry.dataset), []
    for number, variant in sorted(set(zip(frame["normal_class"], frame["variant"], strict=True))):
        for seed, history in read_histories(results, entry.name, variant).items():
            if "val_score" not in history[0]:
                continue
            scores = [logs["val_score"] for logs in history]
            best, stop = best_epoch(history), stop_epoch(history, entry.patience)
            first, lowest, last = (f"{scores[k]:.0f}" for k in (0, best - 1, -1))
            rows.append([names[number], seed, first, lowest, best, last, stop or "none"])
    if not rows:
        return []
    title = (
        "Mean score of the validation images after the first epoch, at its lowest and after the "
        f"last epoch, and the epoch at which a patience of {entry.patience} epochs runs out:"
    )
    scores = ("first epoch", "lowest", "at epoch", "last epoch")
    head = ["normal class", "seed", *scores, "patience runs out"]
    return [title, "", *markdown_table(head, rows), ""]


def _reported_means(entry):
    """The paper's means over the classes, as a sentence."""
    if not entry.reported:
        return "The paper has no such model."
    means = f"{entry.reported['auroc']:.4f}"
    if entry.reported_others:
        scores = entry.reported_scores.items()
        means = " and ".join(f"{name} {values['auroc']:.4f}" for name, values in scores)
    return (
        f"The paper reports {means} ({entry.reported_in})"
        + (f"; {entry.reported_by_class_in}." if entry.reported_by_class else ".")
        + (f" {entry.reported_elsewhere_in}." if entry.reported_elsewhere_by_class else "")
    )


def _kept_epochs(runs):
    rules = sorted({run["config"].get("stopping", "fixed") for run in runs})
    epochs = sorted({run["config"]["kept_epoch"] for run in runs})
    which = f"epoch{'s' * (len(epochs) > 1)} {', '.join(map(str, epochs))}"
    return f"{which} (stopping rule: {', '.join(rules)})"


def _protocol(run):
    rows = run["protocol"]
    return (
        f"{rows['train_rows']:,} training and {rows['validation_rows']:,} validation images; "
        f"{rows['test_rows']:,} test images of all classes"
    )


def _precision(run):
    return run["config"].get("precision", "float32")


def _numbers(seeds):
    """Seeds in words: "0 to 9", or "0, 2, 3" if some between are missing."""
    seeds = sorted(seeds)
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def _times(runs):
    """The training times by machine: "3.0 to 4.5 minutes on 1 or 2 cores (AMD EPYC)"."""
    minutes, cores = {}, {}
    for run in runs:
        hardware, precision = run["hardware"], _precision(run)
        machine = ", ".join(hardware["gpus"]) or hardware["processor"]
        if precision != "float32":
            machine += f", {precision} products"
        minutes.setdefault(machine, []).append(run["wall_s"] / 60)
        cores.setdefault(machine, set()).update([] if hardware["gpus"] else [hardware["cores"]])
    times = []
    for machine, values in sorted(minutes.items()):
        ends = dict.fromkeys(f"{end:.1f}" for end in (min(values), max(values)))
        time = "under 0.1" if list(ends) == ["0.0"] else " to ".join(ends)
        used = sorted(cores[machine])
        units = f"{' or '.join(map(str, used))} core{'s' * (used != [1])}" if used else "a GPU"
        times.append(f"{time} minutes on {units} ({machine})")
    return "; ".join(times)


BEGIN = "<!-- rendered by `alad report` from results/; do not edit -->"
END = "<!-- end of the rendered part -->"
# a row's name, the data set, the variant of both methods
TABLE_ROWS = (
    ("KDD99", "kdd99", DEFAULT),
    ("Arrhythmia", "arrhythmia", DEFAULT),
)
IMAGE_ROWS = (("CIFAR-10", "cifar10"),)
# a row's name, the score in the benchmark's records, that of untrained networks
OWN_ROWS = (
    ("twenty tables of ADBench", "features", "untrained, features"),
    ("the same, `ALADDetector`'s default", "combined", None),
)


def with_results(text, entries, results=RESULTS):
    """A README's text with its rendered table renewed, between the lines BEGIN and END."""
    table = _readme_table(entries, read_frame(results), measured_by("adbench", results))
    return with_block(text, BEGIN, END, table, "the README")


def write_readme(entries, results, path):
    """Renew the table of a README; its Path. ValueError unless BEGIN and END occur once."""
    path = Path(path)
    return write_text(path, with_results(path.read_text(encoding="utf-8"), entries, results))


def _readme_table(entries, frame, adbench):
    known, rows = {entry.name: entry for entry in entries}, []
    for label, dataset, variant in TABLE_ROWS:
        if f"{dataset}_alad" in known:
            alad, forest = (
                select(frame, entry=f"{dataset}_{method}", variant=variant)
                for method in ("alad", "iforest")
            )
            seeds = plural(alad["seed"].nunique(), "seed")
            paper = known[f"{dataset}_alad"].reported["f1"]
            rows.append([label, "F1", seeds, *_readme_cells(alad, forest, "f1", paper)])
    for label, dataset in IMAGE_ROWS:
        if f"{dataset}_alad" in known:
            rows.append([label, "AUROC", *_image_cells(known[f"{dataset}_alad"], frame)])
    rows += [[label, "AUROC", *_own_cells(adbench, *scores)] for label, *scores in OWN_ROWS]
    head = ["data", "metric", "runs", "here", "ALAD, paper", "untrained", "Isolation Forest"]
    return markdown_table(head, rows)


def _image_cells(entry, frame):
    """The first seed of each class that ALAD was run on; all columns are over these classes."""
    alad, forest = (
        _first_seeds(select(frame, entry=f"{entry.dataset}_{method}", changes=DEFAULT))
        for method in ("alad", "iforest")
    )
    classes, paper = alad["normal_class"].unique(), entry.reported["auroc"]
    if 0 < len(classes) < CLASSES and entry.reported_by_class:
        paper = sum(entry.reported_by_class[number] for number in classes) / len(classes)
    forest = forest[forest["normal_class"].isin(classes)]
    return [
        f"{len(classes)} of {CLASSES} classes, first seed",
        *_readme_cells(alad, forest, "auroc", paper),
    ]


def _first_seeds(runs):
    return runs[runs["seed"] == runs.groupby("normal_class")["seed"].transform("min")]


def _readme_cells(alad, forest, metric, paper):
    """Cells: ALAD's mean and spread, the paper's, the untrained network's, the forest's."""
    if not len(alad):
        return [NOT_RUN, f"{paper:.4f}", "", ""]
    ours, forests = (
        spread_of(select(runs, score=score, trained=True)[metric])
        for runs, score in ((alad, "features"), (forest, "score"))
    )
    return [ours, f"{paper:.4f}", untrained_cell(alad, "features", metric), forests]


def _own_cells(adbench, score, untrained):
    """Cells of the mean over ADBench's tables; the paper has none."""
    if adbench is None:
        return ["", NOT_RUN, "", "", ""]
    means = {name: f"{mean} ± {spread}" for name, mean, spread in adbench_means(adbench, TABLES)}
    seeds = plural(len({run["seed"] for run in adbench["runs"]}), "seed")
    ours, start, forest = (means.get(name, "") for name in (score, untrained, "IF"))
    return [seeds, ours, "", start, forest]
