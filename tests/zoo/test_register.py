"""Entries of one's own: in Python, in a file, by the environment; trained by commands."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import zoo
from alad_tf.cli import app
from zoo import _loading as loading

ROOT = Path(__file__).parents[2]
FILE = ROOT / "examples/my_entry.py"


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Nothing is registered before a test, nor after it."""
    monkeypatch.setattr(loading, "_registered", {})
    monkeypatch.setattr(loading, "_files", {})
    monkeypatch.setenv(loading.ENTRIES_ENV, "")


def test_an_entry_in_python():
    mine = zoo.register(replace(zoo.entry("breast_cancer_alad"), name="mine", epochs=3))
    assert zoo.entry("mine") is mine and "mine" in zoo.list("breast_cancer")
    assert zoo.describe("mine").startswith("# mine (not in the paper)")
    assert "epochs: 3" in zoo.describe("mine")
    again = zoo.register(replace(mine, epochs=4))
    assert zoo.entry("mine") is again and zoo.list().count("mine") == 1
    with pytest.raises(ValueError, match="no pretrained weights for mine.*alad train mine"):
        zoo.load("mine")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "a name that the zoo does not use"),
        ({"name": "a/b"}, "letters, digits and underscores"),
        ({"name": "mine", "dataset": "orders"}, "data set 'orders'"),
    ],
)
def test_entries_that_are_none_are_explained(changes, told):
    with pytest.raises(ValueError, match=told):
        zoo.register(replace(zoo.entry("breast_cancer_alad"), **changes))
    with pytest.raises(ValueError, match="expected an entry"):
        zoo.register({"name": "mine"})


def test_commands_take_the_file(monkeypatch):
    """And processes that they start, such as those of --seeds, know the entry by its name."""
    trained = []

    def train(entry, *arguments):
        trained.append(entry)
        raise ValueError("far enough")

    monkeypatch.setattr("alad_tf.experiments.run.train", train)
    CliRunner().invoke(app, ["train", str(FILE)])
    assert trained == [zoo.entry("my_entry")] and trained[0].latent_dim == 2
    loading._registered.clear(), loading._files.clear()  # as in a new process
    described = CliRunner().invoke(app, ["describe", "my_entry"])
    assert described.exit_code == 0 and "# my_entry (my own table)" in described.output


@pytest.mark.slow  # the quick test is the one above
def test_the_example_trains_by_the_command_and_is_loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["train", str(FILE), "--epochs", "1", "--out", "run", "--results", "results"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert len(list(Path("results/my_entry").rglob("seed0.json"))) == 1
    detector = zoo.load("my_entry", weights="run")
    assert detector.metadata["entry"] == "my_entry" and detector.threshold is not None


def test_files_without_an_entry_are_named(tmp_path):
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(ValueError, match="empty.py does not define ENTRY"):
        zoo.entry(str(tmp_path / "empty.py"))
    with pytest.raises(FileNotFoundError, match="absent.py"):
        zoo.entry(tmp_path / "absent.py")


def test_the_page_shows_the_example():
    (shown,) = re.findall(r"```python\n(import zoo\nfrom alad_tf.*?)```", page(), flags=re.DOTALL)
    assert FILE.read_text().endswith(shown)


def page():
    return (ROOT / "docs/zoo.md").read_text(encoding="utf-8")
