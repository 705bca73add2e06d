"""fit, score and explain: a detector for a file or folder without Python."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_demo import is_png
from typer.testing import CliRunner

from alad_tf import ALADDetector, Detector
from alad_tf.cli import app, detect

FEW = ["--steps", "40", "--members", "1"]


def run(*arguments):
    return CliRunner().invoke(app, [str(word) for word in arguments], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def orders(tmp_path_factory):
    """A table of 400 orders, two of them odd, as CSV."""
    generator, n = np.random.default_rng(0), 400
    items = generator.integers(1, 9, n)
    table = pd.DataFrame(
        {
            "id": range(1000, 1000 + n),
            "items": items,
            "weight": (0.8 * items + 0.1 * generator.normal(size=n)).round(3),
            "country": generator.choice(["DE", "FR"], n),
            "code": generator.choice(["01", "02", "x|y"], n),
            "bad": 0,
        }
    )
    table.loc[7, ["weight", "bad"]] = [60.0, 1]
    table.loc[9, ["weight", "bad"]] = [-40.0, 1]
    path = tmp_path_factory.mktemp("orders") / "orders.csv"
    table.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def fitted(orders):
    folder = orders.parent / "detector"
    result = run("fit", orders, "--out", folder, "--exclude", "id,bad", *FEW)
    assert result.exit_code == 0, result.output
    return folder, result


def test_fit_writes_a_detector_and_a_report(orders, fitted):
    folder, result = fitted
    assert "threshold flags 1.23% of normal rows" in result.output
    table = pd.read_csv(orders)
    estimator = ALADDetector.load(folder)
    assert list(estimator.feature_names_in_) == ["items", "weight", "country", "code"]
    score = estimator.anomaly_score(table.drop(columns=["id", "bad"]))
    assert sorted(np.argsort(-score)[:2]) == [7, 9]
    report = (folder / "report/report.md").read_text()
    rows = [line for line in report.splitlines() if line.startswith("| ")]
    assert rows[1].startswith(("| 7 |", "| 9 |")) and rows[2].startswith(("| 7 |", "| 9 |"))
    assert "weight: 60, expected" in report and "weight: -40, expected" in report
    assert "400 rows of 4 columns" in report
    for name in ("score_histogram.png", "row_7.png"):
        assert f"({name})" in report
    assert is_png(folder / "report/score_histogram.png", 840, 504)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_score_keeps_rows_and_order(orders, fitted, tmp_path, suffix, monkeypatch):
    """In batches of 150 rows, of which each has its score, p-value and verdict."""
    monkeypatch.setattr("alad_tf.cli.score_files.write_scores.__defaults__", (None, 150))
    folder, _ = fitted
    path = tmp_path / f"scores{suffix}"
    result = run("score", folder, orders, "--out", path)
    assert result.exit_code == 0, result.output
    assert "rows      400" in result.output
    found = pd.read_csv(path) if suffix == ".csv" else pd.read_parquet(path)
    assert list(found.columns) == ["row", "score", "p_value", "is_anomaly"]
    assert found["row"].tolist() == list(range(400))
    detector, table = Detector.load(folder), pd.read_csv(orders, dtype={"code": str})
    np.testing.assert_allclose(found["score"], detector.anomaly_score(table), rtol=1e-6)
    np.testing.assert_allclose(found["p_value"], detector.p_value(table))
    np.testing.assert_array_equal(found["is_anomaly"], detector.predict(table))


def test_a_bad_row_is_named_and_leaves_no_file(orders, fitted, tmp_path):
    folder, _ = fitted
    table = pd.read_csv(orders).astype({"items": object})
    table.loc[3, "items"] = "many"
    table.to_csv(tmp_path / "bad.csv", index=False)
    result = run("score", folder, tmp_path / "bad.csv", "--out", tmp_path / "s.csv")
    assert isinstance(result.exception, ValueError)
    assert "rows 0 to 399: column 'items' held numbers" in str(result.exception)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.csv"]


def test_explain_tells_and_draws(orders, fitted, tmp_path):
    folder, _ = fitted
    result = run("explain", folder, orders, "--out", tmp_path, "--rows", "7,20")
    assert result.exit_code == 0, result.output
    told = result.output
    first = told[told.index("row 7") : told.index("row 20")]
    assert first.index("weight") < min(first.find(c) for c in ("items", "code") if c in first)
    assert {p.name for p in tmp_path.iterdir()} == {"row_7.png", "row_20.png"}
    result = run("explain", folder, orders, "--out", tmp_path, "--top", "1")
    assert "row 7" in result.output or "row 9" in result.output
    wrong = run("explain", folder, orders, "--out", tmp_path, "--rows", "400")
    assert "expected numbers from 0 to 399" in str(wrong.exception)


def test_labels_set_the_threshold(orders, tmp_path):
    options = ["--label", "bad", "--exclude", "id", *FEW]
    result = run("fit", orders, "--out", tmp_path / "d", *options)
    assert result.exit_code == 0, result.output
    assert "best F1, 1.000, on 81 labelled rows" in result.output
    detector = Detector.load(tmp_path / "d")
    table = pd.read_csv(orders)
    assert detector.predict(table)[[7, 9]].all()
    assert "bad" not in detector.preprocessor.names


def test_a_share_sets_the_threshold(orders, tmp_path):
    options = ["--contamination", "0.05", "--exclude", "id,bad", *FEW]
    result = run("fit", orders, "--out", tmp_path / "d", *options)
    assert result.exit_code == 0, result.output
    path = tmp_path / "s.csv"
    run("score", tmp_path / "d", orders, "--out", path)
    found = pd.read_csv(path)
    assert list(found.columns) == ["row", "score", "is_anomaly"]
    assert found["is_anomaly"].sum() == 20


def test_a_folder_of_images(tmp_path):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 40, (30, 10, 12), dtype="uint8")
    images[:, 2:6, 3:8] = 220
    images[4] = generator.integers(0, 256, (10, 12))
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(pictures / f"{number:02d}.png")
    folder, scores = tmp_path / "d", tmp_path / "s.csv"
    result = run("fit", pictures, "--out", folder, "--size", "8x8", "--steps", 10, "--members", 1)
    assert result.exit_code == 0, result.output
    report = (folder / "report/report.md").read_text()
    assert "30 images of 8 x 8 pixels" in report and "| 04.png |" in report
    # the size and the colours are the detector's: the same folder is read as it was fitted
    assert run("score", folder, pictures, "--out", scores).exit_code == 0
    found = pd.read_csv(scores)
    assert found["row"].tolist() == [f"{n:02d}.png" for n in range(30)]
    assert found["score"].idxmax() == 4
    result = run("explain", folder, pictures, "--out", tmp_path / "why", "--rows", "4,0")
    assert result.exit_code == 0, result.output
    assert [p.name for p in (tmp_path / "why").iterdir()] == ["images_0.png"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--exclude", "absent"], "has no column 'absent'; it has"),
        (["--label", "items"], "True or 1 for an anomaly"),
        (["--size", "8"], "expected HEIGHTxWIDTH"),
        (["--score", "best"], "Unknown score 'best'"),
    ],
)
def test_wrong_options_are_named(orders, tmp_path, options, told):
    result = run("fit", orders, "--out", tmp_path / "d", *options)
    assert told in str(result.exception)
    assert not (tmp_path / "d").exists()


def test_scores_go_to_known_kinds_of_files(orders, fitted, tmp_path):
    result = run("score", fitted[0], orders, "--out", tmp_path / "s.xlsx")
    assert "expected a .csv or .parquet file" in str(result.exception)


def test_sizes_and_names_are_parsed():
    assert detect._size("64x48") == (64, 48)
    assert detect._names(" a, b ,") == ["a", "b"]
