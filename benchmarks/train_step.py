"""Training steps: ours against PyOD's, against the ways TensorFlow can run it, and the limit.

    python -m benchmarks.train_step [--entries kdd99_alad,...] [--rounds 5]

Our step holds both passes, spectral norm, D_zz, averages and the feed, as `fit` runs it; PyOD's is
its `train_step` alone, on rows that are ready.
"""

import time
from typing import Annotated

import keras
import numpy as np
import tensorflow as tf
import typer

import zoo
from benchmarks import common, flops, peers
from benchmarks.limit import Limit

ENTRIES = "kdd99_alad,arrhythmia_alad,cifar10_alad"
STEPS = {False: 1000, True: 12}  # steps a round, by is_image


class EpochTimes(keras.callbacks.Callback):
    """Seconds of each epoch, from its first batch's request to its last batch's end."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self._begun = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self._begun)


class Fit:
    """Our step inside `fit`: a round is an epoch of so many steps.

    Args:
        entry: `zoo._entry.Entry`.
        steps: int, steps an epoch.
        **options: of `Entry.build`, e.g. `spectral_norm`, `jit_compile`.
    """

    def __init__(self, entry, steps, **options):
        self.model, self.entry, self.steps, self.epoch = entry.build(0, **options), entry, steps, 0
        rows = (steps * entry.batch_size, *entry.x_shape)
        self.x = np.random.default_rng(0).uniform(0, 1, rows).astype("float32")
        self()  # compiles

    def __call__(self):
        times = EpochTimes()
        self.model.fit(
            self.x,
            batch_size=self.entry.batch_size,
            epochs=self.epoch + 1,
            initial_epoch=self.epoch,
            verbose=0,
            callbacks=[times],
        )
        self.epoch += 1
        return times.seconds[0] / self.steps


class OneByOne:
    """Our step called from Python: eagerly, or as a graph without XLA."""

    def __init__(self, entry, steps, graph):
        self.steps = steps
        model = entry.build(0, jit_compile=False)
        rows = (entry.batch_size, *entry.x_shape)
        x = tf.constant(np.random.default_rng(0).uniform(0, 1, rows).astype("float32"))
        step = tf.function(model.train_step) if graph else model.train_step
        self.step = lambda: float(step((x, x))["loss"])
        self.step()

    def __call__(self):
        return common.seconds(self.step, self.steps)


def measure(entry, rounds):
    """Times of one entry: dict by name of lists of seconds a step, and the limit's FLOPs."""
    steps = STEPS[entry.is_image]
    limit = Limit(flops.train_step(entry))
    measurements = {
        "ours, XLA": Fit(entry, steps),
        "products alone": limit.seconds,
        "ours, graph without XLA": OneByOne(entry, 2 if entry.is_image else 20, graph=True),
        "ours, eager": OneByOne(entry, 1 if entry.is_image else 2, graph=False),
    }
    if not entry.is_image:
        rng = np.random.default_rng(0)
        x = rng.uniform(0, 1, (1000, *entry.x_shape)).astype("float32")
        z = rng.standard_normal((entry.batch_size, entry.latent_dim))
        measurements["ours, XLA, no spectral norm"] = Fit(entry, steps, spectral_norm=False)
        for name, norm in (("PyOD", True), ("PyOD, no spectral norm", False)):
            step = peers.pyod_step(peers.pyod_alad(entry, x, norm), x[: entry.batch_size], z)
            step()
            measurements[name] = lambda step=step: common.seconds(step, 50)
    return common.in_turns(measurements, rounds), limit.flops


def summarise(times, flops):
    """What the JSON holds of one entry."""
    ours, limit = times["ours, XLA"], times["products alone"]
    result = {
        "gflop_per_step": flops / 1e9,
        "seconds": {name: common.spread(values) for name, values in times.items()},
        "times_ours": {
            name: common.ratio(values, ours) for name, values in times.items() if values is not ours
        },
        "share_of_limit": common.ratio(limit, ours),
        "limit_gflops": common.spread([flops / 1e9 / s for s in limit]),
    }
    if "PyOD, no spectral norm" in times:
        result["pyod_over_ours_both_without_spectral_norm"] = common.ratio(
            times["PyOD, no spectral norm"], times["ours, XLA, no spectral norm"]
        )
    return result


def main(
    entries: Annotated[str, typer.Option(help="Entries, separated by commas.")] = ENTRIES,
    rounds: Annotated[
        int, typer.Option(min=1, help="Number of rounds, of which medians are taken.")
    ] = 5,
):
    """Measure, print and write results/benchmarks/train_step.json."""
    results = {}
    for name in entries.split(","):
        entry = zoo.entry(name)
        times, flops = measure(entry, rounds)
        result = results[name] = summarise(times, flops)
        rows = common.beside(result["seconds"], result["times_ours"])
        title = (
            f"{name}, batch {entry.batch_size}: {result['gflop_per_step']:.3f} GFLOP a step; "
            f"{result['share_of_limit']['median']:.0%} of the products' rate"
        )
        common.show(title, ["step", "ms, median (minimum to maximum)", "relative to ours"], rows)
    common.write("train_step", {"rounds": rounds, "entries": results}, ["pyod", "torch"])


if __name__ == "__main__":
    typer.run(main)
