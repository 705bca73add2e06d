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


def lazily(package, homes):
    """A package's `__getattr__`: names by the module that each is imported from when it is used."""

    def __getattr__(name):
        if name not in homes:
            raise AttributeError(
                f"module {package!r} has no attribute {name!r}; it has {sorted(homes)}."
            )
        return getattr(importlib.import_module(homes[name]), name)

    return __getattr__


__getattr__ = lazily(__name__, _HOMES)
