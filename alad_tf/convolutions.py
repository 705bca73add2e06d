"""Strided convolutions in bfloat16 whose filter gradient is a matrix product.

TensorFlow's CPU library convolves in bfloat16 twice as fast as in float32, but for the gradient
with respect to the filter, where it is slower than float32. As one product of patches with the
gradients of the outputs it is as fast as the rest.
"""

import math

import tensorflow as tf


def convolve(inputs, kernel, strides, padding):
    """`tf.nn.conv2d` with a filter gradient of its own.

    Args:
        inputs: float tensor (B, H, W, C) of static height and width.
        kernel: float tensor (k, k, C, O) of the same dtype.
        strides: int.
        padding: "SAME" or "VALID".

    Returns:
        float tensor (B, H', W', O).

    Example:
        >>> x, kernel = tf.ones((1, 4, 4, 3)), tf.ones((4, 4, 3, 2))
        >>> convolve(x, kernel, 2, "SAME")[0, 0, 0].numpy().tolist()
        [27.0, 27.0]

    Source: ALAD, Table IX, rows "4x4 Conv" and "5x5 Conv".
    """

    @tf.custom_gradient
    def operation(x, k):
        def gradient(upstream):
            to_x = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(x),
                filter=k,
                out_backprop=upstream,
                strides=[1, strides, strides, 1],
                padding=padding,
            )
            return to_x, filter_gradient(x, upstream, k.shape[0], strides, padding)

        return tf.nn.conv2d(x, k, strides, padding), gradient

    return operation(inputs, kernel)


def convolve_transposed(inputs, kernel, strides, padding, side):
    """`tf.nn.conv2d_transpose` with a filter gradient of its own.

    Args:
        inputs: float tensor (B, H, W, C) of static height and width.
        kernel: float tensor (k, k, O, C) of the same dtype.
        strides: int.
        padding: "SAME" or "VALID".
        side: int, height and width of the outputs.

    Returns:
        float tensor (B, side, side, O).

    Example:
        >>> x, kernel = tf.ones((1, 1, 1, 3)), tf.ones((4, 4, 2, 3))
        >>> convolve_transposed(x, kernel, 2, "VALID", 4)[0, 0, 0].numpy().tolist()
        [3.0, 3.0]

    Source: ALAD, Table IX, rows "4x4 Transposed conv".
    """

    @tf.custom_gradient
    def operation(x, k):
        def gradient(upstream):
            to_x = tf.nn.conv2d(upstream, k, strides, padding)
            return to_x, filter_gradient(upstream, x, k.shape[0], strides, padding)

        shape = tf.stack([tf.shape(x)[0], side, side, k.shape[2]])
        return tf.nn.conv2d_transpose(x, k, shape, strides, padding), gradient

    return operation(inputs, kernel)


def filter_gradient(x, upstream, size, strides, padding):
    """The gradient of a convolution with respect to its filter, as one matrix product.

    With the strides' phases moved to the channels (space to depth), the patches of x are a few
    shifted copies of it, side by side.

    Args:
        x: float tensor (B, H, W, C), the convolution's inputs.
        upstream: float tensor (B, H', W', O), the gradient of its outputs.
        size: int, height and width of the filter.
        strides: int.
        padding: "SAME" or "VALID".

    Returns:
        float tensor (size, size, C, O).

    Example:
        >>> x, upstream = tf.ones((1, 4, 4, 3)), tf.ones((1, 1, 1, 2))
        >>> filter_gradient(x, upstream, 4, 2, "VALID").shape
        TensorShape([4, 4, 3, 2])

    Source: none; the definition of a convolution.
    """
    (height, width), channels = upstream.shape[1:3], x.shape[-1]
    blocks = math.ceil(size / strides)  # of `strides` pixels, in a filter's side
    pads = [
        _pads(before, after, size, strides, padding, blocks)
        for before, after in zip(x.shape[1:3], (height, width), strict=True)
    ]
    padded = tf.pad(x, ((0, 0), *(pad for pad, _ in pads), (0, 0)))
    padded = padded[:, : pads[0][1], : pads[1][1]]
    phases = tf.nn.space_to_depth(padded, strides) if strides > 1 else padded
    shifted = [
        phases[:, i : i + height, j : j + width] for i in range(blocks) for j in range(blocks)
    ]
    rows = blocks**2 * strides**2 * channels
    patches = tf.reshape(tf.concat(shifted, -1), (-1, rows))
    product = tf.matmul(patches, tf.reshape(upstream, (-1, upstream.shape[-1])), transpose_a=True)
    split = tf.reshape(product, (blocks, blocks, strides, strides, channels, -1))
    side = blocks * strides
    whole = tf.reshape(tf.transpose(split, (0, 2, 1, 3, 4, 5)), (side, side, channels, -1))
    return whole[:size, :size]


def _pads(before, after, size, strides, padding, blocks):
    """Zeros on both sides of a side of `before` pixels, and how many pixels are used then."""
    missing = max((after - 1) * strides + size - before, 0) if padding == "SAME" else 0
    used = (after - 1 + blocks) * strides
    return (missing // 2, max(used - before - missing // 2, 0)), used
