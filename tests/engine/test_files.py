"""Files and folders are whole or absent; parts of texts are renewed between marks."""

import numpy as np
import pytest

from alad_tf.engine.callbacks import StateFile, identity_of
from alad_tf.engine.files import read_json, replacing_folder, with_block, write_json


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    target = tmp_path / "run"
    for name in ("a", "b"):
        with replacing_folder(target) as folder:
            (folder / name).write_text("")
            assert not target.exists() or names(target) == ["a"]
        assert names(target) == [name]
    with pytest.raises(KeyError), replacing_folder(target) as folder:
        (folder / "c").write_text("")
        raise KeyError
    assert names(target) == ["b"] and names(tmp_path) == ["run"]


def test_json_goes_there_and_comes_back_without_nan(tmp_path):
    path = write_json(tmp_path / "new" / "a.json", {"a": 1})
    assert read_json(path) == {"a": 1}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": 1} and names(path.parent) == ["a.json"]
    path.write_text("{")
    with pytest.raises(ValueError, match="is not valid JSON"):
        read_json(path)


def test_a_block_between_marks_is_renewed():
    assert with_block("a [old] b", "[", "]", ["new"], "the text") == "a [\n\nnew\n\n] b"
    with pytest.raises(ValueError, match=r"the text needs one line '\[' and one '\]'"):
        with_block("a [old b", "[", "]", ["new"], "the text")


def test_a_state_is_read_by_its_identity_alone(tmp_path):
    path = tmp_path / "state.npz"
    StateFile(path, "a", every_s=0).write([np.ones(2), np.int64(3)])
    assert [array.tolist() for array in StateFile(path, "a").read()] == [[1, 1], 3]
    assert StateFile(path, "b").read() is None and StateFile(None, "a").read() is None
    assert identity_of("a", np.ones(2)) == identity_of("a", np.ones(2))
    assert len({identity_of(*parts) for parts in (("a", "b"), ("ab",), ("a", np.ones(2)))}) == 3
