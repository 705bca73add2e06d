"""The command line answers what needs no TensorFlow without importing it."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

import alad_tf
from alad_tf.cli import app

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
