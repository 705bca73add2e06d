"""Detectors: `ALADDetector` for your own data, `Detector`, and their parts."""

from alad_tf import lazily

_HOMES = {
    "ALADDetector": "alad_tf.detector.estimator",
    "Detector": "alad_tf.detector.detector",
    "Ensemble": "alad_tf.detector.ensemble",
    "Explanation": "alad_tf.detector.explain",
    "Threshold": "alad_tf.detector.threshold",
    "aupro": "alad_tf.detector.pixels",
    "by_contamination": "alad_tf.detector.threshold",
    "by_false_alarms": "alad_tf.detector.threshold",
    "by_labels": "alad_tf.detector.threshold",
    "evaluate": "alad_tf.detector.metrics",
    "pixel_auroc": "alad_tf.detector.pixels",
    "train_members": "alad_tf.detector.members",
}
__all__ = [
    "ALADDetector",
    "Detector",
    "Ensemble",
    "Explanation",
    "Threshold",
    "aupro",
    "by_contamination",
    "by_false_alarms",
    "by_labels",
    "evaluate",
    "pixel_auroc",
    "train_members",
]


__getattr__ = lazily(__name__, _HOMES)
