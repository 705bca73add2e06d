"""Tables of RESULTS.md over the runs of several entries: the paper's, and of other data.

Each is a list of Markdown lines, which say so if something has not been run.
"""

import math
from pathlib import Path

import numpy as np
import pandas as pd

from alad_tf.data.adbench import EMBEDDINGS, TABLES
from alad_tf.engine.files import read_json
from alad_tf.engine.markdown import markdown_table
from alad_tf.experiments import RESULTS, table1
from alad_tf.experiments.paper import (
    ABLATIONS,
    CLASSES,
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
from alad_tf.experiments.plan import OTHER, OTHER_HALF, OTHER_RUNS
from alad_tf.experiments.results import DEFAULT, TITLES, measured_by, select, spread_of
from alad_tf.experiments.settings import Settings

NOT_RUN = "not run"
STANDARD_ERRORS, PAPERS_RUNS = 2, 10
# by key of the paper's numbers: a row's label, the changes of its runs, the score
ABLATED = {changes: (label, changes, "features") for changes, label in ABLATIONS.items()}
SCORED = {score: (score, DEFAULT, score) for score in ("l1", "l2", "logits", "features")}
METRICS = ("precision", "recall", "f1")
# a row's label and what follows it, the end of its entry's name, the score
_ROWS = (
    ("OC-SVM", "", "ocsvm", "score"),
    ("IF", "", "iforest", "score"),
    ("DSEBM-r", "", "dsebm", "reconstruction_error"),
    ("DSEBM-e", "", "dsebm", "energy"),
    ("DAGMM", "", "dagmm", "energy"),
    ("AnoGAN", ", reconstruction 0.1", "anogan", "weight_0.1"),
    ("AnoGAN", ", reconstruction 0.9", "anogan", "weight_0.9"),
    ("ALAD", "", "alad", "features"),
)


def _table_two_rows(changes, middle="", rows=_ROWS):
    """Rows of Table II: label, the end of the entry's name, the changed settings, the score."""
    return [(f"{label}{middle}{end}", method, changes, score) for label, end, method, score in rows]


_DEFAULT_ROWS = _table_two_rows({})
TABLE_TWO = (
    *_DEFAULT_ROWS[:5],
    ("DAGMM, features in [0, 1]", "dagmm", {"scaling": "minmax"}, "energy"),
    *_DEFAULT_ROWS[5:],
    ("ALAD, no spectral norm", "alad", {"spectral_norm": False}, "features"),
    *_table_two_rows({"scaling": "none"}, ", raw features"),
    *_table_two_rows({"swap_halves": True}, ", other half", _ROWS[5:7]),
    *_table_two_rows(OTHER_HALF, ", other half, in [0, 1]"),
    ("ALAD, other half, in [0, 1], no spectral norm", "alad", OTHER["no_sn"], "features"),
)
# Table III's, one row of AnoGAN
METHODS = [
    (label, method, score)
    for label, end, method, score in _ROWS
    if label != "DAGMM" and not end.endswith("0.9")
]
BASELINE = (
    "*Baseline*, the paper's term, is ALAD without D_zz and without spectral normalisation. DL is "
    "D_zz, SN is spectral normalisation."
)
ON_HALVES = (
    "KDD99's two halves are alike except for one extreme row. The default follows the authors' "
    "released code: their training half, with unscaled numbers. *Other half, in [0, 1]* is the "
    f"variant `{OTHER_RUNS['default']}`: it trains on their test half, with columns scaled to "
    "[0, 1]. To compare a method with the paper, use the default."
)
DEFAULTS = (DEFAULT, *(f"class{number}" for number in range(CLASSES)))
# the question, its entry, the variant to compare with, the other one, the metric
QUESTIONS = (
    (
        "Arrhythmia: anomalies in the training rows",
        "arrhythmia_alad",
        "default",
        "contaminated",
        "f1",
    ),
    ("Arrhythmia: raw features", "arrhythmia_alad", "default", "raw", "f1"),
    ("KDD99: columns in [0, 1]", "kdd99_alad", "default", "minmax", "f1"),
    ("KDD99: training half", "kdd99_alad", "default", "swapped", "f1"),
    ("KDD99: other half, in [0, 1]", "kdd99_alad", "default", OTHER_RUNS["default"], "f1"),
    ("KDD99, no spectral norm: training half", "kdd99_alad", "no_sn", "swapped_no_sn", "f1"),
    (
        "KDD99, other half, in [0, 1]: epochs",
        "kdd99_alad",
        OTHER_RUNS["default"],
        f"{OTHER_RUNS['default']}_epochs25",
        "f1",
    ),
    (
        "KDD99, other half, in [0, 1], no spectral norm: epochs",
        "kdd99_alad",
        OTHER_RUNS["no_sn"],
        f"{OTHER_RUNS['no_sn']}_epochs25",
        "f1",
    ),
    ("CIFAR-10, airplane: D_xx's axis", "cifar10_alad", "class0", "class0_channels", "auroc"),
    ("CIFAR-10, airplane: 100 epochs", "cifar10_alad", "class0", "class0_stop_fixed", "auroc"),
    ("CIFAR-10, automobile: 100 epochs", "cifar10_alad", "class1", "class1_stop_fixed", "auroc"),
    ("CIFAR-10, bird: 100 epochs", "cifar10_alad", "class2", "class2_stop_fixed", "auroc"),
    ("CIFAR-10, cat: 100 epochs", "cifar10_alad", "class3", "class3_stop_fixed", "auroc"),
)

VARIANTS = (
    "The first row of each question is the variant to compare with. Names state what a variant "
    "changes: `contaminated` keeps anomalies in the training rows, `raw` has raw features, "
    "`minmax` has columns in [0, 1], `swapped` trains on the other half, `no_sn` has no spectral "
    "normalisation, `epochs25` trains for 25 epochs, `stop_fixed` trains for all 100, and "
    "`channels` concatenates D_xx's images along the channels."
)

OWN_METHODS = {
    "combined": "ALADDetector, combined",
    "features": "ALADDetector, features",
    "with networks": "with networks",
    "with untrained networks": "with untrained networks",
    "untrained, features": "untrained, features",
    "5-NN, mean": "5-NN, mean of five",
    "5-NN, fifth": "5-NN, the fifth",
    "IF": "Isolation Forest",
    "OC-SVM": "OC-SVM",
    "PyOD ALAD": "PyOD ALAD",
}

SAME_RUN = 1e-5  # AUROCs that differ by less are of one run
ENOUGH = 99  # held-out rows that a false-alarm budget of 1% needs


def plural(count, noun):
    """A count and its noun: "1 seed", "3 seeds"."""
    return f"{count} {noun}" + "s" * (count != 1)


def section(title, head, rows, note=""):
    """A heading, a table and a note below it."""
    return [f"## {title}", "", *markdown_table(head, rows), "", *([note, ""] if note else [])]


def untrained_cell(frame, score, metric):
    """A metric of the networks before training, over the runs that have it."""
    return spread_of(select(frame, trained=False, score=score)[metric])


def class_means(frame, entry, score, changes=DEFAULT):
    """AUROC of an image entry by normal class: frame of "mean", "std" and "count" over seeds."""
    chosen = select(frame, entry=entry, score=score, changes=changes, trained=True)
    return chosen.groupby("normal_class")["auroc"].agg(["mean", "std", "count"])


def reproduction(entries, frame):
    """The first table: ALAD's deciding score beside the paper's, and whether the two agree.

    Agreement is a difference of at most `STANDARD_ERRORS` standard errors. For tables these come
    from the spreads over seeds, of the paper's runs and ours; for images from the differences by
    class, where the paper's bar chart tells them.
    """
    known, rows = {entry.name: entry for entry in entries}, []
    for dataset, title in DATASETS.items():
        entry = known.get(f"{dataset}_alad")
        if entry is None:
            continue
        if entry.is_image:
            metric, paper, compared = "auroc", TABLE_EIGHT[dataset][entry.score], _of_images
        else:
            metric, paper, compared = "f1", TABLE_SEVEN[dataset][entry.score][-1], _of_seeds
        cells = compared(entry, frame, paper) or [NOT_RUN, "", "", "", ""]
        rows.append([title, TITLES[metric], _mean_and_spread(paper), *cells])
    note = (
        f"*Agrees*: the difference is at most {STANDARD_ERRORS} standard errors. For KDD99 and "
        "Arrhythmia, the standard error follows from the spreads over ten seeds, the paper's and "
        "ours. For images, it follows from the differences by class, with the paper's values read "
        "off its bar charts; the spreads shown are over classes."
    )
    head = ["data", "metric", "paper", "here", "runs", "difference", "standard error", "verdict"]
    return section("Does this reproduce ALAD?", head, rows, note)


def _of_seeds(entry, frame, paper):
    """Cells of a table of the paper: ours, runs, difference, standard error, verdict."""
    ours = select(frame, entry=entry.name, variant=DEFAULT, score=entry.score, trained=True)["f1"]
    if len(ours) < 2:
        return None
    error = math.sqrt(ours.var() / len(ours) + paper[1] ** 2 / PAPERS_RUNS)
    runs = plural(len(ours), "seed")
    return [spread_of(ours), runs, *_verdict(ours.mean() - paper[0], error)]


def _of_images(entry, frame, paper):
    """Cells of an image set: as `_of_seeds`, over the classes that were run."""
    means = class_means(frame, entry.name, entry.score)
    if not len(means):
        return None
    runs = f"{len(means)} of {CLASSES} classes"
    seeds = dict.fromkeys([means["count"].min(), means["count"].max()])
    runs += f", {' to '.join(map(str, seeds))} seed{'s' * (list(seeds) != [1])}"
    if len(means) < CLASSES or not entry.reported_by_class:
        return [spread_of(means["mean"]), runs, "", "", ""]
    apart = means["mean"] - np.array(entry.reported_by_class)[means.index]
    error = apart.std() / math.sqrt(len(apart))
    return [spread_of(means["mean"]), runs, *_verdict(means["mean"].mean() - paper[0], error)]


def _verdict(difference, error):
    agrees = abs(difference) <= STANDARD_ERRORS * error
    verdict = "agrees" if agrees else ("above" if difference > 0 else "below") + " the paper"
    return [f"{difference:+.4f}", f"{error:.4f}", verdict]


def table_one(results=RESULTS):
    """Table I: rows and features of the data sets, counted in the files."""
    path, rows = Path(results) / table1.PATH, []
    counted = read_json(path) if path.is_file() else {}
    for dataset, (features, instances) in TABLE_ONE.items():
        paper, found = f"{features:,}; {instances:,}", counted.get(dataset)
        if found is None:
            rows.append([DATASETS[dataset], NOT_RUN, "", "", "", paper])
            continue
        rate = found["test_anomalies"] / found["test_rows"]
        parts = f"{found['train_rows']:,} / {found['validation_rows']:,} / {found['test_rows']:,}"
        own = [f"{found['features']:,}", f"{found['rows']:,}", parts, f"{rate:.1%}"]
        rows.append([DATASETS[dataset], *own, paper])
    head = ["data", "features", "rows", "train / validation / test"]
    head += ["anomalies in test", "paper: features; rows"]
    return section(
        "Table I: data sets", head, rows, "Image sets: with class 0 as the normal class."
    )


def table_two(entries, frame):
    """Table II: precision, recall and F1 of every method on KDD99 and Arrhythmia.

    Rows without an entry are left out, and those of our own variants that were not run or are the
    data set's default.
    """
    by_name, rows = {entry.name: entry for entry in entries}, []
    for dataset in TABULAR:
        for label, method, changes, score in TABLE_TWO:
            entry = by_name.get(f"{dataset}_{method}")
            if entry is None:
                continue
            variant = Settings(**changes).resolve(entry).variant
            if changes and variant == DEFAULT:  # as the data set is by default
                continue
            found = select(frame, entry=entry.name, variant=variant)
            if len(found) or variant == DEFAULT:
                rows.append([DATASETS[dataset], label, *_table_two_cells(entry, score, found)])
    if not rows:
        return []
    head = ["data", "model", "seeds", "precision", "recall", "F1", "paper: P, R, F1"]
    head += ["F1 difference", "F1 untrained"]
    note = (
        "The threshold follows the paper's rule, the top 20% (KDD99) and 15% (Arrhythmia) of the "
        "test scores. The paper quotes its values for OC-SVM, DSEBM and DAGMM from earlier papers. "
        "Its one row for AnoGAN does not state the weight of the reconstruction, here 0.1 or 0.9. "
        "IF is Isolation Forest. DSEBM-r scores by the reconstruction, DSEBM-e by the energy. "
        "OC-SVM does not depend on a seed. *Other half, in [0, 1]*: see the note to Table V. On "
        "KDD99, OC-SVM, DSEBM and DAGMM get columns in [0, 1] on either half, so there the variant "
        "is called `swapped`. *Raw features*: not standardised. "
        "Notes on each method are with its runs and on its card."
    )
    return section("Table II: KDD99 and Arrhythmia, all methods", head, rows, note)


def _table_two_cells(entry, score, found):
    reported = entry.reported_scores.get(score, {})
    if entry.method == "anogan":
        reported = entry.reported  # whichever weighting it was
    paper = ", ".join(f"{reported[name]:.4f}" for name in METRICS) if reported else ""
    if not len(found):
        return ["", NOT_RUN, "", "", paper, "", ""]
    ours = select(found, score=score, trained=True)
    less = f"{ours['f1'].mean() - reported['f1']:+.4f}" if reported else ""
    cells = [spread_of(ours[name]) for name in METRICS]
    return [len(ours), *cells, paper, less, untrained_cell(found, score, "f1")]


def table_three(entries, frame):
    """Table III: AUROC on images, mean of the classes, all methods."""
    by_name, rows = {entry.name: entry for entry in entries}, []
    for dataset in IMAGES:
        for label, method, score in METHODS:
            entry = by_name.get(f"{dataset}_{method}")
            if entry is None:
                continue
            reported = entry.reported_scores.get(score, {})
            paper = f"{reported['auroc']:.4f}" if reported else ""
            means = class_means(frame, entry.name, score)
            rows.append([DATASETS[dataset], label, *_mean_of(means), paper])
    head = ["data", "model", "AUROC", "classes", "seeds", "paper"]
    note = (
        "Mean over the classes ± standard deviation between them, as in the paper. A mean over "
        "fewer than ten classes cannot be compared with the paper's: classes differ far more than "
        "methods."
    )
    sampled = {entry.test_rows for entry in entries if getattr(entry, "test_rows", None)}
    note += "".join(f" AnoGAN scores {count:,} of the test images." for count in sorted(sampled))
    return section("Table III: CIFAR-10 and SVHN, all methods", head, rows, note) if rows else []


def table_four(results=RESULTS):
    """Table IV: the time for a batch, AnoGAN's search against ALAD's single pass."""
    measured, rows = measured_by("anogan", results) or {"datasets": {}}, []
    for dataset, (batch, anogan, alad) in TABLE_FOUR.items():
        paper = f"{anogan:,} ms / {alad} ms: {anogan / alad:,.0f}"
        found = measured["datasets"].get(dataset)
        if found is None:
            rows.append([DATASETS[dataset], batch, NOT_RUN, "", "", paper])
            continue
        times = {name: value["median"] * 1e3 for name, value in found["seconds"].items()}
        ours = times.pop("ALAD")
        # the paper's comparison is with the published search; the fastest is ours
        names = dict.fromkeys([max(times, key=times.get), min(times, key=times.get)])
        searches = (f"{times[k]:,.0f} ms ({_way(k)})" for k in names)
        # as in BENCHMARKS.md: the median of the rounds' ratios
        speed = (f"{found['speed_up'][k]['median']:,.0f}" for k in names)
        cells = [" / ".join(searches), f"{ours:,.2f} ms", " / ".join(speed)]
        rows.append([DATASETS[dataset], found["batch"], *cells, paper])
    hardware = measured.get("hardware")
    place = f" on {plural(hardware['cores'], 'core')}, {hardware['processor']}" if hardware else ""
    head = ["data", "batch", "AnoGAN: slowest / fastest search", "ALAD", "speed-up", "paper"]
    note = (
        f"`python -m benchmarks.anogan`{place}; the paper used a GeForce GTX Titan X. "
        "Medians; 500 steps per search."
    )
    return section("Table IV: inference time per batch", head, rows, note)


def _way(search):
    """How AnoGAN's search was run, in words."""
    return search.removeprefix("AnoGAN, ").replace("a call a step", "one call per step")


def table_five(frame):
    """Table V: ablations on KDD99 and Arrhythmia."""
    note = (
        f"{BASELINE} In the authors' released code, SN has no effect "
        "on tables (the flag is not read), so their values with and without it differ only by "
        "seed. For Arrhythmia's full model the paper prints an F1 of 0.497 in its Table V and of "
        "0.515 in its Tables II and VII; in its Table V, 0.515 is the value without D_zz. "
        + ON_HALVES
    )
    title = "Table V: ablations on KDD99 and Arrhythmia"
    return _of_tables(title, "model", frame, ABLATED, TABLE_FIVE, note)


def table_six(frame):
    """Table VI: ablations on images, AUROC, mean of the classes.

    An ablation that was run on some classes only is compared with the full model's runs of the
    same classes and seeds: classes differ far more than ablations.
    """
    rows = []
    for dataset in IMAGES:
        keys = {"entry": f"{dataset}_alad", "trained": True}
        runs = {
            key: select(frame, **keys, score=score, changes=changes).set_index(
                ["normal_class", "seed"]
            )["auroc"]
            for key, (_, changes, score) in ABLATED.items()
        }
        for key, (label, changes, score) in ABLATED.items():
            cells = _mean_of(class_means(frame, f"{dataset}_alad", score, changes))
            shared = runs[key].index.intersection(runs[DEFAULT].index)
            compared = ["", ""]
            if key != DEFAULT and len(shared):
                ours, full = (_by_class(runs[k].loc[shared]) for k in (key, DEFAULT))
                compared = [f"{full.mean():.4f}", f"{(ours - full).mean():+.4f}"]
            paper = _mean_and_spread(TABLE_SIX[dataset][key])
            rows.append([DATASETS[dataset], label, *cells, *compared, paper])
    head = ["data", "model", "AUROC", "classes", "seeds"]
    head += ["SN + DL, same runs", "difference", "paper"]
    note = (
        f"{BASELINE} *SN + DL, same runs* is the full model on the "
        "same classes and seeds. A mean over fewer than ten classes cannot be compared with the "
        "paper's."
    )
    return section("Table VI: ablations on CIFAR-10 and SVHN", head, rows, note)


def _by_class(aurocs):
    """The mean over seeds of each class."""
    return aurocs.groupby("normal_class").mean()


def table_seven(frame):
    """Table VII: the four scores on KDD99 and Arrhythmia."""
    note = (
        "All four scores of each run. `logits` has the sign of the authors' code, "
        "-log D_xx(x, G(E(x))). " + ON_HALVES
    )
    title = "Table VII: scores on KDD99 and Arrhythmia"
    return _of_tables(title, "score", frame, SCORED, TABLE_SEVEN, note)


def table_eight(frame):
    """Table VIII: the four scores on images, AUROC, mean of the classes."""
    rows = []
    for dataset in IMAGES:
        for key, (label, changes, score) in SCORED.items():
            cells = _mean_of(class_means(frame, f"{dataset}_alad", score, changes))
            paper = _mean_and_spread(TABLE_EIGHT[dataset][key])
            rows.append([DATASETS[dataset], label, *cells, paper])
    head = ["data", "score", "AUROC", "classes", "seeds", "paper"]
    return section("Table VIII: scores on CIFAR-10 and SVHN", head, rows)


def _of_tables(title, what, frame, chosen, reported, note):
    """ALAD on KDD99 and Arrhythmia, KDD99 a second time on the other half, scaled."""
    kdd, arrhythmia = TABULAR
    blocks = [(kdd, "", {}), (kdd, ", other half, in [0, 1]", OTHER_RUNS), (arrhythmia, "", {})]
    rows = []
    for dataset, where, variants in blocks:
        for key, (label, variant, score) in chosen.items():
            keys = {"entry": f"{dataset}_alad", "variant": variants.get(variant, variant)}
            ours = select(frame, **keys, score=score, trained=True)
            paper = reported[dataset][key][-1]  # F1
            cells = [NOT_RUN, "", "", ""]
            if len(ours):
                cells = [len(ours), *(spread_of(ours[metric]) for metric in METRICS)]
            less = f"{ours['f1'].mean() - paper[0]:+.4f}" if len(ours) else ""
            rows.append([DATASETS[dataset] + where, label, *cells, _mean_and_spread(paper), less])
    head = ["data", what, "seeds", "precision", "recall", "F1", "paper: F1", "difference"]
    return section(title, head, rows, note)


def _mean_of(means):
    """Cells: mean of the classes ± their spread; how many classes; how many seeds of each."""
    if not len(means):
        return [NOT_RUN, "", ""]
    seeds = dict.fromkeys([means["count"].min(), means["count"].max()])
    return [spread_of(means["mean"]), f"{len(means)} of {CLASSES}", " to ".join(map(str, seeds))]


def _mean_and_spread(reported):
    """The paper's mean and spread, with as many digits as it prints."""
    mean, spread = reported
    digits = 3 if mean == round(mean, 3) else 4
    return f"{mean:.{digits}f} ± {spread:.{digits}f}"


def open_questions(frame, results=RESULTS):
    """What the paper leaves open, as far as it was tried: variants compared with the default."""
    rows = []
    for question, entry, *variants, metric in QUESTIONS:
        for name in variants:
            label = "default" if name in DEFAULTS else name
            found = select(frame, entry=entry, variant=name, trained=True)
            cells = [NOT_RUN, "", "", ""]
            if len(found):
                scores = [spread_of(select(found, score=s)[metric]) for s in ("features", "l1")]
                seeds = found["seed"].nunique()
                cells = [seeds, TITLES[metric], *scores]
            rows.append([question, label, *cells])
    head = ["question", "variant", "seeds", "metric", "features", "L1"]
    lines = section("What the paper leaves open", head, rows, VARIANTS)
    measured = measured_by("batch_norm", results)
    return lines + (_batch_norm(measured, frame) if measured else [])


def _batch_norm(measured, frame):
    auroc = pd.DataFrame.from_dict(measured["auroc"], orient="index")
    rows = [
        [name.replace("anew,", "recomputed,"), *(f"{value:.4f}" for value in row)]
        for name, *row in auroc.itertuples()
    ]
    # the run may have another name now than when it was measured
    runs = select(frame, entry=measured["entry"], seed=measured["seed"], score="features")
    known = runs["variant"][(runs["auroc"] - auroc.iloc[0]["features"]).abs() < SAME_RUN]
    variant = known.iloc[0] if len(known) == 1 else measured["variant"]
    note = (
        f"`python -m benchmarks.batch_norm`, {measured['entry']}, {variant}, seed "
        f"{measured['seed']}, AUROC. The scorer uses weights averaged over steps, but batch norm's "
        "moving statistics come from the raw weights. The other rows recompute the statistics with "
        f"the averaged weights, on the {measured['train_rows']:,} training images: E's from x, G's "
        "from E(x) or from both E(x) and z."
    )
    return [*markdown_table(["batch norm statistics", *auroc], rows), "", note, ""]


def own_data_sections(results=RESULTS):
    """What `benchmarks.adbench`, `.combination` and `.criterion` measured, as Markdown."""
    sections = {
        "adbench": _adbench_section,
        "combination": _combination_section,
        "criterion": _criterion_section,
    }
    lines = []
    for name, section_of in sections.items():
        measured = measured_by(name, results)
        lines += section_of(measured) if measured else []
    return lines


def _adbench_frames(measured):
    """Runs of ADBench, and their AUROC by short names of methods: two frames, a row per run."""
    runs = pd.DataFrame(measured["runs"])
    auroc = pd.DataFrame(list(runs["auroc"]))
    names = {method: name for name, method in OWN_METHODS.items() if method in auroc}
    return runs, auroc[list(names)].rename(columns=names)


def adbench_means(measured, sets=None):
    """Of each method `(column, mean, spread)`: AUROC over sets and seeds, and over seeds.

    Over `sets`, of the methods that ran on all of them; by default over all sets that all methods
    ran on.

    Example:
        >>> run = {"set": "a", "seed": 0, "auroc": {"Isolation Forest": 0.5}}
        >>> adbench_means({"runs": [run]})
        [('IF', '0.5000', '0.0000')]
    """
    runs, auroc = _adbench_frames(measured)
    wanted = auroc.notna().all(axis=1) if sets is None else runs["set"].isin(sets)
    runs, auroc = runs[wanted], auroc[wanted].dropna(axis=1)
    by_seed = auroc.groupby(runs["seed"]).mean()
    return [(k, f"{v.mean():.4f}", f"{v.std(ddof=0):.4f}") for k, v in by_seed.items()]


def sets_of_all_methods(measured):
    """The sets of ADBench that all methods ran on: a set of names."""
    runs, auroc = _adbench_frames(measured)
    return set(runs["set"][auroc.notna().all(axis=1)])


BEHIND = 0.02  # of the AUROC
SKEWED = (
    "There, anomalies are extreme values of skewed columns. Distances in the original columns rank "
    "them well, but part of the score is computed from columns transformed to normal "
    "distributions, in which extreme values are less extreme."
)


def _adbench_section(measured):
    runs, auroc = _adbench_frames(measured)
    first = runs.groupby("set", sort=False)[["rows", "columns"]].first()
    spreads = auroc.groupby(runs["set"], sort=False).agg(
        lambda values: spread_of(values, 3) if values.notna().all() else ""
    )
    rows = {
        name: [name, f"{first.loc[name, 'rows']:,}, {first.loc[name, 'columns']}", *cells]
        for name, *cells in spreads.itertuples()
    }
    lines = []
    for kind, sets in (("tables", TABLES), ("embeddings", EMBEDDINGS)):
        of_kind = {**measured, "runs": [r for r in measured["runs"] if r["set"] in sets]}
        if of_kind["runs"]:
            lines += [row for name, row in rows.items() if name in sets]
            means = {k: f"**{m}** ± {s}" for k, m, s in adbench_means(of_kind, sets)}
            count = len(set(rows) & set(sets))
            cells = [means.get(name, "") for name in auroc]
            lines.append([f"**mean of {count} {kind}**", "", *cells])
    seconds = runs["seconds"].str["ALADDetector"]
    hardware, slowest = measured["hardware"], runs["set"][seconds.idxmax()]
    return [
        "## ADBench: AUROC on tables and embeddings",
        "",
        *markdown_table(["set", "rows, columns", *auroc], lines),
        "",
        f"`{measured['command']}`, {runs['seed'].nunique()} seeds of split and training "
        "(mean ± standard deviation; in the rows of means, over seeds). "
        "[ADBench](https://arxiv.org/abs/2206.09426) is a public benchmark. Half of the normal "
        "rows are for training; the others and all anomalies are test rows. The embeddings are "
        "images of MVTec AD, encoded by a ResNet-18. All methods have their defaults; those of "
        "ALADDetector follow from a table's size (`alad_tf/detector/defaults.py`).",
        "",
        "*Combined* is the default: distances to training rows, relations between columns and "
        "tail probabilities, without networks. *Features* is the paper's score. *With networks* "
        "gives a tenth of the weight to three ALADs. *5-NN* is the distance to the five nearest "
        f"training rows: their mean, or the fifth. {_what_networks_add(auroc)} By default one "
        "ALAD trains briefly, for reconstructions and the paper's scores.",
        "",
        f"Fitting and scoring took {seconds.max():.0f} s at most ({slowest}; {hardware['cores']} "
        f"cores, {hardware['processor']}).",
        "",
        *_behind(runs, auroc),
        *_false_alarms(runs),
    ]


def _behind(runs, auroc):
    """The sets on which the default is clearly worse than simpler methods, and why."""
    means = auroc.groupby(runs["set"], sort=False).mean()
    lost = means[["5-NN, mean", "IF"]].max(axis=1) - means["combined"]
    names = [name for name, value in lost.items() if value > BEHIND]
    if not names:
        return []
    reason = f" {SKEWED}" if {"Pima", "smtp"}.issuperset(names) else ""
    return [
        f"The default is more than {BEHIND} below the better of *5-NN, mean* and *IF* on "
        f"{' and '.join(names)}.{reason}",
        "",
    ]


def _what_networks_add(auroc):
    """The difference that networks make to the combined score, in a sentence."""
    if "with networks" not in auroc:
        return ""
    names = ("with networks", "with untrained networks")
    gains = [(auroc[name] - auroc["combined"]).mean() for name in names]
    return (
        f"On average over all sets, trained networks change the AUROC by {gains[0]:+.4f}, "
        f"untrained ones by {gains[1]:+.4f}."
    )


def _false_alarms(runs):
    """How many normal test rows the default budget of 1% flags, where there are enough rows."""
    if "held_out" not in runs or not (runs["held_out"] >= ENOUGH).any():
        return []
    by_set = runs[runs["held_out"] >= ENOUGH].groupby("set", sort=False)
    counts = by_set.agg({"held_out": "first", "test_normal": "sum", "flagged_normal": "sum"})
    rows = [
        [name, f"{held_out:,}", f"{fresh:,}", f"{flagged:,} ({flagged / fresh:.2%})"]
        for name, held_out, fresh, flagged in counts.itertuples()
    ]
    head = ["false alarms, budget 1%", "calibration rows", "new normal rows, all seeds", "flagged"]
    note = f"Sets with fewer than {ENOUGH} calibration rows, too few for this budget, are left out."
    return [*markdown_table(head, rows), "", note, ""]


def _combination_section(measured):
    """How the combined score was chosen, and what a choice on other sets would have been worth."""
    kinds = {kind: measured[kind] for kind in ("tables", "embeddings") if kind in measured}
    spaces = list(next(iter(kinds.values()))["alone"])
    rows = [
        [f"{space} alone", *(f"{kind['alone'][space]:.4f}" for kind in kinds.values())]
        for space in spaces
    ]
    for title, value in (
        ("**the default**", lambda kind: kind["default"]),
        ("best choice, on these sets", lambda kind: kind["chosen"]["auroc"]),
        ("**best choice on the other sets**", lambda kind: kind["cross_validated"]),
    ):
        rows.append([title, *(f"{value(kind):.4f}" for kind in kinds.values())])
    return [
        "## How the combined score was chosen",
        "",
        *markdown_table(["AUROC", *kinds], rows),
        "",
        f"`{measured['command']}`, seeds {measured['seeds'].replace(',', ', ')}, fitted on all "
        "training rows. Each row *alone* is one candidate for a part of the score: distances to "
        "neighbours in the columns (*x*), in the columns transformed to normal distributions "
        "(*normal scores*), in those after decorrelation (*relations*), in ranks, in codes, or in "
        "the features of D_xx; tail probabilities (*tails*); the distance from the mean row "
        "(*mean*); and the reconstruction error (*l2*). A search over scaling, number of "
        "neighbours and weights of these candidates finds the choice with the best mean. The mean "
        "*on these sets* is optimistic, because the choice was made on the same sets. The mean *on "
        "the other sets* is not: for each set, the choice was made on all others. The default was "
        "mainly chosen by reasoning: it uses distances in views of the columns that make sense "
        "for any table, and none that helps only here.",
        "",
    ]


def _criterion_section(measured):
    names = {"corruptions": "held-out rows against corrupted copies", "mean score": "mean score"}
    rows = [
        [score, names[criterion], *(f"{mean:.3f}" for mean in means.values())]
        for score, criteria in measured["means"].items()
        for criterion, means in criteria.items()
    ]
    head = ["score", "criterion", "Spearman with AUROC", "AUROC: chosen", "defaults"]
    trials = {len(trials) for trials in measured["trials"].values()}
    count = " or ".join(map(str, sorted(trials)))
    return [
        "### Hyper-parameter search without anomalies",
        "",
        *markdown_table([*head, "mean", "best"], rows),
        "",
        f"`{measured['command']}`: {count} random trials on each of {len(measured['trials'])} "
        "tables, one ALAD each, seed 0; means over tables. *Chosen* is the trial with the best "
        "criterion; the search sees no anomalies. *Combined* was measured when that score still "
        "included an ALAD.",
        "",
    ]
