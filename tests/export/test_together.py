"""Requests that arrive together are scored in one call, and are nobody else's business."""

import threading
from concurrent.futures import CancelledError

import numpy as np
import pytest

from alad_tf.export.serving.together import MOST, Together


class Model:
    """Twice x, or minus x by the signature "minus"; negative records are refused."""

    def __init__(self):
        self.calls, self.begun, self.go = [], threading.Semaphore(0), threading.Semaphore(0)

    def answers(self, signature, arrays):
        self.calls.append((signature, len(arrays["x"])))
        self.begun.release()
        self.go.acquire()
        if (arrays["x"] < 0).any():
            raise ValueError("negative")
        if (arrays["x"] > 1000).any():
            raise RuntimeError("a bug")
        return {"score": arrays["x"] * (-1 if signature == "minus" else 2)}


def answers_of(asked):
    """Answers to requests that come while a first one is scored, and the calls that were made."""
    model = Model()
    together = Together(model)
    first = together.submit("double", {"x": np.arange(1.0)})
    model.begun.acquire()
    futures = [together.submit(signature, {"x": np.array(x)}) for signature, x in asked]
    model.go.release(100)
    assert first.result(10)["score"].tolist() == [0]
    return futures, model


def test_those_that_wait_share_a_call():
    futures, model = answers_of(
        [("double", [1.0]), ("minus", [2.0]), ("double", [3.0, 4.0]), ("minus", [5.0])]
    )
    found = [future.result(10)["score"].tolist() for future in futures]
    assert found == [[2], [-2], [6, 8], [-5]]
    assert model.calls == [("double", 1), ("double", 3), ("minus", 2)]


def test_a_bad_record_is_refused_alone():
    futures, model = answers_of([("double", [1.0]), ("double", [-1.0]), ("double", [2.0])])
    assert futures[0].result(10)["score"].tolist() == [2]
    with pytest.raises(ValueError, match="negative"):
        futures[1].result(10)
    assert futures[2].result(10)["score"].tolist() == [4]
    assert model.calls == [("double", 1), ("double", 3), *[("double", 1)] * 3]


def test_a_bug_is_an_error_of_all_and_not_the_end():
    futures, model = answers_of([("double", [2000.0]), ("double", [1.0]), ("minus", [1.0])])
    for future in futures[:2]:
        with pytest.raises(RuntimeError, match="a bug"):
            future.result(10)
    assert futures[2].result(10)["score"].tolist() == [-1]


def test_a_call_has_so_many_records_unless_one_request_has_more():
    futures, model = answers_of([("double", [1.0] * count) for count in (MOST + 9, 3, MOST - 3, 1)])
    assert [len(future.result(10)["score"]) for future in futures] == [MOST + 9, 3, MOST - 3, 1]
    assert [count for _, count in model.calls] == [1, MOST + 9, MOST, 1]


def test_who_gave_up_is_not_scored():
    model = Model()
    together = Together(model)
    first = together.submit("double", {"x": np.arange(1.0)})
    model.begun.acquire()
    gone, kept = (together.submit("double", {"x": np.ones(1)}) for _ in range(2))
    assert gone.cancel() and not first.cancel()
    model.go.release(10)
    with pytest.raises(CancelledError):
        gone.result(10)
    assert kept.result(10)["score"].tolist() == [2]
    assert model.calls == [("double", 1), ("double", 1)]
