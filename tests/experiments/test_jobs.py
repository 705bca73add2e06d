"""Jobs side by side: how many, on which cores, what they print, how they fail and are stopped."""

import ast
import io
import os
import signal
import subprocess
import sys

import pytest
from rich.console import Console
from typer.testing import CliRunner

import zoo
from alad_tf.cli import app
from alad_tf.detector.metrics import METRICS
from alad_tf.engine.files import read_json
from alad_tf.experiments import parallel
from alad_tf.experiments import run as runs
from alad_tf.experiments.parallel import NOT_STARTED, parse_seeds, run_jobs
from alad_tf.experiments.results import result_path
from alad_tf.experiments.settings import Settings

ENTRY = "breast_cancer_alad"


def python(code, *arguments):
    return [sys.executable, "-c", code, *map(str, arguments)]


def run(commands, limit=None, width=80):
    """The exit codes, and the lines that were printed."""
    console = Console(file=io.StringIO(), width=width)
    codes = run_jobs(commands, limit, console)
    return codes, console.file.getvalue().splitlines()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", [3]),
        ("0,1,2", [0, 1, 2]),
        ("0-3", [0, 1, 2, 3]),
        ("0-2,7", [0, 1, 2, 7]),
        (" 8 , 4 - 5 ", [8, 4, 5]),
        ("2,0-3,2", [2, 0, 1, 3]),  # each once
    ],
)
def test_seeds_are_numbers_and_ranges(text, expected):
    assert parse_seeds(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "'' is neither"),
        ("0,,1", "'' is neither"),
        ("0-", "'0-' is neither"),
        ("-1", "'-1' is neither"),
        ("0-2-4", "'0-2-4' is neither"),
        ("0,1.5", "'1.5' is neither"),
        ("a", "received the seeds 'a'"),
        ("²", "'²' is neither"),
        ("9-0", "Write 0-9"),
    ],
)
def test_other_seeds_are_refused(text, expected):
    with pytest.raises(ValueError, match="seeds") as caught:
        parse_seeds(text)
    assert expected in str(caught.value)


def test_no_more_than_the_limit_run_at_a_time(tmp_path):
    code = """
import sys, time
from pathlib import Path
folder = Path(sys.argv[1])
(folder / sys.argv[2]).touch()
for _ in range(10):
    print(len(list(folder.iterdir())))
    time.sleep(0.03)
(folder / sys.argv[2]).unlink()
"""
    commands = {f"job {k}": python(code, tmp_path, k) for k in range(5)}
    codes, lines = run(commands, 2)
    assert codes == [0] * 5
    assert len(lines) == 50
    assert {line[-1] for line in lines} <= {"1", "2"}


MEET = """
import os, sys, time
from pathlib import Path
folder, own, others = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
(folder / own).touch()
deadline = time.monotonic() + 30
while not all((folder / other).exists() for other in others):
    assert time.monotonic() < deadline, "the others did not come"
    time.sleep(0.01)
print(sorted(os.sched_getaffinity(0)))
"""


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs two cores and a system that confines processes to cores",
)
def test_jobs_of_one_time_have_cores_of_their_own_and_hand_them_on(tmp_path):
    own = os.sched_getaffinity(0)
    commands = {
        "a": python(MEET, tmp_path, "a", "b"),  # ends only once b runs, too
        "b": python(MEET, tmp_path, "b", "a"),
        "c": python(MEET, tmp_path, "c"),
    }
    codes, lines = run(commands, 2)
    assert codes == [0, 0, 0], lines
    cores = {line[0]: set(ast.literal_eval(line[4:])) for line in lines}
    assert not cores["a"] & cores["b"]
    assert cores["a"] | cores["b"] <= own
    assert len(cores["a"]) == len(cores["b"]) == len(own) // 2
    assert cores["c"] in (cores["a"], cores["b"])
    assert os.sched_getaffinity(0) == own
    _, (line,) = run({"alone": python(MEET, tmp_path, "alone")}, 4)
    assert set(ast.literal_eval(line[8:])) == own


@pytest.mark.parametrize(
    ("cores", "count", "expected"),
    [
        ([4, 5, 6, 7], 2, [[4, 5], [6, 7]]),
        ([0, 1, 2], 2, [[0], [1]]),  # of one size
        ([0, 1], 3, [[0], [1], [0]]),
        ([0, 1], 1, [[0, 1]]),
        ([0, 1], 0, []),
    ],
)
def test_shares_are_of_one_size(cores, count, expected):
    assert parallel._shares(cores, count) == expected


def test_without_affinity_tensorflow_is_told_how_many_threads(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", "1")  # whoever says so means it
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    code = f"import os; print(*[os.environ[name] for name in {names}])"
    codes, lines = run({"a": python(code), "b": python(code)})
    assert (codes, sorted(lines)) == ([0, 0], ["a | 3 1", "b | 3 1"])


def test_every_line_is_passed_on_behind_its_label():
    code = """
import sys
print("[bold]one[/bold] :smile: 12")
print("to the error stream", file=sys.stderr)
print()
print("x" * 300)
print("\\x1b[31mred\\x1b[0m, then 50 %\\r100 %")
sys.stdout.buffer.write(b"no UTF-8: \\xff, no end of line")
"""
    codes, lines = run({"seed 3": python(code), "seed 10": python("print('ten')")}, 1)
    assert codes == [0, 0]
    assert lines == [
        "seed 3  | [bold]one[/bold] :smile: 12",
        "seed 3  | to the error stream",
        "seed 3  | ",
        "seed 3  | " + "x" * 300,
        "seed 3  | red, then 50 %",
        "seed 3  | 100 %",
        "seed 3  | no UTF-8: \N{REPLACEMENT CHARACTER}, no end of line",
        "seed 10 | ten",
    ]


def test_a_job_that_fails_does_not_stop_the_others():
    commands = {
        "raises": python("raise ValueError('why')"),
        "three": python("raise SystemExit(3)"),
        "nowhere": ["/nowhere/at/all"],
        "killed": python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"),
        "good": python("print('done')"),
    }
    codes, lines = run(commands, 1)
    assert codes == [1, 3, NOT_STARTED, -signal.SIGKILL, 0]
    assert "raises  | ValueError: why" in lines
    assert any(line.startswith("nowhere | not started: ") for line in lines)
    assert lines[-1] == "good    | done"
    assert run({}) == ([], [])
    with pytest.raises(ValueError, match="received jobs=0; expected at least 1"):
        run(commands, 0)


def test_no_job_is_left_behind_by_an_error(tmp_path):
    class Broken(Console):
        def print(self, text, **options):
            self.pid = int(text.plain.split()[-1])
            raise OSError("no more room")

    console = Broken(file=io.StringIO())
    code = """
import os, sys, time
from pathlib import Path
print(os.getpid())
time.sleep(20)
Path(sys.argv[1], "went on").touch()
"""
    with pytest.raises(OSError, match="no more room"):
        run_jobs({"a": python(code, tmp_path)}, 1, console)
    with pytest.raises(ProcessLookupError):
        os.kill(console.pid, 0)
    assert not list(tmp_path.iterdir())


STOPPED = """
import signal, sys, time
told = []
signal.signal(signal.SIGINT, lambda *_: told.append(time.monotonic()))
print("ready")
for _ in range(3000):
    time.sleep(0.02)
    if told and time.monotonic() > told[0] + 0.3:
        print("told", len(told))
        sys.exit(130)
"""
PARENT = f"""
import sys
from rich.console import Console
from alad_tf.experiments import parallel
if len(sys.argv) > 1:
    parallel.GRACE_S = float(sys.argv[1])
command = [sys.executable, "-c", {STOPPED!r}]
try:
    parallel.run_jobs(dict(a=command, b=command, c=command), 2, Console())
except KeyboardInterrupt:
    print("all ended")
    sys.exit(130)
"""


def stop(how, number, *arguments):
    """Start a parent with two jobs running and one waiting, signal it; exit code and lines."""
    parent = subprocess.Popen(
        python(PARENT, *arguments), stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    lines = [parent.stdout.readline().strip() for _ in range(2)]
    assert sorted(lines) == ["a | ready", "b | ready"]
    how(parent.pid, number)
    rest, _ = parent.communicate(timeout=50)
    assert "c |" not in rest  # a job that waits is not started any more
    return parent.returncode, rest.splitlines()


def test_ctrl_c_stops_the_jobs_once_and_waits_for_them():
    code, lines = stop(os.killpg, signal.SIGINT)  # as a terminal does
    assert code == 130
    assert lines[0] == "Waiting for a, b to stop."
    assert sorted(lines[1:3]) == ["a | told 1", "b | told 1"]
    assert lines[3:] == ["all ended"]


def test_an_interrupt_of_the_parent_alone_is_passed_on():
    code, lines = stop(os.kill, signal.SIGINT, 0.2)
    assert code == 130
    assert sorted(lines[1:3]) == ["a | told 1", "b | told 1"]


def test_a_request_to_end_is_passed_on():
    code, lines = stop(os.kill, signal.SIGTERM)
    assert (code, lines) == (128 + signal.SIGTERM, ["Waiting for a, b to stop."])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--seed", "0", "--seeds", "0-3"), "received --seed 0 and --seeds 0-3"),
        (("--jobs", "2"), "received --jobs without --seeds"),
        (("--seeds", "0-3", "--out", "here"), "received --out with 4 seeds"),
        (("--seeds", "3-0"), "Write 0-3"),
        (("--seeds", "0,1", "--normal-class", "1"), "whose samples are not images"),
    ],
)
def test_bad_requests_are_refused_before_anything_starts(options, expected, monkeypatch):
    monkeypatch.setattr(parallel, "run_jobs", lambda *_: pytest.fail("jobs were started"))
    answer = CliRunner().invoke(app, ["train", ENTRY, *options])
    assert isinstance(answer.exception, ValueError)
    assert expected in str(answer.exception)


def answered(monkeypatch, tmp_path, answer, *options):
    """What `alad train` says, and the commands it would run, where the jobs answer with this."""
    seen = {}

    def no_jobs(commands, limit, console):
        seen.update(commands=commands, limit=limit)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    monkeypatch.setattr(parallel, "run_jobs", no_jobs)
    arguments = ["train", ENTRY, "--results", str(tmp_path), *options]
    return CliRunner().invoke(app, arguments), seen


def test_the_processes_get_the_same_options(monkeypatch, tmp_path):
    options = ("--no-spectral-norm", "--scaling", "minmax", "--resume", "--checkpoint-every", "5")
    told, seen = answered(monkeypatch, tmp_path, [2, -9], "--seeds", "4,7", "--jobs", "1", *options)
    assert seen["limit"] == 1
    words = ["--no-spectral-norm", "--scaling=minmax", f"--results={tmp_path}", "--resume"]
    words.append("--checkpoint-every=5.0")
    got = {label: command[3:] for label, command in seen["commands"].items()}
    for seed in (4, 7):
        name, entry, *options = got[f"seed {seed}"]
        assert (name, entry) == ("train", ENTRY)
        assert sorted(options) == sorted([*words, f"--seed={seed}"])
    assert told.exit_code == 1
    assert "Failed: seed 4 (exit code 2), seed 7 (exit code -9)." in told.stderr


def test_an_interrupt_says_how_to_go_on(monkeypatch, tmp_path):
    told, _ = answered(monkeypatch, tmp_path, KeyboardInterrupt(), "--seeds", "0,1")
    assert told.exit_code == 130
    assert "Run the command again with --resume" in told.stderr


@pytest.mark.slow
@pytest.mark.xla
def test_seeds_side_by_side_are_the_runs_of_each_alone(tmp_path):
    (tmp_path / "zoo.py").write_text("raise SystemExit('a file of the working directory')")
    options = ("--epochs", "2", "--results", "results")
    code = "import sys; sys.path.remove(''); from alad_tf.cli import main; main()"
    together = subprocess.Popen(
        python(code, "train", ENTRY, "--seeds", "0,1", *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
    )
    settings = Settings(seed=1, epochs=2)
    alone, _ = runs.train(zoo.entry(ENTRY), settings, tmp_path / "alone", tmp_path / "alone")
    text, _ = together.communicate(timeout=120)
    assert together.returncode == 0, text
    first, second = (
        read_json(result_path(tmp_path / "results", ENTRY, "epochs2", seed)) for seed in (0, 1)
    )
    for name in ("seed", "config", "protocol", "metrics", "untrained", "epochs", "steps"):
        assert second[name] == alone[name], name
    assert first["seed"] == 0
    assert first["metrics"] != second["metrics"]
    table = text.split("score: features")[1]
    assert "mean ± std of 2" in table
    for seed, result in enumerate((first, second)):
        assert f"seed {seed} | epoch 2/2" in text
        assert f"│ {result['metrics']['features']['auroc']:.4f}" in table
        assert (tmp_path / "runs" / ENTRY / "epochs2" / f"seed{seed}" / "detector").is_dir()


def test_the_table_of_seeds_has_a_row_each_their_mean_and_the_papers():
    values = [dict.fromkeys(METRICS, number) for number in (0.25, 0.75)]
    trained = [{"seed": k, "metrics": {"features": v}} for k, v in enumerate(values)]
    table = parallel.seeds_table(zoo.entry("kdd99_alad"), trained)
    assert [list(column.cells) for column in table.columns] == [
        ["seed 0", "seed 1", "mean ± std of 2", "paper (Table II, ten runs)"],
        ["0.2500", "0.7500", "0.5000 ± 0.3536", "0.9501"],
        ["0.2500", "0.7500", "0.5000 ± 0.3536", ""],
    ]
