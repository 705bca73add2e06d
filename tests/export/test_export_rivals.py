"""Exports of the rivals on images: raw pixels and encoded pictures in, the rival's score out."""

import numpy as np
import pytest
import tensorflow as tf
from tiny import IMAGE_ROWS

from alad_tf import baselines
from alad_tf.detector.detector import Detector
from alad_tf.detector.threshold import by_false_alarms
from alad_tf.model.specs import conv, conv_transpose, dense, flatten, max_pool
from alad_tf.preprocess import ImagePreprocessor

SHAPE = (8, 8, 3)
DSEBM = {"f": [conv(4, 3, 2, "softplus"), max_pool(2), flatten(), dense(3, "softplus")]}
GAN = {
    "G": [*IMAGE_ROWS["G"][:-1], conv_transpose(3, 4, 2, "tanh")],
    "D": [conv(3, 4, 2, "lrelu"), flatten(), dense(1)],
}
TRAINING = dict(batch_size=16, epochs=1, initializer="normal_0.01")
MAKE = {
    "anogan": lambda: baselines.AnoGAN(GAN, SHAPE, 3, search_steps=20, **TRAINING),
    "dsebm": lambda: baselines.DSEBM(DSEBM, SHAPE, **TRAINING),
    "iforest": lambda: baselines.IsolationForest(0),
    "ocsvm": lambda: baselines.OneClassSVM(0.1),
}


def images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), dtype="uint8")


@pytest.mark.parametrize("method", sorted(MAKE))
def test_a_rival_on_images_is_exported(method, tmp_path, unchecked):
    preprocessor, rival = ImagePreprocessor(SHAPE), MAKE[method]()
    rival.fit(preprocessor.transform(images(64)))
    detector = Detector.from_model(preprocessor, rival)
    held_out, x = detector.anomaly_score(images(30, seed=1)), images(9, seed=2)
    detector.set_threshold(by_false_alarms(held_out, 0.2))
    served = tf.saved_model.load(detector.export(tmp_path, method)).signatures
    # a search amplifies the difference of two programs' roundings: see `LatentSearch.uncompiled`
    bound = 1e-3 if method == "anogan" else 1e-5
    wanted = detector.scores(x)
    answer = served["serving_default"](images=tf.constant(x))
    np.testing.assert_allclose(answer["score"], wanted[detector.score], rtol=bound, atol=bound)
    np.testing.assert_allclose(answer["p_value"], detector.p_value(x), atol=1.1 / 31)
    for name, values in served["scores"](images=tf.constant(x)).items():
        np.testing.assert_allclose(values, wanted[name], rtol=bound, atol=bound)
    pictures = tf.constant([tf.io.encode_png(image).numpy() for image in x])
    encoded = served["encoded_images"](encoded=pictures)
    np.testing.assert_array_equal(encoded["score"], answer["score"])
    alone = served["serving_default"](images=tf.constant(x[3:4]))["score"]
    np.testing.assert_allclose(alone, answer["score"][3:4], rtol=bound)
    if method == "anogan":  # only what is asked for is searched
        names = ("serving_default", "scores", "reconstruct")
        assert [loops(served[name]) for name in names] == [1, 2, 1]


def loops(signature):
    """How many loops a signature's graph holds."""
    graph = signature.graph.as_graph_def()
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    return sum(node.op in ("While", "StatelessWhile") for node in nodes)


def test_images_that_no_picture_holds_are_exported_without_pictures(tmp_path, unchecked):
    preprocessor = ImagePreprocessor((8, 8, 2))
    x = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 2), dtype="uint8")
    forest = baselines.IsolationForest(0).fit(preprocessor.transform(x))
    detector = Detector.from_model(preprocessor, forest)
    served = tf.saved_model.load(detector.export(tmp_path, "a")).signatures
    assert set(served) == {"serving_default", "scores"}
    answer = served["serving_default"](images=tf.constant(x))["score"]
    np.testing.assert_allclose(answer, detector.anomaly_score(x), rtol=1e-5)
