"""How long one request takes: a few rows, from raw records to scores.

python -m benchmarks.latency [--entries kdd99_alad,...] [--requests 200]
"""

import time
from typing import Annotated

import numpy as np
import typer

import zoo
from alad_tf.data.records import take
from alad_tf.preprocess import ImagePreprocessor, VectorPreprocessor
from benchmarks import common

ENTRIES = "kdd99_alad,arrhythmia_alad,cifar10_alad"
SIZES = (1, 32, 1000)


def raw_records(detector, count):
    """Arbitrary raw records that a detector takes."""
    preprocessor, rng = detector.preprocessor, np.random.default_rng(0)
    if isinstance(preprocessor, ImagePreprocessor):
        return rng.integers(0, 256, (count, *preprocessor.image_shape), dtype="uint8")
    if isinstance(preprocessor, VectorPreprocessor):
        return rng.standard_normal((count, preprocessor.output_dim))
    columns = {name: rng.choice(known, count) for name, known in preprocessor.vocabularies.items()}
    return {**columns, **{name: rng.uniform(0, 9, count) for name in preprocessor.continuous}}


def quantiles(call, requests):
    """Median and 95th percentile, in seconds, of so many calls."""
    call()
    times = []
    for _ in range(requests):
        begun = time.perf_counter()
        call()
        times.append(time.perf_counter() - begun)
    return {"median": float(np.median(times)), "p95": float(np.quantile(times, 0.95))}


def measure(entry, requests):
    """By number of rows: seconds of preprocessing, of the scorer, and of the whole."""
    detector = zoo.load(entry.name)
    result = {}
    for size in SIZES:
        raw = take(raw_records(detector, size), np.arange(size))
        x = detector.preprocessor.transform(raw)
        count = min(requests, 10) if entry.is_image and size > 100 else requests
        result[size] = {
            "preprocessing": quantiles(lambda raw=raw: detector.preprocessor.transform(raw), count),
            "scorer": quantiles(lambda x=x: detector.scorer.scores(x), count),
            "whole": quantiles(lambda raw=raw: detector.anomaly_score(raw), count),
        }
    return result


def main(
    entries: Annotated[str, typer.Option(help="Entries, separated by commas.")] = ENTRIES,
    requests: Annotated[int, typer.Option(min=5, help="Requests of each size.")] = 200,
):
    """Measure, print and write results/benchmarks/latency.json."""
    results = {name: measure(zoo.entry(name), requests) for name in entries.split(",")}
    rows = []
    for name, by_size in results.items():
        for size, parts in by_size.items():
            cells = [f"{v['median'] * 1e3:.2f} ({v['p95'] * 1e3:.2f})" for v in parts.values()]
            rows.append([name, f"{size:,}", *cells])
    header = ["entry", "rows", "preprocessing", "scorer", "whole"]
    common.show("milliseconds of a request, median (95th percentile)", header, rows)
    common.write("latency", {"requests": requests, "entries": results})


if __name__ == "__main__":
    typer.run(main)
