"""Use a GPU, even for a quarter of an hour: measure its speed, then make CIFAR-10's runs.

    python -m benchmarks.gpu [--only measure|train] [--minutes 10] [--side-by-side 4]

Measured are a training step of CIFAR-10's networks in float32 (TF32 products) and in bfloat16, as a
share of what one large product reaches on the card; scoring; and one step's losses beside those of
the CPU. Then the runs that the paper's tables and figures of CIFAR-10 still need are made, several
side by side, the first seed of every class first, until the minutes are used up. Each writes its
result as it ends. A run that is cut short goes on from its checkpoint the next time.
"""

import collections
import contextlib
import functools
import multiprocessing
import os
import threading
import time
from pathlib import Path
from typing import Annotated

import keras
import numpy as np
import tensorflow as tf
import typer
from rich.console import Console

import zoo
from alad_tf.engine import machine
from alad_tf.engine.files import read_json, write_json
from alad_tf.engine.kernels import PRECISIONS
from alad_tf.experiments import RESULTS
from alad_tf.experiments.plan import plan
from alad_tf.experiments.publish import publish
from alad_tf.experiments.run import train
from alad_tf.model.scorer import Scorer
from benchmarks import common, flops
from benchmarks.train_step import Fit

ENTRY = "cifar10_alad"
EXPERIMENTS = ("figure10", "figure8", "figure4")  # CIFAR-10 by class; ablations; AnoGAN
TRAINED = ("cifar10_alad", "cifar10_anogan")  # the others of figure4 gain nothing by a GPU
SIDE = 8192  # of the large product
STEPS, IMAGES = 110, 4096  # of a round
BLOCKS = (32, 512)  # images that are scored together
PARTIAL = Path("results/benchmarks/gpu.partial.json")


# -------------------------------------------------------------------- measuring


def measure(rounds, path=PARTIAL):
    """The speed of the card: a JSON-able dict.

    Compiling takes minutes, so what is measured so far is kept at `path`; a measurement that was
    cut short goes on from there, on the same card and commit.
    """
    entry = zoo.entry(ENTRY)
    x = np.random.default_rng(0).uniform(-1, 1, (IMAGES, *entry.x_shape)).astype("float32")
    operations = flops.total(flops.train_step(entry))
    parts = {
        **{
            ("steps", name): functools.partial(_step, entry, name, rounds, operations)
            for name in PRECISIONS
        },
        **{
            ("images_per_second", f"block of {block}"): functools.partial(
                _scoring, entry, x, block, rounds
            )
            for block in BLOCKS
        },
        ("beside_the_cpu", "losses"): functools.partial(agreement, entry),
        ("beside_the_cpu", "scores"): functools.partial(same_scores, entry, x[: 8 * max(BLOCKS)]),
    }
    about = {"hardware": machine.hardware(), "commit": machine.commit(), "rounds": rounds}
    found = {**about, "gflop_per_step": operations / 1e9}
    if path.is_file():
        kept = read_json(path)
        found = kept if {name: kept.get(name) for name in about} == about else found
    for (group, name), part in parts.items():
        if name not in found.setdefault(group, {}):
            begun = time.perf_counter()
            found[group][name] = part()
            taken = time.perf_counter() - begun
            common.console.print(f"{group}, {name}: {taken:.0f} s", highlight=False)
            write_json(path, found)
    return found


def _step(entry, precision, rounds, operations):
    """A training step of a precision in turns with one large product: dict of spreads."""
    parts = {"product": _product(precision)}
    parts["step"] = Fit(entry, STEPS, precision=precision, jit_compile=True)
    times = common.in_turns(parts, rounds)
    rate = [2 * SIDE**3 / seconds for seconds in times["product"]]
    reached = [operations / seconds for seconds in times["step"]]
    return {
        "seconds": common.spread(times["step"]),
        "tflops": common.spread([value / 1e12 for value in reached]),
        "product_tflops": common.spread([value / 1e12 for value in rate]),
        "share_of_product": common.ratio(reached, rate),
    }


def _product(precision):
    """Seconds of one product of two large matrices."""
    dtype = keras.dtype_policies.get(PRECISIONS[precision]).compute_dtype
    a = tf.cast(tf.random.normal((SIDE, SIDE)), dtype)
    product = tf.function(lambda a, b: tf.reduce_sum(a @ b), jit_compile=True)
    float(product(a, a))

    def seconds():
        begun = time.perf_counter()
        for _ in range(9):
            product(a, a)
        float(product(a, a))  # waits for all of them
        return (time.perf_counter() - begun) / 10

    return seconds


def _scoring(entry, x, block, rounds):
    """Images scored per second, block by block: a spread."""
    scorer = Scorer.from_alad(entry.build(0), block=block)
    scorer.scores(x)  # compiles
    times = [common.seconds(lambda: scorer.scores(x)) for _ in range(rounds)]
    return common.spread([len(x) / seconds for seconds in times])


def agreement(entry):
    """One step's losses from the same weights and draws, here and on the CPU in float32.

    Returns:
        dict by precision ("float32 without TF32" among them) of the largest relative difference of
        a loss.
    """
    x = np.random.default_rng(1).uniform(-1, 1, (entry.batch_size, *entry.x_shape))
    x = x.astype("float32")
    with tf.device("/CPU:0"):
        expected = _losses(entry, x, "float32")
    found = {name: _losses(entry, x, name) for name in PRECISIONS}
    tf.config.experimental.enable_tensor_float_32_execution(False)
    found["float32 without TF32"] = _losses(entry, x, "float32")
    tf.config.experimental.enable_tensor_float_32_execution(True)
    return {
        name: max(abs(losses[k] - value) / abs(value) for k, value in expected.items())
        for name, losses in found.items()
    }


def same_scores(entry, x):
    """The largest relative difference of a score of many blocks from the CPU's, by score."""
    scorer = Scorer.from_alad(entry.build(0))
    found = scorer.scores(x)
    with tf.device("/CPU:0"):
        expected = scorer(tf.constant(x))
    differences = {k: np.abs(found[k] - v) / np.abs(v) for k, v in expected.items() if k in found}
    return {name: float(np.max(values)) for name, values in differences.items()}


def _losses(entry, x, precision):
    model = entry.build(0, precision=precision, jit_compile=False)
    x = tf.constant(x)
    return {name: float(value) for name, value in model.train_step((x, x)).items()}


# --------------------------------------------------------------------- training


def due(results):
    """The runs to make: a seed of all classes, then the next one and the first of the others."""
    entries = {name: zoo.entry(name) for name in zoo.list()}
    jobs = plan(EXPERIMENTS, entries, results, only=TRAINED)
    return sorted((job for job in jobs if job.state != "done"), key=_round)


def make_runs(jobs, side_by_side, deadline, results, data_dir, presets):
    """Make runs until `deadline`, in seconds since the epoch: number of those that were made.

    Each of the processes makes one run after the other, of the same networks where there is a
    choice, so that it compiles few programs. None is begun that would end too late, by the longest
    run so far.
    """
    context = multiprocessing.get_context("spawn")  # a fork would share the parent's GPU
    publishing, taking = context.Lock(), threading.Lock()
    waiting, kinds, seconds = list(jobs), [set() for _ in range(side_by_side)], []

    def take(own):
        """The next run for a process that has compiled the kinds `own`."""
        with taking:
            if not waiting or time.time() + max(seconds, default=0.0) > deadline:
                return None
            urgent = [job for job in waiting if _round(job) == _round(waiting[0])]
            others = collections.Counter(kind for some in kinds for kind in some)
            job = min(urgent, key=lambda job: (_kind(job) not in own, others[_kind(job)]))
            waiting.remove(job)
            own.add(_kind(job))
            return job

    def serve(own):
        here, there = context.Pipe()
        options = (there, publishing, results, data_dir, presets)
        process = context.Process(target=_work, args=options)
        process.start()
        there.close()
        with contextlib.suppress(EOFError):  # the process was killed; the others go on
            while (job := take(own)) is not None:
                here.send((job.entry.name, job.settings))
                if (taken := here.recv()) is not None:
                    seconds.append(taken)
        here.close()
        process.join()

    threads = [threading.Thread(target=serve, args=(own,)) for own in kinds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(seconds)


def _round(job):
    """Order of the runs: a seed of all classes, then the next one and the first of the others."""
    return job.settings.seed + (_kind(job) != (ENTRY, True, True))


def _kind(job):
    """What the training program depends on."""
    return job.entry.name, job.settings.spectral_norm, job.settings.latent_discriminator


def _work(connection, publishing, results, data_dir, presets):
    """Make the runs that are sent, and answer with their seconds, or None for one that failed."""
    console = Console(width=160)
    with contextlib.suppress(EOFError):  # there are no more
        while True:
            name, settings = connection.recv()
            begun, entry = time.time(), zoo.entry(name)
            label = f"{name}/{settings.variant}/seed{settings.seed}"
            try:
                result, folder = train(entry, settings, None, results, data_dir, resume=True)
                if presets and settings.seed == 0 and settings.variant == _variant(result):
                    with publishing:  # the registry is one file
                        publish(folder, data_dir)
            except Exception as error:  # the other runs go on
                console.print(f"{label}: {type(error).__name__}: {error}", highlight=False)
                connection.send(None)
                continue
            taken = time.time() - begun
            console.print(
                f"{label}: AUROC {result['metrics'][entry.score]['auroc']:.3f}, "
                f"{result['epochs']} epochs, {result['wall_s']:.0f} s of training, {taken:.0f} s "
                "in all",
                highlight=False,
            )
            connection.send(taken)


def _variant(result):
    """The variant's name if nothing differs from the entry but the class."""
    return f"class{result['normal_class']}"


# ---------------------------------------------------------------------- command


def main(
    only: Annotated[str, typer.Option(help="measure or train; default: both.")] = "",
    minutes: Annotated[
        float,
        typer.Option(min=0, help="Time limit for the runs in minutes, counted from the start."),
    ] = 10.0,
    side_by_side: Annotated[int, typer.Option(min=1, help="Number of runs at a time.")] = 4,
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds of measurements.")] = 5,
    results: Annotated[Path, typer.Option(help="Folder of the results.")] = RESULTS,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of CIFAR-10, as TensorFlow Datasets prepares it.")
    ] = None,
    presets: Annotated[
        bool, typer.Option(help="Make the first seed of each class the pretrained preset.")
    ] = False,
):
    """Measure, write results/benchmarks/gpu.json; then make runs until the time is used up."""
    deadline = time.time() + 60 * minutes
    if only not in ("", "measure", "train"):
        raise typer.BadParameter(f"received {only!r}; expected measure or train.")
    if not tf.config.list_physical_devices("GPU"):
        raise SystemExit("TensorFlow finds no GPU. On a CPU, use alad reproduce figure10 figure8.")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # the runs share the card
    if only != "measure":
        jobs = due(results)
        common.console.print(f"{len(jobs)} runs to make", highlight=False)
        made = make_runs(jobs, side_by_side, deadline, results, data_dir, presets)
        common.console.print(f"{made} runs made", highlight=False)
    if only != "train":
        common.write("gpu", measure(rounds))
        PARTIAL.unlink()


if __name__ == "__main__":
    typer.run(main)
