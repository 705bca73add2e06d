"""A scorer's weights on disk: exact in float32, rounded in float16, and refused when wrong."""

import h5py
import numpy as np
import pytest
from tiny import tiny_data, tiny_image_model, tiny_model

from alad_tf.scorer import Scorer
from alad_tf.weights import load_scorer, save_scorer


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
def test_float16_rounds_each_weight_once_and_takes_half_the_room(scorer, tmp_path, images):
    if images:
        scorer = Scorer.from_alad(tiny_image_model())
    path = tmp_path / "scorer.weights.h5"
    save_scorer(scorer, path, "float16")
    again = twin(scorer)
    load_scorer(again, path)
    for ours, theirs in zip(scorer.variables, again.variables, strict=True):
        expected = ours.numpy().astype("float16").astype("float32")
        np.testing.assert_array_equal(theirs.numpy(), expected)
    assert [file.name for file in tmp_path.iterdir()] == ["scorer.weights.h5"]
    stored = 0
    with h5py.File(path) as file:
        sizes = []
        file.visititems(lambda _, item: sizes.append(getattr(item, "nbytes", 0)))
        stored = sum(sizes)
    assert stored == 2 * sum(v.numpy().size for v in scorer.variables)
    save_scorer(again, path, "float16")  # rounded weights survive unchanged
    third = twin(scorer)
    load_scorer(third, path)
    for ours, theirs in zip(again.variables, third.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_what_float16_cannot_hold_is_refused(scorer, tmp_path):
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
    with pytest.raises(ValueError, match="not finite"):
        load_scorer(twin(scorer), path)


def test_weights_of_other_shapes_are_refused(scorer, tmp_path):
    path = tmp_path / "scorer.weights.h5"
    save_scorer(scorer, path)
    architecture = scorer.architecture()
    architecture["networks"]["E"][0]["units"] += 1
    with pytest.raises(ValueError, match="does not hold the weights of this architecture"):
        load_scorer(Scorer(**architecture), path)
