"""The protocols of the experiments: which rows are for training, validation and testing.

Zenati et al. 2018, section V-A ("Data setup and evaluation metrics"). The paper states neither the
row counts nor the seeds; both follow from its results, as each function's docstring derives.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from alad_tf.data.records import unknown_name_error


def _no_rows() -> np.ndarray:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Split:
    """The row numbers of a protocol split, and the rule that turns test scores into verdicts.

    Args:
        train: `(n,)` int64, the row numbers to train on.
        test: `(m,)` int64, the row numbers to test on.
        threshold_rule: str, the rule in words, for reports.
        top_fraction: float from 0 to 1, the share of test rows with the highest scores that is
            flagged for precision, recall and F1.
        seed: int, the seed of the split.
        validation: `(v,)` int64, the row numbers held out of training for model selection or a
            threshold; empty in the paper's protocols for tables.

    Example:
        >>> split = kdd99_split(np.arange(100) % 5 == 0, seed=1)
        >>> len(split.test), split.flagged
        (47, 9)

    Source: Zenati et al. 2018, section V-A.
    """

    train: np.ndarray
    test: np.ndarray
    threshold_rule: str
    top_fraction: float
    seed: int
    validation: np.ndarray = field(default_factory=_no_rows)

    @property
    def flagged(self) -> int:
        """The number of flagged test rows: `top_fraction` of them, rounded."""
        return round(self.top_fraction * len(self.test))


def kdd99_split(
    is_anomaly: np.ndarray, seed: int = 42, contaminated: bool = False, swap_halves: bool = False
) -> Split:
    """KDD99: train on the attacks in one half of the rows; flag the top 20% of the test scores.

    "normal." connections are the anomalies, since they are the minority. The paper flags 20% of the
    test rows and reports precision 0.9427 and recall 0.9577 (Table II). Precision / recall is (true
    anomalies) / (flagged rows), so the test half must contain 0.984 * 20% = 19.7% anomalies. That
    is the share in one half of the 10% set: its anomalies are to be down-sampled to 20% of the test
    rows, but there are slightly fewer.

    The halves are those of the authors' released code, which trains on `DataFrame.sample(frac=0.5,
    random_state=42)`. One row distinguishes them: an attack with 693,375,640 src_bytes, 135 times
    as many as any other, is a test row.

    Args:
        is_anomaly: `(N,)` bool, in file order.
        seed: seed of the permutation that halves the table.
        contaminated: bool, whether to keep the anomalies of the training half (paper: removed).
        swap_halves: bool, whether to train on the other half.

    Returns:
        Split with `floor(N/2)` training rows minus the anomalies, and the other half as test rows.

    Raises:
        ValueError: if there are no rows or not one flag per row, or a half has no normal or no
            anomalous rows.

    Example:
        >>> flags = np.arange(100) % 5 == 0
        >>> len(kdd99_split(flags, contaminated=True).train)
        50

    Source: Zenati et al. 2018, section V-A, Tables I and II.
    """
    flags = _flags(is_anomaly)
    train, test = _halves(len(flags), seed, not swap_halves)
    anomalies = np.flatnonzero(flags[test])  # positions in `test`, which is already shuffled
    wanted = (len(test) - len(anomalies)) // 4  # 20% of the test rows = 25% of its normal ones
    test = np.delete(test, anomalies[wanted:])
    rule = "top 20% of the test scores"
    return _finish(flags, train, test, rule, 0.20, seed, contaminated)


def arrhythmia_split(
    is_anomaly: np.ndarray, seed: int = 42, contaminated: bool = False, swap_halves: bool = False
) -> Split:
    """Arrhythmia: train on one half of the rows; flag the top 15% of the test scores.

    The rows are those of `sklearn.model_selection.train_test_split(test_size=0.5,
    random_state=seed)`. At seed 42 the test half has 226 rows with 32 anomalies and 34 rows are
    flagged, which is what the paper's precision 0.5000 and recall 0.5313 imply: 17/34 and 17/32
    (Table II).

    Args:
        is_anomaly: `(N,)` bool, in file order.
        seed: seed of the permutation that halves the table.
        contaminated: bool, whether to keep the anomalies of the training half. The paper's section
            V-A describes a clean training set; its results are equally well explained by a
            contaminated one.
        swap_halves: bool, whether to train on the other half.

    Returns:
        Split with `floor(N/2)` training rows minus the anomalies, and `ceil(N/2)` test rows.

    Raises:
        ValueError: if there are no rows or not one flag per row, or a half has no normal or no
            anomalous rows.

    Example:
        >>> flags = np.arange(452) % 7 == 0
        >>> split = arrhythmia_split(flags)
        >>> len(split.test), split.flagged
        (226, 34)

    Source: Zenati et al. 2018, section V-A, Tables I and II.
    """
    flags = _flags(is_anomaly)
    train, test = _halves(len(flags), seed, swap_halves)
    rule = "top 15% of the test scores"
    return _finish(flags, train, test, rule, 0.15, seed, contaminated)


def breast_cancer_split(is_anomaly: np.ndarray, seed: int = 42) -> Split:
    """Breast cancer (not in the paper): fit to half of the benign rows, test on all others.

    A small set for demonstrations that needs no download. Of the half, four fifths are training
    rows and one fifth is held out for a threshold. As many test rows are flagged as there are
    malignant ones, so that precision equals recall.

    Args:
        is_anomaly: `(N,)` bool, True for malignant rows.
        seed: seed of the permutation of the benign rows.

    Returns:
        Split with `floor(benign / 2)` training and validation rows in all.

    Raises:
        ValueError: if there are no rows or not one flag per row, or a part has no normal or no
            anomalous rows.

    Example:
        >>> split = breast_cancer_split(np.arange(24) < 4, seed=0)
        >>> len(split.train), len(split.validation), len(split.test), split.flagged
        (8, 2, 14, 4)

    Source: https://scikit-learn.org/stable/datasets/toy_dataset.html#breast-cancer-dataset
    """
    flags = _flags(is_anomaly)
    benign = np.random.RandomState(seed).permutation(np.flatnonzero(~flags))
    half = len(benign) // 2
    validation, train = benign[: half // 5], benign[half // 5 : half]
    test = np.concatenate([benign[half:], np.flatnonzero(flags)])
    rate = float(flags[test].mean())
    part = _finish(flags, train, test, _ANOMALY_RATE_RULE, rate, seed, contaminated=False)
    return replace(part, validation=validation.astype(np.int64))


def one_class_split(is_anomaly: np.ndarray, seed: int = 42, contaminated: bool = False) -> Split:
    """Image sets: 60% to train and 20% to validate, normal class only, and 20% to test.

    The pool is the whole official set, training and test images. The first fifth of a permutation
    is the test part, with all classes. A quarter of the rest is held out for validation, and the
    remainder is for training. The paper compares areas under ROC curves, which need no threshold.
    For precision, recall and F1, as many test rows are flagged as there are anomalies among them.

    Args:
        is_anomaly: `(N,)` bool, True outside the normal class.
        seed: seed of the permutation.
        contaminated: bool, whether to keep the other classes in the training rows (not in the
            validation rows).

    Returns:
        Split with `floor(N / 5)` test rows.

    Raises:
        ValueError: if there are no rows or not one flag per row, or a part has no normal or no
            anomalous rows.

    Example:
        >>> split = one_class_split(np.arange(100) % 10 != 0, seed=0)
        >>> len(split.test), len(split.train) + len(split.validation) < 20
        (20, True)

    Source: Zenati et al. 2018, section V-A, "Data setup and evaluation metrics".
    """
    flags = _flags(is_anomaly)
    permutation = np.random.RandomState(seed).permutation(len(flags))
    test, rest = np.split(permutation, [len(flags) // 5])
    validation, train = np.split(rest, [len(rest) // 4])
    validation = validation[~flags[validation]]
    rate = float(flags[test].mean())
    part = _finish(flags, train, test, _ANOMALY_RATE_RULE, rate, seed, contaminated)
    return replace(part, validation=validation.astype(np.int64))


_ANOMALY_RATE_RULE = "as many test scores, from the top, as there are anomalies among the test rows"
_PROTOCOLS = {
    "kdd99": kdd99_split,
    "arrhythmia": arrhythmia_split,
    "cifar10": one_class_split,
    "digits": one_class_split,
    "svhn_cropped": one_class_split,
}
_HALVED = ("arrhythmia", "kdd99")


def split(
    dataset: str,
    is_anomaly: np.ndarray,
    seed: int = 42,
    contaminated: bool = False,
    swap_halves: bool = False,
) -> Split:
    """The protocol split of a data set, by its name.

    Args:
        dataset: "kdd99", "arrhythmia", "breast_cancer", "cifar10", "digits" or "svhn_cropped".
        is_anomaly: `(N,)` bool, in file order.
        seed: seed of the permutation.
        contaminated: bool, whether to keep the anomalies of the training rows.
        swap_halves: bool, whether to train on the other half; only for "kdd99" and "arrhythmia".

    Returns:
        `Split`.

    Raises:
        ValueError: if the data set is unknown (the message offers the closest names), the protocol
            cannot split the rows, `contaminated` is set for "breast_cancer", whose protocol trains
            on benign rows only, or `swap_halves` for a set that is not halved.

    Example:
        >>> split("kdd99", np.arange(100) % 5 == 0).top_fraction
        0.2

    Source: Zenati et al. 2018, section V-A.
    """
    if dataset not in _PROTOCOLS and dataset != "breast_cancer":
        raise unknown_name_error("dataset", dataset, [*_PROTOCOLS, "breast_cancer"])
    if swap_halves and dataset not in _HALVED:
        raise ValueError(
            f"received swap_halves=True for {dataset!r}, which is not halved; expected one "
            f"of {', '.join(_HALVED)}. Leave it out."
        )
    if dataset == "breast_cancer":
        if contaminated:
            raise ValueError(
                "received contaminated=True for 'breast_cancer', whose protocol trains on "
                "benign rows only. Leave it out."
            )
        return breast_cancer_split(is_anomaly, seed)
    if dataset in _HALVED:
        return _PROTOCOLS[dataset](is_anomaly, seed, contaminated, swap_halves)
    return _PROTOCOLS[dataset](is_anomaly, seed, contaminated)


def _flags(is_anomaly: np.ndarray) -> np.ndarray:
    flags = np.asarray(is_anomaly)
    if flags.ndim != 1 or flags.size == 0:
        raise ValueError(
            f"received is_anomaly of shape {flags.shape}; expected (N,), one flag per row, N >= 1."
        )
    if flags.dtype != bool:
        if not np.isin(flags, (0, 1)).all():
            raise ValueError(
                f"received is_anomaly of dtype {flags.dtype} with values other than 0 and 1; "
                "expected bool. Compare your labels with the anomalous class first."
            )
        flags = flags.astype(bool)
    for kind, count in (("normal", np.sum(~flags)), ("anomalous", np.sum(flags))):
        if count == 0:
            raise ValueError(
                f"received {len(flags)} rows, none of them {kind}; expected both normal "
                "(False) and anomalous (True) rows. Check which label means anomaly."
            )
    return flags


def _halves(n: int, seed: int, swap: bool) -> tuple[np.ndarray, np.ndarray]:
    """(train, test) of n rows; the test part comes first in the permutation, as in scikit-learn.

    Swapped, the training part comes first, as in pandas. The test part has the odd row either way.
    """
    permutation = np.random.RandomState(seed).permutation(n)
    n_test = (n + 1) // 2
    if swap:
        return permutation[: n - n_test], permutation[n - n_test :]
    return permutation[n_test:], permutation[:n_test]


def _finish(flags, train, test, rule, top_fraction, seed, contaminated) -> Split:
    if not contaminated:
        train = train[~flags[train]]
    if not (len(train) and flags[test].any() and not flags[test].all()):
        raise ValueError(
            f"{len(flags)} rows with {flags.sum()} anomalies leave {len(train)} training rows, and "
            f"{flags[test].sum()} anomalies among {len(test)} test rows; expected a training row "
            "and, in the test part, both kinds. Use more rows or another seed."
        )
    return Split(train.astype(np.int64), test.astype(np.int64), rule, top_fraction, seed)
