"""Fuzzing: inputs that hypothesis draws, for readers, saved detectors, requests and commands.

`python -m benchmarks.fuzz --inputs 100000` tries them in several processes and writes
results/benchmarks/fuzz.json. Right outcomes are a result or an error that the target documents. Any
other exception, a wrong answer, more than `HANG_S` seconds or `MOST_GROWTH` bytes, and a process
that dies are findings: one for each kind and place, with the smallest input that was found.
Inputs follow from the seed.
"""

import collections
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import hypothesis
import typer

from alad_tf.engine import machine
from benchmarks.common import console, show, write

ROOT = Path(__file__).resolve().parents[1]
OUTCOMES = ("answered", "refused", "finding")
CHUNK = 250  # inputs that one run of hypothesis draws
HANG_S, WALL_S = 10, 60  # seconds of the processor, and of the clock: others may keep it busy
DEAD_S = 120  # a process that has begun no input for so long is killed
SHRINK_S = 20
MOST_GROWTH = 2**30
MOST_MEMORY = 8 * 2**30  # beyond what a process holds when it begins
SHOWN = 1500  # characters of an input


class Hang(BaseException):
    """An input took too long. Not an Exception, so that nothing takes it for its own."""


class Found(Exception):
    """Tells hypothesis to look for a smaller input."""


def problem_of(target, value):
    """What one input led to: its outcome, and (kind, message) of a finding or None.

    Args:
        target: `benchmarks.fuzz_targets.Target`.
        value: an input of it.
    """
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def hang(*_):
        raise Hang(f"longer than {HANG_S} s")

    timers = ((signal.SIGPROF, signal.ITIMER_PROF, HANG_S),)
    timers += ((signal.SIGALRM, signal.ITIMER_REAL, WALL_S),)
    before = {number: signal.signal(number, hang) for number, *_ in timers}
    for _, timer, seconds in timers:
        signal.setitimer(timer, seconds)
    try:
        outcome, problem = target.run(value), None
    except target.errors:
        outcome, problem = "refused", None
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # also what no code should raise
        outcome, problem = "finding", (_kind(error), f"{type(error).__name__}: {error}"[:SHOWN])
    finally:
        for number, timer, _ in timers:
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])
    growth = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory)
    if problem is None and growth > MOST_GROWTH:
        outcome, problem = "finding", ("memory", f"{growth / 2**20:,.0f} MiB more memory")
    return outcome, problem


def _kind(error):
    """What makes two findings one: the exception and the innermost place in this project."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if f.filename.startswith(str(ROOT)) and ".venv" not in f.filename]
    product = [f for f in ours if "/benchmarks/" not in f.filename] or ours
    place = product[-1] if product else None
    where = f" in {Path(place.filename).relative_to(ROOT)}, {place.name}" if place else ""
    about = f" ({str(error)[:30]})" if type(error).__name__ == "Wrong" else ""
    return f"{type(error).__name__}{about}{where}"


def fuzz(target, count, seed, note=lambda text: None):
    """Try inputs on a target.

    Args:
        target: `benchmarks.fuzz_targets.Target`.
        count: int.
        seed: int.
        note: function that is called with each input's text before it is tried.

    Returns:
        `(outcomes, findings)`: a Counter of outcomes, and a list of dicts with "kind", "message"
        and "input", one for each kind.
    """
    outcomes, findings, begun = collections.Counter(), {}, 0
    settings = hypothesis.settings(
        max_examples=count,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
        verbosity=hypothesis.Verbosity.quiet,
    )

    def attempt(value):
        nonlocal begun
        note(repr(value))
        outcome, problem = problem_of(target, value)
        if not shrinking:
            outcomes[outcome] += 1
        if problem is None:
            return
        kind, message = problem
        known = findings.get(kind)
        if known is None:
            begun = time.monotonic()
            shrinking.append(kind)
        if known is None or (kind in shrinking and len(repr(value)) <= len(known["input"])):
            findings[kind] = {"kind": kind, "message": message, "input": repr(value)}
        if kind in shrinking and time.monotonic() - begun < SHRINK_S:
            raise Found

    while (left := count - outcomes.total()) > 0:
        shrinking, tried = [], outcomes.total()
        test = hypothesis.given(target.inputs)(attempt)
        test = hypothesis.seed(seed + tried)(hypothesis.settings(settings, max_examples=left)(test))
        with contextlib.suppress(Found, hypothesis.errors.Flaky, ExceptionGroup):
            test()
        if outcomes.total() == tried:
            break  # no other inputs
    for one in findings.values():
        one["input"] = one["input"][:SHOWN]
    return outcomes, list(findings.values())


def work(name, count, seed, home, first=0, until=0):
    """Fuzz one target in this process, chunk by chunk; a line of JSON on stdout for each."""
    from benchmarks.fuzz_targets import TARGETS

    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what else is printed is no part of the answer
    with tempfile.TemporaryDirectory(prefix="fuzz_") as scratch:
        target = TARGETS[name](home, scratch)
        for value in target.good:  # imports and compilation take seconds
            target.run(value)
        _limit_memory()
        with open(_state(home, name, seed), "wb", buffering=0) as state:

            def note(text):
                state.seek(0)
                state.truncate()
                state.write(text[:SHOWN].encode("utf-8", "backslashreplace"))

            for chunk in range(first, -(-count // CHUNK)):
                if until and time.time() > until:
                    break
                begun = time.monotonic()
                size = min(CHUNK, count - chunk * CHUNK)
                outcomes, findings = fuzz(target, size, seed * 1_000_003 + chunk * 10_007, note)
                told = {"chunk": chunk, "outcomes": outcomes, "findings": findings}
                print(
                    json.dumps({**told, "seconds": time.monotonic() - begun}), file=out, flush=True
                )


def _limit_memory():
    """An allocation without bound is an error in this process, not the end of the machine."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MOST_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _state(home, name, seed):
    return Path(home) / f"{name} {seed}.state"


def supervise(name, count, seed, home, most_s=0):
    """Fuzz one target in another process, and in a new one if that dies; what was found."""
    told, first = [], 0
    until = time.time() + most_s if most_s else 0
    while first * CHUNK < count and not (until and time.time() > until):
        words = [str(count), str(seed), str(home), str(first), str(until)]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "ALAD_XLA": "0"}
        env["COLUMNS"] = "200"
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.fuzz", "--worker", name, *words],
                stdout=subprocess.PIPE, stderr=errors, text=True, env=env, cwd=ROOT,
            )  # fmt: skip
            watch = threading.Thread(target=_kill_if_idle, args=(process, _state(home, name, seed)))
            watch.start()
            for line in process.stdout:
                told.append(json.loads(line))
                first = told[-1]["chunk"] + 1
            code = process.wait()
            watch.join()
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - 2000))
            words = errors.read().decode(errors="replace")
        if code == 0:
            break
        state = _state(home, name, seed)
        last = state.read_text(errors="replace") if state.exists() else ""
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        found = {"kind": f"the process died ({how})", "message": words[-600:], "input": last}
        told.append({"outcomes": {"finding": 1}, "findings": [found], "seconds": 0, "chunk": first})
        first += 1
        if not last:
            break  # it cannot even begin
    return told


def _kill_if_idle(process, state):
    begun = time.time()
    while process.poll() is None:
        time.sleep(0.5)
        with contextlib.suppress(FileNotFoundError):
            begun = max(begun, state.stat().st_mtime)
        if time.time() - begun > DEAD_S:
            process.kill()


def merged(told):
    """Several processes' reports on one target: tried, outcomes, seconds; and its findings."""
    outcomes, findings = collections.Counter(), {}
    for part in told:
        outcomes.update(part["outcomes"])
        for one in part["findings"]:
            known = findings.get(one["kind"])
            if known is None or len(one["input"]) < len(known["input"]):
                findings[one["kind"]] = one
    seconds = sum(part["seconds"] for part in told)
    counts = {
        "tried": outcomes.total(),
        **{k: outcomes[k] for k in ("answered", "refused", "finding")},
    }
    return {**counts, "seconds": round(seconds, 1)}, list(findings.values())


def main(
    inputs: Annotated[int, typer.Option(help="Number of inputs, over all targets.")] = 100_000,
    minutes: Annotated[
        float,
        typer.Option(help="Time limit, divided equally among the targets; 0: no limit."),
    ] = 0,
    only: Annotated[
        str,
        typer.Option(help="Targets, separated by commas; default: all. The JSON needs all."),
    ] = "",
    seed: Annotated[int, typer.Option(help="Seed of the inputs.")] = 0,
    jobs: Annotated[int, typer.Option(help="Processes at a time; 0: one per core.")] = 0,
    save: Annotated[bool, typer.Option(help="Write the JSON.")] = True,
    worker: Annotated[bool, typer.Option(hidden=True)] = False,
    words: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
):
    """Try inputs on all targets; write results/benchmarks/fuzz.json."""
    if worker:
        name, count, number, home, first, until = words
        return work(name, int(count), int(number), home, int(first), float(until))
    from benchmarks.fuzz_targets import TARGETS

    begun, jobs = time.time(), jobs or machine.cores()
    names = only.split(",") if only else list(TARGETS)
    most_s = 60 * minutes / len(names)
    total = sum(TARGETS[name].share for name in names)
    told = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="fuzz_") as home, ThreadPoolExecutor(jobs) as pool:
        for cls in dict.fromkeys(TARGETS[name].prepare.__func__ for name in names):
            cls(next(TARGETS[n] for n in names if TARGETS[n].prepare.__func__ is cls), home)
        running = {}
        for name in names:
            count = round(inputs * TARGETS[name].share / total)
            for part in range(jobs):
                share = count // jobs + (part < count % jobs)
                job = pool.submit(supervise, name, share, seed * 1000 + part, home, most_s)
                running[job] = name
        for job, name in running.items():
            told[name] += job.result()
            console.print(f"{name}: {merged(told[name])[0]}", markup=False)
    results = {name: merged(parts) for name, parts in told.items()}
    findings = [{"target": name, **one} for name, (_, found) in results.items() for one in found]
    rows = [[name, *map(str, counts.values())] for name, (counts, _) in results.items()]
    show("Fuzzing", ["target", "tried", "answered", "refused", "findings", "seconds"], rows)
    for one in findings:
        console.print(
            f"\n{one['target']}: {one['kind']}\n{one['message']}\n{one['input']}", markup=False
        )
    if save and not only:
        about = {"inputs": inputs, "seed": seed, "minutes": round((time.time() - begun) / 60, 1)}
        about |= {"targets": {name: counts for name, (counts, _) in results.items()}}
        packages = ("hypothesis", "pandas", "pyarrow", "pillow", "h5py", "skops")
        write("fuzz", {**about, "findings": findings}, packages)
    raise SystemExit(1 if findings else 0)


if __name__ == "__main__":
    typer.run(main)
