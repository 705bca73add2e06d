"""The network of letters: what it was trained on, and the one that is bundled."""

import keras
import numpy as np
import pytest

import zoo
from alad_tf.experiments import letters
from alad_tf.experiments.settings import Settings, prepare
from alad_tf.preprocess import PicturePreprocessor


def test_letters_are_drawn_as_the_digits_are():
    x, y = letters.drawn(1, seed=0)
    assert x.shape == (52, 8, 8, 1) and x.dtype == np.uint8
    assert y.tolist() == [*range(26)] * 2  # small ones and capitals
    digits = prepare(zoo.entry("digits_features_alad")).records.x
    for some in (x, digits):  # bright on dark, and filled from top to bottom
        assert some.max() == 255 and np.median(some) < 60
        assert (some.max((2, 3)) > 60).mean() > 0.9
    again, _ = letters.drawn(1, seed=0)
    np.testing.assert_array_equal(again, x)


def test_the_bundled_network_has_maps_of_three_sizes():
    _, maps = letters.network()
    bundled = zoo.entry("digits_features_alad").frozen_network()
    assert maps.count_params() == bundled.count_params()
    shapes = [tuple(one.shape[1:]) for one in bundled.outputs]
    assert shapes == [(16, 16, 24), (8, 8, 48), (4, 4, 64)]


@pytest.mark.slow  # the bundled one was made by it
def test_a_network_is_trained_and_written(tmp_path, capsys):
    path = letters.main(tmp_path / "some" / "letters.keras", count=2, epochs=1)
    assert "of 52 new letters are classified correctly" in capsys.readouterr().out
    assert len(keras.saving.load_model(path).outputs) == 3


def test_the_entry_prepares_digits_for_it():
    data = prepare(zoo.entry("digits_features_alad"), Settings(normal_class=3))
    assert isinstance(data.preprocessor, PicturePreprocessor)
    x = data.transformed("train")
    assert x.shape[1:] == (32, 32, 1) and 90 < len(x) < 130
    assert set(data.records.labels[data.split.train]) == {3}
