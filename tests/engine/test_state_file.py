"""States of long jobs: read by their identity, set aside with a warning if damaged."""

import numpy as np
import pytest

from alad_tf.engine.state_file import StateFile, identity_of


def test_a_state_is_read_by_its_identity_alone(tmp_path):
    path = tmp_path / "state.npz"
    StateFile(path, "a", every_s=0).write([np.ones(2), np.int64(3)])
    assert [array.tolist() for array in StateFile(path, "a").read()] == [[1, 1], 3]
    assert StateFile(path, "b").read() is None and StateFile(None, "a").read() is None
    assert identity_of("a", np.ones(2)) == identity_of("a", np.ones(2))
    assert len({identity_of(*parts) for parts in (("a", "b"), ("ab",), ("a", np.ones(2)))}) == 3


@pytest.mark.parametrize("damage", [0, 10, 200, -1, -30, "flip", "text"])
def test_a_damaged_state_is_set_aside(tmp_path, damage):
    path = tmp_path / "state.npz"
    StateFile(path, "a", every_s=0).write([np.ones(200)])
    content = bytearray(path.read_bytes())
    if damage == "text":
        content = b"damaged"
    if damage == "flip":
        content[700] ^= 1
    path.write_bytes(
        b"damaged" if damage == "text" else content[: damage if damage != "flip" else None]
    )
    before = path.read_bytes()
    with pytest.warns(UserWarning, match="state.npz is damaged .*renamed to damaged-state.npz"):
        assert StateFile(path, "a").read() is None
    assert [p.name for p in tmp_path.iterdir()] == ["damaged-state.npz"]
    assert (tmp_path / "damaged-state.npz").read_bytes() == before
    StateFile(path, "a", every_s=0).write([np.zeros(1)])  # work goes on
    assert StateFile(path, "a").read()[0].tolist() == [0]
