"""`alad serve` under requests that are wrong, huge or slow, and when it is stopped."""

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib
from pathlib import Path

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from alad_tf.cli import main
from alad_tf.export.serving import grpc as grpc_module
from alad_tf.export.serving import rest
from alad_tf.export.serving import server as server_module
from alad_tf.export.serving.json_request import read_request
from alad_tf.export.serving.model import BLOCK, ServedModel
from alad_tf.export.serving.server import Server

MOST_BYTES = 200_000
LARGEST = float(np.float32(3.4028235e38))


def sum_of_squares(folder):
    """An export by hand: x (N, 2) -> x0^2 - x1^2, and how many records a call had."""

    def default(x):
        score = x[:, 0] ** 2 - x[:, 1] ** 2
        p_value = tf.where(score > 1, 0.2, 0.8)
        return {"score": score, "is_anomaly": score > 1, "p_value": p_value}

    def rows(x):
        return {"rows": tf.fill(tf.shape(x)[:1], tf.shape(x)[0])}

    def texts(text):
        return {"length": tf.strings.length(text)}

    spec = tf.TensorSpec((None, 2), name="x")
    functions = {
        "serving_default": tf.function(default).get_concrete_function(x=spec),
        "rows": tf.function(rows).get_concrete_function(x=spec),
        "texts": tf.function(texts).get_concrete_function(
            text=tf.TensorSpec((None,), tf.string, "text")
        ),
    }
    tf.saved_model.save(tf.Module(), str(folder), functions)
    (folder / "assets.extra").mkdir()
    (folder / "assets.extra/metadata.json").write_text('{"held_out_rows": 9}')
    return folder


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    return sum_of_squares(tmp_path_factory.mktemp("limits") / "squares/1")


@pytest.fixture(scope="module")
def server(export):
    with Server(export, port=0, grpc_port=0, most_bytes=MOST_BYTES).running() as running:
        yield running


def post(server, body, **headers):
    data = body if isinstance(body, (bytes, str)) else json.dumps(body)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.post(f"{server.url}:predict", data=data, headers=headers, timeout=60)


def call(server, timeout=60, signature="", name="squares", **tensors):
    """Predict over gRPC: (status code's name, details) or dict of arrays."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = name, signature
    for key, value in tensors.items():
        made = value if isinstance(value, tensor_pb2.TensorProto) else tf.make_tensor_proto(value)
        request.inputs[key].CopyFrom(made)
    with grpc.insecure_channel(getattr(server, "grpc_address", server)) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        try:
            answer = stub.Predict(request, timeout=timeout)
        except grpc.RpcError as error:
            return error.code().name, error.details()
    return {key: tf.make_ndarray(value) for key, value in answer.outputs.items()}


# --- ports ---------------------------------------------------------------------------------------


def test_a_port_has_one_server(server, export, capfd, monkeypatch):
    holder = socket.create_server(("127.0.0.1", 0), reuse_port=True)  # as gRPC does by default
    taken = holder.getsockname()[1]
    free = {"port": 0, "grpc_port": 0}
    for ports, told in (
        ({"port": server.port}, f"REST port {server.port} "),
        ({"grpc_port": server.grpc_port}, f"gRPC port {server.grpc_port} "),
        ({"port": server.grpc_port}, f"REST port {server.grpc_port} "),
        ({"grpc_port": server.port}, f"gRPC port {server.port} "),
        ({"grpc_port": taken}, f"gRPC port {taken} "),
        ({"grpc_port": taken, "host": "localhost"}, f"gRPC port {taken} "),
    ):
        with pytest.raises(OSError, match=told):
            Server(export, **{**free, **ports})
    holder.close()
    words = ["alad", "serve", str(export), "--port", "0", "--grpc-port", str(server.grpc_port)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 1
    assert f"gRPC port {server.grpc_port} of 127.0.0.1 is in use" in capfd.readouterr().err


# --- tensors -------------------------------------------------------------------------------------


def proto(dtype, shape, **fields):
    made = tensor_pb2.TensorProto()
    made.dtype = dtype if isinstance(dtype, int) else dtype.as_datatype_enum
    for side in shape:
        made.tensor_shape.dim.add(size=side)
    for name, value in fields.items():
        if isinstance(value, bytes):
            setattr(made, name, value)
        else:
            getattr(made, name).extend(value)
    return made


TENSORS = {
    "more by shape": (proto(tf.float32, (150_000_000, 2), float_val=[1]), "received 1"),
    "more than memory": (proto(tf.float32, (10**12, 2), float_val=[1]), "received 1"),
    "beyond 64 bits": (proto(tf.float32, (2**40, 2**40), float_val=[1]), "received 1"),
    "none held": (proto(tf.float32, (1000, 2)), "received 0"),
    "fewer by shape": (proto(tf.float32, (1, 2), float_val=[1, 2, 3]), "received 3"),
    "another field": (proto(tf.float32, (1, 2), int_val=[1, 2]), "received 0"),
    "negative": (proto(tf.float32, (-1, -2), float_val=[1, 2]), "must have a shape"),
    "too many sides": (proto(tf.float32, [1] * 70, float_val=[1]), "must have a shape"),
    "unknown type": (proto(999, (1, 2), float_val=[1, 2]), "data type 999 (unknown)"),
    "no type": (proto(0, (1, 2), float_val=[1, 2]), "data type 0 (DT_INVALID)"),
    "resource": (proto(tf.resource, (1, 2)), "data type 20"),
    "cut content": (proto(tf.float32, (1, 2), tensor_content=b"1234567"), "tensor_content"),
    "less content": (proto(tf.float32, (4, 2), tensor_content=b"12345678"), "received 2"),
    "text content": (proto(tf.string, (1, 2), tensor_content=b"12345678"), "tensor_content"),
    "one text for all": (proto(tf.string, (10**9,), string_val=[b"a"]), "received 1"),
    "out of range": (proto(tf.uint8, (1, 2), int_val=[300, -1]), "damaged"),
    "large when read": (proto(tf.int64, (50_000, 2), int64_val=[0] * 100_000), "200,000 bytes"),
    "many texts": (proto(tf.string, (9_000,), string_val=[b""] * 9_000), "200,000 bytes"),
    "a scalar": (proto(tf.float32, (), float_val=[1]), "must have shape"),
    "text for numbers": (proto(tf.string, (1, 2), string_val=[b"1", b"2"]), "must be float32"),
    "no records": (proto(tf.float32, (0, 2)), "at least 1"),
}


@pytest.mark.parametrize("case", TENSORS)
def test_tensors_that_are_not_what_they_declare_are_refused(server, case):
    tensor, told = TENSORS[case]
    code, details = call(server, x=tensor)
    assert (code, told in details) == ("INVALID_ARGUMENT", True), details


def test_a_host_without_an_address_is_refused():
    with pytest.raises(OSError, match=r"'nowhere\.invalid' cannot be resolved.*such as 127"):
        server_module._resolve("nowhere.invalid")


def test_tensors_of_all_forms_are_read(server):
    for tensor in (
        proto(tf.float32, (2, 2), float_val=[3, 1, 0, 2]),
        proto(tf.float64, (2, 2), double_val=[3, 1, 0, 2]),
        proto(tf.uint8, (2, 2), int_val=[3, 1, 0, 2]),
        proto(tf.int64, (2, 2), int64_val=[3, 1, 0, 2]),
        np.float16([[3, 1], [0, 2]]),
        np.float32([[3, 1], [0, 2]]),
    ):
        assert call(server, x=tensor)["score"].tolist() == [8, -4]
    found = call(server, signature="texts", text=proto(tf.string, (2,), string_val=[b"ab", b""]))
    assert found["length"].tolist() == [2, 0]


def test_an_unknown_rank_is_refused(server):
    tensor = proto(tf.float32, (), float_val=[1])
    tensor.tensor_shape.unknown_rank = True
    assert call(server, x=tensor)[0] == "INVALID_ARGUMENT"


# --- size ----------------------------------------------------------------------------------------


def test_a_large_request_is_scored_in_blocks(server):
    x = np.random.default_rng(0).integers(-9, 9, (2 * BLOCK + 7, 2))
    expected = x[:, 0] ** 2 - x[:, 1] ** 2
    by_row = post(server, {"instances": x.tolist()}).json()["predictions"]
    assert [one["score"] for one in by_row] == expected.tolist()
    named = post(server, {"instances": [{"x": row} for row in x.tolist()]}).json()["predictions"]
    assert named == by_row
    for inputs in ({"x": x.tolist()}, x.tolist()):
        outputs = post(server, {"inputs": inputs}).json()["outputs"]
        assert outputs["score"] == expected.tolist()
        assert outputs["is_anomaly"] == (expected > 1).tolist()
    assert call(server, x=np.float32(x))["score"].tolist() == expected.tolist()
    sizes = [BLOCK] * (2 * BLOCK) + [7] * 7
    for body, key in (
        ({"instances": x.tolist()}, "predictions"),
        ({"inputs": x.tolist()}, "outputs"),
    ):
        assert post(server, body | {"signature_name": "rows"}).json()[key] == sizes
    assert call(server, signature="rows", x=np.float32(x))["rows"].tolist() == sizes


@pytest.mark.parametrize("form", ['{"instances": [%s]}', '{"inputs": {"x": [%s]}}'])
def test_a_body_is_read_within_a_few_times_its_size(form):
    spec = {"x": tf.TensorSpec((None, 2), name="x")}
    body = (form % ",".join(["[0,1.5]"] * 30_000)).encode()
    tracemalloc.start()
    try:
        _, inputs, _ = read_request(body, lambda signature: spec)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert inputs["x"].shape == (30_000, 2) and inputs["x"][-1].tolist() == [0, 1.5]
    assert peak < 6 * len(body)  # of `json.loads`: 22 times


def test_one_long_text_does_not_widen_the_others(server):
    texts = ["ä" * 20_000] + ["b"] * 3000
    tracemalloc.start()
    try:
        refused = post(server, {"instances": texts})
        answer = post(server, {"signature_name": "texts", "instances": texts})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.status_code == 400 and "must be float32" in refused.json()["error"]
    assert answer.json()["predictions"] == [40_000] + [1] * 3000
    assert peak < 20_000_000  # an array of 1024 texts of 20,000 characters has 80 MB


# --- JSON ----------------------------------------------------------------------------------------

ROW = "[1, 2]"
BODIES = {
    "deep": ("[" * 50_000 + "]" * 50_000, "nested too deeply"),
    "deep records": ('{"instances": ' + "[" * 50_000 + "]" * 50_000 + "}", "nested too deeply"),
    "deep objects": ('{"inputs": ' + '{"a":' * 9_000 + "1" + "}" * 9_001, "nested too deeply"),
    "deep beside": ('{"a": ' + "[" * 9_000 + "]" * 9_000 + "}", "nested too deeply"),
    "NumPy's depth": ({"instances": [json.loads("[" * 70 + "]" * 70)]}, "must be float32"),
    "large float": ('{"instances": [[1e400, 0]]}', "too large"),
    "large whole number": (f'{{"instances": [[{10**400}, 0]]}}', "too large"),
    "thousands of digits": ('{"instances": [[' + "9" * 9_000 + ", 0]]}", "not JSON"),
    "Infinity": ('{"instances": [[Infinity, 0]]}', "finite; received Infinity"),
    "-Infinity": ('{"inputs": {"x": [[-Infinity, 0]]}}', "finite; received -Infinity"),
    "a field twice": (
        f'{{"instances": [{ROW}], "instances": [{ROW}]}}',
        "'instances' occurs twice",
    ),
    "an input twice": (f'{{"inputs": {{"x": [{ROW}], "x": [{ROW}]}}}}', "'x' occurs twice"),
    "a record's twice": (f'{{"instances": [{{"x": {ROW}, "x": {ROW}}}]}}', "'x' occurs twice"),
    "comma at the end": (f'{{"instances": [{ROW},]}}', "not JSON"),
    "no comma": (f'{{"instances": [{ROW} {ROW}]}}', "not JSON"),
    "more behind": (f'{{"instances": [{ROW}]}} x', "not JSON"),
    "cut": (f'{{"instances": [{ROW}', "not JSON"),
    "empty": ("", "not JSON"),
    "no UTF-8": (b'{"instances": [["\xff", 0]]}', "not JSON"),
    "no name": ("{1: 2}", "not JSON"),
    "instances is a number": ({"instances": 3}, "must be a list"),
    "inputs is a number": ({"inputs": 3}, "must be an object"),
    "an input is a number": ({"inputs": {"x": 3}}, "must be a list"),
    "an empty input": ({"inputs": {"x": []}}, "at least one record"),
    "signature is a list": ({"instances": [[1, 2]], "signature_name": ["a"]}, "must be text"),
    "a text": ({"instances": [["1", 2]]}, "must be float32: received str"),
    "an object": ({"instances": [[{}, 2]]}, "must be float32: received dict"),
    "a shorter record": ({"instances": [[1, 2]] * 2000 + [[1]]}, "different lengths"),
    "no text": ({"signature_name": "texts", "instances": ["a", 1]}, "must be text: received int"),
    "null text": ({"signature_name": "texts", "instances": [None]}, "a missing value is"),
    "half a character": ('{"signature_name": "texts", "instances": ["\\ud800"]}', "must be text"),
    "b64 of a number": ({"signature_name": "texts", "instances": [{"b64": 3}]}, "must be text"),
    "many names": ({"instances": [{f"n{i}": 1 for i in range(9_000)}]}, "float32"),
}


@pytest.mark.parametrize("case", BODIES)
def test_bodies_that_are_not_requests_are_refused(server, case):
    body, told = BODIES[case]
    answer = post(server, body)
    assert answer.status_code == 400
    assert told in answer.json()["error"] and len(answer.content) < 2000, answer.text


def test_a_name_that_is_not_unicode_is_answered(server):
    answer = post(server, '{"signature_name": "\\ud800", "instances": [[1, 2]]}')
    assert answer.status_code == 404 and "received the signature" in answer.json()["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Type": "text/csv"},
        {"Content_Type": "multipart/form-data; boundary=x"},
        {"Content_Type": "application/json; charset=utf-16"},
        {"Content_Type": "application/octet-stream"},
        {"Content_Encoding": "gzip"},
    ],
)
def test_what_is_not_json_by_its_headers_is_refused(server, headers):
    answer = post(server, {"instances": [[1, 2]]}, **headers)
    assert answer.status_code == 415
    (told,) = headers.values()
    assert told in answer.json()["error"]


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=UTF-8", "text/plain"]
)
def test_what_may_be_json_is_read(server, kind):
    assert post(server, {"instances": [[2, 1]]}, Content_Type=kind).json()["predictions"] == [
        {"score": 3, "is_anomaly": True, "p_value": pytest.approx(0.2)}
    ]


def test_every_error_is_json(server, monkeypatch):
    base = f"http://127.0.0.1:{server.port}"
    for method, path, status in (
        ("GET", "/nowhere", 404),
        ("POST", "/healthz", 405),
        ("PUT", "/v1/models/squares:predict", 405),
        ("GET", "/v1/models/other/versions/1", 404),
        ("GET", f"/v1/models/squares/versions/{'9' * 5000}", 404),
    ):
        answer = requests.request(method, base + path)
        assert answer.status_code == status and answer.json()["error"]

    def fail(*_):
        raise RuntimeError("a secret")

    monkeypatch.setattr(ServedModel, "_score", fail)
    answer = post(server, {"instances": [[1, 2]]})
    assert answer.status_code == 500 and "secret" not in answer.json()["error"]


# --- records far off -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "score"),
    [
        ([1e20, 0], LARGEST),
        ([0, 1e20], LARGEST),  # minus infinity
        ([1e30, 1e30], LARGEST),  # infinity less infinity
        ([1e300, 0], LARGEST),
        ([10**300, 0], LARGEST),
        ([-1.7e308, 0], LARGEST),
        ([1e18, 0], float(np.float32(1e18) ** 2)),
    ],
)
def test_a_finite_record_is_answered_however_far(server, record, score):
    rows = [[0, 1], record, [2, 1]]
    answer = post(server, {"instances": rows})
    found = json.loads(answer.text, parse_constant=pytest.fail)["predictions"]
    assert [one["score"] for one in found] == [-1, pytest.approx(score, rel=1e-6), 3]
    assert [one["is_anomaly"] for one in found] == [False, True, True]
    least = 0.1 if score == LARGEST else 0.2
    assert [one["p_value"] for one in found] == pytest.approx([0.8, least, 0.2])
    over_grpc = call(server, x=np.array(rows, "float64"))
    assert over_grpc["score"].tolist() == [float(np.float32(one["score"])) for one in found]
    assert over_grpc["is_anomaly"].tolist() == [False, True, True]


# --- slow clients and many -----------------------------------------------------------------------


def raw(server, data=b""):
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    connection.sendall(data)
    return connection


def read_all(connection):
    """Until the server closes the connection: the answer's status and error."""
    parts = []
    with contextlib.suppress(ConnectionResetError):  # it was closed while more was sent
        while part := connection.recv(65536):
            parts.append(part)
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]


POST = b"POST /v1/models/squares:predict HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize(
    ("begun", "more", "told"),
    [
        (b"", b"", "headers took longer"),
        (b"GET /healthz HT", b"", "headers took longer"),
        (POST, b"X-a: b\r\n", "headers took longer"),
        (POST + b"Content-Length: 100\r\n\r\n", b" ", "body took longer"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", "body took longer"),
    ],
)
def test_a_slow_request_is_closed(server, monkeypatch, begun, more, told):
    monkeypatch.setattr(server_module, "HEADERS_S", 0.5)
    monkeypatch.setattr(rest, "BODY_S", 0.5)
    with raw(server, begun) as connection:
        drips = threading.Event()

        def drip():
            while more and not drips.wait(0.1):
                try:
                    connection.sendall(more)
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            status, error = read_all(connection)
        finally:
            drips.set()
            thread.join()
    assert status == 408 and told in error


def test_a_call_without_its_message_is_cancelled(server, monkeypatch):
    monkeypatch.setattr(grpc_module, "MESSAGE_S", 0.5)
    ended = threading.Event()

    def messages(last):
        ended.wait(60)
        yield from last

    path = "/tensorflow.serving.PredictionService/Predict"
    with grpc.insecure_channel(server.grpc_address) as channel:
        for last in ((), (b"",)):
            with pytest.raises(grpc.RpcError) as told:
                channel.stream_unary(path)(messages(last), timeout=30)
            assert told.value.code() is grpc.StatusCode.CANCELLED
        ended.set()
        with pytest.raises(grpc.RpcError) as told:
            channel.stream_unary(path)(messages(()), timeout=30)
        assert told.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.RpcError) as told:
            channel.stream_unary("/another/Method")(messages(()), timeout=30)
        assert told.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert call(server, x=np.float32([[2, 1]]))["score"].tolist() == [3]


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP\r\n\r\n",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 30_000,
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_not_http_is_refused_in_json(server, data):
    with raw(server, data) as connection:
        status, told = read_all(connection)
    assert status == 400 and "Not a valid HTTP request" in told


def test_answers_do_not_wait_for_acknowledgements(server, monkeypatch):
    """An answer is two packets; without TCP_NODELAY the second one waits 40 ms."""
    made, found = server_module.Connection.connection_made, []

    def connection_made(self, transport):
        made(self, transport)
        accepted = transport.get_extra_info("socket")
        found.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    monkeypatch.setattr(server_module.Connection, "connection_made", connection_made)
    assert post(server, {"instances": [[2, 1]]}).status_code == 200
    assert found == [1]


def test_connections_are_bounded(server, monkeypatch):
    monkeypatch.setattr(server_module, "CONNECTIONS", 2)
    idle = [raw(server) for _ in range(3)]
    try:
        with raw(server, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n") as connection:
            status, told = read_all(connection)
        assert status == 503 and "connections already" in told
        for connection in idle:
            connection.close()
        until = time.monotonic() + 20  # the server notices in its own time
        while (status := post(server, {"instances": [[2, 1]]}).status_code) == 503:
            assert time.monotonic() < until
            time.sleep(0.1)
        assert status == 200
    finally:
        for connection in idle:
            connection.close()


def test_bodies_in_memory_are_bounded(server, monkeypatch):
    monkeypatch.setattr(rest, "BODIES", 0.5)
    answer = post(server, b" " * 150_000)
    assert answer.status_code == 503 and "busy" in answer.json()["error"]
    monkeypatch.undo()
    assert post(server, {"instances": [[2, 1]]}).status_code == 200


def test_a_size_is_refused_before_the_body_comes(server):
    for size in (MOST_BYTES + 1, 10**15):
        data = POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % size
        with raw(server, data) as connection:
            status, told = read_all(connection)
        assert status == 413 and "200,000 bytes" in told


# --- images --------------------------------------------------------------------------------------


def test_an_images_size_is_checked_before_it_is_decoded(tmp_path):
    """Headers alone: a thousand bytes of PNG may hold a gigabyte of pixels."""
    folder = tmp_path / "images/1"

    def default(images):
        return {"score": tf.reduce_sum(tf.cast(images, tf.float32), (1, 2, 3))}

    def encoded(encoded):
        return {
            "score": tf.map_fn(
                lambda one: tf.cast(tf.shape(tf.io.decode_image(one))[0], tf.float32),
                encoded,
                fn_output_signature=tf.float32,
            )
        }

    images = tf.TensorSpec((None, 8, 8, 1), tf.uint8, "images")
    texts = tf.TensorSpec((None,), tf.string, "encoded")
    functions = {
        "serving_default": tf.function(default).get_concrete_function(images=images),
        "encoded_images": tf.function(encoded).get_concrete_function(encoded=texts),
    }
    tf.saved_model.save(tf.Module(), str(folder), functions)
    (folder / "assets.extra").mkdir()
    (folder / "assets.extra/metadata.json").write_text("{}")
    model = ServedModel.load(folder)
    header = struct.pack(">IIBBBBB", 12_000, 7_000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk
    bomb += struct.pack(">I", zlib.crc32(chunk)) + struct.pack(">I", 0) + b"IDAT"
    small = tf.io.encode_png(np.zeros((8, 8, 1), "uint8")).numpy()
    assert model.predict("encoded_images", {"encoded": [small]})["score"].tolist() == [8]
    for content in (bomb, tf.io.encode_jpeg(np.zeros((16, 8, 1), "uint8")).numpy()):
        with pytest.raises(ValueError, match="Images must have 8 x 8 pixels; received"):
            model.predict("encoded_images", {"encoded": [small, content]})
    with pytest.raises(ValueError, match="Unknown image"):
        model.predict("encoded_images", {"encoded": [b"no image"]})


# --- stopping ------------------------------------------------------------------------------------

SLOW_SERVER = """
import os, sys, time
from pathlib import Path
from alad_tf.cli import main
from alad_tf.export.serving.model import ServedModel

marks, pause, score = Path(sys.argv.pop(1)), float(sys.argv.pop(1)), ServedModel._score

def slowly(self, signature, block):
    (marks / str(time.monotonic_ns())).touch()
    time.sleep(pause)
    return score(self, signature, block)

ServedModel._score = slowly
main()
"""


class SlowServer:
    """`alad serve` in a process, which takes `pause` seconds for a block of records."""

    def __init__(self, export, folder, pause, *words):
        self.marks, self.scratch = folder / "marks", folder / "scratch"
        self.marks.mkdir()
        self.scratch.mkdir()
        words = ["serve", str(export), "--port", "0", "--grpc-port", "0", *words]
        self.process = subprocess.Popen(
            [sys.executable, "-c", SLOW_SERVER, str(self.marks), str(pause), *words],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(self.scratch), "COLUMNS": "200"},
        )
        self.url = self.process.stdout.readline().split()[1].removesuffix(":predict")
        self.grpc_address = self.process.stdout.readline().split()[1]
        self.answers = {}

    def begin(self, rows):
        """Ask over both protocols; returns when both are being scored."""
        body = {"inputs": rows.tolist()}
        asked = {"rest": lambda: post(self, body), "grpc": lambda: call(self, x=rows)}

        def ask(key, function):
            self.answers[key] = function()

        threads = [threading.Thread(target=ask, args=one) for one in asked.items()]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 60
        while len(list(self.marks.iterdir())) < 2 and time.monotonic() < until:
            time.sleep(0.02)
        return threads

    def end(self, threads):
        for thread in threads:
            thread.join(60)
        printed, _ = self.process.communicate(timeout=60)
        return self.process.returncode, printed, list(self.scratch.iterdir())


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_signal_lets_requests_be_answered_and_refuses_new_ones(export, tmp_path, number):
    served = SlowServer(export, tmp_path, 1.0)
    rows = np.float32(np.arange(2 * (BLOCK + 5)).reshape(-1, 2) % 7)
    try:
        threads = served.begin(rows)
        served.process.send_signal(number)
        time.sleep(0.5)  # the server looks for signals ten times a second
        with pytest.raises(requests.ConnectionError):
            post(served, {"instances": [[2, 1]]})
        assert call(served, x=rows[:1], timeout=5)[0] in ("UNAVAILABLE", "CANCELLED")
        assert served.end(threads) == (0, "stopped\n", [])
    finally:
        served.process.kill()
    expected = (rows[:, 0] ** 2 - rows[:, 1] ** 2).tolist()
    assert served.answers["rest"].json()["outputs"]["score"] == expected
    assert served.answers["grpc"]["score"].tolist() == expected


@pytest.mark.slow
def test_requests_that_outlast_the_grace_are_given_up(export, tmp_path):
    served = SlowServer(export, tmp_path, 1.0, "--grace", "1")
    try:
        threads = served.begin(np.zeros((60 * BLOCK, 2), "float32"))
        served.process.send_signal(signal.SIGTERM)
        assert served.end(threads) == (0, "stopped\n", [])
    finally:
        served.process.kill()
    assert served.answers["rest"].status_code == 503
    assert "stopping" in served.answers["rest"].json()["error"]
    assert served.answers["grpc"][0] in ("UNAVAILABLE", "CANCELLED")
    assert len(list(served.marks.iterdir())) < 30  # of 120 blocks


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_it_serves_leaves_nothing_either(tmp_path, number):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    words = [str(Path(sys.executable).parent / "alad"), "serve", "breast_cancer_alad"]
    process = subprocess.Popen([*words, "--port", "0", "--grpc-port", "0"], env=environment)
    try:
        until = time.monotonic() + 60
        while not list(tmp_path.iterdir()) and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait(60) == 0
    finally:
        process.kill()
    assert list(tmp_path.iterdir()) == []
