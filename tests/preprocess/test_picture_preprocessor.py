"""Pictures of any size: resized as Pillow does, whatever their channels and company."""

import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from alad_tf.preprocess import PicturePreprocessor, preprocessor_from_state

SIZE = (16, 12)
LAYER = PicturePreprocessor((*SIZE, 3))


def noise(*shape):
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype="uint8")


@pytest.mark.parametrize("shape", [(40, 30), (16, 50), (9, 5), (17, 12), (200, 3)])
def test_resizing_is_pillows_up_to_its_rounding(shape):
    picture = noise(*shape, 3)
    pillow = Image.fromarray(picture).resize(SIZE[::-1], Image.Resampling.BILINEAR)
    # Pillow rounds twice, once for each direction
    np.testing.assert_allclose(LAYER.transform([picture])[0], np.array(pillow, float), atol=1.01)


def test_a_picture_of_the_size_is_left_as_it_is():
    picture = noise(*SIZE, 3)
    np.testing.assert_array_equal(LAYER.transform(picture[None])[0], picture)


def test_a_flat_picture_stays_flat():
    for shape in ((5, 31), (100, 7)):
        flat = np.full((*shape, 3), 201, "uint8")
        np.testing.assert_allclose(LAYER.transform([flat]), 201, rtol=1e-6)


def test_a_pictures_bits_do_not_depend_on_its_company():
    pictures = [noise(20 + n, 30, 3) for n in range(5)]
    together = LAYER.transform(pictures)
    for alone, picture in zip(together, pictures, strict=True):
        np.testing.assert_array_equal(LAYER.transform([picture])[0], alone)
    parts = np.concatenate(list(LAYER.parts([noise(8, 8, 3)] * 66)))
    np.testing.assert_array_equal(parts, LAYER.transform([noise(8, 8, 3)] * 66))


def test_gray_and_transparent_pictures():
    gray, clear = noise(*SIZE), np.zeros(SIZE, "uint8")
    threefold = np.repeat(gray[..., None], 3, -1)
    clear[0] = 255
    for picture in (gray, gray[..., None], np.stack([gray, 0 * gray + 255], -1)):
        np.testing.assert_array_equal(LAYER.transform([picture])[0], threefold)
    on_white = np.where(clear[..., None] > 0, threefold, 255)
    for colours in (gray[..., None], threefold):
        picture = np.concatenate([colours, clear[..., None]], -1)
        np.testing.assert_array_equal(LAYER.transform([picture])[0], on_white)


def test_colours_become_gray_as_in_pillow():
    picture = noise(*SIZE, 3)
    gray = PicturePreprocessor((*SIZE, 1)).transform([picture])[0, ..., 0]
    np.testing.assert_allclose(gray, np.array(Image.fromarray(picture).convert("L")), atol=1)


def test_the_graph_takes_any_size_and_number_of_channels():
    call = tf.function(LAYER.call).get_concrete_function(LAYER.signature()["images"])
    for channels in (1, 4):
        pictures = noise(2, 25, 14, channels)
        np.testing.assert_allclose(call(pictures), LAYER.transform(pictures), atol=1e-3)


def test_encoded_pictures_of_several_sizes_and_modes():
    pictures = [noise(30, 20, 3), noise(12, 40), noise(16, 12, 4)]
    encoded = []
    for picture in pictures:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "png")
        encoded.append(file.getvalue())
    for encoding in LAYER.encodings().values():
        assert encoding.decode  # both directions are there
    request = LAYER.encodings()["encoded_images"].decode(tf.constant(encoded))
    np.testing.assert_allclose(
        LAYER(LAYER.from_request(request)), LAYER.transform(pictures), atol=1e-3
    )
    records = LAYER.sample(2)
    examples = LAYER.encodings()["serialized_examples"]
    decoded = LAYER(LAYER.from_request(examples.decode(tf.constant(examples.encode(records)))))
    np.testing.assert_allclose(decoded, LAYER.transform(records), atol=1e-3)


def test_the_state_makes_a_twin():
    serialized = keras.saving.serialize_keras_object(LAYER)
    for twin in (
        preprocessor_from_state(LAYER.state()),
        keras.saving.deserialize_keras_object(serialized),
    ):
        assert isinstance(twin, PicturePreprocessor) and twin.output_shape == (*SIZE, 3)


@pytest.mark.parametrize(
    "pictures, message",
    [
        ([], "no images"),
        (np.zeros((2, 4, 4, 3)), "2, 4, 4, 3.*expected uint8"),
        (np.zeros((2, 3), "uint8"), r"expected images \(N, H, W\)"),
        ([noise(4, 4, 3), noise(4, 4, 5)], "image 1, .*5.*channels"),
        ([noise(4, 4, 3), noise(4, 4).astype("int32")], "image 1, .*expected uint8"),
        ([noise(1, 9, 3)], "at least 2 pixels"),
    ],
)
def test_what_is_no_picture_is_refused(pictures, message):
    with pytest.raises(ValueError, match=message):
        LAYER.check(pictures)


@pytest.mark.parametrize("shape", [(4, 4, 2), (0, 4, 3), (4, 4)])
def test_a_size_that_no_network_takes_is_refused(shape):
    with pytest.raises(ValueError, match="image_shape"):
        PicturePreprocessor(shape)
