"""Files and folders are whole or absent, nobody else's are replaced, and damage is noticed."""

import contextlib
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from alad_tf.engine import files
from alad_tf.engine.files import (
    MANIFEST,
    adding_to,
    check_adding,
    check_place,
    claimed,
    read_json,
    read_manifest,
    read_record,
    replacing_folder,
    sha256,
    verify,
    with_block,
    write_json,
    write_text,
)


def write(path, known=None, **files):
    with replacing_folder(path, known) as folder:
        for name, text in files.items():
            place = folder / name.replace("__", "/")
            place.parent.mkdir(exist_ok=True)
            place.write_text(text)
    return Path(path)


def content(folder):
    files = [p for p in Path(folder).rglob("*") if p.is_file() and p.name != MANIFEST]
    return {p.relative_to(folder).as_posix(): p.read_text() for p in files}


def test_a_folder_is_replaced_with_all_its_own_files(tmp_path):
    write(tmp_path / "a", x="1", sub__y="2")
    write(tmp_path / "a", x="3")
    assert content(tmp_path / "a") == {"x": "3"}
    assert read_manifest(tmp_path / "a") == {"x": sha256(tmp_path / "a/x")}
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def _thesis(folder):
    (folder / "thesis.txt").write_text("years of work")


def _data_in_subfolder(folder):
    (folder / "data").mkdir()
    (folder / "data/table.csv").write_text("a,b")


def _edited(folder):
    (folder / "x").write_text("edited by hand")


def _hidden(folder):
    (folder / ".git").mkdir()
    (folder / ".git/HEAD").write_text("ref")


def _link(folder):
    (folder / "link").symlink_to("/etc")


def _empty_folder(folder):
    (folder / "notes").mkdir()


def begin(folder):
    with replacing_folder(folder):
        pytest.fail("the work began")


OTHERS = {
    _thesis: "thesis.txt",
    _data_in_subfolder: "data/table.csv",
    _edited: "x",
    _hidden: ".git/HEAD",
    _link: "link",
    _empty_folder: "notes/",
}


@pytest.mark.parametrize("other, name", OTHERS.items(), ids=[f.__name__ for f in OTHERS])
@pytest.mark.parametrize("ours", [True, False])
def test_what_is_somebody_elses_is_named_before_any_work(tmp_path, other, name, ours):
    folder = tmp_path / "a"
    write(folder, x="1") if ours else folder.mkdir()
    other(folder)
    before = sorted(folder.rglob("*"))
    with pytest.raises(FileExistsError, match=f"did not write: .*{name}"):
        begin(folder)
    assert sorted(folder.rglob("*")) == before


def test_files_that_appear_during_the_work_are_kept(tmp_path):
    folder = write(tmp_path / "a", x="1")
    with pytest.raises(FileExistsError, match="thesis.txt"), replacing_folder(folder) as new:
        (new / "x").write_text("2")
        _thesis(folder)
    assert content(folder) == {"x": "1", "thesis.txt": "years of work"}


def test_a_file_managers_files_neither_hinder_nor_vanish(tmp_path):
    folder = write(tmp_path / "a", x="1")
    (folder / ".DS_Store").write_text("icons")
    assert content(write(folder, x="2")) == {"x": "2", ".DS_Store": "icons"}


def test_a_folder_of_an_earlier_version_is_replaced_where_its_files_are_known(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "x").write_text("1")
    with pytest.raises(FileExistsError):
        write(folder, x="2")
    assert content(write(folder, lambda _: {"x"}, y="2")) == {"y": "2"}


@pytest.mark.parametrize("made", ["assets", "assets/deep", "assets/deep/deeper"])
def test_empty_folders_of_the_body_do_not_hinder_the_next_write(tmp_path, made):
    def export(text):
        with replacing_folder(tmp_path / "a") as folder:
            (folder / made).mkdir(parents=True)
            (folder / "x").write_text(text)

    export("1")
    assert [p.name for p in (tmp_path / "a").iterdir() if p.is_dir()] == []
    export("2")
    assert content(tmp_path / "a") == {"x": "2"}


@pytest.mark.parametrize("inside", [True, False])  # file by file, or in one step
def test_an_earlier_versions_empty_folder_is_replaced_where_it_is_known(
    tmp_path, monkeypatch, inside
):
    folder = tmp_path / "a"
    (folder / "assets").mkdir(parents=True)
    (folder / "x").write_text("1")
    monkeypatch.setattr(files, "_must_stay", lambda _: inside)
    with pytest.raises(FileExistsError, match="assets/"):
        write(folder, lambda _: {"x"}, y="2")
    write(folder, lambda _: {"x", "assets/"}, y="2")
    assert sorted(p.name for p in folder.iterdir()) == [MANIFEST, "y"]


@pytest.mark.parametrize("where", ["a", "a/b", "a/b/c"])
def test_a_file_in_the_way_is_named(tmp_path, where):
    write_text(tmp_path / "a", "text")
    with pytest.raises(FileExistsError, match="is a file"):
        write(tmp_path / where, x="1")
    assert (tmp_path / "a").read_text() == "text"


@pytest.mark.parametrize("exists", [True, False])
def test_links_are_followed(tmp_path, exists):
    if exists:
        write(tmp_path / "real", x="1")
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "link", x="2")
    assert (tmp_path / "link").is_symlink()
    assert content(tmp_path / "real") == {"x": "2"}


def test_a_failing_body_leaves_everything_as_it_was(tmp_path):
    folder = write(tmp_path / "a", x="1")
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), replacing_folder(folder) as new:
            (new / "x").write_text("2")
            raise error
    assert content(folder) == {"x": "1"}
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.fixture(params=["exchange", "renames", "inside"])
def way(request, monkeypatch):
    """How a folder takes its place: in one step, in two, or file by file in a mounted one."""
    if request.param != "exchange":
        monkeypatch.setattr(files, "_swap", lambda one, other: False)
    if request.param == "inside":
        monkeypatch.setattr(files, "_is_mounted", lambda path: True)
    return request.param


def test_each_way_replaces_removes_old_files_and_keeps_modes(tmp_path, way):
    folder = write(tmp_path / "a", x="1", old__y="2", sub__z="3")
    folder.chmod(0o700), (folder / "x").chmod(0o600)
    inode = folder.stat().st_ino
    write(folder, x="4", sub__z="5", w="6")
    assert content(folder) == {"x": "4", "sub/z": "5", "w": "6"}
    assert not (folder / "old").exists()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "x").stat().st_mode) == 0o600
    assert (folder.stat().st_ino == inode) == (way == "inside")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    verify(folder)


@pytest.mark.parametrize("umask, mode", [(0o077, 0o700), (0o022, 0o755), (0o002, 0o775)])
def test_new_folders_follow_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        folder = write(tmp_path / "a", x="1")
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == mode
    assert stat.S_IMODE((folder / "x").stat().st_mode) == mode & 0o666


def test_a_parent_that_is_not_writable_is_written_inside_or_refused(tmp_path, monkeypatch):
    folder = write(tmp_path / "parent/a", x="1")
    real = os.access
    monkeypatch.setattr(
        files.os, "access", lambda p, mode: Path(p).name != "parent" and real(p, mode)
    )
    assert content(write(folder, x="2")) == {"x": "2"}
    with pytest.raises(PermissionError, match="not writable"):
        write(tmp_path / "parent/new", x="1")


KILLED = """
import os, sys, signal
from pathlib import Path
from alad_tf.engine import files
if sys.argv[2] == "inside":
    files._is_mounted = lambda path: True
replace, left = os.replace, [int(sys.argv[3])]
def cut(*paths):
    left[0] -= 1
    if left[0] < 0: os.kill(os.getpid(), signal.SIGKILL)
    return replace(*paths)
files.os.replace = cut
with files.replacing_folder(sys.argv[1]) as folder:
    for name in "xyz": (folder / name).write_text("new")
    if sys.argv[2] == "outside": os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("where, moves", [("outside", 9), *(("inside", k) for k in range(1, 5))])
def test_what_a_killed_process_left_is_cleaned_or_completed(tmp_path, where, moves, monkeypatch):
    """Moves: the manifest's own, then one for each file."""
    folder = write(tmp_path / "a", x="old", y="old", w="old")
    run = [sys.executable, "-c", KILLED, folder, where, str(moves)]
    assert subprocess.run(run, cwd=Path(__file__).parents[2]).returncode == -signal.SIGKILL
    partial = [p for p in tmp_path.rglob("*.partial") if p.is_dir()]
    assert len(partial) == 1
    monkeypatch.setattr(files, "_is_mounted", lambda path: where == "inside")
    with pytest.raises(ValueError), replacing_folder(folder):
        raise ValueError
    assert not partial[0].exists()
    verify(folder)
    new = where == "inside"
    expected = dict.fromkeys("xyz", "new") if new else dict.fromkeys("xyw", "old")
    assert content(folder) == expected


def test_a_living_process_keeps_its_partial_folder(tmp_path):
    with replacing_folder(tmp_path / "a") as first:
        write(tmp_path / "a", x="2")
        assert first.is_dir()
        (first / "x").write_text("1")
    assert content(tmp_path / "a") == {"x": "1"}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="folders are exchanged on Linux")
def test_writers_at_once_leave_one_of_their_folders(tmp_path):
    start, errors = threading.Barrier(4), []

    def many(text):
        start.wait()
        for _ in range(20):
            try:
                write(tmp_path / "a", x=text, y=text)
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=many, args=(t,)) for t in "abcd"]
    [t.start() for t in threads], [t.join() for t in threads]
    assert not errors
    assert len(set(content(tmp_path / "a").values())) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_added_files_join_the_manifest_and_are_replaced_with_the_folder(tmp_path):
    folder = write(tmp_path / "a", x="1")
    for text in ("first", "second"):
        with adding_to(folder, "report") as report:
            (report / "fit.md").write_text(text)
    assert content(folder) == {"x": "1", "report/fit.md": "second"}
    verify(folder)
    assert content(write(folder, x="2")) == {"x": "2"}
    (folder / "report").mkdir()
    (folder / "report/fit.md").write_text("mine")
    with pytest.raises(FileExistsError, match="fit.md"), adding_to(folder, "report") as report:
        (report / "fit.md").write_text("third")
    assert content(folder)["report/fit.md"] == "mine"


@pytest.mark.parametrize("moment", range(7))
def test_adding_that_is_killed_is_done_again(tmp_path, monkeypatch, moment):
    """Killed before any of its changes to the folder: nothing is then somebody else's."""
    folder = write(tmp_path / "a", x="1")
    with adding_to(folder, "report") as report:
        (report / "fit.md").write_text("first")
    left = [moment]

    def dying(change):
        def changed(*arguments, **options):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt  # as a kill: nothing is tidied up on the way out
            return change(*arguments, **options)

        return changed

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", dying(os.replace))
        patch.setattr(Path, "unlink", dying(Path.unlink))
        with contextlib.suppress(KeyboardInterrupt), adding_to(folder, "report") as report:
            (report / "fit.md").write_text("second")
            (report / "chart.png").write_text("drawn")
    assert (left[0] < 0) == (moment < 6)
    with adding_to(folder, "report") as report:
        (report / "fit.md").write_text("third")
        (report / "chart.png").write_text("drawn")
    verify(folder)
    check_place(folder)
    assert content(folder) == {"x": "1", "report/fit.md": "third", "report/chart.png": "drawn"}


def test_files_are_added_beside_others_and_replace_none_of_them(tmp_path):
    """Pictures among a user's own files: theirs stay, and one of the same name is refused."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "row_1.png").write_text("a photograph")
    (folder / "notes.txt").write_text("n")
    with adding_to(folder, ".") as new:
        (new / "row_2.png").write_text("drawn")
    check_adding(folder, "row_2.png")
    with pytest.raises(FileExistsError, match="row_1.png was not written by this program"):
        check_adding(folder, r"row_\d+\.png")
    with pytest.raises(FileExistsError, match="row_1.png"), adding_to(folder, ".") as new:
        (new / "row_1.png").write_text("drawn")
    (folder / "row_2.png").write_text("retouched")
    with pytest.raises(FileExistsError, match="row_2.png was .* changed since"):
        check_adding(folder, "row_2.png")
    assert content(folder) == {
        "notes.txt": "n",
        "row_1.png": "a photograph",
        "row_2.png": "retouched",
    }
    check_adding(tmp_path / "absent", ".*")
    with pytest.raises(FileExistsError, match="is a file"):
        check_adding(folder / "notes.txt", ".*")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_the_mode_of_every_file_is_kept(tmp_path, mode):
    folder = write(tmp_path / "a", x="1")
    for path in folder.iterdir():
        path.chmod(mode)
    write(folder, x="2")
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {mode}


@pytest.mark.parametrize("text", ["[]", "{}", "3", '{"entry": 1}'])
def test_a_record_that_lacks_a_key_is_named(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(
        ValueError, match="run.json has no '(entry|seed)'. Was it cut off or edited"
    ):
        read_record(tmp_path / "run.json", ("entry", "seed"))


@pytest.mark.parametrize("text", ["NaN", "[1, Infinity]", '{"a": -Infinity}', "9" * 5000])
def test_numbers_that_json_has_not_are_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match="a.json is not valid JSON"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("flip", range(0, 24, 5))
def test_a_flipped_bit_a_cut_and_a_missing_file_are_named(tmp_path, flip):
    folder = write(tmp_path / "a", x="abc", y="def")
    raw = bytearray(b"abc")
    raw[flip // 8] ^= 1 << flip % 8
    (folder / "x").write_bytes(raw)
    with pytest.raises(ValueError, match="x has sha256"):
        verify(folder)
    (folder / "x").write_bytes(b"ab")
    with pytest.raises(ValueError, match="x has sha256"):
        verify(folder)
    (folder / "x").unlink()
    with pytest.raises(ValueError, match="x is missing"):
        verify(folder)


@pytest.mark.parametrize("text", ["[]", '{"x": 1}', "{", "[" * 100_000, "\udcff"])
def test_a_damaged_manifest_is_named(tmp_path, text):
    folder = write(tmp_path / "a", x="1")
    (folder / MANIFEST).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=MANIFEST):
        verify(folder)
    with pytest.raises(FileExistsError):
        check_place(folder)


def test_a_text_keeps_its_mode_and_its_link(tmp_path):
    (tmp_path / "real.txt").write_text("1")
    (tmp_path / "real.txt").chmod(0o600)
    (tmp_path / "a.txt").symlink_to("real.txt")
    write_text(tmp_path / "a.txt", "2")
    assert (tmp_path / "a.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "2"
    assert stat.S_IMODE((tmp_path / "real.txt").stat().st_mode) == 0o600


def test_names_may_be_long_and_hold_what_patterns_mean(tmp_path):
    for name in ("a" * 250, "b[1]*?", "é ü"):
        write(tmp_path / name, x="1")
        assert content(write(tmp_path / name, x="2")) == {"x": "2"}
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
    assert time.time() - (tmp_path / "é ü/x").stat().st_mtime < files.STALE_S


def test_json_goes_there_and_comes_back_without_nan(tmp_path):
    path = write_json(tmp_path / "new" / "a.json", {"a": 1})
    assert read_json(path) == {"a": 1}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": 1} and [p.name for p in path.parent.iterdir()] == ["a.json"]
    path.write_text("{")
    with pytest.raises(ValueError, match="is not valid JSON"):
        read_json(path)


def test_a_block_between_marks_is_renewed():
    assert with_block("a [old] b", "[", "]", ["new"], "the text") == "a [\n\nnew\n\n] b"
    with pytest.raises(ValueError, match=r"the text needs one line '\[' and one '\]'"):
        with_block("a [old b", "[", "]", ["new"], "the text")


@pytest.mark.parametrize("other", ["thesis.txt", "sub/part-1", "link"])
def test_what_is_removed_is_this_programs_alone(tmp_path, other):
    folder = write(tmp_path / "a", **{"part-1": "1", "part-2": "2"})
    place = folder / other
    place.parent.mkdir(exist_ok=True)
    place.symlink_to("/etc") if other == "link" else place.write_text("mine")
    is_own = re.compile(rf"part-\d|link|{re.escape(MANIFEST)}").fullmatch
    files.remove_own(folder, is_own)
    assert [p for p in folder.rglob("*") if not p.is_dir() or p.is_symlink()] == [place]
    place.unlink()
    if other == "sub/part-1":
        place.parent.rmdir()
    files.remove_own(folder, is_own)
    files.remove_own(folder, is_own)  # it is gone
    assert not folder.exists()


@pytest.mark.parametrize("left", [[], ["part"]])
def test_a_claimed_folder_is_one_processs_until_it_ends(tmp_path, left):
    folder = tmp_path / "parts"
    code = f"""
import sys
from alad_tf.engine.files import claimed
with claimed({str(folder)!r}, "scores.csv"):
    for name in {left}:
        open({str(folder)!r} + "/" + name, "w").close()
    print("claimed", flush=True)
    sys.stdin.read()
"""
    words = [sys.executable, "-c", code]
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for end in (lambda p: p.communicate(""), lambda p: (p.kill(), p.wait())):
        with subprocess.Popen(words, **pipes) as process:
            assert process.stdout.readline() == "claimed\n"
            with pytest.raises(BlockingIOError, match="Another process is writing scores.csv"):
                claimed(folder, "scores.csv").__enter__()
            end(process)
        with claimed(folder, "scores.csv") as mine:
            assert [p.name for p in mine.iterdir()] == left
        assert folder.exists() == bool(left)
