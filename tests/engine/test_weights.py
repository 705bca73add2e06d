"""A scorer's weights on disk: exact in float32, rounded in float16 and int8, else refused."""

import errno
import shutil

import h5py
import numpy as np
import pytest
from tiny import tiny_data, tiny_image_model, tiny_model

from alad_tf.engine import weights
from alad_tf.engine.weights import load_scorer, save_scorer
from alad_tf.model.scorer import Scorer
from alad_tf.model.specs import dense


@pytest.fixture(scope="module")
def scorer():
    model = tiny_model(jit_compile=False)
    model.fit(tiny_data(), batch_size=16, epochs=2, verbose=0)
    return Scorer.from_alad(model)


def twin(scorer):
    return Scorer(**scorer.architecture())


def test_float32_is_exact(scorer, tmp_path):
    path = tmp_path / "scorer.weights.h5"
    save_scorer(scorer, path)
    again = twin(scorer)
    load_scorer(again, path)
    for ours, theirs in zip(scorer.variables, again.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize("images", [False, True])
def test_float16_rounds_large_arrays_once(scorer, tmp_path, monkeypatch, images):
    monkeypatch.setattr(weights, "EXACT_UP_TO", 20)
    if images:
        scorer = Scorer.from_alad(tiny_image_model(jit_compile=False))
    path = tmp_path / "scorer.weights.h5"
    save_scorer(scorer, path, "float16")
    again = twin(scorer)
    load_scorer(again, path)
    sizes = []
    for ours, theirs in zip(scorer.variables, again.variables, strict=True):
        expected = ours.numpy()
        sizes.append(4 * expected.size)
        if expected.size > 20:
            sizes[-1] //= 2
            expected = expected.astype("float16").astype("float32")
        np.testing.assert_array_equal(theirs.numpy(), expected)
    assert [file.name for file in tmp_path.iterdir()] == ["scorer.weights.h5"]
    with h5py.File(path) as file:
        stored = []
        file.visititems(lambda _, item: stored.append(getattr(item, "nbytes", 0)))
    assert sum(stored) == sum(sizes)
    save_scorer(again, path, "float16")  # rounded weights survive unchanged
    third = twin(scorer)
    load_scorer(third, path)
    for ours, theirs in zip(again.variables, third.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_int8_rounds_large_arrays_to_levels_of_each_group(scorer, tmp_path, monkeypatch):
    """No weight moves by more than half a level; rounding again moves none."""
    monkeypatch.setattr(weights, "EXACT_UP_TO", 20)
    monkeypatch.setattr(weights, "GROUP", 4)
    path = tmp_path / "scorer.weights.h5"
    exact = scorer.get_weights()
    scorer = twin(scorer)
    exact[0] = exact[0] * ([1e-4] * 4 + [1e3] * 4)  # each output has levels of its own
    scorer.set_weights(exact)
    save_scorer(scorer, path, "int8")
    again = twin(scorer)
    load_scorer(again, path)
    assert [file.name for file in tmp_path.iterdir()] == ["scorer.weights.h5"]
    last = [v for v in scorer.E.variables if len(v.shape) > 1][-1]  # z's error is all of x''s
    fine = [last, *scorer.D_xx.variables]
    assert np.prod(last.shape) > 20
    for ours, theirs in zip(scorer.variables, again.variables, strict=True):
        exact, found = ours.numpy(), theirs.numpy()
        if exact.size <= 20:
            np.testing.assert_array_equal(found, exact)
            continue
        for start in range(0, len(exact), 4):  # four inputs of each output
            level = np.abs(exact[start : start + 4]).max(0) / (
                511 if any(ours is v for v in fine) else 127
            )
            apart = np.abs(found[start : start + 4] - exact[start : start + 4])
            assert (apart <= 0.501 * level).all()
        assert 0 < np.abs(found - exact).max() < 0.01 * np.abs(exact).max()
    save_scorer(again, path, "int8")
    third = twin(scorer)
    load_scorer(third, path)
    for ours, theirs in zip(again.variables, third.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_a_damaged_file_of_levels_is_refused(scorer, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "EXACT_UP_TO", 20)
    path = tmp_path / "scorer.weights.h5"
    save_scorer(scorer, path, "int8")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="does not contain the weights of this architecture"):
        load_scorer(twin(scorer), path)


def test_a_rounded_file_is_half_as_large(tmp_path):
    rows = dict(E=[dense(200, "lrelu"), dense(2)], G=[dense(200)], D_xx=[dense(200), dense(1)])
    scorer = Scorer(rows, x_shape=(200,), latent_dim=2)
    exact, rounded = tmp_path / "exact.weights.h5", tmp_path / "rounded.weights.h5"
    save_scorer(scorer, exact)
    save_scorer(scorer, rounded, "float16")
    large = sum(v.numpy().size for v in scorer.variables if v.numpy().size > 20_000)
    saved = exact.stat().st_size - rounded.stat().st_size
    assert saved == pytest.approx(2 * large, abs=8192)  # HDF5 fills pages


def test_what_float16_cannot_hold_is_refused(scorer, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "EXACT_UP_TO", 0)
    large = twin(scorer)
    large.variables[0].assign(np.full(large.variables[0].shape, 1e5, "float32"))
    with pytest.raises(ValueError, match="beyond float16's 6.55e.04. Save in float32"):
        save_scorer(large, tmp_path / "scorer.weights.h5", "float16")
    with pytest.raises(ValueError, match="expected one of"):
        save_scorer(scorer, tmp_path / "scorer.weights.h5", "float8")


def test_weights_that_are_not_finite_are_refused(scorer, tmp_path):
    broken = twin(scorer)
    broken.variables[0].assign(np.full(broken.variables[0].shape, np.nan, "float32"))
    path = tmp_path / "scorer.weights.h5"
    save_scorer(broken, path)
    with pytest.raises(ValueError, match="NaN or infinite"):
        load_scorer(twin(scorer), path)


def test_weights_of_other_shapes_are_refused(scorer, tmp_path):
    path = tmp_path / "scorer.weights.h5"
    save_scorer(scorer, path)
    architecture = scorer.architecture()
    architecture["networks"]["E"][0]["units"] += 1
    with pytest.raises(ValueError, match="does not contain the weights of this architecture"):
        load_scorer(Scorer(**architecture), path)


def test_a_full_disk_is_refused_before_hdf5_meets_it(scorer, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda place: usage._replace(free=20_000))
    with pytest.raises(
        OSError, match="No space left: .* bytes are needed, 20,000 are free"
    ) as told:
        save_scorer(scorer, tmp_path / "x.weights.h5")
    assert told.value.errno == errno.ENOSPC and list(tmp_path.iterdir()) == []
    monkeypatch.setattr("shutil.disk_usage", lambda place: usage)
    save_scorer(scorer, tmp_path / "x.weights.h5")
    size = (tmp_path / "x.weights.h5").stat().st_size
    monkeypatch.setattr("shutil.disk_usage", lambda place: usage._replace(free=size - 1))
    with pytest.raises(OSError, match="No space left"):  # the estimate is no less than the file
        save_scorer(scorer, tmp_path / "y.weights.h5")
