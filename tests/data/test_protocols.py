import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

from alad_tf.data import Split, arrhythmia_split, breast_cancer_split, kdd99_split, split

FLAGS = np.arange(200) % 5 == 0  # 20% anomalies


def recall_over_precision(part: Split, is_anomaly):
    """flagged / anomalies: how precision and recall relate, whatever the scores are."""
    return part.flagged / is_anomaly[part.test].sum()


def test_kdd99_reproduces_the_papers_precision_to_recall_ratio(kdd99):
    part = kdd99_split(kdd99.is_anomaly)
    assert len(part.test) == 247_011  # nothing to drop: 19.7% anomalies are fewer than 20%
    assert part.flagged == round(0.2 * 247_011)
    rate = kdd99.is_anomaly[part.test].mean()
    # The anomalies in a random half vary by sqrt(N p (1-p) / 4) = 140, so the rate by 0.06 points
    assert rate == pytest.approx(97_278 / 494_021, abs=3 * 140 / 247_011)
    # Table II: 0.9427 / 0.9577; the same 140 of 48,640 anomalies are 0.3% of the ratio
    ratio = 1 / recall_over_precision(part, kdd99.is_anomaly)
    assert ratio == pytest.approx(0.9427 / 0.9577, rel=3 * 140 / 48_640)
    assert not kdd99.is_anomaly[part.train].any()
    both = kdd99_split(kdd99.is_anomaly, contaminated=True)
    assert len(both.train) == 247_010
    assert len(part.train) == np.sum(~kdd99.is_anomaly[both.train])


def test_arrhythmia_reproduces_the_papers_counts(arrhythmia):
    part = arrhythmia_split(arrhythmia.is_anomaly)
    assert (len(part.train), len(part.test), part.flagged) == (192, 226, 34)
    assert arrhythmia.is_anomaly[part.test].sum() == 32
    # Table II: precision 17/34 and recall 17/32
    assert (round(17 / part.flagged, 4), round(17 / 32, 4)) == (0.5, 0.5312)
    assert len(arrhythmia_split(arrhythmia.is_anomaly, contaminated=True).train) == 226


@pytest.mark.parametrize("seed", [0, 42, 1234])
@pytest.mark.parametrize("n", [452, 453])
def test_arrhythmia_rows_are_those_of_train_test_split(seed, n):
    flags = np.arange(n) % 7 == 0
    part = arrhythmia_split(flags, seed=seed, contaminated=True)
    train, test = train_test_split(np.arange(n), test_size=0.5, random_state=seed)
    np.testing.assert_array_equal(part.train, train)
    np.testing.assert_array_equal(part.test, test)
    clean = arrhythmia_split(flags, seed=seed)
    np.testing.assert_array_equal(clean.train, train[~flags[train]])
    np.testing.assert_array_equal(clean.test, test)


def test_breast_cancer_trains_on_half_of_the_benign_rows(breast_cancer):
    flags = breast_cancer.is_anomaly
    part = breast_cancer_split(flags)
    fitting = np.concatenate([part.train, part.validation])
    assert (len(fitting), len(part.test)) == (357 // 2, 569 - 357 // 2)
    assert len(part.validation) == 178 // 5
    assert not flags[fitting].any() and flags[part.test].sum() == 212
    assert part.flagged == 212
    assert part.top_fraction == pytest.approx(212 / 391)


@pytest.mark.parametrize("dataset", ["kdd99", "arrhythmia", "breast_cancer"])
def test_splits_are_disjoint_seeded_and_typed(dataset):
    part, again, other = (split(dataset, FLAGS, seed=s) for s in (5, 5, 6))
    np.testing.assert_array_equal(part.train, again.train)
    np.testing.assert_array_equal(part.test, again.test)
    assert not np.array_equal(part.test, other.test)
    assert not np.array_equal(np.sort(part.train), np.sort(other.train))
    used = np.concatenate([part.train, part.validation, part.test])
    assert len(np.unique(used)) == len(used) and used.min() >= 0 and used.max() < len(FLAGS)
    assert part.train.dtype == part.test.dtype == part.validation.dtype == np.int64
    assert (part.validation.size > 0) == (dataset == "breast_cancer")
    assert not FLAGS[part.train].any() and part.seed == 5


def test_halves_of_kdd99_are_the_authors(kdd99):
    """Their code takes a pandas sample of the rows, seed 42, and trains on it."""
    frame = pd.DataFrame({"is_anomaly": kdd99.is_anomaly})
    sample = frame.sample(frac=0.5, random_state=42)
    part = kdd99_split(kdd99.is_anomaly)
    np.testing.assert_array_equal(
        np.sort(part.train), sample.index[~sample.is_anomaly].sort_values()
    )
    np.testing.assert_array_equal(np.sort(part.test), frame.index.difference(sample.index))
    farthest = np.argmax(kdd99.x["src_bytes"])
    assert farthest in part.test
    assert farthest in kdd99_split(kdd99.is_anomaly, swap_halves=True).train


@pytest.mark.parametrize("n", [200, 201])
def test_swapped_halves_train_on_what_tested(n):
    flags = np.arange(n) % 5 == 0
    for function in (kdd99_split, arrhythmia_split):
        part, swapped = (function(flags, 3, True, swap) for swap in (False, True))
        assert len(swapped.train) == len(part.train) == n // 2
        assert not np.isin(swapped.train, part.train).any()
        name = function.__name__.removesuffix("_split")
        np.testing.assert_array_equal(split(name, flags, 3, True, True).train, swapped.train)
    with pytest.raises(ValueError, match="swap_halves=True for 'cifar10', which is not halved"):
        split("cifar10", flags, swap_halves=True)


def test_splits_leave_numpys_global_generator_alone():
    np.random.seed(3)
    expected = np.random.rand()
    np.random.seed(3)
    split("kdd99", FLAGS)
    assert np.random.rand() == expected


def test_kdd99_drops_surplus_anomalies_to_a_fifth_of_the_test_rows():
    flags = np.arange(1000) % 2 == 0
    part = kdd99_split(flags, seed=1)
    normal = np.sum(~flags[part.test])
    whole = kdd99_split(flags, seed=1, contaminated=True)
    assert len(whole.train) == 500
    assert normal == np.sum(~flags) - np.sum(~flags[whole.train])  # no normal row is dropped
    assert flags[part.test].sum() == normal // 4  # a quarter of them: 20% of all test rows
    assert flags[part.test].mean() == pytest.approx(0.2, abs=1 / len(part.test))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], r"shape \(0,\); expected \(N,\)"),
        (np.zeros((4, 2), bool), r"shape \(4, 2\)"),
        (np.ones(10, bool), "received 10 rows, none of them normal"),
        (np.zeros(10, bool), "received 10 rows, none of them anomalous"),
        (np.array(["normal.", "smurf."]), "expected bool"),
        (np.array([0, 1, 2]), "values other than 0 and 1"),
    ],
)
@pytest.mark.parametrize("dataset", ["kdd99", "arrhythmia", "breast_cancer"])
def test_unusable_flags_are_refused(dataset, flags, message):
    with pytest.raises(ValueError, match=message):
        split(dataset, flags)


def test_too_few_rows_for_both_parts():
    with pytest.raises(ValueError, match="another seed"):
        kdd99_split(np.array([True, False]))


def test_zeros_and_ones_are_accepted():
    np.testing.assert_array_equal(kdd99_split(FLAGS.astype(int)).test, kdd99_split(FLAGS).test)


def test_dispatch_and_its_errors():
    for dataset, function in (("kdd99", kdd99_split), ("arrhythmia", arrhythmia_split)):
        for contaminated in (False, True):
            expected = function(FLAGS, 7, contaminated)
            received = split(dataset, FLAGS, 7, contaminated)
            np.testing.assert_array_equal(received.train, expected.train)
            assert received.top_fraction == expected.top_fraction
    with pytest.raises(ValueError, match="unknown dataset 'kdd'; closest: 'kdd99'"):
        split("kdd", FLAGS)
    with pytest.raises(ValueError, match="contaminated=True for 'breast_cancer'"):
        split("breast_cancer", FLAGS, contaminated=True)
