"""What the benchmarks share: timing in turns, JSON with the machine's name, tables."""

import statistics
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from alad_tf.engine import machine
from alad_tf.engine.files import write_json

ROUNDS = 5
DataDir = Annotated[
    Path | None, typer.Option(help="Folder of the .npz files; default: ALAD_DATA_DIR/adbench.")
]
console = Console()


def seconds(function, repeats=1):
    """Seconds of one call of `function`, the mean of `repeats` calls in a row."""
    begun = time.perf_counter()
    for _ in range(repeats):
        function()
    return (time.perf_counter() - begun) / repeats


def in_turns(measurements, rounds=ROUNDS):
    """Measure several things in turns, so that a slow minute of the machine hits all alike.

    Args:
        measurements: dict by name of functions that return seconds.
        rounds: int, turns; the first calls, which compile, belong before.

    Returns:
        dict by name of lists of seconds, one a round.

    Example:
        >>> in_turns({"a": lambda: 0.1}, 2)
        round 1 of 2
        round 2 of 2
        {'a': [0.1, 0.1]}
    """
    times = {name: [] for name in measurements}
    for number in range(rounds):
        console.print(f"round {number + 1} of {rounds}", style="dim")
        for name, measure in measurements.items():
            times[name].append(measure())
    return times


def spread(values):
    """Median, minimum and maximum of a list of numbers: a JSON-able dict."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratio(over, under):
    """The spread of two measurements' ratio, round by round."""
    return spread([a / b for a, b in zip(over, under, strict=True)])


def write(name, results, packages=()):
    """Write a benchmark's JSON, with what it ran on.

    Args:
        name: str, the file is `results/benchmarks/<name>.json`.
        results: JSON-able dict.
        packages: names of further packages whose versions matter.

    Returns:
        Path of the JSON.
    """
    about = {
        "benchmark": name,
        "command": f"python -m benchmarks.{name}",
        "hardware": machine.hardware(),
        "versions": machine.versions(*packages),
        "commit": machine.commit(),
    }
    path = write_json(f"results/benchmarks/{name}.json", {**about, **results})
    console.print(f"json      {path}", highlight=False)
    return path


def origin(data):
    """The origin of a benchmark's JSON, as a sentence: command, commit, machine, versions."""
    machine = data["hardware"]
    where = f"{machine['processor']}, {machine['cores']} cores"
    where += "".join(f", {gpu}" for gpu in machine["gpus"])
    versions = ", ".join(f"{key} {value}" for key, value in data["versions"].items())
    return f"`{data['command']}` at commit {data['commit']} on {where}; {versions}."


def show(title, header, rows):
    """Print a table.

    Args:
        title: str.
        header: list of str.
        rows: list of lists of str.
    """
    table = Table(*header, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def median_range(values, unit=1e3, digits=3):
    """A spread in words: "1.234 (1.200 to 1.300)", by default in milliseconds."""
    shown = (f"{values[key] * unit:,.{digits}f}" for key in ("median", "min", "max"))
    return "{} ({} to {})".format(*shown)


def beside(values, ratios, unit=1e3, digits=3):
    """Rows of a table: each thing's spread, and its ratio where it has one.

    Args:
        values: dict of spreads by name.
        ratios: dict of spreads by name; the one that the others are compared with is not in it.
        unit, digits: as for `median_range`.

    Returns:
        list of lists of str: name, value, ratio.
    """
    return [
        [
            name,
            median_range(value, unit, digits),
            median_range(ratios[name], 1, 2) if name in ratios else "",
        ]
        for name, value in values.items()
    ]
