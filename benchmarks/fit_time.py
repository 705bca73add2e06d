"""Seconds until a detector is fitted, each in a fresh process, imports aside: ours and others.

    python -m benchmarks.fit_time [--rounds 3] [--profile]

A first table of 200 rows and 7 columns, a second one of the same width in the same process, and a
table of 2,000 rows and 1,555 columns; all detectors with their defaults. Ours and PyOD's networks
train, and ours compiles programs on the way, which the second table finds ready.
"""

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
profile, seconds = cProfile.Profile(), []
for x in tables:
    detector = Method()
    if {profiled}:
        profile.enable()
    begun = time.perf_counter()
    detector.fit(x)
    seconds.append(time.perf_counter() - begun)
    profile.disable()
if {profiled}:
    pstats.Stats(profile).sort_stats("cumulative").print_stats(60)
print(json.dumps(seconds))
"""


def child(method, sizes, profiled=False):
    """Seconds of fits to tables of these sizes, one after another in a fresh process."""
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
    """Seconds by method and kind of fit: a dict of dicts of spreads."""
    rows, columns = SIZES["narrow"]
    narrow = [(rows, columns), (rows - 10, columns)]  # another length, as many places for rows
    found = {method: {kind: [] for kind in TITLES if wide or kind != "wide"} for method in methods}
    for number in range(rounds):
        common.console.print(f"round {number + 1} of {rounds}", style="dim")
        for method, times in found.items():
            first, second = child(method, narrow)
            times["first"].append(first)
            times["second"].append(second)
            if wide:
                times["wide"] += child(method, [SIZES["wide"]])
    return {m: {k: common.spread(v) for k, v in times.items()} for m, times in found.items()}


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Turns.")] = 3,
    wide: Annotated[bool, typer.Option(help="The wide table as well.")] = True,
    note: Annotated[str, typer.Option(help="A remark for the JSON.")] = "",
    profile: Annotated[
        bool, typer.Option("--profile", help="Only print where the time of ours goes.")
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
    seconds = measure(methods, rounds, wide)
    kinds = list(seconds["ALADDetector"])
    common.show(
        "Seconds of fit",
        ["method", *(TITLES[kind] for kind in kinds)],
        [[m, *(common.median_range(t[kind], 1, 2) for kind in kinds)] for m, t in seconds.items()],
    )
    packages = [package for package in ("pyod", "torch") if find_spec(package)]
    about = {"rounds": rounds, "targets": TARGETS, "note": note, "seconds": seconds}
    common.write("fit_time", about, packages)


if __name__ == "__main__":
    typer.run(main)
