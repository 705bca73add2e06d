"""The plan of the paper's tables and figures: what is run, in which order, and what is skipped."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_export import alad
from typer.main import get_command

import zoo
from alad_tf.cli import app
from alad_tf.experiments import plan as planner
from alad_tf.experiments.plan import (
    EXPERIMENTS,
    Experiment,
    Group,
    plan,
    run_plan,
    run_steps,
    runs_of,
)
from alad_tf.experiments.results import read_results
from alad_tf.experiments.settings import Settings
from alad_tf.experiments.toy import EVERY, Snapshots, toy_data, toy_model

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = {name: zoo.entry(name) for name in zoo.list()}


def labels(*names, **options):
    return [job.label for job in plan(names, ENTRIES, "nowhere", **options)]


def test_every_table_and_figure_of_the_paper_is_planned():
    tables, figures = (f"table{n}" for n in range(1, 9)), (f"figure{n}" for n in range(2, 11))
    assert set(EXPERIMENTS) == {*tables, *figures, "ours"}
    every = labels("all")
    assert len(every) == len(set(every))
    for name in EXPERIMENTS:
        assert set(labels(name)) <= set(every)
    with pytest.raises(ValueError, match="received 'table9'; expected one of table1, .* or all"):
        plan(["table9"], ENTRIES)


def test_one_seed_of_every_class_comes_before_a_second():
    order = labels("figure10")
    assert order[:3] == [f"cifar10_alad/class{k}/seed0" for k in range(3)]
    assert [label.rpartition("/")[2] for label in order] == [
        f"seed{s}" for s in range(3) for _ in range(10)
    ]
    # all methods of a seed as well, so that a figure fills from the left; OC-SVM has no seeds
    order = labels("figure4")
    assert [label for label in order if "ocsvm" in label] == [
        f"cifar10_ocsvm/class{k}/seed0" for k in range(10)
    ]
    first_of_second_seed = next(i for i, label in enumerate(order) if label.endswith("seed1"))
    assert first_of_second_seed == 5 * 10


def test_ablations_are_the_four_combinations_of_the_paper():
    found = {label.split("/")[1] for label in labels("table5") if label.startswith("kdd99")}
    assert found == {"default", "no_sn", "no_dl", "no_sn_no_dl"}
    two = labels("table5", seeds=2)
    assert two[:2] == ["kdd99_alad/default/seed0", "kdd99_alad/default/seed1"]
    only = labels("table5", only=["no_sn/seed3", "arrhythmia_alad/no_dl/seed0"])
    wanted = {
        "kdd99_alad/no_sn/seed3",
        "arrhythmia_alad/no_sn/seed3",
        "arrhythmia_alad/no_dl/seed0",
    }
    assert set(only) == wanted and len(only) == 3


def test_the_committed_runs_are_of_the_hyper_parameters_that_are_planned():
    stale = [job.label for job in plan(["all"], ENTRIES, ROOT / "results") if job.state == "stale"]
    assert stale == []


def test_a_run_is_done_unless_a_hyper_parameter_changed(tmp_path):
    source = ROOT / "results/kdd99_alad/default/seed3.json"
    target = tmp_path / "kdd99_alad/default/seed3.json"
    target.parent.mkdir(parents=True)

    def state():
        (job,) = plan(["table7"], ENTRIES, tmp_path, only=["kdd99_alad/default/seed3"])
        return job.state

    assert state() == "to do"
    shutil.copy(source, target)
    assert state() == "done"
    told = json.loads(source.read_text())
    told["config"]["learning_rate"] *= 2
    target.write_text(json.dumps(told))
    assert state() == "stale"


def test_the_words_of_a_run_make_that_run():
    """What a job is called with is parsed by the command itself, back to the job's settings."""
    groups = (
        Group("arrhythmia_alad", {"contaminated": True, "latent_discriminator": False}, 1),
        Group("arrhythmia_alad", {"spectral_norm": False, "scaling": "none"}, 1),
        Group("kdd99_alad", planner.OTHER["no_sn"], 1),
        Group("cifar10_alad", {"pair_axis": "channels", "stopping": "last"}, 1, (1,)),
    )
    command = get_command(app).commands["train"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(planner.EXPERIMENTS, "some", Experiment("", groups))
        jobs = plan(["some"], ENTRIES, "nowhere")
    assert len(jobs) == 4
    for job in jobs:
        name, *words = job.words("results", "data")
        given = command.make_context(name, words).params
        for part in ("spectral_norm", "latent_discriminator"):
            given[part] = not given.pop(f"no_{part}")
        fields = {field.name for field in dataclasses.fields(Settings)}
        settings = Settings(**{k: v for k, v in given.items() if k in fields})
        assert settings.resolve(ENTRIES[given["entry"]]) == job.settings
        assert given["resume"] and str(given["results"]) == "results"


def test_the_toys_snapshots_are_taken_before_training_and_after_some_epochs():
    x = toy_data()[1][::EVERY]
    snapshots = Snapshots(x)
    snapshots.set_model(toy_model())
    snapshots.on_train_begin()
    for epoch in range(6):
        snapshots.on_epoch_end(epoch)
    assert [one["epoch"] for one in snapshots.kept] == [0, 1, 5]
    assert all(np.shape(one["reconstruction"]) == x.shape for one in snapshots.kept)


def test_a_toy_of_an_earlier_version_is_run_again(tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr("alad_tf.experiments.toy.run_toy", ran.append)
    for content in ("{}", '{"snapshots": []}'):
        (tmp_path / "figure2.json").write_text(content)
        run_steps(["figure2"], ENTRIES, tmp_path)
    assert ran == [tmp_path]


@pytest.fixture
def small(monkeypatch, tmp_path):
    """An experiment of two short runs, in a folder of its own."""
    groups = (Group("breast_cancer_alad", {"epochs": 2}, seeds=2),)
    monkeypatch.setitem(planner.EXPERIMENTS, "small", Experiment("", groups))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_plan_is_run_once(small, monkeypatch):
    jobs = plan(["small"], ENTRIES)
    assert [job.state for job in jobs] == ["to do", "to do"]
    assert run_plan(jobs[:1], count=1) == ({}, {})
    (run,) = read_results("results", "breast_cancer_alad", "epochs2")
    assert (run["seed"], run["epochs"]) == (0, 2)
    again = plan(["small"], ENTRIES)
    assert [job.state for job in again] == ["done", "to do"]
    begun = []
    monkeypatch.setattr(planner, "run_jobs", lambda commands, *_: begun.extend(commands) or [0])
    assert run_plan(again) == ({}, {}) and begun == ["breast_cancer_alad/epochs2/seed1"]
    # as after a kill: the run's folder is there, its result is not
    Path("results/breast_cancer_alad/epochs2/seed0.json").unlink()
    assert [job.state for job in plan(["small"], ENTRIES)] == ["to do", "to do"]


def test_a_set_that_cannot_be_had_stops_no_other(small, monkeypatch):
    groups = (Group("kdd99_alad", seeds=1), Group("breast_cancer_alad", {"epochs": 1}, seeds=1))
    monkeypatch.setitem(planner.EXPERIMENTS, "small", Experiment("", groups))
    begun = []
    monkeypatch.setattr(planner, "run_jobs", lambda commands, *_: begun.extend(commands) or [0])
    failed, missing = run_plan(plan(["small"], ENTRIES), data_dir=small)
    assert failed == {} and list(missing) == ["kdd99"] and "kddcup" in missing["kdd99"]
    assert begun == ["breast_cancer_alad/epochs1/seed0"]


def test_a_command_that_could_run_nothing_fails(tmp_path):
    words = ["reproduce", "table2", "--only", "arrhythmia_dsebm/default/seed0"]
    words += ["--results", tmp_path / "r", "--out", tmp_path / "R.md", "--data-dir", tmp_path]
    status, told = alad(*words)
    assert status == 1 and "not run: arrhythmia: " in told and "arrhythmia.data" in told


@pytest.mark.slow
def test_a_run_that_fails_is_named(small, monkeypatch):
    jobs = plan(["small"], ENTRIES)[:1]
    monkeypatch.setattr(planner.Job, "words", lambda *_: ["train", "nothing_of_that_name"])
    failed, _ = run_plan(jobs)
    assert failed == {"breast_cancer_alad/epochs2/seed0": 1}


def test_the_command_shows_a_plan_and_names_what_is_wrong(tmp_path):
    status, told = alad("reproduce", "table7", "--plan", "--results", tmp_path, "--seeds", 1)
    assert status == 0 and "kdd99_alad/default/seed0" in told and "2 to do" in told
    assert list(tmp_path.iterdir()) == []
    status, told = alad("reproduce", "table0", "--results", tmp_path)
    assert status == 2 and "received 'table0'" in told


@pytest.mark.slow
def test_the_toy_is_trained_and_drawn_from_its_file(tmp_path):
    x_train, x, is_anomaly = toy_data(seed=3)
    distance = np.linalg.norm(x[is_anomaly][:, None] - x_train, axis=-1).min(1)
    assert len(x) == 240 and is_anomaly.sum() == 40 and distance.min() > 0.5
    assert run_steps(["figure2"], ENTRIES, tmp_path) == {}
    told = json.loads((tmp_path / "figure2.json").read_text())
    assert len(told["x"]) == len(told["z"]) == len(told["reconstruction"]) == 240
    trained, untrained = told["metrics"]["features"], told["untrained"]["features"]
    assert trained["auroc"] > untrained["auroc"] and trained["auroc"] > 0.9
    far = np.linalg.norm(np.subtract(told["x"], told["reconstruction"]), axis=1)
    odd = np.array(told["is_anomaly"])
    assert np.median(far[odd]) > 5 * np.median(far[~odd])  # the arc is what it can reconstruct
    before = (tmp_path / "figure2.json").stat().st_mtime_ns
    run_steps(["figure2"], ENTRIES, tmp_path)
    assert (tmp_path / "figure2.json").stat().st_mtime_ns == before


def test_runs_of_names_each_run_once():
    runs = runs_of(["table2", "table5", "table7"])
    assert len(runs) == len(set(map(repr, runs)))


def test_a_report_elsewhere_leaves_the_projects_cards_alone(tmp_path):
    cards = {path: path.read_bytes() for path in (ROOT / "zoo/cards").glob("*.md")}
    status, told = alad("report", "--results", tmp_path, "--out", tmp_path / "R.md")
    assert status == 0 and "card" not in told and (tmp_path / "R.md").is_file()
    assert {path: path.read_bytes() for path in cards} == cards


@pytest.mark.slow
@pytest.mark.xla
def test_an_interrupted_reproduction_goes_on(tmp_path, data_dir):
    """Ctrl-C in the middle of a run; the same command ends with the result of an unbroken one."""
    words = ["reproduce", "table2", "--only", "arrhythmia_dsebm/default/seed0"]
    words += ["--results", "r", "--out", "R.md", "--jobs", "1", "--data-dir", str(data_dir)]
    command = [sys.executable, "-c", "from alad_tf.cli import main; main()", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    where = dict(cwd=tmp_path, env=environment, text=True)
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, **where
    )
    for line in process.stderr:
        if "epoch" in line:
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
            break
    process.communicate(timeout=60)
    assert process.returncode == 130
    result = tmp_path / "r/arrhythmia_dsebm/default/seed0.json"
    assert not result.exists()
    done = subprocess.run(command, capture_output=True, timeout=300, **where)
    assert done.returncode == 0, done.stderr
    ours, kept = (
        json.loads(path.read_text())
        for path in (result, ROOT / "results/arrhythmia_dsebm/default/seed0.json")
    )
    assert ours["epochs"] == kept["epochs"] and ours["steps"] == kept["steps"]
    table = (tmp_path / "R.md").read_text().split("## Table II")[1].split("## Table III")[0]
    (row,) = [line for line in table.splitlines() if line.startswith("| Arrhythmia | DSEBM-e |")]
    assert row.split(" | ")[2] == "1"
