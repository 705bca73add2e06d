"""Files and folders that are written completely or not at all, and never over other people's.

A folder that this program writes holds `sha256.json`, its manifest: the name and the sha256 of each
file. The manifest decides what may be replaced, and `verify` compares files with it before they are
used. What a killed process left behind is removed by the next one that writes to the same place.
"""

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
import warnings
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: what a killed process left behind stays there
    fcntl = None

MANIFEST = "sha256.json"
NEW, PARTIAL = ".new", ".partial"  # end the names of what is being written
COMPANIONS = (".DS_Store", "Thumbs.db", "desktop.ini")  # file managers write them anywhere
STALE_S = 60.0  # a temporary file older than this is left from a killed process
NAMED = 5  # files that an error names


@contextlib.contextmanager
def replacing_folder(path, known=None):
    """Give a temporary folder that takes the place of `path` once the body has succeeded.

    The temporary folder lies beside `path`, and both are exchanged in one step. Where that is
    impossible (`path` is a mounted volume, or its parent is not writable) it lies inside `path`,
    and its files take their places one by one. A symbolic link is followed. The modes of an old
    folder and of its files are kept; new ones follow the umask.

    Args:
        path: str or Path, the destination.
        known: function of a folder that returns the names (set of str) of files in it that belong
            to this program although no manifest lists them; names of empty folders end with a
            slash.

    Yields:
        Path of the temporary folder.

    Raises:
        FileExistsError: `path` holds what this program did not write, see `check_place`.
        whatever the body raises; the destination is then as it was.

    Example:
        >>> target = Path(tempfile.mkdtemp()) / "run"
        >>> with replacing_folder(target) as folder:
        ...     _ = (folder / "a.txt").write_text("a")
        >>> sorted(p.name for p in target.iterdir())
        ['a.txt', 'sha256.json']
    """
    check_place(path, known)
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    inside = _must_stay(path)
    with _partial_folder(*((path, ".") if inside else _beside(path))) as temporary:
        yield temporary
        _remove_empty(temporary)  # manifests do not list empty folders
        write_manifest(temporary)
        _keep_modes(path, temporary)
        check_place(path, known)  # once more: the body may have taken hours
        if inside:
            _move_files(temporary, path, known)
        else:
            _exchange(temporary, path, known)


def check_place(path, known=None):
    """Refuse a destination folder that holds anything this program did not write.

    Args:
        path: str or Path; it may not exist yet, and its parents need not.
        known: as for `replacing_folder`.

    Raises:
        FileExistsError: `path` is a file; or a file in it is not in its manifest, or was changed
            since; nothing was changed.
        PermissionError: nothing can be written there.

    Example:
        >>> folder = Path(tempfile.mkdtemp())
        >>> check_place(folder)  # empty
        >>> _ = (folder / "thesis.txt").write_text("")
        >>> check_place(folder)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        FileExistsError: /... contains files that this program did not write: thesis.txt. ...
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_dir():
        raise FileExistsError(f"{path} is a file; expected a folder. Choose another name.")
    place = path
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise FileExistsError(
            f"{place} is a file, so {path} cannot be created. Choose another name."
        )
    if not os.access(place, os.W_OK | os.X_OK):
        raise PermissionError(
            errno.EACCES, "Choose another folder. This one is not writable", str(place)
        )
    if path.exists():
        others = _undisturbed(path, lambda: _others(path, known)) or ()
        if others:
            more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
            raise FileExistsError(
                f"{path} contains files that this program did not write: "
                f"{', '.join(sorted(others)[:NAMED])}{more}. Nothing was changed. Choose "
                "another folder, or move these files away first."
            )


@contextlib.contextmanager
def adding_to(folder, name):
    """Give a temporary folder whose files then join `folder/name`, and the manifest of `folder`.

    Args:
        folder: str or Path, such as `replacing_folder` wrote; it is made. What else is in it stays.
        name: str, a folder in it, or ".".

    Yields:
        Path of the temporary folder.

    Raises:
        FileExistsError: a file to be replaced is not in the manifest, or has been changed since.
        whatever the body raises; the folder is then as it was.

    Example:
        >>> target = Path(tempfile.mkdtemp()) / "detector"
        >>> with replacing_folder(target):
        ...     pass
        >>> with adding_to(target, "report") as report:
        ...     _ = (report / "fit.md").write_text("fine")
        >>> list(read_manifest(target))
        ['report/fit.md']
    """
    folder = Path(os.path.realpath(folder))
    folder.mkdir(parents=True, exist_ok=True)
    with _partial_folder(folder, ".") as temporary:
        yield temporary
        names = [Path(name, n).as_posix() for n in _files(temporary)]
        listed = read_manifest(folder)
        taken = [n for n in names if not _is_free(folder / n, {listed.get(n)})]
        if taken:
            raise FileExistsError(
                f"{folder / taken[0]} was not written by this program, or has been changed "
                "since. Move it away first."
            )
        listed |= {n: sha256(temporary / Path(n).relative_to(name)) for n in names}
        # In this order a process that is killed leaves no file that the manifest does not know:
        # listed files may be missing, but not differ.
        for n in names:
            (folder / n).unlink(missing_ok=True)
        write_json(folder / MANIFEST, listed)
        for n in names:
            place = folder / n
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(temporary / Path(n).relative_to(name), place)


def removing_from(folder, names):
    """Remove files of a folder that its manifest lists and that are as they were written."""
    folder, listed = Path(folder), read_manifest(folder)
    for name in names:
        if name in listed and _is_listed(folder / name, {listed[name]}):
            (folder / name).unlink()
            del listed[name]
            write_json(folder / MANIFEST, listed)


def check_adding(folder, pattern):
    """Refuse a folder if `adding_to` would replace a file that this program did not write.

    Args:
        folder: str or Path; it may not exist yet.
        pattern: str, a regular expression of the names that may be written.

    Raises:
        FileExistsError: such a file is not in the manifest, or has been changed since; or `folder`
            is a file.
    """
    folder = Path(os.path.realpath(folder))
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file; expected a folder. Choose another name.")
    accepted = read_manifest(folder)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not re.fullmatch(pattern, path.name):
            continue
        if not _is_listed(path, {accepted.get(path.name)}):
            raise FileExistsError(
                f"{path} was not written by this program, or has been changed since. Nothing was "
                "changed. Choose another folder, or move it away first."
            )


@contextlib.contextmanager
def claimed(folder, output):
    """Make a folder for this process alone; it is removed at the end if it is empty.

    Args:
        folder: str or Path.
        output: what is being written, for the error.

    Raises:
        BlockingIOError: if another process uses the folder.

    Example:
        >>> folder = Path(tempfile.mkdtemp()) / "parts"
        >>> with claimed(folder, "scores.csv"), claimed(folder, "scores.csv"):
        ...     pass
        Traceback (most recent call last):
        ...
        BlockingIOError: Another process is writing scores.csv. Wait, or choose another output.
    """
    folder = Path(folder)
    with contextlib.ExitStack() as stack:
        while True:
            folder.mkdir(parents=True, exist_ok=True)
            if fcntl is None:
                break
            with contextlib.suppress(FileNotFoundError):  # the other process has just removed it
                descriptor = os.open(folder, os.O_RDONLY)
                stack.callback(os.close, descriptor)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise BlockingIOError(
                        f"Another process is writing {output}. Wait, or choose another output."
                    ) from None
                except OSError:  # a file system without locks
                    break
                if os.fstat(descriptor).st_ino == os.stat(folder).st_ino:
                    break
        try:
            yield folder
        finally:
            with contextlib.suppress(OSError):
                folder.rmdir()


def write_manifest(folder):
    """Write `sha256.json` for all files of a folder, and force them to the disk."""
    listed = {name: sha256(Path(folder) / name, sync=True) for name in _files(folder)}
    write_json(Path(folder) / MANIFEST, listed)


def read_manifest(folder):
    """The manifest of a folder: dict of sha256 (hexadecimal) by name, empty if there is none.

    Raises:
        ValueError: if `sha256.json` is not a manifest.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        return {}
    listed = read_json(path)
    if not isinstance(listed, dict) or not all(isinstance(v, str) for v in listed.values()):
        raise ValueError(
            f"{path} does not list files with their SHA-256. Was it edited? Write the folder again."
        )
    return listed


def verify(folder, pattern=".*"):
    """Compare the files of a folder with its manifest.

    Args:
        folder: str or Path; without a manifest, as earlier versions wrote it, nothing is compared.
        pattern: str, a regular expression of the names that count. What nobody loads, such as a
            report, may be missing or edited.

    Raises:
        ValueError: a listed file is missing, or is not what was written.

    Example:
        >>> target = Path(tempfile.mkdtemp()) / "run"
        >>> with replacing_folder(target) as folder:
        ...     _ = (folder / "a.txt").write_text("a")
        >>> verify(target)
        >>> _ = (target / "a.txt").write_text("b")
        >>> verify(target)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        ValueError: /... is damaged: a.txt has sha256 ...
    """

    def look():
        listed = read_manifest(folder)
        return damaged(folder, {n: listed[n] for n in listed if re.fullmatch(pattern, n)})

    wrong = _undisturbed(folder, look)
    if wrong:
        raise ValueError(
            f"{folder} is damaged: {wrong}. Copy or write it again. To change it on purpose, "
            "load, change and save it with this package."
        )


def damaged(folder, files):
    """What is wrong with a folder, in words; "" if every file has its sha256.

    Args:
        folder: str or Path.
        files: dict of sha256 (hexadecimal) by file name.

    Returns:
        str.

    Example:
        >>> damaged("/nowhere", {"config.json": "00"})
        'config.json is missing'
    """
    for name, expected in files.items():
        path = Path(folder) / name
        if not path.is_file():
            return f"{name} is missing"
        got = sha256(path)
        if got != expected:
            return f"{name} has sha256 {got[:16]}…, expected {expected[:16]}…"
    return ""


def sha256(path, sync=False):
    """The sha256 of a file, hexadecimal; with `sync`, the file is forced to the disk."""
    with open(path, "rb+" if sync else "rb") as file:
        if sync:
            os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path, text):
    """Write a text file, as `write_bytes` does, in UTF-8.

    Args:
        path: str or Path; its folder is made.
        text: str.

    Returns:
        Path of the file.

    Example:
        >>> write_text(Path(tempfile.mkdtemp()) / "a.txt", "a").read_text()
        'a'
    """
    return write_bytes(path, text.encode())


def write_bytes(path, content):
    """Write a file through a temporary name; an old file's mode is kept, a link is followed.

    Args:
        path: str or Path; its folder is made.
        content: bytes.

    Returns:
        Path of the file.
    """
    place = Path(os.path.realpath(path))
    place.parent.mkdir(parents=True, exist_ok=True)
    home, prefix = _beside(place)
    temporary = home / f"{prefix}{os.getpid()}{PARTIAL}"
    try:
        temporary.write_bytes(content)
        if place.exists():
            shutil.copymode(place, temporary)
        os.replace(temporary, place)
    finally:
        temporary.unlink(missing_ok=True)
    return Path(path)


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
        ValueError: the file is not JSON; NaN and infinity are none.
    """

    def refuse(word):
        raise ValueError(f"{word} is not JSON")

    try:
        return json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is not valid JSON ({error}). Was it cut off or edited? Copy or write it again."
        ) from error


def read_record(path, keys):
    """Read a JSON file that holds a dict with certain keys.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is not JSON, or lacks a key.
    """
    record = read_json(path)
    missing = [key for key in keys if not isinstance(record, dict) or key not in record]
    if missing:
        raise ValueError(
            f"{path} has no {missing[0]!r}. Was it cut off or edited? Copy or write it again."
        )
    return record


def set_aside(path, reason):
    """Rename a damaged file or folder that is not essential, with a warning.

    Args:
        path: Path; it becomes `damaged-<name>`, in the place of an earlier one.
        reason: str or exception, for the warning.
    """
    aside = path.with_name(f"damaged-{path.name}")
    if aside.is_dir():
        shutil.rmtree(aside)
    os.replace(path, aside)
    text = f"{path} is damaged ({reason}). It was renamed to {aside.name}; continuing without"
    warnings.warn(f"{text} it.", stacklevel=3)


def with_block(text, begin, end, lines, where):
    """Replace the part of a text between two marks by lines.

    Raises:
        ValueError: if a mark is missing from `where`, or occurs more than once.
    """
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"{where} needs one line {begin!r} and one {end!r}; add or remove them.")
    before, rest = text.split(begin)
    return "\n".join([before + begin, "", *lines, "", end + rest.split(end)[1]])


def remove_own(folder, is_own):
    """Remove the files of a folder whose names are this program's, then the folder, if empty.

    Args:
        folder: str or Path; it may be missing.
        is_own: function of a file's name, relative to the folder, that returns a bool.
    """
    folder = Path(folder)
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.is_symlink() and is_own(path.name):
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it holds other files, which stay
        folder.rmdir()


def _undisturbed(folder, look):
    """What `look` finds in a folder while no process replaces it; None if it is gone."""
    for _ in range(100):
        try:
            before = os.stat(folder).st_ino
            found = look()
            if not found or os.stat(folder).st_ino == before:
                return found
        except FileNotFoundError:
            if not os.path.exists(folder):
                time.sleep(0.01)  # between two renames
                if not os.path.exists(folder):
                    return None
    return found


def _files(folder):
    """Names of the files and links in a folder, except its manifest and what is partial."""
    names = []
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        folders[:] = [n for n in folders if not (_is_partial(n) or n in links)]
        found = [name for name in files + links if not _is_partial(name)]
        names += [Path(place, name).relative_to(folder).as_posix() for name in found]
    return sorted(name for name in names if name != MANIFEST)


def _is_partial(name):
    return name.startswith(".") and name.endswith((NEW, PARTIAL))


def _others(folder, known=None):
    """Names in a folder that this program did not write, or that have been changed since."""
    accepted = {}
    for place in (folder, *folder.glob(f".*{PARTIAL}")):  # a partial one's: of a write in progress
        with contextlib.suppress(ValueError):
            for name, digest in read_manifest(place).items():
                accepted.setdefault(name, set()).add(digest)
    others = {n for n in _files(folder) if not _is_listed(folder / n, accepted.get(n, ()))}
    others |= {f"{p.relative_to(folder).as_posix()}/" for p in folder.rglob("*") if _is_empty(p)}
    if others and known:
        others -= known(folder)
    return {name for name in others if Path(name).name not in COMPANIONS}


def _is_listed(path, digests):
    return bool(digests) and path.is_file() and not path.is_symlink() and sha256(path) in digests


def _is_free(path, digests):
    """Whether a file may be written at a place: nothing is there, or what this program wrote."""
    return not (path.exists() or path.is_symlink()) or _is_listed(path, digests)


def _is_empty(path):
    is_folder = path.is_dir() and not path.is_symlink() and not _is_partial(path.name)
    return is_folder and not any(path.iterdir())


def _beside(path):
    """Where a partial file or folder of `path` lies, and how its name begins."""
    return path.parent, f".{path.name[:100]}."


def _must_stay(path):
    """Whether a folder can only be written file by file."""
    if not path.exists():
        return False
    return _is_mounted(path) or not os.access(path.parent, os.W_OK | os.X_OK)


def _is_mounted(path):
    """Whether a file system is mounted at `path`, or a folder of the same one, as containers do."""
    if os.path.ismount(path):
        return True
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:  # not Linux
        return False
    return str(path).replace(" ", r"\040") in {line.split()[4] for line in lines}


@contextlib.contextmanager
def _partial_folder(home, prefix):
    """A folder for what is not complete yet; those of killed processes are removed first."""
    _remove_left_behind(home, prefix)
    made = Path(tempfile.mkdtemp(prefix=prefix, suffix=NEW, dir=home))
    temporary = made.with_name(made.name.removesuffix(NEW) + PARTIAL)
    with _locked(made):
        os.rename(made, temporary)  # what has that name is locked as long as its process lives
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder):
    """Hold the lock of a folder, whichever name it gets; wait for whoever else holds it."""
    if fcntl is None or not os.path.isdir(folder):
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: nothing is removed there
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield os.fstat(descriptor).st_ino
    finally:
        os.close(descriptor)


def _remove_left_behind(home, prefix):
    """Remove what killed processes were writing: its lock is free.

    A write into a mounted folder that was cut short while its files took their places is completed.
    """
    for path in sorted(home.iterdir()) if fcntl else ():
        if not (path.name.startswith(prefix) and path.name.endswith((NEW, PARTIAL))):
            continue
        with contextlib.suppress(OSError):
            if path.is_file() or path.name.endswith(NEW):
                if time.time() - path.stat().st_mtime > STALE_S:  # these have no locks
                    path.unlink() if path.is_file() else path.rmdir()
                continue
            descriptor = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if prefix == "." and (path / MANIFEST).is_file():
                    _move_files(path, home)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(descriptor)


def _keep_modes(old, new):
    umask = os.umask(0)
    os.umask(umask)
    new.chmod(0o777 & ~umask)
    if old.exists():
        shutil.copymode(old, new)
        for name in [*_files(new), MANIFEST]:
            if (old / name).is_file():
                shutil.copymode(old / name, new / name)


def _remove_empty(folder):
    """Remove the empty folders in a folder, and those that are empty then."""
    for place, *_ in os.walk(folder, topdown=False):
        if Path(place) != folder and not os.listdir(place):
            os.rmdir(place)


def _exchange(temporary, path, known):
    """Put `temporary` in the place of `path`; what others put there meanwhile stays."""
    for _ in range(100):  # another process may write there at the same moment
        with contextlib.suppress(FileNotFoundError), _locked(path) as number:
            if number and number != os.stat(path).st_ino:
                continue  # exchanged while this process waited
            if path.exists() and _swap(temporary, path):
                return _carry_over(temporary, path, known)
            try:
                return _rename(temporary, path, known)
            except PermissionError:  # someone else's folder in a place like /tmp
                return _move_files(temporary, path, known)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
    raise FileExistsError(f"{path} is being written by another process. Try again later.")


def _rename(temporary, path, known):
    """Exchange two folders where the system has no single step for it."""
    if not path.exists():
        return os.rename(temporary, path)
    _, prefix = _beside(path)
    aside = Path(tempfile.mkdtemp(prefix=prefix, suffix=PARTIAL, dir=path.parent))
    os.rename(path, aside)
    try:
        os.rename(temporary, path)
    except OSError:
        os.rename(aside, path)
        raise
    _carry_over(aside, path, known)
    shutil.rmtree(aside, ignore_errors=True)


def _swap(one, other):
    """Exchange two folders in one step; False where the system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return call(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


def _carry_over(old, new, known):
    """Move what appeared in `old` after the check, and file managers' files, into `new`."""
    others = _others(old, known) | {n for n in _files(old) if Path(n).name in COMPANIONS}
    for name in others:
        place = new / name
        if place.exists():
            place = place.with_name(f"{place.name}.found")
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(old / name, place)


def _move_files(temporary, path, known=None):
    """Move the files of `temporary` into `path`, the manifest last; remove the old ones."""
    new, old = read_manifest(temporary), set(read_manifest(path))
    if not old and known and _files(path):
        old = known(path)
    for name in new:
        if (temporary / name).is_file():  # not when a cut one is completed
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(temporary / name, path / name)
    for name in old - set(new):
        emptied = list(Path(name).parents[:-1])
        if name.endswith("/"):
            emptied.insert(0, Path(name))
        else:
            (path / name).unlink(missing_ok=True)
        for folder in emptied:
            with contextlib.suppress(OSError):  # it holds other files
                (path / folder).rmdir()
    os.replace(temporary / MANIFEST, path / MANIFEST)
