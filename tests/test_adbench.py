"""The ten tables: their protocol, and that a budget of false alarms is kept on fresh rows."""

import json
from pathlib import Path

import numpy as np
import pytest

from alad_tf import ALADDetector
from alad_tf.data.adbench import SETS, load_adbench, split_adbench

ROOT = Path(__file__).parents[1]
ROWS = {  # rows, columns, anomalies: ADBench, Table of datasets
    "breastw": (683, 9, 239),
    "cardio": (1831, 21, 176),
    "Ionosphere": (351, 32, 126),
    "mammography": (11183, 6, 260),
    "pendigits": (6870, 16, 156),
    "Pima": (768, 8, 268),
    "satimage-2": (5803, 36, 71),
    "thyroid": (3772, 6, 93),
    "vowels": (1456, 12, 50),
    "WDBC": (367, 30, 10),
}


@pytest.mark.parametrize("name", SETS)
def test_the_protocols_rows(data_dir, name):
    x, is_anomaly = load_adbench(name, data_dir / "adbench")
    assert (*x.shape, int(is_anomaly.sum())) == ROWS[name]
    train, test = split_adbench(is_anomaly, 1)
    assert not is_anomaly[train].any()
    assert len(train) == (~is_anomaly).sum() // 2
    assert sorted([*train, *test]) == list(range(len(x)))
    assert not np.array_equal(train, split_adbench(is_anomaly, 2)[0])


def test_an_absent_set_says_where_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No set 'thyroid'.*github.com/Minqi824/ADBench"):
        load_adbench("thyroid", tmp_path)


@pytest.mark.parametrize(
    "name", [pytest.param("mammography", marks=pytest.mark.slow), "pendigits", "satimage-2"]
)
def test_one_per_cent_of_fresh_normal_rows_are_flagged(data_dir, name):
    """However well it is trained: the mean of four splits, whose own spread is near 0.2%.

    Six columns of each table, as many as the narrowest has: one program trains them all.
    """
    x, is_anomaly = load_adbench(name, data_dir / "adbench")
    x, shares = x[:, :6], []
    for seed in range(4):
        train, test = split_adbench(is_anomaly, seed)
        fresh = test[~is_anomaly[test]]
        options = {"steps": 5, "n_members": 1, "false_alarms": 0.01, "random_state": seed}
        detector = ALADDetector(**options).fit(x[train])
        shares.append((detector.predict(x[fresh]) == -1).mean())
    assert 0.005 <= np.mean(shares) <= 0.015


def test_the_measured_detectors_are_those_of_the_defaults():
    """What RESULTS.md shows: the default's score on three seeds of ten sets, and its bounds."""
    measured = json.loads((ROOT / "results/benchmarks/adbench.json").read_text())
    runs = measured["runs"]
    assert {(run["set"], run["seed"]) for run in runs} == {(s, k) for s in SETS for k in range(3)}
    score = f"ALADDetector, {ALADDetector().score_name}"
    by_set = {s: np.mean([r["auroc"][score] for r in runs if r["set"] == s]) for s in SETS}
    assert np.mean(list(by_set.values())) >= 0.945 and min(by_set.values()) > 0.7
    assert max(run["seconds"]["ALADDetector"] for run in runs) < 60
