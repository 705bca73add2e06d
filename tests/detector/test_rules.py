"""The defaults follow from shape and length alone, and every one of them may be replaced."""

import numpy as np
import pytest

from alad_tf.detector.defaults import image_networks, rules_for


@pytest.mark.parametrize(
    ("shape", "rows", "latent", "batch", "steps"),
    [
        ((30,), 500, 15, 64, 300),
        ((3,), 40, 2, 32, 300),
        ((300,), 100_000, 64, 64, 2000),
        ((6,), 5_000, 3, 64, 390),
        ((28, 28, 1), 3_000, 64, 32, 1875),
        ((2,), 1, 2, 1, 300),
    ],
)
def test_sizes_by_shape_and_length(shape, rows, latent, batch, steps):
    rules = rules_for(shape, rows)
    assert (rules.latent_dim, rules.batch_size, rules.steps) == (latent, batch, steps)


def test_what_is_given_takes_the_rules_place():
    rules = rules_for((30,), 500, 16, 4, 10, 7, 0.5)
    assert [row.units for row in rules.networks["E"]] == [16, 16, 4]
    assert (rules.latent_dim, rules.batch_size, rules.steps) == (4, 10, 7)
    assert rules.learning_rate == 0.5


@pytest.mark.parametrize("shape", [(28, 28, 1), (8, 12, 3), (64, 48, 3), (32, 32, 3)])
def test_image_networks_fit_their_images(shape):
    """E and G are built for the shape, or `build` refuses; sides are halved while they can be."""
    model = rules_for(shape, 100).build(0)
    z = np.zeros((2, model.latent_dim), "float32")
    assert model.G(z).shape == (2, *shape)
    halvings = sum(row.op == "conv" for row in image_networks(shape, 8, 4)["E"])
    side = min(shape[:2]) // 2**halvings
    assert side >= 4
    assert side < 8 or halvings == 4 or (shape[0] // 2**halvings) % 2


@pytest.mark.parametrize("shape", [(7, 8, 1), (6, 6, 3), (33, 32, 3)])
def test_images_that_cannot_be_halved_are_refused(shape):
    with pytest.raises(ValueError, match=f"{shape[0]} x {shape[1]} pixels.*Resize"):
        rules_for(shape, 100)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 0}, "received hidden=0; expected a positive"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0; expected a positive"),
        ({"batch_size": 50}, "batch_size=50 for 40 training rows"),
    ],
)
def test_impossible_values_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        rules_for((3,), 40, **options)
