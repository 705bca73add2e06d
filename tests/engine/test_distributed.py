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

from alad_tf.engine.distributed import make_strategy

TESTS = Path(__file__).parents[1]

# A process by itself, since devices are set before TensorFlow starts. It prints the losses.
CHILD = """
import contextlib, json, sys
import tensorflow as tf
devices, strategy, epochs = int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
cpu = tf.config.list_physical_devices("CPU")[0]
logical = [tf.config.LogicalDeviceConfiguration()] * devices
tf.config.set_logical_device_configuration(cpu, logical)
from tiny import tiny_data, tiny_model
from alad_tf.engine.distributed import make_strategy
from alad_tf.model.scorer import Scorer
shared = make_strategy(strategy)
with shared.scope():
    model = tiny_model(3)
x = tiny_data(70)
batches = tf.data.Dataset.from_tensor_slices(x[:10]).batch(4)
history, done = {}, 0
for last in epochs:  # a training, and its continuations
    more = {"initial_epoch": done, "validation_data": batches}
    found = model.fit(x, batch_size=32, epochs=last, verbose=0, **more).history
    history, done = {name: history.get(name, []) + found[name] for name in found}, last
for rows, scope in ((33, contextlib.nullcontext()), (32, shared.scope())):
    try:
        if shared.num_replicas_in_sync == 2:
            with scope:
                model.fit(x, batch_size=rows, epochs=4, initial_epoch=3)
            raise SystemExit("an error was expected")
    except ValueError as error:
        refused = ("batch_size=33, which cannot be divided", "call fit outside it")
        assert any(words in str(error) for words in refused), error
scores = Scorer.from_alad(model).scores(x)["features"]
told = {"replicas": shared.num_replicas_in_sync, "history": history}
told |= {"step": int(model.step.numpy()), "scores": scores.tolist()}
print("told", json.dumps(told))
"""


def _start(devices, strategy, epochs, **environment):
    command = [sys.executable, "-c", CHILD, str(devices), strategy, json.dumps(epochs)]
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

    from alad_tf.model.scorer import Scorer

    model, x = tiny_model(3), tiny_data(70)
    batches = tf.data.Dataset.from_tensor_slices(x[:10]).batch(4)
    history = model.fit(x, batch_size=32, epochs=3, validation_data=batches, verbose=0).history
    return history, Scorer.from_alad(model).scores(x)["features"]


def _agree(found, alone, replicas):
    history, scores = alone
    assert (found["replicas"], found["step"]) == (replicas, 6)
    assert set(found["history"]) == set(history)
    for name, losses in found["history"].items():
        np.testing.assert_allclose(losses, history[name], rtol=1e-4, err_msg=name)
    np.testing.assert_allclose(found["scores"], scores, rtol=1e-2)


def test_two_replicas_have_the_losses_of_one_device_also_resumed(alone):
    """One epoch, then two more: on two devices all is as in one unbroken training on one."""
    _agree(_told(_start(2, "mirrored", [1, 3])), alone, 2)


@pytest.mark.slow
def test_a_strategy_of_one_device_trains_as_none(alone):
    _agree(_told(_start(1, "mirrored", [3])), alone, 1)


@pytest.mark.slow
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
        started.append(_start(1, "multiworker", [3], TF_CONFIG=config))
    for process in started:
        _agree(_told(process), alone, 2)


@pytest.mark.slow
def test_the_command_trains_on_two_devices(tmp_path):
    """A run as any other: detector, history, result; the same epochs as on one device."""
    import zoo
    from alad_tf.experiments import run
    from alad_tf.experiments.settings import Settings

    code = """
import sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
sys.argv = ["alad", "train", "breast_cancer_alad", "--epochs", "2", *sys.argv[1:]]
from alad_tf.cli import main
main()
"""
    words = ["--strategy", "mirrored"]
    words += ["--out", str(tmp_path / "two"), "--results", str(tmp_path / "results")]
    command = subprocess.Popen([sys.executable, "-c", code, *words], stderr=subprocess.PIPE)
    entry = zoo.entry("breast_cancer_alad")
    expected, _ = run.train(entry, Settings(epochs=2), tmp_path / "one", tmp_path / "one_results")
    _, errors = command.communicate(timeout=300)
    assert command.returncode == 0, errors[-2000:]
    (path,) = (tmp_path / "results").rglob("seed0.json")
    result = json.loads(path.read_text())
    losses = [
        [epoch["loss"] for epoch in json.loads((tmp_path / name / "history.json").read_text())]
        for name in ("one", "two")
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3) and len(losses[0]) == 2
    auroc = [found["metrics"]["features"]["auroc"] for found in (expected, result)]
    assert auroc[1] == pytest.approx(auroc[0], abs=0.01)


def test_what_cannot_be_shared_is_refused(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match="needs TF_CONFIG in every worker's environment"):
        make_strategy("multiworker")
    with pytest.raises(ValueError, match="received the strategy 'tpu'"):
        make_strategy("tpu")
    import zoo
    from alad_tf.experiments import run

    with pytest.raises(
        ValueError, match="breast_cancer|for kdd99_iforest, whose method is iforest"
    ):
        run.train(zoo.entry("kdd99_iforest"), strategy="mirrored")
