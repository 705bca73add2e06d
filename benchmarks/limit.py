"""The machine's limit: how long the products of a step take, each alone, one after the other."""

import functools
import time

import numpy as np
import tensorflow as tf

from benchmarks import flops

LEAST_S = 0.01  # of one measurement of a product


class Limit:
    """Measures the products of a Counter alone, by the same compiler as the step.

    Each product runs many times in a row in one compiled program, every time after the one before
    (an element of its result goes into the next one's input), so that nothing of it can be left
    out or done at once. The limit of a step is the sum over its products.

    Args:
        products: Counter of `benchmarks.flops.Product`.

    Attributes:
        flops: int, of all products together.
    """

    def __init__(self, products):
        self.products = products
        self.flops = flops.total(products)
        self._programs = {product: _program(product) for product in products}

    def seconds(self):
        """Seconds that all the products take, measured now."""
        return sum(self._alone(product) * count for product, count in self.products.items())

    def _alone(self, product):
        run, repeats = self._programs[product]
        begun = time.perf_counter()
        run()
        return (time.perf_counter() - begun) / repeats


def _program(product):
    """A function that makes a product `repeats` times, compiled and warm, and `repeats`."""
    function, first, second = _operation(product)
    once = _repeated(function, first, second, 4)
    once()
    begun = time.perf_counter()
    once()
    estimate = (time.perf_counter() - begun) / 4
    repeats = max(4, int(np.ceil(LEAST_S / estimate)))
    if product.kind != "dense":
        repeats = min(repeats, 16)  # they are unrolled: XLA's convolutions are slow in a loop
    run = _repeated(function, first, second, repeats, unrolled=product.kind != "dense")
    run()
    return run, repeats


def _repeated(function, first, second, repeats, unrolled=True):
    def step(first):  # a TensorArray: its write is in place, and passes over one row only
        rows = first.stack()
        made = function(rows, second)
        return first.write(0, rows[0] + 1e-30 * made[(0,) * len(made.shape)])

    def run(first):
        first = tf.TensorArray(tf.float32, first.shape[0]).unstack(first)
        if unrolled:
            for _ in range(repeats):
                first = step(first)
        else:
            first = tf.while_loop(
                lambda i, _: i < repeats, lambda i, first: (i + 1, step(first)), (0, first)
            )[1]
        return first.read(0)

    compiled = tf.function(run, jit_compile=True, autograph=False)
    return lambda: compiled(first).numpy()


def _operation(product):
    """`(function, first, second)`: TensorFlow's operation of a product and its two operands."""
    p = product
    x = tf.random.stateless_normal((p.rows, *p.inputs), (0, 1))
    y = tf.random.stateless_normal((p.rows, *p.outputs), (0, 2))
    if p.kind == "dense":
        w = tf.random.stateless_normal((p.inputs[0], p.outputs[0]), (0, 3))
        return {
            "forward": (tf.matmul, x, w),
            "weights": (functools.partial(tf.matmul, transpose_a=True), x, y),
            "inputs": (functools.partial(tf.matmul, transpose_b=True), y, w),
        }[p.way]
    # a transposed convolution is the gradient of the convolution that maps its output to its input
    small, large, way = y, x, p.way
    if p.kind == "conv_transpose":
        small, large = x, y
        way = {"forward": "inputs", "inputs": "forward"}.get(way, way)
    shape = (p.kernel, p.kernel, large.shape[-1], small.shape[-1])
    w = tf.random.stateless_normal(shape, (0, 3))
    options = {"strides": [1, p.strides, p.strides, 1], "padding": p.padding.upper()}
    if way == "forward":
        return functools.partial(tf.nn.conv2d, **options), large, w
    if way == "inputs":

        def transposed(small, w):
            return tf.nn.conv2d_transpose(small, w, large.shape, **options)

        return transposed, small, w

    def of_kernel(large, small):
        return tf.raw_ops.Conv2DBackpropFilter(
            input=large, filter_sizes=shape, out_backprop=small, **options
        )

    return of_kernel, large, small
