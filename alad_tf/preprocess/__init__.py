"""Preprocessing: Keras layers fitted on the training rows, from raw records to float32.

`SCALINGS` is a tuple of str, the ways to scale numeric columns.

Example:
    >>> layer = VectorPreprocessor("minmax")
    >>> layer.fit([[0.0, 5.0], [4.0, 5.0]]).transform([[1.0, 7.0]])
    array([[0.25, 0.  ]], dtype=float32)
"""

from alad_tf.preprocess.base import SCALINGS
from alad_tf.preprocess.fitting import for_dataset, preprocessor_from_state
from alad_tf.preprocess.image import ImagePreprocessor
from alad_tf.preprocess.mixed import MixedPreprocessor
from alad_tf.preprocess.pictures import PicturePreprocessor
from alad_tf.preprocess.table import TablePreprocessor
from alad_tf.preprocess.vector import VectorPreprocessor

__all__ = [
    "SCALINGS",
    "ImagePreprocessor",
    "MixedPreprocessor",
    "PicturePreprocessor",
    "TablePreprocessor",
    "VectorPreprocessor",
    "for_dataset",
    "preprocessor_from_state",
]
