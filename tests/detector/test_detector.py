"""The detector: raw records in, equal scores after saving, verdicts from a threshold."""

import numpy as np
import pytest
from tiny import FEATURES, tiny_data, tiny_image_model, tiny_model

from alad_tf.detector.detector import Detector
from alad_tf.detector.threshold import by_contamination, by_false_alarms
from alad_tf.engine.files import write_json
from alad_tf.model.scorer import Scorer
from alad_tf.preprocess import ImagePreprocessor, TablePreprocessor, VectorPreprocessor


@pytest.fixture(scope="module")
def detector():
    raw = tiny_data() * 40 + 7
    return Detector(VectorPreprocessor().fit(raw), Scorer.from_alad(tiny_model()))


def test_raw_records_are_preprocessed_before_scoring(detector):
    raw = tiny_data(9, seed=1) * 40 + 7
    preprocessed = detector.preprocessor.transform(raw)
    np.testing.assert_array_equal(
        detector.anomaly_score(raw), detector.scorer.scores(preprocessed)["features"]
    )
    assert detector.reconstruct(raw).shape == (9, FEATURES)


def test_saved_and_loaded_detectors_agree(detector, tmp_path):
    raw = tiny_data(30, seed=2) * 40 + 7
    detector.set_threshold(by_false_alarms(detector.anomaly_score(raw), 0.2))
    detector.metadata["entry"] = "tiny"
    loaded = Detector.load(detector.save(tmp_path / "detector"))
    for name, values in detector.scores(raw).items():
        np.testing.assert_array_equal(loaded.scores(raw)[name], values)
    np.testing.assert_array_equal(loaded.predict(raw), detector.predict(raw))
    np.testing.assert_array_equal(loaded.p_value(raw), detector.p_value(raw))
    np.testing.assert_array_equal(loaded.predict(raw), loaded.p_value(raw) <= 0.2)
    assert loaded.predict(raw).sum() == 5  # floor(0.2 * 31) less the row itself
    assert loaded.threshold_rule == "flags at most 20% of normal rows on average"
    assert loaded.metadata == {"entry": "tiny"}
    files = sorted(path.name for path in (tmp_path / "detector").iterdir())
    assert files == ["config.json", "scorer.weights.h5", "sha256.json"]


def test_p_values_need_held_out_scores(detector):
    raw = tiny_data(30, seed=2) * 40 + 7
    detector.set_threshold(by_contamination(detector.anomaly_score(raw), 0.1))
    assert detector.predict(raw).sum() == 3
    with pytest.raises(ValueError, match="no p-values without calibration rows"):
        detector.p_value(raw)


def test_an_image_detectors_model_computes_the_detectors_function():
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 2), dtype="uint8")
    preprocessor = ImagePreprocessor((8, 8, 2))
    model = tiny_image_model(jit_compile=False)
    model.fit(preprocessor.transform(images), batch_size=8, epochs=4, verbose=0)
    detector = Detector.from_model(preprocessor, model)
    again = Scorer.from_alad(detector.model).scores(preprocessor.transform(images))
    for name, values in detector.scores(images).items():
        np.testing.assert_allclose(again[name], values, rtol=1e-4)
    assert detector.reconstruct(images).dtype == np.uint8


def test_table_columns_survive_saving(tmp_path):
    generator = np.random.default_rng(0)
    columns = {
        "kind": generator.choice(["a", "b", "c"], 40),
        **{name: generator.standard_normal(40) for name in ("x", "y", "z")},
    }
    preprocessor = TablePreprocessor(["kind"], ["x", "y", "z"]).fit(columns)
    detector = Detector(preprocessor, Scorer.from_alad(tiny_model()))
    loaded = Detector.load(detector.save(tmp_path / "d"))
    np.testing.assert_array_equal(loaded.anomaly_score(columns), detector.anomaly_score(columns))
    with pytest.raises(ValueError, match="'z'"):
        loaded.anomaly_score({name: columns[name] for name in ("kind", "x", "y")})


def test_bad_records_are_refused_before_the_networks(detector):
    with pytest.raises(ValueError, match="5"):
        detector.scores(np.zeros((3, 5)))
    with pytest.raises(ValueError, match="NaN|finite"):
        detector.scores(np.full((3, FEATURES), np.nan))
    with pytest.raises(ValueError, match="0"):
        detector.scores(np.zeros((0, FEATURES)))


def test_errors_name_the_remedy(detector, tmp_path):
    fresh = Detector(detector.preprocessor, detector.scorer)
    with pytest.raises(ValueError, match="has no threshold. Set one from held-out"):
        fresh.predict(tiny_data(3))
    with pytest.raises(ValueError, match="received the score 'L1'"):
        Detector(detector.preprocessor, detector.scorer, score="L1")
    with pytest.raises(FileNotFoundError, match="There is no detector in .*expected config.json"):
        Detector.load(tmp_path)
    folder = detector.save(tmp_path / "newer")
    (folder / "sha256.json").unlink()  # as earlier versions wrote it
    write_json(folder / "config.json", {"format": 99})
    with pytest.raises(ValueError, match="has format 99; this version reads 1"):
        Detector.load(folder)
    (folder / "config.json").write_text('{"format": 1,')
    with pytest.raises(ValueError, match="is not valid JSON"):
        Detector.load(folder)


def test_a_failed_save_leaves_the_old_detector(detector, tmp_path, monkeypatch):
    folder = detector.save(tmp_path / "detector")
    before = (folder / "config.json").read_text()

    def full_disk(path):
        raise OSError("No space left on device")

    monkeypatch.setattr(detector.scorer, "save_weights", full_disk)
    with pytest.raises(OSError, match="No space left"):
        detector.save(folder)
    assert (folder / "config.json").read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["detector"]
