"""A million rows from Parquet to Parquet: throughput, memory, and a kill in the middle.

    python -m benchmarks.batch [--rows 1000000] [--rounds 3]

The rows are KDD99's file, repeated. `write_scores`, which is `alad score`, beside the detector on
a table that is in memory already, in turns; the greatest memory of the process while it streams,
beyond what it had with the detector loaded and warm; and a process that is killed half-way, whose
successor must end with the rows, once each and in order, of an unbroken run.
"""

import json
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

import zoo
from alad_tf.cli.score_files import write_scores
from alad_tf.data import load
from alad_tf.data.user_files import BATCH
from benchmarks import common

ENTRY = "kdd99_alad"

CHILD = """
import json, resource, sys, warnings
warnings.simplefilter("ignore")
import pandas as pd
import zoo
from alad_tf.cli.score_files import write_scores
entry, source, path = sys.argv[1:]
detector = zoo.load(entry)
import pyarrow.parquet
first = next(pyarrow.parquet.ParquetFile(source).iter_batches(1000)).to_pandas()
detector.anomaly_score(pd.concat([first] * 60))  # the program of large requests, too
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
print("ready", flush=True)
rows, flagged = write_scores(detector, source, path)
print(json.dumps({"rows": rows, "additional_bytes": peak() - before}))
"""


def child(source, path):
    """A process that scores the file: `subprocess.Popen`."""
    command = [sys.executable, "-c", CHILD, ENTRY, str(source), str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def killed_and_resumed(source, folder, rows):
    """What a kill half-way leaves, and what the next call makes of it: a JSON-able dict."""
    path = folder / "resumed.parquet"
    parts = path.with_name(f".{path.name}.parts")
    process = child(source, path)
    while len(list(parts.glob("[0-9]*.parquet"))) < rows // BATCH // 2:
        time.sleep(0.01)
        if process.poll() is not None:
            raise RuntimeError("The process ended before it could be killed. Use more --rows.")
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = len(list(parts.glob("[0-9]*.parquet"))) * BATCH
    process = child(source, path)
    answer = json.loads(process.communicate()[0].splitlines()[-1])
    return {"rows_kept": kept, "rows": answer["rows"], "path": str(path)}


def main(
    rows: Annotated[
        int, typer.Option(min=10 * BATCH, help="Number of rows of the file.")
    ] = 1_000_000,
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds.")] = 3,
):
    """Measure, print and write results/benchmarks/batch.json."""
    warnings.simplefilter("ignore")
    records = load("kdd99")
    table = pd.DataFrame(records.x)
    table = pd.concat([table] * -(-rows // len(table)), ignore_index=True).iloc[:rows]
    detector = zoo.load(ENTRY)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        source = folder / "rows.parquet"
        table.to_parquet(source, row_group_size=2 * BATCH)
        whole = folder / "whole.parquet"
        ways = {
            "in memory": lambda: rows / common.seconds(lambda: detector.anomaly_score(table)),
            "Parquet to Parquet": lambda: (
                rows / common.seconds(lambda: write_scores(detector, source, whole))
            ),
        }
        for way in ways.values():
            way()
        times = common.in_turns(ways, rounds)
        process = child(source, folder / "child.parquet")
        answer = json.loads(process.communicate()[0].splitlines()[-1])
        resumed = killed_and_resumed(source, folder, rows)
        same = pd.read_parquet(resumed.pop("path")).equals(pd.read_parquet(whole))
    results = {
        "rows": rows,
        "rows_per_s": {name: common.spread(values) for name, values in times.items()},
        "ratio": common.ratio(times["Parquet to Parquet"], times["in memory"]),
        "additional_bytes": answer["additional_bytes"],
        "killed": {**resumed, "equal_to_unbroken": bool(same)},
    }
    shown = [
        [name, common.median_range(value, 1, 0)] for name, value in results["rows_per_s"].items()
    ]
    shown.append(["ratio", common.median_range(results["ratio"], 1, 2)])
    shown.append(["additional memory, MiB", f"{answer['additional_bytes'] / 2**20:,.0f}"])
    shown.append(["killed, then resumed", f"{resumed['rows_kept']:,} rows kept; equal: {same}"])
    common.show(f"{rows:,} rows of KDD99", ["measure", "median (minimum to maximum)"], shown)
    common.write("batch", results, ("pyarrow",))


if __name__ == "__main__":
    typer.run(main)
