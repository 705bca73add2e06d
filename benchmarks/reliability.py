"""docs/reliability.md: what was tried to break the program, and what came of it.

Rendered by `python -m benchmarks.report` from results/benchmarks/faults.json and fuzz.json.
"""

from pathlib import Path

from alad_tf.engine.files import read_json
from alad_tf.engine.markdown import markdown_table
from benchmarks.common import origin

HEAD = """# Reliability

Rendered by `python -m benchmarks.report` from `results/benchmarks/`; do not edit by hand. Nothing
that the program did not write may be lost, and no answer may be wrong without a word. Two programs
try to make that happen.
"""
FAULTS = """## Faults

`python -m benchmarks.faults` runs commands undisturbed, and again with a fault: killed (SIGKILL) or
interrupted (Ctrl-C) at a random moment, on a disk that is full or read-only, twice at once with one
output. Then it looks at what is there, and gives the command again, which must end as if nothing
had happened. Of each fault the table counts how often

- it was *tried*;
- something was *lost*: a file of somebody else, or the output from before;
- the output was *damaged*, or the command ended well without having written it (*silent*);
- the command ended in a *traceback* instead of one line that says what is wrong;
- the command, given again, did *not complete*, or a temporary file was *left behind* after it.
"""
FUZZING = """## Fuzzing

`make fuzz` draws inputs with [hypothesis](https://hypothesis.readthedocs.io) and tries them in
process. An input must be *answered* or *refused* by a documented error; a file must give the same
rows whether it is read at once, in pieces, or from its middle, and an error about a file must name
it; a table that the csv module wrote must come back as it was; a damaged detector must not load;
no score that is not finite may be called normal; no command may change a file that it did not
write. Everything else is a *finding*: another exception, a dead process, more than 10 seconds of
the processor's time or a gibibyte of memory for one input.
"""
# what these programs found, and what happens instead
MENDED = (
    (
        "faults",
        "An export onto an export was refused, because TensorFlow leaves an empty folder in it.",
        "It is replaced.",
    ),
    (
        "faults",
        "An export onto a full disk ended in a traceback.",
        "One line says that there is no space left.",
    ),
    (
        "faults",
        "An earlier version's folder on a mounted volume was refused after the work was done.",
        "It is replaced, file by file.",
    ),
    (
        "faults",
        "Of two `alad score` with one output, the first to end took the other's parts away; the "
        "other could write an output without rows.",
        "The second is refused while the first is at work.",
    ),
    (
        "fuzzing",
        "A saved detector whose config.json was edited, and its manifest too, ended in errors of "
        "Python's own, or in an allocation without bound.",
        "It is refused by the name of the file and the key.",
    ),
    (
        "fuzzing",
        "A CSV with cells of nothing but blanks in a column of numbers ended in a TypeError.",
        "Such cells are gaps.",
    ),
    (
        "fuzzing",
        "A CSV with broken quotes in its first line, a damaged ZIP archive and a damaged header "
        "of an NPY ended in errors that did not name the file.",
        "They are refused by name.",
    ),
)


def render_reliability(folder):
    """The page as Markdown; what has no JSON yet is said to be not measured.

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
    found = markdown_table(["found by", "what happened", "what happens now"], MENDED)
    parts.append("\n".join(["## What was found and mended", "", *found, ""]))
    return "\n".join(parts)


def _faults(data):
    header = list(data["rows"][0])
    tried = sum(row["tried"] for row in data["rows"])
    wrong = sum(row[key] for row in data["rows"] for key in header[3:])
    rows = [[str(row[key]) for key in header] for row in data["rows"]]
    told = f"{tried:,} faults were tried, {data['kills']} kills of each command among them; "
    told += f"{wrong or 'none'} of the things that must not happen happened."
    return [told, "", *markdown_table(header, rows)]


def _fuzz(data):
    counts = data["targets"]
    rows = [[name, *(f"{value:,}" for value in one.values())] for name, one in counts.items()]
    header = ["target", *next(iter(counts.values()))]
    tried, found = sum(one["tried"] for one in counts.values()), data["findings"]
    told = f"{tried:,} inputs were tried with seed {data['seed']} in {data['minutes']:g} minutes; "
    told += f"{len(found) or 'no'} kind{'' if len(found) == 1 else 's'} of finding."
    open_ = [f"- {one['target']}: {one['kind']}" for one in found]
    return [told, "", *markdown_table(header, rows), *(["", "Open:", "", *open_] if found else [])]
