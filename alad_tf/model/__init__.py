"""The paper's method, and nothing else: read `losses`, `alad`, `networks`, `scores`."""

import importlib

_HOMES = {
    "ALAD": "alad_tf.model.alad",
    "Scorer": "alad_tf.model.scorer",
    "SpectralNormalization": "alad_tf.model.layers",
    "conv": "alad_tf.model.specs",
    "conv_transpose": "alad_tf.model.specs",
    "dense": "alad_tf.model.specs",
    "flatten": "alad_tf.model.specs",
    "max_pool": "alad_tf.model.specs",
    "reshape": "alad_tf.model.specs",
}
__all__ = [
    "ALAD",
    "Scorer",
    "SpectralNormalization",
    "conv",
    "conv_transpose",
    "dense",
    "flatten",
    "max_pool",
    "reshape",
]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'alad_tf.model' has no attribute {name!r}.")
    return getattr(importlib.import_module(_HOMES[name]), name)
