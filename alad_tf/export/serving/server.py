"""`alad serve`: one exported detector behind TensorFlow Serving's routes, on a workstation."""

import contextlib
import socket
import threading
import time

import uvicorn

from alad_tf.export.serving.grpc import grpc_server
from alad_tf.export.serving.model import ServedModel
from alad_tf.export.serving.rest import MOST_BYTES, rest_app

GRACE_S = 10  # for requests that are being answered when the server is told to stop


class Server:
    """A model behind REST and gRPC.

    Args:
        folder: str or Path of an export, `NAME/VERSION`.
        host: str to listen at.
        port, grpc_port: ints; 0 takes a free one.
        most_bytes: int, the greatest request that is read.

    Attributes:
        model: `ServedModel`.
        port, grpc_port: ints, where it listens.

    Raises:
        FileNotFoundError: no export there.
        OSError: a port is taken.

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

    def __init__(self, folder, host="127.0.0.1", port=8501, grpc_port=8500, most_bytes=MOST_BYTES):
        self.model, self.host = ServedModel.load(folder), host
        self._socket = socket.create_server((host, port))
        self.port = self._socket.getsockname()[1]
        self._grpc, self.grpc_port = grpc_server(self.model, f"{host}:{grpc_port}", most_bytes)
        config = uvicorn.Config(
            rest_app(self.model, most_bytes),
            log_level="warning",
            timeout_graceful_shutdown=GRACE_S,
        )
        self._rest = uvicorn.Server(config)

    @property
    def url(self):
        """The model's address: append ":predict"."""
        return f"http://{self.host}:{self.port}/v1/models/{self.model.name}"

    def run(self):
        """Answer requests until a signal (SIGINT, SIGTERM) or `stop`; those begun are finished.

        Example:
            >>> # Server("served/kdd99_alad/1").run()
        """
        try:
            self._rest.run(sockets=[self._socket])
        finally:
            self._grpc.stop(GRACE_S).wait()
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
