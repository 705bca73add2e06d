"""fit, score and explain: a detector for a file or folder without Python."""

import io
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console
from test_demo import is_png
from tiny import picture, tiny_network
from typer.testing import CliRunner

import zoo
from alad_tf import ALADDetector, Detector
from alad_tf.cli import app, detect, fit_report, main
from alad_tf.cli.image_size import size_by_rule
from alad_tf.cli.score_files import record_at, write_scores
from alad_tf.cli.tables import reasons_table
from alad_tf.cli.top_rows import TopRows
from alad_tf.cli.user_data import UserData, labelled_split
from alad_tf.detector.explain import Explanation, as_shown

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
    assert "threshold aims to flag at most 1% of normal rows" in result.output
    told = result.stderr
    assert "weight" in told and "number" in told and "category" in told  # what was decided
    assert told.index("to train (") < told.index("training steps 40/40")  # before it began
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
    assert "used in training" not in report  # no row is its own neighbour
    for name in ("score_histogram.png", "row_7.png"):
        assert f"({name})" in report
    assert is_png(folder / "report/score_histogram.png", 840, 504)
    page = (folder / "report/report.html").read_text()
    assert "Anomalies in orders.csv" in page and "<h3>Row 7</h3>" in page
    assert f"alad score {folder.name} new.csv" in page and ".partial" not in page
    assert f"report    {folder / 'report/report.html'}" in result.output


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_score_keeps_rows_and_order(orders, fitted, tmp_path, suffix, monkeypatch):
    """In batches of 150 rows, of which each has its score, p-value and verdict."""
    monkeypatch.setattr(
        "alad_tf.cli.score_files.write_scores.__defaults__", (None, 150, None, None, False)
    )
    folder, _ = fitted
    path, page = tmp_path / f"scores{suffix}", tmp_path / "top.html"
    result = run("score", folder, orders, "--out", path, "--report", page)
    assert result.exit_code == 0, result.output
    assert "rows      400" in result.output
    assert "<h3>Row 7</h3>" in page.read_text() and "expected" in page.read_text()
    (shown,) = [line for line in result.stdout.splitlines() if line.startswith("│ 7 ")]
    assert "weight 60 (expected" in shown and "yes" in shown
    assert "ignored" not in result.output  # columns that the fit was told to leave out
    found = pd.read_csv(path) if suffix == ".csv" else pd.read_parquet(path)
    assert list(found.columns) == ["row", "score", "p_value", "is_anomaly"]
    assert found["row"].tolist() == list(range(400))
    detector, table = Detector.load(folder), pd.read_csv(orders, dtype={"code": str})
    np.testing.assert_allclose(found["score"], detector.anomaly_score(table), rtol=1e-6)
    np.testing.assert_allclose(found["p_value"], detector.p_value(table))
    np.testing.assert_array_equal(found["is_anomaly"], detector.predict(table))


@pytest.mark.parametrize("values", [["ä", "b"], ["01", "x"], [1, 2], [None, "2026-11-26"]])
def test_further_columns_of_a_file_are_passed_over(breast_cancer, tmp_path, values):
    """Whatever they hold, and wherever they are, also for a detector of numbers alone."""
    names = zoo.load("breast_cancer_alad").preprocessor.names
    table = pd.DataFrame(np.asarray(breast_cancer.x)[:40], columns=names)
    found = []
    for place in (None, 0, 17, 30):
        given = table.copy()
        if place is not None:
            given.insert(place, "patient", values * 20)
        given.to_csv(tmp_path / "t.csv", index=False)
        out = tmp_path / f"{place}.csv"
        result = run("score", "breast_cancer_alad", tmp_path / "t.csv", "--out", out)
        assert result.exit_code == 0, result.output
        found.append(out.read_text())
    assert len(set(found)) == 1 and found[0].count("\n") == 41


def test_a_bad_row_is_named_and_leaves_no_file(orders, fitted, tmp_path):
    folder, _ = fitted
    table = pd.read_csv(orders).astype({"items": object})
    table.loc[3, "items"] = "many"
    table.to_csv(tmp_path / "bad.csv", index=False)
    result = run("score", folder, tmp_path / "bad.csv", "--out", tmp_path / "s.csv")
    assert isinstance(result.exception, ValueError)
    assert "bad.csv, line 5 (row 3), column 'items': 'many' is not a number" in str(
        result.exception
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.csv"]


def test_explain_tells_and_draws(orders, fitted, tmp_path):
    folder, _ = fitted
    result = run("explain", folder, orders, "--out", tmp_path, "--rows", "7,20")
    assert result.exit_code == 0, result.output
    told = result.output
    first = told[told.index("row 7") : told.index("row 20")]
    assert first.index("weight") < min(
        [first.find(c) for c in ("items", "code") if c in first] or [len(first)]
    )
    assert {p.name for p in tmp_path.iterdir()} == {"row_7.png", "row_20.png", "sha256.json"}
    result = run("explain", folder, orders, "--out", tmp_path, "--top", "1")
    assert "row 7" in result.output or "row 9" in result.output
    wrong = run("explain", folder, orders, "--out", tmp_path, "--rows", "400")
    assert "expected row numbers from 0 to 399" in str(wrong.exception)


def test_labels_set_the_threshold(orders, tmp_path, monkeypatch):
    options = ["--label", "bad", "--exclude", "id", "--open", *FEW]
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    opened = []
    result = run("fit", orders, "--out", tmp_path / "d", *options)
    assert result.exit_code == 0, result.output
    assert "best F1, 1.000, on 81 labelled rows" in result.output
    assert "AUROC 1.000, F1 1.000 (precision 1.000, recall 1.000), on 79 normal" in result.output
    detector = Detector.load(tmp_path / "d")
    table = pd.read_csv(orders)
    assert detector.predict(table)[[7, 9]].all()
    assert "bad" not in detector.preprocessor.names
    assert opened == [(tmp_path / "d/report/report.html").as_uri()]
    assert "AUROC 1.000" in (tmp_path / "d/report/report.md").read_text()


def test_a_share_sets_the_threshold(orders, tmp_path):
    options = ["--contamination", "0.05", "--exclude", "id,bad", *FEW]
    result = run("fit", orders, "--out", tmp_path / "d", *options)
    assert result.exit_code == 0, result.output
    report = (tmp_path / "d/report/report.md").read_text()
    assert "| row | score | reasons: column, observed, expected |\n|---|---|---|\n" in report
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
    assert "of normal images on average" in report and "of normal images" in result.output
    # the size and the colours are the detector's: the same folder is read as it was fitted
    assert run("score", folder, pictures, "--out", scores).exit_code == 0
    found = pd.read_csv(scores)
    assert found["row"].tolist() == [f"{n:02d}.png" for n in range(30)]
    assert found["score"].idxmax() == 4
    result = run("explain", folder, pictures, "--out", tmp_path / "why", "--rows", "4,0")
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in (tmp_path / "why").iterdir()) == ["images_0.png", "sha256.json"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--exclude", "absent"], "has no column 'absent'; it has"),
        (["--label", "items"], "1 (or True) for anomalies"),
        (["--size", "8"], "expected HEIGHTxWIDTH"),
        (["--size", "8x8"], "which is not a folder of images"),
        (["--score", "best"], "received --score best; expected one of combined, features"),
        (["--false-alarms", "2"], "received --false-alarms 2.0; expected a share"),
        (["--contamination", "0.7"], "expected a share above 0 and at most 0.5"),
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
    assert detect._names('a, "price, EUR"') == ["a", "price, EUR"]


def _files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("thesis.txt", "years of work"),
        ("config.json", '{"editor": "mine"}'),
        ("report/notes.md", "mine"),
        ("data.json", "[1, 2]"),
        ("empty/.keep", ""),
    ],
)
def test_an_out_with_other_files_is_refused_before_any_work(orders, tmp_path, name, content):
    folder = tmp_path / "d"
    path = folder / name
    path.parent.mkdir(parents=True)
    path.write_text(content)
    before = _files(tmp_path)
    for command in ("fit", "tune"):
        result = run(command, orders, "--out", folder)
        assert "did not write" in str(result.exception)
    assert _files(tmp_path) == before


def test_an_out_that_holds_the_data_is_refused(orders, tmp_path):
    inside = tmp_path / "d" / "below" / "orders.csv"
    inside.parent.mkdir(parents=True)
    inside.write_bytes(orders.read_bytes())
    result = run("fit", inside, "--out", tmp_path / "d")
    assert f"which contains the input, {inside}" in str(result.exception)
    result = run("fit", inside, "--out", inside)
    assert "is a file; expected a folder" in str(result.exception)
    (tmp_path / "d2.partial").mkdir()
    (tmp_path / "d2.partial/mine.txt").write_text("mine")
    result = run("fit", inside, "--out", tmp_path / "d2")
    assert "d2.partial, but it contains other files" in str(result.exception)
    assert inside.is_file() and (tmp_path / "d2.partial/mine.txt").is_file()


def test_a_detector_of_an_earlier_fit_is_replaced(orders, fitted, tmp_path):
    folder = tmp_path / "d"
    shutil.copytree(fitted[0], folder)
    detect._require_own(folder, orders)
    (tmp_path / "empty").mkdir()
    detect._require_own(tmp_path / "empty", orders)


def test_what_the_fit_assumed_is_remembered_and_shown(tmp_path):
    """Decimal commas, codes, a marker of gaps: scored as they were fitted."""
    generator, n = np.random.default_rng(0), 200
    weight = generator.normal(20, 5, n).round(2)
    codes = generator.choice(["01", "02"], n)
    kinds = generator.choice(["1", "2", "3"], n)
    cells = [f"{w}".replace(".", ",") if k % 50 else "?" for k, w in enumerate(weight)]
    rows = [";".join(one) for one in zip(cells, codes, kinds, strict=True)]
    euro = tmp_path / "euro.csv"
    euro.write_text("\n".join(["weight;code;kind", *rows]) + "\n")
    options = ["--missing", "?", "--categorical", "kind", *FEW]
    result = run("fit", euro, "--out", tmp_path / "d", *options)
    assert result.exit_code == 0, result.output
    assert "separator ';', decimal mark ',', utf-8; 3 columns, 2 of text (code, kind)" in (
        result.output
    )
    detector = Detector.load(tmp_path / "d")
    assert detector.preprocessor.vocabularies == {"code": ["01", "02"], "kind": ["1", "2", "3"]}
    plain = tmp_path / "plain.csv"
    plain.write_text(euro.read_text().replace(",", ".").replace(";", ","))
    for source in (euro, plain):
        result = run("score", tmp_path / "d", source, "--out", tmp_path / f"{source.stem}_s.csv")
        assert result.exit_code == 0, result.output
    found = [(tmp_path / f"{name}_s.csv").read_text() for name in ("euro", "plain")]
    assert found[0] == found[1]
    table = pd.DataFrame({"weight": np.where(np.arange(n) % 50, weight, np.nan)})
    table = table.assign(code=codes, kind=kinds)
    score = pd.read_csv(tmp_path / "euro_s.csv")["score"]
    np.testing.assert_allclose(score, detector.anomaly_score(table), rtol=1e-5)


@pytest.mark.parametrize("cell", ["?", "n.a.", "1O.5"])
def test_a_column_of_numbers_with_a_bad_cell_is_no_category(orders, tmp_path, cell):
    table = pd.read_csv(orders).astype({"weight": object})
    table.loc[11, "weight"] = cell
    table.to_csv(tmp_path / "t.csv", index=False)
    result = run("fit", tmp_path / "t.csv", "--out", tmp_path / "d")
    message = str(result.exception)
    assert "column 'weight': 399 of 400 cells are numbers, 1 is not; line 13" in message
    assert repr(cell) in message and "--missing" in message and "--categorical" in message


@pytest.mark.parametrize("words", ["yes", "", "2"])
def test_labels_that_are_none_are_named(orders, tmp_path, words):
    table = pd.read_csv(orders).astype({"bad": object})
    table.loc[5, "bad"] = words
    table.to_csv(tmp_path / "t.csv", index=False)
    result = run("fit", tmp_path / "t.csv", "--out", tmp_path / "d", "--label", "bad")
    assert isinstance(result.exception, ValueError)
    assert "labels" in str(result.exception)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("weight [kg]", 9.0),
        ("a[/b]", 9.0),
        ("[bold]x", "[red]y[/red]"),
        ("log", "[error] full [/dev/sda]"),
        ("path", "C:\\[x]"),
        ("smile", ":smile: [link=http://x]y[/link]"),
    ],
)
def test_users_texts_are_no_markup(column, value):
    one, found = np.ones(1), {column: np.array([value])}
    expected, adds = np.full((1, 1), 8.0), np.ones((1, 1))
    explanation = Explanation("l1", 8 * one, 0 * one, adds, (column,), expected, found, found)
    file = io.StringIO()
    Console(file=file, width=150).print(reasons_table(explanation, 0, "row 0"))
    assert column in file.getvalue() and as_shown(value) in file.getvalue()


def test_users_texts_do_not_steer_the_terminal():
    found = {"log\x1b[2J": np.array(["a\rb\nc"])}
    one, expected = np.ones(1), np.full((1, 1), 8.0)
    explanation = Explanation(
        "l1", 8 * one, 0 * one, expected, ("log\x1b[2J",), expected, found, found
    )
    file = io.StringIO()
    Console(file=file, width=150).print(reasons_table(explanation, 0, "row 0"))
    assert "\x1b" not in file.getvalue() and r"log\x1b[2J" in file.getvalue()
    assert r"a\rb\nc" in file.getvalue()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("weight [kg]", r"weight \[kg\]"),
        ("a|b\nc", r"a\|b c"),
        ("<b>__x__ y_z</b>", r"\<b\>\_\_x\_\_ y_z\</b\>"),
        ("`$1*2$`", r"\`\$1\*2\$\`"),
    ],
)
def test_users_texts_are_no_markdown(text, shown):
    assert fit_report._plain(text) == shown


@pytest.mark.parametrize("name", ["orders.csv", "other.csv", "other.parquet"])
def test_scores_replace_nothing_but_scores(orders, fitted, tmp_path, name):
    source = tmp_path / "orders.csv"
    source.write_bytes(orders.read_bytes())
    table = pd.DataFrame({"row": [1], "note": ["mine"]})
    if name == "other.csv":
        table.to_csv(tmp_path / name)
    elif name == "other.parquet":
        table.to_parquet(tmp_path / name)
    before = _files(tmp_path)
    result = run("score", fitted[0], source, "--out", tmp_path / name)
    reason = "the input file" if name == "orders.csv" else "does not contain scores"
    assert reason in str(result.exception)
    assert _files(tmp_path) == before
    result = run("score", fitted[0], source, "--out", tmp_path / name, "--overwrite")
    if name == "orders.csv":  # never the input
        assert "the input file" in str(result.exception)
        assert _files(tmp_path) == before
    else:
        assert result.exit_code == 0 and _files(tmp_path) != before
    for _ in range(2):  # scores are replaced
        assert run("score", fitted[0], source, "--out", tmp_path / "s.parquet").exit_code == 0


@pytest.mark.slow
def test_deep_pictures_are_scored_as_they_were_fitted(tmp_path):
    """12 bits at the fit; the scored folder, darker, is scaled alike. Damage may be left out."""
    generator = np.random.default_rng(0)
    for name, most in (("train", 4096), ("new", 900)):
        (tmp_path / name).mkdir()
        for k in range(12):
            image = generator.integers(0, most, (8, 8), dtype="uint16")
            Image.fromarray(image).save(tmp_path / name / f"{k:02d}.png")
    (tmp_path / "train/bad.png").write_bytes(b"damage")
    words = ["fit", tmp_path / "train", "--out", tmp_path / "d", "--steps", 5, "--members", 1]
    assert "bad.png cannot be read as an image" in str(run(*words).exception)
    result = run(*words, "--skip-damaged")
    assert result.exit_code == 0, result.output
    assert (
        "skipped 1 unreadable image(s)" in result.output
        and "scaled from 12 bits to 8" in result.output
    )
    detector = Detector.load(tmp_path / "d")
    assert detector.metadata["input"]["depth"] == 12
    result = run("score", tmp_path / "d", tmp_path / "new", "--out", tmp_path / "s.csv")
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "new/00.png") as image:
        pixels = np.round(np.array(image) * (255 / 4095)).astype("uint8")[None, ..., None]
    score = pd.read_csv(tmp_path / "s.csv")["score"][0]
    np.testing.assert_allclose(score, detector.anomaly_score(pixels)[0], rtol=1e-5)


def test_scores_follow_a_link_and_keep_a_files_mode(orders, fitted, tmp_path):
    target = tmp_path / "disk/scores.csv"
    target.parent.mkdir()
    target.write_text("row,score\n")
    target.chmod(0o600)
    (tmp_path / "s.csv").symlink_to(target)
    assert run("score", fitted[0], orders, "--out", tmp_path / "s.csv").exit_code == 0
    assert (tmp_path / "s.csv").is_symlink() and target.stat().st_mode & 0o777 == 0o600
    assert len(pd.read_csv(target)) == 400
    assert [p.name for p in target.parent.iterdir()] == ["scores.csv"]


@pytest.mark.parametrize("name", ["row_7.png", "row_0.png", "images_0.png"])
def test_explain_leaves_users_pictures_alone(orders, fitted, tmp_path, name):
    (tmp_path / name).write_bytes(b"mine")
    result = run("explain", fitted[0], orders, "--out", tmp_path, "--rows", "7")
    assert f"{name} was not written by this program" in str(result.exception)
    assert {str(place): content for place, content in _files(tmp_path).items()} == {name: b"mine"}


@pytest.mark.parametrize("file", ["config.json", "scorer.weights.h5", "sha256.json"])
@pytest.mark.parametrize("command", ["score", "explain", "export", "serve"])
def test_a_damaged_detector_is_one_line(
    fitted, orders, tmp_path, file, command, capsys, monkeypatch
):
    folder = tmp_path / "d"
    shutil.copytree(fitted[0], folder)
    (folder / file).write_bytes((folder / file).read_bytes()[:-9])
    words = {
        "score": [folder, orders, "--out", tmp_path / "s.csv"],
        "explain": [folder, orders, "--out", tmp_path / "p"],
        "export": [folder, tmp_path / "e"],
        "serve": [folder, "--port", "0", "--grpc-port", "0"],
    }[command]
    monkeypatch.setattr("sys.argv", ["alad", command, *map(str, words)])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("alad: ") and file in line and str(folder) in line


def test_a_commands_line_steers_no_terminal(tmp_path, capsys, monkeypatch):
    name = str(tmp_path / "a[bold]\x1b[31m\nb.csv")
    monkeypatch.setattr("sys.argv", ["alad", "score", "breast_cancer_alad", name, "--out", "s.csv"])
    with pytest.raises(SystemExit):
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert "\x1b" not in line and r"a[bold]\x1b[31m" in line


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("fit absent.csv --out d", 1, "There is no file or folder"),
        ("fit {orders} --out d --sise 8x8", 2, "No such option: --sise"),
        ("fit {orders}", 2, "Missing option '--out'"),
        ("fit {orders} --out d --size 8", 2, "expected HEIGHTxWIDTH"),
        ("fit {orders} --out d --label bad --contamination 0.1", 2, "sets the threshold"),
        ("fit {orders} --out d --normal good --false-alarms 0.1", 2, "sets the threshold"),
        ("fit {orders} --out {orders}", 1, "is a file; expected a folder"),
        ("tune {orders} --out d --trials 0", 2, "greater than or equal to 1. Try '"),
        ("tune {orders} --out d --score best", 2, "expected one of combined"),
        ("score {fitted} {orders} --out s.csv --report {orders}", 2, "expected a .html file"),
        ("score {fitted} {orders} --out s.csv --top -1", 2, "--top"),
        ("score absent {orders} --out s.csv", 1, "neither a folder nor a zoo entry"),
        ("score {orders} {orders} --out s.csv", 1, "which is a file; expected a folder that"),
        ("explain {fitted} {orders} --out w --rows 400", 2, "expected row numbers from 0 to 399"),
        ("explain {fitted} absent.csv --out w", 1, "There is no file or folder"),
        ("export absent e", 1, "neither a folder nor a zoo entry"),
        ("serve absent", 1, "neither a folder nor a zoo entry"),
        ("describe absent", 1, "unknown zoo entry"),
        ("train kdd99_alad --seeds 0-1 --seed 3", 2, "give only one of them"),
        ("evaluate {fitted}", 1, "expected run.json"),
        ("reproduce table99", 2, "received 'table99'"),
        ("train kdd99_alad --scaling best", 2, "expected one of standard, minmax, none"),
        ("train kdd99_alad --stopping never", 2, "unknown stopping 'never'"),
        ("train kdd99_alad --seeds 3-1", 2, "which runs downwards"),
        ("train kdd99_alad --strategy two", 2, "expected one of mirrored, multiworker"),
        ("fit {orders} --out d --sep ;;", 2, "expected one character"),
        ("fit {orders} --out d --features resnet", 2, "expected pixels, imagenet or"),
        ("score {fitted} {orders} --out s.txt", 2, "expected a .csv or .parquet file"),
        ("nonsense", 2, "No such command 'nonsense'"),
        ("scor", 2, "No such command 'scor'. Did you mean 'score'? Try 'alad --help'."),
    ],
)
def test_every_error_is_one_line(orders, fitted, tmp_path, capsys, monkeypatch, words, code, told):
    """2 for a command line that is wrong by itself, 1 for everything else."""
    monkeypatch.chdir(tmp_path)
    words = words.format(orders=orders, fitted=fitted[0]).split()
    monkeypatch.setattr("sys.argv", ["alad", *words])
    with pytest.raises(SystemExit) as left:
        main()
    *notes, line = capsys.readouterr().err.splitlines()
    assert left.value.code == code and line.startswith("alad: ") and told in line
    assert all(note.startswith(("read ", "note ")) for note in notes)
    assert list(tmp_path.iterdir()) == []


def test_top_rows_are_those_of_all_batches(orders, fitted, tmp_path):
    """Also of batches that an earlier run scored, whose records are read again."""
    detector, options = Detector.load(fitted[0]), {"batch": 150}
    whole = TopRows(3)
    write_scores(detector, orders, tmp_path / "s.csv", top=whole, **options)
    resumed, table = TopRows(3), pd.read_csv(tmp_path / "s.csv")
    resumed.add(0, table)
    assert resumed.table["row"].tolist() == whole.table["row"].tolist()
    assert set(whole.table["row"][:2]) == {7, 9}
    first = whole.records(pytest.fail)
    again = resumed.records(lambda place: record_at(detector, orders, place))
    pd.testing.assert_frame_equal(first, again)
    assert list(first.columns) == ["items", "weight", "country", "code"]


def test_top_images_of_several_sizes_stay_as_they_are():
    top = TopRows(2)
    for start, side in enumerate((4, 6)):
        images = np.full((1, side, side, 3), side, "uint8")
        top.add(start, pd.DataFrame({"row": [f"{side}.png"], "score": [float(side)]}), images)
    first, second = top.records(pytest.fail)
    assert first.shape == (6, 6, 3) and second.shape == (4, 4, 3)


@pytest.mark.parametrize(
    ("sizes", "chosen"),
    [
        ([(64, 48), (64, 48)], None),
        ([(640, 480)], None),
        ([(15, 15)], (16, 16)),
        ([(100, 50), (200, 100), (400, 200)], (64, 32)),
        ([(3, 3), (5, 4)], (8, 8)),
    ],
)
def test_a_size_is_chosen_where_images_cannot_stay(tmp_path, sizes, chosen):
    paths = [tmp_path / f"{number}.png" for number in range(len(sizes))]
    for path, (height, width) in zip(paths, sizes, strict=True):
        Image.new("L", (width, height)).save(path)
    (tmp_path / "damaged.png").write_bytes(b"")
    size, line = size_by_rule([*paths, tmp_path / "damaged.png"])
    assert size == chosen and ("resized to" in line) == (chosen is not None)


def test_kept_rows_and_new_gaps_are_chosen_before_any_work(orders, tmp_path):
    for option, value in (("--keep-rows", "some"), ("--new-gaps", "ignore")):
        result = run("fit", orders, "--out", tmp_path / "d", option, value)
        assert f"received {option} {value}; expected one of" in str(result.exception)
        assert not (tmp_path / "d").exists()
    words = ["--keep-rows", "none", "--new-gaps", "refuse"]
    assert run("fit", orders, "--out", tmp_path / "d", *FEW, *words).exit_code == 0
    detector = Detector.load(tmp_path / "d")
    assert detector.scorer.rows.shape[0] == 1  # the mean alone
    assert detector.preprocessor.missing == "refuse"


def test_a_folder_of_images_by_the_features_of_a_network(tmp_path):
    rng, pictures = np.random.default_rng(0), tmp_path / "pictures"
    (pictures / "below").mkdir(parents=True)
    for number in range(12):
        sides = (60 + number % 3, 64)
        Image.fromarray(picture(rng, *sides)).save(pictures / f"{number:02d}.png")
    Image.fromarray(picture(rng, spot=(40, 8))).save(pictures / "below" / "odd.png")
    Image.fromarray(picture(rng)).convert("CMYK").save(pictures / "print.jpg")
    (pictures / ".hidden.png").write_bytes(b"no picture")
    tiny_network().save(tmp_path / "tiny.keras")
    folder, network = tmp_path / "detector", tmp_path / "tiny.keras"
    result = run("fit", pictures, "--out", folder, "--features", network)
    assert result.exit_code == 0, result.output
    report = (folder / "report" / "report.md").read_text()
    assert "14 images of 64 x 64 pixels" in report and "then some typical ones" in report
    assert "below/odd.png" in report.split("|---|---|---|")[1].splitlines()[1]  # the first one
    for name in ("score_histogram.png", "images_0.png", "images_10.png"):
        assert (folder / "report" / name).read_bytes().startswith(b"\x89PNG")
    scores = tmp_path / "scores.csv"
    assert run("score", folder, pictures, "--out", scores).exit_code == 0
    table = pd.read_csv(scores, index_col="row")
    assert len(table) == 14 and table["score"].idxmax() == "below/odd.png"
    result = run("explain", folder, pictures, "--out", tmp_path / "why", "--top", "2")
    assert result.exit_code == 0 and (tmp_path / "why" / "images_0.png").is_file()
    assert Detector.load(folder).metadata["input"]["size"] == [64, 64]


@pytest.fixture
def mvtec(tmp_path):
    """A folder in MVTec's layout: train/good, test/good, test/spot, ground_truth/spot."""
    rng, root = np.random.default_rng(0), tmp_path / "bottle"
    for folder, count, spot in (("train/good", 12, None), ("test/good", 3, None)):
        (root / folder).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(picture(rng, spot=spot)).save(root / folder / f"{number:03d}.png")
    for folder in ("test/spot", "ground_truth/spot"):
        (root / folder).mkdir(parents=True)
    for number in range(4):
        mask = np.zeros((64, 64), "uint8")
        mask[40:52, 8:20] = 255
        Image.fromarray(mask).save(root / "ground_truth/spot" / f"{number:03d}_mask.png")
        Image.fromarray(picture(rng, spot=(40, 8))).save(root / "test/spot" / f"{number:03d}.png")
    tiny_network().save(tmp_path / "tiny.keras")
    return root


def test_labels_by_folder(mvtec, tmp_path):
    folder, network = tmp_path / "detector", tmp_path / "tiny.keras"
    options = ["--features", network, "--normal", "good", "--exclude", "ground_truth"]
    result = run("fit", mvtec, "--out", folder, *options)
    assert result.exit_code == 0, result.output
    assert "left out 4 image(s) in ground_truth" in result.output
    report = (folder / "report" / "report.md").read_text()
    rows = [line.split(" | ") for line in report.split("## By folder")[1].splitlines()[4:]]
    assert [row[:4] for row in rows if len(row) > 4] == [
        ["| test/good", "normal", "3", "0"],
        ["| test/spot", "anomalous", "4", "4"],
        ["| train/good", "normal", "12", "0"],
    ]
    page = (folder / "report" / "report.html").read_text()
    cells = "<td>test/spot</td><td>anomalous</td><td>4</td><td>4</td>"
    assert "<h2>By folder</h2>" in page and cells in page
    assert "best F1" in Detector.load(folder).threshold_rule


@pytest.mark.parametrize(
    "options, message",
    [
        (["--normal", "god"], "no sub-folder 'god' of images; it has"),
        (["--exclude", "masks"], "no sub-folder 'masks'"),
        (["--label", "bad"], "images have no columns.*--normal"),
    ],
)
def test_folders_that_are_not_there_are_refused(mvtec, tmp_path, options, message):
    result = run("fit", mvtec, "--out", tmp_path / "detector", *options)
    assert result.exit_code != 0 and re.search(message, str(result.exception))


def test_labels_by_folder_need_three_normal_images():
    x, is_anomaly = np.zeros((3, 8, 8, 3), "uint8"), np.array([False, False, True])
    data = UserData(Path("bottle"), list("abc"), x, is_anomaly)
    with pytest.raises(ValueError, match="has 2 normal images .* leave out --normal[.]"):
        labelled_split(data, seed=0)


def test_tables_have_no_folders(orders, tmp_path):
    result = run("fit", orders, "--out", tmp_path / "detector", "--normal", "good")
    assert "which is not a folder of images" in str(result.exception)


@pytest.mark.parametrize(
    "features, message",
    [
        ("resnet", "expected pixels, imagenet or an existing .keras file"),
        ("x.keras", "contain a Keras model"),
    ],
)
def test_features_that_are_none_are_refused_before_images_are_read(tmp_path, features, message):
    if features == "x.keras":
        features = tmp_path / features
        features.write_bytes(b"no network")
    result = run("fit", tmp_path, "--out", tmp_path / "detector", "--features", features)
    assert result.exit_code != 0 and message in str(result.exception)
