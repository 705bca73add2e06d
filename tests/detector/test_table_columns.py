"""Columns as people have them: one answer for the same values in all containers and files."""

import io
import json
import sys
import warnings

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest
import tensorflow as tf

from alad_tf import ALADDetector, cli
from alad_tf.cli.score_files import write_scores
from alad_tf.data.user_files import read_all
from alad_tf.preprocess import MixedPreprocessor, preprocessor_from_state

FEW = dict(steps=2, n_members=1, hidden=4, latent_dim=2, false_alarms=0.1)
COUNT = 150


def people(count=COUNT, seed=0):
    """A table of every kind of column, with gaps."""
    generator = np.random.default_rng(seed)
    ordered = np.datetime64("2024-01-01", "us") + generator.integers(0, 10**10, count).astype(
        "m8[ms]"
    )
    table = pd.DataFrame(
        {
            "quantity": pd.array(generator.integers(1, 9, count), dtype="Int64"),
            "price": generator.lognormal(3, 1, count).round(2),
            "country": generator.choice(["DE", "FR", "IT"], count).astype(object),
            "ordered": ordered,
            "delivered": ordered.astype("M8[D]").astype("M8[s]")
            + (86400 * generator.integers(1, 9, count)),
            "id": [f"o-{number:05}x" for number in generator.permutation(count)],
            "took": generator.integers(0, 10**5, count).astype("m8[s]"),
            "rate": [f"{value:.3f}" for value in generator.normal(size=count)],
            "zip": [f"{value:03}" for value in generator.integers(0, 30, count)],
            "paid": generator.random(count) > 0.5,
            "unix": 1_700_000_000 + generator.integers(0, 5000, count),
            "near": 1e9 + generator.normal(size=count).round(3),
        }
    )
    table.loc[3, "quantity"], table.loc[5, "ordered"], table.loc[7, "country"] = pd.NA, pd.NaT, None
    return table


def containers(table, folder):
    """The same values in many containers and files: dict by name."""
    table.to_csv(folder / "a.csv", index=False)
    table.to_parquet(folder / "a.parquet")
    comma = table.assign(rate=table["rate"].str.replace(".", ","))
    comma.to_csv(folder / "b.csv", index=False, sep=";", decimal=",")
    arrow = pyarrow.Table.from_pandas(table, preserve_index=False)
    return {
        "pandas": table,
        "pandas, Arrow's types": table.convert_dtypes(dtype_backend="pyarrow"),
        "pandas, nullable": table.convert_dtypes(),
        "pandas, text": table.astype(str).replace({"NaT": None, "<NA>": None, "nan": None}),
        "Polars": polars.from_arrow(arrow),
        "Arrow": arrow,
        "dict": {name: column.tolist() for name, column in table.items()},
        "records": table.to_dict("records"),
        "CSV": read_all(folder / "a.csv")[1],
        "CSV, decimal commas": read_all(folder / "b.csv")[1],
        "Parquet": read_all(folder / "a.parquet")[1],
        "array": table.to_numpy(object),
    }


@pytest.fixture(scope="module")
def fitted():
    with pytest.warns(UserWarning, match="left out 'id' .identifiers: 150 of 150 rows"):
        return ALADDetector(**FEW).fit(people())


@pytest.fixture(scope="module")
def asked():
    """New rows, some with faults."""
    table = people(40, seed=1)
    table.loc[2, "country"], table.loc[4, "delivered"] = "BR", pd.Timestamp("2023-12-01")
    table.loc[6, "near"] = 1e9 + 40
    return table


def test_the_same_values_have_equal_scores_in_all_containers(fitted, asked, tmp_path):
    expected = fitted.anomaly_score(asked)
    for name, rows in containers(asked, tmp_path).items():
        with warnings.catch_warnings():
            warnings.simplefilter("error" if name != "array" else "ignore")
            np.testing.assert_array_equal(fitted.anomaly_score(rows), expected, err_msg=name)


def test_the_same_values_are_decided_alike_in_all_containers(fitted, tmp_path):
    layer = fitted.detector_.preprocessor
    encoded = None
    for name, rows in containers(people(), tmp_path).items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            other = type(layer)().fit(rows)
            found = other.transform(rows)
        encoded = found if encoded is None else encoded
        np.testing.assert_array_equal(found, encoded, err_msg=name)
        assert other.column_table()["kind"].tolist() == fitted.columns_["kind"].tolist()


def test_what_was_decided_is_shown_and_kept(fitted, asked, tmp_path):
    shown = fitted.columns_
    assert list(shown.columns) == ["column", "kind", "features", "reason"]
    kinds = dict(zip(shown["column"], shown["kind"], strict=True))
    assert kinds == {
        "quantity": "number", "price": "number", "country": "category", "ordered": "date",
        "delivered": "date", "id": "ignore", "took": "duration", "rate": "number",
        "zip": "category", "paid": "number", "unix": "number", "near": "number",
    }  # fmt: skip
    reasons = dict(zip(shown["column"], shown["reason"], strict=True))
    assert reasons["country"] == "text; 3 values; 1 gap; a new value is flagged"
    assert reasons["ordered"].startswith("dates, from 2024-01-0") and "1 gap" in reasons["ordered"]
    assert shown["features"].sum() == fitted.detector_.preprocessor.output_dim
    again = ALADDetector.load(fitted.save(tmp_path / "d"))
    pd.testing.assert_frame_equal(again.columns_, shown)
    np.testing.assert_array_equal(again.anomaly_score(asked), fitted.anomaly_score(asked))
    np.testing.assert_array_equal(
        again.anomaly_score(asked.drop(columns="id")), fitted.anomaly_score(asked)
    )


def test_a_stream_of_pieces_and_an_export_give_the_same_scores(fitted, asked, tmp_path, unasked):
    expected = fitted.anomaly_score(asked)
    for kind, write in (("csv", asked.to_csv), ("parquet", asked.to_parquet)):
        write(tmp_path / f"rows.{kind}", index=False)
        source, out = tmp_path / f"rows.{kind}", tmp_path / f"scores-{kind}.parquet"
        write_scores(fitted.detector_, source, out, batch=7)
        scores = pd.read_parquet(out)["score"].to_numpy()
        np.testing.assert_array_equal(scores, expected, err_msg=kind)
    with unasked():
        folder = fitted.export(tmp_path / "served", "people")
    served = tf.saved_model.load(folder).signatures["serving_default"]
    specs = fitted.detector_.preprocessor.signature()
    assert specs["ordered"].dtype == tf.float64 and "id" not in specs
    request = fitted.detector_.preprocessor.request(asked.fillna({"country": ""}))
    request = {k: tf.constant(v, specs[k].dtype) for k, v in request.items()}
    np.testing.assert_allclose(served(**request)["score"], expected, rtol=1e-5, atol=1e-5)


def test_faults_are_flagged_and_named(fitted, asked):
    flags = fitted.predict(asked) == -1
    assert flags[[2, 6]].all()  # a country never seen; 1e9 + 40 among 1e9 +- 1
    reasons = fitted.explain(asked.iloc[[2, 6]])
    first = reasons.top(0, 1)[0]
    assert (first["column"], first["observed"]) == ("country", "BR")
    assert first["note"] == "category never seen" and reasons.top(1, 1)[0]["note"] == ""
    assert reasons.top(1, 1)[0]["column"] == "near"


def test_kinds_can_be_chosen():
    table = people()
    kinds = {"zip": "number", "id": "hash", "quantity": "category", "unix": "date"}
    kinds |= {"price": "ignore", "rate": "category"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer = MixedPreprocessor().fit(table, columns=kinds)
    shown = layer.column_table()
    found = dict(zip(shown["column"], shown["kind"], strict=True))
    assert found | kinds == found
    assert shown["reason"][0].startswith("as chosen; 8 values; 1 gap")
    again = preprocessor_from_state(json.loads(json.dumps(layer.state())))
    other = table.assign(unix=pd.to_datetime(table["unix"], unit="s"), zip=table["zip"].astype(int))
    for rows in (table, other, other.drop(columns="price")):
        np.testing.assert_array_equal(again.transform(rows), layer.transform(table))
    hashed = [i for i, name in enumerate(layer.feature_names) if "bucket" in name]
    assert len(hashed) == 32 and (layer.transform(table)[:, hashed].sum(1) == 1).all()
    assert layer.signature()["id"].dtype == tf.string


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"zap": "number"}, "unknown column 'zap'; closest: 'zip'"),
        ({"zip": "text"}, "'zip': 'text'}; the kind must be one of number, category"),
        ({"country": "number"}, "'country' is numeric.*row 0 is"),
        ({"country": "date"}, "column 'country' has dates, but row 0 is"),
        ({"unix_ms": "date"}, "seconds since 1970-01-01, but these are about 1.7e.12"),
        ("zip", "The 'columns' parameter of ALADDetector must be"),
        (dict.fromkeys([*people(1).columns, "unix_ms"], "ignore"), "All columns are left out"),
    ],
)
def test_impossible_choices_are_refused_before_training(columns, message, monkeypatch):
    monkeypatch.setattr(ALADDetector, "_train", lambda *_: pytest.fail("trained"))
    table = people().assign(unix_ms=lambda t: 1000 * t["unix"])
    with warnings.catch_warnings(), pytest.raises(ValueError, match=message):
        warnings.simplefilter("ignore")
        ALADDetector(**FEW, columns=columns).fit(table)


def test_columns_without_names_are_chosen_by_number():
    rows = np.random.default_rng(0).integers(0, 4, (60, 3))
    layer = MixedPreprocessor().fit(rows, columns={1: "category", "x2": "ignore"})
    assert layer.column_table()["kind"].tolist() == ["number", "category", "ignore"]
    np.testing.assert_array_equal(layer.transform(rows.astype(float)), layer.transform(rows))


def run(*arguments):
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as done:
        patch.setattr(sys, "argv", ["alad", *map(str, arguments)])
        patch.setattr(sys, "stderr", printed)
        cli.main()
    return done.value.code, printed.getvalue()


def test_the_command_takes_kinds_and_shows_them(tmp_path, asked):
    people().to_csv(tmp_path / "rows.csv", index=False)
    asked.to_csv(tmp_path / "new.csv", index=False)
    kinds = ["--column", "unix=date", "--column", "id=ignore", "--column", "quantity=category"]
    few = ["--steps", 2, "--members", 1]
    status, said = run("fit", tmp_path / "rows.csv", "--out", tmp_path / "d", *few, *kinds)
    assert status == 0, said
    report = (tmp_path / "d" / "report" / "report.md").read_text()
    assert "## Columns" in report
    assert "| unix | date | 5 | as chosen, from 2023-11-14 22:14:09 to " in report
    status, said = run("score", tmp_path / "d", tmp_path / "new.csv", "--out", tmp_path / "s.csv")
    assert status == 0, said
    detector = ALADDetector.load(tmp_path / "d")
    assert detector.columns == {"unix": "date", "id": "ignore", "quantity": "category"}
    scores = pd.read_csv(tmp_path / "s.csv", dtype={"score": "float32"})["score"]
    np.testing.assert_array_equal(scores, detector.anomaly_score(asked))
    for option, code, message in (
        ("zip:number", 2, "expected NAME=KIND"),
        ("zip=text", 2, "the kind must be one of"),
        ("zap=date", 1, "closest: 'zip'"),
    ):
        status, said = run(
            "fit", tmp_path / "rows.csv", "--out", tmp_path / "e", "--column", option
        )
        assert status == code and message in said.replace("\n", " ")
