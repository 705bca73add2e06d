"""Metrics by the paper's protocols: precision, recall and F1 at a top fraction, AUROC, AUPRC."""

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

METRICS = ("precision", "recall", "f1", "auroc", "auprc")


def top_fraction_threshold(scores, fraction):
    """The threshold that flags the `fraction` of highest scores.

    It is the (1 - fraction) quantile, linearly interpolated, as in the authors' released code.
    Source: ALAD, Section V-A ("the 20% of samples with the highest anomaly scores").
    """
    scores = np.asarray(scores, "float64")
    if not 0 < fraction < 1:
        raise ValueError(f"received fraction={fraction}; expected a number between 0 and 1.")
    if scores.ndim != 1 or len(scores) == 0 or not np.isfinite(scores).all():
        raise ValueError(
            f"received scores of shape {scores.shape}, {int((~np.isfinite(scores)).sum())} "
            "of them NaN or infinite; expected a non-empty vector of finite numbers."
        )
    return float(np.quantile(scores, 1 - fraction))


def metrics(scores, is_anomaly, top_fraction):
    """One score's metrics, as in `evaluate`. Source: ALAD, Section V-A."""
    scores = np.asarray(scores, "float64")
    is_anomaly = np.asarray(is_anomaly, bool)
    if scores.shape != is_anomaly.shape:
        raise ValueError(
            f"received scores of shape {scores.shape} and labels of shape "
            f"{is_anomaly.shape}; expected one label for each score."
        )
    if is_anomaly.all() or not is_anomaly.any():
        raise ValueError(
            f"received {int(is_anomaly.sum())} anomalies among {len(is_anomaly)} samples; "
            "metrics need both normal samples and anomalies."
        )
    flagged = scores >= top_fraction_threshold(scores, top_fraction)
    hits = int((flagged & is_anomaly).sum())
    precision, recall = hits / int(flagged.sum()), hits / int(is_anomaly.sum())
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if hits else 0.0,
        "auroc": float(roc_auc_score(is_anomaly, scores)),
        "auprc": float(average_precision_score(is_anomaly, scores)),
    }


def evaluate(scores, is_anomaly, top_fraction):
    """Metrics of several scores by the paper's protocol; anomalies are the positive class.

    Args:
        scores: dict of float arrays (N,) by score name, higher is more anomalous.
        is_anomaly: bool array (N,), with both normal samples and anomalies.
        top_fraction: float in (0, 1), the share of samples that is flagged.

    Returns:
        dict by score name of dicts of floats in [0, 1]: "precision", "recall" and "f1" at the top
        fraction; "auroc" and "auprc" (average precision), which need no threshold.

    Raises:
        ValueError: if lengths differ, one class is missing, scores are not finite, or the fraction
            is outside (0, 1).

    Example:
        >>> evaluate({"l1": [0.1, 0.2, 0.3, 0.9]}, [False, False, False, True], 0.25)["l1"]["f1"]
        1.0

    Source: ALAD, Section V-A.
    """
    return {name: metrics(values, is_anomaly, top_fraction) for name, values in scores.items()}


def summarize(runs, score="features"):
    """Mean and spread over seeds of one score's metrics.

    Args:
        runs: list of result dicts (see `alad_tf.experiments.results`), one per seed.
        score: str, the score to summarize.

    Returns:
        dict by metric of {"mean", "std", "seeds"}; std is the sample standard deviation, 0 for one
        seed.
    """
    if not runs:
        raise ValueError("received no runs; expected at least one.")
    table = {}
    for name in METRICS:
        values = [run["metrics"][score][name] for run in runs]
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        table[name] = {"mean": float(np.mean(values)), "std": spread, "seeds": len(values)}
    return table


def spread_of(summary):
    """A metric's mean and spread as text: "0.9501 ± 0.0018", or the mean alone for one seed."""
    mean = f"{summary['mean']:.4f}"
    return mean if summary["seeds"] == 1 else f"{mean} ± {summary['std']:.4f}"
