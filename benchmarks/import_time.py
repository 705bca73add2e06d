"""What importing costs: `import zoo` beyond TensorFlow, a first score, and `alad --help`.

python -m benchmarks.import_time [--rounds 7]
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import common

CODE = """
import time
begun = time.perf_counter()
import tensorflow
first = time.perf_counter()
import zoo
second = time.perf_counter()
{then}
print(second - first, time.perf_counter() - first, first - begun)
"""
SCORE = """
import numpy
detector = zoo.load("cifar10_alad")
detector.anomaly_score(numpy.zeros((1, 32, 32, 3), "uint8"))
"""
ALAD = Path(sys.executable).with_name("alad")


def child(then=""):
    """Seconds in a fresh process: of `import zoo`, of all after TensorFlow, of TensorFlow."""
    code = CODE.format(then=then)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def help_seconds():
    """Seconds of the whole process `alad --help`."""
    begun = time.perf_counter()
    subprocess.run([ALAD, "--help"], capture_output=True, check=True)
    return time.perf_counter() - begun


def main(rounds: Annotated[int, typer.Option(min=1, help="Number of rounds.")] = 7):
    """Measure, print and write results/benchmarks/import_time.json."""
    measurements = {
        "import zoo, beyond TensorFlow": lambda: child()[0],
        "import zoo, load cifar10_alad, first score, beyond TensorFlow": lambda: child(SCORE)[1],
        "import tensorflow": lambda: child()[2],
        "alad --help": help_seconds,
    }
    for measure in measurements.values():  # files into the cache
        measure()
    times = common.in_turns(measurements, rounds)
    seconds = {name: common.spread(values) for name, values in times.items()}
    rows = [[name, common.median_range(value, 1)] for name, value in seconds.items()]
    common.show("Start-up", ["operation", "s, median (minimum to maximum)"], rows)
    common.write("import_time", {"rounds": rounds, "seconds": seconds})


if __name__ == "__main__":
    typer.run(main)
