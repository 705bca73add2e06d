"""AnoGAN's search finds a known code, lowers its loss, and keeps rows apart."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from alad_tf.baselines.latent_search import LatentSearch
from alad_tf.model.networks import Discriminator, Stack
from alad_tf.model.specs import conv, conv_transpose, dense, flatten, reshape

LATENT, FEATURES = 3, 8


@pytest.fixture(scope="module")
def toy():
    """A linear G, so that a code is the only one of its sample, and a D with features."""
    generator = Stack([dense(FEATURES)], seed=1, name="G")
    discriminator = Discriminator([dense(6, "lrelu"), dense(1)], seed=2, name="D")
    generator.build((None, LATENT))
    discriminator.build((None, FEATURES))
    codes = np.random.default_rng(0).standard_normal((5, LATENT)).astype("float32")
    return generator, discriminator, codes, generator(codes).numpy()


def search(toy, **options):
    options = {"steps": 500, "learning_rate": 0.02, **options}
    return LatentSearch(*toy[:2], (FEATURES,), LATENT, **options)


@pytest.mark.parametrize("weight", [0.1, 0.9])
def test_the_code_of_a_made_sample_is_found(toy, weight):
    found = search(toy, weight=weight)(toy[3])
    # a step of Adam is at most about its rate: what remains of a code is of that size
    np.testing.assert_allclose(found["z"], toy[2], atol=0.02)
    assert (found["score"] < 0.05 * found["start"]).all()


def test_the_loss_is_at_least_halved(toy):
    """A table's networks, the paper's rate, samples that no code makes exactly.

    Codes lie about 1 from the start in each coordinate; 2,000 steps of 0.001 can go so far.
    """
    entry = zoo.entry("arrhythmia_anogan")
    networks = entry.build_networks(seed=0)
    near = networks["G"](np.random.default_rng(1).standard_normal((4, 64)).astype("float32"))
    x = near.numpy() + 0.01 * np.random.default_rng(2).standard_normal(near.shape)
    found = LatentSearch(networks["G"], networks["D"], (274,), 64, steps=2000)(x)
    assert (found["score"] < 0.5 * found["start"]).all()


def test_first_steps_equal_keras_adam_on_the_same_loss(toy):
    x, z = tf.constant(toy[3]), tf.Variable(tf.repeat(search(toy).start, 5, axis=0))
    adam = keras.optimizers.Adam(0.02, epsilon=1e-8)
    for _ in range(3):
        with tf.GradientTape() as tape:
            made = toy[0](z)
            residual = tf.norm(x - made, 1, axis=-1)
            features = tf.norm(toy[1](x)[1] - toy[1](made)[1], 1, axis=-1)
            loss = tf.reduce_sum(0.1 * residual + 0.9 * features)
        adam.apply_gradients([(tape.gradient(loss, z), z)])
    np.testing.assert_allclose(search(toy, steps=3)(x)["z"], z, rtol=1e-5, atol=1e-6)


def test_one_program_or_a_call_a_step_are_one_search(toy):
    """XLA may order sums otherwise in the two programs; 50 steps keep that below 1e-4."""
    together, apart = (search(toy, steps=50, loop=loop)(toy[3]) for loop in (True, False))
    for name, values in together.items():
        np.testing.assert_allclose(values, apart[name], rtol=1e-4, atol=1e-5)


def test_a_row_does_not_depend_on_its_batch(toy):
    whole = search(toy, steps=30)(toy[3])
    for row in range(5):
        alone = search(toy, steps=30)(toy[3][row : row + 1])
        for name, values in whole.items():
            np.testing.assert_allclose(alone[name], values[row : row + 1], rtol=1e-4, atol=1e-5)


def test_images_are_searched_by_a_call_a_step():
    rows = [reshape(1, 1, 3), conv_transpose(2, 4, 2, "tanh", padding="valid")]
    generator = Stack(rows, seed=1)
    discriminator = Discriminator([conv(4, 3, 2, "lrelu"), flatten(), dense(1)], seed=2)
    generator.build((None, 3))
    discriminator.build((None, 4, 4, 2))
    images = LatentSearch(generator, discriminator, (4, 4, 2), 3, steps=4)
    assert not images.loop
    found = images(np.zeros((2, 4, 4, 2)))
    assert found["z"].shape == (2, 3) and (found["score"] < found["start"]).all()


def test_bad_arguments(toy):
    with pytest.raises(ValueError, match=r"received weight=1.5; expected"):
        search(toy, weight=1.5)
    with pytest.raises(ValueError, match="received steps=0; expected at least 1"):
        search(toy, steps=0)
    with pytest.raises(ValueError, match=r"takes \(B, 8\) with B > 0; received \(3, 7\)"):
        search(toy)(np.zeros((3, 7)))
