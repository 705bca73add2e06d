"""docs/reliability.md: how faults and random inputs were tested, and what was found.

Rendered by `python -m benchmarks.report` from results/benchmarks/faults.json and fuzz.json.
"""

from pathlib import Path

from alad_tf.engine.files import read_json
from alad_tf.engine.markdown import markdown_table
from benchmarks.common import origin

HEAD = """# Reliability

Two promises: no command destroys a file that it did not write, and no answer is silently wrong. Two
programs try to break them. This page is rendered by `python -m benchmarks.report` from
`results/benchmarks/`; do not edit it by hand.
"""
FAULTS = """## Faults

`python -m benchmarks.faults` runs each command undisturbed, then with a fault: killed (SIGKILL) or
interrupted (Ctrl-C) at a random moment, on a full or read-only disk, or twice at once with the same
output. It then inspects the files and runs the command again, which must end as if nothing had
happened. *download* is `zoo.load` of a preset from a server. For each fault the table counts how
often

- it was *tried*;
- a file was *lost*: one of the user's, or the previous output;
- the output was *damaged*, or the command reported success without having written it (*silent*);
- the command ended in a *traceback* instead of a one-line error;
- the command did *not complete* when run again, or a temporary file was *left behind*.
"""
FUZZING = """## Fuzzing

`make fuzz` generates inputs with [hypothesis](https://hypothesis.readthedocs.io) and passes them
to the library's functions. These must hold:

- An input is *answered*, or *refused* with a documented error; an error about a file names it.
- A file gives the same rows whether it is read at once, in pieces, or from its middle.
- A table written by Python's csv module is read back unchanged.
- A damaged detector does not load.
- A score that is not finite is never called normal.
- No command changes a file that it did not write.

Anything else is a *finding*: another exception, a crash, or more than 10 seconds of processor time
or a gibibyte of memory for one input.
"""
# what these programs found, and what happens instead
MENDED = (
    (
        "faults",
        "On a full disk, HDF5 printed a traceback for each object that it could not close.",
        "The space that the weights need is checked beforehand, and one line names it.",
    ),
    (
        "faults",
        "An export over an earlier export was refused, because TensorFlow leaves an empty folder "
        "in it.",
        "It is replaced.",
    ),
    (
        "faults",
        "An export to a full disk ended in a traceback.",
        "A one-line error says that no space is left.",
    ),
    (
        "faults",
        "An earlier version's folder on a mounted volume was refused, but only after the work was "
        "done.",
        "It is replaced, file by file.",
    ),
    (
        "faults",
        "When two `alad score` commands had the same output, the first to finish deleted the "
        "other's batches, and the other could write an output without rows.",
        "The second is refused while the first is running.",
    ),
    (
        "fuzzing",
        "Loading a detector whose config.json and manifest had been edited ended in internal "
        "errors, or in an unbounded allocation.",
        "It is refused, and the error names the file and the key.",
    ),
    (
        "fuzzing",
        "A CSV with blank cells in a column of numbers ended in a TypeError.",
        "Blank cells are missing values.",
    ),
    (
        "fuzzing",
        "A CSV with unbalanced quotes in its first line, a damaged ZIP archive and an NPY with a "
        "damaged header ended in errors that did not name the file.",
        "The errors name the file.",
    ),
)


def render_reliability(folder):
    """The page as Markdown; a part without a JSON is listed as not measured.

    Args:
        folder: str or Path of the benchmarks' JSONs.

    Returns:
        str.
    """
    parts = [HEAD]
    for name, text, section in (("faults", FAULTS, _faults), ("fuzz", FUZZING, _fuzz)):
        path = Path(folder) / f"{name}.json"
        lines = [f"Not measured yet: `python -m benchmarks.{name}`."]
        if path.is_file():
            data = read_json(path)
            lines = [*section(data), "", origin(data)]
        parts.append("\n".join([text, *lines, ""]))
    found = markdown_table(["found by", "before", "now"], MENDED)
    parts.append("\n".join(["## Findings that were fixed", "", *found, ""]))
    return "\n".join(parts)


def _faults(data):
    header = [key for key in data["rows"][0] if key != "commit"]
    tried = sum(row["tried"] for row in data["rows"])
    wrong = sum(row[key] for row in data["rows"] for key in header[3:])
    rows = [[str(row[key]) for key in header] for row in data["rows"]]
    summary = f"{tried:,} faults were tried, including {data['kills']} kills of each command; "
    summary += f"{wrong or 'no'} violation{'' if wrong == 1 else 's'}."
    commits = sorted({row["commit"] for row in data["rows"] if "commit" in row})
    note = f"Rows were measured at commits {', '.join(commits)}." if len(commits) > 1 else ""
    return [summary, "", *markdown_table(header, rows), "", note]


def _fuzz(data):
    counts = data["targets"]
    rows = [[name, *(f"{value:,}" for value in one.values())] for name, one in counts.items()]
    names = {"seconds": "seconds, all processes"}
    header = ["target", *(names.get(name, name) for name in next(iter(counts.values())))]
    tried, found = sum(one["tried"] for one in counts.values()), data["findings"]
    kinds = (
        f"{len(found)} kind{'' if len(found) == 1 else 's'} of finding" if found else "no findings"
    )
    summary = (
        f"{tried:,} inputs were tried with seed {data['seed']} in {data['minutes']:g} minutes: "
    )
    summary += f"{kinds}."
    open_ = [f"- {one['target']}: {one['kind']}" for one in found]
    table = markdown_table(header, rows)
    return [summary, "", *table, *(["", "Open:", "", *open_] if found else [])]
