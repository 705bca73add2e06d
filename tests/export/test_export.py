"""The export: a SavedModel that scores raw records as the detector does, without the package."""

import contextlib
import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2
from tiny import FEATURES, tiny_data, tiny_model

import zoo
from alad_tf import cli
from alad_tf.baselines import IsolationForest
from alad_tf.data import take
from alad_tf.detector.detector import Detector
from alad_tf.detector.threshold import Threshold, by_false_alarms
from alad_tf.export import check
from alad_tf.export.graph import METADATA, inputs_of
from alad_tf.export.saved_model import WARMUP, export
from alad_tf.model.scorer import Scorer
from alad_tf.model.scores import SCORES
from alad_tf.preprocess import MixedPreprocessor, TablePreprocessor, VectorPreprocessor

pytestmark = pytest.mark.xla

NAMES = ("vector", "table", "kdd99_alad", "cifar10_alad")
ROWS, BATCHES = 17, (17, 5, 1)
AGAINST = {"table": 1 - 1e-4, "kdd99_alad": 1 + 1e-4}  # thresholds, in units of a row's score

# Two programs that sum in other orders: 1e-5 is 84 units of float32's rounding, for sums of up to
# 16384 distances. The logits score is of order one, of a sum whose terms are up to 25.
BOUND = {name: dict(rtol=1e-5, atol=1e-4 if name == "logits" else 0) for name in SCORES}

# No line of this imports the package; what it prints is what a client of the export gets to know.
CLIENT = """
import json, sys
import numpy as np
import tensorflow as tf
rows, *names = json.loads(sys.argv[1])
shapes = {}
for name in names:
    raw, results, own = dict(np.load(f"{name}.npz")), {}, {}
    for key in [key for key in raw if "|" in key]:  # a signature's own input: bytes as digits
        signature, argument = key.split("|")
        own[signature] = {argument: [bytes.fromhex(digits) for digits in raw.pop(key)]}
    signatures = tf.saved_model.load(name).signatures
    for key, function in signatures.items():
        inputs = function.structured_input_signature[1]
        outputs = function.structured_outputs
        shapes[f"{name} {key}"] = [
            {k: [v.shape.as_list(), v.dtype.name] for k, v in specs.items()}
            for specs in (inputs, outputs)
        ]
        for n in rows:
            request = own.get(key, raw)
            answer = function(**{k: tf.constant(v[:n]) for k, v in request.items()})
            results |= {f"{key} {n} {k}": v.numpy() for k, v in answer.items()}
    np.savez(f"{name}_results.npz", **results)
assert not {"alad_tf", "zoo"} & set(sys.modules)
print(json.dumps(shapes))
"""


def alad(*arguments):
    """Run the command; returns its exit status and what it printed."""
    printed = io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
        pytest.raises(SystemExit) as done,
    ):
        patch.setattr(sys, "argv", ["alad", *map(str, arguments)])
        cli.main()
    return done.value.code, printed.getvalue()


def tiny_table():
    """A detector of named columns; TensorFlow takes "mean radius" and "class" for no names."""
    generator = np.random.default_rng(0)
    columns = {
        "class": generator.choice(["a", "b", "ü"], 40),
        **{name: generator.standard_normal(40) * 9 for name in ("mean radius", "y", "Z")},
    }
    preprocessor = TablePreprocessor(["class"], ["mean radius", "y", "Z"]).fit(columns)
    scorer = Scorer.from_alad(tiny_model(jit_compile=False))
    detector = Detector(preprocessor, scorer, score="l2")
    return detector.set_threshold(by_false_alarms(detector.anomaly_score(columns), 0.1))


def tiny_vector():
    preprocessor = VectorPreprocessor().fit(tiny_data() * 40 + 7)
    return Detector(preprocessor, Scorer.from_alad(tiny_model(jit_compile=False)))


def raw_records(preprocessor):
    """Raw records of a preprocessor's form, tame ones first."""
    generator, wild = np.random.default_rng(0), np.linspace(0.01, 1, ROWS)
    if preprocessor.kind == "image":
        noise = generator.standard_normal((ROWS, *preprocessor.image_shape))
        pixels = 128 + 120 * wild[:, None, None, None] * noise
        return np.clip(pixels, 0, 255).astype("uint8")
    if preprocessor.kind == "vector":
        rows = generator.standard_normal((ROWS, preprocessor.output_dim)) * 100 * wild[:, None]
        return rows.astype("float32")
    columns = {k: generator.choice(v, ROWS) for k, v in preprocessor.vocabularies.items()}
    numbers = {k: generator.uniform(0, 9, ROWS) * wild for k in preprocessor.continuous}
    return columns | {k: v.astype("float32") for k, v in numbers.items()}


@pytest.fixture(scope="module")
def exports(tmp_path_factory, unasked):
    """Folder of the exports, with the detectors and raw records by name."""
    folder = tmp_path_factory.mktemp("exports")
    detectors = dict(vector=tiny_vector(), table=tiny_table())
    raw = {}
    for name in NAMES:
        normal_class = "deer" if name == "cifar10_alad" else None
        detector = detectors.setdefault(name, None) or zoo.load(name, normal_class=normal_class)
        detectors[name], raw[name] = detector, raw_records(detector.preprocessor)
        if name in AGAINST:  # ten times as far from a score as roundings move it
            score = np.sort(detector.anomaly_score(raw[name]))[ROWS // 2]
            value = float(score) * AGAINST[name]
            detector.threshold = Threshold(value, "is near a score", detector.reference)
        if name == "cifar10_alad":
            status, message = alad("export", name, folder / "served", "--normal-class", "deer")
            made = folder / "served" / name / "1"
            assert (status, message.replace("\n", "")) == (0, f"export    {made}")
        elif name == "vector":
            detector.save(folder / "run" / "detector")
            words = ["--name", "my-model", "--version", 3]
            assert alad("export", folder / "run", folder / "served", *words)[0] == 0
            made = folder / "served/my-model/3"
        else:  # the process that asks an export first has asked the two above; `served` asks all
            with unasked():
                made = detector.export(folder / "served", name)
            assert made == folder / "served" / name / "1"
        made.rename(folder / name)
    return folder, detectors, raw


@pytest.fixture(scope="module")
def served(exports):
    """What one fresh process got from all of the exports: answers, and the signatures' names."""
    folder, detectors, raw = exports
    for name, x in raw.items():
        inputs = x if isinstance(x, dict) else {"x" if x.ndim == 2 else "images": x}
        if name == "table":
            rename = {"class": "column_class", "mean radius": "mean_radius"}
            inputs = {rename.get(column, column): values for column, values in inputs.items()}
        detector = detectors[name]
        own = {
            f"{signature}|{encoding.input}": encoding.encode(x)
            for signature, encoding in detector.preprocessor.encodings().items()
        }
        digits = {key: [content.hex() for content in contents] for key, contents in own.items()}
        np.savez(folder / f"{name}.npz", **inputs, **digits)
    command = [sys.executable, "-c", CLIENT, json.dumps([BATCHES, *NAMES])]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=200)
    assert done.returncode == 0, done.stderr
    answers = {name: dict(np.load(folder / f"{name}_results.npz")) for name in NAMES}
    return answers, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", NAMES)
def test_a_process_without_the_package_gets_the_detectors_answers(name, exports, served):
    _, detectors, raws = exports
    detector, raw, answers = detectors[name], raws[name], served[0][name]
    for score, values in detector.scores(raw).items():
        np.testing.assert_allclose(answers[f"scores {ROWS} {score}"], values, **BOUND[score])
    score = answers[f"serving_default {ROWS} score"]
    np.testing.assert_array_equal(score, answers[f"scores {ROWS} {detector.score}"])
    reconstruction = answers[f"reconstruct {ROWS} reconstruction"]
    expected = detector.reconstruct(raw)
    assert reconstruction.dtype == expected.dtype
    if expected.dtype == np.uint8:
        # 0.01 of a level is the programs' difference; one pixel in a hundred may round other ways
        apart = np.abs(reconstruction.astype(int) - expected)
        assert apart.max() <= 1 and apart.mean() < 0.02
    else:
        np.testing.assert_allclose(reconstruction, expected, rtol=1e-5, atol=1e-5)
    for signature in ("serialized_examples", "encoded_images"):
        if f"{signature} {ROWS} score" in answers:
            np.testing.assert_array_equal(answers[f"{signature} {ROWS} score"], score)
    assert f"serialized_examples {ROWS} score" in answers
    assert (f"encoded_images {ROWS} score" in answers) == (name == "cifar10_alad")
    if len(detector.reference):
        p_value = answers[f"serving_default {ROWS} p_value"]
        np.testing.assert_allclose(p_value, detector.p_value(raw), atol=1e-6)
    if detector.threshold is not None:
        verdicts = answers[f"serving_default {ROWS} is_anomaly"]
        np.testing.assert_array_equal(verdicts, detector.predict(raw))
        assert 0 < verdicts.sum() < ROWS


@pytest.mark.parametrize("name", NAMES)
def test_a_rows_score_does_not_depend_on_the_size_of_the_request(name, served):
    answers = served[0][name]
    for rows in BATCHES:
        score = answers[f"serving_default {rows} score"]
        assert score.shape == (rows,) and score.dtype == np.float32
        # another batch size may take a product's sum in another order: a few roundings of 6e-8
        np.testing.assert_allclose(score, answers[f"serving_default {ROWS} score"][:rows], 1e-6)


def test_signatures_have_the_documented_names_and_types(exports, served):
    vector, images = [None], [None, 32, 32, 3]
    inputs = {
        "vector": {"x": [[None, FEATURES], "float32"]},
        "table": {
            "column_class": [vector, "string"],
            **{name: [vector, "float32"] for name in ("mean_radius", "y", "Z")},
        },
        "cifar10_alad": {"images": [images, "uint8"]},
    }
    preprocessor = exports[1]["kdd99_alad"].preprocessor
    inputs["kdd99_alad"] = {name: [vector, "string"] for name in preprocessor.categorical}
    inputs["kdd99_alad"] |= {name: [vector, "float32"] for name in preprocessor.continuous}
    assert len(inputs["kdd99_alad"]) == 41  # KDD99's columns, by their own names
    reconstructions = dict.fromkeys(("vector", "table"), [[None, FEATURES], "float32"])
    reconstructions["cifar10_alad"] = [images, "uint8"]
    reconstructions["kdd99_alad"] = [[None, 121], "float32"]
    shapes = served[1]
    assert len(shapes) == 4 * len(NAMES) + 1
    for name in NAMES:
        decision = {"score": [vector, "float32"], "is_anomaly": [vector, "bool"]}
        if name == "vector":
            del decision["is_anomaly"]  # it has no threshold
        if name in ("table", "cifar10_alad"):  # whose normal rows were held out
            decision["p_value"] = [vector, "float32"]
        assert shapes[f"{name} serving_default"] == [inputs[name], decision]
        four = {score: [vector, "float32"] for score in SCORES}
        assert shapes[f"{name} scores"] == [inputs[name], four]
        expected = [inputs[name], {"reconstruction": reconstructions[name]}]
        assert shapes[f"{name} reconstruct"] == expected
        strings = {"examples": [vector, "string"]}
        assert shapes[f"{name} serialized_examples"] == [strings, decision]
    strings = {"encoded": [vector, "string"]}
    assert shapes["cifar10_alad encoded_images"] == [
        strings,
        shapes["cifar10_alad serving_default"][1],
    ]


def test_metadata_say_where_the_detector_is_from(exports):
    folder, detectors, _ = exports
    metadata = {name: json.loads((folder / name / METADATA).read_text()) for name in NAMES}
    kdd99 = detectors["kdd99_alad"]
    sums = metadata["kdd99_alad"].pop("sha256")
    assert {"saved_model.pb", "variables/variables.index"} < set(sums)
    for name, digest in sums.items():
        content = (folder / "kdd99_alad" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
    assert metadata["kdd99_alad"] == {
        "format": 2,
        "metrics": kdd99.metadata["metrics"],
        "estimator": None,
        "held_out_rows": len(kdd99.reference),
        "contains": None,
        "warmup_requests": 8,
        "entry": "kdd99_alad",
        "variant": "default",
        "seed": 0,
        "normal_class": None,
        "score": "features",
        "threshold": kdd99.threshold.value,
        "threshold_rule": kdd99.threshold_rule,
        "feature_names": kdd99.preprocessor.feature_names,
        "columns": {
            n: n for n in (*kdd99.preprocessor.categorical, *kdd99.preprocessor.continuous)
        },
        "seconds": {},
        "tensorflow": tf.__version__,
    }
    assert metadata["cifar10_alad"]["normal_class"] == 4  # deer
    assert metadata["cifar10_alad"]["feature_names"] is None
    assert metadata["vector"]["threshold"] is metadata["vector"]["entry"] is None
    assert metadata["table"]["score"] == "l2"
    assert metadata["table"]["columns"]["mean_radius"] == "mean radius"
    assert (folder / "table").stat().st_mode & 0o555 == 0o555  # a server's user may read it


def test_records_that_are_not_finite_are_refused_and_unseen_categories_are_zeros(exports):
    folder, detectors, raw = exports
    serve = tf.saved_model.load(folder / "vector").signatures["serving_default"]
    for bad in (np.nan, np.inf):
        x = raw["vector"].copy()
        x[3, 2] = bad
        with pytest.raises(tf.errors.InvalidArgumentError, match="Records must be finite"):
            serve(x=tf.constant(x))
    columns = take(raw["kdd99_alad"], slice(0, 2)) | {"service": np.array(["http", "gemini"])}
    serve = tf.saved_model.load(folder / "kdd99_alad").signatures["serving_default"]
    score = serve(**{name: tf.constant(values) for name, values in columns.items()})["score"]
    with pytest.warns(UserWarning, match="gemini"):
        expected = detectors["kdd99_alad"].anomaly_score(columns)
    np.testing.assert_allclose(score, expected, **BOUND["features"])


def test_what_cannot_be_exported_is_refused_with_the_remedy(tmp_path):
    scorer = tiny_vector().scorer
    with pytest.raises(ValueError, match="VectorPreprocessor is not fitted; .* Fit the preproc"):
        export(Detector(VectorPreprocessor(), scorer), tmp_path / "1")
    narrow = VectorPreprocessor().fit(np.eye(5))
    with pytest.raises(ValueError, match=r"shape \(5,\); its scorer takes \(6,\)"):
        export(Detector(narrow, scorer), tmp_path / "1")
    assert list(tmp_path.iterdir()) == []
    file = tmp_path / "thesis.tex"
    file.write_text("years of work")
    for place, why in ((tmp_path, "did not write: thesis.tex"), (file, "is a file")):
        with pytest.raises(FileExistsError, match=why):
            export(tiny_vector(), place)
    assert file.read_text() == "years of work"
    for name, version, message in (("../up", 1, "model name"), ("a", 0, "version 0")):
        with pytest.raises(ValueError, match=message):
            tiny_vector().export(tmp_path, name, version)


@pytest.mark.parametrize(
    ("names", "inputs"),
    [
        (["温度", "压力"], ["column___", "column____2"]),
        (["Größe", "Grüße", "Gr__e_2"], ["Gr__e", "Gr__e_3", "Gr__e_2"]),
        (["a b", "a_b", "a-b"], ["a_b_2", "a_b", "a_b_3"]),
        (["x%", "x$", "class", "self", "1"],
         ["x_", "x__2", "column_class", "column_self", "column_1"]),
        (["Ünï", "α", "β", ""],
         ["column__n_", "column__", "column___2", "column_"]),
    ],
)  # fmt: skip
def test_every_column_has_an_input_of_its_own(names, inputs):
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(9, len(names))), columns=names)
    for layer in (MixedPreprocessor().fit(rows), TablePreprocessor([], names).fit(rows)):
        assert list(inputs_of(layer)) == inputs == list(layer.input_columns())
        assert list(layer.input_columns().values()) == names
        again = layer.from_request({k: tf.constant(v) for k, v in layer.request(rows).items()})
        np.testing.assert_allclose(layer(again), layer.transform(rows), atol=1e-6)


def test_columns_of_foreign_names_are_served(tmp_path, unasked):
    names = ["Größe", "Grüße", "压力"]
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 3)), columns=names)
    layer = MixedPreprocessor().fit(rows)
    forest = IsolationForest(seed=0).fit(layer.transform(rows))
    with unasked():
        folder = Detector.from_model(layer, forest).export(tmp_path, "sizes")
    columns = json.loads((folder / METADATA).read_text())["columns"]
    assert sorted(columns.values()) == sorted(names)
    serve = tf.saved_model.load(folder).signatures["serving_default"]
    score = serve(**{i: tf.constant(rows[c], tf.float32) for i, c in columns.items()})["score"]
    np.testing.assert_allclose(score, forest.scores(layer.transform(rows))[forest.score], atol=1e-5)


def test_warm_up_requests_are_answered_by_every_signature(exports):
    """TensorFlow Serving's file: records of PredictionLog, each a request of one signature."""
    folder, detectors, _ = exports
    for name, signatures in (("table", 4), ("cifar10_alad", 5)):
        served = tf.saved_model.load(folder / name).signatures
        seen = set()
        for content in tf.data.TFRecordDataset(str(folder / name / WARMUP)):
            log = prediction_log_pb2.PredictionLog.FromString(content.numpy())
            request = log.predict_log.request
            signature = request.model_spec.signature_name
            inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
            for answer in served[signature](**inputs).values():
                assert answer.shape[0] in check.BATCHES
            seen.add(signature)
        assert seen == set(served) and len(seen) == signatures


def test_images_of_another_size_and_damaged_ones_are_refused(exports):
    serve = tf.saved_model.load(exports[0] / "cifar10_alad").signatures["encoded_images"]
    small = tf.io.encode_png(np.zeros((8, 8, 3), "uint8"))
    with pytest.raises(tf.errors.InvalidArgumentError, match="must have 32 x 32 pixels"):
        serve(encoded=tf.stack([small]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="Unknown image file format"):
        serve(encoded=tf.constant([b"nonsense"]))


def test_examples_that_lack_a_feature_are_refused_or_gaps(exports):
    serve = tf.saved_model.load(exports[0] / "table").signatures["serialized_examples"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="Feature: .* is required"):
        serve(examples=tf.constant([tf.train.Example().SerializeToString()]))


@pytest.mark.slow
def test_saved_model_cli_shows_names(exports):
    command = [Path(sys.executable).parent / "saved_model_cli", "show", "--all", "--dir"]
    message = subprocess.run(
        [*command, exports[0] / "table"], capture_output=True, text=True
    ).stdout
    for name in ("mean_radius", "column_class", "is_anomaly", "p_value", "serialized_examples"):
        assert f"['{name}']" in message


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["kdd_alad"], 1, "neither a folder nor a zoo entry"),
        (["svhn_alad", "--normal-class", "3"], 1, "no pretrained weights for svhn_alad"),
        (["."], 1, "There is no detector in"),
        ([".", "--normal-class", "3"], 1, "received --normal-class 3 for the folder"),
        (["breast_cancer_alad"], 1, "no such op: Round"),
    ],
)
def test_the_command_says_what_is_wrong(arguments, status, message, tmp_path, monkeypatch):
    monkeypatch.setattr(check, "CHILD", "raise SystemExit('no such op: Round')")
    monkeypatch.chdir(tmp_path)
    code, printed = alad("export", arguments[0], "served", *arguments[1:])
    assert code == status
    assert printed.startswith("alad: ") and message in printed
    assert list(tmp_path.iterdir()) == []
