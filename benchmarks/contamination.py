"""The cost of anomalies among the training rows: ours, ours allowing for them, and others.

    python -m benchmarks.contamination [--seeds 0,1,2] [--data-dir FOLDER]

Half of the normal rows of each table of `benchmarks.adbench` are for training, with 0, 1, 5 and 10
per cent of anomalies among them. These are drawn from the set's own anomalies, at most half of
them, so that sets with few anomalies have a lower share. The other normal rows and the anomalies
that are never trained on are test rows. `test` is the AUROC there, `own` that of the training rows
themselves, which is what `fit_predict` ranks.

Ours is the combined score, in which networks have no part on tables, so that none train here:
"default"; "contamination=", which allows for anomalies (see `combination_for`); and "trimmed", the
default again without the tenth of the training rows that had the highest scores.
"""

from typing import Annotated

import numpy as np
import typer
from rich.progress import track
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from alad_tf.data.adbench import TABLES, load_adbench, split_adbench
from alad_tf.detector.defaults import rules_for
from alad_tf.detector.ensemble import Ensemble, combination_for
from alad_tf.model.scorer import Scorer
from alad_tf.preprocess.fitting import for_records
from benchmarks import common

SHARES, TRIMMED, NEIGHBOURS = (0.0, 0.01, 0.05, 0.1), 0.1, 5
OURS = ("default", "contamination=", "trimmed")


def contaminated(is_anomaly, share, seed):
    """Row numbers that train and test; the test rows are the same for every share up to a tenth.

    Example:
        >>> is_anomaly = np.arange(50) >= 40
        >>> train, test = contaminated(is_anomaly, 0.1, 0)
        >>> len(train), is_anomaly[train].sum(), len(test), is_anomaly[test].sum()
        (23, np.int64(3), 27, np.int64(7))
    """
    normal, others = split_adbench(is_anomaly, seed)
    anomalies = np.random.default_rng(seed).permutation(np.flatnonzero(is_anomaly))

    def count(share):
        wanted = int(np.ceil(share / (1 - share) * len(normal))) if share else 0
        return min(wanted, len(anomalies) // 2)

    if share > max(SHARES):
        raise ValueError(f"received the share {share}; expected at most {max(SHARES)}.")
    # fixed order: the bits of no score depend on it, and a curve over shares is of the same rows
    train = np.concatenate([normal, anomalies[: count(share)]])
    return train, np.concatenate(
        [others[~is_anomaly[others]], anomalies[count(max(SHARES)) :]],
    )


def _ensemble(x, combination, seed):
    """Of untrained networks, which "combined" of a table does not use."""
    rules = rules_for(x.shape[1:], len(x))
    member = {name: rules.networks[name] for name in ("E", "G", "D_xx")}
    scorer = Scorer(member, rules.x_shape, rules.latent_dim)
    return Ensemble.of([scorer], x, seed, combination=combination)


def scores_of(train, test, seed):
    """Scores of the training and the test rows, preprocessed, by method."""
    found = {}
    for name in OURS:
        rows = train
        if name == "trimmed":
            own = found["default"][0]
            rows = train[own <= np.quantile(own, 1 - TRIMMED)]
        combination = combination_for(
            train.shape[1:], len(rows), contaminated=name == "contamination="
        )
        ensemble = _ensemble(rows, combination, seed)
        found[name] = ensemble.combined(train), ensemble.combined(test)
    near = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(train)
    found["5-NN, mean of five"] = tuple(near.kneighbors(rows)[0].mean(1) for rows in (None, test))
    forest = IsolationForest(random_state=seed).fit(train)
    found["Isolation Forest"] = -forest.score_samples(train), -forest.score_samples(test)
    return found


def measure(name, seed, share, data_dir):
    """One set, seed and share: a JSON-able dict."""
    x, is_anomaly = load_adbench(name, data_dir)
    train, test = contaminated(is_anomaly, share, seed)
    preprocessor = for_records(x[train])
    found = scores_of(preprocessor.transform(x[train]), preprocessor.transform(x[test]), seed)
    own = is_anomaly[train]
    return {
        "set": name,
        "seed": seed,
        "share": share,
        "train_rows": len(train),
        "train_anomalies": int(own.sum()),
        "test": {k: float(roc_auc_score(is_anomaly[test], v[1])) for k, v in found.items()},
        "own": {k: float(roc_auc_score(own, v[0])) for k, v in found.items()} if own.any() else {},
    }


def means(runs):
    """Mean AUROC over sets and seeds: dict by method of dicts by "test" and "own" of lists."""
    return {
        method: {
            kind: [
                float(np.mean([run[kind][method] for run in runs if run["share"] == share]))
                for share in SHARES
                if kind == "test" or share
            ]
            for kind in ("test", "own")
        }
        for method in runs[0]["test"]
    }


def main(
    seeds: Annotated[
        str,
        typer.Option(
            help="Seeds of the split and of the choice of anomalies, separated by commas."
        ),
    ] = "0,1,2",
    sets: Annotated[str, typer.Option(help="Sets, separated by commas.")] = ",".join(TABLES),
    data_dir: common.DataDir = None,
):
    """Measure, print and write results/benchmarks/contamination.json."""
    jobs = [(n, int(s), c) for s in seeds.split(",") for n in sets.split(",") for c in SHARES]
    runs = [measure(*job, data_dir) for job in track(jobs, "sets", console=common.console)]
    found = means(runs)
    common.show(
        "Mean AUROC by the share of anomalies among the training rows",
        ["method", *(f"test {s:.0%}" for s in SHARES), *(f"own {s:.0%}" for s in SHARES[1:])],
        [[m, *(f"{v:.4f}" for v in (*k["test"], *k["own"]))] for m, k in found.items()],
    )
    common.write("contamination", {"shares": SHARES, "means": found, "runs": runs})


if __name__ == "__main__":
    typer.run(main)
