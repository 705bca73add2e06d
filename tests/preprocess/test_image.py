"""Images: uint8 in, [-1, 1] inside, uint8 back."""

import keras
import numpy as np
import pytest

from alad_tf.preprocess import ImagePreprocessor, for_dataset, preprocessor_from_state

ALL_VALUES = np.arange(256, dtype="uint8").reshape(1, 16, 16, 1)


def test_pixels_are_scaled_and_come_back():
    layer = ImagePreprocessor((16, 16, 1))
    scaled = layer.transform(ALL_VALUES)
    assert scaled.dtype == np.float32
    exact = ALL_VALUES.astype("float64") / 127.5 - 1
    np.testing.assert_allclose(scaled, exact, atol=1e-7)
    assert (scaled.min(), scaled.max()) == (-1, 1)
    np.testing.assert_array_equal(layer.inverse(scaled), ALL_VALUES)


def test_reconstructions_beyond_the_range_are_clipped():
    layer = ImagePreprocessor((1, 1, 3))
    assert layer.inverse(np.array([[[[-1.5, 0.0, 7.0]]]])).ravel().tolist() == [0, 128, 255]


def test_the_batch_size_changes_nothing():
    images = np.random.default_rng(0).integers(0, 256, (7, 4, 5, 3), dtype="uint8")
    layer = ImagePreprocessor((4, 5, 3))
    np.testing.assert_array_equal(layer.transform(images, 2), layer.transform(images))


def test_the_state_makes_a_twin():
    layer = ImagePreprocessor((4, 5, 3))
    twins = (
        preprocessor_from_state(layer.state()),
        keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer)),
    )
    for twin in twins:
        assert isinstance(twin, ImagePreprocessor) and twin.output_shape == (4, 5, 3)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((4, 5, 3), "uint8"), "For one image, pass x"),
        (np.zeros((2, 5, 4, 3), "uint8"), r"shape \(2, 5, 4, 3\); expected \(N, 4, 5, 3\) uint8"),
        (np.zeros((0, 4, 5, 3), "uint8"), "N >= 1"),
        (np.zeros((2, 60), "uint8"), "For a table, use a detector of tables"),
        (np.zeros((2, 4, 5, 3), "float32"), "cast with x.astype"),
    ],
)
def test_other_arrays_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        ImagePreprocessor((4, 5, 3)).transform(images)


def test_shapes_and_scalings_are_checked():
    with pytest.raises(ValueError, match="expected .height, width, channels."):
        ImagePreprocessor((32, 32))
    with pytest.raises(ValueError, match="pixels are always scaled to"):
        for_dataset("cifar10", None, None, scaling="minmax")
