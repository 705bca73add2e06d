"""bfloat16 products: what stays float32 in a network, and a step that follows float32's."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import IMAGE_ROWS, equal, weights_of

import zoo
from alad_tf.engine.callbacks import Checkpoint
from alad_tf.engine.kernels import PRECISIONS, xla_pays
from alad_tf.model.alad import ALAD
from alad_tf.model.layers import SpectralNormalization
from alad_tf.model.networks import Stack
from zoo._entry import Entry

FIELDS = dict(name="tiny", dataset="cifar10", source="none", summary="Tiny.", networks=IMAGE_ROWS)
ENTRY = Entry(
    **FIELDS,
    x_shape=(8, 8, 2),
    latent_dim=3,
    learning_rate=1e-3,
    batch_size=16,
    epochs=1,
    initializer="normal_0.01",
    pair_axis=1,
)


def test_sigma_and_batch_statistics_see_the_float32_variables():
    """To the bit: the first layer's inputs are float32 in both, and u follows from W alone."""
    results = []
    for policy in PRECISIONS.values():
        stack = Stack(IMAGE_ROWS["E"], spectral_norm=True, seed=3, dtype=policy)
        x = tf.constant(np.random.default_rng(0).standard_normal((4, 8, 8, 2)), tf.float32)
        stack.build(x.shape)
        wrapped, norm = stack.steps[0], stack.steps[1]
        assert isinstance(wrapped, SpectralNormalization)
        norm.gamma.assign([1 + 2.0**-12] * 4)  # which bfloat16 would round to 1
        norm.moving_mean.assign([1 + 2.0**-12] * 4)
        seen = []
        apply = type(wrapped).sigma
        wrapped.sigma = lambda kernel, w=wrapped, seen=seen, f=apply: (
            seen.append(kernel.dtype) or f(w, kernel)
        )
        out = stack(x, training=True)
        assert seen == [tf.float32] and out.dtype == tf.float32
        results.append((wrapped.u.numpy(), norm.moving_mean.numpy()))
    (u, mean), (mixed_u, mixed_mean) = results
    np.testing.assert_array_equal(mixed_u, u)
    np.testing.assert_allclose(mixed_mean, mean, atol=2**-12 / 10)  # 0.01 of a rounded product


def test_a_network_keeps_its_policy():
    network = Stack(IMAGE_ROWS["E"], dtype="mixed_bfloat16")
    twin = Stack.from_config(network.get_config())
    assert twin.policy.name == "mixed_bfloat16" and twin.compute_dtype == "float32"
    model = ALAD(IMAGE_ROWS, (8, 8, 2), 3, dtype="mixed_bfloat16")
    assert ALAD.from_config(model.get_config()).E.policy.name == "mixed_bfloat16"
    assert model.E.steps[0].layer.compute_dtype == "bfloat16"
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        assert Stack(IMAGE_ROWS["E"]).policy.name == "mixed_bfloat16"
        assert ENTRY.build().E.policy.name == "mixed_bfloat16"
        assert ENTRY.build(precision="float32").E.policy.name == "float32"
    finally:
        keras.mixed_precision.set_global_policy("float32")


def test_steps_follow_those_of_float32():
    """bfloat16 rounds each factor by 2**-9 at most; the first losses agree within 2**-6."""
    x = np.random.default_rng(1).uniform(-1, 1, (64, 8, 8, 2)).astype("float32")
    losses = []
    for precision in PRECISIONS:
        model = ENTRY.build(seed=5, precision=precision, run_eagerly=True)
        losses.append(model.fit(x, batch_size=16, epochs=1, verbose=0).history)
        assert {str(v.dtype) for v in model.trainable_variables} == {"float32"}
        assert all(np.isfinite(v.numpy()).all() for v in model.trainable_variables)
    for name, values in losses[0].items():
        np.testing.assert_allclose(losses[1][name], values, rtol=2**-6)


@pytest.mark.slow
def test_a_resumed_training_is_the_unbroken_one(tmp_path):
    """To the bit: without XLA, too, noise and dropout follow from the seed and the step alone."""
    x = np.random.default_rng(2).uniform(-1, 1, (70, 8, 8, 2)).astype("float32")

    def model():
        return ENTRY.build(seed=5, precision="bfloat16", jit_compile=False)

    whole, broken, resumed = model(), model(), model()
    options = dict(batch_size=16, verbose=0)
    whole.fit(x, epochs=3, **options)
    broken.fit(x, epochs=2, callbacks=[Checkpoint(tmp_path, every_s=0)], **options)
    done = Checkpoint(tmp_path).restore(resumed)
    assert done == 2 and not equal(weights_of(whole), weights_of(resumed))
    resumed.fit(x, epochs=3, initial_epoch=done, **options)
    assert int(resumed.step.numpy()) == 3 * (70 // 16)
    assert equal(weights_of(whole), weights_of(resumed))


@pytest.mark.xla
def test_xla_is_on_where_it_pays():
    assert xla_pays("float32") and ENTRY.build(precision="float32").jit_compile
    expected = bool(tf.config.get_visible_devices("GPU"))
    assert xla_pays("bfloat16") == expected == ENTRY.build(precision="bfloat16").jit_compile
    assert not zoo.entry("kdd99_alad").build(precision="float32", jit_compile=False).jit_compile
    with pytest.raises(ValueError, match="unknown precision 'float16'.*'bfloat16'"):
        ENTRY.build(precision="float16")
