"""The saved state of a long job, so that it can resume: arrays in a file with an identity."""

import hashlib
import io
import time
from pathlib import Path

import numpy as np

from alad_tf.engine.files import set_aside, write_bytes


class StateFile:
    """One file with a list of arrays, replaced at intervals.

    Args:
        path: str or Path of the `.npz` file, or None to keep nothing.
        identity: str, what the state belongs to; a file of another identity is not read.
        every_s: float, seconds between writes.
    """

    def __init__(self, path, identity, every_s=30.0):
        self.path = None if path is None else Path(path)
        self.identity = identity
        self.every_s = float(every_s)
        self._written_at = time.monotonic()

    def read(self):
        """The arrays, or None if there are none of this identity.

        A damaged file, which a crash of the machine or a full disk may leave, is renamed with a
        warning, and the result is None.
        """
        if self.path is None or not self.path.is_file():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as arrays:
                if str(arrays["identity"]) != self.identity:
                    return None
                return [arrays[f"a{i}"] for i in range(len(arrays.files) - 1)]
        except Exception as error:  # zip, zlib and NumPy each have their own for a damaged file
            set_aside(self.path, error)
            return None

    def write(self, arrays):
        """Replace the file, if there is a path and enough time has passed."""
        now = time.monotonic()
        if self.path is None or now - self._written_at < self.every_s:
            return
        named = {f"a{i}": np.asarray(array) for i, array in enumerate(arrays)}
        content = io.BytesIO()
        np.savez(content, identity=self.identity, **named)
        write_bytes(self.path, content.getvalue())
        self._written_at = time.monotonic()


Checkpoint = StateFile  # its name before the rooms


def identity_of(*parts):
    """A sha256 of strings and arrays together, as hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        array = isinstance(part, np.ndarray)
        content = np.ascontiguousarray(part).tobytes() if array else str(part).encode()
        digest.update(f"{len(content)}:".encode())
        digest.update(content)
    return digest.hexdigest()
