"""Delimited text (CSV, TSV): how a file is written, its records, and what each column holds.

A file is read in one way, whether whole, in pieces, from the middle, or by Beam: `Delimited.open`
recognises how it is written, `records` takes it apart, `decide_kinds` says by all of its rows which
columns are numbers, and `to_frame` makes a table of that.
"""

import contextlib
import io
import re
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from alad_tf.data.dialect import (
    MISSING,
    ReadOptions,
    beginning,
    column_names,
    decompressed,
    recognise,
    refusals,
)

NUMBER, TEXT = "number", "text"
BLOCK = 2**22  # bytes
BLANK = b"\xef\xbb\xbf\r "
PLAIN = {"quote": '"', "escape": None, "skip_space": False, "hint": False}
DISTINCT = 65  # more values of a column than that are not kept for a message
TRUE, FALSE = ("True", "TRUE", "true"), ("False", "FALSE", "false")
WORDS = TRUE + FALSE
# words that people write where a number is missing; pandas does not take them for gaps
MARKERS = re.compile(
    r"[\W_]+|na|nil|none|missing|unknown|unk|undefined|error|err|void|#\w+[!?/]?\w*"
)
GROUPED = r"\d{1,3}(?:[,.'’ \x{a0}\x{202f}]\d{3})+(?:[.,]\d+)?"
SIGN = r"[€$£¥%]"
# a number to people, though none to a program: 1,234  1.234,5  12,5  $ 3.20  12 %
LIKE_A_NUMBER = rf"^[+-]?(?:{GROUPED}|\d*[.,]\d+|{SIGN}\s?(?:{GROUPED}|\d+(?:[.,]\d+)?)"
LIKE_A_NUMBER += rf"|(?:{GROUPED}|\d+(?:[.,]\d+)?)\s?{SIGN})$"


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
        """Records as Arrow splits them, many times as fast, up to the first that is not plain.

        Returns how many there were before that one, or None if there is none.
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
        damage = refusals(self.name, lambda: reader.line_num + 1 if reader else 1)
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
            hint = " If commas are decimal marks, pass --decimal , and the separator with --sep."
        return (
            f"line {line}: received {len(fields)} cells, expected {len(self.columns)}, one for "
            f"each name in the first line ({self.dialect}). Correct the line, quote cells that "
            f"contain the separator, or pass another separator with --sep.{hint}"
        )

    def decide_kinds(self, pieces, categorical=(), ignored=()):
        """NUMBER or TEXT for each column, by all records; an error where it is not clear.

        A column is of numbers if all its cells are, gaps apart; so are True and False. Whole
        numbers of which some begin with 0 are codes, which are text; so is what is named.
        """
        text = {*categorical, *ignored}
        absent = sorted(set(categorical) - set(self.columns))
        if absent:
            raise ValueError(
                f"{self.name} has no column {absent[0]!r}; it has {self.columns[:20]}."
            )
        seen = {name: _Seen() for name in self.columns if name not in text}
        for piece in pieces:
            for name, column in seen.items():
                column.add(self._cells(piece, name), piece.lines, self.dialect.decimal)
        return {
            name: TEXT if name in text else seen[name].kind(self.name, name)
            for name in self.columns
        }

    def to_frame(self, piece, kinds, keep_bad=False):
        """A piece as a table: float64 with NaN for columns of numbers; text for all others.

        A cell that is no number there is an error, or stays as it is with `keep_bad`.
        """
        columns = {}
        for name in self.columns:
            cells = self._cells(piece, name)
            if kinds.get(name, TEXT) == NUMBER:
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
        cells = _trimmed(cells)
        if self.dialect.decimal == ".":
            with contextlib.suppress(pa.ArrowInvalid):
                return _floats(cells)
        decimal = self.dialect.decimal
        good = pc.fill_null(pc.match_substring_regex(cells, _number(decimal)), True)
        words = pc.is_in(cells, pa.array(WORDS))
        texts = pc.if_else(pc.is_in(cells, pa.array(TRUE)), "1", pc.if_else(words, "0", cells))
        bad = np.flatnonzero(~pc.or_(good, words).to_numpy(zero_copy_only=False))
        if len(bad) and not keep_bad:
            cell, line = cells[int(bad[0])].as_py(), piece.lines[bad[0]]
            raise ValueError(
                f"{self.name}, line {line} (row {piece.rows[bad[0]]}), column {name!r}: {cell!r} "
                f"is not a number, but the column has numbers (decimal mark {decimal}). Correct "
                f"the cell, or declare it a missing-value marker: --missing {cell!r}."
            )
        fine = pc.if_else(pc.or_(good, words), texts, pa.scalar(None, pa.string()))
        numbers = _floats(pc.replace_substring(fine, decimal, "."))
        if len(bad):
            numbers = numbers.astype(object)
            numbers[bad] = [cells[int(i)].as_py() for i in bad]
        return numbers


class _Seen:
    """What a column's cells were so far."""

    def __init__(self):
        self.cells = self.whole = self.codes = self.words = self.numbers = self.alike = 0
        self.texts, self.distinct = {}, set()  # text: its first line
        self.first_alike = None

    def add(self, cells, lines, decimal):
        cells = _trimmed(cells)
        present = pc.is_valid(cells)
        lines, cells = lines[present.to_numpy(zero_copy_only=False)], cells.filter(present)
        number = pc.match_substring_regex(cells, _number(decimal))
        numbers = cells.filter(number)
        self.cells += len(cells)
        self.numbers += len(numbers)
        self.whole += pc.sum(pc.match_substring_regex(numbers, r"^[+-]?\d+$")).as_py() or 0
        self.codes += pc.sum(pc.match_substring_regex(numbers, r"^[+-]?0\d+$")).as_py() or 0
        if len(self.distinct) < DISTINCT:
            self.distinct.update(pc.unique(numbers)[:DISTINCT].to_pylist())
        if len(numbers) == len(cells):
            return
        others = cells.filter(pc.invert(number))
        lines = lines[~number.to_numpy(zero_copy_only=False)]
        self.words += pc.sum(pc.is_in(others, pa.array(WORDS))).as_py()
        alike = pc.match_substring_regex(others, LIKE_A_NUMBER).to_numpy(zero_copy_only=False)
        self.alike += int(alike.sum())
        if self.first_alike is None and alike.any():
            place = int(np.argmax(alike))
            self.first_alike = others[place].as_py(), lines[place]
        if len(self.texts) < DISTINCT:
            for place, text in enumerate(others[: 100 * DISTINCT].to_pylist()):
                if len(self.texts) < DISTINCT:
                    self.texts.setdefault(text, lines[place])

    def kind(self, file, name):
        if self.numbers and self.codes and self.whole == self.numbers:
            return TEXT
        if self.cells in (self.numbers, self.words):
            return NUMBER
        flags = self.words > self.numbers
        good, what = (self.words, "True or False") if flags else (self.numbers, "numbers")
        texts = {text: line for text, line in self.texts.items() if not (flags and text in WORDS)}
        share = (good + self.alike) / self.cells
        few = len(texts) <= 5 and (self.whole < self.numbers or len(self.distinct) > 20)
        markers = all(MARKERS.fullmatch(text.lower()) for text in texts)
        if share < 0.9 and (share < 0.5 or not (few or markers or self.alike)):
            return TEXT
        found = f"{file}, column {name!r}: {good:,} of {self.cells:,} cells are {what}"
        if self.alike:
            cell, line = self.first_alike
            raise ValueError(
                f"{found}; {cell!r} in line {line} cannot be read as one. Write numbers without "
                "thousands separators, currency signs or %, pass the decimal mark with --decimal, "
                f"or declare the column categorical: --categorical {name!r}."
            )
        count, (cell, line) = self.cells - good, next(iter(texts.items()))
        raise ValueError(
            f"{found}, {count:,} {'is' if count == 1 else 'are'} not; line {line} has {cell!r}. "
            f"Correct it, declare it a missing-value marker (--missing {cell!r}), or declare the "
            f"column categorical (--categorical {name!r})."
        )


def _number(decimal):
    mark = re.escape(decimal)
    return rf"^[+-]?(?:\d+(?:{mark}\d*)?|{mark}\d+)(?:[eE][+-]?\d+)?$|^[+-]?(?i:inf|infinity)$"


def _trimmed(cells):
    """Without blanks around; what is then empty is a gap."""
    cells = pc.utf8_trim_whitespace(cells)
    return pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells)


def _floats(cells):
    return pc.cast(cells, pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)
