"""The export's self-check: what is wrong is seen and not written; roundings pass."""

import re

import numpy as np
import pytest
from tiny import tiny_data, tiny_image_model, tiny_model

from alad_tf.detector.detector import Detector
from alad_tf.detector.threshold import Threshold
from alad_tf.export import check as export_check
from alad_tf.export.check import first_difference
from alad_tf.export.graph import METADATA
from alad_tf.export.saved_model import export
from alad_tf.model.scorer import Scorer
from alad_tf.preprocess import ImagePreprocessor, VectorPreprocessor

VERDICTS = ("serving_default",)  # of images of two channels, which no picture has


def tiny_image():
    scorer = Scorer.from_alad(tiny_image_model(jit_compile=False))
    return Detector(ImagePreprocessor((8, 8, 2)), scorer, score="l2")


def test_an_export_that_is_wrong_leaves_the_old_one(tmp_path, monkeypatch):
    """The graph scores l1 0.1% too high; the self-check must see it in the file itself."""
    scorer = Scorer.from_alad(tiny_model(jit_compile=False))
    detector = Detector(VectorPreprocessor().fit(tiny_data()), scorer)
    (tmp_path / "1" / METADATA).parent.mkdir(parents=True)
    # an export of an earlier version, as far as one is looked at
    (tmp_path / "1" / METADATA).write_text('{"sha256": {}}')
    right = detector.scorer.call

    def wrong(x, training=False):
        return right(x) | {"l1": right(x)["l1"] * 1.001}

    monkeypatch.setattr(detector.scorer, "call", wrong)
    with pytest.raises(
        RuntimeError, match="output 'l1' of the signature 'scores' differs"
    ) as raised:
        export(detector, tmp_path / "1")
    assert f"Nothing was written to {tmp_path / '1'}" in str(raised.value)
    assert (tmp_path / "1" / METADATA).read_text() == '{"sha256": {}}'
    assert [path.name for path in (tmp_path / "1").iterdir()] == ["assets.extra"]
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_an_export_that_does_not_load_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(export_check, "CHILD", "raise SystemExit('no such op: Round')")
    with pytest.raises(RuntimeError, match="could not be loaded.*no such op: Round.*Nothing was"):
        export(tiny_image(), tmp_path / "1")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def faultless():
    """A detector with a threshold, records, and the answers of an export that equals it."""
    detector = tiny_image()
    samples = {str(n): detector.preprocessor.sample(n) for n in export_check.BATCHES}
    scores = np.sort(detector.anomaly_score(samples["5"]))
    detector.threshold = Threshold(float(scores[1:3].mean()), "is between two scores")
    answers = {}
    for batch, x in samples.items():
        answers |= {f"{batch}|scores|{name}": values for name, values in detector.scores(x).items()}
        for signature in VERDICTS:
            answers[f"{batch}|{signature}|score"] = detector.anomaly_score(x)
            answers[f"{batch}|{signature}|is_anomaly"] = detector.predict(x)
        answers[f"{batch}|reconstruct|reconstruction"] = detector.reconstruct(x)
    return detector, samples, answers


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("5|scores|features", lambda v: v * 1.001, "'features' of the signature 'scores' differs"),
        ("5|scores|logits", lambda v: v + 1e-3, "'logits' of the signature 'scores' differs"),
        ("1|serving_default|score", lambda v: v * np.nan, "by nan for a request of 1 record"),
        ("1|serving_default|score", lambda v: v[:, None], r"is float32 \(1, 1\); expected float32"),
        ("5|scores|l2", lambda v: v.astype("float64"), r"is float64 \(5,\); expected float32"),
        ("5|serving_default|is_anomaly", np.logical_not, "'is_anomaly' .* by 1 for a request of 5"),
        ("5|reconstruct|reconstruction", lambda v: v - 1, "'reconstruction' .* differs"),
    ],
)
def test_the_self_check_sees_each_kind_of_fault(faultless, key, change, message):
    detector, samples, answers = faultless
    wanted = export_check.expected(detector, samples)
    assert first_difference(answers, wanted, detector.preprocessor) is None
    faulty = answers | {key: change(answers[key])}
    assert re.search(message, first_difference(faulty, wanted, detector.preprocessor))
    del faulty[key]
    assert "outputs" in first_difference(faulty, wanted, detector.preprocessor)


def test_the_self_check_lets_roundings_pass(faultless, monkeypatch):
    """Verdicts may differ if the score lies as near to the threshold as roundings move it."""
    detector, samples, answers = faultless
    near = float(answers["1|scores|l2"][0]) * (1 + 2e-6)
    monkeypatch.setattr(detector, "threshold", Threshold(near, "is near a score"))
    wanted = export_check.expected(detector, samples)
    for batch in samples:
        verdicts = detector.predict(samples[batch])
        answers = answers | {f"{batch}|{name}|is_anomaly": verdicts for name in VERDICTS}
    rounded = {
        k: v * np.float32(1 + 1e-6) if v.dtype == "float32" else v for k, v in answers.items()
    }
    key = "1|serving_default|is_anomaly"
    for verdict in (True, False):
        answered = rounded | {key: np.array([verdict])}
        assert first_difference(answered, wanted, detector.preprocessor) is None
