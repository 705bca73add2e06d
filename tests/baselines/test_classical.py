"""OC-SVM and isolation forest are scikit-learn's, and stay so through a file."""

import json
import zipfile

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest as SklearnForest
from sklearn.svm import OneClassSVM as SklearnSVM

from alad_tf.baselines import IsolationForest, OneClassSVM
from alad_tf.baselines.classical import STATE
from alad_tf.engine.files import MANIFEST


@pytest.fixture(scope="module")
def rows():
    generator = np.random.default_rng(0)
    normal = generator.standard_normal((300, 6)).astype("float32")
    return np.concatenate([normal, normal[:100], normal[:50]])  # repeated rows count more


@pytest.fixture(scope="module")
def others():
    return np.random.default_rng(1).standard_normal((2000, 6)).astype("float32") * 2


def test_the_forest_is_scikit_learns(rows, others):
    ours = IsolationForest(seed=5).fit(rows)
    theirs = SklearnForest(random_state=5).fit(rows)
    np.testing.assert_allclose(ours.anomaly_score(others), -theirs.score_samples(others), rtol=1e-6)


def test_the_svm_on_distinct_rows_is_scikit_learns_on_all(rows, others):
    """The solver stops within 1e-3 of the optimum, so that the two solutions may differ by that."""
    for nu in (0.05, 0.3):
        ours = OneClassSVM(nu=nu).fit(rows)
        theirs = SklearnSVM(nu=nu, gamma=1 / 6, tol=1e-6).fit(rows)
        expected = -theirs.decision_function(others)
        ours_scores = ours.anomaly_score(others)
        scale = expected.std()
        # ours is the sum of kernels; scikit-learn's decision is that less a constant
        np.testing.assert_allclose(
            (ours_scores - ours_scores.mean()) / scale,
            (expected - expected.mean()) / scale,
            atol=0.01,
        )
        exact = SklearnSVM(nu=nu, gamma=1 / 6)
        whole, counts = np.unique(rows, axis=0, return_counts=True)
        exact.fit(whole, sample_weight=counts)
        assert np.corrcoef(ours_scores, -exact.score_samples(others))[0, 1] > 0.99999


def test_gamma_is_one_over_the_features_of_an_image():
    images = np.random.default_rng(0).uniform(-1, 1, (40, 4, 4, 3)).astype("float32")
    model = OneClassSVM(nu=0.5).fit(images)
    assert model.estimator.gamma == 1 / 48
    assert model.anomaly_score(images).shape == (40,)


def test_bad_arguments_and_files(rows, tmp_path):
    with pytest.raises(ValueError, match=r"received nu=1.5; expected"):
        OneClassSVM(nu=1.5)
    with pytest.raises(ValueError, match="OneClassSVM is not fitted. Call fit first"):
        OneClassSVM(nu=0.5).scores(rows)
    folder = IsolationForest().fit(rows).save(tmp_path / "forest")
    (folder / MANIFEST).unlink()  # as earlier versions wrote it
    (folder / STATE).write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(ValueError, match="does not contain an IsolationForest .* damaged, cut off"):
        IsolationForest.load(folder)


def test_a_tree_that_points_out_of_itself_is_refused(rows, tmp_path):
    """scikit-learn follows a tree's links without looking: a bad file would crash the process."""
    folder = IsolationForest().fit(rows).save(tmp_path / "forest")
    with zipfile.ZipFile(folder / STATE) as source:
        files = {name: source.read(name) for name in source.namelist()}
    changed = 0
    for name, content in files.items():
        if name.endswith(".npy") and b"left_child" in content[:400]:
            start = content.index(b"\n") + 1
            nodes = bytearray(content)
            nodes[start : start + 8] = (10**6).to_bytes(8, "little")  # the root's left child
            files[name], changed = bytes(nodes), changed + 1
            break
    assert changed, json.dumps(sorted(files)[:5])
    with zipfile.ZipFile(folder / STATE, "w") as target:
        for name, content in files.items():
            target.writestr(name, content)
    (folder / MANIFEST).unlink()
    with pytest.raises(ValueError, match="points to one that does not exist"):
        IsolationForest.load(folder)


def test_no_file_is_a_pickle(rows, tmp_path):
    folder = OneClassSVM(nu=0.2).fit(rows).save(tmp_path / "svm")
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", STATE, MANIFEST]
    with zipfile.ZipFile(folder / STATE) as file:
        assert {name.rsplit(".", 1)[1] for name in file.namelist()} <= {"json", "npy"}
