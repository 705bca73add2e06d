"""What a search's criterion is worth: its rank correlation with AUROC on ten labelled tables.

    python -m benchmarks.criterion [--trials 5] [--data-dir FOLDER]

Random hyper-parameters from the space of `alad tune`, one network each. Two criteria that need no
anomalies: how well held-out normal rows are separated from their corruptions (AUROC, which the
search uses), and the held-out rows' own mean score, low being good. For both, Spearman's
correlation over a table's trials with the AUROC on its test rows, and the AUROC of the trial that
it would choose.
"""

import multiprocessing
from pathlib import Path
from typing import Annotated

import keras_tuner
import numpy as np
import typer
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from alad_tf.data.adbench import TABLES, load_adbench, split_adbench
from alad_tf.detector.ensemble import Ensemble
from alad_tf.detector.members import train_members
from alad_tf.detector.tuning import ALADHyperModel, TuningData
from alad_tf.model.scorer import Scorer
from benchmarks import common

SCORES = ("features",)  # of a table, networks have no part in the combined one


def trials_of(name, count, data_dir):
    """A table's trials: list of dicts of criteria and AUROC, by score."""
    x, is_anomaly = load_adbench(name, data_dir)
    train, test = split_adbench(is_anomaly, 0)
    scaler = StandardScaler().fit(x[train])
    rows = scaler.transform(x[test]).astype("float32")
    data = TuningData.split(scaler.transform(x[train]), 0)
    model_of, found = ALADHyperModel(data), []
    space = keras_tuner.HyperParameters()
    model_of.rules(space)
    for number in range(count):
        if number:  # the first one has the defaults
            oracle = keras_tuner.oracles.RandomSearchOracle(
                keras_tuner.Objective("corruption_auroc", "max"), seed=number
            )
            oracle.hyperparameters = space
            space.values = oracle._random_values()
        rules = model_of.rules(space)
        model = rules.build(0)
        train_members([model], data.train, rules.batch_size, rules.steps)
        scorer = Ensemble.of([Scorer.from_alad(model)], data.train)
        held_out, scores = scorer.scores(data.normal), scorer.scores(rows)
        found.append(
            {
                "values": dict(space.values),
                "corruptions": {s: data.criterion(scorer, s) for s in SCORES},
                "mean score": {s: -float(held_out[s].mean()) for s in SCORES},
                "auroc": {s: float(roc_auc_score(is_anomaly[test], scores[s])) for s in SCORES},
            }
        )
    return found


def _trials(job):
    return trials_of(*job)


def summary(trials, criterion, score):
    """One table's correlation and choice: a JSON-able dict."""
    criteria = [trial[criterion][score] for trial in trials]
    auroc = [trial["auroc"][score] for trial in trials]
    return {
        "spearman": float(spearmanr(criteria, auroc).statistic),
        "chosen": auroc[int(np.argmax(criteria))],
        "default": auroc[0],
        "mean": float(np.mean(auroc)),
        "best": max(auroc),
    }


def main(
    trials: Annotated[int, typer.Option(min=3, help="Number of trials per table.")] = 5,
    sets: Annotated[str, typer.Option(help="Sets, separated by commas.")] = ",".join(TABLES),
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of the .npz files; default: ALAD_DATA_DIR/adbench.")
    ] = None,
):
    """Measure, print and write results/benchmarks/criterion.json."""
    names, runs = sets.split(","), {}
    # a process for each table: TensorFlow frees no program, and a process has room for some sixty
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        jobs = ((name, trials, data_dir) for name in names)
        for name, found in zip(names, pool.imap(_trials, jobs, chunksize=1), strict=True):
            runs[name] = found
            common.console.print(f"{name}: {trials} trials", style="dim")
    means, rows = {score: {} for score in SCORES}, []
    for score in SCORES:
        for criterion in ("corruptions", "mean score"):
            found = [summary(run, criterion, score) for run in runs.values()]
            mean = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
            means[score][criterion] = mean
            rows.append([score, criterion, *(f"{value:.3f}" for value in mean.values())])
    header = ["score", "criterion", "Spearman", "AUROC: chosen", "default", "mean", "best"]
    common.show(f"Means over {len(runs)} tables", header, rows)
    common.write("criterion", {"means": means, "trials": runs}, ("keras-tuner", "scipy"))


if __name__ == "__main__":
    typer.run(main)
