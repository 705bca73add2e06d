"""Progress of a training, for people: a bar with time left, or plain lines where there is none."""

import contextlib
import threading
import time

import keras
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import track as rich_track


class TrainingProgress(keras.callbacks.Callback):
    """Show epochs done, the losses and the time left.

    Args:
        console: `rich.console.Console`; default standard error. Where it is no terminal, one line
            is printed every `every_s` seconds.
        every_s: float, seconds between lines.

    Example:
        >>> # model.fit(x, verbose=0, callbacks=[TrainingProgress()])
    """

    def __init__(self, console=None, every_s=10.0):
        super().__init__()
        self.console = console or Console(stderr=True)
        self.every_s = float(every_s)
        self._bar = None

    def on_train_begin(self, logs=None):
        self._first = None
        self._begun = self._told = time.monotonic()
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("epoch"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.description}"),
                console=self.console,
            )
            self._bar.start()
            self._task = self._bar.add_task("compiling", total=self.params["epochs"])

    def on_epoch_begin(self, epoch, logs=None):
        if self._first is None:
            self._first = epoch
            if self._bar:
                self._bar.update(self._task, completed=epoch)
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        steps = self.params.get("steps")
        if self._bar and steps:  # an epoch of images takes a minute
            self._bar.update(self._task, completed=self._epoch + (batch + 1) / steps)

    def on_epoch_end(self, epoch, logs=None):
        losses = "  ".join(f"{name} {float(value):.3f}" for name, value in (logs or {}).items())
        if self._bar:
            self._bar.update(self._task, completed=epoch + 1, description=losses)
            return
        now, total = time.monotonic(), self.params["epochs"]
        if now - self._told >= self.every_s or epoch + 1 == total:
            done = epoch - self._first
            left = (now - self._begun) / done * (total - epoch - 1) if done else 0.0
            told = "compiled" if not done and epoch + 1 < total else f"{left:.0f} s left"
            self.console.print(f"epoch {epoch + 1}/{total}  {told}  {losses}")
            self._told = now
        if epoch == self._first:
            self._begun = now  # the first epoch compiles: it says nothing of the others

    def on_train_end(self, logs=None):
        self.close()

    def close(self):
        """Leave the terminal as it was, also after an error or an interrupt."""
        if self._bar:
            self._bar.stop()
            self._bar = None


def track(items, label, console=None, every_s=10.0):
    """Go through items and show how far it is: a bar in a terminal, lines elsewhere.

    Args:
        items: sequence.
        label: str, what is being done.
        console: `rich.console.Console`; None shows nothing.
        every_s: float, seconds between lines.

    Yields:
        the items.

    Example:
        >>> list(track([1, 2], "counting"))
        [1, 2]
    """
    if console is None:
        yield from items
    elif console.is_terminal:
        yield from rich_track(items, label, console=console)
    else:
        begun = told = time.monotonic()
        for done, item in enumerate(items):
            now = time.monotonic()
            if done and now - told >= every_s:
                left = (now - begun) / done * (len(items) - done)
                console.print(f"{label}  {done}/{len(items)}  {left:.0f} s left", highlight=False)
                told = now
            yield item


@contextlib.contextmanager
def counted(total, label, console=None, every_s=10.0):
    """Show how much of something is done, reported from any thread.

    Args:
        total: int, when it is done.
        label: str, what is being done.
        console: `rich.console.Console`; None shows nothing.
        every_s: float, seconds between lines where the console is no terminal.

    Yields:
        function of an int: so much more is done.

    Example:
        >>> with counted(2, "counting") as advance:
        ...     advance(2)
    """
    if console is None:
        yield lambda count: None
    elif console.is_terminal:
        columns = (*Progress.get_default_columns()[:-1], TimeRemainingColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(label, total=total)
            yield lambda count: bar.advance(task, count)
    else:
        lock, begun = threading.Lock(), time.monotonic()
        state = {"done": 0, "told": begun}

        def advance(count):
            with lock:
                state["done"] += count
                done, now = state["done"], time.monotonic()
                if now - state["told"] >= every_s or done >= total:
                    left = (now - begun) / done * (total - done)
                    told = f"{label}  {done}/{total}  {left:.0f} s left"
                    console.print(told, highlight=False)
                    state["told"] = now

        yield advance
