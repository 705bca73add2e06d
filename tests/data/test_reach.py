"""Servers that are there, that are not, and proxies, over loopback."""

import socket
import time

import pytest

from alad_tf.data import load
from alad_tf.data.raw import no_tfds_error, require_reachable


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_a_server_that_listens_is_reached_and_one_that_does_not_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/data.gz"
        require_reachable(address, tmp_path)
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1 cannot be reached"):
        require_reachable(address, tmp_path)


def test_behind_a_proxy_nothing_is_checked(monkeypatch, tmp_path):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    require_reachable("https://nowhere.invalid/data.gz", tmp_path)
    with pytest.raises(ConnectionError, match="nowhere.invalid cannot be reached"):
        require_reachable("http://nowhere.invalid/data.gz", tmp_path)


def test_where_files_were_downloaded_before_nothing_is_checked(tmp_path):
    address = "https://nowhere.invalid/data.gz"
    (tmp_path / "manual").mkdir()
    with pytest.raises(ConnectionError, match="nowhere.invalid cannot be reached"):
        require_reachable(address, tmp_path)
    (tmp_path / "data.gz").write_bytes(b"kept")
    require_reachable(address, tmp_path)


def test_a_set_that_cannot_be_downloaded_says_so_at_once(monkeypatch, tmp_path):
    from alad_tf.data import images, raw

    def unreachable(url, downloads):
        raise ConnectionError("the server cannot be reached")

    for module in (images, raw):
        monkeypatch.setattr(module, "require_reachable", unreachable)
    monkeypatch.delenv("ALAD_DATA_DIR", raising=False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    began = time.monotonic()
    with pytest.raises(ConnectionError, match="cifar10 could not be downloaded: the server"):
        load("cifar10")
    with pytest.raises(ConnectionError, match="yourself into .* and try again"):
        load("kdd99")
    assert time.monotonic() - began < 60  # TFDS alone tries for over three minutes


def test_versions_that_do_not_go_together_are_named():
    found = RuntimeError("Detected incompatible Protobuf Gencode/Runtime versions\nand more")
    told = str(no_tfds_error("cifar10", found))
    assert "(Detected incompatible Protobuf Gencode/Runtime versions)" in told
    assert "pip install 'tensorflow-metadata<1.18'" in told
    assert "pip install tensorflow-datasets" in str(no_tfds_error("cifar10", ImportError("none")))
