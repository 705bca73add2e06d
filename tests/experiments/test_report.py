"""RESULTS.md says what the committed JSONs hold, and nothing else."""

import statistics
from pathlib import Path

import pytest

import zoo
from alad_tf.experiments.report import render
from alad_tf.experiments.results import read_frame, read_results, write_history, write_result
from alad_tf.experiments.settings import Settings
from alad_tf.experiments.tables import TABLE_TWO, table_two

ROOT = Path(__file__).resolve().parents[2]
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


def rows_of_table_two(results):
    lines = [line for line in table_two(ENTRIES, read_frame(results)) if line.startswith("| ")][1:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {(data, model): rest for data, model, *rest in cells if data != "---"}


def test_table_two_has_every_method_run_on_both_tables():
    """The means are recomputed here from the JSONs; a method of the paper without a run fails."""
    table = rows_of_table_two(ROOT / "results")
    for dataset, title in (("kdd99", "KDD99"), ("arrhythmia", "Arrhythmia")):
        for label, method, changes, score in TABLE_TWO:
            variant = Settings(**changes).resolve(zoo.entry(f"{dataset}_{method}")).variant
            if changes and variant == "default":
                continue  # as the data set is by default: no row of its own
            runs = read_results(ROOT / "results", f"{dataset}_{method}", variant)
            if variant != "default" and not runs:
                assert (title, label) not in table
                continue
            cells = table[title, label]
            few = {"ocsvm": 1, "iforest": 10}.get(method, 3 if dataset == "kdd99" else 10)
            if variant == "default":
                assert len(runs) >= few, (title, label)
            assert cells[0] == str(len(runs))
            values = [run["metrics"][score]["f1"] for run in runs]
            assert cells[3].startswith(f"{statistics.mean(values):.4f}")
            assert len(values) == 1 or cells[3].endswith(f"± {statistics.stdev(values):.4f}")
    paper = {"OC-SVM": 0.7954, "IF": 0.9294, "DSEBM-r": 0.7328, "DSEBM-e": 0.7399}
    paper |= {"DAGMM": 0.9369, "AnoGAN, reconstruction 0.1": 0.8865, "ALAD": 0.9501}
    for model, f1 in paper.items():
        assert table["KDD99", model][4].endswith(f"{f1:.4f}")
        difference = float(table["KDD99", model][3].split()[0]) - f1
        assert float(table["KDD99", model][5]) == pytest.approx(difference, abs=1.1e-4)


def test_table_two_shows_what_has_not_been_run(tmp_path):
    table = rows_of_table_two(tmp_path)
    assert len(table) == 2 * 8  # the rows of the paper, AnoGAN's by two weightings
    assert all(cells[1] == "not run" for cells in table.values())


@pytest.mark.parametrize(
    ("name", "variant"), [("kdd99_dagmm", "swapped"), ("arrhythmia_dagmm", "default")]
)
def test_dagmm_trained_from_twenty_seeds(name, variant):
    """A result holds finite metrics of a training whose every weight was checked to be finite."""
    runs = read_results(ROOT / "results", name, variant)
    assert {run["seed"] for run in runs} >= set(range(20))
    assert all(run["epochs"] == zoo.entry(name).epochs for run in runs)


def test_a_baseline_without_networks_is_reported_by_class(tmp_path):
    run = {**image_run(3, 0, 0.6), "entry": "cifar10_iforest", "untrained": {}, "epochs": 0}
    run["metrics"] = {"score": run["metrics"]["l1"]}
    write_result(tmp_path, run)
    section = render(ENTRIES, tmp_path).split("## cifar10_iforest, default")[1].split("## ")[0]
    assert "| normal class | seeds | score |" in section and "untrained" not in section
    assert "epochs" not in section and "| cat | 1 | 0.6000 |" in section


def image_run(number, seed, auroc, kept=100):
    """A result of cifar10_alad as `alad train` writes it, with made-up numbers."""
    values = {"precision": 0.9, "recall": 0.9, "f1": 0.9, "auroc": auroc, "auprc": 0.9}
    scores = dict.fromkeys(("features", "l1", "l2", "logits"), values)
    return {
        "entry": "cifar10_alad",
        "dataset": "cifar10",
        "variant": f"class{number}",
        "normal_class": number,
        "seed": seed,
        "config": {"stopping": "fixed", "kept_epoch": kept},
        "protocol": {"train_rows": 3600, "validation_rows": 1200, "test_rows": 12000},
        "metrics": scores,
        "untrained": scores,
        "epochs": kept,
        "steps": 11200,
        "wall_s": 60.0,
        "versions": {},
        "hardware": {"processor": "P", "cores": 2, "gpus": []},
        "commit": None,
    }


def test_image_sets_are_reported_by_class(tmp_path):
    write_result(tmp_path, image_run(3, 0, 0.6))
    one_core = {"hardware": {"processor": "P", "cores": 1, "gpus": []}}
    write_result(tmp_path, {**image_run(3, 1, 0.8), **one_core})
    (cat,) = (line for line in render(ENTRIES, tmp_path).splitlines() if line.startswith("| cat "))
    assert cat.split(" | ")[1:3] == ["2", f"0.7000 ± {statistics.stdev([0.6, 0.8]):.4f}"]
    text = render(ENTRIES, tmp_path)
    assert "mean of the classes" not in text and "Not run yet: airplane, automobile" in text
    assert "weights kept: epoch 100 (stopping rule: fixed)" in text
    assert (
        "1.0 minutes on 1 or 2 cores (P); other runs may" in text
        and "| seeds | precision | features" not in text
    )
    rounded = image_run(0, 0, 0.5)
    rounded["config"]["precision"] = "bfloat16"
    write_result(tmp_path, rounded)
    lines = render(ENTRIES, tmp_path).splitlines()
    cells = [line.split(" | ")[1:3] for line in lines if line.startswith(("| cat ", "| airplane "))]
    assert cells == [["1", "bfloat16"], ["2", "float32"]]
    assert "2 cores (P, bfloat16 products); other" in "\n".join(lines)
    for number in range(10):
        write_result(tmp_path, image_run(number, 0, number / 10))
    text = render(ENTRIES, tmp_path)
    (mean,) = (line for line in text.splitlines() if line.startswith("| mean of the classes |"))
    # a class's seeds are averaged first: cat's are 0.3 and 0.8
    assert mean.split(" | ")[2] == f"{(sum(range(10)) / 10 + (0.55 - 0.3)) / 10:.4f}"
    rising = [5.0, 2.0] + [3.0] * 20
    write_history(tmp_path, image_run(3, 1, 0.8), [{"val_score": value} for value in rising])
    text = render(ENTRIES, tmp_path)
    assert "| cat | 1 | 5 | 2 | 2 | 3 | 12 |" in text
    assert "no mean here" not in text.split("## cifar10_alad, default")[1].split("## ")[0]
