"""RESULTS.md says what the committed JSONs hold, and nothing else."""

import statistics
from pathlib import Path

import pytest

import zoo
from alad_tf.report import render
from alad_tf.results import read_results

ROOT = Path(__file__).resolve().parents[1]
ENTRIES = [zoo.entry(name) for name in zoo.list()]


def test_the_committed_report_is_the_rendered_one():
    assert (ROOT / "RESULTS.md").read_text() == render(ENTRIES, ROOT / "results")


@pytest.mark.parametrize("entry", ["kdd99_alad", "arrhythmia_alad"])
def test_the_report_holds_the_means_of_the_committed_runs(entry):
    runs = read_results(ROOT / "results", entry)
    assert len(runs) >= 3
    values = [run["metrics"]["features"]["f1"] for run in runs]
    cell = f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}"
    section = render(ENTRIES, ROOT / "results").split(f"## {entry}, default")[1].split("## ")[0]
    (row,) = [line for line in section.splitlines() if line.startswith("| features |")]
    assert row.split(" | ")[3] == cell
    difference = statistics.mean(values) - zoo.entry(entry).reported["f1"]
    (row,) = [line for line in section.splitlines() if line.startswith("| difference |")]
    assert row.split(" | ")[3] == f"{difference:+.4f}"


def test_what_has_not_been_run_is_shown_as_such(tmp_path):
    text = render(ENTRIES, tmp_path)
    assert text.count("Not run yet.") == len(ENTRIES)
