"""Several ALADs of one architecture, trained by one compiled program that is kept for the next."""

import functools
import json
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import keras
import tensorflow as tf

from alad_tf.alad import ALAD
from alad_tf.checkpoint import Checkpoint, identity_of
from alad_tf.feed import PairedBatches
from alad_tf.layers import SeededDropout
from alad_tf.machine import cores
from alad_tf.programs import require_room
from alad_tf.random import derive_seed

KEPT = 8  # programs, some 150 MiB each with their graphs
CHUNK, CHUNK_BYTES = 50, 2**22  # steps of a call, and the most bytes of its batches
CALLS = 128  # uses of randomness in a step, at most: see `alad_tf.step.Calls`


def train_members(models, x, batch_size, steps, report=None, checkpoint=None):
    """Train compiled models of one architecture, each from its own seed, on the same rows.

    What `ALAD.fit` does with each of them, to the bit where both make many steps a call; but the
    program is a function of a model's whole state, so that XLA compiles it once for all members,
    for the next fit of a grid search, and for every table of as many columns. Members train side by
    side, a core each.

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
    keys = {_key(model, batch_size, 0) for model in models}
    if len(keys) != 1:
        raise ValueError(
            f"Members of an ensemble differ in their seeds alone; received {len(models)} models of "
            f"{len(keys)} architectures."
        )
    step_bytes = 2 * batch_size * x[0].nbytes
    chunk = max(1, min(CHUNK, CHUNK_BYTES // step_bytes)) if x.ndim == 2 else 1
    key = _key(models[0], batch_size, chunk)
    program = _program(key)
    whole = "" if checkpoint is None else identity_of(key, steps, x)
    stop = threading.Event()

    def train(number, model):
        feed = PairedBatches(x, batch_size, derive_seed(model.seed, 2))
        feed.check(model.x_shape, model.orders)
        model.reset_metrics()
        variables, first = state_of(model), int(model.step.value)
        path = None if checkpoint is None else Path(checkpoint) / f"member{number}.npz"
        kept = Checkpoint(path, identity_of(whole, model.seed, first))
        state = [tf.constant(v) for v in kept.read() or [v.numpy() for v in variables]]
        step = next(i for i, v in enumerate(variables) if v is model.step)
        done = int(state[step]) - first
        if report is not None and done:
            report(done)
        seeds = tf.constant(_seeds(model), tf.int32)
        for x_d, x_g, count in feed.across_epochs(first + done, steps - done, chunk):
            state = program(x_d, x_g, count, seeds, state)
            kept.write(state)
            if stop.is_set():
                break
            if report is not None:
                report(int(count))
        for variable, value in zip(variables, state, strict=True):
            variable.assign(value)
        return {name: float(mean) for name, mean in model._loss_means.result().items()}

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
        if not tf.math.is_finite(found["loss"]):
            raise FloatingPointError(
                f"The loss of the member with seed {model.seed} is {found['loss']}. Lower the "
                "learning rate, or look for columns with extreme values."
            )
    return losses


def state_of(model):
    """All that training changes: weights, averages, step, means of losses, Adam's moments."""
    optimizers = [getattr(model, f"optimizer_{name}") for name in model.optimized]
    variables = [*model.variables, *model._loss_means.variables]
    variables += [v for optimizer in optimizers for v in optimizer.variables]
    return list({id(v): v for v in variables}.values())


class _Template(ALAD):
    """An `ALAD` whose steps are traced as a function of tensors that stand for its variables."""

    def salt(self, call):
        return self.seeds[call]

    def update_weights(self, optimizer, gradients, variables):
        """Adam, as `keras.optimizers.Adam.update_step`, which takes variables and no tensors."""
        step = tf.cast(optimizer.iterations.value + 1, tf.float32)
        b1, b2 = optimizer.beta_1, optimizer.beta_2
        rate = optimizer.learning_rate.value * tf.sqrt(1 - b2**step) / (1 - b1**step)
        moments = zip(optimizer._momentums, optimizer._velocities, strict=True)
        for gradient, variable, (m, v) in zip(gradients, variables, moments, strict=True):
            m.assign(m.value + (gradient - m.value) * (1 - b1))
            v.assign(v.value + (tf.square(gradient) - v.value) * (1 - b2))
            variable.assign(
                variable.value - m.value * rate / (tf.sqrt(v.value) + optimizer.epsilon)
            )
        optimizer.iterations.assign(optimizer.iterations.value + 1)

    def steps_of(self, x_d, x_g, count, seeds, state):
        """`count` steps from a state: the state after them."""
        variables = state_of(self)
        layers = _dropouts(self)
        own = [layer.seed for layer in layers]
        self.seeds = seeds
        try:
            for layer, seed in zip(layers, tf.unstack(seeds[CALLS:], len(layers)), strict=True):
                layer.seed = seed
            chunk, size = x_d.shape[:2]
            with keras.StatelessScope(zip(variables, state, strict=True)):
                noise = self.noise(size, tf.range(chunk))

            def step(i, *state):
                with keras.StatelessScope(zip(variables, state, strict=True)) as scope:
                    self._one_step(x_d[i], x_g[i], noise[i])
                return i + 1, *(scope.get_current_value(v) for v in variables)

            if chunk == 1:
                return list(step(0, *state)[1:])
            return list(tf.while_loop(lambda i, *_: i < count, step, (tf.constant(0), *state))[1:])
        finally:
            del self.seeds
            for layer, seed in zip(layers, own, strict=True):
                layer.seed = seed


_lock = threading.Lock()


def _program(key):
    with _lock:  # two threads must not compile the same one
        return _compiled(key)


@functools.lru_cache(KEPT)
def _compiled(key):
    require_room()
    config = json.loads(key)
    chunk, size = config["chunk"], config["batch_size"]
    model = _Template.from_config(config["model"])
    model.compile(**config["compile"])
    batch = tf.TensorSpec((chunk, size, *model.x_shape), tf.float32)
    seeds = tf.TensorSpec((CALLS + len(_dropouts(model)),), tf.int32)
    state = [tf.TensorSpec(v.shape, v.dtype) for v in state_of(model)]
    count = tf.TensorSpec((), tf.int32)
    program = tf.function(model.steps_of, jit_compile=True, autograph=False)
    return program.get_concrete_function(batch, batch, count, seeds, state)


def _key(model, batch_size, chunk):
    """What a program depends on, as JSON: the seed and the learning rate are part of the state."""
    config = {**model.get_config(), "seed": 0, "name": "template"}
    compiled = {**model.get_compile_config(), "learning_rate": 1.0}
    return json.dumps(
        {"model": config, "compile": compiled, "batch_size": batch_size, "chunk": chunk},
        sort_keys=True,
    )


def _seeds(model):
    """The salts of a step's uses of randomness, then the seeds of the dropout layers."""
    calls = [derive_seed(model.seed, 3, call) for call in range(CALLS)]
    return calls + [layer.seed for layer in _dropouts(model)]


def _dropouts(model):
    return [layer for layer in model._flatten_layers() if isinstance(layer, SeededDropout)]
