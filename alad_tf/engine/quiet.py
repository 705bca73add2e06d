"""TensorFlow's log lines, which would come before anything that a command prints."""

import contextlib
import importlib.abc
import importlib.util
import os
import re
import sys
import tempfile

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
REMARK = re.compile(
    r"[IW]\d{4} \d\d:\d\d:|WARNING: All log messages before absl::|To enable the following instr"
)


def quiet_tensorflow():
    """Hide TensorFlow's log lines, unless the user has set TF_CPP_MIN_LOG_LEVEL to less than 3.

    For commands, before TensorFlow is imported. At level 3 it logs fatal errors only; others are
    raised as exceptions as well. It reads the level too late for what it logs while it is imported:
    these lines are removed from standard error, except errors.
    """
    if os.environ.setdefault(LEVEL, "3") == "3" and "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _Quietly())


def without_remarks(text):
    """A text without the lines that TensorFlow and absl log for information, or as a warning.

    Example:
        >>> without_remarks("I0000 00:00:1795736176.9 16268 port.cc:153] on\\nE0000 00:00:1 no\\n")
        'E0000 00:00:1 no\\n'
    """
    return "".join(line for line in text.splitlines(True) if not REMARK.match(line))


class _Quietly(importlib.abc.MetaPathFinder):
    """Finds TensorFlow, once, with a loader that prints no remarks."""

    def find_spec(self, name, path=None, target=None):
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None:
            load = spec.loader.exec_module

            def exec_module(module):
                with _filtered_errors():
                    load(module)

            spec.loader.exec_module = exec_module
        return spec


@contextlib.contextmanager
def _filtered_errors():
    """What the body writes to standard error comes at its end, without remarks."""
    try:
        original = os.dup(2)
    except OSError:  # there is none
        yield
        return
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            if sys.stderr is not None:
                sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)
            written.seek(0)
            text = written.read().decode(errors="backslashreplace")
            os.write(2, without_remarks(text).encode(errors="backslashreplace"))
