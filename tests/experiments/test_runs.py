"""Whole runs through the command line: same bits twice, killed and resumed, evaluated again."""

import json
import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from test_export import alad

from alad_tf.experiments.results import FIELDS

EPOCHS = 40
ENTRY = "breast_cancer_alad"


def command(*arguments):
    """The console script's entry point, run by this interpreter."""
    code = "from alad_tf.cli import main; main()"
    return [sys.executable, "-c", code, *map(str, arguments)]


def train(folder, *extra):
    options = ("--epochs", EPOCHS, "--checkpoint-every", 0, "--seed", 3)
    paths = ("--out", folder / "run", "--results", folder / "results")
    return command("train", ENTRY, *options, *paths, *extra)


def run(arguments, expect=0, env=None):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300, env=env)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def checkpoints(folder):
    return sorted((folder / "run" / "checkpoints").glob("epoch-*"))


def saved_weights(folder):
    """Everything in the last checkpoint: networks, averages, optimizers, step count."""
    (path,) = checkpoints(folder)
    assert path.name == f"epoch-{EPOCHS:06d}"
    arrays = {}
    with h5py.File(path / "model.weights.h5") as file:
        file.visititems(
            lambda name, item: arrays.update({name: item[()]} if hasattr(item, "dtype") else {})
        )
    assert len(arrays) > 100
    return arrays


@pytest.fixture(scope="module")
def compiled_once(tmp_path_factory):
    """An environment whose processes take what the first of them compiled from a folder.

    Loading a program takes a third of what compiling it takes, and gives the same bits; that
    another process also compiles the same program is
    `test_the_same_seed_gives_the_same_run_in_another_process`.
    """
    folder = tmp_path_factory.mktemp("compiled")
    flags = f"--tf_xla_persistent_cache_directory={folder}"
    flags += " --tf_xla_persistent_cache_device_types=CPU"
    return {**os.environ, "TF_XLA_FLAGS": f"{os.environ.get('TF_XLA_FLAGS', '')} {flags}"}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, compiled_once):
    folder = tmp_path_factory.mktemp("uninterrupted")
    run(train(folder), env=compiled_once)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    status, told = alad(*train(folder)[3:])
    assert status == 0, told
    return folder


def assert_same_weights(first, second):
    first, second = saved_weights(first), saved_weights(second)
    assert set(first) == set(second)
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)


def interrupt(folder, epoch, how, env, *extra):
    """Start a training, signal it once a checkpoint of `epoch` or later is there."""
    process = subprocess.Popen(
        train(folder, *extra), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
    )
    deadline = time.monotonic() + 200
    while not any(path.name >= f"epoch-{epoch:06d}" for path in checkpoints(folder)):
        assert process.poll() is None, "the training ended before it could be stopped"
        assert time.monotonic() < deadline, "no checkpoint within 200 s"
        time.sleep(0.01)
    os.kill(process.pid, how)
    _, text = process.communicate(timeout=60)
    assert checkpoints(folder)[-1].name < f"epoch-{EPOCHS:06d}"
    assert not (folder / "results").exists()
    return process.returncode, text.decode()


@pytest.mark.slow
@pytest.mark.xla
def test_interrupted_killed_and_resumed_ends_with_the_same_weights(
    uninterrupted, compiled_once, tmp_path
):
    code, text = interrupt(tmp_path, 5, signal.SIGINT, compiled_once)
    assert code == 130 and "Run the command again with --resume" in text
    code, _ = interrupt(tmp_path, 20, signal.SIGKILL, compiled_once, "--resume")
    assert code == -signal.SIGKILL
    run(train(tmp_path, "--resume"), env=compiled_once)
    assert_same_weights(uninterrupted, tmp_path)
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert len(history) == EPOCHS


@pytest.mark.slow
@pytest.mark.xla
def test_the_same_seed_gives_the_same_run_in_another_process(uninterrupted, tmp_path):
    run(train(tmp_path))
    assert_same_weights(uninterrupted, tmp_path)
    first, second = (result(folder) for folder in (uninterrupted, tmp_path))
    assert first["metrics"] == second["metrics"]


def result(folder):
    return json.loads((folder / "results" / ENTRY / f"epochs{EPOCHS}" / "seed3.json").read_text())


def test_the_result_holds_the_run(finished):
    got = result(finished)
    assert tuple(got) == FIELDS
    assert (got["entry"], got["variant"], got["seed"]) == (ENTRY, f"epochs{EPOCHS}", 3)
    assert got["protocol"]["train_rows"] == 143
    assert got["protocol"]["test_rows"] == 391
    assert got["protocol"]["test_anomaly_rate"] == pytest.approx(212 / 391)
    assert got["steps"] == EPOCHS * (143 // got["config"]["batch_size"])
    assert got["epochs"] == EPOCHS
    assert set(got["metrics"]) == set(got["untrained"]) == {"features", "l1", "l2", "logits"}
    assert got["metrics"]["features"] != got["untrained"]["features"]
    assert got["wall_s"] > 0


def test_evaluate_repeats_the_metrics(finished):
    status, text = alad("evaluate", finished / "run")
    assert status == 0
    for value in result(finished)["metrics"]["features"].values():
        assert f"{value:.4f}" in text


def test_a_run_is_not_overwritten_and_settings_must_agree(finished):
    text = run(train(finished), expect=1)
    assert "already contains a run. Add --resume" in text and "Traceback" not in text
    status, text = alad(*train(finished, "--resume", "--no-spectral-norm")[3:])
    assert status == 1 and "spectral_norm: saved True, now False" in text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("train", "kdd99_alad", "--data-dir", "/nowhere"), "kddcup.data_10_percent.gz"),
        (("train", "arrhythmia_alad", "--data-dir", "/nowhere"), "arrhythmia.data"),
        (("describe", "kdd_alad"), "closest: 'kdd99_alad'"),
        (("evaluate", "/nowhere"), "There is no run in /nowhere"),
        (("train", ENTRY, "--contaminated"), "contaminated"),
        (("train", ENTRY, "--normal-class", "1"), "whose samples are not images"),
        (("train", "cifar10_alad", "--normal-class", "car"), "'1 automobile'"),
        (("train", "cifar10_alad", "--data-dir", "/nowhere"), "does not contain cifar10"),
        (("train", "kdd99_ocsvm", "--epochs", "3"), "has no such setting"),
    ],
)
def test_bad_requests_get_one_clear_line(arguments, expected, tmp_path, monkeypatch):
    """Here, where nothing is imported again; the test above has a process say so."""
    monkeypatch.chdir(tmp_path)
    status, told = alad(*arguments)
    wrong_option = ("--normal-class", "--epochs")  # of these the value is wrong, not the data
    assert status == (2 if arguments[-2] in wrong_option else 1)
    assert expected in told and "Traceback" not in told
    assert not list(tmp_path.rglob("*.json"))
