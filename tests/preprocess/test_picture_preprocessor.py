"""Pictures of any size: resized as Pillow does, whatever their channels and company."""

import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from alad_tf.preprocess import PicturePreprocessor, preprocessor_from_state
from alad_tf.preprocess.encoded import decoded, orientation_of

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


def with_exif(picture, kind, orientation, order="<"):
    """A picture's file whose EXIF data state an orientation, and Pillow's image of it."""
    exif = Image.Exif()
    exif.endian, exif[0x010F], exif[0x0112] = order, "a maker", orientation
    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind, exif=exif.tobytes())
    return file.getvalue(), Image.open(io.BytesIO(file.getvalue()))


@pytest.mark.parametrize("kind", ["jpeg", "png"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_encoded_pictures_are_turned_as_pillow_turns_them(kind, order):
    for orientation in range(1, 9):
        content, image = with_exif(noise(16, 24, 3), kind, orientation, order)
        assert orientation_of(tf.constant(content)) == orientation
        upright = np.asarray(ImageOps.exif_transpose(image))
        # two decoders of JPEG round differently
        found = decoded(tf.constant(content)).numpy().astype(int)
        np.testing.assert_allclose(found, upright, atol=0 if kind == "png" else 8)
    both = [with_exif(noise(16, 24, 3), kind, number)[0] for number in (1, 6)]
    request = LAYER.encodings()["encoded_images"].decode(tf.constant(both))
    turned = np.asarray(ImageOps.exif_transpose(with_exif(noise(16, 24, 3), kind, 6)[1]))
    np.testing.assert_allclose(request["images"][1], LAYER.transform([turned])[0], atol=8)


def test_without_a_usable_orientation_pictures_stay_as_they_are():
    plain, _ = with_exif(noise(9, 9), "jpeg", 6)
    at = plain.index(b"Exif")
    for content in (
        b"",
        b"\xff",
        plain.replace(b"Exif", b"Exxx"),
        plain[: at + 8],
        plain[: at + 10] + b"\xff" * 8 + plain[at + 18 :],  # the directory is far beyond the end
        with_exif(noise(9, 9), "jpeg", 77)[0],
        b"GIF" + plain,
    ):
        assert orientation_of(tf.constant(content)) == 1


def test_the_aspect_can_be_kept():
    layer = PicturePreprocessor((*SIZE, 3), keep_aspect=True)
    # 16 x 12: a picture twice as wide as high is 6 high, in the middle
    picture = noise(30, 60, 3)
    (found,) = layer.transform([picture])
    small = Image.fromarray(picture).resize((12, 6), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(found[5:11], np.array(small, float), atol=1.01)
    for row, edge in ((0, picture[0]), (15, picture[-1])):
        line = Image.fromarray(edge[None]).resize((12, 1), Image.Resampling.BILINEAR)
        # beyond the edge there is what lies within half a step of it
        assert abs(found[row] - np.array(line, float)[0]).mean() < 40
        np.testing.assert_array_equal(found[row], found[4 if row == 0 else 11])
    same = noise(32, 24, 3)  # of the aspect that the network has
    np.testing.assert_allclose(layer.transform([same]), LAYER.transform([same]), atol=1e-3)
    call = tf.function(layer.call).get_concrete_function(layer.signature()["images"])
    np.testing.assert_allclose(call(picture[None])[0], found, atol=1e-3)


def test_maps_come_back_to_where_pictures_were():
    for keep in (False, True):
        layer = PicturePreprocessor((16, 16, 3), keep)
        picture = np.zeros((40, 20, 3), "uint8")
        picture[28:34, 6:12] = 255
        (seen,) = layer.transform([picture])
        back = layer.at_size(seen[None, ..., 0], (40, 20)).numpy()[0]
        center = [
            np.average(np.arange(side), weights=back.sum(1 - axis))
            for axis, side in enumerate(back.shape)
        ]
        np.testing.assert_allclose(center, [30.5, 8.5], atol=0.5)
        assert back.shape == (40, 20) and back.argmax() // 20 in range(28, 34)
    with pytest.raises(ValueError, match="expected .N, h, w."):
        LAYER.at_size(np.zeros((4, 4)), (8, 8))


def test_the_state_makes_a_twin():
    for layer in (LAYER, PicturePreprocessor((*SIZE, 3), keep_aspect=True)):
        serialized = keras.saving.serialize_keras_object(layer)
        for twin in (
            preprocessor_from_state(layer.state()),
            keras.saving.deserialize_keras_object(serialized),
        ):
            assert isinstance(twin, PicturePreprocessor) and twin.output_shape == (*SIZE, 3)
            assert twin.keep_aspect == layer.keep_aspect


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
