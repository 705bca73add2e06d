"""bfloat16 products against float32: a training step of an image entry, and a filter's gradient.

    python -m benchmarks.precision [--rounds 5]

The step is that of `alad train --precision`, inside `fit`. The gradient is that of the largest
convolutions of Table IX, alone: TensorFlow's own, and the one of `alad_tf.engine.kernels`.
"""

from typing import Annotated

import numpy as np
import tensorflow as tf
import typer

import zoo
from alad_tf.engine.kernels import filter_gradient
from benchmarks import common
from benchmarks.train_step import Fit

ENTRY, STEPS = "cifar10_alad", 6  # steps a round
SIZE, STRIDES, PADDING = 4, 2, "SAME"
LAYERS = {"128 to 256 maps": (16, 128, 256), "256 to 512 maps": (8, 256, 512)}
REPEATS = 10


def _tensorflows(x, upstream):
    return tf.raw_ops.Conv2DBackpropFilter(
        input=x,
        filter_sizes=(SIZE, SIZE, x.shape[-1], upstream.shape[-1]),
        out_backprop=upstream,
        strides=[1, STRIDES, STRIDES, 1],
        padding=PADDING,
    )


def _ours(x, upstream):
    return filter_gradient(x, upstream, SIZE, STRIDES, PADDING)


def gradients(batch, side, channels, outputs):
    """Ways to a filter's gradient: dict by name of functions that return seconds."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, side, side, channels))
    upstream = rng.standard_normal((batch, side // STRIDES, side // STRIDES, outputs))
    found = {}
    for name, function, dtype in (
        ("TensorFlow's, float32", _tensorflows, "float32"),
        ("TensorFlow's, bfloat16", _tensorflows, "bfloat16"),
        ("ours, bfloat16", _ours, "bfloat16"),
    ):
        inputs = tf.cast(x, dtype), tf.cast(upstream, dtype)
        compiled = tf.function(lambda a, b, f=function: tf.cast(f(a, b)[0, 0, 0, 0], tf.float32))

        def call(compiled=compiled, inputs=inputs):
            return compiled(*inputs).numpy()

        call()
        found[name] = lambda call=call: common.seconds(call, REPEATS)
    return found


def main(rounds: Annotated[int, typer.Option(min=1, help="Number of rounds.")] = common.ROUNDS):
    """Measure, print and write results/benchmarks/precision.json."""
    entry = zoo.entry(ENTRY)
    ways = {
        "float32": Fit(entry, STEPS, precision="float32"),
        "float32, without XLA": Fit(entry, STEPS, precision="float32", jit_compile=False),
        "bfloat16": Fit(entry, STEPS, precision="bfloat16"),
    }
    times = {"a training step": common.in_turns(ways, rounds)}
    for name, shape in LAYERS.items():
        ways = gradients(entry.batch_size, *shape)
        times[f"filter gradient, {name}"] = common.in_turns(ways, rounds)
    results = {}
    for what, found in times.items():
        base = next(iter(found))
        results[what] = {
            "seconds": {name: common.spread(values) for name, values in found.items()},
            "times_float32": {
                name: common.ratio(values, found[base])
                for name, values in found.items()
                if name != base
            },
        }
        rows = common.beside(results[what]["seconds"], results[what]["times_float32"])
        common.show(
            what, ["precision", "ms, median (minimum to maximum)", "relative to float32"], rows
        )
    common.write("precision", {"rounds": rounds, "entry": ENTRY, "parts": results})


if __name__ == "__main__":
    typer.run(main)
