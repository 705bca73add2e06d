"""Inputs that hypothesis draws: none is a finding, and the fuzzer notices what is wrong."""

import os
import time

import numpy as np
import pytest
from hypothesis import strategies as st

from alad_tf.data.delimited import Delimited
from alad_tf.engine.files import read_json, write_json
from benchmarks import fuzz as fuzzing
from benchmarks import packages, reliability
from benchmarks.fuzz import fuzz, merged, supervise
from benchmarks.fuzz_targets import TARGETS, Artefacts, Target, Text, Wrong, mutated

ROOT = fuzzing.ROOT
QUICK = {
    "delimited text": 120,
    "arrays and Parquet": 80,
    "pictures": 60,
    "saved detectors": 12,
    "REST requests": 60,
    "gRPC messages": 60,
    "command lines": 8,
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("samples")
    for prepare in {cls.prepare.__func__: cls.prepare for cls in TARGETS.values()}.values():
        prepare(home)
    return home


def ready(name, home, tmp_path):
    target = TARGETS[name](home, tmp_path)
    for value in target.good:
        assert target.run(value) == "answered"
    return target


@pytest.mark.parametrize("name", QUICK)
def test_no_input_is_a_finding(name, home, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    outcomes, findings = fuzz(ready(name, home, tmp_path), QUICK[name], seed=1)
    assert findings == []
    assert outcomes.total() == QUICK[name]
    assert outcomes["answered"] and outcomes["refused"]


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_of_many_inputs_none_is_a_finding(name, home, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    count = 10 * QUICK[name]
    outcomes, findings = fuzz(ready(name, home, tmp_path), count, seed=2)
    assert findings == [] and outcomes.total() == count


class Planted(Target):
    """Takes lists of numbers; one with a number above 100 meets a fault."""

    inputs = st.lists(st.integers(0, 1000), max_size=20)

    def __init__(self, fault):
        self.fault, self.seen = fault, []

    def run(self, value):
        self.seen.append(value)
        if any(number > 100 for number in value):
            self.fault()
        if not value:
            raise ValueError("received no numbers")
        return "answered"


def _raise_type():
    raise TypeError("a fault")


def _answer_wrongly():
    raise Wrong("other rows")


def _divide():
    return 1 // 0


def _recurse():
    return _recurse()


FAULTS = {
    _raise_type: "TypeError",
    _answer_wrongly: "Wrong (other rows)",
    _divide: "ZeroDivisionError",
    _recurse: "RecursionError",
    lambda: exec("raise SystemExit(3)"): "SystemExit",
}


@pytest.mark.parametrize("fault, kind", FAULTS.items(), ids=FAULTS.values())
def test_a_planted_fault_is_found_once_with_its_smallest_input(fault, kind):
    outcomes, (found,) = fuzz(Planted(fault), 100, seed=0)
    assert found["kind"].startswith(kind)
    assert found["input"] == "[101]"
    assert outcomes.total() == 100 and outcomes["finding"] and outcomes["answered"]


def test_two_faults_are_two_findings():
    def fault():
        raise [KeyError, TypeError][len(planted.seen[-1]) % 2]

    planted = Planted(fault)
    _, findings = fuzz(planted, 200, seed=0)
    assert {one["kind"].split()[0] for one in findings} == {"KeyError", "TypeError"}


def test_a_hang_and_memory_without_bound_are_found(monkeypatch):
    monkeypatch.setattr(fuzzing, "WALL_S", 0.2)
    outcome, (kind, _) = fuzzing.problem_of(Planted(lambda: time.sleep(30)), [101])
    assert outcome == "finding" and kind.startswith("Hang")
    monkeypatch.setattr(fuzzing, "MOST_GROWTH", -1)
    assert fuzzing.problem_of(Planted(None), [1])[1][0] == "memory"
    monkeypatch.setattr(fuzzing, "MOST_GROWTH", 2**30)
    assert fuzzing.problem_of(Planted(None), [1]) == ("answered", None)


def test_a_busy_processor_is_a_hang(monkeypatch):
    def fault():
        while True:
            pass

    monkeypatch.setattr(fuzzing, "HANG_S", 0.2)
    assert fuzzing.problem_of(Planted(fault), [101])[1][0].startswith("Hang")


def test_inputs_follow_from_the_seed():
    def seen(seed):
        planted = Planted(None)
        planted.fault = lambda: None
        fuzz(planted, 50, seed)
        return planted.seen

    assert seen(3) == seen(3) != seen(4)


def test_rows_that_are_lost_in_pieces_are_found(home, tmp_path, monkeypatch):
    records = Delimited.records

    def fewer(self, batch, skip=0, refuse=None):
        for piece in records(self, batch, skip, refuse):
            yield piece if batch > 3 else piece.part(0, max(len(piece) - 1, 1))

    monkeypatch.setattr(Delimited, "records", fewer)
    _, findings = fuzz(Text(home, tmp_path), 60, seed=0)
    assert any("in pieces" in one["message"] for one in findings)


def test_numbers_that_are_read_otherwise_are_found(home, tmp_path, monkeypatch):
    numbers = Delimited._numbers
    monkeypatch.setattr(Delimited, "_numbers", lambda *a: np.round(numbers(*a)))
    _, findings = fuzz(Text(home, tmp_path), 120, seed=0)
    assert any(one["message"].startswith("Wrong: column 'n") for one in findings)


def test_damage_that_is_not_noticed_is_found(home, tmp_path, monkeypatch):
    target = Artefacts(home, tmp_path)
    path = home / "detectors" / "mixed" / "config.json"
    damage = ("mixed", "config.json"), "bytes", path.read_bytes().replace(b'"', b' "', 1), False
    assert fuzzing.problem_of(target, damage) == ("refused", None)
    monkeypatch.setattr("alad_tf.engine.weights.verify", lambda *_: None)
    assert "damaged file is loaded" in fuzzing.problem_of(target, damage)[1][1]


def test_files_that_a_command_changes_are_found(home, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    target = TARGETS["command lines"](home, tmp_path)
    assert fuzzing.problem_of(target, ["list"]) == ("answered", None)
    monkeypatch.setattr("zoo.list", lambda: os.remove("thesis.txt") or [])
    assert "thesis.txt was changed or is lost" in fuzzing.problem_of(target, ["list"])[1][1]


@pytest.mark.slow
def test_a_process_that_dies_is_a_finding(tmp_path):
    told, findings = merged(supervise("REST requests", 10, 0, tmp_path))  # without its samples
    assert told["finding"] == 1
    assert findings[0]["kind"] == "the process died (exit code 1)"


def test_a_whole_run_writes_what_it_tried(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = {"delimited text": Text, "arrays and Parquet": TARGETS["arrays and Parquet"]}
    monkeypatch.setattr("benchmarks.fuzz_targets.TARGETS", small)
    with pytest.raises(SystemExit) as left:
        fuzzing.main(inputs=40, minutes=5, only="", seed=0, jobs=1, save=True, worker=False)
    told = read_json("results/benchmarks/fuzz.json")
    assert left.value.code == 0 and told["findings"] == []
    assert sum(one["tried"] for one in told["targets"].values()) == 40
    page = reliability.render_reliability("results/benchmarks")
    assert "40 inputs were tried with seed 0" in page and "no findings" in page


def test_edits_change_bytes():
    seen = set()

    class Bytes(Target):
        inputs = mutated([b"0123456789"])

        def __init__(self):
            pass

        def run(self, value):
            seen.add(value)
            return "answered"

    fuzz(Bytes(), 200, seed=0)
    assert len(seen) > 100 and b"0123456789" in seen


def test_the_page_on_reliability_is_the_rendered_one(tmp_path):
    rendered = reliability.render_reliability(ROOT / "results" / "benchmarks")
    page = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    assert page == rendered, "run `python -m benchmarks.report`"
    assert reliability.render_reliability(tmp_path).count("Not measured yet") == 2


def test_the_page_counts_what_went_wrong(tmp_path):
    about = {"command": "c", "commit": "0", "versions": {"python": "3"}}
    about["hardware"] = {"processor": "p", "cores": 2, "gpus": []}
    rows = [{"command": "fit", "fault": "two at once", "tried": 3, "lost": 1, "damaged": 0}]
    write_json(tmp_path / "faults.json", {**about, "kills": 2, "rows": rows})
    page = reliability.render_reliability(tmp_path)
    assert "3 faults were tried" in page and "1 violation." in page
    assert "| fit | two at once | 3 | 1 | 0 |" in page


def test_every_pinned_package_has_its_licence_on_the_page():
    page = packages.PAGE.read_text(encoding="utf-8")
    rows = [f"| {name} | {version} |" for name, version in packages.pinned().items()]
    assert len(rows) > 100
    assert [row for row in rows if row not in page] == [], "run `make licences`"


def test_licences_are_what_packages_say():
    assert packages.licence("numpy").startswith("BSD")
    assert packages.licence("hypothesis") == "MPL-2.0"
    assert packages.licence("keras").startswith("Apache")


def test_vulnerabilities_are_told_and_an_absent_database_is_no_failure(monkeypatch, capsys):
    for found, code, words in (
        (None, None, "could not be reached"),
        ([], 0, "no known vulnerabilities"),
        (["a 1.0: X-1"], 1, "X-1"),
    ):
        monkeypatch.setattr(packages, "audit", lambda found=found: found)
        if code is None:
            packages.main(look_up=True)
        else:
            with pytest.raises(SystemExit) as left:
                packages.main(look_up=True)
            assert left.value.code == code
        assert words in capsys.readouterr().out
