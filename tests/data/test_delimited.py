"""Delimited text: however it is written, the same records, or an error that names the option."""

import bz2
import gzip
import io
import lzma
import warnings
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from alad_tf.data.dialect import ReadOptions
from alad_tf.data.user_files import read_all, read_batches

SPEEDS = [3.25, 10.5, 0.75, 12.0, 7.125]
TOWNS = ["Ulm", "Bern", "Graz", "Köln", "Linz"]


def write(tmp_path, content, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def lines(sep, decimal="."):
    rows = [
        f"{v}".replace(".", decimal) + sep + town for v, town in zip(SPEEDS, TOWNS, strict=True)
    ]
    return "\n".join([f"speed{sep}town", *rows]) + "\n"


def assert_speeds(path, **options):
    _, rows = read_all(path, options=ReadOptions(**options))
    assert list(rows.columns) == ["speed", "town"]
    assert rows["speed"].tolist() == SPEEDS and rows["town"].tolist() == TOWNS


@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
@pytest.mark.parametrize("decimal", [".", ","])
def test_separators_and_decimal_marks_are_recognised(tmp_path, sep, decimal):
    if sep == decimal:
        pytest.skip("one character cannot be both")
    assert_speeds(write(tmp_path, lines(sep, decimal)))


@pytest.mark.parametrize(
    "content",
    [
        lines(";", ",").encode("utf-8-sig"),
        lines(",").encode("utf-16"),
        lines(",").replace("\n", "\r\n").encode(),
        lines(",").replace("\n", "\r").encode(),
        lines(",").replace("\n", ",,\n").encode(),  # of an export from a spreadsheet
        lines(",").replace("\n", "\n\n").encode(),
        ("\n  \n" + lines(",")).encode(),
        ("sep=;\n" + lines(";", ",")).encode(),
        b'speed,town\n3.25, "Ulm"\n10.5, "Bern"\n0.75,Graz\n12.0, "K\xc3\xb6ln"\n7.125, "Linz"\n',
    ],
    ids=["BOM", "UTF-16", "CRLF", "CR", "trailing", "blank", "above", "hint", "space-quote"],
)
def test_what_writers_add_changes_no_record(tmp_path, content):
    assert_speeds(write(tmp_path, content))


def test_compressed_files_are_read_whatever_their_name(tmp_path):
    raw, packed = lines(";", ",").encode(), {}
    archive, zstd = io.BytesIO(), pa.BufferOutputStream()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("__MACOSX/._t.csv", b"\0\1")
        file.writestr("t.csv", raw)
    with pa.CompressedOutputStream(zstd, "zstd") as file:
        file.write(raw)
    packed |= {"t.csv.gz": gzip.compress(raw[:20]) + gzip.compress(raw[20:]), "u.gz": None}
    packed |= {"t.csv.bz2": bz2.compress(raw), "t.csv.xz": lzma.compress(raw)}
    packed |= {"t.zip": archive.getvalue(), "t.csv.zst": zstd.getvalue().to_pybytes()}
    packed |= {"named_wrongly.csv": bz2.compress(raw)}
    packed["u.gz"] = packed["t.csv.gz"]
    for name, content in packed.items():
        assert_speeds(write(tmp_path, content, name))
    cut = write(tmp_path, gzip.compress(raw * 50)[:-30], "cut.csv.gz")
    with pytest.raises(ValueError, match=r"cut\.csv\.gz cannot be read.*write it again"):
        read_all(cut)
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as file:
        file.writestr("a.csv", raw)
        file.writestr("b.csv", raw)
    with pytest.raises(
        ValueError, match=r"archive of \['a.csv', 'b.csv'\]; expected a single table"
    ):
        read_all(tmp_path / "two.zip")


def test_what_is_said_explicitly_holds(tmp_path):
    assert_speeds(write(tmp_path, lines(";", ",").encode("cp1252")), encoding="cp1252")
    assert_speeds(write(tmp_path, lines(":")), sep=":")
    assert_speeds(write(tmp_path, lines("  ")), sep=" ")
    assert_speeds(write(tmp_path, lines(",").encode("utf-16-le")), encoding="utf-16-le")
    path = write(tmp_path, "a;b\n1,234;x\n2,500;y\n")
    assert read_all(path, options=ReadOptions(decimal=","))[1]["a"].tolist() == [1.234, 2.5]


@pytest.mark.parametrize(
    ("content", "cells"),
    [
        ('a,b\n1,"x, ""y"""\n2,z\n', ['x, "y"', "z"]),
        ('a,b\n1,"x, \\"y\\""\n2,z\n', ['x, "y"', "z"]),
        ("a,b\n1,'x, y'\n2,'z'\n", ["x, y", "z"]),
        ('a,b\n1,"x\n\ny"\n2,z\n', ["x\n\ny", "z"]),
        ("a,b\n1,it's\n2,'tis\n", ["it's", "'tis"]),
        ('a\tb\n1\tsay "x"\n2\tC:\\temp\n', ['say "x"', "C:\\temp"]),
    ],
)
def test_quotes_are_recognised(tmp_path, content, cells):
    _, rows = read_all(write(tmp_path, content))
    assert rows["a"].tolist() == [1, 2] and rows["b"].tolist() == cells


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a,b\n1,2\n\n3\n", r"line 4: received 1 cells, expected 2"),
        ("a,b\n1,2\n3,4,5\n", r"line 3: received 3 cells, expected 2"),
        ('a,b\n1,"x\ny"\n1,2,3\n', r"line 4: received 3 cells"),
        ("a,b\nrow1,1,2\nrow2,3,4\n", r"line 2: received 3 cells"),  # names of rows
        ("a,b|c\n1,x|y\n2,x|y\n", r"',' or '\|' as the separator. Choose one with --sep"),
        ("a b\n1 2\n3 4\n", r"2 columns separated by ' '. Pass the separator"),
        ("a:b\n1:2\n3:4\n", r"2 columns separated by ':'. Pass the separator"),
        ("a^b^c\n1^2^3\n", r"3 columns separated by '\^'. Pass the separator"),
        ('[{"a": 1},\n {"a": 2}]\n', "contains JSON"),
        ("<!DOCTYPE html>\n<html></html>\n", "contains HTML"),
        ("a\n1,5\n2,5\n", r"--sep \(';' for one column\).*--decimal ,"),
        ("a;b\n1,234;5\n5,678;6\n", r"column 'a' has '1,234'.*--decimal"),
        ("a;b\n1,25;0.5\n5,75;0.6\n", r"'1,25' and '0.5' in 'b'.*--decimal"),
        ("größe,b\n1,2\n".encode("cp1252"), r"line 1: the text is not in utf-8.*--encoding.*größe"),
        (b"a,b\n" + b"1,2\n" * 400_000 + b"\xff,2\n", r"line 400002: .*--encoding"),
        ("a,b\n1,2\n".encode("utf-16-le"), r"NUL characters.*--encoding"),
        ('a,b\n1,"2\n3,4\n', r"end of data. Close all quotes"),
        (  # far behind what is read to recognise the dialect
            b"a,b\n" + b"1,2\n" * 400_000 + b'1,"2\n' + b"1,2\n" * 9,
            r"begins in line 400002: .*Close all quotes",
        ),
        (b"a,b\n" + b"1,2\n" * 400_000 + b'"1"1,2\n3,4\n', r"begins in line 400002: .*Close"),
        ("1.5,2.5\n3.5,1.5\n", r"the first line has the numbers \[1.5, 2.5\]"),
        ("Ulm,2.5\nBern,1.5\n", r"the first line has the numbers \[2.5\]"),
    ],
)
def test_what_is_ragged_or_ambiguous_names_the_line_or_the_option(tmp_path, content, reason):
    with pytest.raises(ValueError, match=reason):
        read_all(write(tmp_path, content))


def test_one_column_is_one_column(tmp_path):
    for cells in (["1", "2"], ["12:30", "13:45"], ["a b", "c"], ["x/y", "z"], ["#1", "#2"]):
        path = write(tmp_path, "\n".join(["cell", *cells]) + "\n")
        assert list(map(str, read_all(path, text=["cell"])[1]["cell"])) == cells


def test_numbers_may_name_columns(tmp_path):
    for header in ("0,1,2", "2019,2020,2021", "400.5,401.0,401.5"):
        path = write(tmp_path, f"{header}\n1,2,3\n")
        assert list(read_all(path)[1].columns) == header.split(",")
    # as pandas names them, so that detectors fitted on its tables find their columns
    path = write(tmp_path, ",a,a\n0,1,2\n")
    assert list(read_all(path)[1].columns) == list(pd.read_csv(path).columns)


def column(cells):
    return "n,v\n" + "".join(f"{n},{cell}\n" for n, cell in enumerate(cells))


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1.5", "", "NA", "-2e3", " 7 ", "+.5"], [1.5, np.nan, np.nan, -2000, 7, 0.5]),
        (["True", "false", "", "TRUE"], [1, 0, np.nan, 1]),
        (["0", "10", "5", "0.25"], [0, 10, 5, 0.25]),
        (["1e400", "3"], [np.inf, 3]),
    ],
)
def test_numbers(tmp_path, cells, expected):
    found = read_all(write(tmp_path, column(cells)))[1]["v"]
    np.testing.assert_array_equal(found.to_numpy(float), expected)


@pytest.mark.parametrize(
    "cells",
    [
        ["007", "010", "011"],
        ["01"] * 500 + ["A1"],
        ["10", "20", "A3"] * 20,
        ["113803", "A/5 21171", "PC 17599", "330877", "STON/O2", "C.A. 24579"],
        ["2024-01-01", "2024-01-02"],
        ["192.168.1.1", "10.0.0.1"],
        ["1_000", "2_000"],
        ["0%", "1 - 10%", "0%", "11 - 20%"] * 9,
        ["0"] * 95 + ["1-5", "6-10"],
    ],
)
@pytest.mark.parametrize("batch", [2, 50_000])
def test_codes_are_text_in_every_piece(tmp_path, cells, batch):
    path = write(tmp_path, column(cells))
    parts = list(read_batches(path, batch=batch))
    assert [cell for _, rows in parts for cell in rows["v"]] == cells
    assert all(rows["n"].dtype == float for _, rows in parts)


NUMBERS = [f"{n + 0.5}" for n in range(60)]


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ([*NUMBERS, "?"], r"60 of 61 cells are numbers, 1 is not; line 62 has '\?'.*--missing"),
        ([*NUMBERS, "1O.5"], r"line 62 has '1O.5'.*--categorical"),
        ([*NUMBERS, *["missing"] * 40], r"40 are not; line 62 has 'missing'"),
        (["3", "4", "-", "5"], r"line 4 has '-'"),
        (["True", "FALSE"] * 10 + ["?"], r"20 of 21 cells are True or False, 1 is not; line 22"),
        (["1", "0"] * 10 + ["true"], r"20 of 21 cells are numbers.*line 22 has 'true'"),
        ([*NUMBERS, '"1,234.5"'], r"'1,234.5' in line 62.*thousands separators"),
        (['"1,234.5"', '"2,000.0"', '"9.5"'], r"thousands separators"),
        (["1 234", "22 500", "1 111 000"], r"'1 234' in line 2.*thousands separators"),
        (["12 %", "13 %", "4.5 %"], r"3 of 3 cells look like numbers, but '12 %' in line 2"),
        (["$3.50", "$1,200.00", "$7.25"], None),
        (["€ 3.50", "7.25 €"], r"'€ 3.50' in line 2.*currency"),
    ],
)
def test_a_cell_that_is_no_number_among_numbers_is_named(tmp_path, cells, reason):
    if reason is None:  # the comma is in quotes, as a comma must be
        cells, reason = [f'"{cell}"' for cell in cells], "currency"
    path = write(tmp_path, column(cells))
    with pytest.raises(ValueError, match=rf"column 'v'.*{reason}"):
        read_all(path)
    text = read_all(path, text=["v"])[1]["v"]
    assert text.tolist() == [cell.strip('"') for cell in cells]
    assert len(read_all(path, ignored=["v"])[0]) == len(cells)


def test_thousands_beside_decimal_commas_are_refused(tmp_path):
    path = write(tmp_path, "a;b\n1,5;1.234\n2,5;5.678\n")
    with pytest.raises(ValueError, match=r"column 'b'.*'1.234' in line 2.*thousands"):
        read_all(path)


def test_a_marker_that_is_named_is_a_gap(tmp_path):
    path = write(tmp_path, column([*NUMBERS, "?", "-99"]))
    rows = read_all(path, options=ReadOptions(missing=["?", "-99"]))[1]
    assert rows["v"].isna().tolist() == [False] * 60 + [True] * 2


def test_kinds_that_are_known_are_asked_of_each_cell(tmp_path):
    path = write(tmp_path, "v,code,note\n1,007,5\n\nTrue,8,6\nmany,9,7\n")
    known = {"numbers": ["v"], "text": ["code"]}
    first = next(iter(read_batches(path, batch=2, **known)))[1]
    assert first["v"].tolist() == [1, 1] and first["code"].tolist() == ["007", "8"]
    with pytest.raises(ValueError, match=r"line 5 \(row 2\), column 'v': 'many' is not a number"):
        read_all(path, **known)
    assert read_all(path, text=["v", "code"], numbers=True)[1]["note"].tolist() == [5, 6, 7]


def test_what_was_assumed_is_one_line(tmp_path):
    noted = []
    read_all(write(tmp_path, lines(";", ",")), note=noted.append)
    expected = "t.csv: separator ';', decimal mark ',', utf-8; 2 columns, 1 of text (town)"
    assert noted == [expected]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"sep": "ab"}, "--sep 'ab'"),
        ({"decimal": "x"}, "--decimal 'x'"),
        ({"encoding": "klingon"}, "--encoding klingon"),
        ({"sep": ",", "decimal": ","}, "two different characters"),
    ],
)
def test_options_are_checked(said, reason):
    with pytest.raises(ValueError, match=reason):
        ReadOptions(**said)


def test_one_long_cell_is_read_whole(tmp_path):
    path = write(tmp_path, "a,b\n1," + "x" * 3_000_000 + "\n2,y\n")
    assert read_all(path)[1]["b"].str.len().tolist() == [3_000_000, 1]


def test_plain_lines_and_careful_ones_are_the_same_records(tmp_path, monkeypatch):
    """Lines without quotes are taken apart by Arrow, the others and all after them by csv."""
    monkeypatch.setattr("alad_tf.data.delimited.BLOCK", 100)
    end, expected = {0: "\n", 1: "\r\n"}, []
    for special in ('"x, y"', "plain", "", '"two\nlines"'):
        rows = [[f"{k}", f"{k / 4}", "é" * (k % 5) + "a"] for k in range(60)]
        rows[33][2] = special
        expected = [row[2].strip('"') or None for row in rows]
        for newline in end.values():
            content = newline.join([*["k,v,t"], *(",".join(row) for row in rows)])
            for tail in ("", newline, newline * 3):
                path = write(tmp_path, content + tail)
                for batch, skip in ((7, 0), (60, 0), (7, 20), (1, 40)):
                    parts = list(read_batches(path, batch=batch, skip=skip))
                    found = pd.concat([part for _, part in parts])
                    assert [i for ids, _ in parts for i in ids] == list(range(skip, 60))
                    assert found["v"].tolist() == [k / 4 for k in range(skip, 60)]
                    texts = [None if t != t else t for t in found["t"]]
                    assert texts == expected[skip:]
                    assert max(map(len, (part for _, part in parts))) <= batch
    path = write(tmp_path, content + newline + "1,2\n")
    with pytest.raises(ValueError, match=r"line 63: received 2 cells, expected 3"):
        read_all(path)


def test_pieces_and_skips_agree_with_the_whole(tmp_path):
    records = "".join(f'{n},"p{n}\n""q"" {n % 3}"\n' + "\n" * (n % 4) for n in range(50))
    path = write(tmp_path, "n,t\n\n" + records)
    ids, whole = read_all(path)
    assert ids == list(range(50)) and whole["n"].tolist() == ids
    for skip in (0, 1, 7, 49):
        parts = list(read_batches(path, batch=6, skip=skip))
        assert [i for some, _ in parts for i in some] == ids[skip:]
        found = pd.concat([rows for _, rows in parts], ignore_index=True)
        pd.testing.assert_frame_equal(found, whole[skip:].reset_index(drop=True))


@pytest.mark.parametrize("blank", [" ", "\t", "\u00a0", " \t "])
def test_cells_of_nothing_but_blanks_are_gaps(tmp_path, blank):
    path = write(tmp_path, f"speed,town\n{blank},Ulm\n3.25,Bern\n{blank},Graz\n")
    _, rows = read_all(path)
    assert rows["speed"].isna().tolist() == [True, False, True] and rows["speed"][1] == 3.25
    only = write(tmp_path, f"speed,town\n{blank},Ulm\n{blank},Bern\n")
    assert read_all(only)[1]["speed"].isna().all()


@pytest.mark.parametrize(
    "content",
    [
        b'","b"\n"1","x, ""y"""\n"2","line\nbreak"\n',
        b'a,"b\n1,2\n3,4\n',
        b'"a,b\n1,2\n',
        b'"\n1\n',
    ],
)
def test_broken_quotes_in_the_first_line_are_refused_by_name(tmp_path, content):
    path = write(tmp_path, content)
    with pytest.raises(ValueError, match=f"^{path}, "):
        read_all(path)


def _zip(mark=b"PK", place=0, value=0):
    """A ZIP archive with one byte changed, counted from a mark."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.csv", lines(","))
    content = bytearray(whole.getvalue())
    content[content.index(mark) + place] ^= value
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        _zip(b"PK\x01\x02", 10, 0x0F),  # a method of compression that is not known
        _zip(b"PK\x01\x02", 42, 0xFF),  # the file begins elsewhere
        _zip(b"t.csv", 0, 0x01),  # another name than in the directory
        _zip(b"PK\x05\x06", 19, 0x01),  # the directory begins before the archive
        _zip()[:-20],
        _zip().replace(b"PK\x05\x06", b"PK\x05\x06\xff", 1),
        b"PK\x03\x04" + bytes(40),
        gzip.compress(lines(",").encode())[:-12],
        gzip.compress(lines(",").encode())[:10] + b"\xff" * 20,
        bz2.compress(lines(",").encode())[:-5],
        lzma.compress(lines(",").encode())[:-9],
    ],
    ids=range(11),  # the same in all processes: gzip's header holds the time
)
def test_damaged_archives_are_refused_by_name(tmp_path, content):
    path = write(tmp_path, content, "t.csv.zip")
    with pytest.raises(ValueError, match=f"^{path} "):
        read_all(path)


@pytest.mark.parametrize("quote", ["", '"'])
def test_integers_that_float64_rounds_into_one_are_told(tmp_path, quote):
    ids = [2**60 + i for i in range(300)]
    path = tmp_path / "rows.csv"
    path.write_text("id,x\n" + "".join(f"{quote}{i}{quote},{i % 7}\n" for i in ids))
    kept = len(set(map(float, ids)))
    with pytest.warns(UserWarning, match=f"column 'id' .* 300 distinct values become {kept}"):
        read_all(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_all(path, text=["id"])
        read_all(path, ignored=["id"])
        read_all(path, numbers=["id", "x"])  # as `alad score` reads it: fit has told


def test_columns_that_are_either_are_numbers_where_all_cells_are(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("when;x\n2024-01-31;1,5\n;2\n1700000000,5;3\n86400;4\n")
    parts = [
        rows["when"].tolist()
        for _, rows in read_batches(path, batch=2, numbers=["x"], either=["when"])
    ]
    assert (
        parts[0][0] == "2024-01-31" and pd.isna(parts[0][1]) and parts[1] == [1700000000.5, 86400]
    )
    assert read_all(path, either=["when"])[1]["x"].tolist() == [1.5, 2, 3, 4]
