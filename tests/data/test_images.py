"""Image sets: classes by name and number, the one-class protocol on the real images."""

import numpy as np
import pytest

from alad_tf.data import class_names, class_number, load, one_class_split, split


def test_classes_by_name_and_number():
    assert class_number("cifar10", "automobile") == class_number("cifar10", "1") == 1
    assert class_number("cifar10", 9) == class_number("cifar10", "truck") == 9
    assert class_number("cifar10", None) == 0
    assert [class_number("svhn_cropped", digit) for digit in (0, "3", 9)] == [0, 3, 9]
    assert len(set(class_names("cifar10"))) == 10


@pytest.mark.parametrize("wrong", ["automobil", 10, -1, "x", 1.5])
def test_an_unknown_class_names_the_known_ones(wrong):
    with pytest.raises(ValueError, match="unknown class of cifar10.*'1 automobile'"):
        class_number("cifar10", wrong)


def test_unknown_sets_and_misplaced_classes(tmp_path):
    with pytest.raises(ValueError, match="unknown image set 'cifar'.*'cifar10'"):
        class_names("cifar")
    with pytest.raises(ValueError, match="only the image sets"):
        load("breast_cancer", normal_class=1)
    with pytest.raises(FileNotFoundError, match="does not contain cifar10"):
        load("cifar10", tmp_path)


def test_cifar10_is_the_whole_set_with_one_normal_class(cifar10):
    assert cifar10.x.shape == (60_000, 32, 32, 3) and cifar10.x.dtype == np.uint8
    assert np.bincount(cifar10.labels).tolist() == [6_000] * 10
    np.testing.assert_array_equal(cifar10.is_anomaly, cifar10.labels != 0)


@pytest.mark.parametrize("normal", range(10))
def test_the_protocols_row_counts(cifar10, normal):
    """80% / 20%, a quarter of the 80% validates, one class alone in both; everything tests."""
    part = split("cifar10", cifar10.labels != normal, seed=42)
    assert len(part.test) == 12_000
    everything = split("cifar10", cifar10.labels != normal, seed=42, contaminated=True)
    assert len(everything.train) == 36_000
    np.testing.assert_array_equal(np.sort(everything.test), np.sort(part.test))
    assert set(cifar10.labels[part.train]) == set(cifar10.labels[part.validation]) == {normal}
    assert set(cifar10.labels[part.test]) == set(range(10))
    # each normal row is in exactly one part
    normal_test = part.test[cifar10.labels[part.test] == normal]
    rows = np.concatenate([part.train, part.validation, normal_test])
    np.testing.assert_array_equal(np.sort(rows), np.flatnonzero(cifar10.labels == normal))
    # of 6,000 rows drawn without replacement: expectation +- 5 standard deviations
    assert len(part.train) == pytest.approx(3_600, abs=5 * (6_000 * 0.6 * 0.4) ** 0.5)
    assert len(part.validation) == pytest.approx(1_200, abs=5 * (6_000 * 0.2 * 0.8) ** 0.5)
    assert part.flagged == (cifar10.labels[part.test] != normal).sum()


def test_the_split_follows_from_its_seed():
    flags = np.arange(1_000) % 10 != 0
    one, same, other = (one_class_split(flags, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.train, same.train)
    np.testing.assert_array_equal(one.test, same.test)
    assert not np.array_equal(one.test, other.test)


def test_a_split_needs_both_kinds_of_rows():
    with pytest.raises(ValueError, match="received 50 rows, none of them normal"):
        one_class_split(np.ones(50, bool))


def test_svhn_through_tfds(small_svhn_dir):
    records = load("svhn_cropped", small_svhn_dir, normal_class=1)
    assert records.x.shape[1:] == (32, 32, 3) and records.x.dtype == np.uint8
    assert set(records.labels) <= set(range(10))
    np.testing.assert_array_equal(records.is_anomaly, records.labels != 1)
