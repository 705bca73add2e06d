"""ImagePreprocessor: uint8 pixels to [-1, 1]."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from alad_tf.preprocess.base import Preprocessor
from alad_tf.preprocess.columns import describe


@keras.saving.register_keras_serializable(package="alad_tf")
class ImagePreprocessor(Preprocessor):
    """Brings uint8 images to [-1, 1]: x / 127.5 - 1. There is nothing to fit.

    Args:
        image_shape: `(height, width, channels)` of the images.
        **kwargs: `name` of the layer.

    Raises:
        ValueError: not three positive sides.

    Example:
        >>> layer = ImagePreprocessor((1, 1, 3))
        >>> layer.transform(np.array([[[[0, 51, 255]]]], "uint8")).ravel().tolist()
        [-1.0, -0.6000000238418579, 1.0]

    Source: Zenati et al. 2018, appendix A, "Pixels were scaled to be in range [-1,1]".
    """

    kind = "image"
    scaling = "pixels to [-1, 1]"

    def __init__(self, image_shape, **kwargs):
        super().__init__(**kwargs)
        self.image_shape = tuple(int(side) for side in image_shape)
        if len(self.image_shape) != 3 or min(self.image_shape) < 1:
            raise ValueError(
                f"image_shape is {self.image_shape}; expected (height, width, channels)."
            )

    @property
    def fitted(self) -> bool:
        """Always: the range of a pixel is known."""
        return True

    @property
    def output_shape(self) -> tuple[int, ...]:
        """`(height, width, channels)`."""
        return self.image_shape

    def check(self, x) -> np.ndarray:
        """Checks raw images.

        Args:
            x: `(N, height, width, channels)` uint8, N >= 1.

        Returns:
            The array.

        Raises:
            ValueError: another dtype or shape, or no images.
        """
        array = np.asarray(x)
        expected = f"(N, {', '.join(map(str, self.image_shape))}) uint8"
        if array.shape == self.image_shape:
            raise ValueError(
                f"received {describe(x)}; expected {expected}. For one image, pass x[None]."
            )
        if array.ndim != 4 or array.shape[1:] != self.image_shape or not len(array):
            raise ValueError(
                f"received {describe(x)}; expected {expected}, N >= 1. Resize the images first."
            )
        if array.dtype != np.uint8:
            raise ValueError(
                f"received {describe(x)}; expected {expected}, values 0 to 255. The detector "
                "scales by itself: undo your own scaling, round, and cast with x.astype('uint8')."
            )
        return array

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Scales `(N, height, width, channels)` uint8; pure TensorFlow."""
        return tf.cast(inputs, tf.float32) / 127.5 - 1.0

    def inverse(self, x: np.ndarray) -> np.ndarray:
        """Images in [-1, 1] as uint8, rounded; values beyond are clipped.

        Args:
            x: `(N, height, width, channels)` float32.
        """
        return np.clip(np.rint((np.asarray(x) + 1.0) * 127.5), 0, 255).astype(np.uint8)

    def _own_config(self) -> dict:
        return {"image_shape": list(self.image_shape)}
