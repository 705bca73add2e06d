"""A fitted detector for production: SavedModel, ONNX or TensorFlow Lite, served or in batches."""

import importlib

_HOMES = {
    "export": "alad_tf.export.saved_model",
    "export_portable": "alad_tf.export.portable",
    "export_version": "alad_tf.export.saved_model",
}
__all__ = ["export", "export_portable", "export_version"]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'alad_tf.export' has no attribute {name!r}.")
    return getattr(importlib.import_module(_HOMES[name]), name)
