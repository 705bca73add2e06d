"""Batch norm's statistics under averaged weights: as training leaves them, or recomputed.

    python -m benchmarks.batch_norm [--detector runs/cifar10_alad/class1/seed0/detector]

The scorer has averaged weights, but the moving means and variances are those that the raw weights
saw. Here they are recomputed over the training images, with the averaged weights (as
stochastic weight averaging does): E's from x, G's from E(x) or from both its inputs. AUROC of the
test images before and after.
"""

from typing import Annotated

import numpy as np
import tensorflow as tf
import typer

import zoo
from alad_tf.detector.detector import Detector
from alad_tf.experiments.settings import Settings, prepare
from benchmarks import common

BATCH = 32  # as in training


def recount(network, batches):
    """Replace the moving statistics of a stack by means over batches.

    Args:
        network: `Stack`, changed in place.
        batches: list of float32 arrays (B, ...), the stack's inputs.
    """
    layers = [layer for layer in network.steps if hasattr(layer, "moving_mean")]
    for number, batch in enumerate(batches):
        for layer in layers:
            layer.momentum = number / (number + 1)  # the mean of all batches so far
        network(tf.constant(batch), training=True)


def in_batches(x):
    whole = len(x) // BATCH * BATCH
    return np.split(x[:whole], whole // BATCH)


def measure(detector, data):
    """AUROC of every score, before and after: dict by name of dicts by score."""
    scorer, x_train = detector.scorer, data.transformed("train")
    x_test, weights = data.transformed("test"), scorer.get_weights()

    def aurocs():
        metrics = data.evaluate(scorer.scores(x_test))
        return {score: values["auroc"] for score, values in metrics.items()}

    found = {"as training leaves them": aurocs()}
    noise = np.random.default_rng(0).standard_normal((len(x_train), scorer.latent_dim))
    for name, with_noise in (("anew, G from E(x)", False), ("anew, G from E(x) and z", True)):
        scorer.set_weights(weights)
        recount(scorer.E, in_batches(x_train))
        codes = np.concatenate([scorer.E(batch).numpy() for batch in in_batches(x_train)])
        inputs = in_batches(codes.reshape(len(codes), -1))
        if with_noise:
            pairs = zip(inputs, in_batches(noise.astype("float32")), strict=True)
            inputs = [batch for pair in pairs for batch in pair]
        recount(scorer.G, inputs)
        found[name] = aurocs()
    return found


def main(
    detector: Annotated[
        str, typer.Option(help="The detector of a run; default: the preset for airplane.")
    ] = "",
    data_dir: Annotated[str | None, typer.Option()] = None,
):
    loaded = Detector.load(detector) if detector else zoo.load("cifar10_alad", normal_class=0)
    run = loaded.metadata
    settings = Settings(normal_class=run["normal_class"])
    data = prepare(zoo.entry(run["entry"]), settings, data_dir)
    found = measure(loaded, data)
    names = list(next(iter(found.values())))
    rows = [[name, *(f"{values[n]:.4f}" for n in names)] for name, values in found.items()]
    common.show(f"{run['entry']}, {run['variant']}, seed {run['seed']}", ["", *names], rows)
    about = {key: run[key] for key in ("entry", "variant", "seed")}
    common.write("batch_norm", {**about, "train_rows": len(data.split.train), "auroc": found})


if __name__ == "__main__":
    typer.run(main)
