"""A fitted detector for production: SavedModel, ONNX or TensorFlow Lite, served or in batches."""

from alad_tf import lazily

_HOMES = {
    "export": "alad_tf.export.saved_model",
    "export_portable": "alad_tf.export.portable",
    "export_version": "alad_tf.export.saved_model",
}
__all__ = ["export", "export_portable", "export_version"]


__getattr__ = lazily(__name__, _HOMES)
