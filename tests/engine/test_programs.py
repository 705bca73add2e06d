"""Compiled programs are shared, and a process says when it has no room for more."""

import pathlib

import numpy as np
import pytest

from alad_tf.engine import programs


class Model:
    variables = ()

    def __init__(self, key):
        self.key, self._programs = key, {}

    def program_key(self):
        return self.key


def test_models_of_one_key_share_a_program():
    compiled = []

    def make(function, specs=None):
        compiled.append(function)
        return lambda *arguments: len(arguments)

    for key in ("a", "a", "b", None):
        programs.kept(Model(key), "f", lambda: None, make)
    assert len(compiled) == 3


def test_a_full_process_says_so_before_it_crashes(monkeypatch):
    with open("/proc/self/maps", "rb") as lines:
        used = sum(1 for _ in lines)
    right = pathlib.Path.read_text

    def read(self, *arguments, **options):
        if str(self) == "/proc/sys/vm/max_map_count":
            return str(used + programs.MAPPINGS - 500)  # some may be freed meanwhile
        return right(self, *arguments, **options)

    programs.require_room()
    monkeypatch.setattr(pathlib.Path, "read_text", read)
    with pytest.raises(MemoryError, match="Continue in a new process"):
        programs.require_room()


@pytest.mark.parametrize("one_device", [True, False])
def test_rows_for_a_gpu_are_not_written_over(monkeypatch, one_device):
    """A GPU reads a tensor once and keeps its copy: new rows need a new tensor there."""
    monkeypatch.setattr(programs, "_one_device", lambda: one_device)
    staging = programs.Staging()
    first = staging.fill(np.full((2, 3), 1.0), 4)
    second = staging.fill(np.full((3, 3), 2.0), 4)
    np.testing.assert_array_equal(second[:, 0], [2, 2, 2, 0])
    assert float(first[0, 0]) == (2.0 if one_device else 1.0)
