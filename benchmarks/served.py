"""A detector behind `alad serve` in a process of its own, and what measures it over HTTP."""

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

SERVE = "from alad_tf.cli import main; main()"
ONE_BY_ONE = "from alad_tf.export.serving import together; together.MOST = 1; "


class Served:
    """`alad serve` of an export or a zoo entry, answering on loopback.

    Args:
        what: str or Path, an export's folder, a detector's, or a zoo entry.
        together: bool, whether requests that arrive together share a call, as they do.

    Attributes:
        host, port, path: where it answers.
        pid: int, the process.
    """

    def __init__(self, what, together=True):
        code = SERVE if together else ONE_BY_ONE + SERVE
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "serve", str(what), "--port", "0", "--grpc-port", "0"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "COLUMNS": "200", "PYTHONUNBUFFERED": "1"},
        )
        line = self.process.stdout.readline()
        found = re.search(r"http://([^:/]+):(\d+)(/\S+):predict", line)
        if not found:
            raise RuntimeError(f"The server did not start; it printed {line!r}.")
        self.host, self.port, self.path = found[1], int(found[2]), found[3]
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate(timeout=60)

    def client(self):
        """A connection that stays open: a function of a body, which returns the answer's bytes."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=120)
        headers = {"Content-Type": "application/json"}

        def send(body):
            connection.request("POST", f"{self.path}:predict", body, headers)
            return connection.getresponse()

        def ask(body):
            try:
                answer = send(body)
            except (ConnectionError, http.client.RemoteDisconnected):
                connection.close()  # the server has closed it, which was idle for seconds
                answer = send(body)
            content = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{answer.status}: {content[:300]!r}")
            return content

        return ask

    def memory(self):
        """Bytes that the process holds now, and the most it held since `forget_peak`."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return tuple(
            1024 * int(re.search(rf"{name}:\s+(\d+)", status)[1]) for name in ("VmRSS", "VmHWM")
        )

    def forget_peak(self):
        """Let the greatest memory be counted from now on."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")


@contextlib.contextmanager
def exported(detector, name):
    """A detector's export in a folder for the body of a `with` statement."""
    with tempfile.TemporaryDirectory() as scratch:
        yield detector.export(scratch, name)


def rows_of(detector, raw):
    """Raw records as the JSON-able rows of a REST request."""
    request = detector.preprocessor.request(raw)
    if len(request) == 1:
        (values,) = request.values()
        return np.asarray(values).tolist()
    columns = {name: np.asarray(values).tolist() for name, values in request.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def body_of(detector, raw):
    """A REST request's body, row by row."""
    return json.dumps({"instances": rows_of(detector, raw)}).encode()
