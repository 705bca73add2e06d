"""What a user installs: the wheel, away from the checkout, with its weights, cards and command."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("alad_tf", "zoo", "setup.py", "pyproject.toml", "README.md", "LICENSE")
CODE = """
import json, alad_tf, zoo
from zoo import _presets as presets
told = {"places": [alad_tf.__file__, zoo.__file__], "version": alad_tf.__version__}
told["presets"] = {name: presets.variants(name) for name in zoo.list()}
told["cards"] = [name for name in zoo.list() if "## Intended use" in zoo.describe(name)]
bundled = [(n, v) for n, vs in told["presets"].items() for v in vs if v == "default"]
told["loaded"] = [zoo.load(n).score for n, v in bundled]
told["image"] = zoo.load("cifar10_alad", normal_class="airplane").metadata["variant"]
told["digits"] = zoo.load("digits_features_alad").score
told["frozen"] = zoo.entry("digits_features_alad").frozen_network().name
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the installed wheel and nothing else; the dependencies are this environment's.

    The wheel is built from a copy, so that nothing is left in the checkout.
    """
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        source, target = ROOT / name, folder / "source" / name
        target.parent.mkdir(exist_ok=True)
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, target, ignore=skip) if source.is_dir() else shutil.copy(
            source, target
        )
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([*build, str(folder / "source")], check=True)
    (wheel,) = folder.glob("*.whl")
    target = folder / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(wheel)], check=True)
    return target


def run(installed, command, folder):
    """The output of a command that finds the installed packages first, away from the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_everything_that_the_zoo_promises_is_in_the_wheel(installed, tmp_path):
    import zoo
    from zoo import _presets as presets

    told = json.loads(run(installed, [sys.executable, "-c", CODE], tmp_path))
    assert all(Path(place).is_relative_to(installed) for place in told["places"])
    assert told["presets"] == {name: presets.variants(name) for name in zoo.list()}
    assert told["cards"] == zoo.list()
    assert len(told["loaded"]) == 3 and told["image"] == "class0"
    assert (told["digits"], told["frozen"]) == ("combined", "letters")


@pytest.mark.xla
def test_the_command_runs_the_demo(installed, tmp_path):
    told = run(installed, [str(installed / "bin/alad"), "demo"], tmp_path)
    assert "Isolation Forest" in told
    assert (tmp_path / "runs/demo/detector/config.json").is_file()
