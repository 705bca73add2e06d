"""PicturePreprocessor: pictures of any size to one size, for a network that was trained before."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from alad_tf.preprocess.base import Encoding, Preprocessor, serialized_example
from alad_tf.preprocess.containers import describe

PART = 64  # pictures that are resized together
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue, in gray: ITU-R BT.601
LEAST_SIDE, MOST_PIXELS = 2, 89_000_000


@keras.saving.register_keras_serializable(package="alad_tf")
class PicturePreprocessor(Preprocessor):
    """Resizes uint8 images of any size to one size. There is nothing to fit.

    Sides are resized independently: the aspect ratio is not kept, but nothing is cut off and
    nothing added. Shrinking averages over the pixels that become one (a triangle filter, Pillow's
    BILINEAR); enlarging interpolates. Gray images get three equal channels if the network takes
    three, colours become gray (ITU-R BT.601) if it takes one, and transparent pixels are blended
    with white.

    Args:
        image_shape: `(height, width, channels)` that the network takes, 1 or 3 channels.
        **kwargs: `name` of the layer.

    Raises:
        ValueError: if there are not 1 or 3 channels, or a side is not positive.

    Example:
        >>> layer = PicturePreprocessor((1, 1, 3))
        >>> layer.transform([np.array([[0, 100], [0, 100]], "uint8")]).tolist()
        [[[[50.0, 50.0, 50.0]]]]
    """

    kind = "pictures"
    scaling = "pixels from 0 to 255, resized"

    def __init__(self, image_shape, **kwargs):
        super().__init__(**kwargs)
        self.image_shape = tuple(int(side) for side in image_shape)
        if (
            len(self.image_shape) != 3
            or min(self.image_shape) < 1
            or self.image_shape[2] not in (1, 3)
        ):
            raise ValueError(
                f"received image_shape={self.image_shape}; expected (height, width, 1) or "
                "(height, width, 3)."
            )

    @property
    def fitted(self) -> bool:
        """Always: there is nothing to fit."""
        return True

    @property
    def output_shape(self) -> tuple[int, ...]:
        """`(height, width, channels)` that the network takes."""
        return self.image_shape

    def check(self, x) -> np.ndarray:
        """Check raw images.

        Args:
            x: uint8 `(N, H, W)` or `(N, H, W, C)`; or a sequence of N images of several sizes, `(H,
                W)` or `(H, W, C)` each. C is 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGBA).

        Returns:
            `(N, H, W, C)` uint8, or an object array `(N,)` of such images.

        Raises:
            ValueError: if the dtype or shape is wrong, or there are no images.
        """
        return check_pictures(x)

    def parts(self, x) -> Iterator[np.ndarray]:
        """Preprocessed images, a few at a time, since all at once would need much memory.

        Args:
            x: raw images, as `check` takes them.

        Yields:
            `(n, *output_shape)` float32.

        Raises:
            ValueError: if `check` refuses the images.

        Example:
            >>> layer = PicturePreprocessor((8, 8, 3))
            >>> [len(part) for part in layer.parts(np.zeros((100, 20, 20, 3), "uint8"))]
            [64, 36]
        """
        x = self.check(x)
        for start in range(0, len(x), PART):
            yield self.transform(x[start : start + PART])

    def transform(self, x, batch_size: int = PART) -> np.ndarray:
        """Resize raw images, each by itself: the result does not depend on the other images.

        Args:
            x: raw images, as `check` takes them.
            batch_size: int, as for the other preprocessors; has no effect here.

        Returns:
            `(N, *output_shape)` float32, from 0 to 255.

        Raises:
            ValueError: if `check` refuses the images, or the batch size is below 1.
        """
        if batch_size < 1:
            raise ValueError(f"received batch_size={batch_size}; expected at least 1.")
        x = self.check(x)
        result = np.empty((len(x), *self.image_shape), np.float32)
        for number, picture in enumerate(x):
            result[number] = self.call(tf.constant(picture[None]))[0]
        return result

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Resizes `(N, H, W, C)` uint8; pure TensorFlow. What is float32 was resized before."""
        if inputs.dtype == tf.float32:
            return inputs
        return resized(in_channels(inputs, self.image_shape[2]), self.image_shape[:2])

    def inverse(self, x):
        levels = tf.round(tf.clip_by_value(tf.cast(x, tf.float32), 0.0, 255.0))
        images = tf.cast(levels, tf.uint8)
        return images if tf.is_tensor(x) else images.numpy()

    def signature(self) -> dict[str, tf.TensorSpec]:
        return {"images": tf.TensorSpec((None, None, None, None), tf.uint8)}

    def sample(self, count: int, reach: float = 1) -> np.ndarray:
        generator = np.random.default_rng(count)
        height, width, channels = self.image_shape
        shape = (count, height + 3 * count, width + 2, channels)  # of no size that is met before
        # blocks of pixels, since noise of single ones is not what pictures are
        rough = generator.integers(0, 256, (count, 5, 5, channels), dtype="uint8")
        rows, columns = (np.arange(side) * 5 // side for side in shape[1:3])
        return np.ascontiguousarray(rough[:, rows][:, :, columns])

    def encodings(self) -> dict[str, Encoding]:
        pictures = Encoding("encoded", self._decode_pictures, self._encode_pictures)
        return {**super().encodings(), "encoded_images": pictures}

    def _decode_pictures(self, encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        """The bytes of PNGs or JPEGs of any sizes, resized: a request of float32."""

        def decode(content):
            image = tf.io.decode_image(content, expand_animations=False)
            image.set_shape((None, None, None))
            return self.call(image[None])[0]

        spec = tf.TensorSpec(self.image_shape, tf.float32)
        return {"images": tf.map_fn(decode, encoded, fn_output_signature=spec)}

    def _encode_pictures(self, records) -> list[bytes]:
        return [tf.io.encode_png(image).numpy() for image in self.check(records)]

    def _parse(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        features = {"image": tf.io.FixedLenFeature((), tf.string)}
        return self._decode_pictures(tf.io.parse_example(examples, features)["image"])

    def _serialize(self, records) -> list[bytes]:
        return [serialized_example({"image": png}) for png in self._encode_pictures(records)]

    def _own_config(self) -> dict:
        return {"image_shape": list(self.image_shape)}


def check_pictures(x) -> np.ndarray:
    """What `PicturePreprocessor.check` does, whatever size pictures are brought to."""
    if isinstance(x, np.ndarray) and x.dtype != object:
        if x.ndim not in (3, 4) or not len(x):
            raise ValueError(
                f"received {describe(x)}; expected images (N, H, W) or (N, H, W, C) uint8, N "
                ">= 1, or a list of images."
            )
        x = x[..., None] if x.ndim == 3 else x
        _check_picture(x[0], describe(x))
        return x
    pictures = list(x)
    if not pictures:
        raise ValueError("received no images; expected at least one.")
    found = np.empty(len(pictures), object)
    for number, picture in enumerate(pictures):
        array = np.asarray(picture)
        array = array[..., None] if array.ndim == 2 else array
        _check_picture(array, f"image {number}, {describe(array)}")
        found[number] = array
    return found


def _check_picture(array, described):
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4):
        raise ValueError(
            f"received {described}; expected images (H, W) or (H, W, C) of 1 (gray), 2 "
            "(gray, alpha), 3 (RGB) or 4 (RGBA) channels."
        )
    if array.dtype != np.uint8:
        raise ValueError(
            f"received {described}; expected uint8, values 0 to 255. The detector scales "
            "images itself: undo your own scaling, round, and cast with x.astype('uint8')."
        )
    pixels = array.shape[0] * array.shape[1]
    if min(array.shape[:2]) < LEAST_SIDE or pixels > MOST_PIXELS:
        raise ValueError(
            f"received {described}; expected sides of at least {LEAST_SIDE} pixels, and at "
            f"most {MOST_PIXELS:,} pixels in all. Cut large images into tiles."
        )


def in_channels(images: tf.Tensor, channels: int) -> tf.Tensor:
    """Pictures `(N, H, W, C)` uint8, of any C from 1 to 4, as float32 of 1 or 3 channels."""
    static = images.shape[-1]
    if static == channels:
        return tf.cast(images, tf.float32)
    count = tf.shape(images)[-1] if static is None else static
    # without branches, which other runtimes lack: the colours are three of the channels
    colours = tf.where(count > 2, tf.constant([0, 1, 2]), tf.constant([0, 0, 0]))
    found = tf.cast(tf.gather(images, colours, axis=-1), tf.float32)
    last = tf.cast(tf.gather(images, [count - 1], axis=-1), tf.float32)
    opaque = tf.where(tf.equal(count % 2, 0), last / 255.0, tf.ones_like(last))
    found = found * opaque + 255.0 * (1.0 - opaque)
    if channels == 1:
        found = tf.reduce_sum(found * tf.constant(LUMA), -1, keepdims=True)
    return found


def resized(images: tf.Tensor, size) -> tf.Tensor:
    """Pictures `(N, H, W, C)` float32, resized with a triangle filter, sides independently.

    Two products with small matrices: what every runtime has, and the same everywhere. `size` is
    two ints or two scalars.
    """
    images = tf.convert_to_tensor(images)
    static, sides = images.shape[1:3], tf.shape(images)[1:3]
    products = ("ih,nhwc->niwc", "jw,niwc->nijc")
    for number, (product, target) in enumerate(zip(products, size, strict=True)):
        if not isinstance(target, int) or static[number] != target:
            images = tf.einsum(product, _weights(sides[number], target), images)
    return images


def _weights(source: tf.Tensor, target: int | tf.Tensor) -> tf.Tensor:
    """What each of `source` pixels counts in each of `target` ones: float32 (target, source)."""
    scale = tf.cast(source, tf.float32) / tf.cast(target, tf.float32)
    centers = (tf.cast(tf.range(target), tf.float32) + 0.5) * scale
    places = tf.cast(tf.range(source), tf.float32) + 0.5
    away = tf.abs(places[None] - centers[:, None]) / tf.maximum(scale, 1.0)
    weights = tf.maximum(1.0 - away, 0.0)
    return weights / tf.reduce_sum(weights, 1, keepdims=True)
