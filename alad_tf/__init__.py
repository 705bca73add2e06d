"""Adversarially Learned Anomaly Detection (Zenati et al., ICDM 2018) in Keras 3.

The main names are loaded when they are first used, so that importing the package (for its data or
its metrics, say) does not import TensorFlow.

Example:
    >>> from alad_tf import ALAD, Detector, Scorer
    >>> Scorer.__module__
    'alad_tf.model.scorer'
"""

import importlib

__version__ = "0.1.0"

_HOMES = {
    "ALAD": "alad_tf.model.alad",
    "ALADDetector": "alad_tf.detector.estimator",
    "Detector": "alad_tf.detector.detector",
    "Scorer": "alad_tf.model.scorer",
    "SpectralNormalization": "alad_tf.model.layers",
}
__all__ = ["ALAD", "ALADDetector", "Detector", "Scorer", "SpectralNormalization"]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'alad_tf' has no attribute {name!r}; it has {__all__}.")
    return getattr(importlib.import_module(_HOMES[name]), name)
