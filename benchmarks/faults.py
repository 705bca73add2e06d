"""What commands survive: being killed or interrupted, a full or read-only disk, two at once.

`python -m benchmarks.faults` runs each command (fit, train, score, export, a preset's download)
once undisturbed, then again and again with a fault at a random moment, and looks at what is left:
the files of others beside the output, an output from before, and whether the same command, given
again, ends as if nothing had happened. Linux; full and read-only disks need the right to mount.
"""

import contextlib
import functools
import hashlib
import http.server
import inspect
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from alad_tf.engine import machine
from alad_tf.engine.files import read_json
from benchmarks.common import console, write

ROOT = Path(__file__).resolve().parents[1]
JSON = ROOT / "results/benchmarks/faults.json"
ENTRY = "breast_cancer_alad"
FULL_KIB = (4, 16, 64, 128, 256)  # sizes of disks that are too small
BYSTANDERS = {"thesis.txt": "years of work", "notes/todo.md": "mine"}


@dataclass(frozen=True)
class Command:
    """A command of `alad`, or Python code, that writes `output` from what lies in a folder.

    Attributes:
        words: tuple of str, after `alad`; or one str, Python code.
        output: str, what it writes, relative to its working folder.
        again: words that are added when it goes on after a fault.
        before: whether an older output lies there when it starts.
    """

    words: tuple
    output: str
    again: tuple = ()
    before: bool = True
    env: dict = field(default_factory=dict)


ALAD = {
    "fit": Command(
        ("fit", "table.csv", "--out", "out/detector", "--steps", "300", "--members", "1"),
        "out/detector",
    ),
    "train": Command(
        ("train", ENTRY, "--epochs", "40", "--checkpoint-every", "0", "--seed", "0", "--out")
        + ("out/run", "--results", "out/results"),
        "out/run/detector",
        ("--resume",),
        before=False,
    ),
    "score": Command(("score", ENTRY, "rows.npy", "--out", "out/scores.csv"), "out/scores.csv"),
    "export": Command(("export", ENTRY, "out/served", "--name", "m"), "out/served/m/1"),
    "download": Command(
        (f"import zoo; zoo.load({ENTRY!r})",),
        f"keras/models/alad_zoo/{ENTRY}/default",
        before=False,
    ),
}


def inputs(folder):
    """Write what the commands read, and bystanders, into a folder."""
    generator = np.random.default_rng(0)
    table = generator.normal(size=(400, 6))
    (folder / "out").mkdir(parents=True)
    np.savetxt(folder / "table.csv", table, delimiter=",", header="a,b,c,d,e,f", comments="")
    from alad_tf.data import load

    records = load("breast_cancer").x
    rows = records[generator.integers(0, len(records), 200_000)]
    np.save(folder / "rows.npy", rows)
    write_bystanders(folder)


def write_bystanders(folder):
    """Files of other people, beside the output and above it."""
    for name, text in BYSTANDERS.items():
        for place in (folder / name, folder / "out" / name):
            place.parent.mkdir(exist_ok=True)
            place.write_text(text)


def start(command, folder, more=(), package=ROOT, url=""):
    """Start a command in a folder: a `subprocess.Popen`."""
    env = {**os.environ, "PYTHONPATH": str(package), "KERAS_HOME": str(folder / "keras")}
    env |= {"TF_CPP_MIN_LOG_LEVEL": "3", "COLUMNS": "200", "ALAD_ZOO_URL": url}
    code = "import sys; from alad_tf.cli import main; sys.argv[0] = 'alad'; main()"
    words = (code, *command.words, *more) if len(command.words) > 1 else command.words
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
    return subprocess.Popen([sys.executable, "-c", *words], cwd=folder, env=env, **pipes)


def fingerprint(path):
    """A hash of what an output answers; None if there is none, "damaged: ..." if it is."""
    if not path.exists():
        return None
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    import tensorflow as tf

    from alad_tf import Detector

    try:
        if (path / "saved_model.pb").is_file():
            served = tf.saved_model.load(str(path)).signatures["serving_default"]
            found = served(x=tf.zeros((3, 30)))["score"].numpy()
        else:
            detector = Detector.load(path)
            scores = detector.scorer(tf.zeros((3, *detector.preprocessor.output_shape)))
            found = np.concatenate([scores[name].numpy().ravel() for name in sorted(scores)])
        return hashlib.sha256(found.tobytes()).hexdigest()
    except Exception as error:  # whatever a damaged output makes happen is counted
        return f"damaged: {error}"


class Case:
    """A working folder, and one command run there undisturbed and with faults."""

    def __init__(self, name, folder, server):
        self.name, self.command, self.home = name, ALAD[name], folder
        self.package, self.url = ROOT, ""
        if name == "download":
            self.package, self.url = server
        first = self.fresh()
        self.seconds = -time.monotonic()
        self.end(self.start(first))
        self.seconds += time.monotonic()
        self.expected = fingerprint(first / self.command.output)
        if not self.expected or self.expected.startswith("damaged"):
            raise RuntimeError(f"{name} fails even without a fault: {self.expected}")
        self.old = first / self.command.output

    def fresh(self):
        """A new working folder; in it an older output, if the command replaces one."""
        folder = Path(tempfile.mkdtemp(prefix=f"{self.name}_", dir=self.home))
        inputs(folder)
        if self.command.before and hasattr(self, "old"):
            place = folder / self.command.output
            place.parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if self.old.is_dir() else shutil.copy2
            copy(self.old, place)
        return folder

    def start(self, folder, more=()):
        if self.name == "score" and (folder / self.command.output).exists():
            more = (*more, *_overwrite())
        return start(self.command, folder, more, self.package, self.url)

    def end(self, process, signal_at=None, number=signal.SIGKILL):
        """Wait for a process, or send it a signal after some seconds: its code and its messages."""
        try:
            _, errors = process.communicate(timeout=signal_at)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
            _, errors = process.communicate()
        return process.returncode, errors

    def look(self, folder, row, errors=""):
        """Count what a fault did to a folder."""
        row["tried"] += 1
        for name, text in BYSTANDERS.items():
            for place in (folder / name, folder / "out" / name):
                row["lost"] += not place.is_file() or place.read_text() != text
        found = fingerprint(folder / self.command.output)
        row["damaged"] += bool(found) and found.startswith("damaged")
        row["lost"] += self.command.before and found is None
        row["tracebacks"] += self.has_traceback(errors)
        return found

    def has_traceback(self, errors):
        """Whether a command of `alad` ended in a traceback; Python code may."""
        return len(self.command.words) > 1 and "Traceback" in errors

    def again(self, folder, row):
        """Run the same command again: it must end as if nothing had happened."""
        code, errors = self.end(self.start(folder, self.command.again))
        found = fingerprint(folder / self.command.output)
        row["not completed"] += code != 0 or found != self.expected
        left = [p for p in folder.rglob(".*") if p.name.endswith((".partial", ".new", ".tmp"))]
        row["left behind"] += bool(left)
        if code or found != self.expected or left:
            console.print(self.name, code, found, left, errors[-500:], markup=False)
        shutil.rmtree(folder)


@functools.cache
def _overwrite():
    """What `alad score` needs to replace scores, in versions that ask for it."""
    from alad_tf.cli.detect import score

    return ("--overwrite",) if "overwrite" in inspect.signature(score).parameters else ()


def signals(case, row, count, number, seed):
    """A signal at random moments of a command."""
    moments = random.Random(seed)
    for _ in range(count):
        folder = case.fresh()
        at = moments.uniform(0.1, 1.0) * case.seconds
        _, errors = case.end(case.start(folder), at, number)
        case.look(folder, row, errors)
        case.again(folder, row)


def small_disks(case, row, sizes):
    """A disk that is full before the output is whole; then there is room."""
    for size in sizes:
        folder = case.fresh()
        place = (folder / case.command.output).parent
        place.mkdir(parents=True, exist_ok=True)
        keep = folder / "kept"
        shutil.copytree(place, keep)
        _mount(place, f"size={size}k")
        try:
            code, errors = case.end(case.start(folder))
            row["tried"] += 1
            row["tracebacks"] += case.has_traceback(errors)
            row["damaged"] += (fingerprint(folder / case.command.output) or "").startswith(
                "damaged"
            )
            row["silent"] += (
                code == 0 and fingerprint(folder / case.command.output) != case.expected
            )
            subprocess.run(["mount", "-o", "remount,size=256m", place], check=True)
            _again_on(case, folder, row)
        finally:
            subprocess.run(["umount", "-l", place], check=True)
        shutil.rmtree(folder)


def _again_on(case, folder, row):
    code, errors = case.end(case.start(folder, case.command.again))
    done = code == 0 and fingerprint(folder / case.command.output) == case.expected
    row["not completed"] += not done
    if not done:
        console.print(case.name, code, errors[-500:], markup=False)


def read_only(case, row):
    """An output on a disk that cannot be written: refused, and what is there stays readable."""
    folder = case.fresh()
    place = (folder / case.command.output).parent
    place.mkdir(parents=True, exist_ok=True)
    _mount(place, "size=256m")
    write_bystanders(folder)
    try:
        if case.command.before:
            copy = shutil.copytree if case.old.is_dir() else shutil.copy2
            copy(case.old, folder / case.command.output)
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        code, errors = case.end(case.start(folder))
        case.look(folder, row, errors)
        row["silent"] += code == 0
        subprocess.run(["mount", "-o", "remount,rw", place], check=True)
        _again_on(case, folder, row)
    finally:
        subprocess.run(["umount", "-l", place], check=True)
    shutil.rmtree(folder)


def two_at_once(case, row):
    """Two processes with one output: one of them may refuse, none may break what is there."""
    folder = case.fresh()
    processes = [case.start(folder) for _ in range(2)]
    ends = [case.end(process) for process in processes]
    found = case.look(folder, row, "".join(errors for _, errors in ends))
    row["not completed"] += found != case.expected or not any(code == 0 for code, _ in ends)
    case.again(folder, row)


def _mount(place, options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)


def can_mount():
    """Whether this process may mount a file system."""
    with tempfile.TemporaryDirectory() as place:
        mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place]
        if subprocess.run(mount, capture_output=True).returncode:
            return False
        subprocess.run(["umount", place], check=True)
    return True


class _Slow(http.server.SimpleHTTPRequestHandler):
    """Answers in small pieces, so that a download takes a while."""

    def copyfile(self, source, outputfile):
        with contextlib.suppress(BrokenPipeError):
            while piece := source.read(4096):
                outputfile.write(piece)
                time.sleep(0.01)

    def log_message(self, *arguments):
        pass


def without_presets(folder):
    """The package without the preset, and the address of a slow server that has it."""
    package, files = folder / "package", folder / "files"
    for name in ("alad_tf", "zoo"):
        ignore = shutil.ignore_patterns("__pycache__", "weights")
        shutil.copytree(ROOT / name, package / name, ignore=ignore)
    shutil.copytree(ROOT / "zoo/weights" / ENTRY, files / ENTRY)
    handler = functools.partial(_Slow, directory=files)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return package, f"http://127.0.0.1:{server.server_port}"


def _measured(arguments):
    """The rows in the JSON, if they were measured with these arguments; each has its commit."""
    found = read_json(JSON) if JSON.is_file() else {}
    if any(found.get(key) != value for key, value in arguments.items()):
        return []
    return [{"commit": found["commit"], **row} for row in found["rows"]]


FAULTS = (
    "SIGKILL at a random moment",
    "Ctrl-C at a random moment",
    "two at once",
    "full disk",
    "read-only disk",
)
COUNTS = ("lost", "damaged", "silent", "tracebacks", "not completed", "left behind")


def main(
    kills: Annotated[
        int, typer.Option(help="Number of SIGKILLs per command, at random moments.")
    ] = 20,
    interrupts: Annotated[
        int, typer.Option(help="Number of Ctrl-Cs per command, at random moments.")
    ] = 5,
    only: Annotated[str, typer.Option(help="Commands, separated by commas; default: all.")] = "",
    faults: Annotated[
        str,
        typer.Option(help="Kinds of faults, separated by commas; default: all."),
    ] = "",
    seed: Annotated[int, typer.Option(help="Seed of the random moments.")] = 0,
    save: Annotated[bool, typer.Option(help="Write the JSON, after each command.")] = True,
):
    """Run faults on commands; write results/benchmarks/faults.json.

    Other rows of the JSON are kept if they were measured with the same arguments; each row has its
    commit.
    """
    arguments = {"kills": kills, "interrupts": interrupts, "seed": seed}
    names = only.split(",") if only else list(ALAD)
    chosen = faults.split(",") if faults else list(FAULTS)
    if not can_mount():
        chosen = [fault for fault in chosen if "disk" not in fault]
    rows = [
        r for r in _measured(arguments) if (r["command"], r["fault"]) not in _all(names, chosen)
    ]
    runs = {
        FAULTS[0]: lambda case, row: signals(case, row, kills, signal.SIGKILL, seed),
        FAULTS[1]: lambda case, row: signals(case, row, interrupts, signal.SIGINT, seed),
        FAULTS[2]: two_at_once,
        FAULTS[3]: lambda case, row: small_disks(case, row, FULL_KIB),
        FAULTS[4]: read_only,
    }
    with tempfile.TemporaryDirectory(prefix="faults_") as home:
        home = Path(home)
        server = without_presets(home)
        for name in names:
            case = Case(name, home, server)
            for fault in chosen:
                row = dict.fromkeys(("tried", *COUNTS), 0)
                runs[fault](case, row)
                rows.append({"commit": machine.commit(), "command": name, "fault": fault, **row})
                console.print(rows[-1], markup=False)
            if save:
                order = _all(list(ALAD), FAULTS)
                rows.sort(key=lambda row: order.index((row["command"], row["fault"])))
                write("faults", {**arguments, "rows": rows})
    raise SystemExit(1 if any(row[key] for row in rows for key in COUNTS) else 0)


def _all(names, faults):
    return [(name, fault) for name in names for fault in faults]


if __name__ == "__main__":
    typer.run(main)
