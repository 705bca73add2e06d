"""`alad serve` and the example client, end to end over loopback: REST and gRPC, good and bad."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pandas as pd
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

import zoo
from alad_tf import ALADDetector, Detector
from alad_tf.baselines import IsolationForest
from alad_tf.detector.threshold import by_contamination
from alad_tf.export.serving.server import Server
from alad_tf.preprocess import ImagePreprocessor

ROOT = Path(__file__).parents[2]
NAME = "breast_cancer_alad"

spec = importlib.util.spec_from_file_location("client", ROOT / "examples/client.py")
client = importlib.util.module_from_spec(spec)
sys.modules["client"] = client
spec.loader.exec_module(client)


@pytest.fixture(scope="module")
def detector():
    return zoo.load(NAME)


@pytest.fixture(scope="module")
def rows(breast_cancer):
    return np.asarray(breast_cancer.x, "float32")


@pytest.fixture(scope="module")
def server(detector, tmp_path_factory, unchecked):
    folder = detector.export(tmp_path_factory.mktemp("served"), version=7)
    with Server(folder, port=0, grpc_port=0, most_bytes=200_000).running() as running:
        yield running


@pytest.fixture(scope="module")
def mixed(tmp_path_factory, unchecked):
    """A detector of named columns with text and gaps, and its server."""
    generator, n = np.random.default_rng(0), 120
    table = pd.DataFrame(
        {
            "size (m)": np.where(generator.random(n) < 0.1, np.nan, generator.normal(size=n)),
            "kind": generator.choice(["ä", "b"], n),
        }
    )
    estimator = ALADDetector(steps=10, n_members=1).fit(table)
    folder = estimator.export(tmp_path_factory.mktemp("mixed"), "orders")
    with Server(folder, port=0, grpc_port=0).running() as running:
        yield estimator, table, running


def _address(server):
    return f"http://{server.host}:{server.port}"


def test_both_clients_get_the_detectors_verdicts(detector, rows, server):
    rest = client.RestClient(_address(server), NAME)
    over_grpc = client.GrpcClient(f"{server.host}:{server.grpc_port}", NAME, version=7)
    score, p_value = detector.anomaly_score(rows[:40]), detector.p_value(rows[:40])
    for verdicts in (rest.predict(rows[:40].tolist()), over_grpc.predict({"x": rows[:40]})):
        np.testing.assert_allclose([v.score for v in verdicts], score, rtol=1e-4)
        np.testing.assert_allclose([v.p_value for v in verdicts], p_value, atol=1e-6)
        assert [v.is_anomaly for v in verdicts] == detector.predict(rows[:40]).tolist()


def test_text_and_gaps_travel(mixed):
    estimator, table, server = mixed
    rest = client.RestClient(_address(server), "orders", version=1)
    records = [
        {"size__m_": None if np.isnan(s) else s, "kind": k}
        for s, k in zip(table["size (m)"], table["kind"], strict=True)
    ]
    whole = [one for one in records if one["size__m_"] is not None]
    kept = table.dropna()
    found = [v.score for v in rest.predict(whole)]
    # numbers travel as float32, whose rounding counts where a training row is very near
    np.testing.assert_allclose(found, estimator.anomaly_score(kept), atol=1e-3)
    body = {"inputs": {"size__m_": [None], "kind": [""]}}
    answer = requests.post(f"{server.url}:predict", data=json.dumps(body)).json()
    gap = pd.DataFrame({"size (m)": [np.nan], "kind": [None]})
    expected = estimator.anomaly_score(gap)[0]
    assert answer["outputs"]["score"][0] == pytest.approx(expected, abs=1e-4)
    over_grpc = client.GrpcClient(f"{server.host}:{server.grpc_port}", "orders")
    columns = {"size__m_": np.float32([0.5]), "kind": np.array(["ä"])}
    one = pd.DataFrame({"size (m)": [0.5], "kind": ["ä"]})
    score = over_grpc.predict(columns)[0].score
    assert score == pytest.approx(estimator.anomaly_score(one)[0], abs=1e-4)


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ("not json", 400, "not JSON"),
        ("[1, 2]", 400, "either 'instances' or 'inputs'"),
        ({"instances": [], "inputs": {}}, 400, "either 'instances' or 'inputs'"),
        ({"instances": []}, 400, "at least one record"),
        ({"instances": [[1.0] * 29]}, 400, r"must have shape \('N', 30\); received \(1, 29\)"),
        ({"instances": [["a"] * 30]}, 400, "'x' must be float32"),
        ({"instances": [[1.0] * 30, [1.0]]}, 400, "'x' must be float32"),
        ({"instances": [[float("nan")] * 30]}, 400, "Records must be finite"),
        ({"instances": [[None] * 30]}, 400, "Records must be finite"),
        ({"inputs": {"y": [[1.0] * 30]}}, 400, r"takes \['x'\]; received \['y'\]"),
        (
            {"instances": [[1.0] * 30], "signature_name": "none"},
            404,
            "received the signature 'none'",
        ),
        ({"instances": ["nonsense"], "signature_name": "serialized_examples"}, 400, "parse"),
        ({"instances": [{"b64": "***"}], "signature_name": "serialized_examples"}, 400, "text"),
        ({"instances": [[1.0] * 30] * 5000}, 413, "larger than 200,000 bytes"),
    ],
)
def test_bad_requests_are_refused_with_a_reason(server, body, status, told):
    data = body if isinstance(body, str) else json.dumps(body)
    answer = requests.post(f"{server.url}:predict", data=data)
    assert answer.status_code == status
    import re

    assert re.search(told, answer.json()["error"]), answer.json()


def test_a_body_of_unknown_length_is_cut_off(server):
    def parts():
        for _ in range(100):
            yield b" " * 10_000

    answer = requests.post(f"{server.url}:predict", data=parts())
    assert answer.status_code == 413


def test_routes_of_status_metadata_and_health(server):
    state = requests.get(server.url).json()["model_version_status"]
    assert [(one["version"], one["state"]) for one in state] == [("7", "AVAILABLE")]
    assert requests.get(f"{server.url}/versions/7").status_code == 200
    assert requests.get(f"{server.url}/versions/6").status_code == 404
    assert requests.get(f"{_address(server)}/v1/models/other").status_code == 404
    assert requests.get(f"{_address(server)}/healthz").json() == {"status": "ok"}
    told = requests.get(f"{server.url}/metadata").json()
    assert told["model_spec"] == {"name": NAME, "version": "7"}
    inputs = told["metadata"]["signatures"]["serving_default"]["inputs"]
    assert inputs == {"x": {"dtype": "float32", "shape": [-1, 30]}}
    assert told["metadata"]["export"]["entry"] == NAME


def test_tensorflow_servings_documented_forms_are_answered(detector, rows, server):
    """Its RESTful API: row and column format, named or not, and one output without its name."""
    x, score = rows[:3].tolist(), detector.anomaly_score(rows[:3])
    others = {name: values.tolist() for name, values in detector.scores(rows[:3]).items()}

    def ask(path="", **body):
        answer = requests.post(f"{server.url}{path}:predict", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    for instances in (x, [{"x": row} for row in x]):
        for path in ("", "/versions/7"):
            answer = ask(path, signature_name="serving_default", instances=instances)
            assert list(answer) == ["predictions"] and len(answer["predictions"]) == 3
            found = [one["score"] for one in answer["predictions"]]
            np.testing.assert_allclose(found, score, rtol=1e-4)
            assert set(answer["predictions"][0]) == {"score", "p_value", "is_anomaly"}
    for inputs in (x, {"x": x}):
        answer = ask(inputs=inputs)
        assert list(answer) == ["outputs"]
        assert set(answer["outputs"]) == {"score", "p_value", "is_anomaly"}
        np.testing.assert_allclose(answer["outputs"]["score"], score, rtol=1e-4)
        answer = ask(signature_name="scores", inputs=inputs)["outputs"]
        for name, values in others.items():
            np.testing.assert_allclose(answer[name], values, rtol=1e-4, atol=1e-5)
        made = ask(signature_name="reconstruct", inputs=inputs)["outputs"]
        np.testing.assert_allclose(made, detector.reconstruct(rows[:3]), rtol=1e-3, atol=1e-4)
    by_row = ask(signature_name="reconstruct", instances=x)["predictions"]
    np.testing.assert_allclose(by_row, made)


def test_the_warm_up_requests_are_answered(server):
    """As TensorFlow Serving plays them before a version is available: every signature, by gRPC."""
    path = server.model.folder / "assets.extra/tf_serving_warmup_requests"
    asked = {}
    with grpc.insecure_channel(server.grpc_address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        for record in tf.data.TFRecordDataset(str(path)):
            log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
            request = log.predict_log.request
            request.model_spec.name = NAME  # the file does not know under which it is served
            answer = stub.Predict(request, timeout=60)
            signature = request.model_spec.signature_name
            outputs = server.model.signatures[signature].structured_outputs
            assert set(answer.outputs) == set(outputs)
            (count,) = {tf.make_ndarray(one).shape[0] for one in answer.outputs.values()}
            asked.setdefault(signature, []).append(count)
    assert asked == dict.fromkeys(server.model.signatures, [1, 5])


def test_grpc_tells_status_and_signatures_and_refuses(server, rows):
    channel = grpc.insecure_channel(f"{server.host}:{server.grpc_port}")
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = NAME
    status = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request)
    assert [one.version for one in status.model_version_status] == [7]
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = NAME
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    found = get_model_metadata_pb2.SignatureDefMap()
    stub.GetModelMetadata(request).metadata["signature_def"].Unpack(found)
    assert found.signature_def["scores"].inputs["x"].tensor_shape.dim[1].size == 30
    address = f"{server.host}:{server.grpc_port}"
    for model, columns, told in (
        ("other", {"x": rows[:2]}, "is not served"),
        (NAME, {"y": rows[:2]}, "takes"),
        (NAME, {"x": rows[:2, :5]}, "must have shape"),
        (NAME, {"x": rows[:2] * np.nan}, "Records must be finite"),
    ):
        with pytest.raises(client.RefusedError, match=told):
            client.GrpcClient(address, model).predict(columns)


def test_a_taken_port_is_named(server):
    with pytest.raises(OSError):
        Server(server.model.folder, port=server.port, grpc_port=0)


def _ask_with_eight_clients(base, name, grpc_address, detector, rows, requested):
    """Every fourth request by gRPC, the rest by REST; one in twenty is malformed."""
    rest, over_grpc = client.RestClient(base, name), client.GrpcClient(grpc_address, name)
    expected = detector.anomaly_score(rows)

    def ask(number):
        row = number % len(rows)
        bad = number % 20 == 7 or number % 20 == 16
        record = rows[row : row + 1, : 29 if bad else 30]
        ask_it = over_grpc.predict if number % 4 == 0 else rest.predict
        try:
            (verdict,) = ask_it({"x": record} if number % 4 == 0 else record.tolist())
        except client.RefusedError as error:
            return bad and "must have shape" in str(error)
        return not bad and abs(verdict.score / expected[row] - 1) < 1e-4

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(requested)))
    assert requests.get(f"{base}/healthz").status_code == 200


def test_requests_of_eight_clients(server, detector, rows):
    address = f"{server.host}:{server.grpc_port}"
    _ask_with_eight_clients(_address(server), NAME, address, detector, rows, 80)


@pytest.mark.slow
def test_a_thousand_requests_to_the_command(detector, rows, tmp_path):
    """Then the process is told to stop, and stops by itself."""
    folder = detector.save(tmp_path / "detector")
    command = [Path(sys.executable).parent / "alad", "serve", folder, "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
    process = subprocess.Popen(
        [*map(str, command), "--grpc-port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        url = process.stdout.readline().split()[1]
        grpc_address = process.stdout.readline().split()[1]
        base, _, name = url.removesuffix(":predict").rpartition("/v1/models/")
        _ask_with_eight_clients(base, name, grpc_address, detector, rows, 1000)
    finally:
        process.send_signal(signal.SIGTERM)
        printed, _ = process.communicate(timeout=30)
    assert process.returncode == 0 and printed == "stopped\n"


def test_encoded_images_are_served(tmp_path, unchecked):
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), dtype="uint8")
    preprocessor = ImagePreprocessor((8, 8, 1))
    forest = IsolationForest().fit(preprocessor.transform(images))  # nothing to compile
    detector = Detector.from_model(preprocessor, forest)
    detector.set_threshold(by_contamination(detector.anomaly_score(images), 0.1))
    folder = detector.export(tmp_path, "pictures")
    with Server(folder, port=0, grpc_port=0).running() as server:
        import base64

        coded = [
            {"b64": base64.b64encode(tf.io.encode_png(image).numpy()).decode()}
            for image in images[:3]
        ]
        body = {"signature_name": "encoded_images", "instances": coded}
        answer = requests.post(f"{server.url}:predict", json=body).json()["predictions"]
        expected = detector.anomaly_score(images[:3])
        np.testing.assert_allclose([one["score"] for one in answer], expected, atol=1e-3)
        body = {"instances": (images[:2].astype(int)).tolist()}
        answer = requests.post(f"{server.url}:predict", json=body).json()["predictions"]
        np.testing.assert_allclose([one["score"] for one in answer], expected[:2], atol=1e-3)
        body["instances"][0][0][0][0] = 300
        told = requests.post(f"{server.url}:predict", json=body).json()["error"]
        assert "whole numbers from 0 to 255" in told


def test_a_record_far_off_is_an_anomaly_and_not_an_error(detector, rows, server):
    far = [[value] * 30 for value in (1e20, -1e30, 3e38, 1e300)]
    body = {"instances": [rows[0].tolist(), *far, rows[1].tolist()]}
    answer = requests.post(f"{server.url}:predict", json=body)
    assert answer.status_code == 200, answer.text
    first, *found, last = answer.json()["predictions"]
    assert all(one["is_anomaly"] and np.isfinite(one["score"]) for one in found)
    near = detector.anomaly_score(rows[:2])
    np.testing.assert_allclose([first["score"], last["score"]], near, rtol=1e-4)
    least = pytest.approx(1 / (len(detector.reference) + 1))
    assert [one["p_value"] for one in found] == [least] * 4
    body["instances"][2][0] = None
    assert requests.post(f"{server.url}:predict", json=body).status_code == 400
