"""Files and folders that are whole or absent: written under another name, then renamed."""

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path


@contextlib.contextmanager
def replacing_folder(path):
    """Give a temporary folder beside `path`; on success it takes `path`'s place.

    Args:
        path: str or Path of the destination folder; an old one is replaced.

    Yields:
        Path of the temporary folder.

    Raises:
        whatever the body raises; the destination is then as it was.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "run"
        >>> with replacing_folder(target) as folder:
        ...     _ = (folder / "a.txt").write_text("a")
        >>> [p.name for p in target.iterdir()]
        ['a.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        if path.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
            os.replace(path, old)
            os.replace(temporary, path)
            shutil.rmtree(old)
        else:
            os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def with_block(text, begin, end, lines, where):
    """A text whose part between two marks is renewed.

    Args:
        text: str.
        begin, end: str, the marks, each once in the text; they are kept.
        lines: list of str, what is to stand between them.
        where: str, what the text is, for the error.

    Returns:
        str.

    Raises:
        ValueError: a mark is missing, or there more than once.

    Example:
        >>> with_block("a [old] b", "[", "]", ["new"], "the text")
        'a [\\n\\nnew\\n\\n] b'
    """
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"{where} needs one line {begin!r} and one {end!r}; add or remove them.")
    before, rest = text.split(begin)
    return "\n".join([before + begin, "", *lines, "", end + rest.split(end)[1]])


def write_text(path, text):
    """Write a text file through a temporary name.

    Args:
        path: str or Path; its folder is made.
        text: str.

    Returns:
        Path of the file.

    Example:
        >>> write_text(Path(tempfile.mkdtemp()) / "a.txt", "a").read_text()
        'a'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def write_json(path, value):
    """Write JSON with a trailing newline through a temporary name; NaN is refused.

    Args:
        path: str or Path.
        value: anything JSON can hold.

    Returns:
        Path of the file.

    Raises:
        ValueError: NaN or infinity in `value`.

    Example:
        >>> read_json(write_json(Path(tempfile.mkdtemp()) / "a.json", {"a": 1}))
        {'a': 1}
    """
    return write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path):
    """Read a JSON file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON ({error}). Was it cut or edited?") from error
