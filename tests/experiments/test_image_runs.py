"""Runs on images: SVHN's format end to end, an interrupted run, stopping rules, pictures."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import zoo
from alad_tf.data import load, split
from alad_tf.experiments import run as runs
from alad_tf.experiments.errors import examples_path, read_examples
from alad_tf.experiments.publish import publish
from alad_tf.experiments.settings import Settings
from alad_tf.model.specs import conv, conv_transpose, dense, flatten, reshape
from zoo._presets import damaged

# Table IX's kinds of layers on 32x32 pictures, with few filters and no batch norm but E's and G's
SMALL = {
    "E": [conv(4, 4, 4, "lrelu", batch_norm=True), conv(6, 8, 1, padding="valid")],
    "G": [
        reshape(1, 1, 6),
        conv_transpose(4, 8, 1, "relu", batch_norm=True, padding="valid"),
        conv_transpose(3, 4, 4, "tanh"),
    ],
    "D_xz": {
        "x": [conv(4, 4, 4, "lrelu"), reshape(1, 1, 256)],
        "z": [reshape(1, 1, 6), conv(4, 1, 1, "lrelu", dropout=0.2)],
        "joint": [conv(4, 1, 1, "lrelu", dropout=0.2), conv(1, 1, 1)],
    },
    "D_xx": [conv(4, 5, 4, "lrelu", dropout=0.2), flatten(), dense(1)],
    "D_zz": [dense(4, "lrelu", dropout=0.2), dense(1)],
}


@pytest.fixture(scope="module")
def entry():
    """SVHN's entry with small networks; 42 training pictures make 5 steps an epoch."""
    small = dict(networks=SMALL, latent_dim=6, batch_size=8, epochs=4)
    return dataclasses.replace(zoo.entry("svhn_alad"), **small)


def train(entry, folder, svhn_dir, resume=False, **settings):
    settings = Settings(seed=5, normal_class="1", **settings)
    return runs.train(
        entry,
        settings,
        folder / "run",
        folder / "results",
        svhn_dir,
        resume=resume,
        checkpoint_every=0,
    )


@pytest.fixture(scope="module")
def whole(entry, small_svhn_dir, tmp_path_factory):
    return train(entry, tmp_path_factory.mktemp("whole"), small_svhn_dir)


def scorer_weights(folder):
    return [v.numpy() for v in zoo.load(folder).scorer.variables]


def test_a_run_states_its_class_and_the_protocols_rows(whole, small_svhn_dir):
    result, folder = whole
    assert (result["variant"], result["normal_class"], result["seed"]) == ("class1", 1, 5)
    labels = load("svhn_cropped", small_svhn_dir).labels
    part = split("svhn_cropped", labels != 1, seed=42)
    protocol = result["protocol"]
    assert protocol["train_rows"] == len(part.train) and protocol["train_anomalies"] == 0
    assert protocol["validation_rows"] == len(part.validation)
    assert protocol["test_rows"] == 288 // 5
    assert result["steps"] == 4 * (len(part.train) // 8)
    history = json.loads((folder / "history.json").read_text())
    assert len(history) == 4 and all(logs["val_score"] > 0 for logs in history)
    path = folder.parent / "results" / "svhn_alad" / "class1" / "history_seed5.json"
    for logs, exact in zip(json.loads(path.read_text()), history, strict=True):
        assert logs == pytest.approx(exact, abs=1e-5)


def test_a_run_draws_its_pictures(whole):
    _, folder = whole
    for name in ("loss_curves", "score_histogram", "roc", "reconstructions"):
        with Image.open(folder / f"{name}.png") as picture:
            assert min(picture.size) >= 400
            pixels = np.asarray(picture.convert("L"))
        assert pixels.std() > 5, f"{name} is blank"


def test_a_run_keeps_examples_for_the_report(whole, small_svhn_dir):
    """Four rows of pictures, equal to the test images and to what the detector makes of them."""
    result, folder = whole
    path = examples_path(folder.parent / "results", "svhn_alad", "class1", 5)
    rows, told = read_examples(path), json.loads(path.with_suffix(".json").read_text())
    detector, records = zoo.load(folder), load("svhn_cropped", small_svhn_dir)
    test = split("svhn_cropped", records.labels != 1, seed=42).test
    for place, kind in ((0, "normal"), (2, "anomalous")):
        few = [row for row in test if (records.labels[row] != 1) == (kind == "anomalous")]
        few = few[: rows.shape[1]]
        np.testing.assert_array_equal(rows[place], records.x[few])
        np.testing.assert_array_equal(rows[place + 1], detector.reconstruct(records.x[few]))
        scores = detector.anomaly_score(records.x[few])
        np.testing.assert_allclose(told[kind]["features"], scores, atol=6e-4)
    assert set(told["normal"]["classes"]) == {"1"}


def test_the_detector_takes_and_gives_uint8_pictures(whole, small_svhn_dir):
    detector = zoo.load(whole[1])
    images = load("svhn_cropped", small_svhn_dir).x[:5]
    made = detector.reconstruct(images)
    assert made.shape == images.shape and made.dtype == np.uint8
    scores = detector.anomaly_score(images)
    np.testing.assert_array_equal(detector.anomaly_score(images[2:4]), scores[2:4])
    np.testing.assert_allclose(detector.anomaly_score(images[2:3]), scores[2:3], rtol=1e-5)
    with pytest.raises(ValueError, match="uint8"):
        detector.anomaly_score(images / 255.0)


def test_an_interrupted_run_ends_with_the_same_detector(
    entry, whole, small_svhn_dir, tmp_path, monkeypatch
):
    def interrupt(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runs.TrainingProgress, "on_epoch_end", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(entry, tmp_path, small_svhn_dir)
    assert not (tmp_path / "results").exists()
    result, folder = train(entry, tmp_path, small_svhn_dir, resume=True)
    for ours, theirs in zip(scorer_weights(folder), scorer_weights(whole[1]), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert result["metrics"] == whole[0]["metrics"]


def test_a_run_becomes_a_preset_within_the_bounds(whole, small_svhn_dir, tmp_path):
    _, folder = whole
    registry = tmp_path / "registry.json"
    weights, dtype, moved = publish(folder, small_svhn_dir, tmp_path / "weights", registry)
    assert weights == tmp_path / "weights" / "svhn_alad" / "class1"
    before, after = zoo.load(folder), zoo.load(weights)
    images = load("svhn_cropped", small_svhn_dir).x
    for score, values in before.scores(images).items():
        np.testing.assert_allclose(after.scores(images)[score], values, rtol=2e-2)
    assert moved["score"] <= 1e-2 and moved["auroc"] <= 5e-4
    assert dtype == "int8"  # where nothing large is rounded, nothing moves
    assert after.metadata["rounding"] == {"weights": dtype, **moved}
    (files,) = json.loads(registry.read_text())["presets"]["svhn_alad"].values()
    assert damaged(weights, files) == "" and set(files) == {"config.json", "scorer.weights.h5"}
    held_out = split("svhn_cropped", load("svhn_cropped", small_svhn_dir, 1).is_anomaly).validation
    # eight rows vouch for a budget of 1/9, which flags what is beyond them all
    assert not after.predict(images[held_out]).any()
    assert after.p_value(images[held_out]).min() == pytest.approx(2 / 9)


def test_the_stopping_rule_and_the_axis_are_part_of_the_run(entry, small_svhn_dir, tmp_path):
    options = dict(stopping="best", patience=1, pair_axis="channels", epochs=3)
    result, folder = train(entry, tmp_path, small_svhn_dir, **options)
    assert result["variant"] == "class1_channels_stop_best_patience1_epochs3"
    history = json.loads((folder / "history.json").read_text())
    scores = [logs["val_score"] for logs in history]
    assert result["config"]["kept_epoch"] == 1 + int(np.argmin(scores))
    assert (
        result["config"]["pair_axis"] == zoo.load(folder).scorer.architecture()["pair_axis"] == -1
    )
    # the kept weights are those of that epoch: they give its validation score again
    records = load("svhn_cropped", small_svhn_dir, 1)
    held_out = records.take(split("svhn_cropped", records.is_anomaly, seed=42).validation)
    again = zoo.load(folder).anomaly_score(held_out.x).mean()
    assert again == pytest.approx(min(scores), rel=1e-4)


@pytest.mark.slow
@pytest.mark.xla
def test_the_command_line_runs_svhn_with_table_ix(small_svhn_dir, tmp_path):
    code = "from alad_tf.cli import main; main()"
    options = ["--normal-class", "1", "--epochs", "2", "--data-dir", small_svhn_dir]
    paths = ["--out", tmp_path / "run", "--results", tmp_path / "results"]
    command = [sys.executable, "-c", code, "train", "svhn_alad", *map(str, options + paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    path = tmp_path / "results" / "svhn_alad" / "class1_epochs2" / "seed0.json"
    result = json.loads(path.read_text())
    assert result["steps"] == 2 and result["config"]["batch_size"] == 32
    assert (tmp_path / "run" / "reconstructions.png").is_file()
