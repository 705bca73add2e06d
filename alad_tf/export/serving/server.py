"""`alad serve`: one exported detector behind TensorFlow Serving's routes, on a workstation."""

import contextlib
import os
import signal
import socket
import threading
import time
from http import HTTPStatus

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from alad_tf.export.serving.grpc import grpc_server
from alad_tf.export.serving.model import ServedModel
from alad_tf.export.serving.rest import MOST_BYTES, error_response, rest_app

GRACE_S = 25  # within the 30 seconds that Kubernetes and `docker stop -t 30` leave
HEADERS_S = 10  # for a request's line and headers to arrive
HEADERS_BYTES = 16 * 2**10
UNREAD_S = 30  # until a client that does not read its answer is disconnected
CONNECTIONS = 64  # open at a time; further ones are answered with 503
STOPPING = (signal.SIGINT, signal.SIGTERM)

_busy = error_response(
    503, f"The server has {CONNECTIONS} connections already. Try again.", {"connection": "close"}
)


class Connection(H11Protocol):
    """HTTP/1.1 with limits that uvicorn lacks: on waiting for headers, and on connections."""

    _deadline = None

    def connection_made(self, transport):
        super().connection_made(transport)
        # asyncio does so for sockets that name their protocol; a listener's do not. Else the second
        # packet of an answer waits for the client's delayed acknowledgement, 40 ms.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self.connections) > 4 * CONNECTIONS:
            transport.abort()
        elif len(self.connections) > CONNECTIONS:
            self.app = _busy
        self._watch()

    def data_received(self, data):
        super().data_received(data)
        self._watch()

    def connection_lost(self, error):
        super().connection_lost(error)
        if self._deadline:
            self._deadline.cancel()

    def send_400_response(self, message):
        self._hang_up(
            400, f"Not a valid HTTP request, or its headers exceed {HEADERS_BYTES:,} bytes."
        )

    def _watch(self):
        """Start the clock when a request is awaited, stop it when its headers have arrived."""
        awaited = self.cycle is None or self.cycle.response_complete
        if awaited and self._deadline is None:
            message = f"The request's headers took longer than {HEADERS_S} seconds."
            self._deadline = self.loop.call_later(HEADERS_S, self._hang_up, 408, message)
        elif not awaited and self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def _hang_up(self, status, text):
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            answer = error_response(status, text, {"connection": "close"})
            lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
            lines += [name + b": " + value for name, value in answer.raw_headers]
            self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + answer.body)
        self.transport.close()


class _Rest(uvicorn.Server):
    """uvicorn's server, which also stops the gRPC server as soon as it begins to stop."""

    def __init__(self, config, grpc, grace_s):
        super().__init__(config)
        self._grpc, self._grace_s, self.grpc_stopped = grpc, grace_s, None

    async def shutdown(self, sockets=None):
        self.grpc_stopped = self._grpc.stop(self._grace_s)
        await super().shutdown(sockets)


class Server:
    """A model behind REST and gRPC.

    Args:
        folder: str or Path of an export, `NAME/VERSION`.
        host: str, the name or address to listen on.
        port, grpc_port: ints, the ports of REST and gRPC; 0: any free port.
        most_bytes: int, the largest request that is read.
        grace_s: float, the seconds that open requests have to finish when the server is stopped.

    Attributes:
        model: `ServedModel`.
        port, grpc_port: ints, the ports on which it listens.

    Raises:
        FileNotFoundError: if there is no export in the folder.
        ValueError: if the export is damaged.
        OSError: if a port is in use or not allowed, or the host is unknown.

    Example:
        >>> import json, tempfile, urllib.request
        >>> from pathlib import Path
        >>> import tensorflow as tf
        >>> folder = Path(tempfile.mkdtemp()) / "double/1"  # an export: detector.export("served")
        >>> model, x = tf.Module(), tf.TensorSpec((None,), name="x")
        >>> double = tf.function(lambda x: {"score": 2 * x}).get_concrete_function(x=x)
        >>> tf.saved_model.save(model, str(folder), {"serving_default": double})
        >>> (folder / "assets.extra").mkdir()
        >>> _ = (folder / "assets.extra/metadata.json").write_text("{}")
        >>> with Server(folder, port=0, grpc_port=0).running() as server:
        ...     asked = json.dumps({"instances": [1.0, 2.5]}).encode()
        ...     answer = urllib.request.urlopen(server.url + ":predict", asked)
        ...     json.load(answer)
        {'predictions': [2.0, 5.0]}
        >>> server.stop()  # the end of the block did that already
    """

    def __init__(
        self,
        folder,
        host="127.0.0.1",
        port=8501,
        grpc_port=8500,
        most_bytes=MOST_BYTES,
        grace_s=GRACE_S,
    ):
        self.model, self.host = ServedModel.load(folder), host
        self._grace_s = grace_s
        family, address = _resolve(host)
        self._socket = _listen(family, address, port)
        self.port = self._socket.getsockname()[1]
        try:
            self._grpc, self.grpc_port = grpc_server(
                self.model, _bracketed(address), grpc_port, most_bytes
            )
        except OSError:
            self._socket.close()
            raise
        config = uvicorn.Config(
            rest_app(self.model, most_bytes),
            http=Connection,
            ws="none",
            lifespan="off",
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=HEADERS_BYTES,
            timeout_graceful_shutdown=grace_s,
        )
        self._rest = _Rest(config, self._grpc, grace_s)

    @property
    def url(self):
        """The model's address: append ":predict"."""
        return f"http://{_bracketed(self.host)}:{self.port}/v1/models/{self.model.name}"

    @property
    def grpc_address(self):
        """Where gRPC listens: "host:port"."""
        return f"{_bracketed(self.host)}:{self.grpc_port}"

    def run(self):
        """Answer requests until SIGINT, SIGTERM or `stop`.

        Then new requests are refused, and open ones have `grace_s` seconds to finish. Signals stop
        the server only in the main thread; their previous handlers are restored afterwards.

        Example:
            >>> # Server("served/kdd99_alad/1").run()
        """
        # uvicorn raises a signal that stopped it once more when it has ended: it must find a
        # handler that does no harm, or gRPC would not be drained
        with _on_signals(lambda *_: self.stop()):
            try:
                self._rest.run(sockets=[self._socket])
            finally:
                (self._rest.grpc_stopped or self._grpc.stop(self._grace_s)).wait()
                self._socket.close()

    def stop(self):
        """Let `run` return."""
        self._rest.should_exit = True

    @contextlib.contextmanager
    def running(self):
        """Answer requests in another thread while the body runs.

        Yields:
            the `Server`, once it answers.
        """
        thread = threading.Thread(target=self.run, daemon=True)
        thread.start()
        try:
            while not self._rest.started and thread.is_alive():
                time.sleep(0.01)
            yield self
        finally:
            self.stop()
            thread.join()


@contextlib.contextmanager
def stopping_early():
    """Exit with status 0 at SIGINT or SIGTERM in the body, unwinding so that scratch files go.

    Around what is done before `Server.run`, which has its own way to stop.
    """

    def leave(*_):
        raise SystemExit(0)

    with _on_signals(leave):
        yield


@contextlib.contextmanager
def _on_signals(handler):
    if threading.current_thread() is not threading.main_thread():  # signals come to that one only
        yield
        return
    before = {number: signal.signal(number, handler) for number in STOPPING}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _resolve(host):
    """One address of a host, so that REST and gRPC listen on the same one."""
    try:
        family, *_, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise OSError(
            f"The host {host!r} cannot be resolved: {error.strerror}. Pass an address of this "
            "machine, such as 127.0.0.1, or 0.0.0.0 for all of them."
        ) from error
    return family, address[0]


def _bracketed(host):
    return f"[{host}]" if ":" in host else host


def _listen(family, address, port):
    try:
        listener = socket.create_server((address, port), family=family)
    except OSError as error:
        raise OSError(
            f"The REST port {port} of {address} cannot be used: {os.strerror(error.errno)}. "
            "Choose another one, or 0 for any free port."
        ) from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # of Linux; connections inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_S * 1000)
    return listener
