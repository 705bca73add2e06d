"""How "combined" was chosen, and how optimistic the choice is: cross-validation over whole sets.

    python -m benchmarks.combination [--seeds 0,1,2] [--data-dir FOLDER]

Every distance that could have a part in the score is computed on every set of `benchmarks.adbench`,
with the networks trained by the defaults: nearness in six spaces, the tails, the distance from the
mean and the reconstruction error; in two scalings, with three or five neighbours, with and without
the neighbours' own distances. They are combined by their mean or by the logarithm of the mean of
their exponentials. A search then chooses scaling, neighbours, mean and weights: it adds a tenth of
the weight at a time to the space that raises the mean AUROC most (Caruana et al., ICML 2004). Each
set's figure is that of the choice made on the *other* sets. Tables and embeddings are searched
apart.
"""

import itertools
from typing import Annotated

import numpy as np
import typer
from rich.progress import track
from scipy.special import logsumexp
from sklearn.metrics import roc_auc_score

from alad_tf.data.adbench import EMBEDDINGS, SETS, TABLES, load_adbench, split_adbench
from alad_tf.detector.defaults import rules_for
from alad_tf.detector.ensemble import LEARNT, NEARNESS, Ensemble, combination_for
from alad_tf.detector.members import train_members
from alad_tf.model.scorer import Scorer
from alad_tf.preprocess.fitting import for_records
from benchmarks import common

CANDIDATES = (*NEARNESS, "tails", "mean", *LEARNT)
SCALINGS, NEIGHBOURS, LOCAL, PARTS = ("standard", "minmax"), (3, 5), (0.0, 1 / 3), 10
VARIANTS = tuple(itertools.product(SCALINGS, NEIGHBOURS, LOCAL, (False, True)))
BATCH = 512


def distances(name, seed, data_dir):
    """A set's labels, the standardised distances of its test rows by variant, and the default's."""
    x, is_anomaly = load_adbench(name, data_dir)
    train, test = split_adbench(is_anomaly, seed)
    found = {}
    for scaling in SCALINGS:
        preprocessor = for_records(x[train], scaling)
        rows, new = (preprocessor.transform(x[part]) for part in (train, test))
        rules = rules_for(rows.shape[1:], len(rows))
        model = rules.build(seed)
        train_members([model], rows, rules.batch_size, rules.steps)
        scorer = Scorer.from_alad(model)
        for neighbours, local in itertools.product(NEIGHBOURS, LOCAL):
            combination = {
                "weights": dict.fromkeys(CANDIDATES, 1 / len(CANDIDATES)),
                "neighbours": neighbours,
                "local": local,
                "graded": True,
            }
            ensemble = Ensemble.of([scorer], rows, seed, combination=combination)
            parts = [
                ensemble.parts(part, ensemble(part)["reconstruction"]).numpy()
                for part in np.array_split(new, range(BATCH, len(new), BATCH))
            ]
            found[scaling, neighbours, local] = np.concatenate(parts, 1)
    return is_anomaly[test], found, combination_for(rows.shape[1:], len(rows))


def blended(weights, distances, soft):
    """Scores (N,) of standardised distances (spaces, N), as `Ensemble` combines them."""
    if not soft:
        return weights @ distances
    return logsumexp(distances, axis=0, b=weights[:, None] / weights.sum())


class Search:
    """The greedy search for a variant and its weights.

    Args:
        runs: list of (set, labels (N,), dict by variant of distances (spaces, N)).
    """

    def __init__(self, runs):
        self.runs, self._known = runs, {}

    def auroc(self, run, variant, counts):
        """AUROC of one run, with `counts` parts of the weight for each space."""
        key = run, variant, counts
        if key not in self._known:
            _, y, found = self.runs[run]
            scores = blended(np.array(counts), found[variant[:3]], variant[3])
            self._known[key] = float(roc_auc_score(y, scores))
        return self._known[key]

    def mean(self, runs, variant, counts):
        """The mean AUROC over sets, each the mean over its seeds: all have as many."""
        return float(np.mean([self.auroc(run, variant, counts) for run in runs]))

    def choose(self, runs):
        """The best variant and counts of these runs."""
        best = -1.0, None, None
        for variant in VARIANTS:
            counts = (0,) * len(CANDIDATES)
            for _ in range(PARTS):
                steps = [
                    tuple(c + (k == space) for k, c in enumerate(counts))
                    for space in range(len(CANDIDATES))
                ]
                counts = max(steps, key=lambda some: self.mean(runs, variant, some))
            best = max(best, (self.mean(runs, variant, counts), variant, counts))
        return best[1:]


def weights_of(counts):
    """Weights by space, those that are not zero: a JSON-able dict."""
    named = zip(CANDIDATES, counts, strict=True)
    return {name: count / sum(counts) for name, count in named if count}


def summary(runs, defaults):
    """What the search finds on sets of one kind, and what that is worth on others."""
    search, sets = Search(runs), sorted({run[0] for run in runs})
    every = range(len(runs))
    variant, counts = search.choose(every)
    left_out = {}
    for name in track(sets, "sets left out"):
        others = [k for k in every if runs[k][0] != name]
        own = [k for k in every if runs[k][0] == name]
        chosen = search.choose(others)
        left_out[name] = {
            "auroc": search.mean(own, *chosen),
            "variant": chosen[0],
            "weights": weights_of(chosen[1]),
        }
    alone = {
        space: search.mean(
            every, ("standard", 3, 0.0, False), tuple(int(c == space) for c in CANDIDATES)
        )
        for space in CANDIDATES
    }
    return {
        "sets": sets,
        "alone": alone,
        "default": float(np.mean(defaults)),
        "chosen": {
            "auroc": search.mean(every, variant, counts),
            "variant": variant,
            "weights": weights_of(counts),
        },
        "cross_validated": float(np.mean([one["auroc"] for one in left_out.values()])),
        "left_out": left_out,
    }


def default_auroc(y, found, combination):
    """AUROC of the default combination, from the same distances."""
    variant = "standard", combination["neighbours"], combination["local"]
    weights = np.array([combination["weights"].get(name, 0.0) for name in CANDIDATES])
    return float(roc_auc_score(y, blended(weights, found[variant], combination["soft"])))


def main(
    seeds: Annotated[
        str, typer.Option(help="Seeds of split and training, separated by commas.")
    ] = "0,1,2",
    sets: Annotated[str, typer.Option(help="Sets, separated by commas.")] = ",".join(SETS),
    data_dir: common.DataDir = None,
):
    """Measure, print and write results/benchmarks/combination.json."""
    runs, defaults = [], []
    jobs = [(name, int(seed)) for seed in seeds.split(",") for name in sets.split(",")]
    for name, seed in track(jobs, "sets"):
        y, found, combination = distances(name, seed, data_dir)
        runs.append((name, y, found))
        defaults.append(default_auroc(y, found, combination))
    results = {}
    for kind, names in (("tables", TABLES), ("embeddings", EMBEDDINGS)):
        some = [k for k, run in enumerate(runs) if run[0] in names]
        if len({runs[k][0] for k in some}) > 1:
            results[kind] = summary([runs[k] for k in some], [defaults[k] for k in some])
    rows = []
    for kind, found in results.items():
        means = found["default"], found["chosen"]["auroc"], found["cross_validated"]
        rows.append([kind, *(f"{mean:.4f}" for mean in means)])
    header = ["kind", "default", "chosen on all", "chosen on the other sets"]
    common.show("Mean AUROC over sets and seeds", header, rows)
    common.write("combination", {"seeds": seeds, **results})


if __name__ == "__main__":
    typer.run(main)
