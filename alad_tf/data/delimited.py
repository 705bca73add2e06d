"""Delimited text (CSV, TSV): how a file is written, its records, and what each column holds.

A file is read in one way, whether whole, in pieces, from the middle, or by Beam: `Delimited.open`
recognises how it is written, `records` takes it apart, `decide_kinds` says by all of its rows which
columns are numbers, and `to_frame` makes a table of that.
"""

import contextlib
import io
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from alad_tf.data.cells import NUMBER, TEXT, Seen, floats, numbers_in, trimmed
from alad_tf.data.dialect import (
    MISSING,
    ReadOptions,
    beginning,
    column_names,
    decompressed,
    recognise,
    refusals,
)

EITHER = "either"  # numbers, if all of a piece's cells are, else text
BLOCK = 2**22  # bytes
BLANK = b"\xef\xbb\xbf\r "
PLAIN = {"quote": '"', "escape": None, "skip_space": False, "hint": False}


@dataclass(frozen=True, eq=False)
class Piece:
    """Some records: their cells as text, and the number and the line of the file of each."""

    cells: pa.Table
    rows: np.ndarray
    lines: np.ndarray

    def __len__(self):
        return len(self.rows)

    def part(self, begin, end):
        return Piece(self.cells[begin:end], self.rows[begin:end], self.lines[begin:end])

    def after(self, skip):
        return self.part(max(skip - int(self.rows[0]), 0), None)

    @classmethod
    def joined(cls, pieces):
        cells = pa.concat_tables([piece.cells for piece in pieces]).combine_chunks()
        rows = np.concatenate([piece.rows for piece in pieces])
        return cls(cells, rows, np.concatenate([piece.lines for piece in pieces]))


class Delimited:
    """One file of delimited text.

    Attributes:
        name: str, for messages.
        dialect: `Dialect`.
        columns: list of str.
        missing: frozenset of str, what marks a gap.
    """

    def __init__(self, opened, name, dialect, columns, missing):
        self._opened, self.name, self.dialect = opened, str(name), dialect
        self.columns, self.missing = columns, missing

    @classmethod
    def open(cls, opened, name, options=None, tabs=False):
        """Recognise how the file is written that `opened()` returns as a binary stream."""
        options = options or ReadOptions()
        with refusals(name), decompressed(opened, name) as stream:
            sample = beginning(stream)
        dialect, records = recognise(sample, name, options, tabs)
        columns = column_names(records, name)
        return cls(opened, name, dialect, columns, MISSING | set(options.missing))

    def records(self, batch, skip=0, refuse=None):
        """The records from `skip` on, as `Piece`s of at most `batch`.

        One with too many or too few cells is an error, or goes to `refuse(number, reason)`.
        """
        passed = yield from self._plain_records(batch, skip)
        if passed is not None:
            yield from self._careful_records(batch, max(skip, passed), refuse)

    def _plain_records(self, batch, skip):
        """Records as split by Arrow, many times as fast, up to the first that is not plain.

        Returns how many there were before that one, or None if all are plain.
        """
        encoded = self.dialect.encoding in ("utf-8", "utf-8-sig")
        if not encoded or self.dialect != replace(self.dialect, **PLAIN):
            return 0
        kept, row, line, pending, beginning = [], 0, 1, b"", True
        with refusals(self.name), decompressed(self._opened, self.name) as binary:
            while True:
                block = binary.read(BLOCK)
                pending += block
                end = pending.rfind(b"\n") + 1
                lines, pending = pending[:end], pending[end:]
                if not block:
                    lines, pending = pending, b""
                if beginning and lines:
                    beginning, (header, _, lines) = False, lines.partition(b"\n")
                    if b'"' in header or b"\r" in header[:-1] or not header.strip(BLANK):
                        return 0
                table = self._split(lines) if lines else None
                if lines and table is None:
                    break
                if table is not None:
                    numbers = np.arange(row, row + len(table))
                    kept.append(Piece(table, numbers, numbers - row + line + 1).after(skip))
                    row, line = row + len(table), line + len(table)
                if kept and (sum(map(len, kept)) >= batch or not block):
                    piece = Piece.joined(kept)
                    whole = len(piece) - (len(piece) % batch if block else 0)
                    for begin in range(0, whole, batch):
                        yield piece.part(begin, min(begin + batch, whole))
                    kept = [piece.part(whole, None)] if whole < len(piece) else []
                if not block:
                    return None
        if sum(map(len, kept)):
            yield Piece.joined(kept)
        return row

    def _split(self, lines):
        """Whole lines as a table of texts; None if quotes, blank or ragged lines are among them."""
        if b'"' in lines or lines.count(b"\r") != lines.count(b"\r\n"):
            return None
        try:
            table = pyarrow.csv.read_csv(
                pa.BufferReader(lines),
                pyarrow.csv.ReadOptions(column_names=self.columns, block_size=len(lines) + 1),
                pyarrow.csv.ParseOptions(delimiter=self.dialect.sep, quote_char=False),
                pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(self.columns, pa.string()), strings_can_be_null=False
                ),
            )
        except pa.ArrowInvalid:
            return None
        count = lines.count(b"\n") + (not lines.endswith(b"\n"))
        return table if len(table) == count else None

    def _careful_records(self, batch, skip, refuse):
        """Records as the csv module takes them apart, with the line of each."""
        width, several, line, row = len(self.columns), len(self.columns) > 1, 0, -1
        kept, rows, lines = [], [], []
        reader = None
        damage = refusals(self.name, lambda: reader.line_num + 1 if reader else 1, lambda: line + 1)
        with damage, decompressed(self._opened, self.name) as binary:
            text = io.TextIOWrapper(binary, encoding=self.dialect.encoding, newline="")
            if self.dialect.hint:
                line += 1
                text.readline()
            reader, offset = self.dialect.reader(text), line
            header = False
            for fields in reader:
                begin, line = line + 1, reader.line_num + offset
                if not fields or (several and len(fields) == 1 and not fields[0].strip()):
                    continue
                if not header:
                    header = True
                    continue
                row += 1
                if len(fields) != width and any(fields[width:]) | (len(fields) < width):
                    reason = self._ragged(begin, fields)
                    if refuse is None:
                        raise ValueError(f"{self.name}, {reason}")
                    refuse(row, reason)
                    continue
                if row < skip:
                    continue
                kept.append(fields[:width])
                rows.append(row)
                lines.append(begin)
                if len(kept) == batch:
                    yield self._piece(kept, rows, lines)
                    kept, rows, lines = [], [], []
        if kept:
            yield self._piece(kept, rows, lines)

    def _piece(self, kept, rows, lines):
        cells = [pa.array(column, pa.string()) for column in zip(*kept, strict=True)]
        return Piece(pa.table(cells, names=self.columns), np.array(rows), np.array(lines))

    def _ragged(self, line, fields):
        hint = ""
        if len(fields) > len(self.columns) and self.dialect.sep == ",":
            hint = (
                " If commas are decimal marks, pass --decimal , (a comma) and the separator with "
                "--sep."
            )
        return (
            f"line {line}: received {len(fields)} cells, expected {len(self.columns)}, one "
            f"for each name in the first line (read with {self.dialect}). Correct the line, "
            "quote cells that contain the separator, or pass another separator with "
            f"--sep.{hint}"
        )

    def decide_kinds(self, pieces, categorical=(), ignored=()):
        """NUMBER or TEXT for each column, by all records; an error where it is not clear.

        A column is numeric if all its cells, except gaps, are numbers, or all are True or False.
        Whole numbers of which some begin with 0 are codes, hence text; so are `categorical`
        columns.
        """
        text = {*categorical, *ignored}
        absent = sorted(set(categorical) - set(self.columns))
        if absent:
            raise ValueError(
                f"{self.name} has no column {absent[0]!r}; it has {self.columns[:20]}."
            )
        seen = {name: Seen() for name in self.columns if name not in text}
        for piece in pieces:
            for name, column in seen.items():
                column.add(self._cells(piece, name), piece.lines, self.dialect.decimal)
        return {
            name: TEXT if name in text else self._kind(seen[name], name) for name in self.columns
        }

    def to_frame(self, piece, kinds, keep_bad=False):
        """A piece as a table: float64 with NaN for columns of numbers; text for all others.

        A cell of a numeric column that is not a number is an error; with `keep_bad`, it is kept.
        """
        columns = {}
        for name in self.columns:
            cells = self._cells(piece, name)
            kind = kinds.get(name, TEXT)
            if kind == EITHER:
                numbers, bad = numbers_in(trimmed(cells), self.dialect.decimal)
                columns[name] = cells.to_pandas() if bad.any() else numbers
            elif kind == NUMBER:
                columns[name] = self._numbers(piece, name, cells, keep_bad)
            else:
                columns[name] = cells.to_pandas()
        return pd.DataFrame(columns)

    def _cells(self, piece, name):
        """A column's cells, null for gaps."""
        cells = piece.cells[name].chunk(0)
        gap = pc.is_in(cells, pa.array(sorted(self.missing), pa.string()))
        return pc.if_else(gap, pa.scalar(None, pa.string()), cells)

    def _numbers(self, piece, name, cells, keep_bad):
        cells = trimmed(cells)
        decimal = self.dialect.decimal
        if decimal == ".":
            with contextlib.suppress(pa.ArrowInvalid):
                return floats(cells)
        numbers, bad = numbers_in(cells, decimal)
        bad = np.flatnonzero(bad)
        if len(bad) and not keep_bad:
            cell, line = cells[int(bad[0])].as_py(), piece.lines[bad[0]]
            raise ValueError(
                f"{self.name}, line {line} (row {piece.rows[bad[0]]}), column {name!r}: "
                f"{cell!r} is not a number, but the column has numbers (decimal mark "
                f"{decimal}). Correct the cell, or if it marks a missing value, pass "
                f"--missing {cell!r}."
            )
        if len(bad):
            numbers = numbers.astype(object)
            numbers[bad] = [cells[int(i)].as_py() for i in bad]
        return numbers

    def _kind(self, seen, name):
        kind, wrong = seen.verdict()
        if kind == NUMBER:
            seen.mention_rounding(name)
        if wrong is None:
            return kind
        good, what, cell, line = wrong
        where, total = f"{self.name}, column {name!r}", f"{seen.cells:,} cells"
        if seen.alike:
            raise ValueError(
                f"{where}: {good + seen.alike:,} of {total} look like numbers, but {cell!r} "
                f"in line {line} cannot be read as one. Write numbers without thousands "
                "separators, currency signs or %, pass the decimal mark with --decimal, or make "
                f"the column a category with --categorical {name!r}."
            )
        count = seen.cells - good
        raise ValueError(
            f"{where}: {good:,} of {total} are {what}, {count:,} "
            f"{'is' if count == 1 else 'are'} not; line {line} has {cell!r}. Correct it, "
            f"pass --missing {cell!r} if it marks missing values, or "
            f"make the column a category with --categorical {name!r}."
        )
