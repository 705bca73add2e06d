"""How long one request takes, from raw records to scores, in Python and over REST.

    python -m benchmarks.latency [--entries kdd99_alad,...] [--requests 200] [--rounds 5]

One record's time stands beside that of scikit-learn's Isolation Forest and, for tables, of PyOD's
ALAD (`decision_function` of one row that is preprocessed already), measured in turns with it.
"""

import json
import subprocess
import sys
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

CHILD = """
import sys, warnings
warnings.simplefilter("ignore")
from benchmarks.latency import serve_pyod
serve_pyod(sys.argv[1])
"""


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


def peer_rows(entry, detector):
    """Preprocessed rows for the peers, enough to fit them."""
    return detector.preprocessor.transform(raw_records(detector, max(2000, 25 * entry.batch_size)))


class PyOD:
    """PyOD's ALAD in a process of its own: PyTorch's threads would disturb the others' times."""

    def __init__(self, entry):
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD, entry.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def __call__(self, requests):
        print(requests, file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self):
        for line in self._process.stdout:  # PyOD prints as well
            if line.startswith("times "):
                return json.loads(line.removeprefix("times "))
        raise RuntimeError("The process of PyOD ended. Its error is above.")

    def close(self):
        self._process.stdin.close()
        self._process.wait()


def serve_pyod(name):
    """PyOD's process: times of as many calls as each line of its input says."""
    entry = zoo.entry(name)
    x = peer_rows(entry, zoo.load(name))
    model = pyod_alad(entry, x, spectral_norm=True)
    print("times []", flush=True)
    for line in sys.stdin:
        taken = times_of(lambda: model.decision_function(x[:1]), int(line))
        print(f"times {json.dumps(taken)}", flush=True)


def measure(entry, requests, rounds):
    """One entry's times: of requests by size, and of one record beside the peers."""
    detector = zoo.load(entry.name)
    rows = peer_rows(entry, detector)[:2000]
    rows = rows.reshape(len(rows), -1)
    forest = isolation_forest(rows)
    peers = {FOREST: lambda count: times_of(lambda: forest.decision_function(rows[:1]), count)}
    if not entry.is_image:
        peers[PYOD] = PyOD(entry)
    result = {"requests": {}}
    with exported(detector, entry.name) as folder, Served(folder) as server:
        ask = server.client()
        for size in SIZES:
            raw = take(raw_records(detector, size), np.arange(size))
            body = body_of(detector, raw)
            ways = {
                OURS: lambda n, raw=raw: times_of(lambda: detector.anomaly_score(raw), n),
                REST: lambda n, body=body: times_of(lambda: ask(body), n),
            }
            if size == 1:
                agree(detector, raw, ask(body))
                ways |= peers
            count = 1 if entry.is_image and size > 100 else requests
            for way in ways.values():
                way(min(count, 3))
            taken = {name: [] for name in ways}
            for _ in range(rounds):
                for name, way in ways.items():
                    taken[name].append(way(count))
            result["requests"][size] = {
                name: quantiles(np.concatenate(times)) for name, times in taken.items()
            }
            if size == 1:
                medians = {name: [np.median(one) for one in times] for name, times in taken.items()}
                result["over_ours"] = {
                    name: common.ratio(medians[name], medians[OURS]) for name in peers
                }
                if PYOD in peers:
                    peers[PYOD].close()
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
    requests: Annotated[
        int, typer.Option(min=5, help="Number of requests of each size per round.")
    ] = 200,
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds.")] = 5,
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
    header = ["entry", "rows", "scorer", "median", "95th percentile"]
    common.show("milliseconds per request", header, rows)
    bounds = verdicts(results)
    for name, one in bounds.items():
        common.console.print(name, one)
    results = {"requests": requests, "rounds": rounds, "entries": results, "bounds": bounds}
    common.write("latency", results, ("scikit-learn", "pyod", "torch"))


if __name__ == "__main__":
    typer.run(main)
