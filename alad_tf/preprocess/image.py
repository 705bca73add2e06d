"""ImagePreprocessor: uint8 pixels to [-1, 1]."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from alad_tf.preprocess.base import Encoding
from alad_tf.preprocess.containers import describe
from alad_tf.preprocess.encoded import EncodedImages, decoded


@keras.saving.register_keras_serializable(package="alad_tf")
class ImagePreprocessor(EncodedImages):
    """Scales uint8 images to [-1, 1]: x / 127.5 - 1. There is nothing to fit.

    Args:
        image_shape: `(height, width, channels)` of the images.
        **kwargs: `name` of the layer.

    Raises:
        ValueError: if `image_shape` is not three positive numbers.

    Example:
        >>> layer = ImagePreprocessor((1, 1, 3))
        >>> layer.transform(np.array([[[[0, 51, 255]]]], "uint8")).ravel().tolist()
        [-1.0, -0.6000000238418579, 1.0]

    Source: Zenati et al. 2018, appendix A, "Pixels were scaled to be in range [-1,1]".
    """

    kind = "image"
    scaling = "pixels to [-1, 1]"
    # PNG and JPEG have no other numbers of channels
    picture_channels = (1, 3, 4)

    def check(self, x) -> np.ndarray:
        """Check raw images.

        Args:
            x: `(N, height, width, channels)` uint8, N >= 1.

        Returns:
            the array.

        Raises:
            ValueError: if the dtype or shape differs, or there are no images.
        """
        array = np.asarray(x)
        expected = f"(N, {', '.join(map(str, self.image_shape))}) uint8"
        if array.shape == self.image_shape:
            raise ValueError(
                f"received {describe(x)}; expected {expected}. For one image, pass x[None]."
            )
        if array.ndim not in (3, 4):
            raise ValueError(
                f"received {describe(x)}; expected images, {expected}, N >= 1. For a table, use a "
                "detector of tables."
            )
        if array.ndim != 4 or array.shape[1:] != self.image_shape or not len(array):
            raise ValueError(
                f"received {describe(x)}; expected {expected}, N >= 1. Resize the images first."
            )
        if array.dtype != np.uint8:
            raise ValueError(
                f"received {describe(x)}; expected {expected}, values 0 to 255. The detector "
                "scales images itself: undo your own scaling, round, and cast with "
                "x.astype('uint8')."
            )
        return array

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Scales `(N, height, width, channels)` uint8; pure TensorFlow."""
        return tf.cast(inputs, tf.float32) / 127.5 - 1.0

    def signature(self) -> dict[str, tf.TensorSpec]:
        return {"images": tf.TensorSpec((None, *self.image_shape), tf.uint8)}

    def sample(self, count: int, reach: float = 1) -> np.ndarray:
        generator = np.random.default_rng(count)
        return generator.integers(0, 256, (count, *self.image_shape), dtype="uint8")

    def encodings(self) -> dict[str, Encoding]:
        if self.image_shape[-1] not in self.picture_channels:
            return {}
        return super().encodings()

    def _levels(self, x: tf.Tensor) -> tf.Tensor:
        return (x + 1.0) * 127.5

    def _decode_pictures(self, encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        """The bytes of PNGs or JPEGs as a request; another size is an InvalidArgumentError."""
        shape = self.image_shape
        message = f"Images must have {shape[0]} x {shape[1]} pixels"

        def decode(content):
            image = decoded(content, shape[-1])
            same = tf.reduce_all(tf.equal(tf.shape(image), shape))
            with tf.control_dependencies([tf.debugging.Assert(same, [message, tf.shape(image)])]):
                return tf.reshape(image, shape)

        images = tf.map_fn(decode, encoded, fn_output_signature=tf.TensorSpec(shape, tf.uint8))
        return {"images": images}
