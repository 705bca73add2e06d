"""Detectors on small tables and image embeddings, all with their defaults: ours and the classics.

    python -m benchmarks.adbench [--seeds 0,1,2] [--data-dir FOLDER] [--resume]

Half of the normal rows train; the other half and all anomalies test. Everyone gets standardised
columns (ours does that by itself). Of ours, all scores of the fitted detector are in the table, the
combined score with a tenth of its weight for networks, trained and untrained, and the share of
normal test rows that it flags by its default budget. Seconds are those of fit and scoring on all of
the machine's cores; ours and PyOD's compile on the way.
"""

import json
import time
import warnings
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from alad_tf.data.adbench import EMBEDDINGS, SETS, load_adbench, split_adbench
from alad_tf.detector.ensemble import COMBINED, LEARNT, Ensemble, combination_for
from alad_tf.detector.estimator import MEMBERS, ALADDetector
from alad_tf.detector.members import train_members
from alad_tf.engine.files import read_json, write_json
from alad_tf.model.scorer import Scorer
from benchmarks import common

PARTIAL = Path("results/benchmarks/adbench.partial.json")
NEIGHBOURS = 5
SHARE = 0.1  # of the weight, for networks
PYOD = "PyOD ALAD"


def ours(train, test, seed):
    """Scores by name, and what else there is to say of the fitted detector."""
    detector = ALADDetector(random_state=seed).fit(train)
    scores = {f"ALADDetector, {name}": value for name, value in detector.scores(test).items()}
    about = {
        "budget_told": detector.detector_.threshold_rule,
        "held_out": len(detector.detector_.reference),
        "steps": detector.n_iter_,
    }
    return scores, about, detector


def with_networks(detector, test, seed):
    """The combined score if networks had a tenth of its weight: trained ones, and untrained ones.

    And the paper's score of untrained networks. They train on the rows that the detector keeps.
    """
    rules, kept = detector.rules_, detector.detector_.scorer
    x = kept.rows.numpy()[: int(kept.count)]
    new = detector.detector_.preprocessor.transform(test)
    combination = combination_for(x.shape[1:], len(x))
    weights = {name: (1 - SHARE) * value for name, value in combination["weights"].items()}
    combination["weights"] = weights | dict.fromkeys(LEARNT, SHARE / len(LEARNT))
    models = rules.build_members(MEMBERS, seed)
    bare = [Scorer.from_alad(model) for model in models]
    train_members(models, x, rules.batch_size, rules.steps)
    members = {"networks": [Scorer.from_alad(model) for model in models]}
    members["untrained networks"] = bare
    scores = {}
    for name, some in members.items():
        found = Ensemble.of(some, x, seed, combination=combination).scores(new)
        scores[f"with {name}"] = found[COMBINED]
    return scores | {"untrained, features": found["features"]}


def neighbours(train, test, seed):
    """Distances to the fifth nearest training row, and the mean of the five."""
    model = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(train)
    distances, _ = model.kneighbors(test)
    return {"5-NN, the fifth": distances[:, -1], "5-NN, mean of five": distances.mean(1)}


def forest(train, test, seed):
    """Isolation Forest with scikit-learn's defaults."""
    return {"Isolation Forest": -IsolationForest(random_state=seed).fit(train).score_samples(test)}


def svm(train, test, seed):
    """One-class SVM with scikit-learn's defaults."""
    return {"OC-SVM": -OneClassSVM().fit(train).score_samples(test)}


def pyod_alad(train, test, seed):
    """PyOD's ALAD with its defaults."""
    import torch
    from pyod.models.alad import ALAD

    torch.manual_seed(seed)
    np.random.seed(seed)  # PyOD shuffles by NumPy's global generator
    model = ALAD(verbose=0)
    model.fit(train)
    return {PYOD: model.decision_function(test)}


def measure(name, seed, data_dir, peers):
    """One set and seed: a JSON-able dict."""
    x, is_anomaly = load_adbench(name, data_dir)
    train, test = split_adbench(is_anomaly, seed)
    y = is_anomaly[test]
    begun = time.perf_counter()
    scores, about, detector = ours(x[train], x[test], seed)
    seconds = {"ALADDetector": time.perf_counter() - begun}
    flagged = detector.predict(x[test]) == -1
    scores |= with_networks(detector, x[test], seed)
    scaler = StandardScaler().fit(x[train])
    scaled_train, scaled_test = scaler.transform(x[train]), scaler.transform(x[test])
    for peer in (neighbours, forest, svm, *((pyod_alad,) if peers else ())):
        begun = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scores |= peer(scaled_train, scaled_test, seed)
        seconds[peer.__name__] = time.perf_counter() - begun
    return {
        "set": name,
        "seed": seed,
        "rows": len(x),
        "columns": x.shape[1],
        "train_rows": len(train),
        "test_normal": int((~y).sum()),
        "test_anomalies": int(y.sum()),
        **about,
        "flagged_normal": int(flagged[~y].sum()),
        "flagged_anomalies": int(flagged[y].sum()),
        "seconds": seconds,
        "auroc": {k: float(roc_auc_score(y, v)) for k, v in scores.items()},
        "auprc": {k: float(average_precision_score(y, v)) for k, v in scores.items()},
    }


def _add_peers(runs, earlier):
    """Copy what an earlier run has of PyOD's ALAD, which takes minutes a set, and never changes."""
    known = {(run["set"], run["seed"]): run for run in earlier}
    for run in runs:
        other = known.get((run["set"], run["seed"]), {"auroc": {}})
        if PYOD in other["auroc"] and run["test_anomalies"] == other["test_anomalies"]:
            for metric in ("auroc", "auprc"):
                run[metric][PYOD] = other[metric][PYOD]
            run["seconds"]["pyod_alad"] = other["seconds"]["pyod_alad"]


def _mean(runs, method):
    return float(np.mean([run["auroc"].get(method, np.nan) for run in runs]))


def main(
    seeds: Annotated[
        str, typer.Option(help="Seeds of split and training, separated by commas.")
    ] = "0,1,2",
    sets: Annotated[str, typer.Option(help="Sets, separated by commas.")] = ",".join(SETS),
    data_dir: common.DataDir = None,
    peers: Annotated[
        bool, typer.Option(help="Fit PyOD's ALAD as well, which takes minutes per set.")
    ] = True,
    peers_from: Annotated[
        Path | None, typer.Option(help="An earlier JSON that has PyOD's ALAD on the same splits.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
):
    """Measure, print and write results/benchmarks/adbench.json."""
    runs = json.loads(PARTIAL.read_text()) if resume and PARTIAL.is_file() else []
    done = {(run["set"], run["seed"]) for run in runs}
    for seed in map(int, seeds.split(",")):
        for name in sets.split(","):
            if (name, seed) in done:
                continue
            runs.append(measure(name, seed, data_dir, peers))
            write_json(PARTIAL, runs)
            last = runs[-1]
            common.console.print(
                f"{name} seed {seed}: combined {last['auroc']['ALADDetector, combined']:.3f}, "
                f"5-NN {last['auroc']['5-NN, mean of five']:.3f}, "
                f"{last['seconds']['ALADDetector']:.0f} s",
                highlight=False,
            )
    if peers_from is not None:
        _add_peers(runs, read_json(peers_from)["runs"])
    methods = list(runs[0]["auroc"])
    kinds = [[run for run in runs if (run["set"] in EMBEDDINGS) == kind] for kind in (False, True)]
    common.show(
        "Mean AUROC over sets and seeds",
        ["method", "tables", "embeddings"],
        [[m, *(f"{_mean(kind, m):.4f}" if kind else "" for kind in kinds)] for m in methods],
    )
    common.write("adbench", {"runs": runs}, ("pyod", "torch") if peers else ())
    PARTIAL.unlink()


if __name__ == "__main__":
    typer.run(main)
