"""Several seeds at once: in processes with cores of their own, or in one compiled program.

    python -m benchmarks.seeds [--entries kdd99_alad,arrhythmia_alad] [--rounds 5]

Reproducing a table means many small networks. Aggregate steps/s of n seeds: processes confined to
one core each (what `alad train --seeds ... --jobs` does), processes left to the scheduler, and n
models whose steps stand in one program.
"""

import multiprocessing
import os
import time
from typing import Annotated

import numpy as np
import typer

import zoo
from benchmarks import common

ENTRIES = "kdd99_alad,arrhythmia_alad"
COUNTS = (1, 2, 4, 8)
CHUNK, CALLS = 100, 10  # steps a call, calls a round


class Together:
    """So many seeds of an entry, stepping side by side in one compiled program."""

    def __init__(self, name, count):
        import tensorflow as tf

        entry = zoo.entry(name)
        models = [entry.build(seed) for seed in range(count)]
        shape = (2, CHUNK, entry.batch_size, *entry.x_shape)
        x_d, x_g = np.random.default_rng(0).uniform(0, 1, shape).astype("float32")
        x_d, x_g = tf.constant(x_d), tf.constant(x_g)

        def steps(limit):
            noise = [m.noise(entry.batch_size, tf.range(CHUNK)) for m in models]

            def body(i):
                for model, z in zip(models, noise, strict=True):
                    model.train_step((x_d[i], x_g[i], z[i]))
                return (i + 1,)

            tf.while_loop(lambda i: i < limit, body, (tf.constant(0),))
            return tf.add_n([model.metrics[0].result()["loss"] for model in models])

        compiled = tf.function(steps, jit_compile=True)
        self.count, self.run = count, lambda: float(compiled(tf.constant(CHUNK)))
        self.run()

    def __call__(self):
        """Aggregate steps/s, measured now."""
        return self.count * CHUNK / common.seconds(self.run, CALLS)


def _worker(name, core, ready, rounds, pipe):
    if core is not None:
        os.sched_setaffinity(0, {core})  # before TensorFlow counts the cores
    one = Together(name, 1)
    times = []
    for _ in range(rounds):
        ready.wait()  # all measure at once
        times.append(one())
    pipe.send(times)


def processes(name, count, rounds, confined):
    """Aggregate steps/s of so many processes at once, one seed each: list, one a round."""
    cores = sorted(os.sched_getaffinity(0))
    context = multiprocessing.get_context("spawn")
    ready, workers = context.Barrier(count), []
    for number in range(count):
        core = cores[number % len(cores)] if confined else None
        ours, theirs = context.Pipe()
        process = context.Process(target=_worker, args=(name, core, ready, rounds, theirs))
        process.start()
        workers.append((process, ours))
    times = [pipe.recv() for _, pipe in workers]
    for process, _ in workers:
        process.join()
    return [sum(values) for values in zip(*times, strict=True)]


def measure(name, rounds):
    """Aggregate steps/s by way and by number of seeds."""
    cores = len(os.sched_getaffinity(0))
    result = {"processes, a core each": {}, "processes, free": {}, "one program": {}}
    for count in COUNTS:
        common.console.print(f"{name}: {count} seeds", style="dim")
        together = Together(name, count)
        times = [together() for _ in range(rounds)]
        result["one program"][count] = common.spread(times)
        if count <= 2 * cores:
            for way, confined in (("processes, a core each", True), ("processes, free", False)):
                result[way][count] = common.spread(processes(name, count, rounds, confined))
    return result


def main(
    entries: Annotated[str, typer.Option(help="Entries, separated by commas.")] = ENTRIES,
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds.")] = 5,
):
    """Measure, print and write results/benchmarks/seeds.json."""
    begun = time.time()
    results = {name: measure(name, rounds) for name in entries.split(",")}
    rows = [
        [name, way, str(count), common.median_range(value, 1, 0)]
        for name, ways in results.items()
        for way, counts in ways.items()
        for count, value in counts.items()
    ]
    header = ["entry", "method", "seeds", "total steps/s, median (minimum to maximum)"]
    common.show("Seeds side by side", header, rows)
    common.write("seeds", {"rounds": rounds, "wall_s": time.time() - begun, "entries": results})


if __name__ == "__main__":
    typer.run(main)
