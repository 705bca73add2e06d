"""Spectral normalisation equals the SVD's W / sigma and its gradient, and keeps its promises.

Proves, for Dense, Conv2D and Conv2DTranspose: the gradient goes through sigma; u is the NumPy power
iteration's; only training calls store it; the raw kernel is left alone; the norm becomes 1, also in
a trained model. Kernels get a gap of 2 between their singular values, so that 60 iterations (an
error factor of 4**-60 on u) make the estimate an SVD up to float32's rounding; 1e-5 is 84 of its
units.
"""

import keras
import numpy as np
import numpy_alad
import pytest
import tensorflow as tf

from alad_tf.model.alad import ALAD
from alad_tf.model.layers import SpectralNormalization
from alad_tf.model.specs import dense

KINDS = {
    "dense": (lambda: keras.layers.Dense(4), (3, 6)),
    "conv": (lambda: keras.layers.Conv2D(4, 3, 2, padding="same"), (2, 6, 6, 3)),
    "transpose": (lambda: keras.layers.Conv2DTranspose(4, 3, 2, padding="same"), (2, 4, 4, 3)),
}


SEED = 0  # of the kernels' singular vectors


def to_matrix(kernel, kind):
    """(inputs, outputs), by loops: a transposed convolution's output axis is the third."""
    kernel = np.asarray(kernel, "float64")
    axis = 2 if kind == "transpose" else kernel.ndim - 1
    columns = [np.take(kernel, i, axis).ravel() for i in range(kernel.shape[axis])]
    return np.stack(columns, 1)


def from_matrix(matrix, kind, shape):
    axis = 2 if kind == "transpose" else len(shape) - 1
    side = [n for i, n in enumerate(shape) if i != axis]
    return np.stack([column.reshape(side) for column in matrix.T], axis)


@pytest.fixture(params=KINDS)
def wrapped(request):
    """(layer, kind, x): built, with singular values 4, 2, 1, 0.5."""
    make, shape = KINDS[request.param]
    layer = SpectralNormalization(make(), seed=1)
    layer.build((None, *shape[1:]))
    random = np.random.default_rng(SEED).standard_normal(layer.layer.kernel.shape)
    left, _, right = np.linalg.svd(to_matrix(random, request.param), False)
    matrix = left @ np.diag([4.0, 2.0, 1.0, 0.5]) @ right
    layer.layer.kernel.assign(from_matrix(matrix, request.param, layer.layer.kernel.shape))
    layer.layer.bias.assign([0.1, -0.2, 0.3, -0.4])
    x = np.random.default_rng(0).standard_normal(shape).astype("float32")
    return layer, request.param, tf.constant(x)


def gradient_of(layer, x, jit=None, calls=1):
    """Output and the raw kernel's gradient of a weighted sum of outputs, in training mode."""

    def run(x):
        with tf.GradientTape() as tape:
            outputs = [layer(x, training=True) for _ in range(calls)]
            loss = tf.add_n([tf.reduce_sum(tf.sin(out)) for out in outputs])
        return outputs[-1], tape.gradient(loss, layer.layer.kernel)

    return (run if jit is None else tf.function(run, jit_compile=jit))(x)


def settle(layer, x, calls=60):
    advance = tf.function(lambda x: layer(x, training=True))
    for _ in range(calls):
        advance(x)


@pytest.mark.parametrize("jit", [None, False, True], ids=["eager", "graph", "xla"])
@pytest.mark.parametrize("calls", [1, 3])
def test_gradient_equals_the_svd(wrapped, jit, calls):
    """With N = W / sigma and P = dL/dN:  dL/dW = (P - <P, N> u v') / sigma, u and v of the SVD."""
    layer, kind, x = wrapped
    settle(layer, x)
    out, gradient = gradient_of(layer, x, jit, calls)
    kernel = layer.layer.kernel.numpy()
    left, values, right = np.linalg.svd(to_matrix(kernel, kind), False)
    plain = KINDS[kind][0]()
    plain.build(x.shape)
    plain.kernel.assign(kernel / values[0])
    plain.bias.assign(layer.layer.bias)
    with tf.GradientTape() as tape:
        expected = plain(x)
        loss = calls * tf.reduce_sum(tf.sin(expected))
    by_normalised = to_matrix(tape.gradient(loss, plain.kernel), kind)
    through_sigma = (by_normalised * to_matrix(kernel, kind)).sum() / values[0]
    wanted = (by_normalised - through_sigma * np.outer(left[:, 0], right[0])) / values[0]
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(out, expected, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(to_matrix(gradient, kind), wanted, atol=1e-5 * scale)
    assert abs(through_sigma) > 0.1 * scale  # leaving sigma out of the gradient would show


@pytest.mark.parametrize("jit", [None, True], ids=["eager", "xla"])
def test_u_is_the_numpy_power_iteration(wrapped, jit):
    layer, kind, x = wrapped
    u = layer.u.numpy().astype("float64")
    np.testing.assert_allclose(np.linalg.norm(u), 1, rtol=1e-6)
    matrix = to_matrix(layer.layer.kernel, kind)
    for calls in (1, 1, 3):  # three calls in one tape are three iterations
        before = u
        gradient_of(layer, x, jit, calls)
        for _ in range(calls):
            v, u = numpy_alad.power_iteration(matrix, u)
        np.testing.assert_allclose(layer.u.numpy(), u, atol=1e-5)
        assert np.abs(u - before).max() > 1e-3


def test_calls_leave_the_raw_kernel_alone(wrapped):
    layer, _, x = wrapped
    before = [v.numpy() for v in layer.trainable_variables]
    settle(layer, x, 3)
    layer(x)
    for was, v in zip(before, layer.trainable_variables, strict=True):
        np.testing.assert_array_equal(was, v.numpy())
    assert len(before) == 2 and layer.layer.kernel is layer.trainable_variables[0]


def test_inference_stores_nothing_and_iterates_once(wrapped):
    layer, kind, x = wrapped
    u = layer.u.numpy()
    first, second = layer(x, training=False), layer(x)
    np.testing.assert_array_equal(layer.u.numpy(), u)
    np.testing.assert_array_equal(first.numpy(), second.numpy())
    matrix = to_matrix(layer.layer.kernel, kind)
    v, u = numpy_alad.power_iteration(matrix, u.astype("float64"))
    effective = to_matrix(layer.effective_kernel(), kind)
    np.testing.assert_allclose(effective, matrix / (v @ matrix @ u), atol=1e-5)
    np.testing.assert_array_equal(layer(x, training=True).numpy(), first.numpy())


def test_effective_norm_becomes_one(wrapped):
    layer, kind, x = wrapped
    assert np.linalg.norm(to_matrix(layer.layer.kernel, kind), 2) > 3.9
    settle(layer, x)
    norm = np.linalg.norm(to_matrix(layer.effective_kernel(), kind), 2)
    assert abs(norm - 1) < 0.02


def test_mixed_precision(wrapped):
    """Under mixed_bfloat16 the output is bfloat16; u and sigma are as exact as without."""
    layer, kind, x = wrapped
    mixed = SpectralNormalization(KINDS[kind][0](), seed=1, dtype="mixed_bfloat16")
    mixed.layer.dtype_policy = keras.DTypePolicy("mixed_bfloat16")
    mixed.build(x.shape)
    for target, source in zip(mixed.layer.variables, layer.layer.variables, strict=True):
        target.assign(source)
    out, gradient = gradient_of(mixed, x)
    expected, _ = gradient_of(layer, x)
    assert out.dtype == tf.bfloat16 and gradient.dtype == mixed.u.dtype == "float32"
    sigma, _ = mixed.sigma(mixed.layer.kernel.value)
    assert sigma.dtype == tf.float32
    np.testing.assert_allclose(mixed.u.numpy(), layer.u.numpy(), atol=1e-6)
    np.testing.assert_allclose(float(sigma), float(layer.sigma(layer.layer.kernel.value)[0]), 1e-6)
    # bfloat16 holds 8 bits; a sum of 27 products is good to a few of its units of the scale
    scale = np.abs(expected).max()
    np.testing.assert_allclose(tf.cast(out, tf.float32), expected, atol=2**-5 * scale)


@pytest.mark.parametrize("whole", [True, False], ids=["keras", "weights"])
def test_round_trip_keeps_u(wrapped, tmp_path, whole):
    layer, kind, x = wrapped
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    settle(layer, x, 2)
    if whole:
        model.save(tmp_path / "model.keras")
        twin = keras.saving.load_model(tmp_path / "model.keras")
    else:
        model.save_weights(tmp_path / "model.weights.h5")
        other = SpectralNormalization(KINDS[kind][0](), seed=2)
        twin = keras.Sequential([keras.Input(x.shape[1:]), other])
        assert np.abs(other.u.numpy() - layer.u.numpy()).max() > 1e-3
        twin.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(twin.layers[0].u.numpy(), layer.u.numpy())
    np.testing.assert_array_equal(twin(x).numpy(), model(x).numpy())


@pytest.mark.parametrize("layer", [keras.layers.Flatten(), keras.layers.LeakyReLU()])
def test_a_layer_without_kernel(layer):
    with pytest.raises(ValueError, match=f"needs a layer with a kernel; {layer.name}"):
        SpectralNormalization(layer).build((None, 3))


def test_a_layer_with_a_non_linearity():
    with pytest.raises(ValueError, match="has 'relu'. Move that to an Activation layer"):
        SpectralNormalization(keras.layers.Dense(3, activation="relu")).build((None, 3))


def test_a_layer_without_bias():
    layer = SpectralNormalization(keras.layers.Dense(3, use_bias=False), seed=1)
    x = tf.constant(np.random.default_rng(0).standard_normal((4, 5)), tf.float32)
    np.testing.assert_allclose(layer(x), x @ layer.effective_kernel(), rtol=1e-5, atol=1e-6)


def test_every_wrapped_layer_of_a_trained_model():
    """After training, the SVD of every effective kernel is 1 within 2%, and of raw ones it is not.

    A fast training gives the kernels their spectra, 400 steps at the tables' rate let u follow: the
    power method's mean error after k iterations in d dimensions is at most 0.871 ln(d) / (k - 1) of
    sigma ** 2 (Kuczynski and Wozniakowski, 1992), 0.6% here, whatever the gaps. (Where singular
    values lie within 2% of each other, one iteration a step lags behind a kernel that moves fast.)
    """
    rows = {
        "E": [dense(16, "lrelu"), dense(3)],
        "G": [dense(16, "relu"), dense(6)],
        "D_xz": {"x": [dense(16, "lrelu")], "z": [dense(16, "lrelu")]},
        "D_xx": [dense(16, "lrelu"), dense(1)],
        "D_zz": [dense(16, "lrelu"), dense(1)],
    }
    rows["D_xz"]["joint"] = [dense(16, "lrelu"), dense(1)]
    model = ALAD(rows, x_shape=(6,), latent_dim=3, seed=0)
    model.compile(learning_rate=1e-3)
    x = np.random.default_rng(0).standard_normal((640, 6)).astype("float32")
    model.fit(x, batch_size=32, epochs=20, verbose=0)
    for name in (*model.generative_networks, *model.discriminators):
        getattr(model, f"optimizer_{name}").learning_rate = 1e-5
    model.fit(x, batch_size=32, epochs=20, verbose=0)
    found = [v for v in model._flatten_layers() if isinstance(v, SpectralNormalization)]
    assert len(found) == 6  # E 1, D_xz 3, D_xx 1, D_zz 1: outputs and G go without
    raw = [np.linalg.norm(layer.layer.kernel, 2) for layer in found]
    norms = [np.linalg.norm(layer.effective_kernel(), 2) for layer in found]
    np.testing.assert_allclose(norms, 1, atol=0.02)
    assert max(raw) > 1.2 and np.abs(np.diff(raw)).max() > 0.02
