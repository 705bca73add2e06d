"""What the preprocessors of images share: nothing to fit, and the bytes of PNGs and JPEGs."""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

from alad_tf.preprocess.base import Encoding, Preprocessor, serialized_example

ORIENTATION = 0x0112  # EXIF's tag: how a camera was held
JPEG, PNG = b"\xff\xd8", b"\x89PNG"
JPEG_EXIF = (0xFF, 0xE1, None, None, *b"Exif\0\0")  # a segment of any length
PNG_EXIF = tuple(b"eXIf")
BEYOND = 16  # zeros after the bytes, so that a pattern can be looked for at their end


class EncodedImages(Preprocessor):
    """Base of the preprocessors of uint8 images, which a request may hold encoded.

    Args:
        image_shape: `(height, width, channels)` of a preprocessed image.
        **kwargs: `name` of the layer.
    """

    def __init__(self, image_shape, **kwargs):
        super().__init__(**kwargs)
        self.image_shape = tuple(int(side) for side in image_shape)
        if len(self.image_shape) != 3 or min(self.image_shape) < 1:
            raise ValueError(
                f"received image_shape={self.image_shape}; expected (height, width, channels)."
            )

    @property
    def fitted(self) -> bool:
        """Always: there is nothing to fit."""
        return True

    @property
    def output_shape(self) -> tuple[int, ...]:
        """`(height, width, channels)`."""
        return self.image_shape

    def inverse(self, x):
        levels = tf.clip_by_value(tf.round(self._levels(tf.cast(x, tf.float32))), 0.0, 255.0)
        images = tf.cast(levels, tf.uint8)
        return images if tf.is_tensor(x) else images.numpy()

    def encodings(self) -> dict[str, Encoding]:
        pictures = Encoding("encoded", self._decode_pictures, self._encode_pictures)
        return {**super().encodings(), "encoded_images": pictures}

    def _levels(self, x: tf.Tensor) -> tf.Tensor:
        """Preprocessed pixels as levels from 0 to 255."""
        return x

    def _decode_pictures(self, encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        """The bytes of PNGs or JPEGs as a request."""
        raise NotImplementedError

    def _encode_pictures(self, records) -> list[bytes]:
        return [tf.io.encode_png(image).numpy() for image in self.check(records)]

    def _parse(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        features = {"image": tf.io.FixedLenFeature((), tf.string)}
        return self._decode_pictures(tf.io.parse_example(examples, features)["image"])

    def _serialize(self, records) -> list[bytes]:
        return [serialized_example({"image": png}) for png in self._encode_pictures(records)]

    def _own_config(self) -> dict:
        return {"image_shape": list(self.image_shape)}


def decoded(content: tf.Tensor, channels: int = 0) -> tf.Tensor:
    """The bytes of a PNG or JPEG as pixels (H, W, C), turned as their EXIF data say."""
    image = tf.io.decode_image(content, channels=channels, expand_animations=False)
    image.set_shape((None, None, channels or None))
    return upright(image, orientation_of(content))


def upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """An image (H, W, C) turned by EXIF's number of its orientation, from 1 to 8.

    Source: CIPA DC-008, "Exchangeable image file format", 4.6.4, tag Orientation.
    """

    def one_of(*numbers):
        return tf.reduce_any(tf.equal(orientation, numbers))

    def where(numbers, turned, image):
        image = tf.cond(one_of(*numbers), lambda: turned(image), lambda: image)
        image.set_shape(shape)
        return image

    shape = (None, None, image.shape[-1])
    image = where((5, 6, 7, 8), lambda one: tf.transpose(one, (1, 0, 2)), image)
    image = where((2, 3, 6, 7), lambda one: tf.reverse(one, (1,)), image)
    return where((3, 4, 7, 8), lambda one: tf.reverse(one, (0,)), image)


def orientation_of(content: tf.Tensor) -> tf.Tensor:
    """The orientation that EXIF data in the bytes of a JPEG or PNG state: int64; 1 without any."""
    data = tf.io.decode_raw(content, tf.uint8)
    count = tf.size(data)
    data = tf.pad(data, [(0, BEYOND)])

    def at(place):
        last = tf.cast(count, tf.int64) + BEYOND - 1
        return tf.cast(tf.gather(data, tf.clip_by_value(place, 0, last)), tf.int64)

    def places(pattern):
        """Where a pattern ends for the first time, and whether it is there at all."""
        same = (
            tf.equal(data[place : place + count], byte)
            for place, byte in enumerate(pattern)
            if byte is not None
        )
        found = functools.reduce(tf.logical_and, same)
        found = tf.pad(tf.cast(found, tf.uint8), [(0, 1)])  # there is a maximum of no bytes, too
        return tf.argmax(found) + len(pattern), tf.reduce_max(found) > 0

    of_jpeg, in_jpeg = places(JPEG_EXIF)
    of_png, in_png = places(PNG_EXIF)
    is_jpeg = tf.equal(tf.strings.substr(content, 0, len(JPEG)), JPEG)
    is_png = tf.equal(tf.strings.substr(content, 0, len(PNG)), PNG)
    start = tf.where(is_jpeg, of_jpeg, of_png)
    little = tf.equal(at(start), ord("I"))  # the byte order of what follows, a TIFF header

    def number(place, width):
        parts = [at(place + i) for i in range(width)]
        ascending = tf.add_n([part * 256**i for i, part in enumerate(parts)])
        descending = tf.add_n([part * 256**i for i, part in enumerate(reversed(parts))])
        return tf.where(little, ascending, descending)

    directory = start + number(start + 4, 4)
    entries = directory + 2 + 12 * tf.range(number(directory, 2))
    tagged = tf.equal(number(entries, 2), ORIENTATION)
    value = tf.reduce_max(tf.where(tagged, number(entries + 8, 2), 0))
    stated = (is_jpeg & in_jpeg) | (is_png & in_png)
    return tf.where(stated & (value >= 1) & (value <= 8), value, np.int64(1))
