"""Commands print no log lines of TensorFlow; the library leaves the user's environment alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEVEL = "TF_CPP_MIN_LOG_LEVEL"


def run(*words, **environment):
    """A fresh process of Python, whose log level is only that of `environment`."""
    env = {name: value for name, value in os.environ.items() if name != LEVEL}
    env |= {"PYTHONPATH": str(ROOT), "COLUMNS": "200", **environment}
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd=ROOT)


def test_only_the_command_sets_the_level():
    code = f"""
import os, sys
before = dict(os.environ)
import alad_tf, alad_tf.data, alad_tf.cli
assert dict(os.environ) == before, "importing the library changed the environment"
sys.argv = ["alad", "--version"]
try:
    alad_tf.cli.main()
except SystemExit:
    print(os.environ[{LEVEL!r}], "tensorflow" in sys.modules)
"""
    assert run("-c", code).stdout.split()[-2:] == ["3", "False"]  # set before TensorFlow comes
    assert run("-c", code, **{LEVEL: "1"}).stdout.split()[-2:] == ["1", "False"]


def test_benchmarks_set_the_level():
    code = f"import os, benchmarks; print(os.environ[{LEVEL!r}])"
    assert run("-c", code).stdout == "3\n"
    assert run("-c", code, **{LEVEL: "0"}).stdout == "0\n"


@pytest.mark.slow  # imports TensorFlow in fresh processes
@pytest.mark.parametrize(
    "words, code, last",
    [
        ("alad_tf score breast_cancer_alad absent.csv --out scores.csv", 1, "Check the path."),
        ("benchmarks.train_step --rounds zero", 2, ""),
    ],
)
def test_an_error_is_all_that_is_printed(words, code, last, tmp_path):
    done = run("-m", *words.split())
    assert done.returncode == code and not done.stdout
    lines = done.stderr.splitlines()
    assert not [line for line in lines if "0000" in line or "absl" in line]
    if last:
        assert len(lines) == 1 and lines[0].startswith("alad: ") and lines[0].endswith(last)
