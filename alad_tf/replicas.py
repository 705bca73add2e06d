"""What a step must know when several replicas share its batch: sums and draws over all of them.

Outside of a `tf.distribute` strategy, or with one replica, every function here is the identity.
"""

import contextlib

import tensorflow as tf

_local = []  # rows of a replica's share of the batch, while a step of several is traced


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
