"""Short runs of the real configurations on the real data: the protocol's rows, end to end."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import zoo
from alad_tf.cli.commands import app
from alad_tf.detector.detector import Detector
from alad_tf.detector.threshold import Threshold
from alad_tf.experiments import run as runs
from alad_tf.experiments.results import result_path, write_result
from alad_tf.experiments.settings import Settings, prepare
from alad_tf.model.scorer import Scorer


@pytest.mark.parametrize(("contaminated", "train_rows"), [(False, 192), (True, 226)])
def test_arrhythmia_run_has_the_papers_rows(data_dir, tmp_path, contaminated, train_rows):
    settings = Settings(epochs=1, contaminated=contaminated)
    paths = dict(out=tmp_path / "run", results_dir=tmp_path / "results", data_dir=data_dir)
    result, folder = runs.train(zoo.entry("arrhythmia_alad"), settings, **paths)
    protocol = result["protocol"]
    assert protocol["train_rows"] == train_rows
    assert protocol["train_anomalies"] == (34 if contaminated else 0)
    assert protocol["test_rows"] == 226
    assert protocol["test_anomaly_rate"] == pytest.approx(32 / 226)
    assert result["steps"] == train_rows // 32
    # 34 flagged rows and 32 anomalies tie precision to recall, as in the paper's 17/34 and 17/32
    for values in result["metrics"].values():
        assert values["precision"] * 34 == pytest.approx(values["recall"] * 32)
    again, flagged = runs.evaluate_run(folder, zoo.entry("arrhythmia_alad"), data_dir)
    assert again == result["metrics"]
    assert sum(row["test_rows"] for row in flagged) == 226
    assert sum(row["train_rows"] for row in flagged) == train_rows
    assert {sum(row["flagged"][name] for row in flagged) for name in again} == {34}
    anomalous = [row for row in flagged if row["label"] in (3, 4, 5, 7, 8, 9, 14, 15)]
    hits = sum(row["flagged"]["features"] for row in anomalous)
    assert hits / 34 == pytest.approx(again["features"]["precision"])


def test_a_run_is_scored_again_after_a_fault_in_scoring(data_dir, tmp_path):
    entry, results = zoo.entry("arrhythmia_alad"), tmp_path / "results"
    out = tmp_path / "run"
    trained, _ = runs.train(entry, Settings(epochs=1), out, results, data_dir=data_dir)
    wrong = {name: dict.fromkeys(values, 0.5) for name, values in trained["metrics"].items()}
    write_result(results, {**trained, "metrics": wrong, "untrained": wrong})
    detector = Detector.load(out / "detector")
    threshold = detector.threshold
    detector.set_threshold(Threshold(threshold + 1, "wrong"))
    detector.save(out / "detector")
    (out / "roc.png").unlink()
    command = ["evaluate", out, "--rewrite", "--results", results, "--data-dir", data_dir]
    done = CliRunner().invoke(app, list(map(str, command)))
    assert done.exit_code == 0, done.output
    written = json.loads(result_path(results, entry.name, trained["variant"], 0).read_text())
    assert written.pop("scored")["hardware"] == trained["hardware"]
    assert written == json.loads(json.dumps(trained))
    assert Detector.load(out / "detector").threshold == threshold
    assert (out / "roc.png").is_file()


@pytest.mark.slow
@pytest.mark.xla
def test_kdd99_raw_records_go_through_the_real_networks(kdd99, data_dir, tmp_path):
    entry = zoo.entry("kdd99_alad")
    data = prepare(entry, data_dir=data_dir)
    x_train = data.transformed("train")
    assert x_train.shape == (198361, 121)
    assert len(data.split.test) == 247011
    assert kdd99.is_anomaly[data.split.test].sum() == 48629
    assert x_train.min() >= 0 and x_train.max() > 1e6  # bytes, as they are
    model = entry.build(seed=0)
    model.fit(x_train[:200], batch_size=entry.batch_size, epochs=1, verbose=0)
    detector = Detector(data.preprocessor, Scorer.from_alad(model))
    raw = kdd99.take(data.split.test[:100]).x
    scores = detector.anomaly_score(raw)
    loaded = Detector.load(detector.save(tmp_path / "detector"))
    np.testing.assert_array_equal(loaded.anomaly_score(raw), scores)
    alone = {name: values[7:8] for name, values in raw.items()}
    np.testing.assert_allclose(detector.anomaly_score(alone), scores[7:8], rtol=1e-5)
    raw = {name: values.copy() for name, values in raw.items()}
    raw["service"][3] = "gopher2"
    with pytest.warns(UserWarning, match="gopher2"):
        changed = loaded.anomaly_score(raw)
    assert np.isfinite(changed).all() and (changed != scores).sum() <= 1
