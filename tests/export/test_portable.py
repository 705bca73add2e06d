"""Exports for other runtimes: ONNX and TensorFlow Lite answer as the detector does."""

import sys

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from test_baselines import fitted_once, rows
from test_export import alad, raw_records, tiny_table, tiny_vector
from tiny import tiny_image_model

import zoo
from alad_tf import ALADDetector
from alad_tf.baselines import IsolationForest
from alad_tf.detector.detector import Detector
from alad_tf.detector.threshold import Threshold, by_false_alarms
from alad_tf.export import portable
from alad_tf.preprocess import ImagePreprocessor, MixedPreprocessor, VectorPreprocessor

KINDS = ("onnx", "tflite")
DAY = np.datetime64("2024-01-01", "s")
COLUMNS = {"class": "column_class", "mean radius": "mean_radius"}  # what the inputs are named


def answers(path, raw):
    """What the runtime of a file answers to raw records: dict of arrays."""
    columns = raw if isinstance(raw, dict) else {"x" if raw.ndim == 2 else "images": raw}
    request = {COLUMNS.get(name, name): np.asarray(values) for name, values in columns.items()}
    if path.suffix == ".onnx":
        feed = {k: v.astype(object) if v.dtype.kind in "UT" else v for k, v in request.items()}
        session = onnxruntime.InferenceSession(path)
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, feed), strict=True))
    feed = {
        k: np.array([text.encode() for text in v], object)
        if v.dtype.kind in "UTO"
        else v.astype("float32" if v.dtype.kind == "f" else v.dtype)
        for k, v in request.items()
    }
    return Interpreter(model_path=str(path)).get_signature_runner("serving_default")(**feed)


def part(raw, count):
    return {k: v[:count] for k, v in raw.items()} if isinstance(raw, dict) else raw[:count]


def rival(method):
    return Detector.from_model(VectorPreprocessor().fit(rows()), fitted_once(method))


def tiny_image():
    preprocessor = ImagePreprocessor((8, 8, 2))
    detector = Detector.from_model(preprocessor, tiny_image_model())
    return detector.set_threshold(by_false_alarms(detector.scores(images(60))["features"], 0.1))


def images(count):
    return np.random.default_rng(1).integers(0, 256, (count, 8, 8, 2), dtype="uint8")


def ensemble():
    """A detector of anyone's table: text, gaps, dates, a combination of scores."""
    generator = np.random.default_rng(0)
    table = pd.DataFrame({
        "size": generator.normal(5, 2, 200),
        "kind": generator.choice(["x", "y", "zü"], 200),
        "weight": generator.normal(size=200),
        "paid": DAY + 86400 * generator.integers(0, 300, 200) + generator.integers(30e3, 60e3, 200),
    })  # fmt: skip
    table["sent"] = table["paid"] + pd.to_timedelta(generator.integers(9, 99, 200), "h")
    table.loc[3, "size"], table.loc[4, "kind"] = np.nan, None
    return ALADDetector(steps=10, n_members=1, score_name="combined").fit(table).detector_


MAKE = {
    "vector": tiny_vector,
    "table": tiny_table,
    "image": tiny_image,
    "ensemble": ensemble,
    "kdd99_alad": lambda: zoo.load("kdd99_alad"),
    **{name: lambda name=name: rival(name) for name in ("dsebm", "iforest", "ocsvm")},
}
ONNX_ONLY = ("iforest", "ocsvm")


@pytest.fixture(scope="module", params=sorted(MAKE))
def exported(request, tmp_path_factory, unasked):
    """A detector, raw records, and the paths of its exports."""
    detector = MAKE[request.param]()
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "image":
        raw = images(17)
    elif request.param == "ensemble":
        raw = {
            "size": np.float32([1, np.nan, 5, 9, 100] * 3),
            "kind": np.array(["x", "y", "", "new", "zü"] * 3),
            "weight": np.linspace(-3, 3, 15, dtype="float32"),
            # seconds that float32 has exactly; hours at night, weeks after training
            "paid": 128.0 * (13_350_000 + 16_000 * np.arange(15)),
            "sent": 128.0 * (13_350_000 + 18_000 * np.arange(15)),
        }
    else:
        raw = raw_records(detector.preprocessor)
    score = np.sort(detector.anomaly_score(raw))
    if detector.threshold is None or request.param in ("table", "kdd99_alad"):
        middle = float(score[len(score) // 2 - 1] + score[len(score) // 2]) / 2
        detector.threshold = Threshold(middle, "is between two scores", detector.reference)
    kinds = KINDS[: 1 if request.param in ONNX_ONLY else 2]
    with unasked():  # the tests ask the runtimes themselves
        paths = [detector.export(folder / kind, kind=kind) for kind in kinds]
    return detector, raw, paths


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MAKE))
def test_an_export_passes_the_check_in_a_fresh_process(name, tmp_path):
    """Of each detector; in the quick tests `test_the_command_writes_files_and_metadata` has one."""
    detector = MAKE[name]()
    for kind in KINDS[: 1 if name in ONNX_ONLY else 2]:
        assert detector.export(tmp_path / kind, kind=kind).is_file()


@pytest.mark.filterwarnings("ignore:.*encoded as none of the known values")
def test_another_runtime_gives_the_detectors_answers(exported):
    detector, raw, paths = exported
    score = detector.anomaly_score(raw)
    for path in paths:
        answer = answers(path, raw)
        np.testing.assert_allclose(answer["score"], score, rtol=1e-5, atol=1e-4)
        apart = np.abs(score - detector.threshold.value) > 1e-4 * (1 + np.abs(score))
        np.testing.assert_array_equal(answer["is_anomaly"][apart], detector.predict(raw)[apart])
        if len(detector.reference):
            nearest = np.abs(score[:, None] - detector.reference).min(1)
            apart = nearest > 1e-4 * (1 + np.abs(score))  # else a held-out row may be on any side
            wanted = detector.p_value(raw)
            np.testing.assert_allclose(answer["p_value"][apart], wanted[apart], atol=1e-6)
        expected = ["is_anomaly", *["p_value"] * bool(len(detector.reference)), "score"]
        assert sorted(answer) == expected


def test_any_number_of_records_is_answered_alike(exported):
    _, raw, paths = exported
    for path in paths:
        whole = answers(path, raw)["score"]
        for count in (1, 4):
            few = answers(path, part(raw, count))["score"]
            np.testing.assert_allclose(few, whole[:count], rtol=1e-5, atol=1e-5)


def test_what_is_not_finite_is_anomalous(tmp_path):
    detector = tiny_vector()
    raw = raw_records(detector.preprocessor)
    beyond = float(detector.anomaly_score(raw).max()) * 10
    detector.threshold = Threshold(beyond, "is beyond all scores")
    broken = raw.copy()
    broken[3, 2] = np.nan
    for kind in KINDS:
        path = detector.export(tmp_path / kind, kind=kind)
        assert np.flatnonzero(answers(path, broken)["is_anomaly"]).tolist() == [3]


def test_the_command_writes_files_and_metadata(tmp_path):
    status, printed = alad("export", "breast_cancer_alad", tmp_path, "--format", "onnx")
    path = tmp_path / "breast_cancer_alad/1/model.onnx"
    assert (status, printed.replace("\n", "")) == (0, f"export    {path}")
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "metadata.json",
        "model.onnx",
        "sha256.json",
    ]
    assert alad("export", "breast_cancer_alad", tmp_path, "--format", "onnx")[0] == 0  # replaced
    status, printed = alad("export", "breast_cancer_alad", tmp_path, "--format", "tflite")
    assert (
        status == 1 and "an export of this format" in printed.replace("\n", " ") and path.is_file()
    )
    status, printed = alad("export", "breast_cancer_alad", tmp_path)
    assert status == 1 and "an export of this format" in printed.replace(
        "\n", " "
    )  # of this format
    status, printed = alad("export", "breast_cancer_alad", tmp_path / "b", "--format", "onxx")
    assert status == 2 and "expected one of saved_model, onnx, tflite" in printed.replace("\n", " ")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_hashed_columns_are_refused_before_conversion(kind, tmp_path):
    table = pd.DataFrame({"id": [f"id {i}" for i in range(40)], "x": np.arange(40.0)})
    layer = MixedPreprocessor().fit(table, columns={"id": "hash"})
    detector = Detector.from_model(layer, IsolationForest(0).fit(layer.transform(table)))
    with pytest.raises(ValueError, match="'id' is hashed, .*Export a SavedModel"):
        detector.export(tmp_path / "a", kind=kind)


@pytest.mark.parametrize(
    ("method", "kind"), [("dagmm", "onnx"), ("dagmm", "tflite"), ("ocsvm", "tflite")]
)
def test_what_a_converter_cannot_take_is_refused(method, kind, tmp_path):
    detector = rival(method)
    with pytest.raises(ValueError, match="cannot be converted to .* Export a SavedModel"):
        detector.export(tmp_path / "a", kind=kind)
    assert not (tmp_path / "a").exists()


def test_far_records_have_the_detectors_logits(tmp_path):
    """TensorFlow Lite's own softplus is log(1 + exp(x)), which float32 does not hold beyond 88."""
    vector = tiny_vector()
    detector = Detector(vector.preprocessor, vector.scorer, score="logits")
    far = raw_records(detector.preprocessor) * np.float32(1e3)
    wanted = detector.anomaly_score(far)
    assert wanted.max() > 1000
    for kind in KINDS:
        answer = answers(detector.export(tmp_path / kind, kind=kind), far)
        np.testing.assert_allclose(answer["score"], wanted, rtol=1e-5, atol=1e-4)


def test_far_records_have_the_detectors_energy(tmp_path):
    """As for the logits; here it would lower the score of what is far off."""
    detector = rival("dsebm")
    far = raw_records(detector.preprocessor) * np.float32(10)
    wanted = detector.anomaly_score(far)
    hidden = detector.scorer.energy.f(detector.preprocessor.transform(far)).numpy()
    assert hidden.max() > 100  # cut at 88, they would make far more of a difference than allowed
    for kind in KINDS:
        answer = answers(detector.export(tmp_path / kind, kind=kind), far)
        np.testing.assert_allclose(answer["score"], wanted, rtol=1e-5, atol=1e-3)


def test_far_records_are_tried(tmp_path, monkeypatch):
    """A runtime whose scores are right near the training range and overflow off it."""
    detector = tiny_vector()
    honest = portable.portable
    near = float(np.abs(raw_records(detector.preprocessor)).max())

    def overflowing(detector, graph, **options):
        function, specs = honest(detector, graph, **options)

        def answer(x):
            far = tf.reduce_any(tf.abs(x) > near, 1)
            return {"score": tf.where(far, -1e30, function(x)["score"])}

        return answer, specs

    monkeypatch.setattr(portable, "portable", overflowing)
    for kind in KINDS:
        with pytest.raises(RuntimeError, match="'score' .* differs from the detector's by 1e.30"):
            detector.export(tmp_path / "a", kind=kind)
    assert not (tmp_path / "a").exists()


def test_a_model_that_answers_otherwise_is_not_written(tmp_path, monkeypatch):
    detector = tiny_vector()
    honest = portable.portable

    def shifted(detector, graph, **options):
        function, specs = honest(detector, graph, **options)
        return lambda *x: {"score": function(*x)["score"] + 0.01}, specs

    monkeypatch.setattr(portable, "portable", shifted)
    for kind in KINDS:
        with pytest.raises(RuntimeError, match="differs from the detector's by 0.01.*Nothing was"):
            detector.export(tmp_path / "a", kind=kind)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("kind", "module"), [("onnx", "tf2onnx"), ("tflite", "ai_edge_litert.interpreter")]
)
def test_a_converter_that_is_missing_is_named(kind, module, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"pip install 'alad-tf\[{kind}\]'"):
        tiny_vector().export(tmp_path, kind=kind)
