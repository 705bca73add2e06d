"""Commands side by side, each on cores of its own; an entry trained from several seeds."""

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time

from rich.console import Console
from rich.table import Table
from rich.text import Text

from alad_tf.detector.metrics import summarize
from alad_tf.engine.files import read_json
from alad_tf.experiments.results import result_path

NOT_STARTED = 127  # the exit code that a shell gives for a command which is not there
GRACE_S = 15.0  # from Ctrl-C until the jobs that still run are sent it again
# A job is no terminal: plain lines, at once, and not broken at 80 columns. TensorFlow takes all of
# a GPU's memory unless it is told to share it.
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
    passed on to them at once.

    Args:
        commands: dict of argument lists by label; the label stands before each of its lines.
        jobs: int, how many run at a time; default the number of cores, and never more than there
            are commands. Where there are more jobs than cores, jobs share cores.
        console: `rich.console.Console` for the jobs' lines; default standard error.

    Returns:
        list of ints, the exit codes in the order of `commands`: `NOT_STARTED` for a command that
        could not be started, -n for a process that signal n ended.

    Raises:
        ValueError: `jobs` is less than 1.
        KeyboardInterrupt: after SIGINT, once all jobs have ended.
        SystemExit: after SIGTERM, once all jobs have ended.

    Example:
        >>> import io, sys
        >>> console = Console(file=io.StringIO())
        >>> run_jobs({"a": [sys.executable, "-c", "print(1)"]}, jobs=1, console=console)
        [0]
        >>> console.file.getvalue()
        'a | 1\\n'
    """
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs must be at least 1; received {jobs}.")
    console = console or Console(stderr=True)
    cores = _cores()
    free = _shares(cores, min(jobs or len(cores), len(commands)))
    waiting, running, codes, signals = list(commands), {}, {}, []
    # (label, line) for a line, (label, None) for an end, (None, None) for a signal. Only this kind
    # of queue may be written to by a signal handler.
    events = queue.SimpleQueue()
    stopping, again = False, None  # again: when the jobs are sent the signal

    def note(number, frame):
        signals.append(number)
        events.put((None, None))

    def tell(label, line):
        width = max(map(len, commands))
        prefix = (f"{label:{width}} | ", "cyan")
        console.print(Text.assemble(prefix, Text.from_ansi(line)), soft_wrap=True)

    with _guard(running, note):
        while running or (waiting and not signals):
            while waiting and free and not signals:
                label, share = waiting.pop(0), free.pop(0)
                try:
                    running[label] = _start(label, commands[label], share, events), share
                except OSError as error:
                    tell(label, f"not started: {error}")
                    codes[label] = NOT_STARTED
                    free.append(share)
            if again is not None and time.monotonic() >= again:
                for process, _ in running.values():
                    process.send_signal(signals[0])
                again = None
            if not running:
                continue
            try:
                timeout = None if again is None else max(0.0, again - time.monotonic())
                label, line = events.get(timeout=timeout)
            except queue.Empty:
                continue
            if line is not None:
                tell(label, line)
            elif label is not None:
                process, share = running.pop(label)
                codes[label] = process.returncode
                free.append(share)
            elif not stopping:
                stopping = True
                console.print(f"Waiting for {', '.join(running)} to stop.", highlight=False)
                # Ctrl-C reaches the jobs, too, but `kill -INT` may have meant this process alone;
                # a second signal at once could strike a job while it answers the first
                again = time.monotonic() + (GRACE_S if signals[0] == signal.SIGINT else 0.0)
    if signals:
        raise KeyboardInterrupt if signals[0] == signal.SIGINT else SystemExit(128 + signals[0])
    return [codes[label] for label in commands]


def _cores():
    """The numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _shares(cores, count):
    """`count` lists of cores, of one size; none is in two of them as long as there are enough."""
    size = max(1, len(cores) // max(1, count))
    return [[cores[(i * size + j) % len(cores)] for j in range(size)] for i in range(count)]


def _start(label, command, share, events):
    """A process confined to a share of the cores, and a thread that passes its lines to a queue."""
    environment = {**os.environ, **_ENVIRONMENT}
    environment.pop("FORCE_COLOR", None)  # it would make a progress bar of the job's lines
    own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    if own:
        os.sched_setaffinity(0, share)  # of this thread; the process inherits it
    else:
        for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            environment.setdefault(name, str(len(share)))
    pipes = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        process = subprocess.Popen(command, **pipes, text=True, errors="replace", env=environment)
    finally:
        if own:
            os.sched_setaffinity(0, own)

    def read():
        with process.stdout:
            for line in process.stdout:
                events.put((label, line.rstrip("\n")))
        process.wait()
        events.put((label, None))

    threading.Thread(target=read, daemon=True).start()
    return process


@contextlib.contextmanager
def _guard(running, handler):
    """SIGINT and SIGTERM go to a handler; whatever the body raises, no process is left running."""
    previous = {}
    if threading.current_thread() is threading.main_thread():  # no other may set handlers
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                previous[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for process, _ in running.values():
            process.terminate()
        for process, _ in running.values():
            process.wait()
        for number, old in previous.items():
            signal.signal(number, old)


def parse_seeds(text):
    """The seeds that a text names.

    Args:
        text: str, numbers and ranges between commas; the ends of a range belong to it.

    Returns:
        list of ints in the order of the text; one that is named twice is there once.

    Raises:
        ValueError: a part is neither a number nor a range, or a range runs downwards.

    Example:
        >>> parse_seeds("0-2,7")
        [0, 1, 2, 7]
    """
    seeds = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part, re.ASCII)
        if not found:
            raise ValueError(
                f"seeds are numbers and ranges, such as 0,1,2 or 0-9 or 0-2,7; received {text!r}, "
                f"where {part!r} is neither."
            )
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise ValueError(
                f"a range of seeds runs upwards; received {part.strip()!r}. Write {last}-{first}."
            )
        seeds.update(dict.fromkeys(range(first, last + 1)))
    return list(seeds)


def as_typed(context, *without):
    """The words of a running command: its name, arguments, and options that are not the default.

    Args:
        context: `typer.Context`.
        *without: names of the parameters to leave out.

    Returns:
        list of str, for the same command to be called with.

    Example:
        >>> import typer
        >>> app = typer.Typer(add_completion=False)
        >>> @app.command()
        ... def train(context: typer.Context, name: str, seed: int = 0, epochs: int = 5):
        ...     print(as_typed(context, "seed"))
        >>> words = ["kdd99_alad", "--seed=3", "--epochs=7"]
        >>> app(words, prog_name="train", standalone_mode=False)
        ['train', 'kdd99_alad', '--epochs=7']
    """
    words = [context.info_name]
    for option in context.command.params:
        value = context.params[option.name]
        if option.name in without or value is None or value == option.default:
            continue
        if option.param_type_name == "argument":
            words.append(str(value))
        elif isinstance(value, bool):
            words += (option.opts if value else option.secondary_opts)[:1]
        else:
            words.append(f"{option.opts[0]}={value}")
    return words


def train_seeds(words, entry, settings, seeds, jobs, results, data_dir, console):
    """Train an entry from each of several seeds, in processes side by side.

    On images a seed's last bits follow from the number of cores that its process has, hence from
    `jobs`.

    Args:
        words: list of str, the `alad` command that trains one seed, without the seed.
        entry: `Entry`.
        settings: resolved `Settings`, of any of the seeds.
        seeds: list of ints.
        jobs, console: as for `alad_tf.experiments.parallel.run_jobs`.
        results: str or Path, folder that the command writes results JSONs into.
        data_dir: folder of the data; see `alad_tf.data.load`.

    Returns:
        `(trained, failed)`: list of the results of the seeds that were trained, and dict of the
        other processes' exit codes by seed.

    Raises:
        KeyboardInterrupt: after SIGINT, once all processes have ended.

    Example:
        >>> # words = ["train", "kdd99_alad"]
        >>> # train_seeds(words, entry, settings, [0, 1], 2, "results", None, Console())
    """
    import tensorflow as tf

    from alad_tf.data import load

    with contextlib.suppress(RuntimeError):  # where this process uses one already
        tf.config.set_visible_devices([], "GPU")  # they are for the others
    # Read here first: the processes would all download missing data at once, into one folder.
    load(entry.dataset, data_dir, settings.normal_class)
    # The same package as this one, wherever it came from, and not a folder of its name in the
    # working directory, which `python -c` looks into first.
    code = f"import sys; sys.path[:] = {sys.path!r}; from alad_tf.cli import main; main()"
    command = [sys.executable, "-c", code, *words]
    codes = run_jobs({f"seed {k}": [*command, f"--seed={k}"] for k in seeds}, jobs, console)
    codes = dict(zip(seeds, codes, strict=True))
    paths = [result_path(results, entry.name, settings.variant, k) for k in seeds if not codes[k]]
    return [read_json(path) for path in paths], {k: code for k, code in codes.items() if code}


def seeds_table(entry, trained):
    """F1 and AUROC of the deciding score: a row for each result, their mean and spread.

    Args:
        entry: `Entry`.
        trained: list of results, at least one.

    Returns:
        `rich.table.Table`; the spread is the sample standard deviation.

    Example:
        >>> import zoo
        >>> from alad_tf.detector.metrics import METRICS
        >>> results = [{"seed": 0, "metrics": {"features": dict.fromkeys(METRICS, 0.9)}}]
        >>> seeds_table(zoo.entry("kdd99_alad"), results).row_count  # the seed, the mean, the paper
        3
    """
    table, names = Table(f"score: {entry.score}", "F1", "AUROC"), ("f1", "auroc")
    for result in trained:
        values = result["metrics"][entry.score]
        table.add_row(f"seed {result['seed']}", *(f"{values[name]:.4f}" for name in names))
    summary = summarize(trained, entry.score)
    spread = (f"{summary[name]['mean']:.4f} ± {summary[name]['std']:.4f}" for name in names)
    table.add_section()
    table.add_row(f"mean ± std of {len(trained)}", *spread, style="bold")
    if entry.reported:
        values = (f"{entry.reported[n]:.4f}" if n in entry.reported else "" for n in names)
        table.add_row(f"paper ({entry.reported_in})", *values)
    return table
