"""Anyone's files: the same rows whatever the format, batch by batch, and clear refusals."""

import decimal

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from alad_tf.data.dialect import ReadOptions
from alad_tf.data.user_files import count_rows, read_all, read_batches


@pytest.fixture
def table():
    return pd.DataFrame({"a": [1.5, np.nan, 3.0, 4.0, 5.0], "code": ["01", "02", "10", "11", "x"]})


def _write(table, path):
    if path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_batches_of_a_table_are_its_rows(table, tmp_path, suffix):
    path = _write(table, tmp_path / f"t{suffix}")
    ids, whole = read_all(path, text=["code"])
    pd.testing.assert_frame_equal(whole, table, check_dtype=False)
    assert ids == [0, 1, 2, 3, 4]
    parts = list(read_batches(path, text=["code"], batch=2))
    assert [len(rows) for _, rows in parts] == [2, 2, 1]
    assert [name for some, _ in parts for name in some] == ids
    # by itself the first part's code looks like a number, and must not become one
    assert parts[0][1]["code"].tolist() == ["01", "02"]
    assert count_rows(path) == (5 if suffix == ".parquet" else None)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_arrays(tmp_path, suffix):
    x = np.arange(10.0).reshape(5, 2)
    path = tmp_path / f"x{suffix}"
    np.save(path, x) if suffix == ".npy" else np.savez(path, X=x, y=x[:, 0])
    np.testing.assert_array_equal(read_all(path)[1], x)
    assert [len(rows) for _, rows in read_batches(path, batch=3)] == [3, 2]


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    (folder / "below").mkdir(parents=True)
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (4, 8, 6, 3), dtype="uint8")
    for name, image in zip(("b.png", "a.png", "below/c.png", "d.bmp"), images, strict=True):
        Image.fromarray(image).save(folder / name)
    (folder / "notes.txt").write_text("not a picture")
    return folder, images


def test_images_of_a_folder_in_the_order_of_their_names(pictures):
    folder, images = pictures
    ids, rows = read_all(folder)
    assert ids == ["a.png", "b.png", "below/c.png", "d.bmp"]
    np.testing.assert_array_equal(rows, images[[1, 0, 2, 3]])
    assert count_rows(folder) == 4
    assert read_all(folder, size=(4, 3), channels=1)[1].shape == (4, 4, 3, 1)
    assert [len(some) for some, _ in read_batches(folder, batch=300)] == [3, 1]


def test_images_of_several_sizes_need_one(pictures):
    folder, _ = pictures
    Image.fromarray(np.zeros((5, 5, 3), "uint8")).save(folder / "e.png")
    with pytest.raises(ValueError, match=r"e.png is an image of 5 x 5 pixels.*Pass a size"):
        read_all(folder)
    assert read_all(folder, size=(5, 5))[1].shape == (5, 5, 5, 3)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("t.xlsx", b"", r"expected one of \.csv"),
        ("t.csv", b"", "is empty"),
        ("t.csv", b"a,b\n", "has no rows"),
        ("t.csv", b"a,b\n1,2\n1,2,3\n", "line 3: received 3 cells, expected 2"),
        ("t.parquet", b"PAR1 nonsense", "cannot be read|Parquet"),
        ("t.npy", b"nonsense", "contains Python objects, or is not a NumPy file"),
        ("p/a.png", b"nonsense", "cannot be read as an image"),
        ("p/a.txt", b"", "contains no images"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, content, reason):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        read_all(path.parent if name.startswith("p/") else path)


def test_absent_files_and_ambiguous_arrays(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no file or folder"):
        read_all(tmp_path / "absent.csv")
    np.savez(tmp_path / "two.npz", a=np.ones((2, 2)), b=np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"has the arrays \['a', 'b'\]"):
        read_all(tmp_path / "two.npz")


def _zero_d(path):
    np.save(path, np.float64(3))


def _one_d(path):
    np.save(path, np.arange(5.0))


def _fields(path):
    np.save(path, np.zeros(3, [("a", "f4"), ("b", "f4")]))


def _objects(path):
    np.save(path, np.array([[1, "a"]], object), allow_pickle=True)


def _cut(path):
    with open(path, "wb") as file:
        np.savez(file, X=np.ones((50, 3)))
    path.write_bytes(path.read_bytes()[:-40])


def _flipped(path):
    with open(path, "wb") as file:
        np.savez_compressed(file, X=np.random.default_rng(0).normal(size=(500, 3)))
    content = bytearray(path.read_bytes())
    content[2000] ^= 255
    path.write_bytes(bytes(content))


def _header(old, new):
    """An NPY whose header says something else, in as many bytes."""

    def write(path):
        np.save(path, np.ones((5, 3)))
        content = path.read_bytes()
        assert old in content and len(old) == len(new)
        path.write_bytes(content.replace(old, new, 1))

    return write


@pytest.mark.parametrize(
    ("name", "write", "reason"),
    [
        ("a.npy", _header(b"False, 'shape': (5", b"Fa(((, 'shape': (5"), "cannot be read"),
        ("a.npy", _header(b"'<f8'", b"'<X8'"), "cannot be read"),
        ("a.npy", _header(b"(5, 3)", b"(-5,3)"), "cannot be read"),
        ("a.npy", _header(b"(5, 3), }  ", b"(10**9, 3)}"), "cannot be read"),
        ("a.npy", _header(b"{", b"\xff"), "cannot be read"),
        ("a.npy", _zero_d, r"array of shape \(\); expected rows"),
        ("a.npy", _one_d, r"array of shape \(5,\); expected rows"),
        ("a.npy", _fields, r"with the fields \['a', 'b'\]"),
        ("a.npy", _objects, "contains Python objects, or is not"),
        ("a.npz", _cut, "cannot be read.*write it again"),
        ("a.npz", _flipped, "cannot be read"),
        ("a.parquet", _cut, "cannot be read.*write it again"),
    ],
)
def test_damaged_arrays_are_errors_that_name_the_file(tmp_path, name, write, reason):
    write(tmp_path / name)
    with pytest.raises(ValueError, match=reason) as caught:
        read_all(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_decimals_of_parquet_are_numbers(tmp_path):
    for digits in ("1.50", "-0.125", "123456789.25"):
        amounts = [decimal.Decimal(digits), None, decimal.Decimal(2)]
        pd.DataFrame({"amount": amounts}).to_parquet(tmp_path / "t.parquet")
        found = read_all(tmp_path / "t.parquet")[1]["amount"]
        np.testing.assert_array_equal(found, [float(digits), np.nan, 2.0])


def test_columns_of_parquet_may_be_declared_text(tmp_path):
    table = pd.DataFrame({"code": [7, 8], "zip": [1.0, np.nan], "rush": [True, False]})
    table.to_parquet(tmp_path / "t.parquet")
    _, rows = read_all(tmp_path / "t.parquet", text=["code", "zip", "rush"])
    assert rows["code"].tolist() == ["7", "8"] and rows["rush"].tolist() == ["1", "0"]
    assert rows["zip"].tolist()[0] == "1" and rows["zip"].isna().tolist() == [False, True]
    with pytest.raises(ValueError, match="has no column 'absent'"):
        read_all(tmp_path / "t.parquet", text=["absent"])


@pytest.mark.parametrize(
    "name, options, expected",
    [
        ("a.parquet", {"sep": ";"}, "received --sep for .*a.parquet; expected only for CSV"),
        ("a.parquet", {"sep": ";", "decimal": ","}, "--sep and --decimal .* Leave them out"),
        ("a.npy", {"decimal": ",", "encoding": "utf-8"}, "--decimal and --encoding for .*a.npy"),
        ("photos", {"sep": ","}, "received --sep for .*photos; expected only for CSV"),
        ("a.csv", {"skip_damaged": True}, "--skip-damaged for .*a.csv; .* folders of images"),
        ("a.npy", {"skip_damaged": True}, "--skip-damaged for .*a.npy; .* folders of images"),
    ],
)
def test_options_that_would_be_ignored_are_refused(tmp_path, name, options, expected):
    path = tmp_path / name
    path.touch() if path.suffix else path.mkdir()
    with pytest.raises(ValueError, match=expected):
        next(read_batches(path, options=ReadOptions(**options)))
