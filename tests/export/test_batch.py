"""The Beam pipeline on the DirectRunner: scores as `alad score` gives, reasons for bad rows."""

import decimal
import gzip
import json

import numpy as np
import pandas as pd
import pytest
from apache_beam.ml.inference.base import PredictionResult

from alad_tf import ALADDetector, Detector
from alad_tf.baselines import IsolationForest
from alad_tf.cli.score_files import write_scores
from alad_tf.export.batch.__main__ import main
from alad_tf.export.batch.handler import ExportHandler, Refused
from alad_tf.preprocess import MixedPreprocessor, VectorPreprocessor


@pytest.fixture(scope="module")
def orders(tmp_path_factory, unchecked):
    """A detector of named columns, its export, and a table of two files."""
    folder = tmp_path_factory.mktemp("orders")
    generator, n = np.random.default_rng(0), 300
    table = pd.DataFrame(
        {
            "weight (kg)": np.where(generator.random(n) < 0.1, np.nan, generator.normal(size=n)),
            "items": generator.integers(1, 9, n),
            "country": generator.choice(["DE", "FR"], n),
        }
    )
    estimator = ALADDetector(steps=10, n_members=1).fit(table)
    export = estimator.export(folder, "orders")
    return folder, estimator.detector_, export, table


def _lines(folder, name):
    found = []
    for path in sorted(folder.glob(f"out-{name}-*.jsonl")):
        found += [json.loads(line) for line in path.read_text().splitlines()]
    return {one.pop("row"): one for one in found}


def _run(export, source, folder):
    main(["--export", str(export), "--input", str(source), "--output", str(folder / "out")])
    return _lines(folder, "scored"), _lines(folder, "refused")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_scores_are_those_of_the_command(orders, tmp_path, kind):
    _, detector, export, table = orders
    parts = {f"a.{kind}": table.iloc[:200], f"b.{kind}": table.iloc[200:]}
    for name, part in parts.items():
        path = tmp_path / name
        part.to_csv(path, index=False) if kind == "csv" else part.to_parquet(path, index=False)
    scored, refused = _run(export, tmp_path / f"*.{kind}", tmp_path)
    assert not refused
    assert len(scored) == len(table)
    for name in parts:
        write_scores(detector, tmp_path / name, tmp_path / "s.csv")
        for row in pd.read_csv(tmp_path / "s.csv").itertuples():
            one = scored[f"{name}:{row.row}"]
            assert one["score"] == pytest.approx(row.score, abs=1e-4)
            # a row that was held out is its own neighbour there: rounding decides on which side
            assert one["p_value"] == pytest.approx(row.p_value, abs=1 / 60)
            near = abs(row.score - detector.threshold) < 1e-4
            assert near or one["is_anomaly"] == row.is_anomaly


def test_each_bad_row_is_named_with_its_reason(orders, tmp_path):
    """Among good rows, which are scored all the same."""
    _, _, export, table = orders
    rows = table.iloc[:60].astype(object)
    rows.loc[3, "items"] = "many"
    rows.loc[17, "items"] = np.inf
    rows.loc[44, "weight (kg)"] = -np.inf
    rows.to_csv(tmp_path / "bad.csv", index=False)
    scored, refused = _run(export, tmp_path / "bad.csv", tmp_path)
    assert set(refused) == {"bad.csv:3", "bad.csv:17", "bad.csv:44"}
    assert "'items' must be float32" in refused["bad.csv:3"]["reason"]
    assert "Records must be finite" in refused["bad.csv:17"]["reason"]
    assert len(scored) == 57
    table.drop(columns="items").iloc[:2].to_csv(tmp_path / "short.csv", index=False)
    (tmp_path / "short").mkdir()
    _, refused = _run(export, tmp_path / "short.csv", tmp_path / "short")
    assert [one["reason"] for one in refused.values()] == ["The record lacks ['items']."] * 2


@pytest.mark.parametrize(
    "written",
    [
        lambda t: t.to_csv(index=False, sep=";", decimal=",").encode(),
        lambda t: t.to_csv(index=False, na_rep="NA").encode("utf-8-sig"),
        lambda t: t.to_csv(index=False, lineterminator="\n\n").encode("utf-16"),
        lambda t: t.to_csv(index=False, lineterminator=",\n").encode(),
        lambda t: t.to_csv(index=False, quoting=1).encode(),
        lambda t: gzip.compress(t.to_csv(index=False, sep="|").encode()),
    ],
    ids=["euro", "BOM", "UTF-16", "trailing", "quoted", "gzip"],
)
def test_files_are_read_as_the_command_reads_them(orders, tmp_path, written):
    _, detector, export, table = orders
    path = tmp_path / ("a.csv.gz" if written(table)[:1] == b"\x1f" else "a.csv")
    path.write_bytes(written(table.iloc[:40]))
    scored, refused = _run(export, path, tmp_path)
    write_scores(detector, path, tmp_path / "s.csv")
    expected = pd.read_csv(tmp_path / "s.csv")
    assert not refused and len(scored) == len(expected) == 40
    found = [scored[f"{path.name}:{row}"]["score"] for row in expected["row"]]
    np.testing.assert_allclose(found, expected["score"], atol=1e-4)
    np.testing.assert_allclose(found, detector.anomaly_score(table.iloc[:40]), atol=1e-4)


def test_bools_and_decimals_are_numbers_for_both(tmp_path, unchecked):
    generator, n = np.random.default_rng(0), 40
    table = pd.DataFrame({"a": generator.normal(size=n), "flag": generator.random(n) > 0.5})
    layer = MixedPreprocessor().fit(table)
    forest = IsolationForest(seed=0).fit(layer.transform(table))
    detector = Detector.from_model(layer, forest)
    export = detector.export(tmp_path / "served", "orders")
    exact = [decimal.Decimal(f"{value:.6f}") for value in table["a"]]
    for name in ("a.csv", "a.parquet"):
        out = tmp_path / name.replace(".", "_")
        out.mkdir()
        frame = table if name == "a.csv" else table.assign(a=exact)
        path = tmp_path / name
        frame.to_csv(path, index=False) if name == "a.csv" else frame.to_parquet(path)
        scored, refused = _run(export, path, out)
        assert not refused and len(scored) == n
        found = [scored[f"{name}:{row}"]["score"] for row in range(n)]
        np.testing.assert_allclose(found, detector.anomaly_score(table), atol=1e-3)


def test_dates_are_read_as_the_command_reads_them(tmp_path, unchecked):
    generator, n = np.random.default_rng(0), 60
    when = np.datetime64("2024-01-01", "s") + generator.integers(0, 10**7, n)
    table = pd.DataFrame({"a": generator.normal(size=n), "when": when})
    table["took"] = pd.to_timedelta(generator.integers(0, 9999, n), "s")
    table.loc[3, "when"] = pd.NaT
    layer = MixedPreprocessor().fit(table)
    detector = Detector.from_model(layer, IsolationForest(seed=0).fit(layer.transform(table)))
    export = detector.export(tmp_path / "served", "orders")
    for name, write in (("a.csv", table.to_csv), ("a.parquet", table.to_parquet)):
        out = tmp_path / name.replace(".", "_")
        out.mkdir()
        write(tmp_path / name, index=False)
        if name == "a.csv":
            (tmp_path / name).write_text((tmp_path / name).read_text() + "1.0,soon,0 days\n")
        scored, refused = _run(export, tmp_path / name, out)
        found = [scored[f"{name}:{row}"]["score"] for row in range(n)]
        np.testing.assert_allclose(found, detector.anomaly_score(table), atol=1e-3)
        reasons = [one["reason"] for one in refused.values()]
        assert reasons == ["'when' must be a date; received 'soon', which is not a date."] * len(
            reasons
        )
        assert len(reasons) == (name == "a.csv")


def test_ragged_lines_are_refused_and_the_others_scored(orders, tmp_path):
    _, _, export, table = orders
    lines = table.iloc[:6].to_csv(index=False).splitlines()
    lines[2] += ",more"
    lines[4] = "1.0"
    lines[5] = "1_0,3,DE"
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    scored, refused = _run(export, tmp_path / "a.csv", tmp_path)
    assert set(scored) == {"a.csv:0", "a.csv:2", "a.csv:5"}
    assert "line 3: received 4 cells, expected 3" in refused["a.csv:1"]["reason"]
    assert "line 5: received 1 cells" in refused["a.csv:3"]["reason"]
    assert "received '1_0', which is not a number" in refused["a.csv:4"]["reason"]


def test_the_handler_answers_records_in_their_order(orders):
    _, detector, export, table = orders
    handler = ExportHandler(export)
    records = [
        {"weight__kg_": 0.5, "items": 3, "country": "DE"},
        {"weight__kg_": 0.5, "items": 3, "country": 7},
        {"weight__kg_": [0.5, 1.0], "items": 3, "country": "DE"},
        {"weight__kg_": 1.5, "items": 2, "country": "FR"},
    ]
    found = handler.run_inference(records, handler.load_model())
    assert all(isinstance(one, PredictionResult) for one in found)
    refused = [isinstance(one.inference, Refused) for one in found]
    assert refused == [False, True, True, False]
    assert "received int" in found[1].inference and "must have shape ()" in found[2].inference
    good = pd.DataFrame([records[0], records[3]]).rename(columns={"weight__kg_": "weight (kg)"})
    expected = detector.anomaly_score(good)
    np.testing.assert_allclose(
        [found[0].inference["score"], found[3].inference["score"]], expected, atol=1e-4
    )


def test_what_the_pipeline_cannot_read_is_refused(orders, tmp_path):
    _, _, export, _ = orders
    with pytest.raises(ValueError, match=r"expected one of \.csv"):
        _run(export, "rows.xlsx", tmp_path)
    x = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    arrays = Detector.from_model(VectorPreprocessor().fit(x), IsolationForest(0).fit(x))
    with pytest.raises(ValueError, match=r"takes \['x'\], not named columns"):
        _run(arrays.export(tmp_path, "arrays"), "rows.csv", tmp_path)
