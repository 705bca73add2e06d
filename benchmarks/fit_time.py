"""Seconds until a detector is fitted, each in a fresh process, imports aside: ours and others.

    python -m benchmarks.fit_time [--rounds 3] [--profile]

A first table of 200 rows and 7 columns, a second one of the same width in the same process, and a
table of 2,000 rows and 1,555 columns; all detectors with their defaults. Ours and PyOD's networks
train, and ours compiles programs on the way, which the second table finds ready.
"""

import itertools
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from typing import Annotated

import typer

from benchmarks import common

SIZES = {"narrow": (200, 7), "wide": (2000, 1555)}
TITLES = {
    "first": "first, 200 x 7",
    "second": "second, 190 x 7",
    "wide": "first, 2,000 x 1,555",
}
TARGETS = {"first": 6.0, "second": 1.5, "wide": 45.0}  # seconds on two cores
MEASURED = ("seconds", "processor_seconds")
METHODS = {
    "ALADDetector": "from alad_tf.detector.estimator import ALADDetector as Method",
    "Isolation Forest": "from sklearn.ensemble import IsolationForest as Method",
    "Local Outlier Factor": "from sklearn.neighbors import LocalOutlierFactor as Method",
    "OC-SVM": "from sklearn.svm import OneClassSVM as Method",
    "PyOD AutoEncoder": "import torch; from pyod.models.auto_encoder import AutoEncoder as Method",
    "PyOD ALAD": "import torch; from pyod.models.alad import ALAD as Method",
}
NEED = {"PyOD AutoEncoder": ("pyod", "torch"), "PyOD ALAD": ("pyod", "torch")}
CODE = """
import cProfile, json, pstats, time
import numpy as np
{imports}

def table(rows, columns, seed):
    generator = np.random.default_rng(seed)
    parts = generator.normal(size=(max(columns // 3, 2), columns))
    common = generator.normal(size=(rows, len(parts))) @ parts
    return common + generator.normal(size=(rows, columns))

tables = [table(*size, seed) for seed, size in enumerate({sizes})]
profile, seconds, processors = cProfile.Profile(), [], []
for x in tables:
    detector = Method()
    if {profiled}:
        profile.enable()
    begun, used = time.perf_counter(), time.process_time()
    detector.fit(x)
    seconds.append(time.perf_counter() - begun)
    processors.append(time.process_time() - used)
    profile.disable()
if {profiled}:
    pstats.Stats(profile).sort_stats("cumulative").print_stats(60)
print(json.dumps([seconds, processors]))
"""


def child(method, sizes, profiled=False):
    """Fits to tables of these sizes, one after another in a fresh process.

    Returns:
        two lists of floats: the seconds of each fit, and its seconds of processor time, all cores
        together, in which other programs count for little.
    """
    code = CODE.format(imports=METHODS[method], sizes=sizes, profiled=profiled)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    if done.returncode:
        raise RuntimeError(f"{method} failed on {sizes}: {done.stderr[-2000:]}")
    if profiled:
        common.console.print(done.stdout, markup=False, highlight=False)
    return json.loads(done.stdout.splitlines()[-1])


def known():
    """The methods whose packages are installed."""
    return [m for m in METHODS if all(find_spec(package) for package in NEED.get(m, ()))]


def measure(methods, rounds, wide=True):
    """By "seconds" and "processor_seconds", dicts by method of spreads by kind of fit."""
    rows, columns = SIZES["narrow"]
    runs = [[(rows, columns), (rows - 10, columns)]]  # another length, as many places for rows
    runs += [[SIZES["wide"]]] if wide else []
    kinds = [kind for kind in TITLES if wide or kind != "wide"]
    found = {name: {m: {k: [] for k in kinds} for m in methods} for name in MEASURED}
    for number in range(rounds):
        common.console.print(f"round {number + 1} of {rounds}", style="dim")
        for method in methods:
            parts = [child(method, sizes) for sizes in runs]
            for name, times in zip(MEASURED, zip(*parts, strict=True), strict=True):
                for kind, value in zip(kinds, itertools.chain(*times), strict=True):
                    found[name][method][kind].append(value)
    return {
        name: {m: {k: common.spread(v) for k, v in times.items()} for m, times in one.items()}
        for name, one in found.items()
    }


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds.")] = 3,
    wide: Annotated[bool, typer.Option(help="Measure the wide table, too.")] = True,
    note: Annotated[str, typer.Option(help="Remark to store in the JSON.")] = "",
    profile: Annotated[
        bool, typer.Option("--profile", help="Only print a profile of ALADDetector.")
    ] = False,
):
    """Measure, print and write results/benchmarks/fit_time.json."""
    if profile:
        rows, columns = SIZES["narrow"]
        child("ALADDetector", [(rows, columns)], profiled=True)
        if wide:
            child("ALADDetector", [SIZES["wide"]], profiled=True)
        return
    methods = known()
    found = measure(methods, rounds, wide)
    for name, times in found.items():
        common.show(
            f"Fit: {name.replace('_', ' ')}",
            ["method", *(TITLES[kind] for kind in times["ALADDetector"])],
            [
                [m, *(common.median_range(v, 1, 2) for v in one.values())]
                for m, one in times.items()
            ],
        )
    packages = [package for package in ("pyod", "torch") if find_spec(package)]
    about = {"rounds": rounds, "targets": TARGETS, "note": note, **found}
    common.write("fit_time", about, packages)


if __name__ == "__main__":
    typer.run(main)
