"""The report's tables and figures: numbers as in the JSONs, pictures from results alone."""

import json
import shutil
import statistics
from pathlib import Path

import numpy as np
import pytest
from schematic import draw
from test_report import ENTRIES, image_run

import zoo
from alad_tf.experiments import paper
from alad_tf.experiments.errors import examples_path, read_examples
from alad_tf.experiments.figures import NAMES, figure_sections, write_figures
from alad_tf.experiments.plan import EXPERIMENTS, OTHER_RUNS, runs_of
from alad_tf.experiments.report import write_report
from alad_tf.experiments.results import read_frame, read_results, write_result
from alad_tf.experiments.tables import (
    QUESTIONS,
    open_questions,
    reproduction,
    table_eight,
    table_five,
    table_four,
    table_one,
    table_seven,
    table_six,
    table_three,
    table_two,
)

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results"


def cells(lines):
    """The rows of a Markdown table by their first two cells."""
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in lines if line[:2] == "| "]
    return {tuple(row[:2]): row[2:] for row in rows[1:] if "---" not in row[0]}


def copy_of_results(folder):
    """The results as a newcomer has them, without pictures."""
    return shutil.copytree(RESULTS, folder / "results", ignore=shutil.ignore_patterns("figures"))


def test_the_report_is_a_function_of_the_results(tmp_path):
    results = copy_of_results(tmp_path)

    def files():
        written = [write_report(ENTRIES, results, tmp_path / "R.md"), *results.rglob("*")]
        return {p: p.read_bytes() for p in written if p.is_file()}

    first = files()
    assert files() == first
    assert (tmp_path / "R.md").read_text() == (ROOT / "RESULTS.md").read_text()
    drawn = {path.name for path in (results / "figures").iterdir()}
    assert drawn == {path.name for path in (RESULTS / "figures").iterdir()}


def test_what_has_not_been_run_is_said(tmp_path):
    frame = read_frame(tmp_path)  # without a row
    tables = [table(frame) for table in (table_five, table_six, table_seven, table_eight)]
    for lines in (table_one(tmp_path), table_four(tmp_path), *tables):
        rows = cells(lines)
        assert rows and all("not run" in row or "not run" in key for key, row in rows.items())
    assert all(
        row[0] == "not run" for row in cells(table_three(ENTRIES, read_frame(tmp_path))).values()
    )
    assert set(write_figures(ENTRIES, tmp_path).values()) == {None}
    assert "\n".join(figure_sections(tmp_path)).count("Not run.") == len(NAMES)


def test_table_one_agrees_with_the_paper():
    rows = cells(table_one(RESULTS))
    counted = {key: row for key, row in rows.items() if "not run" not in key}
    assert len(counted) >= 3
    for (data, features), row in counted.items():
        name = next(k for k, v in paper.DATASETS.items() if v == data)
        assert (features, row[0]) == tuple(f"{n:,}" for n in paper.TABLE_ONE[name])


@pytest.mark.parametrize("dataset", paper.TABULAR)
def test_tables_five_and_seven_hold_the_means_of_the_runs(dataset):
    five, seven = cells(table_five(read_frame(RESULTS))), cells(table_seven(read_frame(RESULTS)))
    for variant, label in paper.ABLATIONS.items():
        runs = read_results(RESULTS, f"{dataset}_alad", variant)
        row = five[paper.DATASETS[dataset], label]
        assert row[0] == (str(len(runs)) if runs else "not run")
        if len(runs) > 1:
            values = [run["metrics"]["features"]["f1"] for run in runs]
            assert row[3] == f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}"
    runs = read_results(RESULTS, f"{dataset}_alad")
    for score in ("l1", "l2", "logits", "features"):
        row = seven[paper.DATASETS[dataset], score]
        values = [run["metrics"][score]["recall"] for run in runs]
        assert row[2].startswith(f"{statistics.mean(values):.4f}")
        printed = paper.TABLE_SEVEN[dataset][score][2][0]
        ours = statistics.mean(run["metrics"][score]["f1"] for run in runs)
        assert float(row[5]) == pytest.approx(ours - printed, abs=5.1e-5)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([0.948, 0.952, 0.950], "agrees"),
        ([0.930, 0.932, 0.931], "below the paper"),
        ([0.970, 0.972, 0.971], "above the paper"),
        ([0.90, 0.96, 0.98], "agrees"),  # seeds that differ much cannot tell
    ],
)
def test_the_first_table_says_whether_runs_agree_with_the_paper(tmp_path, values, verdict):
    run = {**image_run(0, 0, 0.9), "entry": "kdd99_alad", "variant": "default"}
    run |= {"dataset": "kdd99", "normal_class": None, "untrained": {}}
    for seed, f1 in enumerate(values):
        metrics = {score: {**found, "f1": f1} for score, found in run["metrics"].items()}
        write_result(tmp_path, {**run, "seed": seed, "metrics": metrics})
    lines = reproduction(ENTRIES, read_frame(tmp_path))
    (row,) = [line.strip("| ").split(" | ") for line in lines if line.startswith("| KDD99 |")]
    mean, spread = statistics.mean(values), statistics.stdev(values)
    error = (spread**2 / len(values) + 0.0018**2 / 10) ** 0.5
    assert row[2] == "0.9501 ± 0.0018" and row[3].startswith(f"{mean:.4f}")
    assert row[4:] == ["3 seeds", f"{mean - 0.9501:+.4f}", f"{error:.4f}", verdict]
    assert sum("| not run |" in line for line in lines) == 3  # Arrhythmia and both image sets


def test_the_first_table_compares_images_class_by_class(tmp_path):
    entry = zoo.entry("cifar10_alad")
    apart = [0.02, -0.03, 0.05, 0.01, 0.0, 0.04, -0.01, 0.02, -0.06, 0.03]
    for number, (reported, more) in enumerate(zip(entry.reported_by_class, apart, strict=True)):
        write_result(tmp_path, image_run(number, 0, reported + more))
    lines = reproduction(ENTRIES, read_frame(tmp_path))
    (row,) = [line.strip("| ").split(" | ") for line in lines if line.startswith("| CIFAR-10 |")]
    assert row[4] == "10 of 10 classes, 1 seed" and row[7] == "agrees"
    assert float(row[6]) == pytest.approx(statistics.stdev(apart) / 10**0.5, abs=5.1e-5)


def test_the_other_half_stands_beside_the_default(tmp_path):
    run = {**image_run(0, 0, 0.9), "entry": "kdd99_alad", "variant": OTHER_RUNS["default"]}
    run |= {"dataset": "kdd99", "normal_class": None, "untrained": {}}
    write_result(tmp_path, run)
    seven = cells(table_seven(read_frame(tmp_path)))
    for score in ("l1", "l2", "logits", "features"):
        assert seven["KDD99", score][0] == "not run"
        row = seven["KDD99, other half, in [0, 1]", score]
        assert row[:1] + row[3:4] == ["1", f"{run['metrics'][score]['f1']:.4f}"]
    two = cells(table_two(ENTRIES, read_frame(tmp_path)))
    assert two["KDD99", "ALAD, other half, in [0, 1]"][0] == "1"
    ablated = OTHER_RUNS["no_sn_no_dl"]
    write_result(tmp_path, {**run, "variant": ablated})
    five = cells(table_five(read_frame(tmp_path)))
    other = "KDD99, other half, in [0, 1]"
    runs = [five[other, label][0] for label in paper.ABLATIONS.values()]
    assert runs == [
        "1" if name in ("default", "no_sn_no_dl") else "not run" for name in paper.ABLATIONS
    ]


def test_tables_of_images_average_classes_and_say_how_many(tmp_path):
    for number, auroc in ((0, 0.5), (1, 0.7)):
        for seed in (0, 1):
            write_result(tmp_path, image_run(number, seed, auroc + 0.1 * seed))
    ablated = {**image_run(2, 0, 0.4), "variant": "class2_no_sn"}
    write_result(tmp_path, ablated)
    mean, spread = 0.65, statistics.stdev([0.55, 0.75])
    for table, label in (
        (table_three(ENTRIES, read_frame(tmp_path)), "ALAD"),
        (table_six(read_frame(tmp_path)), "Baseline + SN + DL"),
        (table_eight(read_frame(tmp_path)), "features"),
    ):
        row = cells(table)["CIFAR-10", label]
        assert row[:3] == [f"{mean:.4f} ± {spread:.4f}", "2 of 10", "2"]
    assert cells(table_six(read_frame(tmp_path)))["CIFAR-10", "Baseline + DL"][:2] == [
        "0.4000",
        "1 of 10",
    ]
    drawn = {name for name, path in write_figures(ENTRIES, tmp_path).items() if path}
    assert drawn == {"figure4", "figure8", "figure10"}
    assert (tmp_path / "figures/figure8.png").is_file()


def test_ablations_on_images_are_compared_on_the_classes_and_seeds_they_share(tmp_path):
    for number, seed, auroc in ((0, 0, 0.5), (0, 1, 0.9), (1, 0, 0.7), (2, 0, 0.95)):
        write_result(tmp_path, image_run(number, seed, auroc))
    for number, seed, auroc in ((0, 0, 0.4), (1, 0, 0.65), (3, 0, 0.1)):  # 3 has no full model
        run = {**image_run(number, seed, auroc), "variant": f"class{number}_no_dl"}
        write_result(tmp_path, run)
    rows = cells(table_six(read_frame(tmp_path)))
    shared = ["0.6000", "-0.0750"]  # of (0, 0) and (1, 0)
    assert rows["CIFAR-10", "Baseline + SN"][1:5] == ["3 of 10", "1", *shared]
    assert rows["CIFAR-10", "Baseline + SN + DL"][3:5] == ["", ""]


def test_open_questions_stand_beside_the_default(tmp_path):
    assert all(
        row[0] == "not run"
        for row in cells(open_questions(read_frame(tmp_path), tmp_path)).values()
    )
    for variant, auroc in (("class0", 0.7), ("class0_channels", 0.5)):
        write_result(tmp_path, {**image_run(0, 0, auroc), "variant": variant})
    rows = cells(open_questions(read_frame(tmp_path), tmp_path))
    axis = "CIFAR-10, airplane: D_xx's axis"
    assert rows[axis, "default"] == ["1", "AUROC", "0.7000", "0.7000"]
    assert rows[axis, "class0_channels"] == ["1", "AUROC", "0.5000", "0.5000"]
    shutil.copytree(RESULTS / "benchmarks", tmp_path / "benchmarks")
    measured = json.loads((RESULTS / "benchmarks/batch_norm.json").read_text())["auroc"]
    lines = open_questions(read_frame(tmp_path), tmp_path)
    for name, values in measured.items():
        name = name.replace("anew,", "recomputed,")
        assert f"| {name} | " + " | ".join(f"{v:.4f}" for v in values.values()) + " |" in lines


def test_every_open_question_has_its_runs_planned():
    planned = {(run.entry, run.settings.variant) for run in runs_of(EXPERIMENTS)}
    asked = {(entry, v) for _, entry, *variants, _ in QUESTIONS for v in variants}
    assert asked <= planned


def test_a_figure_without_runs_any_more_is_removed(tmp_path):
    write_result(tmp_path, image_run(0, 0, 0.6))
    path = write_figures(ENTRIES, tmp_path)["figure10"]
    shutil.rmtree(tmp_path / "cifar10_alad")
    assert write_figures(ENTRIES, tmp_path)["figure10"] is None and not path.exists()


def test_a_report_replaces_nothing_of_others(tmp_path):
    mine = tmp_path / "mine.md"
    mine.write_text("# Results\n\nof my own\n")
    with pytest.raises(FileExistsError, match=r"mine.md was not written by `alad report`"):
        write_report(ENTRIES, tmp_path, mine)
    picture = tmp_path / "figures" / "figure10.png"  # which a report without runs would remove
    picture.parent.mkdir()
    picture.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"figure10.png was not written by this program"):
        write_report(ENTRIES, tmp_path, tmp_path / "R.md")
    assert mine.read_text().endswith("own\n") and picture.read_bytes() == b"mine"
    assert not (tmp_path / "R.md").exists()


def test_a_report_is_recognised_whatever_its_line_ends(tmp_path):
    path = write_report(ENTRIES, tmp_path, tmp_path / "R.md")
    text = path.read_bytes()
    path.write_bytes(text.replace(b"\n", b"\r\n"))  # as a checkout on Windows has it
    assert write_report(ENTRIES, tmp_path, path).read_bytes() == text


def test_the_error_figure_is_drawn_from_kept_examples(tmp_path):
    from PIL import Image

    images = np.random.default_rng(0).integers(0, 256, (4, 10, 32, 32, 3), dtype="uint8")
    path = examples_path(tmp_path, "cifar10_alad", "class1", 0)
    path.parent.mkdir(parents=True)
    Image.fromarray(np.concatenate([np.concatenate(list(row), 1) for row in images])).save(path)
    np.testing.assert_array_equal(read_examples(path), images)
    told = {"classes": ["automobile"] * 10, "features": [1.0] * 10}
    path.with_suffix(".json").write_text(json.dumps({"normal": told, "anomalous": told}))
    assert write_figures(ENTRIES, tmp_path)["figure6"].is_file()


def test_the_schematic_is_drawn(tmp_path):
    """The picture in the README is the one that the code draws."""
    from PIL import Image

    drawn, kept = Image.open(draw(tmp_path / "a.png")), Image.open(ROOT / "docs/pictures/alad.png")
    assert drawn.size == kept.size
    apart = np.asarray(drawn.convert("L"), float) - np.asarray(kept.convert("L"))
    assert (np.abs(apart) > 40).mean() < 0.01  # fonts are drawn a little otherwise elsewhere
