"""Training on several devices or machines: one batch shared among replicas, the same step.

What a step must know of the other replicas comes first: sums and draws over all of them.
Outside of a `tf.distribute` strategy, or with one replica, `count`, `total` and `own_rows` change
nothing.
"""

import contextlib
import json
import os

import keras
import tensorflow as tf

from alad_tf.engine.feed import Batches
from alad_tf.engine.random import derive_seed

_local = []  # rows of a replica's share of the batch, while a step of several is traced
STRATEGIES = ("mirrored", "multiworker")


@contextlib.contextmanager
def sharing(rows):
    """While the body is traced in replica context: a replica has `rows` rows of the batch."""
    _local.append(int(rows))
    try:
        yield
    finally:
        _local.pop()


def _context():
    """The replica context if a batch is shared among several, else None."""
    context = tf.distribute.get_replica_context()
    if not _local or context is None or context.num_replicas_in_sync == 1:
        return None
    return context


def count():
    """How many replicas share the batch."""
    context = _context()
    return 1 if context is None else context.num_replicas_in_sync


def total(value):
    """The sum of the replicas' values, tensors or a nest of them."""
    context = _context()
    return value if context is None else context.all_reduce(tf.distribute.ReduceOp.SUM, value)


def own_rows(draw, shape):
    """This replica's part of numbers that are drawn for the whole batch.

    Args:
        draw: function of a shape, returning a tensor of that shape.
        shape: tuple of ints (k B, ...): k blocks of this replica's B rows, as a merged call of k
            batches has them.

    Returns:
        tensor of `shape`: of every block, the rows that are this replica's.
    """
    context = _context()
    if context is None:
        return draw(shape)
    rows, replicas = _local[-1], context.num_replicas_in_sync
    blocks, rest = shape[0] // rows, tuple(shape[1:])
    whole = tf.reshape(draw((replicas * shape[0], *rest)), (blocks, replicas, rows, *rest))
    own = tf.gather(whole, context.replica_id_in_sync_group, axis=1)
    return tf.reshape(own, shape)


def make_strategy(name):
    """A strategy of `tf.distribute`.

    Args:
        name: "mirrored", all devices of this machine (its GPUs, or its logical CPUs); or
            "multiworker", the machines of the environment variable TF_CONFIG.

    Returns:
        `tf.distribute.Strategy`.

    Raises:
        ValueError: another name, or no TF_CONFIG for several workers.

    Example:
        >>> make_strategy("mirrored").num_replicas_in_sync >= 1
        True
    """
    if name not in STRATEGIES:
        raise ValueError(f"Unknown strategy {name!r}; expected one of {STRATEGIES}.")
    if name == "multiworker":
        if not os.environ.get("TF_CONFIG"):
            raise ValueError(
                "The strategy 'multiworker' needs TF_CONFIG in every worker's environment: "
                '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, '
                '"task": {"type": "worker", "index": 0}}.'
            )
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_logical_devices("GPU")
    devices = gpus or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def worker_index():
    """Which worker this process is, from TF_CONFIG; 0 without one."""
    return json.loads(os.environ.get("TF_CONFIG") or "{}").get("task", {}).get("index", 0)


def fit_distributed(
    model, strategy, x, batch_size, epochs, initial_epoch=0, validation_data=None, callbacks=()
):
    """What `ALAD.fit` does, with every batch shared among a strategy's replicas.

    A batch is that of one device: its rows, noise and dropout masks are drawn for all of it, batch
    norm's statistics are those of all of it, and gradients are summed. Losses and weights are thus
    those of one replica, up to the order of float32 sums. Keras's `fit` is not used: it does not
    run on several workers (keras-team/keras#20585), and its chunks of steps do not on replicas.
    XLA is off, since collective operations do not compile.

    Args:
        model: a compiled model, built in the strategy's scope.
        strategy: `tf.distribute.Strategy`.
        x: float32 array (N, *x_shape), all rows, the same in every worker.
        batch_size: int, of all replicas together; a multiple of their number.
        epochs, initial_epoch, validation_data, callbacks: as for `ALAD.fit`.

    Returns:
        `keras.callbacks.History`.

    Raises:
        ValueError: a batch that cannot be shared equally, or rows that do not fit the model.

    Example:
        >>> # strategy = make_strategy("mirrored")
        >>> # with strategy.scope(): model = zoo.entry("kdd99_alad").build(0, jit_compile=False)
        >>> # fit_distributed(model, strategy, x, batch_size=50, epochs=100)
    """
    shares = strategy.num_replicas_in_sync
    if batch_size % shares:
        raise ValueError(
            f"A batch of {batch_size} rows cannot be shared equally among {shares} replicas. Take "
            "fewer devices, or another batch size."
        )
    feed = Batches(x, batch_size, derive_seed(model.seed, 2), orders=model.orders)
    feed.check(model.x_shape, model.orders)
    rows = batch_size // shares
    step = _step_function(model, strategy, batch_size, rows)
    told = keras.callbacks.CallbackList(
        callbacks, add_history=True, model=model, epochs=epochs, steps=feed.steps, verbose=0
    )
    model.stop_training = False
    told.on_train_begin()
    for epoch in range(initial_epoch, epochs):
        told.on_epoch_begin(epoch)
        model.reset_metrics()
        sums = None
        for number, (*batches, _) in enumerate(
            feed.across_epochs(epoch * feed.steps, feed.steps, 1)
        ):
            values = step([_shared(strategy, batch[0], rows) for batch in batches])
            sums = values if sums is None else {k: sums[k] + v for k, v in values.items()}
            means = {name: value / (number + 1) for name, value in sums.items()}
            told.on_train_batch_end(number, means)
        logs = {name: float(value) for name, value in means.items()}
        if validation_data is not None:
            logs["val_score"] = _validation_score(model, validation_data)
        told.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    told.on_train_end()
    return next(c for c in told.callbacks if isinstance(c, keras.callbacks.History))


def _step_function(model, strategy, batch_size, rows):
    """One step of all replicas: a function of the shared batches, returning the losses' means."""

    def one(*batches):
        with sharing(rows):
            noise = model.noise(batch_size)  # (2, B, latent): this replica's rows are on axis 1
            first = tf.distribute.get_replica_context().replica_id_in_sync_group * rows
            if noise.shape.rank > 1:
                noise = tf.gather(noise, first + tf.range(rows), axis=1)
            values = model.learn(*batches, noise)
            model.step.assign_add(1)
            values["loss"] = tf.add_n(list(values.values()))
            return values

    @tf.function
    def step(batches):
        values = strategy.run(one, args=tuple(batches))
        return {
            name: strategy.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None)
            for name, value in values.items()
        }

    return step


def _shared(strategy, batch, rows):
    """A batch as the replicas' parts of it, in the order of the replicas of all workers."""

    def own(context):
        first = context.replica_id_in_sync_group * rows
        return batch[first : first + rows]

    return strategy.experimental_distribute_values_from_function(own)


def _validation_score(model, batches):
    """Mean features score of held-out rows under the averaged weights."""
    found = [model(x)["features"].numpy() for x in batches]
    return float(sum(map(sum, found)) / sum(map(len, found)))
