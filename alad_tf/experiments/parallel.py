"""Commands side by side, each on cores of its own; an entry trained from several seeds."""

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from alad_tf.engine.files import read_json
from alad_tf.experiments.results import TITLES, result_path, spread_of

NOT_STARTED = 127  # the exit code that a shell gives for a command which is not there
GRACE_S = 15.0  # from Ctrl-C until the jobs that still run are sent it again
POLL_S = 0.05
# A job is no terminal: plain lines, at once, and not broken at 80 columns. TensorFlow takes all of
# a GPU's memory unless it is asked to share it.
_ENVIRONMENT = {
    "PYTHONUNBUFFERED": "1",
    "COLUMNS": "160",
    "TTY_COMPATIBLE": "0",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
}


def run_jobs(commands, jobs=None, console=None):
    """Run commands, some at a time, each on its share of the cores, and pass their lines on.

    All shares are of one size, so that what a job computes does not depend on which share it gets;
    a job that ends gives its share to the next. A job that fails does not stop the others. After
    Ctrl-C no job is started any more, and those that run are waited for: they get the signal from
    the terminal themselves, and once more from here if they still run after `GRACE_S`. SIGTERM is
    passed on to them at once. Then KeyboardInterrupt or SystemExit is raised.

    `commands` is a dict of argument lists by label, which precedes each of a job's lines;
    `jobs` is how many run at a time, by default one per core. Returns the exit codes in the order
    of `commands`: `NOT_STARTED` for what could not be started, -n for what signal n ended.
    """
    if jobs is not None and jobs < 1:
        raise ValueError(f"received jobs={jobs}; expected at least 1.")
    if not commands:
        return []
    console = console or Console(stderr=True)
    cores = _cores()
    shares = _shares(cores, min(jobs or len(cores), len(commands)))
    environment, width = _environment(len(shares[0])), max(map(len, commands))
    running, lock = {}, threading.Lock()
    stops = []  # (signal, when it came); only the first counts

    def show(label, line):
        prefix = (f"{label:{width}} | ", "cyan")
        console.print(Text.assemble(prefix, Text.from_ansi(line)), soft_wrap=True)

    def run(label):
        with lock:  # so that no process starts unseen while the others are stopped
            if stops:
                return None
            try:
                process = running[label] = _start(commands[label], environment)
            except OSError as error:
                show(label, f"not started: {error}")
                return NOT_STARTED
        try:
            with process.stdout:
                for line in process.stdout:
                    show(label, line.rstrip("\n"))
            return process.wait()
        except BaseException:
            stops.append((signal.SIGTERM, time.monotonic()))  # without its lines none is to go on
            raise
        finally:
            process.terminate()  # does nothing to one that has ended
            process.wait()
            running.pop(label)

    def on_signal(number, frame):
        stops.append((number, time.monotonic()))
        if len(stops) == 1:
            names = ", ".join(label for label in commands if label in running)
            console.print(f"Waiting for {names} to stop.", highlight=False)

    def confine():
        if hasattr(os, "sched_getaffinity"):
            os.sched_setaffinity(0, shares.pop())  # of this thread; its processes inherit it

    with _handling(on_signal), ThreadPoolExecutor(len(shares), initializer=confine) as pool:
        futures, passed_on = [pool.submit(run, label) for label in commands], False
        while wait(futures, POLL_S).not_done:
            # Ctrl-C reaches the jobs, too, but `kill -INT` may have meant this process alone; a
            # second signal at once could strike a job while it answers the first
            if stops and not passed_on:
                number, came = stops[0]
                if time.monotonic() >= came + (GRACE_S if number == signal.SIGINT else 0.0):
                    with lock:
                        for process in list(running.values()):
                            process.send_signal(number)
                    passed_on = True
        codes = [future.result() for future in futures]
    if stops:
        raise KeyboardInterrupt if stops[0][0] == signal.SIGINT else SystemExit(128 + stops[0][0])
    return codes


def _cores():
    """The numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _shares(cores, count):
    """`count` lists of cores, of one size; none is in two of them as long as there are enough."""
    size = max(1, len(cores) // max(1, count))
    return [[cores[(i * size + j) % len(cores)] for j in range(size)] for i in range(count)]


def _environment(cores):
    environment = {**os.environ, **_ENVIRONMENT}
    environment.pop("FORCE_COLOR", None)  # it would make a progress bar of the job's lines
    if not hasattr(os, "sched_getaffinity"):  # a process cannot be confined to its share
        for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            environment.setdefault(name, str(cores))
    return environment


def _start(command, environment):
    pipes = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return subprocess.Popen(command, **pipes, text=True, errors="replace", env=environment)


@contextlib.contextmanager
def _handling(handler):
    """SIGINT and SIGTERM go to a handler, where they are not ignored."""
    previous = {}
    if threading.current_thread() is threading.main_thread():  # no other may set handlers
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                previous[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in previous.items():
            signal.signal(number, old)


def alad_command(words):
    """The command that runs `alad` with these words in another process: list of str.

    It runs the same package as this one, wherever that came from, and not a folder of its name in
    the working directory, which `python -c` looks into first.
    """
    code = f"import sys; sys.path[:] = {sys.path!r}; from alad_tf.cli import main; main()"
    return [sys.executable, "-c", code, *words]


def parse_seeds(text):
    """The seeds that a text such as "0-2,7" names, each once: list of ints in its order."""
    seeds = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part, re.ASCII)
        if not found:
            raise ValueError(
                f"received the seeds {text!r}, where {part!r} is neither a number nor a "
                "range; expected something like 0,1,2 or 0-9 or 0-2,7."
            )
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise ValueError(
                f"received the range of seeds {part.strip()!r}, which runs downwards. Write "
                f"{last}-{first}."
            )
        seeds.update(dict.fromkeys(range(first, last + 1)))
    return list(seeds)


def train_words(entry, settings, results, data_dir=None, resume=False, checkpoint_every=None):
    """The words of the `alad train` that makes a run of these settings: list of str."""
    fields = {field.name: field.default for field in dataclasses.fields(settings)}
    options = {k: v for k, default in fields.items() if (v := getattr(settings, k)) != default}
    options |= {"seed": settings.seed, "results": results, "data_dir": data_dir}
    options |= {"resume": resume or None, "checkpoint_every": checkpoint_every}
    words = ["train", entry.name]
    for name, value in options.items():
        name = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
        elif value is not None:
            words.append(f"--{name}={value}")
    return words


def train_seeds(entry, settings, seeds, jobs, results, data_dir, console, **options):
    """Train an entry from each of several seeds, in processes side by side.

    On images, the last bits of a seed's result depend on the number of cores that its process has,
    hence on `jobs`; `options` are those of `train_words`. Returns `(trained, failed)`: the results
    of the seeds that were trained, and the other processes' exit codes by seed.
    """
    import tensorflow as tf

    from alad_tf.data import load

    with contextlib.suppress(RuntimeError):  # where this process uses one already
        tf.config.set_visible_devices([], "GPU")  # they are for the others
    # Read here first: the processes would all download missing data at once, into one folder.
    load(entry.dataset, data_dir, settings.normal_class)
    commands = {}
    for seed in seeds:
        one = dataclasses.replace(settings, seed=seed)
        words = train_words(entry, one, results, data_dir, **options)
        commands[f"seed {seed}"] = alad_command(words)
    codes = dict(zip(seeds, run_jobs(commands, jobs, console), strict=True))
    paths = [result_path(results, entry.name, settings.variant, k) for k in seeds if not codes[k]]
    return [read_json(path) for path in paths], {k: code for k, code in codes.items() if code}


def seeds_table(entry, trained):
    """F1 and AUROC of the deciding score as a `rich.table.Table`: results, mean ± std, paper."""
    names = ["f1", "auroc"]
    table = Table(f"score: {entry.score}", *map(TITLES.get, names))
    metrics = pd.DataFrame([run["metrics"][entry.score] for run in trained])[names]
    for run, values in zip(trained, metrics.itertuples(index=False), strict=True):
        table.add_row(f"seed {run['seed']}", *(f"{value:.4f}" for value in values))
    table.add_section()
    spreads = (spread_of(metrics[name]) for name in names)
    table.add_row(f"mean ± std of {len(trained)}", *spreads, style="bold")
    if entry.reported:
        values = (f"{entry.reported[n]:.4f}" if n in entry.reported else "" for n in names)
        table.add_row(f"paper ({entry.reported_in})", *values)
    return table
