"""Scripts that name modules as earlier versions had them go on, with a warning."""

import importlib
import subprocess
import sys

import pytest

import alad_tf


@pytest.mark.parametrize("old", alad_tf._MOVED)
def test_an_earlier_name_is_the_module_at_its_new_place(old):
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{old} has moved to {alad_tf._MOVED[old]}"):
        module = importlib.import_module(old)
    assert module is importlib.import_module(alad_tf._MOVED[old])
    assert module.__spec__.name == module.__name__ == alad_tf._MOVED[old]


def test_a_command_by_an_earlier_name_runs():
    command = [sys.executable, "-m", "alad_tf.batch", "--help"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "alad_tf.export.batch" in run.stdout


def test_other_names_are_missing_as_ever():
    with pytest.raises(ModuleNotFoundError, match="alad_tf.nothing"):
        importlib.import_module("alad_tf.nothing")
