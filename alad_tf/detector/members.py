"""Several ALADs of one architecture, trained side by side by one compiled program."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from alad_tf.engine.feed import PairedBatches
from alad_tf.engine.machine import cores
from alad_tf.engine.random import derive_seed
from alad_tf.engine.state_file import StateFile, identity_of


def train_members(models, x, batch_size, steps, report=None, checkpoint=None):
    """Train compiled models of one architecture, each from its own seed, on the same rows.

    What `ALAD.fit` does with each of them, by the same program, but in chunks of steps that do not
    end with an epoch. Members train side by side, a core each.

    Args:
        models: sequence of compiled `ALAD`s that differ in nothing but their seeds; changed in
            place. A model that has trained before goes on where it stopped.
        x: float32 array (N, *x_shape), preprocessed normal rows.
        batch_size: int, at most N.
        steps: int, training steps of each member.
        report: function of the steps that were done since the last report (all members counted),
            called from several threads; None for none.
        checkpoint: str or Path of a folder that the members' states are written to every half a
            minute; the same call after a kill goes on from there, and ends with the weights of an
            unbroken one. None keeps nothing.

    Returns:
        list of dicts, for each member its losses' means over these steps.

    Raises:
        ValueError: models of several architectures, or rows that do not fit them.
        FloatingPointError: a loss that is not finite.

    Example:
        >>> import numpy as np
        >>> import zoo
        >>> x = np.random.default_rng(0).normal(size=(64, 30)).astype("float32")
        >>> models = [zoo.entry("breast_cancer_alad").build(seed) for seed in (0, 1)]
        >>> [sorted(losses)[0] for losses in train_members(models, x, 32, steps=2)]
        ['D_xx', 'D_xx']

    Source: the paper trains one model; members are its runs of several seeds.
    """
    keys = {model.training_key() for model in models}
    if len(keys) != 1:
        raise ValueError(
            f"Members of an ensemble differ in their seeds alone; received {len(models)} models of "
            f"{len(keys)} architectures."
        )
    whole = "" if checkpoint is None else identity_of(*keys, batch_size, steps, x)
    stop = threading.Event()

    def train(number, model):
        feed = PairedBatches(x, batch_size, derive_seed(model.seed, 2))
        feed.check(model.x_shape, model.orders)
        model.reset_metrics()
        variables, first = model.state_variables(), int(model.step.value)
        path = None if checkpoint is None else Path(checkpoint) / f"member{number}.npz"
        kept = StateFile(path, identity_of(whole, model.seed, first))
        for variable, value in zip(variables, kept.read() or variables, strict=True):
            if value is not variable:
                variable.assign(value)
        done = int(model.step.value) - first
        if report is not None and done:
            report(done)
        for *batches, count in feed.across_epochs(first + done, steps - done):
            model.advance(*batches, count)
            kept.write(variables)
            if stop.is_set():
                break
            if report is not None:
                report(int(count))
        return {name: float(mean) for name, mean in model.metrics[0].result().items()}

    with ThreadPoolExecutor(min(len(models), cores())) as pool:
        futures = [pool.submit(train, *one) for one in enumerate(models)]
        try:
            for done in as_completed(futures):
                done.result()
        except BaseException:  # an error or an interrupt: no member goes on
            stop.set()
            raise
    losses = [future.result() for future in futures]
    for model, found in zip(models, losses, strict=True):
        if not math.isfinite(found["loss"]):
            raise FloatingPointError(
                f"The loss of the member with seed {model.seed} is {found['loss']}. Lower the "
                "learning rate, or look for columns with extreme values."
            )
    return losses
