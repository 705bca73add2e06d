"""The paper's experiments: runs, results, tables, figures. No user of the library needs it."""

from alad_tf import lazily

_HOMES = {
    "Settings": "alad_tf.experiments.settings",
    "prepare": "alad_tf.experiments.settings",
}
__all__ = ["Settings", "prepare"]


__getattr__ = lazily(__name__, _HOMES)
