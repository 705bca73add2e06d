"""Scoring rows from memory: ours against PyOD's ALAD and Isolation Forest, and the limit.

    python -m benchmarks.scoring [--entries kdd99_alad,...] [--rounds 5]

Preprocessed float32 rows in, anomaly scores out. All get the same rows: real ones where the set's
raw file is at hand (ALAD_DATA_DIR), else uniform ones, which the JSON says.
"""

import os
from typing import Annotated

import numpy as np
import typer

import zoo
from alad_tf.experiments.settings import prepare
from benchmarks import common, flops, peers
from benchmarks.limit import Limit

ENTRIES = "kdd99_alad,arrhythmia_alad,cifar10_alad"
ROWS = {"kdd99_alad": 200_000, "arrhythmia_alad": 50_000, "cifar10_alad": 512}
LARGE = 4096  # rows of a product of the limit: enough for the fastest rate


def rows_of(entry, count):
    """Preprocessed rows (count, *x_shape), and what they are: "real" or "uniform"."""
    if not entry.is_image and os.environ.get("ALAD_DATA_DIR"):
        x = prepare(entry).transformed("test")
        return np.resize(x, (count, *entry.x_shape)), "real, repeated where too few"
    low = -1.0 if entry.is_image else 0.0
    shape = (count, *entry.x_shape)
    return np.random.default_rng(0).uniform(low, 1, shape).astype("float32"), "uniform"


def measure(entry, rounds):
    """Seconds of scoring all rows, by name; the rows; the limit's FLOPs for one row."""
    x, kind = rows_of(entry, ROWS[entry.name])
    scorer = zoo.load(entry.name).scorer
    block = scorer.block if entry.is_image else LARGE
    limit = Limit(flops.score(entry, block))
    calls = {"ours": lambda: scorer.scores(x)}
    if not entry.is_image:
        pyod = peers.pyod_alad(entry, x, spectral_norm=True)
        forest = peers.isolation_forest(x[:20_000])
        calls["PyOD's decision_function"] = lambda: pyod.decision_function(x)
        calls["Isolation Forest's score_samples"] = lambda: forest.score_samples(x)
    for call in calls.values():
        call()
    measurements = {name: lambda call=call: common.seconds(call) for name, call in calls.items()}
    measurements["products alone"] = lambda: limit.seconds() * len(x) / block
    return common.in_turns(measurements, rounds), len(x), kind, limit.flops / block


def summarise(times, rows, kind, flops):
    """What the JSON holds of one entry."""
    ours = times["ours"]
    return {
        "rows": rows,
        "kind_of_rows": kind,
        "flop_per_row": flops,
        "rows_per_second": {
            name: common.spread([rows / s for s in values]) for name, values in times.items()
        },
        "ours_times": {name: common.ratio(v, ours) for name, v in times.items() if v is not ours},
        "share_of_limit": common.ratio(times["products alone"], ours),
        "limit_gflops": common.spread([flops * rows / 1e9 / s for s in times["products alone"]]),
    }


def main(
    entries: Annotated[str, typer.Option(help="Entries, separated by commas.")] = ENTRIES,
    rounds: Annotated[
        int, typer.Option(min=1, help="Number of rounds, of which medians are taken.")
    ] = 5,
):
    """Measure, print and write results/benchmarks/scoring.json."""
    results = {}
    for name in entries.split(","):
        entry = zoo.entry(name)
        result = results[name] = summarise(*measure(entry, rounds))
        rows = common.beside(result["rows_per_second"], result["ours_times"], 1e-3, 1)
        title = (
            f"{name}, {result['rows']:,} rows ({result['kind_of_rows']}): "
            f"{result['share_of_limit']['median']:.0%} of the products' rate"
        )
        header = [
            "scorer",
            "1000 rows/s, median (minimum to maximum)",
            "ours is faster by a factor of",
        ]
        common.show(title, header, rows)
    common.write("scoring", {"rounds": rounds, "entries": results}, ["pyod", "torch"])


if __name__ == "__main__":
    typer.run(main)
