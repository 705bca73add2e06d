"""Files of forests and SVMs that were damaged or made up: refused before C code walks them."""

import json
import zipfile

import numpy as np
import pytest
import skops.io

from alad_tf import baselines
from alad_tf.baselines import IsolationForest, OneClassSVM
from alad_tf.baselines.classical import STATE, TREE
from alad_tf.engine.files import write_manifest

ROWS = np.random.default_rng(0).normal(size=(60, 3)).astype("float32")


@pytest.fixture
def forest(tmp_path):
    return IsolationForest().fit(ROWS).save(tmp_path / "forest")


@pytest.fixture
def svm(tmp_path):
    return OneClassSVM(0.2).fit(ROWS).save(tmp_path / "svm")


def edit(folder, change):
    estimator = skops.io.load(folder / STATE, trusted=[TREE])
    change(estimator)
    skops.io.dump(estimator, folder / STATE)
    write_manifest(folder)


def first(forest):
    return forest.estimators_[0].tree_


def inner(tree):
    return int(np.flatnonzero(tree.children_left != -1)[-1])


def assign(array, place, value):
    array[place] = value


def shorter(forest):
    paths = forest._decision_path_lengths
    forest._decision_path_lengths = (paths[0][:2], *paths[1:])


FORESTS = {
    "a node of its own": lambda f: assign(first(f).children_left, 0, 0),
    "a way back": lambda f: assign(first(f).children_right, inner(first(f)), 0),
    "a node beyond": lambda f: assign(first(f).children_left, 0, 10**6),
    "half a leaf": lambda f: assign(first(f).children_right, 0, -1),
    "a negative node": lambda f: assign(first(f).children_left, 0, -7),
    "a feature beyond": lambda f: assign(first(f).feature, 0, 3),
    "a feature below": lambda f: assign(first(f).feature, 0, -1),
    "a column beyond": lambda f: assign(f.estimators_features_[0], 0, 9),
    "fewer trees": lambda f: f.estimators_.pop(),
    "no trees": lambda f: f.estimators_.clear(),
    "other features": lambda f: setattr(f, "n_features_in_", 4),
    "parts of the features": lambda f: setattr(f, "_max_features", 2),
    "a short table": shorter,
}


@pytest.mark.parametrize("name", FORESTS)
def test_a_forest_that_leads_astray_is_refused(forest, name):
    edit(forest, FORESTS[name])
    with pytest.raises(ValueError, match="scorer.skops does not contain an IsolationForest"):
        baselines.load(forest)


SVMS = {
    "fewer indices": lambda s: setattr(s, "support_", s.support_[:2]),
    "fewer weights": lambda s: setattr(s, "_dual_coef_", s._dual_coef_[:, :2]),
    "another count": lambda s: assign(s._n_support, 0, 10**6),
    "another kernel": lambda s: setattr(s, "kernel", "precomputed"),
    "NaN": lambda s: assign(s._dual_coef_, (0, 0), np.nan),
    "narrow vectors": lambda s: setattr(s, "support_vectors_", s.support_vectors_[:, :2]),
}


@pytest.mark.parametrize("name", SVMS)
def test_an_svm_whose_arrays_do_not_fit_is_refused(svm, name):
    edit(svm, SVMS[name])
    with pytest.raises(ValueError, match="scorer.skops does not contain an OneClassSVM"):
        baselines.load(svm)


def rewrite(folder, change, compression=zipfile.ZIP_STORED):
    """Change schema.json in the file."""
    with zipfile.ZipFile(folder / STATE) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    schema = json.loads(parts["schema.json"])
    schema = change(schema) or schema
    parts["schema.json"] = json.dumps(schema).encode()
    with zipfile.ZipFile(folder / STATE, "w", compression) as file:
        for name, content in parts.items():
            file.writestr(name, content)
    write_manifest(folder)


def tree_of(part):
    if isinstance(part, dict) and "__reduce__" in part:
        return part
    parts = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return next((found for found in map(tree_of, parts) if found), None)


def many_outputs(schema):
    tree_of(schema)["__reduce__"]["args"]["content"][2]["content"] = "100000000"


def one_number_twice(schema):
    """The tree's outputs under the number of another value, which would stand for them."""
    size = schema["content"]["content"]["n_estimators"]
    tree_of(schema)["__reduce__"]["args"]["content"][2] |= {"__id__": size["__id__"]}


def deep(schema):
    tree_of(schema)["content"]["content"]["max_depth"] |= {"content": "1000000000", "__id__": 1}


@pytest.mark.parametrize(
    "change",
    [
        many_outputs,
        one_number_twice,
        deep,
        lambda schema: [1],
        lambda schema: {**schema, "__class__": "Popen", "__module__": "subprocess"},
        lambda schema: {**schema, "__loader__": "Nothing"},
    ],
)
def test_a_made_up_schema_is_refused(forest, change):
    rewrite(forest, change)
    with pytest.raises(ValueError, match="scorer.skops does not contain an IsolationForest"):
        baselines.load(forest)


def test_a_compressed_file_and_cut_ones_are_refused(forest):
    whole = (forest / STATE).read_bytes()
    rewrite(forest, lambda schema: None, zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="it is compressed"):
        baselines.load(forest)
    for cut in (0, 100, -1, -100):
        (forest / STATE).write_bytes(whole[:cut])
        write_manifest(forest)
        with pytest.raises(ValueError, match="scorer.skops does not contain an IsolationForest"):
            baselines.load(forest)


def test_one_estimator_is_not_another(forest, svm):
    (svm / STATE).write_bytes((forest / STATE).read_bytes())
    write_manifest(svm)
    with pytest.raises(ValueError, match="it contains an IsolationForest"):
        baselines.load(svm)
