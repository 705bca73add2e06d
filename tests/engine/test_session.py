"""A session's settings of Keras and TensorFlow change no answer, and are left as they were."""

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from alad_tf import ALADDetector, Detector
from alad_tf.engine.session import settings

ROWS = np.random.default_rng(0).normal(size=(120, 4))
IMAGES = np.random.default_rng(1).integers(0, 256, (24, 8, 8, 1), "uint8")


def fit(rows=ROWS):
    return ALADDetector(steps=4, n_members=1).fit(rows)


def state():
    return (
        keras.config.floatx(),
        keras.config.dtype_policy().name,
        keras.config.image_data_format(),
        tf.config.functions_run_eagerly(),
    )


@pytest.fixture
def session():
    """Sets the settings of a test, and the defaults again after it."""
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    keras.config.set_image_data_format("channels_last")
    tf.config.run_functions_eagerly(False)


SETTINGS = {
    "float64": lambda: (
        keras.config.set_floatx("float64"),
        keras.config.set_dtype_policy("float64"),
    ),
    "mixed precision": lambda: keras.config.set_dtype_policy("mixed_float16"),
    "channels first": lambda: keras.config.set_image_data_format("channels_first"),
    "eager functions": lambda: tf.config.run_functions_eagerly(True),
    "a seed": lambda: keras.utils.set_random_seed(7),
}


@pytest.fixture(scope="module")
def usual():
    return {"rows": fit().scores(ROWS), "images": fit(IMAGES).scores(IMAGES)}


@pytest.mark.parametrize(
    "name",
    [
        name
        if name in ("float64", "channels first")
        else pytest.param(name, marks=pytest.mark.slow)
        for name in SETTINGS
    ],
)
def test_scores_do_not_depend_on_the_session(session, usual, name, tmp_path):
    SETTINGS[name]()
    before = state()
    for kind, x in (("rows", ROWS), ("images", IMAGES)):
        detector = fit(x)
        assert state() == before
        loaded = Detector.load(detector.save(tmp_path / kind))
        for found in (detector.scores(x), loaded.scores(x)):
            for score, values in usual[kind].items():
                np.testing.assert_allclose(found[score], values, rtol=1e-5, atol=1e-5)
        detector.explain(x[:2])
        assert detector.p_value(x[:1]).shape == (1,) and state() == before


def test_settings_are_back_after_an_error_and_when_the_last_thread_left(session):
    keras.config.set_floatx("float64")
    before = state()
    with pytest.raises(ValueError), settings():
        raise ValueError
    assert state() == before
    inside, leave = threading.Event(), threading.Event()

    def other():
        with settings():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with settings():
        thread.start()
        inside.wait(10)
    assert keras.config.floatx() == "float32"  # the other thread is still at work
    leave.set()
    thread.join()
    assert state() == before
