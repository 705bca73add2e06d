"""How long one request takes, from raw records to scores, in Python and over REST.

    python -m benchmarks.latency [--entries kdd99_alad,...] [--requests 200] [--rounds 5]

One record's time stands beside that of scikit-learn's Isolation Forest and, for tables, of PyOD's
ALAD (`decision_function` of one row that is preprocessed already), measured in turns with it.
"""

import json
import time
import warnings
from typing import Annotated

import numpy as np
import typer

import zoo
from alad_tf.data.records import take
from alad_tf.preprocess import ImagePreprocessor, VectorPreprocessor
from benchmarks import common
from benchmarks.peers import isolation_forest, pyod_alad
from benchmarks.served import Served, body_of, exported

ENTRIES = "kdd99_alad,arrhythmia_alad,cifar10_alad"
SIZES = (1, 32, 1000)
OURS, REST, FOREST, PYOD = "ours", "ours, REST", "Isolation Forest", "PyOD's ALAD"
BOUNDS_MS = {"kdd99_alad": 1.5, "cifar10_alad": 6.0}  # of one record, in Python
REST_MORE_MS = 2.0


def raw_records(detector, count):
    """Arbitrary raw records that a detector takes."""
    preprocessor, rng = detector.preprocessor, np.random.default_rng(0)
    if isinstance(preprocessor, ImagePreprocessor):
        return rng.integers(0, 256, (count, *preprocessor.image_shape), dtype="uint8")
    if isinstance(preprocessor, VectorPreprocessor):
        return rng.standard_normal((count, preprocessor.output_dim))
    columns = {name: rng.choice(known, count) for name, known in preprocessor.vocabularies.items()}
    return {**columns, **{name: rng.uniform(0, 9, count) for name in preprocessor.continuous}}


def times_of(call, requests):
    """Seconds of so many calls, one after the other."""
    times = []
    for _ in range(requests):
        begun = time.perf_counter()
        call()
        times.append(time.perf_counter() - begun)
    return times


def quantiles(times):
    """Median, 95th and 99th percentile: a JSON-able dict."""
    found = np.quantile(times, [0.5, 0.95, 0.99])
    return dict(zip(("median", "p95", "p99"), map(float, found), strict=True))


def peers_of(entry, detector):
    """Functions that score one preprocessed row by another method, by name."""
    x = detector.preprocessor.transform(raw_records(detector, max(2000, 25 * entry.batch_size)))
    flat = x.reshape(len(x), -1)
    forest = isolation_forest(flat[:2000])
    found = {FOREST: lambda: forest.decision_function(flat[:1])}
    if not entry.is_image:
        import torch

        torch.set_num_threads(1)  # enough for a row, and more would spin while others are measured
        model = pyod_alad(entry, x, spectral_norm=True)
        found[PYOD] = lambda: model.decision_function(x[:1])
    return found


def measure(entry, requests, rounds):
    """One entry's times: of requests by size, and of one record beside the peers."""
    detector = zoo.load(entry.name)
    peers = peers_of(entry, detector)
    result = {"requests": {}}
    with exported(detector, entry.name) as folder, Served(folder) as server:
        ask = server.client()
        for size in SIZES:
            raw = take(raw_records(detector, size), np.arange(size))
            body = body_of(detector, raw)
            ways = {
                OURS: lambda raw=raw: detector.anomaly_score(raw),
                REST: lambda body=body: ask(body),
            }
            count = requests
            if size == 1:
                agree(detector, raw, ask(body))
                ways |= peers
            elif entry.is_image and size > 100:
                count = 1
            for way in ways.values():
                times_of(way, min(count, 3))
            taken = {name: [] for name in ways}
            for _ in range(rounds):
                for name, way in ways.items():
                    taken[name].append(times_of(way, count))
            result["requests"][size] = {
                name: quantiles(np.concatenate(times)) for name, times in taken.items()
            }
            if size == 1:
                medians = {name: [np.median(one) for one in times] for name, times in taken.items()}
                result["over_ours"] = {
                    name: common.ratio(medians[name], medians[OURS]) for name in peers
                }
    return result


def agree(detector, raw, answer):
    """Raises RuntimeError unless the server gives the detector's score."""
    (row,) = json.loads(answer)["predictions"]
    score = row["score"] if isinstance(row, dict) else row
    expected = float(detector.anomaly_score(raw)[0])
    if abs(score - expected) > 1e-4 + 1e-4 * abs(expected):
        raise RuntimeError(f"The server's score is {score}, the detector's {expected}.")


def verdicts(results):
    """Whether the bounds hold: dict by entry of milliseconds, the bound and the verdict."""
    found = {}
    for name, bound in BOUNDS_MS.items():
        if name not in results:
            continue
        one = results[name]["requests"][1]
        ours, rest = one[OURS]["median"] * 1e3, one[REST]["median"] * 1e3
        found[name] = {
            "python_ms": ours,
            "at_most_ms": bound,
            "rest_more_ms": rest - ours,
            "rest_at_most_ms": REST_MORE_MS,
            "holds": bool(ours <= bound and rest - ours <= REST_MORE_MS),
        }
    return found


def main(
    entries: Annotated[str, typer.Option(help="Entries, separated by commas.")] = ENTRIES,
    requests: Annotated[int, typer.Option(min=5, help="Requests of each size a round.")] = 200,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds.")] = 5,
):
    """Measure, print and write results/benchmarks/latency.json."""
    warnings.simplefilter("ignore")
    results = {name: measure(zoo.entry(name), requests, rounds) for name in entries.split(",")}
    rows = [
        [name, f"{size:,}", way, f"{v['median'] * 1e3:.2f}", f"{v['p95'] * 1e3:.2f}"]
        for name, found in results.items()
        for size, ways in found["requests"].items()
        for way, v in ways.items()
    ]
    header = ["entry", "rows", "way", "median", "95th percentile"]
    common.show("milliseconds of a request", header, rows)
    bounds = verdicts(results)
    for name, one in bounds.items():
        common.console.print(name, one)
    results = {"requests": requests, "rounds": rounds, "entries": results, "bounds": bounds}
    common.write("latency", results, ("scikit-learn", "pyod", "torch"))


if __name__ == "__main__":
    typer.run(main)
