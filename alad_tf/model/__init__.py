"""The paper's method and nothing else. Read `losses`, `alad`, `networks` and `scores`."""

from alad_tf import lazily

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


__getattr__ = lazily(__name__, _HOMES)
