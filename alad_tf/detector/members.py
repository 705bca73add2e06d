"""Several ALADs of one architecture, trained side by side by one compiled program."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from alad_tf.detector.history import BLOCK, History
from alad_tf.engine.feed import PairedBatches
from alad_tf.engine.machine import cores
from alad_tf.engine.random import derive_seed
from alad_tf.engine.state_file import StateFile, identity_of


def train_members(models, x, batch_size, steps, report=None, checkpoint=None, history=None):
    """Train compiled models of one architecture, each from its own seed, on the same rows.

    Each is trained as by `ALAD.fit`, with the same program, but in chunks of steps that do not end
    with an epoch. Members train in parallel, on a core each.

    Args:
        models: sequence of compiled `ALAD`s that differ only in their seeds; changed in place. A
            model that was trained before continues where it stopped.
        x: float32 array (N, *x_shape), preprocessed normal rows.
        batch_size: int, at most N.
        steps: int, training steps of each member.
        report: function of the number of steps done since its last call, over all members; called
            from several threads. None for none.
        checkpoint: str or Path of a folder to which the members' states are written every half
            minute. If the process is killed, the same call continues from there and ends with the
            same weights as without interruption. None: no checkpoints.
        history: `alad_tf.detector.history.History` on which `begin` was called: it calls callbacks
            and stores the losses of each block of steps. None for none.

    Returns:
        list of dicts, each member's losses, averaged over these steps.

    Raises:
        ValueError: if the models have several architectures, or the rows do not fit them.
        FloatingPointError: if a loss is not finite.

    Example:
        >>> import numpy as np
        >>> import zoo
        >>> x = np.random.default_rng(0).normal(size=(64, 30)).astype("float32")
        >>> models = [zoo.entry("breast_cancer_alad").build(seed) for seed in (0, 1)]
        >>> [sorted(losses)[0] for losses in train_members(models, x, 32, steps=2)]
        ['D_xx', 'D_xx']

    Source: the paper trains one model; members are runs with several seeds.
    """
    keys = {model.training_key() for model in models}
    if len(keys) != 1:
        raise ValueError(
            f"received {len(models)} models of {len(keys)} architectures; expected members "
            "that differ only in their seeds."
        )
    whole = "" if checkpoint is None else identity_of(*keys, batch_size, steps, x)
    stop, history = threading.Event(), history or History().begin(models, steps)

    def train(number, model):
        """Train a member, and yield the losses of each block of steps."""
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
        sums = _sums(model, done)
        for _ in range(history.blocks if done == steps else done // BLOCK):
            yield {}
        ends = BLOCK * (done // BLOCK + 1)
        for *batches, count in feed.across_epochs(first + done, steps - done):
            model.advance(*batches, count)
            kept.write(variables)
            if stop.is_set():
                return
            if report is not None:
                report(int(count))
            done += int(count)
            if done >= min(ends, steps):
                before, sums = sums, _sums(model, done)
                taken = sums["steps"] - before["steps"]
                yield {k: (v - before[k]) / taken for k, v in sums.items() if k != "steps"}
                ends += BLOCK

    trainings = [train(*one) for one in enumerate(models)]
    with ThreadPoolExecutor(min(len(models), cores())) as pool:
        if history.callbacks:  # callbacks are called once all members have ended a block
            for block in range(history.blocks):
                history.block_begins(block)
                losses = _results([pool.submit(next, one, {}) for one in trainings], stop)
                if not history.block_ends(block, losses):
                    break
        else:
            by_member = _results([pool.submit(list, one) for one in trainings], stop)
            for block, losses in enumerate(zip(*by_member, strict=True)):
                history.block_ends(block, losses)
    history.end()
    losses = [_means(model) for model in models]
    for model, found in zip(models, losses, strict=True):
        if not math.isfinite(found["loss"]):
            raise FloatingPointError(
                f"Training diverged: the loss of the member with seed {model.seed} is "
                f"{found['loss']}. Look for columns with extreme values, or lower the "
                "learning rate (`learning_rate` in Python)."
            )
    return losses


def _means(model):
    return {name: float(mean) for name, mean in model.metrics[0].result().items()}


def _sums(model, steps):
    """The number of steps so far, and the sums of the losses over them."""
    return {"steps": steps} | {name: mean * steps for name, mean in _means(model).items()}


def _results(futures, stop):
    """The results of all futures; an error or interrupt stops all members."""
    try:
        for done in as_completed(futures):
            done.result()
    except BaseException:
        stop.set()
        raise
    return [future.result() for future in futures]
