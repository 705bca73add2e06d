"""What is missing or far off is flagged: in Python, in every export, and by the server."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from alad_tf import ALADDetector, Detector
from alad_tf.baselines import IsolationForest, OneClassSVM
from alad_tf.detector.threshold import LARGEST, by_false_alarms
from alad_tf.preprocess import VectorPreprocessor

FEW = {"steps": 40, "n_members": 1}
FAR = (1e6, 1e12, 1e18, 1e25, 1e38, 3e38, -3e38)


@pytest.fixture(scope="module")
def table():
    """Two numbers of which one follows from the other, one of large numbers, and categories."""
    generator, n = np.random.default_rng(0), 300
    a = generator.normal(size=n)
    return pd.DataFrame(
        {
            "a": a,
            "b": 2 * a + 0.1 * generator.normal(size=n),
            "time": 1.7e9 + 1000 * generator.normal(size=n),
            "kind": generator.choice(["x", "y"], n),
            "some": np.where(np.arange(n) % 7 == 0, np.nan, a),
        }
    )


@pytest.fixture(scope="module")
def fitted(table):
    return ALADDetector(**FEW).fit(table)


@pytest.fixture(scope="module")
def odd(table):
    """Records each of which has to be flagged, with the smallest p-value."""
    one = table.iloc[:1].astype({"kind": object})
    far = [one.assign(**{name: v}) for v in FAR for name in ("a", "some")]
    late = [one.assign(time=1.7e9 + 30 * 1000), one.assign(time=0.0)]
    gaps = [one.assign(**{name: np.nan}) for name in ("a", "b", "time")]
    texts = [one.assign(kind=None), one.assign(kind="")]
    return pd.concat([*far, *late, *gaps, *texts, one.assign(a=np.nan, b=np.nan, time=np.nan)])


def test_a_detector_flags_them(fitted, odd, tmp_path):
    for detector in (fitted, ALADDetector.load(fitted.save(tmp_path / "detector"))):
        scores = detector.scores(odd)
        assert all(np.isfinite(values).all() for values in scores.values())
        assert (detector.predict(odd) == -1).all()
        least = 1 / (len(detector.detector_.reference) + 1)
        assert (detector.p_value(odd) == least).all()
        assert np.isfinite(detector.explain(odd).attributions).all()


def test_gaps_are_the_reason(fitted, table):
    told = fitted.explain(table.iloc[:1].assign(b=np.nan)).top(0, 1)[0]
    assert told["column"] == "b" and np.isnan(told["observed"])


def test_numbers_beyond_float32_are_far_off(fitted, table):
    odd = table.iloc[:3].assign(a=[1e39, -1e200, 1.7e308])
    assert (fitted.anomaly_score(odd) == LARGEST).all() and (fitted.predict(odd) == -1).all()


def test_ordinary_rows_and_gaps_that_were_seen_are_as_before(fitted, table):
    gappy = table[table["some"].isna()]
    assert (fitted.predict(gappy) == 1).mean() > 0.8
    assert fitted.anomaly_score(table).max() < 100


def test_new_gaps_are_refused_if_asked_for(table, tmp_path, unchecked):
    detector = ALADDetector(**FEW, missing="refuse").fit(table)
    loaded = ALADDetector.load(detector.save(tmp_path / "detector"))
    assert loaded.missing == "refuse"
    some = table.iloc[:3].assign(b=[1.0, np.nan, 2.0])
    for one in (detector, loaded, loaded.detector_):
        with pytest.raises(
            ValueError, match="column 'b' has 1 missing value.s., the first in row 1"
        ):
            one.predict(some)
    served = tf.saved_model.load(detector.export(tmp_path)).signatures["serving_default"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="Records must be finite"):
        served(**request(detector, some))


def request(detector, records):
    preprocessor = detector.detector_.preprocessor
    records = records.assign(kind=records["kind"].fillna("").astype(str))
    specs, found = preprocessor.signature(), preprocessor.request(records)
    return {name: tf.constant(values, specs[name].dtype) for name, values in found.items()}


@pytest.mark.parametrize("kind", ["saved_model", "onnx", "tflite"])
def test_exports_flag_them(fitted, odd, table, kind, tmp_path):
    if kind == "tflite":
        with pytest.raises(ValueError, match="The column 'time' has large numbers"):
            fitted.export(tmp_path, kind=kind)
        fitted = ALADDetector(**FEW).fit(table.assign(time=table["time"] - 1.7e9))
        odd = odd.assign(time=odd["time"] - 1.7e9)
    path = fitted.export(tmp_path, kind=kind)
    both = pd.concat([table.iloc[:20], odd])
    asked = request(fitted, both)
    if kind == "saved_model":
        found = tf.saved_model.load(path).signatures["serving_default"](**asked)
        found = {name: value.numpy() for name, value in found.items()}
    elif kind == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path)
        names = [output.name for output in session.get_outputs()]
        feed = {
            k: v.numpy().astype(object) if v.dtype == tf.string else v.numpy()
            for k, v in asked.items()
        }
        feed["kind"] = np.array([text.decode() for text in feed["kind"]], object)
        found = dict(zip(names, session.run(names, feed), strict=True))
    else:
        from ai_edge_litert.interpreter import Interpreter

        runner = Interpreter(model_path=str(path)).get_signature_runner("serving_default")
        feed = {
            k: v.numpy().astype(object) if v.dtype == tf.string else v.numpy().astype("float32")
            for k, v in asked.items()
        }
        found = runner(**feed)
    assert np.isfinite(found["score"]).all() and found["is_anomaly"][20:].all()
    least = 1 / (len(fitted.detector_.reference) + 1)
    np.testing.assert_allclose(found["p_value"][20:], least, rtol=1e-5)
    np.testing.assert_allclose(
        found["score"][:20], fitted.anomaly_score(table.iloc[:20]), rtol=1e-3, atol=1e-3
    )


def test_an_export_keeps_large_numbers_as_json_and_examples(fitted, table, tmp_path, unchecked):
    specs = fitted.detector_.preprocessor.signature()
    assert specs["time"].dtype == tf.float64 and specs["a"].dtype == tf.float32
    served = tf.saved_model.load(fitted.export(tmp_path))
    some = table.iloc[:9]
    some = some.assign(time=some["time"] + np.arange(9))
    expected = fitted.anomaly_score(some)
    filled = some.assign(kind=some["kind"].astype(str))
    encoding = fitted.detector_.preprocessor.encodings()["serialized_examples"]
    examples = tf.constant(encoding.encode(filled))
    for found in (
        served.signatures["serving_default"](**request(fitted, some)),
        served.signatures["serialized_examples"](examples=examples),
    ):
        np.testing.assert_allclose(found["score"], expected, atol=1e-4)


@pytest.mark.parametrize("scorer", [IsolationForest(), OneClassSVM(0.1)], ids=["forest", "svm"])
def test_rivals_flag_what_is_too_far_off(scorer, tmp_path):
    x = np.random.default_rng(0).normal(size=(400, 3))
    preprocessor = VectorPreprocessor().fit(x[:300])
    detector = Detector.from_model(preprocessor, scorer.fit(preprocessor.transform(x[:300])))
    detector.set_threshold(by_false_alarms(detector.anomaly_score(x[300:]), 0.05))
    far = np.array([[1e20, 0, 0], [0, -1e300, 0]])
    assert detector.predict(far).all() and (detector.p_value(far) == 1 / 101).all()
    with pytest.raises(ValueError, match="NaN or infinite"):
        detector.predict([[np.nan, 0, 0]])


def test_the_server_answers_with_a_verdict(fitted, odd, tmp_path, unchecked):
    from alad_tf.export.serving.json_request import read_request
    from alad_tf.export.serving.model import ServedModel

    model = ServedModel.load(fitted.export(tmp_path))
    records = odd.assign(kind=odd["kind"].fillna("").astype(str))
    rows = [
        {k: (None if isinstance(v, float) and np.isnan(v) else v) for k, v in one.items()}
        for one in [*records.to_dict("records"), {**records.iloc[0].to_dict(), "a": 1e300}]
    ]
    import json

    signature, arrays, _ = read_request(json.dumps({"instances": rows}).encode(), model.inputs)
    found = model.predict(signature, arrays)
    assert found["is_anomaly"].all() and np.isfinite(found["score"]).all()
    least = 1 / (len(fitted.detector_.reference) + 1)
    np.testing.assert_allclose(found["p_value"], least, rtol=1e-5)
