"""Thresholds and p-values: from a share of anomalies, from calibration rows, from labels."""

import math

import numpy as np

from alad_tf.detector.metrics import top_fraction_threshold

LARGEST = np.finfo("float32").max  # the score of records that are too extreme to be scored
KEPT = 10_000  # calibration scores that are kept; of more, a random sample is as valid


class Threshold(float):
    """The score from which samples are flagged: a number, and the rule that set it.

    Args:
        value: float, rounded to float32, so that it compares the same in an exported graph.
        rule: str, how it was chosen.
        reference: float array (n,), scores of calibration rows in ascending order, from which
            p-values are computed: normal rows that were not used to fit what scores them. Empty if
            there are none.

    Raises:
        ValueError: if the value is NaN, or the reference contains NaN or is not sorted.

    Example:
        >>> threshold = by_false_alarms(np.arange(99.0), 0.05)
        >>> threshold.rule
        'flags at most 5% of normal rows on average'
        >>> threshold.flags(np.array([93.0, 95.0])).tolist()
        [False, True]
        >>> threshold.p_values(np.array([94.0, 1000.0])).tolist()
        [0.06, 0.01]

    Source: ALAD, Section V-A: the samples with the highest scores are classified as anomalies.
    """

    def __new__(cls, value, rule, reference=()):
        threshold = super().__new__(cls, np.float32(value))
        threshold.rule = rule
        threshold.reference = np.asarray(reference, "float32")
        if threshold != threshold or not (np.diff(threshold.reference) >= 0).all():
            raise ValueError(
                f"received the threshold {float(value)} with {len(threshold.reference)} "
                "calibration scores; expected a number, and scores in ascending order "
                "without NaN."
            )
        return threshold

    def __getnewargs__(self):
        return float(self), self.rule, self.reference

    @property
    def value(self):
        """The number alone, a float."""
        return float(self)

    def flags(self, scores):
        """Whether scores are anomalous. NaN counts as anomalous.

        Args:
            scores: float array of any shape, or float32 tensor.

        Returns:
            bool array or tensor of that shape.
        """
        if getattr(scores, "dtype", None) != np.float32:  # tensors, which exports trace, are
            scores = np.asarray(scores, "float32")
        return ~(scores < np.float32(self))  # a NaN is less than nothing

    def p_values(self, scores):
        """The probability that a normal row scores at least as high.

        p = (1 + calibration scores that are at least as high) / (n + 1). For a normal row that is
        exchangeable with the calibration rows, P(p <= a) <= a for every a, whatever the
        distribution of the scores and however few rows there are. For cross-calibrated scores this
        holds approximately, because the detector that scores a fold was fitted to fewer rows than
        the one that scores new rows.

        Args:
            scores: float array (N,).

        Returns:
            float64 array (N,), in [1 / (n + 1), 1].

        Raises:
            ValueError: if the threshold was not set from calibration rows.

        Source: Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005; Bates et
        al., "Testing for outliers with conformal p-values", Annals of Statistics 2023.
        """
        if not len(self.reference):
            raise ValueError(
                "There are no p-values without calibration rows, and this threshold has "
                f'none (rule: "{self.rule}"). Set one with by_false_alarms.'
            )
        below = np.searchsorted(self.reference, np.asarray(scores, "float32"), side="left")
        return (1 + len(self.reference) - below) / (len(self.reference) + 1)


def by_contamination(scores, fraction):
    """Flag the `fraction` of rows with the highest scores, an assumed share of anomalies.

    Scores that tie at the threshold are flagged together or not at all; at most this fraction is
    flagged.

    Args:
        scores: float array (n,).
        fraction: float in (0, 1).

    Returns:
        `Threshold`, without p-values.

    Raises:
        ValueError: if the fraction is outside (0, 1), or scores are missing or not finite.

    Example:
        >>> by_contamination([0.0, 1.0, 2.0, 3.0, 4.0], 0.4).flags([2.0, 3.0, 4.0]).tolist()
        [False, True, True]
        >>> by_contamination([0.0, 4.0, 4.0, 4.0, 4.0], 0.4).flags([4.0, 4.1]).tolist()
        [False, True]

    Source: ALAD, Section V-A, by `alad_tf.detector.metrics.top_fraction_threshold`.
    """
    value = np.float32(top_fraction_threshold(scores, fraction))
    scores = np.asarray(scores, "float32")
    if (scores >= value).sum() > fraction * len(scores) + 1e-9:
        value = _above(value)
    return Threshold(value, f"flags the top {100 * fraction:.3g}% of the rows it was set on")


def by_false_alarms(scores, budget, seed=0, held_out=True):
    """Flag rows whose conformal p-value is at most `budget`, a false-alarm rate.

    Args:
        scores: float array (n,), the scores of calibration rows: normal rows that were not used to
            fit what scores them.
        budget: float in (0, 1), the share of normal rows that may be flagged.
        seed: int, for choosing the scores that are kept if there are more than 10,000 and more than
            the budget needs.
        held_out: bool; False: the rows are also part of what scores new rows, and each was scored
            by another detector, fitted without it (cross-calibration). The rule then says that the
            rate is aimed at, since it is not guaranteed.

    Returns:
        `Threshold` with p-values; `flags(s)` is `p_values(s) <= budget`.

    Raises:
        ValueError: if the budget is outside (0, 1), or scores are not finite or too few; see
            `require_enough`.

    Example:
        >>> threshold = by_false_alarms(np.arange(99.0), 0.05)
        >>> round(float(threshold.p_values([94.0])[0]), 2), bool(threshold.flags(94.5))
        (0.06, True)

    Source: Bates et al., "Testing for outliers with conformal p-values", Annals of Statistics 2023.
    """
    reference = _finite(scores)
    require_enough(len(reference), budget)
    most = max(KEPT, _fewest(budget))
    if len(reference) > most:
        reference = np.random.default_rng(seed).choice(reference, most, replace=False)
    reference = np.sort(reference)
    allowed = math.floor(
        budget * (len(reference) + 1) + 1e-9
    )  # calibration rows it flags, plus one
    # p <= budget means: fewer than `allowed` held-out scores are as high, so beyond this one
    beyond = reference[len(reference) - allowed]
    flags = "flags" if held_out else "aims to flag"
    rule = f"{flags} at most {100 * budget:.3g}% of normal rows on average"
    return Threshold(_above(beyond), rule, reference)


def require_enough(rows, budget, remedy="Use more rows"):
    """Refuse a false-alarm rate outside (0, 1), or one that is too low for so few rows."""
    if not 0 < budget < 1:
        raise ValueError(
            f"received a false-alarm rate of {budget}; expected a number between 0 and 1, such "
            "as 0.01."
        )
    if rows < _fewest(budget):
        raise ValueError(
            f"received {rows} calibration rows for a false-alarm rate of {budget:g}; expected at "
            f"least {_fewest(budget)}. {remedy}, or allow a higher rate."
        )


def require_both(is_anomaly):
    """Refuse labels that are all normal or all anomalous."""
    if is_anomaly.all() or not is_anomaly.any():
        raise ValueError(
            f"received {is_anomaly.size} labels, {int(is_anomaly.sum())} of them anomalous; "
            "expected both normal rows and anomalies. If all rows are normal, pass no "
            "labels."
        )


def by_labels(scores, is_anomaly):
    """The threshold with the best F1 on labelled rows.

    Args:
        scores: float array (n,).
        is_anomaly: bool array (n,), with both normal rows and anomalies.

    Returns:
        `Threshold`; its p-values come from the normal rows.

    Raises:
        ValueError: if lengths differ, one class is missing, or scores are not finite.

    Example:
        >>> by_labels([0.1, 0.2, 0.8, 0.9], [False, False, True, True]).value > 0.2
        True

    Source: the F1 of ALAD, Section V-A; the choice by labels is this project's.
    """
    scores, is_anomaly = _finite(scores), np.asarray(is_anomaly, bool)
    if scores.shape != is_anomaly.shape:
        raise ValueError(
            f"received {len(scores)} scores and {is_anomaly.size} labels; expected one label "
            "for each score."
        )
    require_both(is_anomaly)
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(is_anomaly[order])
    flagged = np.arange(1, len(ranked) + 1)
    f1 = 2 * hits / (flagged + is_anomaly.sum())
    f1[:-1][ranked[:-1] == ranked[1:]] = -1  # equal scores are flagged together
    best = int(np.argmax(f1))
    after = ranked[best + 1] if best + 1 < len(ranked) else ranked[best]
    middle = np.float32((float(ranked[best]) + float(after)) / 2)
    value = float(middle if after < middle <= ranked[best] else ranked[best])
    rule = f"has the best F1, {f1[best]:.3f}, on {len(scores)} labelled rows"
    return Threshold(value, rule, np.sort(scores[~is_anomaly]))


def _fewest(budget):
    """The fewest calibration rows with which a p-value can be as small as the budget."""
    return math.ceil(1 / budget - 1e-9) - 1


def _above(score):
    """The next float32 after a score; the largest is flagged whatever the rule."""
    score = np.float32(score)
    return float(np.nextafter(score, np.float32(np.inf)) if score < LARGEST else LARGEST)


def _finite(scores):
    scores = np.asarray(scores, "float32")
    if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
        raise ValueError(
            f"received scores of shape {scores.shape}, {int((~np.isfinite(scores)).sum())} "
            "of them NaN or infinite; expected a non-empty vector of finite numbers."
        )
    return scores
