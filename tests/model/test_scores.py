"""The four scores against their formulas."""

import numpy as np
import pytest
import tensorflow as tf

from alad_tf.model.scores import anomaly_scores


def test_scores_are_the_papers_formulas():
    rng = np.random.default_rng(0)
    x, reconstruction = rng.normal(size=(2, 5, 2, 3)).astype("float32")
    real, fake = rng.normal(size=(2, 5, 4)).astype("float32")
    logits = rng.normal(size=5).astype("float32")
    residual = (x - reconstruction).reshape(5, -1).astype("float64")
    expected = {
        "features": abs(real - fake).sum(1),
        "l1": abs(residual).sum(1),
        "l2": np.sqrt((residual**2).sum(1)),
        "logits": -np.log(1 / (1 + np.exp(-logits))),
    }
    found = anomaly_scores(*map(tf.constant, (x, reconstruction, real, fake, logits)))
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, err_msg=name)


def test_a_sample_and_its_reconstruction_have_one_shape():
    one, f, logit = tf.ones((2, 3)), tf.ones((2, 4)), tf.zeros(2)
    with pytest.raises(ValueError, match="expected the same shape"):
        anomaly_scores(one, tf.ones((2, 4)), f, f, logit)
