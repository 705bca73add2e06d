"""Progress without a terminal: lines that say how much is done and how long it will take."""

import io

import pytest
from rich.console import Console

from alad_tf.engine import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets, in place of the machine's."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def told(clock, ends, first=0, total=5):
    """The lines printed when epochs end at these times."""
    text = io.StringIO()
    bar = progress.TrainingProgress(Console(file=text, width=200))
    bar.set_params({"epochs": total, "steps": 1})
    bar.on_train_begin()
    for epoch, end in enumerate(ends, first):
        bar.on_epoch_begin(epoch)
        clock[0] = end
        bar.on_epoch_end(epoch, {"G": 1.0, "loss": 2.5})
    bar.on_train_end()
    return text.getvalue().splitlines()


def test_the_time_left_does_not_count_the_compilation(clock):
    lines = told(clock, [100, 120, 140, 160, 180])
    assert lines[0] == "epoch 1/5  compiled  G 1.000  loss 2.500"
    assert [line.split("  ")[1] for line in lines[1:]] == [
        "60 s left",
        "40 s left",
        "20 s left",
        "0 s left",
    ]


def test_short_epochs_share_a_line_and_the_last_one_is_always_told(clock):
    lines = told(clock, [1, 2, 3, 14, 15])
    assert [line.split("  ")[0] for line in lines] == ["epoch 4/5", "epoch 5/5"]


def test_a_resumed_training_counts_from_where_it_began(clock):
    lines = told(clock, [50, 70], first=2)
    assert lines[0].startswith("epoch 3/5  compiled")
    assert lines[1].startswith("epoch 4/5  20 s left")


def test_track_tells_lines_where_there_is_no_terminal(clock):
    console, found = Console(file=io.StringIO(), width=80), []
    for item in progress.track(range(5), "searching", console, every_s=10):
        clock[0] += 6  # six seconds an item
        found.append(item)
    assert found == list(range(5))
    assert console.file.getvalue().splitlines() == [
        "searching 2/5  18 s left",
        "searching 4/5  6 s left",
        "searching 5/5  0 s left",
    ]


def test_track_is_silent_without_a_console_and_draws_in_a_terminal(capsys):
    assert list(progress.track([1, 2], "searching")) == [1, 2]
    assert capsys.readouterr() == ("", "")
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    assert list(progress.track([1, 2], "searching", console)) == [1, 2]
    assert "searching" in console.file.getvalue() and "2/2" in console.file.getvalue()
