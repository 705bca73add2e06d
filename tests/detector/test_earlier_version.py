"""What a version before this one wrote still loads, with the same answers; see fixtures/make.py."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from alad_tf import ALADDetector, Detector, baselines

FOLDER = Path(__file__).parents[1] / "fixtures" / "earlier_version"

pytestmark = pytest.mark.xla


@pytest.fixture(scope="module")
def answers():
    found = json.loads((FOLDER / "answers.json").read_text())
    return {**found, "records": pd.DataFrame(found["records"])}


def test_a_saved_detector_has_the_scores_it_had(answers):
    estimator = ALADDetector.load(FOLDER / "detector")
    records = answers["records"]
    assert set(estimator.scores(records)) == set(answers["scores"])
    for name, scores in estimator.scores(records).items():
        np.testing.assert_allclose(scores, answers["scores"][name], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(estimator.predict(records) == -1, answers["is_anomaly"])
    np.testing.assert_array_equal(estimator.p_value(records), answers["p_value"])
    assert 0 < sum(answers["is_anomaly"]) < len(records)
    assert Detector.load(FOLDER / "detector").threshold_rule.startswith("flags 10% of normal rows")


def test_its_export_has_the_scores_it_had_and_takes_todays_requests(answers):
    served = tf.saved_model.load(FOLDER / "export").signatures["serving_default"]
    preprocessor = Detector.load(FOLDER / "detector").preprocessor
    records = answers["records"]
    filled = records.assign(kind=records["kind"].fillna("").astype(str))
    request = preprocessor.request(filled)
    specs = preprocessor.signature()
    tensors = {name: tf.constant(values, specs[name].dtype) for name, values in request.items()}
    found = served(**tensors)
    np.testing.assert_allclose(found["score"], answers["scores"]["combined"], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found["is_anomaly"], answers["is_anomaly"])
    np.testing.assert_allclose(found["p_value"], answers["p_value"], atol=1e-6)


def test_a_saved_baseline_has_the_scores_it_had(answers):
    baseline = baselines.load(FOLDER / "baseline")
    scores = baseline.scores(np.array(answers["baseline_rows"], "float32"))
    assert set(scores) == set(answers["baseline_scores"]) == {"energy", "reconstruction_error"}
    for name, values in scores.items():
        np.testing.assert_allclose(values, answers["baseline_scores"][name], rtol=1e-5, atol=1e-6)
