"""PicturePreprocessor: pictures of any size to one size, for a pretrained network."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from alad_tf.preprocess.containers import describe
from alad_tf.preprocess.encoded import EncodedImages, decoded

PART = 64  # pictures that are resized together
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue, in grey: ITU-R BT.601
LEAST_SIDE, MOST_PIXELS = 2, 89_000_000


@keras.saving.register_keras_serializable(package="alad_tf")
class PicturePreprocessor(EncodedImages):
    """Resizes uint8 images of any size to one size. There is nothing to fit.

    By default, sides are resized independently: the aspect ratio is not kept, but nothing is cut
    off and nothing added. With `keep_aspect`, an image of another aspect ratio is centred, and its
    edge pixels are repeated to fill the rest; nothing is cut off either.

    Shrinking averages over the pixels that become one (a triangle filter, Pillow's BILINEAR);
    enlarging interpolates. Grey images get three equal channels if the network takes three, colours
    become grey (ITU-R BT.601) if it takes one, and transparent pixels are blended with white.

    Args:
        image_shape: `(height, width, channels)` that the network takes, 1 or 3 channels.
        keep_aspect: bool, resize both sides by one factor.
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

    def __init__(self, image_shape, keep_aspect: bool = False, **kwargs):
        super().__init__(image_shape, **kwargs)
        self.keep_aspect = bool(keep_aspect)
        if self.image_shape[2] not in (1, 3):
            raise ValueError(
                f"received image_shape={self.image_shape}; expected (height, width, 1) or "
                "(height, width, 3)."
            )

    def check(self, x) -> np.ndarray:
        """Check raw images.

        Args:
            x: uint8 `(N, H, W)` or `(N, H, W, C)`; or a sequence of N images of several sizes, `(H,
                W)` or `(H, W, C)` each. C is 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA).

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
        """Resizes `(N, H, W, C)` uint8; float32 images are resized already. Pure TensorFlow."""
        if inputs.dtype == tf.float32:
            return inputs
        images, size = in_channels(inputs, self.image_shape[2]), self.image_shape[:2]
        if not self.keep_aspect or images.shape[1:3] == size:
            return resized(images, size)
        sides = tf.unstack(tf.cast(tf.shape(images)[1:3], tf.float32))
        step = self._step(sides)
        starts = [(side - ours * step) / 2 for side, ours in zip(sides, size, strict=True)]
        return resampled(images, size, [step, step], starts)

    def at_size(self, maps, size) -> tf.Tensor:
        """Resize maps over the network's input to the size of the original picture.

        Args:
            maps: float array or tensor `(N, h, w)`, of any resolution, over the network's input.
            size: (height, width) of the picture, ints or scalar tensors.

        Returns:
            `(N, height, width)` float32: without what was added to keep the aspect.

        Raises:
            ValueError: if the maps have another number of dimensions.

        Example:
            >>> PicturePreprocessor((8, 8, 3)).at_size([[[1.0, 2.0]]], (2, 4)).numpy().tolist()
            [[[1.0, 1.25, 1.75, 2.0], [1.0, 1.25, 1.75, 2.0]]]
        """
        maps = tf.convert_to_tensor(maps, tf.float32)
        if len(maps.shape) != 3:
            raise ValueError(f"received maps of shape {maps.shape}; expected (N, h, w).")
        if not self.keep_aspect:
            return resized(maps[..., None], size)[..., 0]
        sides = [tf.cast(side, tf.float32) for side in size]
        step, steps, starts = self._step(sides), [], []
        for side, ours, positions in zip(sides, self.image_shape, maps.shape[1:], strict=False):
            density = positions / ours / step  # of positions in a pixel of the picture
            steps.append(density)
            starts.append((ours * step - side) / 2 * density)
        return resampled(maps[..., None], size, steps, starts)[..., 0]

    def _step(self, sides) -> tf.Tensor:
        """How many pixels of a picture with these sides become one, its aspect kept."""
        ours = self.image_shape[:2]
        return tf.maximum(*(side / one for side, one in zip(sides, ours, strict=True)))

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

    def _decode_pictures(self, encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        """The bytes of PNGs or JPEGs of any sizes, resized: a request of float32."""

        def decode(content):
            return self.call(decoded(content)[None])[0]

        spec = tf.TensorSpec(self.image_shape, tf.float32)
        return {"images": tf.map_fn(decode, encoded, fn_output_signature=spec)}

    def _own_config(self) -> dict:
        kept = {"keep_aspect": True} if self.keep_aspect else {}
        return {**super()._own_config(), **kept}


def check_pictures(x) -> np.ndarray:
    """`PicturePreprocessor.check`, which does not depend on the size after resizing."""
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
            f"received {described}; expected images (H, W) or (H, W, C) of 1 (grey), 2 "
            "(grey, alpha), 3 (RGB) or 4 (RGBA) channels."
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
    sides = tf.unstack(tf.cast(tf.shape(images)[1:3], tf.float32))
    steps = [side / tf.cast(target, tf.float32) for side, target in zip(sides, size, strict=True)]
    return resampled(images, size, steps)


def resampled(images: tf.Tensor, size, steps, starts=(None, None)) -> tf.Tensor:
    """Pictures `(N, H, W, C)` float32 on another grid of pixels, with a triangle filter.

    For both axes, `steps` are the distances between new pixels, in old ones, and `starts` say where
    the first one begins (default: 0). Beyond the edges, their pixels are repeated.
    """
    static, sides = images.shape[1:3], tf.shape(images)[1:3]
    products = ("ih,nhwc->niwc", "jw,niwc->nijc")
    for number, (product, target, step, start) in enumerate(
        zip(products, size, steps, starts, strict=True)
    ):
        same = start is None and isinstance(target, int) and static[number] == target
        if not same:
            weights = _weights(sides[number], target, step, start)
            images = tf.einsum(product, weights, images)
    return images


def _weights(source: tf.Tensor, target: int | tf.Tensor, step, start) -> tf.Tensor:
    """The weight of each of `source` pixels in each of `target` ones: float32 (target, source)."""
    centers = (tf.cast(tf.range(target), tf.float32) + 0.5) * step
    if start is not None:
        centers = tf.clip_by_value(centers + start, 0.5, tf.cast(source, tf.float32) - 0.5)
    places = tf.cast(tf.range(source), tf.float32) + 0.5
    away = tf.abs(places[None] - centers[:, None]) / tf.maximum(step, 1.0)
    weights = tf.maximum(1.0 - away, 0.0)
    return weights / tf.reduce_sum(weights, 1, keepdims=True)
