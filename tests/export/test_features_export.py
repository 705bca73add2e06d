"""Exports of features of pictures: any size, encoded or not, with heat maps."""

import io

import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from PIL import Image
from tiny import picture, tiny_network

from alad_tf import ALADDetector
from alad_tf.export.check import expected
from alad_tf.export.serving.model import RequestError, ServedModel

RNG = np.random.default_rng(0)
NEW = np.stack([picture(RNG, 70, 50), picture(RNG, 70, 50, spot=(40, 8))])


@pytest.fixture(scope="module")
def fitted():
    return ALADDetector(features=tiny_network()).fit([picture(RNG) for _ in range(20)])


@pytest.fixture(scope="module")
def exported(fitted, tmp_path_factory, unasked):
    with unasked():
        return fitted.export(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def served(exported):
    return tf.saved_model.load(str(exported)).signatures


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def test_pictures_of_any_size_and_channels_are_served(fitted, served):
    for pictures in (NEW, NEW[:1, :33], NEW[..., :1], np.concatenate([NEW, NEW[..., :1]], -1)):
        answer = served["serving_default"](images=tf.constant(pictures))
        np.testing.assert_allclose(answer["score"], fitted.anomaly_score(pictures), atol=1e-4)
        np.testing.assert_allclose(answer["p_value"], fitted.p_value(pictures), atol=1e-6)
        flagged = (fitted.predict(pictures) == -1).tolist()
        assert answer["is_anomaly"].numpy().tolist() == flagged
        heat = served["heat_map"](images=tf.constant(pictures))["heat_map"]
        np.testing.assert_allclose(heat, fitted.explain(pictures).attributions, rtol=1e-4)


def test_encoded_pictures_need_not_be_of_one_size(fitted, served):
    pictures = [NEW[0], NEW[1, :60, :, 0], NEW[1, 3:]]
    encoded = tf.constant([png(one) for one in pictures])
    answer = served["encoded_images"](encoded=encoded)
    np.testing.assert_allclose(answer["score"], fitted.anomaly_score(pictures), atol=1e-4)
    heat = served["encoded_heat_map"](encoded=encoded)["heat_map"].numpy()
    assert heat.shape == (3, 64, 64) and heat[2].max() > 2 * heat[0].max()


def test_encoded_pictures_are_turned_by_their_exif_data(fitted, served):
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6  # to be turned to the right
    Image.fromarray(NEW[1]).save(file, "png", exif=exif)
    answer = served["encoded_images"](encoded=tf.constant([file.getvalue()]))
    turned = np.rot90(NEW[1], -1)[None]
    np.testing.assert_allclose(answer["score"], fitted.anomaly_score(turned), atol=1e-4)


def test_our_server_takes_them(fitted, exported, monkeypatch):
    server = ServedModel.load(exported)
    pictures = [NEW[0], NEW[1, 3:]]
    both = server.predict("encoded_images", {"encoded": [png(one) for one in pictures]})
    np.testing.assert_allclose(both["score"], fitted.anomaly_score(pictures), atol=1e-4)
    # requests of several sizes that arrive together are answered one by one
    asked = [server.checked("serving_default", {"images": one[None]}) for one in pictures]
    found = [server.together.submit("serving_default", one) for one in asked]
    for answer, score in zip(found, both["score"], strict=True):
        np.testing.assert_allclose(answer.result()["score"], [score], atol=1e-4)
    heat = server.predict("heat_map", {"images": NEW})["heat_map"]
    np.testing.assert_allclose(heat, fitted.explain(NEW).attributions, rtol=1e-4)
    monkeypatch.setattr("alad_tf.export.serving.model.MOST_PIXELS", 100)
    with pytest.raises(RequestError, match="Images may have at most 100 pixels"):
        server.predict("encoded_images", {"encoded": [png(NEW[0])]})


def test_the_self_check_asks_for_heat_maps(fitted):
    detector = fitted.detector_
    asked = {key.partition("|")[2] for key in expected(detector, {"2": NEW})}
    assert {"heat_map|heat_map", "encoded_heat_map|heat_map"} <= asked


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_other_runtimes_take_any_size_too(fitted, kind, tmp_path, unasked):
    with unasked():
        path = str(fitted.export(tmp_path, kind=kind))
    if kind == "onnx":
        session = onnxruntime.InferenceSession(path)
        names = [output.name for output in session.get_outputs()]
    for pictures in (NEW, NEW[:1, :33]):
        if kind == "onnx":
            answer = dict(zip(names, session.run(names, {"images": pictures}), strict=True))
        else:
            runner = Interpreter(model_path=path).get_signature_runner("serving_default")
            answer = runner(images=pictures)
        np.testing.assert_allclose(answer["score"], fitted.anomaly_score(pictures), atol=1e-3)
        np.testing.assert_allclose(answer["p_value"], fitted.p_value(pictures), atol=1e-6)
        heat = fitted.explain(pictures).attributions
        np.testing.assert_allclose(answer["heat_map"], heat, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["saved_model", "onnx", "tflite"])
def test_a_fresh_process_answers_as_the_detector(fitted, kind, tmp_path):
    assert fitted.export(tmp_path, kind=kind).exists()  # refused if it does not
