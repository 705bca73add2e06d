"""Pictures of scores, losses, reconstructions and reasons, each a PNG."""

import importlib

_HOMES = {
    "column_bars": "alad_tf.plots.explain",
    "heat_maps": "alad_tf.plots.explain",
    "lines": "alad_tf.plots.charts",
    "loss_curves": "alad_tf.plots.charts",
    "reconstructions": "alad_tf.plots.charts",
    "roc": "alad_tf.plots.charts",
    "score_histogram": "alad_tf.plots.charts",
}
__all__ = [
    "column_bars",
    "heat_maps",
    "lines",
    "loss_curves",
    "reconstructions",
    "roc",
    "score_histogram",
]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'alad_tf.plots' has no attribute {name!r}.")
    return getattr(importlib.import_module(_HOMES[name]), name)
