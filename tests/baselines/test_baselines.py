"""The baselines' contract: a row's score is its own, files keep scores, bad input is refused."""

import contextlib
import dataclasses
import functools
import json

import numpy as np
import pytest
import tensorflow as tf

import zoo
from alad_tf import baselines
from alad_tf.baselines.base import distinct_rows
from alad_tf.detector.detector import Detector
from alad_tf.detector.threshold import by_contamination
from alad_tf.engine.callbacks import DivergenceError, StopOnDivergence
from alad_tf.experiments import run as runs
from alad_tf.experiments.results import FIELDS
from alad_tf.experiments.settings import Settings
from alad_tf.model.specs import dense
from alad_tf.preprocess import VectorPreprocessor

FEATURES = 6
TRAINING = {"batch_size": 32, "epochs": 3, "learning_rate": 1e-3}
MAKE = {
    "anogan": lambda seed: baselines.AnoGAN(
        {"G": [dense(8, "relu"), dense(FEATURES)], "D": [dense(8, "lrelu"), dense(1)]},
        (FEATURES,),
        latent_dim=2,
        search_steps=20,
        seed=seed,
        **TRAINING,
    ),
    "dagmm": lambda seed: baselines.DAGMM(
        {
            "encoder": [dense(4, "tanh"), dense(1)],
            "decoder": [dense(4, "tanh"), dense(FEATURES)],
            "estimation": [dense(4, "tanh", dropout=0.5), dense(2)],
        },
        (FEATURES,),
        seed=seed,
        **TRAINING,
    ),
    "dsebm": lambda seed: baselines.DSEBM(
        {"f": [dense(8, "softplus"), dense(4, "softplus")]}, (FEATURES,), seed=seed, **TRAINING
    ),
    "iforest": lambda seed: baselines.IsolationForest(seed),
    "ocsvm": lambda seed: baselines.OneClassSVM(0.2),
}


def rows(count=300, seed=0):
    return np.random.default_rng(seed).standard_normal((count, FEATURES)).astype("float32")


def fit(method, seed=1):
    options = {} if method in ("iforest", "ocsvm") else {"verbose": 0}
    return MAKE[method](seed).fit(rows(), **options)


fitted_once = functools.cache(fit)  # for tests that only ask it


@pytest.fixture(scope="module", params=sorted(MAKE))
def fitted(request):
    return fitted_once(request.param)


def test_every_method_is_here():
    assert set(MAKE) == set(baselines.METHODS)
    with pytest.raises(ValueError, match="unknown method 'dsebn'; closest: 'dsebm'"):
        baselines.baseline_class("dsebn")


def test_a_score_depends_on_the_row_alone(fitted):
    """Same bits in any company, in any order, alone, and beside copies of itself."""
    x = rows(700, seed=2)
    whole = fitted.scores(x)
    assert set(whole) == set(fitted.score_names) and fitted.score in whole
    np.testing.assert_array_equal(fitted.anomaly_score(x), whole[fitted.score])
    order = np.random.default_rng(3).permutation(len(x))
    shuffled, few = fitted.scores(x[order]), fitted.scores(x[5:8])
    beside_far_ones = fitted.scores(np.concatenate([100 * x[:50], x[5:8], x[5:8]]))
    for name, values in whole.items():
        assert values.dtype == np.float32 and np.isfinite(values).all()
        np.testing.assert_array_equal(shuffled[name], values[order])
        np.testing.assert_array_equal(few[name], values[5:8])
        np.testing.assert_array_equal(beside_far_ones[name][50:53], values[5:8])
        np.testing.assert_array_equal(beside_far_ones[name][53:], values[5:8])
        np.testing.assert_array_equal(fitted.scores(x[9:10])[name], values[9:10])


@pytest.mark.parametrize("fitted", ["anogan", "dsebm", "iforest", "ocsvm"], indirect=True)
def test_far_rows_are_more_anomalous(fitted):
    """Not DAGMM's: its tanh code saturates, and after a few epochs knows nothing of distance."""
    far = fitted.anomaly_score(8 + rows(50, seed=4))
    assert np.median(far) > np.quantile(fitted.anomaly_score(rows()), 0.9)


def test_files_keep_the_scores(fitted, tmp_path):
    x = rows(50, seed=5)
    again = baselines.load(fitted.save(tmp_path / "mine"))
    assert type(again) is type(fitted)
    for name, values in fitted.scores(x).items():
        np.testing.assert_array_equal(again.scores(x)[name], values)
    other = next(m for m in MAKE if m != fitted.method)
    with pytest.raises(ValueError, match=f"of the method '{fitted.method}'; "):
        baselines.baseline_class(other).load(tmp_path / "mine")
    with pytest.raises(FileNotFoundError, match=r"expected config.json"):
        baselines.load(tmp_path)


def test_a_detector_of_a_baseline_takes_raw_records_and_survives_a_file(fitted, tmp_path, unasked):
    raw = 50 + 9 * rows(40, seed=6)
    detector = Detector.from_model(VectorPreprocessor("none").fit(raw), fitted)
    detector.preprocessor = VectorPreprocessor("standard").fit(raw)
    scores = detector.scores(raw)
    detector.set_threshold(by_contamination(scores[detector.score], 0.1))
    again = Detector.load(detector.save(tmp_path / "detector"))
    for name, values in scores.items():
        np.testing.assert_array_equal(again.scores(raw)[name], values)
    np.testing.assert_array_equal(again.predict(raw), detector.predict(raw))
    assert detector.predict(raw).sum() == 4
    if detector.reconstructs:
        assert detector.reconstruct(raw).shape == raw.shape
    else:
        with pytest.raises(ValueError, match=f"{fitted.method} has no reconstructions"):
            detector.reconstruct(raw)
    # one method's export is asked by a fresh process as well
    with contextlib.nullcontext() if fitted.method == "dsebm" else unasked():
        export = detector.export(tmp_path / "export", "rival")
    served = tf.saved_model.load(export).signatures
    answer = served["serving_default"](x=tf.constant(raw))
    assert set(answer) == {"score", "is_anomaly"}
    np.testing.assert_allclose(answer["score"], scores[detector.score], rtol=1e-4, atol=1e-4)
    assert set(served["scores"].structured_outputs) == set(fitted.score_names)
    assert ("reconstruct" in served) == detector.reconstructs
    graph = served["scores"].graph.as_graph_def()  # nothing that only this process could run
    nodes = [*graph.node, *(node for part in graph.library.function for node in part.node_def)]
    assert len(nodes) > 10 and not [node.name for node in nodes if "PyFunc" in node.op]


@pytest.mark.parametrize("fitted", ["dagmm", "dsebm", "iforest", "ocsvm"], indirect=True)
def test_the_seed_decides(fitted):
    x = rows(50, seed=7)
    first = fitted.anomaly_score(x)
    same, other = (fit(fitted.method, seed).anomaly_score(x) for seed in (1, 2))
    np.testing.assert_array_equal(first, same)
    assert np.array_equal(first, other) == (fitted.method == "ocsvm")


def test_bad_samples_are_refused(fitted):
    bad = rows(3)
    bad[1, 2] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity in 1 of 3 rows, first in row 1"):
        fitted.scores(bad)
    with pytest.raises(ValueError, match=r"takes \(N, 6\) with N > 0; received \(3, 5\)"):
        fitted.scores(rows(3)[:, :5])
    with pytest.raises(ValueError, match=r"received \(0, 6\)"):
        fitted.scores(rows(3)[:0])
    with pytest.raises(ValueError, match="NaN"):
        fitted.fit(np.concatenate([rows(), bad]))


def test_float16_is_refused_where_optimizers_are_kept(tmp_path):
    detector = Detector.from_model(VectorPreprocessor().fit(rows()), MAKE["dsebm"](0))
    with pytest.raises(ValueError, match="baselines are saved with their optimizers"):
        detector.save(tmp_path / "detector", "float16")


def test_divergence_is_reported():
    model = baselines.DSEBM({"f": [dense(4, "softplus")]}, (FEATURES,), learning_rate=1e30)
    with pytest.raises(DivergenceError, match="Lower the learning rate"):
        model.fit(rows(), epochs=50, verbose=0, callbacks=[StopOnDivergence()])


def test_distinct_rows():
    x = np.float32([[1, 2], [3, 4], [1, 2], [1, 2], [3, 5]])
    found, inverse, counts = distinct_rows(x)
    np.testing.assert_array_equal(found[inverse], x)
    assert len(found) == 3 and sorted(counts) == [1, 1, 3]
    assert counts[inverse[0]] == 3


# ------------------------------------------------------------------ whole runs


def short(name):
    """An entry of Arrhythmia that a few epochs move, and that is searched by few steps."""
    changes = {"anogan": {"search_steps": 5, "learning_rate": 1e-3, "ema_decay": 0.5}}
    changes["dsebm"] = {"learning_rate": 1e-2}
    return dataclasses.replace(zoo.entry(f"arrhythmia_{name}"), **changes.get(name, {}))


@pytest.mark.parametrize("method", sorted(MAKE))
def test_a_run_writes_the_same_result_as_alads(method, data_dir, tmp_path):
    entry = short(method)
    settings = Settings(seed=2, epochs=4) if hasattr(entry, "epochs") else Settings(seed=2)
    result, folder = runs.train(
        entry, settings, tmp_path / "run", tmp_path / "results", data_dir=data_dir
    )
    variant = settings.variant
    path = tmp_path / "results" / entry.name / variant / "seed2.json"
    written = json.loads(path.read_text())
    assert tuple(written) == FIELDS
    assert written["metrics"] == result["metrics"]
    assert set(written["metrics"]) == set(entry.score_names)
    assert written["protocol"]["train_rows"] == 192 and written["protocol"]["test_rows"] == 226
    if hasattr(entry, "epochs"):
        assert set(written["untrained"]) == set(entry.score_names)
        assert written["untrained"] != written["metrics"]
        assert written["steps"] == 4 * (192 // entry.batch_size)
        assert (folder / "loss_curves.png").is_file()
    else:
        assert written["untrained"] == {} and written["steps"] == 0
    measured, _ = runs.evaluate_run(folder, entry, data_dir)
    if method != "anogan":
        assert measured == written["metrics"]
        assert zoo.load(entry.name, weights=folder).score == entry.score
    assert (folder / "roc.png").is_file() and (folder / "score_histogram.png").is_file()


def test_a_run_that_was_stopped_and_resumed_is_the_unbroken_one(data_dir, tmp_path):
    entry, results = short("dagmm"), tmp_path / "results"

    def train(out, epochs, **options):
        options = {"checkpoint_every": 0, "data_dir": data_dir, **options}
        settings = Settings(seed=3, epochs=epochs)
        return runs.train(entry, settings, tmp_path / out, results, **options)[0]

    class Stop(RuntimeError):
        pass

    def stop(self, epoch, logs=None):
        on_epoch_end(self, epoch, logs)
        if epoch == 2:
            raise Stop

    whole = train("whole", 6)
    from alad_tf.engine.callbacks import Checkpoint

    on_epoch_end = Checkpoint.on_epoch_end
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "on_epoch_end", stop)
        with pytest.raises(Stop):
            train("broken", 6)
    assert not (tmp_path / "broken" / "detector").exists()
    assert train("broken", 6, resume=True)["metrics"] == whole["metrics"]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("arrhythmia_dagmm", {"spectral_norm": False}, "has no such setting; it has contaminated"),
        ("arrhythmia_iforest", {"epochs": 5}, "received epochs=5 for arrhythmia_iforest"),
        ("arrhythmia_dsebm", {"normal_class": 1}, "whose samples are not images"),
        ("kdd99_anogan", {"stopping": "best"}, "received stopping='best' for kdd99_anogan"),
    ],
)
def test_settings_that_a_method_does_not_have_are_refused(name, settings, message):
    with pytest.raises(ValueError, match=message):
        Settings(**settings).resolve(zoo.entry(name))


def test_a_baseline_has_no_fresh_detector_and_names_its_training():
    with pytest.raises(ValueError, match="kdd99_dagmm, which cannot score before it is fitted"):
        zoo.load("kdd99_dagmm", weights=None)
    with pytest.raises(ValueError, match="Train them with `alad train kdd99_dagmm`"):
        zoo.load("kdd99_dagmm")
