"""Training on several devices or machines: one batch shared among replicas, the same step.

Outside of a `tf.distribute` strategy, or with one replica, `count`, `total` and `own_rows` change
nothing.
"""

import contextlib
import json
import os

import tensorflow as tf

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
    """This replica's part of random numbers that are drawn for the whole batch.

    Args:
        draw: function of a shape, returning a tensor of that shape.
        shape: tuple of ints (k B, ...): k blocks of this replica's B rows, as a merged call of k
            batches has them.

    Returns:
        tensor of `shape`: this replica's rows of every block.
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

    Raises:
        ValueError: if the name is unknown, or "multiworker" has no TF_CONFIG.
    """
    if name not in STRATEGIES:
        raise ValueError(f"received the strategy {name!r}; expected one of {STRATEGIES}.")
    if name == "multiworker":
        if not os.environ.get("TF_CONFIG"):
            raise ValueError(
                "The strategy 'multiworker' needs TF_CONFIG in every worker's environment, "
                'such as {"cluster": {"worker": ["host1:12345", "host2:12345"]}, "task": '
                '{"type": "worker", "index": 0}}.'
            )
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_logical_devices("GPU")
    devices = gpus or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def worker_index():
    """Which worker this process is, from TF_CONFIG; 0 without one."""
    return json.loads(os.environ.get("TF_CONFIG") or "{}").get("task", {}).get("index", 0)


def require_shareable(strategy, x, batch_size):
    """Raise ValueError unless batches of the array x can be shared among a strategy's replicas."""
    if tf.distribute.has_strategy():
        raise ValueError(
            "fit was called inside the scope of a strategy. Build the model inside the scope, "
            "and call fit outside it."
        )
    if not hasattr(x, "shape"):
        raise ValueError(
            f"received {type(x).__name__}; training on several devices takes an array of all rows."
        )
    shares = strategy.num_replicas_in_sync
    if batch_size % shares:
        raise ValueError(
            f"received batch_size={batch_size}, which cannot be divided equally among "
            f"{shares} replicas. Use fewer devices, or another batch size."
        )


def replicated(strategy, train_steps):
    """A model's `train_steps` as a function that shares each batch among a strategy's replicas.

    Args:
        strategy: `tf.distribute.Strategy` in whose scope the model was built.
        train_steps: function of a tuple of tensors (1, B, ...), the same in every worker, and a
            count; it returns a dict of a replica's means.

    Returns:
        a compiled function of these tensors.
    """
    shares = strategy.num_replicas_in_sync

    def of_replica(*data):
        *batches, count = data
        rows = batches[0].shape[1] // shares
        first = tf.distribute.get_replica_context().replica_id_in_sync_group * rows
        with sharing(rows):
            own = [tf.gather(x, first + tf.range(rows), axis=1) for x in batches]
            return train_steps((*own, count))

    @tf.function
    def program(*data):
        means = strategy.run(of_replica, args=data)
        mean = tf.distribute.ReduceOp.MEAN
        return {name: strategy.reduce(mean, value, axis=None) for name, value in means.items()}

    return program
