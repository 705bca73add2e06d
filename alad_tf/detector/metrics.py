"""Metrics by the paper's protocols: precision, recall and F1 at a top fraction, AUROC, AUPRC."""

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

METRICS = ("precision", "recall", "f1", "auroc", "auprc")


def top_fraction_threshold(scores, fraction):
    """The score from which on the `fraction` of highest scores is called anomalous.

    It is the (1 - fraction) quantile, linearly interpolated, as in the authors' released code.
    Source: ALAD, Section V-A ("the 20% of samples with the highest anomaly scores").
    """
    scores = np.asarray(scores, "float64")
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must be in (0, 1); received {fraction}.")
    if scores.ndim != 1 or len(scores) == 0 or not np.isfinite(scores).all():
        raise ValueError(
            f"scores must be a finite vector with at least one element; received shape "
            f"{scores.shape} with {int((~np.isfinite(scores)).sum())} values not finite."
        )
    return float(np.quantile(scores, 1 - fraction))


def metrics(scores, is_anomaly, top_fraction):
    """One score's metrics, as `evaluate` says. Source: ALAD, Section V-A."""
    scores = np.asarray(scores, "float64")
    is_anomaly = np.asarray(is_anomaly, bool)
    if scores.shape != is_anomaly.shape:
        raise ValueError(
            f"One label per score is needed; received {scores.shape} and {is_anomaly.shape}."
        )
    if is_anomaly.all() or not is_anomaly.any():
        raise ValueError(
            f"Metrics need normal and anomalous samples; received {int(is_anomaly.sum())} "
            f"anomalies among {len(is_anomaly)}."
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
    """Metrics of several scores by the paper's protocol; the anomaly is the positive class.

    Args:
        scores: dict of float arrays (N,) by score name, higher is more anomalous.
        is_anomaly: bool array (N,), with both classes.
        top_fraction: float in (0, 1), the share of samples that is called anomalous.

    Returns:
        dict by score name of dicts of floats in [0, 1]: precision, recall, f1 at the top fraction;
        auroc and auprc (average precision), which need no threshold.

    Raises:
        ValueError: lengths differ, one class is missing, scores that are not finite, or a fraction
            outside (0, 1).

    Example:
        >>> evaluate({"l1": [0.1, 0.2, 0.3, 0.9]}, [False, False, False, True], 0.25)["l1"]["f1"]
        1.0

    Source: ALAD, Section V-A.
    """
    return {name: metrics(values, is_anomaly, top_fraction) for name, values in scores.items()}


def summarize(runs, score="features"):
    """Mean and spread over seeds of one score's metrics.

    Args:
        runs: list of result dicts (see `alad_tf.experiments.results`), one a seed.
        score: str, the score to summarize.

    Returns:
        dict by metric of {"mean", "std", "seeds"}; std is the sample standard deviation, 0 for one
        seed.
    """
    if not runs:
        raise ValueError("There is nothing to summarize: received no runs.")
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
