"""Distance to the nearest training rows, in whatever space: x itself, codes, features."""

import tensorflow as tf

K = 5  # neighbours; ADBench's and PyOD's default


def nearest(x, reference, skip_self=False):
    """Mean Euclidean distance of rows to their `K` nearest reference rows.

    Args:
        x: float32 tensor (B, d).
        reference: float32 tensor (R, d).
        skip_self: bool, leave the nearest one out: rows of the reference themselves then have the
            distance they would have had without being in it.

    Returns:
        float32 tensor (B,); of fewer than `K` reference rows, the mean distance to all; 0 if none
        is left.

    Example:
        >>> float(nearest(tf.constant([[0.0]]), tf.constant([[1.0], [3.0]]))[0])
        2.0

    Source: Ramaswamy, Rastogi and Shim, SIGMOD 2000; Angiulli and Pizzuti, PKDD 2002, for the mean.
    """
    center = tf.reduce_mean(reference, 0)  # near 0, float32 rounds the differences of squares less
    x, reference = x - center, reference - center
    squares = tf.reduce_sum(tf.square(x), -1)[:, None] + tf.reduce_sum(tf.square(reference), -1)
    squares -= 2 * tf.matmul(x, reference, transpose_b=True)  # (B, R), without (B, R, d)
    rows = reference.shape[0]
    first = 1 if skip_self and rows > 1 else 0
    found = tf.math.top_k(-squares, min(K + first, rows)).indices[:, first:]
    # what was found is measured anew, exactly: small differences of large squares are noise
    away = x[:, None] - tf.gather(reference, found)  # (B, K, d)
    # a root has no gradient at 0
    return tf.reduce_mean(tf.sqrt(tf.reduce_sum(tf.square(away), -1) + 1e-12), -1)
