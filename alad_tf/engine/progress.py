"""The display of progress: a bar with the time left, or plain lines without a terminal."""

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


class Display:
    """Show how much is done, and how long the rest will take.

    Args:
        label: str, what is counted.
        total: int, how many there are in all.
        console: `rich.console.Console`; None shows nothing.
        every_s: float, seconds between lines where the console is no terminal.
        done: int, how many were done before.
        compiles: bool, whether the first part takes longer than the others, because it compiles.

    Example:
        >>> with Display("epoch", 2) as display:
        ...     display.advance()
    """

    def __init__(self, label, total, console=None, every_s=10.0, done=0, compiles=False):
        self.label, self.total, self.console = label, total, console
        self.every_s, self.done, self.compiles = float(every_s), done, compiles
        self._first, self._lock, self._bar = done, threading.Lock(), None
        self._begun = self._printed_at = time.monotonic()
        if console is not None and console.is_terminal:
            self._bar = Progress(
                TextColumn(label),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.description}"),
                console=console,
            )
            self._bar.start()
            note = "compiling" if compiles else ""
            self._task = self._bar.add_task(note, total=total, completed=done)

    def advance(self, count=1):
        """Add `count` to what is done; any thread may call this."""
        with self._lock:
            self._show(self.done + count, "")

    def update(self, done, note=None):
        """Set what is done by now; `note` is shown beside it."""
        with self._lock:
            self._show(done, note)

    def _show(self, done, note):
        self.done = done
        if self._bar:
            self._bar.update(self._task, completed=done, description=note)
        elif self.console is not None:
            now, ended = time.monotonic(), done >= self.total
            if now - self._printed_at >= self.every_s or ended:
                compiled = self.compiles and not ended
                left = "compiled" if compiled else f"{self._left(now):.0f} s left"
                line = f"{self.label} {done}/{self.total}  {left}  {note or ''}"
                self.console.print(line.rstrip(), highlight=False)
                self._printed_at = now
            if self.compiles:
                self.compiles, self._first, self._begun = False, done, now

    def _left(self, now):
        made = self.done - self._first
        return (now - self._begun) / made * (self.total - self.done) if made else 0.0

    def close(self):
        """Leave the terminal as it was, also after an error or an interrupt."""
        if self._bar:
            self._bar.stop()
            self._bar = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class TrainingProgress(keras.callbacks.Callback):
    """Show epochs done, the losses and the time left, by default on standard error."""

    def __init__(self, console=None, every_s=10.0):
        super().__init__()
        self.console, self.every_s = console or Console(stderr=True), every_s
        self._display = None

    def on_train_begin(self, logs=None):
        self.close()

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        if self._display is None:
            total = self.params["epochs"]
            self._display = Display("epoch", total, self.console, self.every_s, epoch, True)

    def on_train_batch_end(self, batch, logs=None):
        steps = self.params.get("steps")
        if steps and self.console.is_terminal:  # an epoch of images takes a minute
            self._display.update(self._epoch + (batch + 1) / steps)

    def on_epoch_end(self, epoch, logs=None):
        losses = "  ".join(f"{name} {float(value):.3f}" for name, value in (logs or {}).items())
        self._display.update(epoch + 1, losses)

    def on_train_end(self, logs=None):
        self.close()

    def close(self):
        """Leave the terminal as it was, also after an error or an interrupt."""
        if self._display is not None:
            self._display.close()
            self._display = None


def track(items, label, console=None, every_s=10.0):
    """Yield the items of a sequence and show how many of them are done."""
    with Display(label, len(items), console, every_s) as display:
        for item in items:
            yield item
            display.advance()


@contextlib.contextmanager
def counted(total, label, console=None, every_s=10.0):
    """Yield a function that adds its argument to what is done; any thread may call it."""
    with Display(label, total, console, every_s) as display:
        yield display.advance
