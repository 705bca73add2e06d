"""Streaming scores: constant parts, kills without loss or doubles, other jobs' parts left alone."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny import FEATURES, tiny_data, tiny_model

from alad_tf.cli import score_files
from alad_tf.cli.score_files import write_scores
from alad_tf.data.user_files import ReadOptions, read_batches
from alad_tf.detector.detector import Detector
from alad_tf.detector.threshold import by_false_alarms
from alad_tf.model.scorer import Scorer
from alad_tf.preprocess import VectorPreprocessor

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def detector():
    x = tiny_data(100)
    made = Detector(VectorPreprocessor().fit(x), Scorer.from_alad(tiny_model(jit_compile=False)))
    return made.set_threshold(by_false_alarms(made.anomaly_score(x), 0.1))


@pytest.fixture(scope="module")
def rows():
    return tiny_data(1037, seed=3)


@pytest.fixture
def source(rows, tmp_path):
    np.save(tmp_path / "rows.npy", rows)
    return tmp_path / "rows.npy"


def _read(path):
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_an_error_in_the_middle_loses_and_doubles_nothing(
    detector, rows, source, tmp_path, suffix, monkeypatch
):
    """The fifth batch fails; the next call scores the fifth to the last, and only those."""
    whole, path = tmp_path / f"whole{suffix}", tmp_path / f"scores{suffix}"
    assert write_scores(detector, source, whole, batch=100)[0] == 1037
    right, calls = detector.anomaly_score, []

    def score(x):
        calls.append(len(x))
        if len(calls) == 5:
            raise MemoryError
        return right(x)

    monkeypatch.setattr(detector, "anomaly_score", score)
    with pytest.raises(MemoryError):
        write_scores(detector, source, path, batch=100)
    assert not path.exists()
    monkeypatch.undo()
    counted = []
    monkeypatch.setattr(detector, "anomaly_score", lambda x: counted.append(len(x)) or right(x))
    total, flagged = write_scores(detector, source, path, batch=100)
    assert (total, sum(counted), len(calls)) == (1037, 1037 - 400, 5)
    pd.testing.assert_frame_equal(_read(path), _read(whole))
    found = _read(path)
    assert found["row"].tolist() == list(range(1037))
    np.testing.assert_allclose(found["score"], right(rows), rtol=1e-6)
    assert flagged == found["is_anomaly"].sum() > 0
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["rows.npy", path.name, whole.name])


def _lines(rows, end):
    cells = [",".join(f"{v:.9g}" for v in row) for row in rows]
    return "".join(f'{line},"p ""{k}""\n{k % 3}"{end(k)}' for k, line in enumerate(cells))


@pytest.mark.parametrize(
    "end",
    [lambda k: "\n\n", lambda k: "\n" * (1 + (k == 3)), lambda k: "\r\n", lambda k: "\n \n"],
    ids=["blank", "one blank", "CRLF", "spaces"],
)
@pytest.mark.parametrize("failing", [2, 3])
def test_resumed_scores_of_csv_are_those_of_an_unbroken_run(
    detector, rows, tmp_path, monkeypatch, end, failing
):
    """Blank lines, quotes and line breaks in cells: records are counted, not lines."""
    source = tmp_path / "rows.csv"
    source.write_text("\na,b,c,d,e,f,note\n" + _lines(rows[:30], end), newline="")
    right, calls = detector.anomaly_score, []

    def score(x):
        calls.append(len(x))
        if len(calls) == failing:
            raise MemoryError
        return right(x.drop(columns="note"))

    monkeypatch.setattr(detector, "anomaly_score", score)
    # a detector of arrays has no names: the column of texts is known to be one
    fitted = score_files.as_fitted
    monkeypatch.setattr(score_files, "as_fitted", lambda *one: fitted(*one) | {"text": ["note"]})
    with pytest.raises(MemoryError):
        write_scores(detector, source, tmp_path / "s.csv", batch=7)
    assert write_scores(detector, source, tmp_path / "s.csv", batch=7)[0] == 30
    assert sum(calls) == 30 + 7
    found = pd.read_csv(tmp_path / "s.csv")
    assert found["row"].tolist() == list(range(30))
    np.testing.assert_allclose(found["score"], right(rows[:30]), rtol=1e-5)


def test_parts_of_a_job_that_read_otherwise_are_not_taken(detector, rows, tmp_path, monkeypatch):
    source = tmp_path / "rows.csv"
    content = pd.DataFrame(rows[:20]).add_prefix("c").to_csv(index=False)
    source.write_text(content)
    with monkeypatch.context() as patch:
        patch.setattr("alad_tf.cli.score_files._Parts.join", lambda self, path: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write_scores(detector, source, tmp_path / "s.csv", batch=5)
    counted, right = [], detector.anomaly_score
    monkeypatch.setattr(detector, "anomaly_score", lambda x: counted.append(len(x)) or right(x))
    said = ReadOptions(sep=",")
    assert write_scores(detector, source, tmp_path / "s.csv", batch=5, options=said)[0] == 20
    assert sum(counted) == 20


def test_foreign_files_where_parts_are_kept_stay(detector, source, tmp_path):
    folder = tmp_path / ".s.csv.parts"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="but it contains other files. Move them"):
        write_scores(detector, source, tmp_path / "s.csv")
    assert (folder / "mine.txt").read_text() == "mine"


def test_parts_of_another_job_are_not_taken(detector, rows, source, tmp_path, monkeypatch):
    """The file changed between the two calls: all of it is scored again."""
    path = tmp_path / "scores.csv"
    with monkeypatch.context() as patch:
        patch.setattr("alad_tf.cli.score_files._Parts.join", lambda self, path: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write_scores(detector, source, path, batch=500)
    np.save(source, rows[:600] + 1)
    assert write_scores(detector, source, path, batch=500)[0] == 600
    np.testing.assert_allclose(
        pd.read_csv(path)["score"], detector.anomaly_score(rows[:600] + 1), rtol=1e-6
    )


def test_rows_may_be_skipped_in_every_format(rows, tmp_path):
    table = pd.DataFrame(rows, columns=list("abcdef"))
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_parquet(tmp_path / "t.parquet", row_group_size=64)
    np.save(tmp_path / "t.npy", rows)
    for name in ("t.csv", "t.parquet", "t.npy"):
        for skip in (0, 64, 300, 1036):
            parts = list(read_batches(tmp_path / name, batch=100, skip=skip))
            assert [i for ids, _ in parts for i in ids] == list(range(skip, 1037))
            found = np.concatenate([np.asarray(part) for _, part in parts])
            np.testing.assert_allclose(found, rows[skip:], rtol=1e-6)
        assert list(read_batches(tmp_path / name, skip=1037)) == []


def test_a_row_that_cannot_be_scored_is_named(detector, rows, tmp_path):
    bad = rows.copy()
    bad[777, 2] = np.inf
    np.save(tmp_path / "bad.npy", bad)
    with pytest.raises(ValueError, match=r"rows 700 to 799 \(row 0 here is row 700\): .*"):
        write_scores(detector, tmp_path / "bad.npy", tmp_path / "s.csv", batch=100)
    assert not (tmp_path / "s.csv").exists()


CHILD = """
import sys
from alad_tf.detector.detector import Detector
from alad_tf.cli.score_files import write_scores
write_scores(Detector.load(sys.argv[1]), sys.argv[2], sys.argv[3], batch=int(sys.argv[4]))
"""


@pytest.mark.slow
def test_a_killed_process_is_resumed(detector, tmp_path):
    """SIGKILL after some parts of 200; the output is that of an unbroken run."""
    x = np.tile(tiny_data(1000, seed=1), (40, 1))
    np.save(tmp_path / "x.npy", x)
    folder, path = detector.save(tmp_path / "d"), tmp_path / "s.parquet"
    words = [str(folder), str(tmp_path / "x.npy"), str(path), "200"]
    process = subprocess.Popen([sys.executable, "-c", CHILD, *words], cwd=ROOT)
    parts = tmp_path / ".s.parquet.parts"
    while len(list(parts.glob("[0-9]*.parquet"))) < 20:
        assert process.poll() is None, "it ended before it was killed"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not path.exists()
    subprocess.run([sys.executable, "-c", CHILD, *words], cwd=ROOT, check=True)
    found = pd.read_parquet(path)
    assert found["row"].tolist() == list(range(len(x)))
    np.testing.assert_array_equal(found["score"], np.tile(found["score"][:1000], 40))
    assert x.shape[1] == FEATURES


def test_the_measured_million_was_resumed_and_small():
    measured = json.loads((ROOT / "results/benchmarks/batch.json").read_text())
    assert measured["rows"] == measured["killed"]["rows"] == 1_000_000
    assert measured["killed"]["equal_to_unbroken"]
    assert 0 < measured["killed"]["rows_kept"] < 1_000_000
    assert measured["additional_bytes"] < 2**30


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("moment", [1, 6, 11])
def test_a_second_process_is_refused_while_one_writes(
    detector, source, tmp_path, suffix, moment, monkeypatch
):
    """It would take the other's parts away, and write an output without rows."""
    path, right, calls = tmp_path / f"scores{suffix}", detector.anomaly_score, []
    whole = tmp_path / f"whole{suffix}"
    write_scores(detector, source, whole, batch=100)
    write_scores(detector, source, path, batch=100)

    def score(x):
        calls.append(len(x))
        if len(calls) == moment:
            with pytest.raises(
                BlockingIOError, match=f"Another process is writing .*scores{suffix}"
            ):
                write_scores(detector, source, path, batch=100)
        return right(x)

    monkeypatch.setattr(detector, "anomaly_score", score)
    assert write_scores(detector, source, path, batch=100)[0] == 1037
    pd.testing.assert_frame_equal(_read(path), _read(whole))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["rows.npy", whole.name, path.name])


def test_kept_scores_of_another_input_go_and_a_strangers_file_stays(tmp_path):
    folder = tmp_path / ".scores.csv.parts"
    folder.mkdir()
    score_files._Parts(folder, ".csv", "one").add(0, pd.DataFrame({"row": [0], "score": [1.0]}))
    (folder / "notes.txt").write_text("mine")
    parts = score_files._Parts(folder, ".csv", "another")
    assert parts.rows() == 0
    assert sorted(path.name for path in folder.iterdir()) == ["identity", "notes.txt"]
    parts.remove()
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
