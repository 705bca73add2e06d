"""Several commands side by side, each a process on cores of its own.

Why processes: a training step of a table keeps one core busy, however many there are. Processes
confined to a core each train more steps per second together than the same number left to share the
cores, and than as many seeds in one compiled program: `python -m benchmarks.seeds` measures it.
"""

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time

from rich.console import Console
from rich.text import Text

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
