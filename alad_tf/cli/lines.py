"""Lines that commands print, and the error of a command line that cannot be used."""

import contextlib

from alad_tf.engine.texts import as_is


class UsageError(ValueError):
    """An option or argument that is wrong whatever the data: exit code 2, others are 1."""


@contextlib.contextmanager
def checking_usage():
    """Make a ValueError about an option or argument a UsageError."""
    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error


def say(line, console):
    """Print a line as it is: paths and users' names are no markup, and steer no terminal."""
    console.print(as_is(line), markup=False, highlight=False, soft_wrap=True)


def one_of(option, value, known):
    """The value of an option, one of those known; else a UsageError."""
    if value not in known:
        raise UsageError(f"received {option} {value}; expected one of {', '.join(known)}.")
    return value


def duration(seconds):
    """A time in words, with as much precision as an estimate has."""
    if seconds < 90:
        count, unit = max(round(seconds / 5) * 5 if seconds > 20 else round(seconds), 1), "second"
    elif seconds < 5400:
        count, unit = round(seconds / 60), "minute"
    else:
        count, unit = round(seconds / 3600), "hour"
    if unit == "minute" and count > 20:
        count = round(count / 5) * 5
    return f"{count} {unit}" + ("s" if count > 1 else "")
