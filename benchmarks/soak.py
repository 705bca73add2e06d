"""A server under load: the memory of one large request, and minutes of many clients at once.

    python -m benchmarks.soak [--minutes 10] [--clients 16]

For each entry, `alad serve` in a process of its own: resting memory after some requests, and the
most it holds beyond that while it answers one request of nearly 32 MiB; and requests a second where
those that arrive together are scored in one call, beside one by one. Then the first entry's server
again, asked by so many clients without a pause, each with records of its own, whose answers
are known: wrong ones are counted, latencies kept, and the server's memory is read every second.
"""

import json
import statistics
import threading
import time
import warnings
from typing import Annotated

import numpy as np
import typer

import zoo
from alad_tf.data.records import take
from benchmarks import common
from benchmarks.latency import quantiles, raw_records
from benchmarks.served import Served, body_of, exported

ENTRIES = "kdd99_alad,cifar10_alad"
MOST_BYTES = 32 * 2**20
MOST_MORE_MIB, MOST_GROWTH = 300, 0.02  # the bounds: of one large request, and of the minutes
RECORDS = 64  # different ones, of which each client asks for one at a time
RTOL, ATOL = 1e-4, 1e-4  # an export's scores and a detector's


def large_body(detector):
    """A request of nearly `MOST_BYTES`: bytes, and how many records it holds."""
    some = 200
    size = len(body_of(detector, raw_records(detector, some)))
    count = int(some * (MOST_BYTES - 2000) / size * 0.99)
    return body_of(detector, raw_records(detector, count)), count


def memory_of_a_large_request(detector, server):
    """What a server holds at rest, and at most beyond that, while it answers a large request."""
    ask, (body, count) = server.client(), large_body(detector)
    small = body_of(detector, raw_records(detector, 1))
    for _ in range(100):
        ask(small)
    time.sleep(1)
    server.forget_peak()
    rest, _ = server.memory()
    begun = time.perf_counter()
    answer = json.loads(ask(body))["predictions"]
    seconds = time.perf_counter() - begun
    _, peak = server.memory()
    if len(answer) != count:
        raise RuntimeError(f"{len(answer)} answers to {count} records.")
    return {
        "records": count,
        "body_mib": len(body) / 2**20,
        "seconds": seconds,
        "rest_mib": rest / 2**20,
        "more_mib": (peak - rest) / 2**20,
    }


class Client(threading.Thread):
    """Asks for one record after the other until it is time to stop."""

    def __init__(self, server, bodies, scores, first, until):
        super().__init__(daemon=True)
        self.ask, self.bodies, self.scores = server.client(), bodies, scores
        self.place, self.until = first, until
        self.times, self.wrong, self.failed = [], 0, []

    def run(self):
        while time.monotonic() < self.until:
            place = self.place = (self.place + 7) % len(self.bodies)
            begun = time.perf_counter()
            try:
                answer = self.ask(self.bodies[place])
            except Exception as error:  # whatever it is, it is counted and shown
                self.failed.append(repr(error))
                return
            self.times.append(time.perf_counter() - begun)
            (row,) = json.loads(answer)["predictions"]
            score = row["score"] if isinstance(row, dict) else row
            expected = self.scores[place]
            self.wrong += not abs(score - expected) <= ATOL + RTOL * abs(expected)


def load(detector, server, clients, seconds):
    """Clients for so long: requests, latencies, wrong answers, and memory over time."""
    raw = raw_records(detector, RECORDS)
    records = [take(raw, np.arange(place, place + 1)) for place in range(RECORDS)]
    bodies = [body_of(detector, one) for one in records]
    scores = detector.anomaly_score(raw)
    until = time.monotonic() + seconds
    threads = [
        Client(server, bodies, scores, place * RECORDS // clients, until)
        for place in range(clients)
    ]
    begun, held = time.monotonic(), []
    for thread in threads:
        thread.start()
    while time.monotonic() < until:
        time.sleep(min(1.0, max(0.0, until - time.monotonic())))
        held.append(server.memory()[0])
    for thread in threads:
        thread.join(60)
    taken = time.monotonic() - begun
    times = np.concatenate([thread.times for thread in threads])
    # the first sixth lets the server's threads and buffers come into being
    tenth = max(1, len(held) // 10)
    early = statistics.median(held[len(held) // 6 :][:tenth])
    return {
        "clients": clients,
        "seconds": taken,
        "requests": len(times),
        "requests_per_s": len(times) / taken,
        "latency": quantiles(times),
        "wrong": sum(thread.wrong for thread in threads),
        "failed": [error for thread in threads for error in thread.failed],
        "memory_mib": [round(one / 2**20, 1) for one in held[:: max(1, len(held) // 60)]],
        "growth": statistics.median(held[-tenth:]) / early - 1,
    }


def gained(detector, folder, clients, seconds, rounds):
    """Requests a second where those that arrive together share a call, and where none does."""
    ways = {"together": True, "one by one": False}
    rates = {name: [] for name in ways}
    for _ in range(rounds):
        for name, together in ways.items():
            with Served(folder, together) as server:
                load(detector, server, clients, 2)  # its buffers come into being
                found = load(detector, server, clients, seconds)
            rates[name].append(found["requests_per_s"])
    return {
        "requests_per_s": {name: common.spread(values) for name, values in rates.items()},
        "ratio": common.ratio(rates["together"], rates["one by one"]),
    }


def main(
    entries: Annotated[str, typer.Option(help="Entries, separated by commas.")] = ENTRIES,
    minutes: Annotated[
        float, typer.Option(min=0.05, help="Minutes during which many clients send requests.")
    ] = 10,
    clients: Annotated[int, typer.Option(min=1, help="Number of simultaneous clients.")] = 16,
    rounds: Annotated[
        int, typer.Option(min=1, help="Rounds of comparing shared and separate calls.")
    ] = 3,
):
    """Measure, print and write results/benchmarks/soak.json."""
    warnings.simplefilter("ignore")
    large, gains, found = {}, {}, None
    for name in entries.split(","):
        detector = zoo.load(name)
        with exported(detector, name) as folder:
            with Served(folder) as server:
                large[name] = memory_of_a_large_request(detector, server)
            gains[name] = gained(detector, folder, clients, 10, rounds)
            if found is None:
                with Served(folder) as server:
                    found = {"entry": name, **load(detector, server, clients, 60 * minutes)}
    rows = [[name, *(f"{value:,.1f}" for value in one.values())] for name, one in large.items()]
    header = ["entry", "records", "body, MiB", "s", "at rest, MiB", "beyond that, MiB"]
    common.show("one large request", header, rows)
    for name, one in gains.items():
        common.console.print(f"{name}: together {common.median_range(one['ratio'], 1, 2)} times")
    times = found["latency"]
    common.console.print(
        f"{found['requests']:,} requests of {clients} clients in {found['seconds']:.0f} s: "
        f"{found['requests_per_s']:.0f} a second, median {times['median'] * 1e3:.1f} ms, 99th "
        f"percentile {times['p99'] * 1e3:.1f} ms; wrong {found['wrong']}, failed "
        f"{len(found['failed'])}; memory grew by {found['growth']:.1%}"
    )
    bounds = {
        "large_request": all(one["more_mib"] <= MOST_MORE_MIB for one in large.values()),
        "flat": found["growth"] <= MOST_GROWTH,
        "no_wrong_answer": found["wrong"] == 0 and not found["failed"],
    }
    common.console.print(bounds)
    results = {"large_request": large, "together": gains, "load": found, "holds": bounds}
    common.write("soak", results, ("uvicorn",))


if __name__ == "__main__":
    typer.run(main)
