"""Table IV: inference time of a batch, AnoGAN's search of 500 steps against ALAD's one pass.

    python -m benchmarks.anogan [--rounds 5]

AnoGAN three ways: all steps in one compiled program (tables), a compiled call a step, and a call a
step of a graph without XLA, as one `sess.run` a step was. ALAD scores batches of the paper's size.
The networks are untrained: weights do not change the time.
"""

import time
from typing import Annotated

import numpy as np
import tensorflow as tf
import typer

import zoo
from alad_tf.baselines.latent_search import LatentSearch
from alad_tf.experiments.paper import TABLE_FOUR
from benchmarks import common

SPEED_UP = {"kdd99": 900, "arrhythmia": 30, "cifar10": 1000}  # as Table IV prints it, about
STEPS = 500


class Published(LatentSearch):
    """The search as it was published: a graph without XLA, and one call of it a step."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, loop=False, **kwargs)
        self._compiled_step = tf.function(self._step)


def searches(dataset, batch):
    """Functions by name: a whole search of one batch, and the steps that each makes.

    A search without XLA on images would take minutes a round: it makes 20 steps, and its time is
    stated for 500.
    """
    entry = zoo.entry(f"{dataset}_anogan")
    networks = entry.build_networks()
    shapes = (networks["G"], networks["D"], entry.x_shape, entry.latent_dim)
    x = np.random.default_rng(0).uniform(0, 1, (batch, *entry.x_shape)).astype("float32")
    few = 20 if entry.is_image else STEPS
    made = {
        "AnoGAN, compiled, a call a step": (LatentSearch(*shapes, steps=STEPS, loop=False), STEPS),
        "AnoGAN, as published, a call a step": (Published(*shapes, steps=few), few),
    }
    if not entry.is_image:
        whole = LatentSearch(*shapes, steps=STEPS, loop=True)
        made = {"AnoGAN, one compiled program": (whole, STEPS), **made}
    return {
        name: (lambda search=search: search(x), steps) for name, (search, steps) in made.items()
    }


def warm(search):
    begun = time.perf_counter()
    search()
    return time.perf_counter() - begun


def measure(dataset, rounds):
    """Seconds of a batch, by name, one a round."""
    batch = TABLE_FOUR[dataset][0]
    scorer = zoo.load(f"{dataset}_alad").scorer
    x = np.random.default_rng(1).uniform(0, 1, (batch, *scorer.x_shape)).astype("float32")
    scorer.scores(x)
    measurements = {"ALAD": lambda: common.seconds(lambda: scorer.scores(x), 20)}
    for name, (search, steps) in searches(dataset, batch).items():
        common.console.print(f"{dataset}: {name}, first call {warm(search):.1f} s", style="dim")
        measurements[name] = lambda s=search, n=steps: common.seconds(s) * STEPS / n
    return common.in_turns(measurements, rounds)


def main(rounds: Annotated[int, typer.Option(min=1, help="Number of rounds.")] = 5):
    """Measure, print and write results/benchmarks/anogan.json."""
    results, rows = {}, []
    for dataset, speed_up in SPEED_UP.items():
        batch, anogan, alad = TABLE_FOUR[dataset]
        times = measure(dataset, rounds)
        ours = times["ALAD"]
        results[dataset] = {
            "batch": batch,
            "seconds": {name: common.spread(values) for name, values in times.items()},
            "speed_up": {name: common.ratio(v, ours) for name, v in times.items() if v is not ours},
            "paper": {"anogan_ms": anogan, "alad_ms": alad, "speed_up": speed_up},
        }
        for name, values in times.items():
            ratio = results[dataset]["speed_up"].get(name)
            rows.append(
                [
                    dataset,
                    str(batch),
                    name,
                    common.median_range(common.spread(values), digits=2),
                    common.median_range(ratio, 1, 0) if ratio else "",
                ]
            )
        rows.append(
            [dataset, str(batch), "paper: AnoGAN, ALAD", f"{anogan}, {alad}", f"~ {speed_up}"]
        )
    header = [
        "data",
        "batch",
        "method",
        "ms per batch, median (minimum to maximum)",
        "ALAD's speed-up",
    ]
    common.show("Table IV: inference time", header, rows)
    common.write("anogan", {"rounds": rounds, "steps": STEPS, "datasets": results})


if __name__ == "__main__":
    typer.run(main)
