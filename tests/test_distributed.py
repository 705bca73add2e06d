"""Replicas: the losses of one device, on two logical CPUs and in two processes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny import tiny_data, tiny_model

from alad_tf.distributed import make_strategy

TESTS = Path(__file__).parent

# A process by itself, since devices are set before TensorFlow starts. It prints the losses.
CHILD = """
import json, sys
import tensorflow as tf
devices, strategy, rule = int(sys.argv[1]), sys.argv[2], sys.argv[3]
cpu = tf.config.list_physical_devices("CPU")[0]
logical = [tf.config.LogicalDeviceConfiguration()] * devices
tf.config.set_logical_device_configuration(cpu, logical)
from tiny import tiny_data, tiny_model
from alad_tf.distributed import fit_distributed, make_strategy
from alad_tf.scorer import Scorer
shared = make_strategy(strategy)
with shared.scope():
    model = tiny_model(3, jit_compile=False)
x = tiny_data(70)
if rule == "resumed":
    fit_distributed(model, shared, x, 32, epochs=1)
    history = fit_distributed(model, shared, x, 32, epochs=3, initial_epoch=1).history
else:
    batches = tf.data.Dataset.from_tensor_slices(x[:10]).batch(4)
    history = fit_distributed(model, shared, x, 32, epochs=3, validation_data=batches).history
scores = Scorer.from_alad(model).scores(x)["features"]
told = {"replicas": shared.num_replicas_in_sync, "history": history}
told |= {"step": int(model.step.numpy()), "scores": scores.tolist()}
print("told", json.dumps(told))
"""


def _start(devices, strategy, rule="whole", **environment):
    command = [sys.executable, "-c", CHILD, str(devices), strategy, rule]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=TESTS,
        env={**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent}", **environment},
    )


def _told(process):
    printed, errors = process.communicate(timeout=300)
    lines = [line for line in printed.splitlines() if line.startswith("told ")]
    assert process.returncode == 0 and lines, errors[-2000:]
    return json.loads(lines[-1][5:])


@pytest.fixture(scope="module")
def alone():
    """What `fit` makes of the same batches on one device, compiled: losses, scores."""
    import tensorflow as tf

    from alad_tf.scorer import Scorer

    model, x = tiny_model(3), tiny_data(70)
    batches = tf.data.Dataset.from_tensor_slices(x[:10]).batch(4)
    history = model.fit(x, batch_size=32, epochs=3, validation_data=batches, verbose=0).history
    return history, Scorer.from_alad(model).scores(x)["features"]


def _agree(found, alone, replicas):
    history, scores = alone
    assert (found["replicas"], found["step"]) == (replicas, 6)
    for name, losses in found["history"].items():
        np.testing.assert_allclose(losses, history[name][-len(losses) :], rtol=1e-4, err_msg=name)
    np.testing.assert_allclose(found["scores"], scores, rtol=1e-2)


@pytest.mark.parametrize("devices", [1, 2])
def test_mirrored_replicas_have_the_losses_of_one_device(alone, devices):
    found = _told(_start(devices, "mirrored"))
    assert set(found["history"]) == set(alone[0])
    _agree(found, alone, devices)


def test_a_resumed_training_is_the_same(alone):
    _agree(_told(_start(2, "mirrored", "resumed")), alone, 2)


def test_two_processes_have_the_losses_of_one(alone):
    """Two workers on this machine, each with the same rows, each with half of every batch."""
    places = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    workers = [f"127.0.0.1:{place.getsockname()[1]}" for place in places]
    for place in places:
        place.close()
    started = []
    for index in range(2):
        task = {"type": "worker", "index": index}
        config = json.dumps({"cluster": {"worker": workers}, "task": task})
        started.append(_start(1, "multiworker", TF_CONFIG=config))
    for process in started:
        _agree(_told(process), alone, 2)


def test_the_command_trains_on_two_devices(tmp_path):
    """A run as any other: detector, history, result; the same epochs as on one device."""
    code = """
import sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
sys.argv = ["alad", "train", "breast_cancer_alad", "--epochs", "2", *sys.argv[1:]]
from alad_tf.cli import main
main()
"""
    metrics = {}
    for name, options in (("one", []), ("two", ["--strategy", "mirrored"])):
        words = ["--out", str(tmp_path / name), "--results", str(tmp_path / f"{name}_results")]
        subprocess.run(
            [sys.executable, "-c", code, *words, *options], check=True, capture_output=True
        )
        (path,) = (tmp_path / f"{name}_results").rglob("seed0.json")
        metrics[name] = json.loads(path.read_text())["metrics"]["features"]
        history = json.loads((tmp_path / name / "history.json").read_text())
        metrics[name]["loss"] = history[-1]["loss"]
    assert metrics["one"]["loss"] == pytest.approx(metrics["two"]["loss"], rel=1e-3)
    assert metrics["one"]["auroc"] == pytest.approx(metrics["two"]["auroc"], abs=0.01)


def test_what_cannot_be_shared_is_refused(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match="needs TF_CONFIG in every worker's environment"):
        make_strategy("multiworker")
    with pytest.raises(ValueError, match="Unknown strategy 'tpu'"):
        make_strategy("tpu")
    import zoo
    from alad_tf import runs

    with pytest.raises(ValueError, match="breast_cancer|kdd99_iforest is iforest"):
        runs.train(zoo.entry("kdd99_iforest"), strategy="mirrored")
