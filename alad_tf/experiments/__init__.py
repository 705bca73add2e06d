"""The paper's experiments: runs, results, tables, figures. No user of the library needs it."""

import importlib

_HOMES = {
    "Settings": "alad_tf.experiments.settings",
    "prepare": "alad_tf.experiments.settings",
}
__all__ = ["Settings", "prepare"]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'alad_tf.experiments' has no attribute {name!r}.")
    return getattr(importlib.import_module(_HOMES[name]), name)
