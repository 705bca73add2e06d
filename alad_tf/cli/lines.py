"""Lines that commands print, and the error of a command line that cannot be used."""

import ast
import contextlib
import re
import shlex

from alad_tf.engine.texts import as_is

# arguments in the library's messages, and the options of the same meaning
_OPTIONS = {"columns": "column", "missing": "new-gaps", "n_members": "members"}
_SAME_NAME = (
    "contaminated data_dir epochs features jobs latent_discriminator normal_class "
    "pair_axis patience precision scaling seed spectral_norm steps stopping swap_halves test_rows "
    "trials"
)
_OPTIONS |= {name: name.replace("_", "-") for name in _SAME_NAME.split()}
QUOTES = ("'", '"')
_TEXT = r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*\""""
_KIND = re.compile(rf"(?<!\w)columns=\{{({_TEXT}): '(\w+)'\}}(?: or '(\w+)')?")
_ARGUMENT = re.compile(rf"(?<!\w)({'|'.join(_OPTIONS)})=({_TEXT}|-?[\w.]*\w)")
_FOLDER = re.compile(r"""(?<![\w.'"/-])data_dir(?![\w'"/=]|\.\w)""")


class UsageError(ValueError):
    """An option or argument that is wrong for any data: exit code 2; other errors have 1."""


@contextlib.contextmanager
def checking_usage():
    """Make a ValueError about an option or argument a UsageError."""
    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error


def say(line, console):
    """Print a line literally: no markup, no control characters from paths and users' names."""
    console.print(as_is(line), markup=False, highlight=False, soft_wrap=True)


def as_options(text):
    """A message of the library in the words of the command line.

    Example:
        >>> as_options("received swap_halves=True; pass the folder as data_dir.")
        'received --swap-halves; pass the folder as --data-dir.'
        >>> as_options("Choose columns={'zip code': 'hash'} or 'category'.")
        "Choose --column 'zip code=hash' or --column 'zip code=category'."
    """

    def kind(match):
        name, *kinds = match.groups()
        words = [shlex.quote(f"{_plain(name)}={one}") for one in kinds if one]
        return " or ".join(f"--column {word}" for word in words)

    def argument(match):
        option, value = f"--{_OPTIONS[match[1]]}", match[2]
        if value in ("True", "False"):
            return option if value == "True" else option.replace("--", "--no-", 1)
        return f"{option} {shlex.quote(_plain(value)) if value[0] in QUOTES else value}"

    return _FOLDER.sub("--data-dir", _ARGUMENT.sub(argument, _KIND.sub(kind, text)))


def _plain(text):
    """What a string literal stands for; a user's cell may look like one and be none."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text[1:-1]


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
