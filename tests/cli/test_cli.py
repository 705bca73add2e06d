"""The command line answers what needs no TensorFlow without importing it."""

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import alad_tf
from alad_tf.cli import app
from alad_tf.cli.lines import duration

CODE = """
import sys
from alad_tf.cli import main
try:
    main()
finally:
    print("imported:", sorted({"tensorflow", "keras", "pandas", "sklearn"} & set(sys.modules)))
"""


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"]])
def test_help_imports_no_heavy_package(arguments):
    command = [sys.executable, "-c", CODE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "imported: []" in done.stdout


def test_the_version_is_the_packages():
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0 and result.stdout.strip() == f"alad-tf {alad_tf.__version__}"


@pytest.mark.parametrize(
    ("words", "found"),
    [("alad expl", ["explain"]), ("alad describe arrhythmia_al", ["arrhythmia_alad"])],
)
def test_the_shell_completes_commands_and_entries(words, found):
    words = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    code = "import sys; sys.argv = ['alad']; from alad_tf.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **words, "_ALAD_COMPLETE": "complete_bash"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == found, done.stderr


def test_durations_are_as_precise_as_estimates():
    seconds = (0.4, 3.2, 74, 300, 4000, 200_000)
    words = "1 second,3 seconds,75 seconds,5 minutes,65 minutes,56 hours"
    assert ",".join(map(duration, seconds)) == words
