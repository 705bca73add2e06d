"""The demo's outputs and the command line's read-only commands."""

import dataclasses
import json

import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner

import zoo
from alad_tf.cli import app
from alad_tf.cli.demo import run_demo
from alad_tf.data import load, split
from alad_tf.detector.detector import Detector
from alad_tf.plots.charts import roc, score_histogram

COMMANDS = sorted(get_command(app).commands)


def is_png(path, width, height):
    """A whole PNG of this size: signature, header, end chunk."""
    data = path.read_bytes()
    sides = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    return data[:8] == b"\x89PNG\r\n\x1a\n" and data[-8:-4] == b"IEND" and sides == (width, height)


def test_demo_compares_three_models_and_leaves_what_it_names(tmp_path):
    entry = dataclasses.replace(zoo.entry("breast_cancer_alad"), epochs=2)
    result = run_demo(entry, tmp_path / "demo")
    assert set(result["metrics"]) == {"ALAD", "untrained network", "Isolation Forest"}
    assert result["metrics"]["Isolation Forest"]["auroc"] > 0.9
    assert result["protocol"] == {"train": 143, "validation": 35, "test": 391, "anomalies": 212}
    files = result["files"]
    assert all(path.exists() for path in files.values())
    run_demo(entry, tmp_path / "demo")  # replaces what it wrote itself
    assert json.loads(files["metrics"].read_text()) == result["metrics"]
    assert is_png(files["score histogram"], 840, 504) and is_png(files["ROC curve"], 660, 600)
    # the saved detector is the one that was measured, and its threshold keeps its promise
    records = load("breast_cancer")
    rows = split("breast_cancer", records.is_anomaly)
    detector = Detector.load(files["detector"])
    held_out = records.take(rows.validation).x
    np.testing.assert_array_equal(detector.predict(held_out), detector.p_value(held_out) <= 0.05)
    assert not detector.predict(held_out).any()  # a budget of 5% of 35 + 1 leaves room for none
    found = detector.predict(records.take(rows.test).x)
    assert found[records.is_anomaly[rows.test]].mean() > 0.5


def test_pictures_take_extreme_and_constant_scores(tmp_path):
    labels = np.arange(50) % 5 == 0
    for k, scores in enumerate((np.ones(50), np.where(labels, 1e12, 1.0))):
        assert is_png(score_histogram(scores, labels, tmp_path / f"h{k}.png", 2.0), 840, 504)
        assert is_png(roc({"a": scores}, labels, tmp_path / f"r{k}.png"), 660, 600)
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("name", ["metrics.json", "score_histogram.png", "roc.png", "detector/x"])
def test_a_demo_replaces_nothing_of_others(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="not writ"):
        run_demo(zoo.entry("breast_cancer_alad"), tmp_path)  # before it trains
    assert path.read_text() == "mine" and len([p for p in tmp_path.rglob("*") if p.is_file()]) == 1


def test_list_names_every_entry():
    text = CliRunner().invoke(app, ["list"], env={"COLUMNS": "80"}).output
    assert all(name in text for name in zoo.list())


@pytest.mark.parametrize("command", COMMANDS)
def test_no_help_is_cut_off_on_a_narrow_screen(command):
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0 and "--help" in result.output
    assert "…" not in result.output


def test_describe_prints_the_description():
    """Of one entry; what the description of each holds is in `test_zoo`."""
    name = "breast_cancer_alad"
    result = CliRunner().invoke(app, ["describe", name], env={"COLUMNS": "5000"})
    assert result.exit_code == 0
    assert result.output.strip() == zoo.describe(name).strip()


def test_help_lists_the_commands():
    text = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "120"}).output
    assert all(word in text for word in ("list", "describe", "train", "evaluate", "report", "demo"))
