"""Saved detectors that were damaged or edited: each ends in one ValueError that names the file.

Nothing is allocated for sizes that the files do not fill.
"""

import json
import random
import shutil
import time

import h5py
import numpy as np
import pytest

import zoo
from alad_tf import Detector
from alad_tf.engine.files import adding_to, write_manifest

NAME = "breast_cancer_alad"


@pytest.fixture
def folder(tmp_path):
    return zoo.load(NAME).save(tmp_path / "detector")


def edit(folder, change):
    """Change the config, as its owner or an earlier version would have written it."""
    config = json.loads((folder / "config.json").read_text())
    config = change(config) or config
    (folder / "config.json").write_text(json.dumps(config))
    write_manifest(folder)


def layer(config):
    return config["scorer"]["networks"]["E"][0]


def part(config, *path, **values):
    for name in path:
        config = config[name]
    config.update(values)


CONFIGS = {
    "a list": (lambda c: [1], "the whole: .*; received .1."),
    "no scorer": (lambda c: {k: v for k, v in c.items() if k != "scorer"}, "scorer: field req"),
    "networks as text": (lambda c: part(c, "scorer", networks="x"), "scorer.networks: "),
    "units as text": (lambda c: layer(c).update(units="64"), "networks.E.0.units: .*received '64'"),
    "units below 0": (lambda c: layer(c).update(units=-1), "networks.E.0.units: "),
    "no such operation": (lambda c: layer(c).update(op="eval"), "received the operation 'eval'"),
    "an unknown key": (lambda c: part(c, "scorer", evil=1), "evil"),
    "no shape": (lambda c: part(c, "scorer", x_shape=[]), "scorer.x_shape: "),
    "a preprocessor's list": (lambda c: c.update(preprocessor=[]), "preprocessor: "),
    "no such kind": (lambda c: part(c, "preprocessor", kind="vectors"), "closest: 'vector'"),
    "a shift of text": (lambda c: part(c, "preprocessor", shift=["1"]), "preprocessor.shift.0: "),
    "an infinite shift": (
        lambda c: part(c, "preprocessor", shift=[float("1e308") * 10] * 30),
        "Infinity is not JSON",
    ),
    "a shorter shift": (lambda c: part(c, "preprocessor", shift=[1.0]), "expected the same shape"),
    "medians of other columns": (
        lambda c: c.update(
            preprocessor={
                "kind": "mixed",
                "names": [f"x{i}" for i in range(30)],
                "vocabularies": {},
                "fill": [0.0],
                "gaps": [False] * 30,
                "shift": [0.0] * 30,
                "scale": [1.0] * 30,
            }
        ),
        "fill does not have a number",
    ),
    "nothing fitted": (
        lambda c: c.update(preprocessor={"kind": "vector", "scaling": "none"}),
        "does not describe a 'vector'",
    ),
    "other columns": (
        lambda c: part(c, "preprocessor", shift=[0.0] * 7, scale=[1.0] * 7, names=list("abcdefg")),
        r"samples of shape \(7,\), but its scorer takes \(30,\)",
    ),
    "no such method": (lambda c: c.update(method="alat"), "unknown method 'alat'"),
    "no such score": (lambda c: c.update(score="L1"), "received the score 'L1'"),
    "a threshold of text": (lambda c: c.update(threshold="1"), "threshold: "),
    "a threshold of NaN": (lambda c: c.update(threshold=float("nan")), "NaN is not JSON"),
    "a reference of NaN": (lambda c: c["reference"].append(float("nan")), "NaN is not JSON"),
    "a reference that falls": (lambda c: c["reference"].reverse(), "in ascending order"),
    "a number of many digits": (lambda c: part(c, "scorer", seed=10**400), "scorer.seed: "),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_wrong_config_is_named_with_its_key(folder, name):
    change, message = CONFIGS[name]
    edit(folder, change)
    with pytest.raises(ValueError, match=message) as error:
        Detector.load(folder)
    assert str(error.value).startswith(f"{folder / 'config.json'} ")


@pytest.mark.parametrize(
    "change",
    [
        lambda c: layer(c).update(units=10**9),
        lambda c: layer(c).update(units=50_000),
        lambda c: c["scorer"]["networks"]["G"].insert(1, {**layer(c), "units": 2**31 - 1}),
        lambda c: part(c, "scorer", latent_dim=10**9),
        lambda c: part(c, "scorer", x_shape=[10**8]),
        lambda c: part(c, "scorer", x_shape=[10**6, 10**6]),
        lambda c: part(c, "scorer", block=10**9),
        lambda c: c.update(
            method="alad_ensemble", scorer={"scorer": c["scorer"], "members": 1, "rows": 10**9}
        ),
        lambda c: c.update(
            method="alad_ensemble", scorer={"scorer": c["scorer"], "members": 10**9, "rows": 1}
        ),
    ],
)
def test_sizes_beyond_the_weights_are_refused_at_once(folder, change):
    edit(folder, change)
    begun = time.monotonic()
    with pytest.raises(ValueError, match="config.json does not describe"):
        Detector.load(folder)
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("name", ["config.json", "scorer.weights.h5"])
def test_no_flipped_bit_goes_unnoticed(folder, name):
    whole, generator = (folder / name).read_bytes(), random.Random(5)
    for _ in range(20):
        damaged = bytearray(whole)
        damaged[generator.randrange(len(whole))] ^= 1 << generator.randrange(8)
        (folder / name).write_bytes(damaged)
        with pytest.raises(ValueError, match=f"is damaged: {name} has sha256"):
            zoo.load(folder)


@pytest.mark.parametrize("cut", [0, 1, 100, 5000, -1])
def test_cut_weights_are_named_without_a_manifest_too(folder, cut):
    (folder / "sha256.json").unlink()
    path = folder / "scorer.weights.h5"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match="scorer.weights.h5 does not contain the weights"):
        Detector.load(folder)


@pytest.mark.parametrize("how", ["never written", "of another file", "another array"])
def test_arrays_that_are_not_there_are_refused(folder, how, tmp_path):
    path = folder / "scorer.weights.h5"
    with h5py.File(path, "a") as file:
        names = []
        file.visititems(lambda name, item: names.append((name, item)))
        name, array = next((n, i) for n, i in names if isinstance(i, h5py.Dataset))
        shape = array.shape
        del file[name]
        if how == "never written":
            file.create_dataset(name, (10**6, 10**6), "float32")
        elif how == "of another file":
            (tmp_path / "secret").write_bytes(b"\0" * 10**6)
            outside = [(str(tmp_path / "secret"), 0, h5py.h5f.UNLIMITED)]
            file.create_dataset(name, shape, "float32", external=outside)
        else:
            file.create_dataset(name, data=np.zeros(3, "float32"))
    write_manifest(folder)
    with pytest.raises(ValueError, match="scorer.weights.h5 does not contain the weights"):
        Detector.load(folder)


def test_a_folder_of_an_earlier_version_loads_with_the_same_scores(folder):
    x = np.random.default_rng(0).normal(size=(5, 30))
    scores = Detector.load(folder).anomaly_score(x)
    (folder / "sha256.json").unlink()
    np.testing.assert_array_equal(Detector.load(folder).anomaly_score(x), scores)
    shutil.copytree(folder, folder.with_name("copy"))
    np.testing.assert_array_equal(zoo.load(folder.with_name("copy")).anomaly_score(x), scores)


def test_a_report_may_be_edited_or_missing(folder):
    with adding_to(folder, "report") as report:
        (report / "report.md").write_text("fine")
        (report / "row_1.png").write_text("a picture")
    (folder / "report/report.md").write_text("with my notes")
    (folder / "report/row_1.png").unlink()
    assert Detector.load(folder).metadata["entry"] == NAME
    with pytest.raises(FileExistsError, match="report/report.md"):  # the notes are not lost
        Detector.load(folder).save(folder)
