"""Figures of scores, losses, reconstructions and reasons, as PNG files."""

from alad_tf import lazily

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


__getattr__ = lazily(__name__, _HOMES)
