"""Dropout masks and noise: the promised law, independence, the same bits in every mode.

Bounds: the share of kept units and every correlation of n pairs has a standard error known from n;
5 of them are allowed (chance of a false alarm under 1e-6 a comparison). Seeds are fixed, so that a
pass is a pass for good. Equality is against a NumPy reimplementation of the documented hash.
"""

import numpy as np
import numpy_alad
import pytest
import tensorflow as tf
from scipy import stats

from alad_tf.engine.random import _normal_quantile, derive_seed, hash_bits, keep_mask, normal
from alad_tf.model.layers import SeededDropout

N = 200_000
KEYS = [(0, 0), (0, 1), (1, 0), (12345, 67), (2**31 - 1, 2**31 - 1), (-1, -(2**31))]
SALTS = [derive_seed(0, 3, call) for call in (1, 2, 100)]


def centred(mask, rate):
    """A mask as numbers of mean 0 and variance 1 under the hypothesis."""
    keep = 1 - rate
    return (np.asarray(mask, "float64").ravel() - keep) / np.sqrt(keep * rate)


def assert_uncorrelated(a, b):
    """Mean of n products of independent unit variables: standard error 1 / sqrt(n)."""
    assert abs(np.mean(a * b)) < 5 / np.sqrt(len(a))


@pytest.mark.parametrize("key", KEYS)
def test_bits_equal_the_documented_hash(key):
    np.testing.assert_array_equal(hash_bits(1000, key).numpy(), numpy_alad.bits(1000, key))


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.999])
def test_mask_equals_numpy(rate):
    np.testing.assert_array_equal(
        keep_mask((7, 11, 3), rate, (5, 9)).numpy(), numpy_alad.mask((7, 11, 3), rate, (5, 9))
    )


@pytest.mark.parametrize("jit", [False, True])
def test_same_bits_eager_graph_xla(jit):
    draw = tf.function(lambda key: keep_mask((64, 33), 0.3, key), jit_compile=jit)
    for key in KEYS:
        key = tf.constant(key, tf.int32)
        np.testing.assert_array_equal(draw(key).numpy(), keep_mask((64, 33), 0.3, key).numpy())


@pytest.mark.parametrize("rate", [0.01, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("key", [(SALTS[0], 0), (SALTS[1], 1), (0, 0)])
def test_rate(rate, key):
    kept = keep_mask((N,), rate, key).numpy().mean()
    assert abs(kept - (1 - rate)) < 5 * np.sqrt(rate * (1 - rate) / N)


def test_words_are_uniform():
    """Chi-square of the top and of the bottom byte over 256 bins: mean 255, variance 510."""
    words = hash_bits(N, (SALTS[0], 3)).numpy()
    for byte in (words >> 24, words & 255):
        counts = np.bincount(byte, minlength=256)
        chi_square = ((counts - N / 256) ** 2 / (N / 256)).sum()
        assert abs(chi_square - 255) < 5 * np.sqrt(2 * 255)


@pytest.mark.parametrize("lag", [1, 2, 64, 128, 1000])
def test_neighbouring_positions_are_independent(lag):
    for step in range(3):
        mask = centred(keep_mask((N,), 0.5, (SALTS[0], step)), 0.5)
        assert_uncorrelated(mask[:-lag], mask[lag:])


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_consecutive_steps_are_independent(rate):
    masks = [centred(keep_mask((N,), rate, (SALTS[0], step)), rate) for step in range(8)]
    for first in range(8):
        for second in range(first + 1, 8):
            assert_uncorrelated(masks[first], masks[second])


def test_one_unit_over_many_steps():
    """A unit's own history: the rate, and no memory from one step to the next."""
    draw = tf.function(lambda key: keep_mask((50,), 0.5, key))
    history = np.stack([draw(tf.constant([SALTS[0], step])) for step in range(2000)])
    assert abs(history.mean(0) - 0.5).max() < 5 * 0.5 / np.sqrt(2000)
    for unit in centred(history, 0.5).reshape(history.shape).T:
        assert_uncorrelated(unit[:-1], unit[1:])


def test_layers_and_calls_are_independent():
    """Keys as the model forms them: call's salt plus layer's seed; also keys that differ by one."""
    layers = [derive_seed(11, row, 2) for row in range(3)]
    keys = {int(np.int64(s + w).astype("int32")) for s in SALTS for w in layers} | {0, 1, 2, 3}
    assert len(keys) == 13
    masks = [centred(keep_mask((N,), 0.5, (key, 4)), 0.5) for key in sorted(keys)]
    for first in range(len(masks)):
        for second in range(first):
            assert_uncorrelated(masks[first], masks[second])


def test_normal_numbers_are_the_quantiles_of_the_documented_uniforms():
    """Bounds: float32's few units of erfinv, which its slope makes larger in the tails."""
    words = numpy_alad.bits(2000, (7, 9)) >> np.uint32(8)
    wanted = stats.norm.ppf((words.astype("float64") + 0.5) / 2**24)
    np.testing.assert_allclose(normal((2000,), (7, 9)), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("jit", [False, True])
def test_the_largest_and_the_smallest_draw_are_finite(jit):
    """One draw in 2**24 each: a training of some thousand steps meets them."""
    k = np.array([0, 1, 2**23 - 1, 2**23, 2**24 - 2, 2**24 - 1])
    uniform = (k - (2.0**23 - 0.5)) * 2.0**-23
    drawn = tf.function(_normal_quantile, jit_compile=jit)(tf.constant(uniform, tf.float32))
    np.testing.assert_allclose(drawn, stats.norm.ppf((1 + uniform) / 2), rtol=1e-5)


def test_normal_numbers_are_normal():
    """Kolmogorov-Smirnov at a chance of false alarm of 1e-6; moments within 5 standard errors."""
    z = normal((N,), (SALTS[0], 5)).numpy().astype("float64")
    assert stats.kstest(z, "norm").pvalue > 1e-6
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(np.mean(z**power) - moment) < 5 * np.sqrt(variance / N)


def test_noise_of_steps_calls_and_neighbours_is_independent():
    keys = [(salt, step) for salt in SALTS for step in range(3)]
    draws = [normal((N,), key).numpy().astype("float64") for key in keys]
    for first in range(len(draws)):
        assert_uncorrelated(draws[first][:-1], draws[first][1:])
        for second in range(first):
            assert_uncorrelated(draws[first], draws[second])


@pytest.mark.parametrize("jit", [False, True])
def test_noise_is_a_function_of_its_key_in_every_mode(jit):
    """Several keys at once give each key's numbers, up to the two approximations of erfinv."""
    keys = tf.constant(KEYS, tf.int32)
    together = tf.function(lambda keys: normal((5, 3), keys), jit_compile=jit)(keys)
    for key, drawn in zip(KEYS, together, strict=True):
        np.testing.assert_allclose(drawn, normal((5, 3), key), rtol=1e-5, atol=1e-5)


def test_mask_errors():
    with pytest.raises(ValueError, match=r"rate must be in \[0, 1\); received 1"):
        keep_mask((2,), 1.0, (0, 0))
    with pytest.raises(ValueError, match="rate must be in"):
        keep_mask((2,), -0.1, (0, 0))
    with pytest.raises(ValueError, match="static shape"):
        keep_mask((None, 3), 0.5, (0, 0))
    with pytest.raises(ValueError, match=r"pair of int32; received shape \(3,\)"):
        hash_bits(4, (1, 2, 3))
    with pytest.raises(ValueError, match="static shape"):
        normal((None, 3), (0, 0))


def test_dropout_zeroes_or_scales_and_keeps_the_mean():
    x = np.random.default_rng(0).uniform(1, 2, (500, 400)).astype("float32")
    out = SeededDropout(0.3, seed=5)(x, training=True, seed=(1, 2)).numpy()
    keep = numpy_alad.mask(x.shape, 0.3, (1 + 5, 2))
    np.testing.assert_allclose(out, np.where(keep, x / 0.7, 0), rtol=1e-6)
    # each term has mean x and variance x**2 * 0.3 / 0.7
    error = np.sqrt((x.astype("float64") ** 2).sum() * 0.3 / 0.7) / x.size
    assert abs(out.mean(dtype="float64") - x.mean(dtype="float64")) < 5 * error


def test_dropout_gradient_passes_kept_units_only():
    x = tf.ones((40, 30))
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = SeededDropout(0.4, seed=1)(x, training=True, seed=(3, 4))
    np.testing.assert_array_equal(tape.gradient(out, x).numpy(), out.numpy())


def test_dropout_outside_training():
    x = tf.random.stateless_normal((3, 4), (0, 1))
    layer = SeededDropout(0.9)
    np.testing.assert_array_equal(layer(x).numpy(), x.numpy())
    np.testing.assert_array_equal(layer(x, training=False, seed=(0, 0)).numpy(), x.numpy())
    np.testing.assert_array_equal(SeededDropout(0.0)(x, training=True).numpy(), x.numpy())


def test_dropout_depends_on_layer_call_and_step():
    x = tf.ones((20, 20))
    draws = [
        SeededDropout(0.5, seed=layer)(x, training=True, seed=seed).numpy().tobytes()
        for layer, seed in [(0, (0, 0)), (1, (0, 0)), (0, (5, 0)), (0, (0, 1)), (0, (0, 0))]
    ]
    assert draws[0] == draws[4]
    assert len(set(draws)) == 4


def test_dropout_in_half_precision():
    layer = SeededDropout(0.5, dtype="mixed_bfloat16")
    out = layer(tf.ones((8, 8)), training=True, seed=(0, 0))
    assert out.dtype == tf.bfloat16
    assert set(np.unique(tf.cast(out, tf.float32))) == {0.0, 2.0}


def test_dropout_errors_and_config():
    with pytest.raises(ValueError, match="needs a seed in training"):
        SeededDropout(0.5)(tf.ones((2, 2)), training=True)
    with pytest.raises(ValueError, match=r"dropout rate of 1; expected"):
        SeededDropout(1)
    twin = SeededDropout.from_config(SeededDropout(0.25, seed=9).get_config())
    assert (twin.rate, twin.seed) == (0.25, 9)
