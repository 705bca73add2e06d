"""The paper's experiments: runs, results, tables, figures. Library users do not need it."""

from alad_tf import lazily

_HOMES = {
    "Settings": "alad_tf.experiments.settings",
    "prepare": "alad_tf.experiments.settings",
}
RESULTS = "results"  # the folder of results, where none is named
__all__ = ["Settings", "prepare"]


__getattr__ = lazily(__name__, _HOMES)
