import csv
import gzip
import itertools

import numpy as np
import pytest

from alad_tf.data import read_arrhythmia, read_kdd99
from alad_tf.data.raw import KDD99_COLUMNS, KDD99_SYMBOLIC

# two rows of the real file: text, integers, rates
KDD_ROWS = [
    "0,tcp,http,SF,181,5450,0,0,0,0,0,1,0,0,0,0,0,0,0,0,0,0,8,8,0.00,0.00,0.00,0.00,1.00,0.00,"
    "0.00,9,9,1.00,0.00,0.11,0.00,0.00,0.00,0.00,0.00,normal.",
    "0,icmp,ecr_i,SF,1032,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,511,511,0.00,0.00,0.00,0.00,1.00,"
    "0.00,0.00,255,255,1.00,0.00,1.00,0.00,0.00,0.00,0.00,0.00,smurf.",
]


def write_kdd(path, lines):
    with gzip.open(path, "wt") as file:
        file.writelines(line + "\n" for line in lines)
    return path


def arrhythmia_line(cls=1, **fields):
    values = ["0"] * 279 + [str(cls)]
    values[13] = "?"
    for position, value in fields.items():
        values[int(position[1:])] = value
    return ",".join(values)


def write_lines(path, lines):
    path.write_text("".join(line + "\n" for line in lines))
    return path


def test_kdd99_has_the_official_rows_columns_and_types(kdd99):
    assert len(kdd99) == 494_021
    assert kdd99.is_anomaly.sum() == 97_278  # "normal." in the data set's own description
    assert tuple(kdd99.x) == KDD99_COLUMNS and len(KDD99_COLUMNS) == 41
    for name, column in kdd99.x.items():
        assert column.shape == (494_021,)
        assert column.dtype.kind == "U" if name in KDD99_SYMBOLIC else column.dtype == np.float32
    values = {name: len(np.unique(kdd99.x[name])) for name in ("protocol_type", "flag")}
    assert values == {"protocol_type": 3, "flag": 11}


def test_kdd99_values_stand_in_the_right_columns(kdd99, data_dir):
    """An independent reading of the first rows and of some far ones, by the csv module."""
    wanted = {0, 1, 2, 7_600, 50_000, 142_099}
    with gzip.open(data_dir / "kddcup.data_10_percent.gz", "rt") as file:
        for i, row in enumerate(itertools.islice(csv.reader(file), max(wanted) + 1)):
            if i not in wanted:
                continue
            for name, text in zip(KDD99_COLUMNS, row[:-1], strict=True):
                expected = text if name in KDD99_SYMBOLIC else np.float32(text)
                assert kdd99.x[name][i] == expected, (i, name)
            assert kdd99.is_anomaly[i] == (row[-1] == "normal.")


def test_read_kdd99_names_the_columns_of_a_small_file(tmp_path):
    columns, labels = read_kdd99(write_kdd(tmp_path / "k.gz", KDD_ROWS), expected_rows=2)
    assert labels.tolist() == ["normal.", "smurf."]
    assert columns["service"].tolist() == ["http", "ecr_i"]
    assert columns["logged_in"].tolist() == ["1", "0"]
    assert columns["src_bytes"].tolist() == [181, 1032]
    assert columns["dst_host_same_src_port_rate"][0] == np.float32("0.11")
    assert len(read_kdd99(tmp_path / "k.gz", expected_rows=None)[1]) == 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (KDD_ROWS, "has 2 rows, expected 494,021: it is truncated, or it is a different file"),
        ([KDD_ROWS[0].rsplit(",", 1)[0]], "row 0 has 41 comma-separated fields, expected 42"),
        ([KDD_ROWS[0], KDD_ROWS[1].rsplit(",", 1)[0]], "row 1 has an empty or cut-off field"),
        ([KDD_ROWS[0], KDD_ROWS[1].rsplit(",", 9)[0]], "row 1 has an empty or cut-off field"),
        ([KDD_ROWS[0].replace(",181,", ",,"), KDD_ROWS[1]], "row 0 has an empty or cut-off field"),
        ([KDD_ROWS[0], KDD_ROWS[1] + ",1"], "Expected 42 fields in line 2, saw 43"),
        ([KDD_ROWS[0], KDD_ROWS[1].replace("1032", "many")], "could not convert string to float"),
        ([], "row 0 has 1 comma-separated fields"),
    ],
)
def test_read_kdd99_says_what_is_wrong_with_the_file(tmp_path, lines, message):
    with pytest.raises(ValueError, match=message) as error:
        read_kdd99(write_kdd(tmp_path / "k.gz", lines))
    assert "k.gz" in str(error.value) and "ndownloader.figshare.com" in str(error.value)


def test_read_kdd99_reports_damaged_compression(tmp_path):
    whole = write_kdd(tmp_path / "k.gz", KDD_ROWS * 100).read_bytes()
    for damaged in (
        whole[: len(whole) // 2],
        b"\n".join(r.encode() for r in KDD_ROWS),
        b"\x1f\x8b",
    ):
        (tmp_path / "k.gz").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"not a readable kdd.*[^.]\. Expected a gzip file"):
            read_kdd99(tmp_path / "k.gz")


@pytest.mark.parametrize("read", [read_kdd99, read_arrhythmia])
def test_missing_file_and_folder_instead_of_file(tmp_path, read):
    with pytest.raises(FileNotFoundError, match="does not exist; expected the file .* https://"):
        read(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match="is a folder; expected the file"):
        read(tmp_path)


def test_arrhythmia_drops_exactly_the_incomplete_columns(arrhythmia, data_dir):
    text = [line.split(",") for line in (data_dir / "arrhythmia.data").read_text().splitlines()]
    table = np.array(text)
    incomplete = np.flatnonzero((table == "?").any(axis=0))
    assert incomplete.tolist() == [10, 11, 12, 13, 14]
    expected = np.delete(table[:, :279], incomplete, axis=1).astype(np.float32)
    assert arrhythmia.x.dtype == np.float32 and arrhythmia.x.shape == (452, 274)
    np.testing.assert_array_equal(arrhythmia.x, expected)
    _, classes = read_arrhythmia(data_dir / "arrhythmia.data")
    np.testing.assert_array_equal(classes, table[:, 279].astype(int))
    assert arrhythmia.is_anomaly.sum() == 66  # 15% of 452, as the paper's section V-A says
    assert set(classes[arrhythmia.is_anomaly]) == {3, 4, 5, 7, 8, 9, 14, 15}


def test_read_arrhythmia_small_file(tmp_path):
    lines = [arrhythmia_line(1, _0="75"), arrhythmia_line(16, _278="-1.5", _12="?")]
    x, classes = read_arrhythmia(write_lines(tmp_path / "a.data", lines), expected_rows=2)
    assert x.shape == (2, 274) and classes.tolist() == [1, 16]
    assert x[0, 0] == 75 and x[1, -1] == -1.5


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([arrhythmia_line()], "has 1 rows, expected 452: it is truncated"),
        (["1,2,3"], "row 0 has 3 comma-separated fields, expected 280"),
        ([arrhythmia_line(), arrhythmia_line(_20="?")], "row 1 has a missing or cut-off field"),
        ([arrhythmia_line(), "1,2,3"], "row 1 has a missing or cut-off field"),
        ([arrhythmia_line(_3="tall")], "could not convert string to float"),
        ([arrhythmia_line(), arrhythmia_line() + ",1"], "Expected 280 fields in line 2, saw 281"),
        ([], "not a readable arrhythmia.data"),
    ],
)
def test_read_arrhythmia_says_what_is_wrong_with_the_file(tmp_path, lines, message):
    with pytest.raises(ValueError, match=message) as error:
        read_arrhythmia(write_lines(tmp_path / "a.data", lines))
    assert "a.data" in str(error.value) and "download arrhythmia.data again" in str(error.value)


def test_read_arrhythmia_refuses_impossible_classes(tmp_path):
    path = write_lines(tmp_path / "a.data", [arrhythmia_line(1), arrhythmia_line(17)])
    with pytest.raises(ValueError, match="row 1 has class 17, expected 1 to 16"):
        read_arrhythmia(path, expected_rows=2)
