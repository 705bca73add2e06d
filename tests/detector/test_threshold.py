"""Thresholds keep their promises: shares, false-alarm budgets by simulation, the best F1."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import f1_score

from alad_tf.detector.threshold import (
    KEPT,
    LARGEST,
    Threshold,
    by_contamination,
    by_false_alarms,
    by_labels,
)


def test_a_budget_is_kept_in_the_mean_for_few_held_out_rows_and_any_distribution():
    """Conformal: P(alarm) = floor(budget (n + 1)) / (n + 1) for a continuous score.

    4,000 repetitions of 25 fresh rows; within a repetition alarms are correlated, so that the
    standard error is that of the repetitions' rates.
    """
    generator = np.random.default_rng(0)
    for budget, held_out in ((0.1, 9), (0.1, 24), (0.05, 50), (0.3, 10)):
        rates = []
        for _ in range(4000):
            scores = np.exp(3 * generator.standard_normal(held_out + 25))  # heavy tails
            threshold = by_false_alarms(scores[:held_out], budget)
            rates.append(threshold.flags(scores[held_out:]).mean())
        expected = np.floor(budget * (held_out + 1) + 1e-9) / (held_out + 1)
        error = 5 * np.std(rates) / len(rates) ** 0.5
        assert expected <= budget and np.mean(rates) == pytest.approx(expected, abs=error)


def test_p_values_of_normal_rows_are_uniform_and_agree_with_the_flags():
    generator = np.random.default_rng(1)
    scores = generator.gamma(0.5, size=1999)
    threshold = by_false_alarms(scores, 0.01)
    fresh = generator.gamma(0.5, size=100_000)
    p = threshold.p_values(fresh)
    for level in (0.01, 0.1, 0.5, 0.9):
        # the rate given these held-out rows is Beta distributed: 5 standard deviations
        spread = 5 * (level * (1 - level) / 2000) ** 0.5
        assert (p <= level).mean() == pytest.approx(level, abs=spread)
    np.testing.assert_array_equal(threshold.flags(fresh), p <= 0.01)
    assert p.min() == 1 / 2000 and p.max() <= 1


def test_a_rate_that_is_not_guaranteed_is_called_an_aim():
    held_out = by_false_alarms(np.arange(99.0), 0.05)
    crossed = by_false_alarms(np.arange(99.0), 0.05, held_out=False)
    assert crossed.value == held_out.value
    assert held_out.rule == "flags at most 5% of normal rows on average"
    assert crossed.rule == "aims to flag at most 5% of normal rows on average"


def test_p_values_count_ties_as_at_least_as_high():
    threshold = by_false_alarms([1.0, 1.0, 2.0], 0.5)
    assert threshold.p_values([0.5, 1.0, 1.5, 2.0, 3.0]).tolist() == [1.0, 1.0, 0.5, 0.5, 0.25]
    assert threshold.flags([1.0, 1.5, 2.0]).tolist() == [False, True, True]


def test_equal_held_out_scores_cause_no_alarms_at_that_score():
    threshold = by_false_alarms(np.ones(99), 0.05)
    assert not threshold.flags([1.0]).any() and threshold.flags([1.0001]).all()


def test_a_random_part_of_many_held_out_rows_is_kept():
    scores = np.random.default_rng(2).standard_normal(3 * KEPT)
    threshold = by_false_alarms(scores, 0.01)
    assert len(threshold.reference) == KEPT
    assert threshold.flags(scores).mean() == pytest.approx(0.01, abs=5 * (0.01 / KEPT) ** 0.5)


def test_contamination_flags_its_share():
    scores = np.random.default_rng(3).standard_normal(1000)
    threshold = by_contamination(scores, 0.07)
    assert threshold.flags(scores).sum() == 70
    with pytest.raises(ValueError, match="no p-values without calibration rows"):
        threshold.p_values(scores)


def test_labels_give_the_best_f1_of_all_thresholds():
    generator = np.random.default_rng(4)
    is_anomaly = generator.random(200) < 0.2
    scores = np.round(generator.standard_normal(200) + is_anomaly, 1).astype("float32")  # ties
    threshold = by_labels(scores, is_anomaly)
    best = max(f1_score(is_anomaly, scores >= value) for value in scores)
    assert f1_score(is_anomaly, threshold.flags(scores)) == pytest.approx(best)
    np.testing.assert_array_equal(threshold.reference, np.sort(scores[~is_anomaly]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: by_false_alarms(np.zeros(50), 0.01), "received 50 .* at least 99"),
        (
            lambda: by_false_alarms(np.zeros(50), 1.5),
            r"received a false-alarm rate of 1.5; expected",
        ),
        (lambda: by_false_alarms([np.nan], 0.5), "1 of them NaN or infinite"),
        (lambda: by_contamination([], 0.5), "a non-empty vector of finite"),
        (lambda: by_labels([1.0, 2.0], [True, True]), "2 labels, 2 of them anomalous"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("scores", "share", "flagged"),
    [
        ([0.0] * 90 + [1.0] * 10, 0.2, 10),
        ([0.0] * 90 + [1.0] * 10, 0.05, 0),
        ([3.0] * 200, 0.01, 0),  # as of a constant table
        ([LARGEST] * 3 + [0.0] * 97, 0.05, 3),
        ([0.0, 1.0, 2.0, 3.0, 4.0], 0.25, 1),
    ],
)
def test_contamination_flags_at_most_its_share_of_ties(scores, share, flagged):
    threshold = by_contamination(scores, share)
    assert threshold.flags(scores).sum() == flagged and np.isfinite(threshold)


def test_a_score_that_is_nan_is_flagged_with_the_smallest_p_value():
    for threshold in (
        by_false_alarms(np.arange(99.0), 0.05),
        by_labels([0.0, 1.0], [False, True]),
        Threshold(-1.0, "by hand", [0.0]),
    ):
        scores = np.float32([np.nan, np.inf, LARGEST])
        assert threshold.flags(scores).all() and threshold.flags(tf.constant(scores)).numpy().all()
        least = 1 / (len(threshold.reference) + 1)
        assert threshold.p_values(scores).tolist() == [least] * 3
    assert by_contamination([0.0, 1.0], 0.5).flags([np.nan]).all()


def test_the_largest_score_is_flagged_even_if_held_out_rows_have_it():
    threshold = by_false_alarms([0.0] * 50 + [LARGEST] * 50, 0.05)
    assert threshold.flags([LARGEST]).all() and np.isfinite(threshold)


def test_a_budget_smaller_than_the_kept_part_could_tell():
    threshold = by_false_alarms(np.arange(60_000.0), 2e-5)
    assert threshold.flags(np.arange(60_000.0)).sum() <= 2 and len(threshold.reference) == 49_999
