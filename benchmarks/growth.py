"""How cost grows: with rows, features, batch size and seeds. A plot each, with the slope.

    python -m benchmarks.growth [--only rows,features,batch,seeds] [--redraw]

Tables of KDD99's networks. The slope is that of log seconds over log size, by least squares over
the upper half of the sizes: 1 is proportional, 0 is free. Seeds come from
results/benchmarks/seeds.json.
"""

import dataclasses
import functools
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

import zoo
from alad_tf.engine.files import read_json
from alad_tf.model.scorer import Scorer
from alad_tf.model.specs import dense
from alad_tf.plots.charts import lines
from benchmarks import common
from benchmarks.train_step import Fit

ROWS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
FEATURES = (10, 30, 100, 300, 1_000, 3_000, 10_000)
BATCHES = (8, 16, 32, 64, 128, 256, 512, 1_024)
OUT = Path("results/benchmarks")


def slope(sizes, seconds):
    """Slope of log seconds over log sizes, by least squares over the upper half.

    Example:
        >>> round(slope([1, 10, 100, 1000], [1, 1, 2, 20]), 3)
        1.0
    """
    half = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[half:]), np.log(seconds[half:]), 1)[0])


def with_features(entry, count):
    """KDD99's entry for tables of another width: E's and D's first rows and G's last follow."""
    networks = {**entry.networks, "G": [*entry.networks["G"][:-1], dense(count)]}
    return dataclasses.replace(entry, networks=networks, x_shape=(count,))


def rows():
    """Seconds of scoring, by number of rows."""
    scorer = zoo.load("kdd99_alad").scorer
    some = np.random.default_rng(0).uniform(0, 1, (ROWS[0], *scorer.x_shape)).astype("float32")
    result = {}
    for count in ROWS:
        x = np.resize(some, (count, *scorer.x_shape))
        scorer.scores(x[:100_000])  # compiles
        times = [common.seconds(functools.partial(scorer.scores, x)) for _ in range(3)]
        result[count] = common.spread(times)
    return {"scoring": result}


def features():
    """Seconds of a training step, and of scoring 10,000 rows, by number of features."""
    steps, scoring = {}, {}
    for count in FEATURES:
        entry = with_features(zoo.entry("kdd99_alad"), count)
        fit = Fit(entry, 20 if count > 1_000 else 200)
        steps[count] = common.spread([fit() for _ in range(5)])
        scorer = Scorer.from_alad(fit.model)
        x = np.random.default_rng(0).uniform(0, 1, (10_000, count)).astype("float32")
        scorer.scores(x)
        times = [common.seconds(functools.partial(scorer.scores, x)) for _ in range(5)]
        scoring[count] = common.spread(times)
    return {"training step": steps, "scoring 10,000 rows": scoring}


def batch():
    """Seconds of a training step, by batch size."""
    entry, result = zoo.entry("kdd99_alad"), {}
    for size in BATCHES:
        fit = Fit(dataclasses.replace(entry, batch_size=size), 200)
        result[size] = common.spread([fit() for _ in range(5)])
    return {"training step": result}


def seeds():
    """Seconds of one step of every seed, by number of seeds, from seeds.json."""
    path = OUT / "seeds.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing. Run `python -m benchmarks.seeds` first.")
    found = read_json(path)["entries"]["kdd99_alad"]
    return {
        way: {
            int(count): {key: int(count) / value[key] for key in ("median", "min", "max")}
            for count, value in counts.items()
        }
        for way, counts in found.items()
    }


PARTS = {
    "rows": (rows, "rows scored"),
    "features": (features, "features"),
    "batch": (batch, "batch size"),
    "seeds": (seeds, "seeds, one step of each"),
}


def draw(part, curves):
    """The picture of one part, from its JSON: seconds over size, a line for each measured thing."""
    shown = {
        f"{name}: slope {curve['slope']:.2f}": (
            [int(size) for size in curve["seconds"]],
            [value["median"] * 1e3 for value in curve["seconds"].values()],
        )
        for name, curve in curves.items()
    }
    path, label = OUT / f"growth_{part}.png", PARTS[part][1]
    return lines(shown, path, label, "milliseconds", "KDD99's networks")


def main(
    only: Annotated[str, typer.Option(help="Parts, separated by commas.")] = ",".join(PARTS),
    redraw: Annotated[
        bool, typer.Option("--redraw", help="Only redraw the pictures, from the JSON.")
    ] = False,
):
    """Measure, write results/benchmarks/growth.json and a picture of each part."""
    path = OUT / "growth.json"
    results = read_json(path)["parts"] if path.is_file() else {}
    for part in [] if redraw else only.split(","):
        common.console.print(f"measuring: {part}", style="dim")
        results[part] = {
            name: {
                "seconds": {str(size): value for size, value in values.items()},
                "slope": slope([*values], [value["median"] for value in values.values()]),
            }
            for name, values in PARTS[part][0]().items()
        }
    for part, curves in results.items():
        common.console.print(f"picture   {draw(part, curves)}", highlight=False)
    table = [
        [part, name, f"{curve['slope']:.2f}"]
        for part, curves in results.items()
        for name, curve in curves.items()
    ]
    common.show("How cost grows", ["size", "time of", "slope"], table)
    if not redraw:
        common.write("growth", {"parts": results})


if __name__ == "__main__":
    typer.run(main)
