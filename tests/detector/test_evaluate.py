"""Metrics against scikit-learn and against counts made by hand; the summary over seeds."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from alad_tf.detector.metrics import METRICS, evaluate, metrics, summarize, top_fraction_threshold
from alad_tf.experiments.errors import flagged_by_label
from alad_tf.experiments.results import FIELDS, read_results, write_result


def samples(n=226, anomalies=32, seed=0):
    generator = np.random.default_rng(seed)
    labels = np.zeros(n, bool)
    labels[generator.permutation(n)[:anomalies]] = True
    return generator.standard_normal(n) + labels, labels


def test_the_papers_arrhythmia_fraction_flags_34_of_226():
    scores, _ = samples()
    assert (scores >= top_fraction_threshold(scores, 0.15)).sum() == 34


def test_metrics_agree_with_scikit_learn():
    scores, labels = samples()
    flagged = scores >= np.percentile(scores, 85)
    got = metrics(scores, labels, 0.15)
    assert got["precision"] == pytest.approx(precision_score(labels, flagged))
    assert got["recall"] == pytest.approx(recall_score(labels, flagged))
    assert got["f1"] == pytest.approx(f1_score(labels, flagged))
    assert got["auroc"] == pytest.approx(roc_auc_score(labels, scores))
    assert tuple(got) == METRICS


def test_extremes():
    scores, labels = np.arange(10.0), np.arange(10) >= 8
    best, worst = metrics(scores, labels, 0.2), metrics(-scores, labels, 0.2)
    assert best == dict.fromkeys(METRICS, 1.0)
    assert (worst["f1"], worst["auroc"]) == (0.0, 0.0)


def test_bad_input_is_refused():
    scores, labels = samples()
    with pytest.raises(ValueError, match=r"\(226,\) and .* \(5,\); expected one label"):
        metrics(scores, labels[:5], 0.1)
    with pytest.raises(ValueError, match="received 0 anomalies among 226"):
        metrics(scores, np.zeros(226), 0.1)
    with pytest.raises(ValueError, match=r"received fraction=15"):
        metrics(scores, labels, 15)
    with pytest.raises(ValueError, match="1 of them NaN or infinite"):
        metrics(np.where(np.arange(226) == 3, np.nan, scores), labels, 0.15)


def result(seed, value=0.5):
    table = {"features": dict.fromkeys(METRICS, value)}
    known = {"entry": "e", "variant": "default", "seed": seed, "metrics": table, "untrained": table}
    parts = {name: {} for name in ("config", "protocol", "versions", "hardware")}
    return {**dict.fromkeys(FIELDS, 0), **parts, **known}


def test_results_are_checked_written_whole_and_read_in_order(tmp_path):
    for seed, value in ((10, 0.2), (2, 0.4)):
        write_result(tmp_path, result(seed, value))
    runs = read_results(tmp_path, "e")
    assert [run["seed"] for run in runs] == [2, 10]
    summary = summarize(runs)["f1"]
    assert summary["mean"] == pytest.approx(0.3)
    assert summary["std"] == pytest.approx(np.std([0.2, 0.4], ddof=1))
    assert summary["seeds"] == 2
    with pytest.raises(ValueError, match=r"missing \['hardware'\]"):
        write_result(tmp_path, {k: v for k, v in result(1).items() if k != "hardware"})
    with pytest.raises(ValueError, match=r"needs precision in \[0, 1\], received nan"):
        write_result(tmp_path, result(1, float("nan")))
    assert len(list(tmp_path.rglob("*"))) == 4  # e, default, two files: nothing half-written
    with pytest.raises(ValueError, match="received no runs"):
        summarize(read_results(tmp_path, "absent"))


def test_evaluate_covers_every_score():
    scores, labels = samples()
    assert set(evaluate({"a": scores, "b": -scores}, labels, 0.15)) == {"a", "b"}


def test_flagged_rows_are_counted_by_class():
    scores, labels = samples()
    classes = np.where(labels, "bad", np.where(scores > 0, "high", "low"))
    table = flagged_by_label({"s": scores}, classes, ["low", "low", "high"], 0.15)
    flagged = scores >= np.percentile(scores, 85)
    assert [row["label"] for row in table] == sorted(
        set(classes), key=lambda name: -(classes == name).sum()
    )
    for row in table:
        of_class = classes == row["label"]
        assert row["test_rows"] == of_class.sum()
        assert row["flagged"] == {"s": (flagged & of_class).sum()}
    assert {row["label"]: row["train_rows"] for row in table} == {"low": 2, "high": 1, "bad": 0}
    with pytest.raises(ValueError, match="received 226 scores and 3 labels"):
        flagged_by_label({"s": scores}, classes[:3], [], 0.15)
