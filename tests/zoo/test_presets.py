"""Presets: bundled, cached, downloaded; verified, or a clear error and nothing changed."""

import contextlib
import http.server
import json
import resource
import shutil
import socket
import struct
import threading
import time

import numpy as np
import pytest
from tiny import tiny_data, tiny_model

import zoo
from alad_tf.detector.detector import Detector
from alad_tf.engine.files import MANIFEST, write_json
from alad_tf.preprocess import VectorPreprocessor
from zoo import _presets as presets

ENTRY, VARIANT = "breast_cancer_alad", "default"
RAW = tiny_data(12, seed=3)
CONFIG, WEIGHTS = "config.json", "scorer.weights.h5"


@pytest.fixture(scope="module")
def detector():
    model = tiny_model(jit_compile=False)
    metadata = {"entry": ENTRY, "normal_class": None}
    return Detector.from_model(VectorPreprocessor().fit(tiny_data()), model, metadata=metadata)


@pytest.fixture
def published(detector, tmp_path, monkeypatch):
    """A registry with one preset that is not bundled, the folder that is served, and a cache."""
    served = zoo.save_preset(detector, tmp_path / "served" / ENTRY / VARIANT)
    files = json.loads((served / MANIFEST).read_text())
    registry = {"release": None, "presets": {ENTRY: {VARIANT: files}}}
    monkeypatch.setattr(presets, "REGISTRY", write_json(tmp_path / "registry.json", registry))
    monkeypatch.setattr(presets, "BUNDLED", tmp_path / "bundled")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv(presets.BASE_ENV, raising=False)
    return served


class Server(http.server.BaseHTTPRequestHandler):
    """Serves a folder; `spoil` says what goes wrong with a file, and how."""

    def do_GET(self):  # noqa: N802 - the standard library's name
        self.server.requests += 1
        path = self.server.folder / self.path.lstrip("/")
        how = self.server.spoil.get(path.name)
        if how == "missing" or not path.is_file():
            self.send_error(404)
            return
        if how == "reset":
            body = path.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:100])
            # closed with data unsent: the client sees a reset, not an end
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            return
        if how == "hang":
            time.sleep(3)
            return
        body = path.read_bytes()
        if how == "corrupt":
            body = body[:-1] + bytes([body[-1] ^ 1])
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if how == "truncate" else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(published, monkeypatch):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        server.folder, server.spoil, server.requests = published.parents[1], {}, 0
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv(presets.BASE_ENV, f"http://127.0.0.1:{server.server_port}/")
        yield server
        server.shutdown()


def content(folder):
    """Every file below a folder, by name."""
    files = (path for path in folder.rglob("*") if path.is_file()) if folder.exists() else ()
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_preset_is_downloaded_once_and_then_used_offline(server, detector, monkeypatch):
    scores = zoo.load(ENTRY).anomaly_score(RAW)
    np.testing.assert_array_equal(scores, detector.anomaly_score(RAW))
    assert server.requests == 2
    assert set(content(presets.cache_folder(ENTRY, VARIANT))) == {CONFIG, WEIGHTS, MANIFEST}
    monkeypatch.setenv(presets.BASE_ENV, "http://127.0.0.1:9/")  # nobody listens there
    np.testing.assert_array_equal(zoo.load(ENTRY).anomaly_score(RAW), scores)
    assert server.requests == 2


def test_a_file_address_works(published, detector, monkeypatch):
    monkeypatch.setenv(presets.BASE_ENV, published.parents[1].as_uri())
    scores = zoo.load(ENTRY).anomaly_score(RAW)
    np.testing.assert_array_equal(scores, detector.anomaly_score(RAW))


@pytest.mark.parametrize("cached", ["nothing", "an older version"])
@pytest.mark.parametrize("file", [CONFIG, WEIGHTS])
@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("missing", ConnectionError, "could not be downloaded.*404"),
        ("truncate", ConnectionError, "could not be downloaded"),
        ("reset", ConnectionError, "could not be downloaded"),
        ("corrupt", ValueError, "not the file that this version expects.*sha256"),
    ],
)
def test_a_failed_download_leaves_the_cache_as_it_was(server, file, how, error, message, cached):
    cache = presets.cache_folder(ENTRY, VARIANT)
    if cached != "nothing":
        cache.mkdir(parents=True)
        (cache / CONFIG).write_text("{}")
    before = content(cache.parents[2])
    server.spoil[file] = how
    with pytest.raises(error, match=message):
        zoo.load(ENTRY)
    assert content(cache.parents[2]) == before
    server.spoil.clear()
    zoo.load(ENTRY)
    assert set(content(cache)) == {CONFIG, WEIGHTS, MANIFEST}


def test_a_dead_server_and_one_that_hangs(server, monkeypatch):
    cache = presets.cache_folder(ENTRY, VARIANT)
    monkeypatch.setattr(presets, "TIMEOUT_S", 0.3)
    server.spoil[CONFIG] = "hang"
    with pytest.raises(ConnectionError, match="could not be downloaded.*timed out"):
        zoo.load(ENTRY)
    assert socket.getdefaulttimeout() is None
    monkeypatch.setenv(presets.BASE_ENV, "http://127.0.0.1:9/")
    with pytest.raises(ConnectionError, match=r"127.0.0.1:9/.*could not be downloaded.*unchanged"):
        zoo.load(ENTRY)
    assert content(cache.parents[2]) == {}


@contextlib.contextmanager
def file_size_limit(size):
    """Writes beyond `size` bytes fail with an OSError, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_fills_up_during_the_download(server, published):
    cache = presets.cache_folder(ENTRY, VARIANT)
    size = (published / WEIGHTS).stat().st_size
    assert size > (published / CONFIG).stat().st_size
    with (
        file_size_limit(size - 1000),
        pytest.raises(OSError, match="Nothing was changed there. Free some space"),
    ):
        zoo.load(ENTRY)
    assert content(cache.parents[2]) == {}


def test_a_damaged_file_in_the_cache_is_fetched_again(server):
    zoo.load(ENTRY)
    path = presets.cache_folder(ENTRY, VARIANT) / WEIGHTS
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    zoo.load(ENTRY)
    assert path.read_bytes() == whole and server.requests == 4


def test_without_any_address_the_variable_is_named(published):
    with pytest.raises(ConnectionError, match=f"Set {presets.BASE_ENV}"):
        zoo.load(ENTRY)


def test_a_bundled_preset_never_asks_the_network_and_is_verified(published, server):
    shutil.copytree(published, presets.BUNDLED / ENTRY / VARIANT)
    zoo.load(ENTRY)
    assert server.requests == 0
    path = presets.BUNDLED / ENTRY / VARIANT / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="bundled preset .* is damaged: scorer.weights.h5 has"):
        zoo.load(ENTRY)


def test_a_preset_folder_is_verified(published):
    assert zoo.load(published).metadata["entry"] == ENTRY
    config = published / CONFIG
    config.write_text(config.read_text().replace('"features"', '"l1"'))
    with pytest.raises(ValueError, match="is damaged: config.json has sha256"):
        zoo.load(published)


def edited(folder, **changes):
    """A saved detector without a manifest, its config changed."""
    (folder / MANIFEST).unlink()
    config = json.loads((folder / CONFIG).read_text())
    write_json(folder / CONFIG, {**config, **changes})
    return folder


def test_another_format_is_named(published):
    with pytest.raises(ValueError, match="has format 99; this version reads 1"):
        zoo.load(edited(published, format=99))


def test_weights_of_another_architecture_are_refused(published, detector):
    architecture = detector.scorer.architecture()
    architecture["networks"]["D_xx"][0]["units"] += 1
    with pytest.raises(ValueError, match="does not contain the weights of this architecture"):
        zoo.load(edited(published, scorer=architecture))


@pytest.mark.parametrize("keep", [0, 100, -100])
def test_a_cut_weights_file_is_refused_without_a_manifest_too(published, keep):
    (published / MANIFEST).unlink()
    path = published / WEIGHTS
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="damaged, cut off, or from another version"):
        zoo.load(published)
