"""How a file of delimited text is written: compression, encoding, separator, quotes, decimal mark.

`recognise` looks at the beginning of a file. If that is ambiguous, it raises an error that names
the option to set, since a wrong guess would misread records silently.
"""

import bz2
import codecs
import contextlib
import csv
import gzip
import io
import lzma
import re
import zipfile
from collections import Counter
from dataclasses import dataclass, replace

import pyarrow as pa

from alad_tf.data.cells import MARKS as MISSING

COMPRESSED = (".gz", ".bz2", ".xz", ".zip", ".zst")
SEPARATORS = (",", ";", "\t", "|")
UNUSUAL = (" ", ":", "^", "~", "#", "&", "/", "\x01", "\x1f")  # only as --sep says
OTHER_KINDS = re.compile(r"\s*(?:(<!doctype|<html|<\?xml)|[\[{]\s*[\[{\"])", re.IGNORECASE)
SAMPLE, SAMPLE_RECORDS = 2**20, 1000  # bytes and records that are examined
LONGEST_CELL = 2**27
CLOSE_QUOTES = "Close all quotes, and double those within cells."
COMMA = re.compile(r"[+-]?(\d*),(\d+)(?:[eE][+-]?\d+)?|[+-]?\d{1,3}(?:\.\d{3})+,\d+")
DOT = re.compile(r"[+-]?\d*\.\d+(?:[eE][+-]?\d+)?|[+-]?\d{1,3}(?:,\d{3})+\.\d+")
WHOLE = re.compile(r"[+-]?\d+")


@dataclass(frozen=True)
class ReadOptions:
    """A user's options for reading a file; None for what is to be detected.

    Attributes:
        sep, decimal, encoding: str or None.
        missing: tuple of str, markers of gaps besides pandas' usual ones.
        skip_damaged: bool, leave out images that cannot be read.
    """

    sep: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    missing: tuple = ()
    skip_damaged: bool = False

    def __post_init__(self):
        names = {"tab": "\t", "\\t": "\t", "space": " "}
        object.__setattr__(self, "sep", names.get(self.sep, self.sep))
        object.__setattr__(self, "missing", tuple(self.missing))
        if self.sep is not None and (len(self.sep) != 1 or self.sep in "\"'\r\n."):
            raise ValueError(f"received --sep {self.sep!r}; expected one character, or tab.")
        if self.decimal not in (None, ".", ","):
            raise ValueError(f"received --decimal {self.decimal!r}; expected . or a comma.")
        if self.sep is not None and self.sep == self.decimal:
            raise ValueError(
                f"received {self.sep!r} for both --sep and --decimal; expected two different "
                "characters."
            )
        if self.encoding is not None:
            try:
                codecs.lookup(self.encoding)
            except LookupError:
                raise ValueError(
                    f"received --encoding {self.encoding}; expected one that Python knows, such "
                    "as utf-8, utf-16, cp1252 or latin-1."
                ) from None

    def require_used(self, path, kind):
        """Refuse what reading a source of this kind, "delimited" or "binary", ignores."""
        said = {"--sep": self.sep, "--decimal": self.decimal, "--encoding": self.encoding}
        unused = [name for name, value in said.items() if value and kind != "delimited"]
        if self.skip_damaged and kind is not None:  # None: a folder of images
            unused.append("--skip-damaged")
        if unused:
            what = "folders of images" if unused[0] == "--skip-damaged" else "CSV and TSV files"
            them = "it" if len(unused) == 1 else "them"
            raise ValueError(
                f"received {' and '.join(unused)} for {path}; expected only for {what}. Leave "
                f"{them} out."
            )


@dataclass(frozen=True)
class Dialect:
    """How a file is written."""

    sep: str
    encoding: str = "utf-8"
    decimal: str = "."
    quote: str = '"'
    escape: str | None = None
    skip_space: bool = False
    hint: bool = False  # Excel's first line, sep=;

    def __str__(self):
        sep = {"\t": "tabs", " ": "spaces"}.get(self.sep, f"separator '{self.sep}'")
        quote = "" if self.quote == '"' else f", quotes {self.quote}"
        return f"{sep}, decimal mark '{self.decimal}'{quote}, {self.encoding}"

    def reader(self, text):
        csv.field_size_limit(LONGEST_CELL)
        return csv.reader(
            text,
            delimiter=self.sep,
            quotechar=self.quote,
            escapechar=self.escape,
            doublequote=self.escape is None,
            skipinitialspace=self.skip_space,
            strict=True,
        )


def beginning(stream):
    """The first bytes of a stream, which may give them in pieces."""
    parts, left = [], SAMPLE
    while left and (part := stream.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def recognise(sample, name, options, tabs):
    """The dialect of a file by its beginning, and the first records."""
    whole = len(sample) < SAMPLE
    encoding, text = _decoded(sample, name, options.encoding, whole)
    if not text.strip():
        raise ValueError(f"{name} is empty; expected a line of column names and rows below it.")
    other = OTHER_KINDS.match(text)
    if other:
        raise ValueError(
            f"{name} contains {'HTML or XML' if other[1] else 'JSON'}; expected a line of column "
            "names and rows below it. Save the table as CSV."
        )
    hint = re.match(r"sep=(.)\r?\n", text)
    if hint:
        text = text[hint.end() :]
    sep = options.sep or (hint and hint[1])
    base = Dialect(",", encoding, options.decimal or ".", hint=bool(hint))
    found = _separated(text, whole, base, name, sep, tabs, options.decimal)
    dialect, records = found
    if options.decimal is None:
        dialect = replace(dialect, decimal=_decimal(records, name, dialect))
    return dialect, records


def _decoded(sample, name, encoding, whole):
    """The encoding's name and the text."""
    marks = {
        codecs.BOM_UTF8: "utf-8-sig",
        codecs.BOM_UTF32_LE: "utf-32",
        codecs.BOM_UTF32_BE: "utf-32",
        codecs.BOM_UTF16_LE: "utf-16",
        codecs.BOM_UTF16_BE: "utf-16",
    }
    marked = next((kind for mark, kind in marks.items() if sample.startswith(mark)), None)
    if marked == "utf-8-sig" and codecs.lookup(encoding or "utf-8").name == "utf-8":
        encoding = marked
    encoding = encoding or marked or "utf-8"
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(sample, final=whole)
    except UnicodeDecodeError as error:
        line = sample[: error.start].count(b"\n") + 1
        shown = sample[: error.start].rsplit(b"\n", 1)[-1] + sample[error.start :].split(b"\n")[0]
        shown = shown.strip()[:60].decode("cp1252", "replace")
        raise ValueError(
            f"{name}, line {line}: the text is not in {encoding}. Pass the encoding with "
            "--encoding. In cp1252, common on Windows in Western Europe, the line reads "
            f"{shown!r}."
        ) from error
    except UnicodeError as error:
        raise ValueError(
            f"{name}: the text is not in {encoding} ({error}). Pass the encoding with --encoding."
        ) from error
    if "\0" in text:
        raise ValueError(
            f"{name} contains NUL characters: it is not text, or it is UTF-16. Pass its encoding "
            "with --encoding, such as utf-16-le, or save the table as CSV in UTF-8."
        )
    return encoding, text


def _separated(text, whole, base, name, sep, tabs, decimal):
    """The dialect but for its decimal mark, and the first records."""
    candidates = [sep] if sep else [one for one in SEPARATORS if one != decimal]
    best = {}
    for one in candidates:
        found = _best_reading(text, whole, replace(base, sep=one))
        if found is not None:
            best[one] = found
    first = text.lstrip().split("\n")[0]
    broken = [one for one in candidates if one not in best and (one in first or not best)]
    split = {one: found for one, found in best.items() if len(found[2][0]) > 1}
    if broken and not split:
        error = _reading(text, whole, replace(base, sep=broken[0]))[2]
        raise ValueError(f"{name}, {error}. {CLOSE_QUOTES}")
    if sep:
        return best[sep][1:]
    usual = "\t" if tabs else candidates[0]
    if len(split) > 1:
        most = max(fit for fit, *_ in split.values())
        split = {one: found for one, found in split.items() if found[0] == most}
        if tabs and "\t" in split:
            split = {"\t": split["\t"]}
    if len(split) == 1:
        return next(iter(split.values()))[1:]
    if split:
        marks = " or ".join(repr(one) for one in split)
        raise ValueError(
            f"{name} can be read with {marks} as the separator. Choose one with --sep."
        )
    # one column, it seems: the first line has no separator
    for one in [*candidates, *UNUSUAL]:
        dialect = replace(base, sep=one, skip_space=one == " ")
        records = _reading(text, whole, dialect)[0]
        if not records:
            continue  # its quotes are not closed, or are followed by more
        head, *widths = [sum(bool(cell) or one != " " for cell in record) for record in records]
        named = one in SEPARATORS or (widths and widths[0] == head)
        if len(set(widths)) == 1 and widths[0] > 1 and named:
            single = next((mark for mark in (usual, *candidates) if mark not in text), usual)
            decimals = " If commas are decimal marks, pass --decimal , (a comma) instead."
            raise ValueError(
                f"{name} has either one column or {widths[0]} columns separated by {one!r}. "
                f"Pass the separator with --sep ({single!r} for one column); the first line "
                f"must name each column.{decimals if one == ',' else ''}"
            )
    return best.get(usual, next(iter(best.values())))[1:]


def _best_reading(text, whole, base):
    """(share of records as wide as the first, dialect, records) of one separator, or None."""
    spaced = re.search(r'[,;\t|] +"', text) is not None or base.sep == " "
    quotes, found = [('"', None), ('"', "\\")], []
    sep = re.escape(base.sep)
    if '"' not in text and re.search(rf"(?m)(?:^|{sep}) *'[^'\r\n]*' *(?:{sep}|\r?$)", text):
        quotes.append(("'", None))
    for quote, escape in quotes:
        dialect = replace(base, quote=quote, escape=escape, skip_space=spaced)
        records, _, error = _reading(text, whole, dialect)
        if error is None and records:
            width = len(records[0])
            fits = [len(one) >= width and not any(one[width:]) for one in records]
            found.append((sum(fits) / len(fits), dialect, records))
    if not found:
        return None
    first = max(found, key=lambda one: one[0])  # the earlier of equal ones
    single = next((one for one in found if one[1].quote == "'"), None)
    if first[1].quote == '"' and single and single[0] == first[0] and _in_single_quotes(first[2]):
        return single
    return first


def _in_single_quotes(records):
    for column in zip(*records[1:], strict=False):
        cells = [cell.strip() for cell in column if cell.strip()]
        if cells and all(len(c) > 1 and c[0] == c[-1] == "'" for c in cells):
            return True
    return False


def _reading(text, whole, dialect):
    """The first records, their lines, and the csv module's error or None."""
    records, lines = [], []
    reader = dialect.reader(io.StringIO(text, newline=""))
    try:
        for fields in reader:
            if fields and (len(fields) > 1 or fields[0].strip()):
                records.append(fields)
                lines.append(reader.line_num)
            if len(records) == SAMPLE_RECORDS:
                return records, lines, None
    except csv.Error as error:
        if whole or "end of data" not in str(error):
            return records, lines, f"line {reader.line_num}: {error}"
    if not whole:
        del records[-1:]  # cut off
    return records, lines, None


def _decimal(records, name, dialect):
    """The decimal mark, a dot or a comma, as the cells of the first records have it."""
    commas, sure_commas, dots, sure_dots = [], [], [], []
    for title, column in zip(records[0], zip(*_even(records), strict=True), strict=False):
        cells = [c.strip() for c in column if c.strip() not in MISSING]
        comma = [c for c in cells if COMMA.fullmatch(c)]
        dot = [c for c in cells if DOT.fullmatch(c)]
        whole = sum(WHOLE.fullmatch(c) is not None for c in cells)
        if len(comma) + len(dot) + whole < 0.5 * len(cells):
            continue
        if comma:
            commas.append((title, comma[0]))
            sure_commas += [(title, c) for c in comma if not _grouped(c, ",")][:1]
        if dot:
            dots.append((title, dot[0]))
            sure_dots += [(title, c) for c in dot if not _grouped(c, ".")][:1]
    if not commas:
        return "."
    if sure_commas and not sure_dots:
        return ","
    if sure_dots and not sure_commas:
        return "."  # the commas separate thousands, which is refused by column
    title, cell = (sure_commas or commas)[0]
    also = f" and {sure_dots[0][1]!r} in {sure_dots[0][0]!r}" if sure_dots else ""
    raise ValueError(
        f"{name}, column {title!r} has {cell!r}{also}: is that a decimal comma or a "
        "thousands separator? If it is a decimal comma, pass --decimal , (a comma). If it "
        "separates thousands, remove it from the file and pass --decimal . (a point)."
    )


def _even(records):
    width = len(records[0])
    return [(one + [""] * width)[:width] for one in records[1:]] or [[""] * width]


def _grouped(cell, mark):
    """Whether a mark may separate thousands there: 1,234 but not 12,5 or 0,125."""
    head, *tail = cell.lstrip("+-").split(mark)
    return 0 < len(head) <= 3 and head[0] != "0" and all(len(one) == 3 for one in tail)


def column_names(records, name):
    """The columns' names; empty and duplicate ones are numbered, as by pandas."""
    cells = list(records[0])
    while len(cells) > 1 and not cells[-1] and not any(any(r[len(cells) - 1 :]) for r in records):
        cells.pop()  # every line ends with a separator
    values = [float(cell.replace(",", ".")) for cell in cells if _is_number(cell)]
    steps = {round(after - before, 6) for before, after in zip(values, values[1:], strict=False)}
    counted = len(steps) <= 1 and min(steps, default=1) > 0  # 0, 1, 2 or 400.5, 401, 401.5
    if values and not (counted and (len(values) > 2 or all(v >= 0 and v % 1 == 0 for v in values))):
        raise ValueError(
            f"{name}: the first line has the numbers {values[:5]}; expected column names. "
            "Add them as a line above the rows."
        )
    columns, seen = [], Counter()
    for place, cell in enumerate(cells):
        cell = cell or f"Unnamed: {place}"
        fresh = cell
        while fresh in seen:
            seen[cell] += 1
            fresh = f"{cell}.{seen[cell] - 1}"
        seen[fresh] += 1
        columns.append(fresh)
    return columns


def _is_number(cell):
    cell = cell.strip()
    return bool(re.fullmatch(r"[+-]?\d+(?:[.,]\d*)?(?:[eE][+-]?\d+)?", cell))


@contextlib.contextmanager
def refusals(name, line=None, begin=None):
    """Turn the errors of decoders and decompressors into a ValueError that names the file.

    `line()` is where a reader is, `begin()` where the record begins that it was reading.
    """
    try:
        yield
    except UnicodeDecodeError as error:
        # the reader has all lines before the block of bytes which could not be decoded
        before = error.object[: error.start].count(b"\n")
        raise ValueError(
            f"{name}, line {(line() if line else 1) + before}: {error}. Pass the file's encoding "
            "with --encoding, such as cp1252."
        ) from error
    except csv.Error as error:
        # not where the reader is: a quote that is never closed takes it to the end of the file
        raise ValueError(
            f"{name}, record that begins in line {begin() if begin else 1}: {error}. {CLOSE_QUOTES}"
        ) from error
    except Exception as error:  # decompressors raise all kinds of errors
        if isinstance(error, ValueError) and str(error).startswith(str(name)):
            raise
        raise ValueError(f"{name} cannot be read: {failed(error)}") from error


def failed(error):
    """What a reader's error says, and what to do about it: str."""
    said = f"{error or type(error).__name__}".rstrip(".")
    if isinstance(error, OSError) and error.errno:  # the disk's, not the content's
        return f"{said}."
    return f"{said}. It is damaged, incomplete or of another format. Copy or write it again."


@contextlib.contextmanager
def decompressed(opened, name):
    """The content of a file as a binary stream, decompressed as its first bytes require."""
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(opened())
        buffered = raw if hasattr(raw, "peek") else io.BufferedReader(raw)
        magic = buffered.peek(8)[:8]
        if magic.startswith(b"\x1f\x8b"):
            stream = gzip.GzipFile(fileobj=buffered)
        elif magic.startswith(b"BZh"):
            stream = bz2.BZ2File(buffered)
        elif magic.startswith(b"\xfd7zXZ\x00"):
            stream = lzma.LZMAFile(buffered)  # noqa: SIM115
        elif magic.startswith(b"\x28\xb5\x2f\xfd"):
            stream = pa.CompressedInputStream(pa.PythonFile(buffered, mode="r"), "zstd")
        elif magic.startswith(b"PK\x03\x04"):
            archive = zipfile.ZipFile(io.BytesIO(buffered.read()))
            members = [one for one in archive.namelist() if not one.endswith("/")]
            members = [one for one in members if not one.startswith("__MACOSX/")]
            if len(members) != 1:
                raise ValueError(
                    f"{name} is a ZIP archive of {members[:5]}; expected a single table. "
                    "Unpack it first."
                )
            if archive.getinfo(members[0]).flag_bits & 1:
                raise ValueError(f"{name} is an encrypted ZIP archive. Decrypt it first.")
            stream = archive.open(members[0])
        else:
            stream = buffered
        yield stack.enter_context(stream)
