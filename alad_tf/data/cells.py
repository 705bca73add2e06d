"""Cells of text: whether a column of them holds numbers, and the numbers."""

import re
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

NUMBER, TEXT = "number", "text"
EXACT_INTEGERS = 2**53  # float64 holds all up to it
DISTINCT = 65  # more values of a column than that are not kept for a message
# integers of Arrow with gaps, which keep all digits as these
NULLABLE = {
    pa.from_numpy_dtype(one.type): one
    for one in (pd.Int8Dtype(), pd.Int16Dtype(), pd.Int32Dtype(), pd.Int64Dtype())
    + (pd.UInt8Dtype(), pd.UInt16Dtype(), pd.UInt32Dtype(), pd.UInt64Dtype())
}
MOST_LONG = 100_000  # integers of many digits that are checked at most
TRUE, FALSE = ("True", "TRUE", "true"), ("False", "FALSE", "false")
WORDS = TRUE + FALSE
# text that is a gap in columns of any kind: pandas' markers in CSV files
MARKS = frozenset(
    ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"]
    + ["<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"]
)
GAPS = ("", "nan", "none", "null", "na", "n/a", "<na>", "nat")  # as text, beside numbers and dates
# words that people write where a number is missing; pandas does not take them for gaps
MARKERS = re.compile(
    r"[\W_]+|na|nil|none|missing|unknown|unk|undefined|error|err|void|#\w+[!?/]?\w*"
)
GROUPED = r"\d{1,3}(?:[,.'’ \x{a0}\x{202f}]\d{3})+(?:[.,]\d+)?"
AMOUNT = rf"(?:{GROUPED}|\d+(?:[.,]\d+)?)"
SIGN = r"[€$£¥₹₽₩₺₪฿%‰]"
# what people read as a number, and programs do not: 1,234  1.234,5  12,5  $ 3.20  12 %
LIKE_A_NUMBER = rf"^[+-]?(?:{GROUPED}|\d*[.,]\d+|{SIGN}\s?{AMOUNT}|{AMOUNT}\s?{SIGN})$"
# negative as accountants and typesetters write it: (12.50)  ($1,200)  12.50-  −12
LIKE_A_NUMBER += rf"|^\({SIGN}?\s?{AMOUNT}\s?{SIGN}?\)$|^\x{{2212}}\s?{SIGN}?{AMOUNT}$|^{AMOUNT}-$"


class Seen:
    """Statistics of a column's cells so far.

    Attributes:
        cells, numbers, words, alike: ints, how many cells there were (without gaps), and how many
            of them were numbers, True or False, and text that people read as a number.
        texts: dict, some of the other texts, each with its first place.
        first_alike: `(text, place)` of the first text that people read as a number, or None.
    """

    def __init__(self):
        self.cells = self.whole = self.codes = self.words = self.numbers = self.alike = 0
        self.texts, self.distinct = {}, set()  # text: its first place
        self.first_alike = None
        self._long = set()

    def add(self, cells, places, decimal="."):
        """Take in a piece: an Arrow array of text, null for gaps, and the place of each cell."""
        cells = trimmed(cells)
        present = pc.is_valid(cells)
        places, cells = places[present.to_numpy(zero_copy_only=False)], cells.filter(present)
        number = pc.match_substring_regex(cells, number_pattern(decimal))
        numbers = cells.filter(number)
        self.cells += len(cells)
        self.numbers += len(numbers)
        self.whole += pc.sum(pc.match_substring_regex(numbers, r"^[+-]?\d+$")).as_py() or 0
        self.codes += pc.sum(pc.match_substring_regex(numbers, r"^[+-]?0\d+$")).as_py() or 0
        if len(self._long) < MOST_LONG and (pc.max(pc.utf8_length(numbers)).as_py() or 0) > 15:
            long = pc.match_substring_regex(numbers, r"^[+-]?\d{16,}$")
            self._long.update(map(int, pc.unique(numbers.filter(long)).to_pylist()))
        if len(self.distinct) < DISTINCT:
            self.distinct.update(pc.unique(numbers)[:DISTINCT].to_pylist())
        if len(numbers) == len(cells):
            return
        others = cells.filter(pc.invert(number))
        places = places[~number.to_numpy(zero_copy_only=False)]
        self.words += pc.sum(pc.is_in(others, pa.array(WORDS))).as_py()
        alike = pc.match_substring_regex(others, LIKE_A_NUMBER).to_numpy(zero_copy_only=False)
        self.alike += int(alike.sum())
        if self.first_alike is None and alike.any():
            place = int(np.argmax(alike))
            self.first_alike = others[place].as_py(), places[place]
        if len(self.texts) < DISTINCT:
            for place, text in enumerate(others[: 100 * DISTINCT].to_pylist()):
                if len(self.texts) < DISTINCT:
                    self.texts.setdefault(text, places[place])

    def verdict(self):
        """`(NUMBER or TEXT, None)`; or `(None, what is wrong)`, if it is not clear.

        A column is numeric if all its cells are numbers, or all are True or False. Whole numbers of
        which some begin with 0 are codes, hence text. A column with at least as many different
        texts as numbers is text, too: classes such as 0, 1-5 and 6-10. What is wrong is a tuple:
        the count of good cells, what these are, and the first other cell, with its place.
        """
        if self.numbers and self.codes and self.whole == self.numbers:
            return TEXT, None
        if self.cells in (self.numbers, self.words):
            return NUMBER, None
        flags = self.words > self.numbers
        good, what = (self.words, "True or False") if flags else (self.numbers, "numbers")
        texts = {text: place for text, place in self.texts.items() if not (flags and text in WORDS)}
        share = (good + self.alike) / self.cells
        few = len(texts) <= 5 and (self.whole < self.numbers or len(self.distinct) > 20)
        markers = are_markers(texts)
        alike = pc.match_substring_regex(pa.array(list(texts), pa.string()), LIKE_A_NUMBER)
        alike = pc.sum(alike).as_py() or 0
        values = 2 if flags else len(self.distinct) + alike
        if not markers and values <= len(texts) - alike:  # 0%, 1 - 10%, 11 - 20%
            return TEXT, None
        if share < 0.9 and (share < 0.5 or not (few or markers or self.alike)):
            return TEXT, None
        return None, (good, what, *(self.first_alike or next(iter(texts.items()))))

    def mention_rounding(self, name):
        """A warning for integers of more digits than float64 has, such as identifiers."""
        long = {value for value in self._long if abs(value) >= EXACT_INTEGERS}
        mention_rounding(name, len(long), len(set(map(float, long))))


def mention_rounding(name, given, kept):
    """A warning if `given` distinct integers beyond 2**53 become `kept` as float64."""
    if kept < given:
        warnings.warn(
            f"column {name!r} has integers beyond 2**53, which are rounded to about 16 "
            f"digits: {given:,} distinct values become {kept:,}. If they are identifiers, "
            f"leave the column out with columns={{{name!r}: 'ignore'}}; if they are codes, "
            "pass them as text and choose 'category'.",
            stacklevel=2,
        )


def are_markers(texts) -> bool:
    """Whether all of some texts are words that stand where a number is missing."""
    return all(MARKERS.fullmatch(text.lower()) for text in texts)


def number_pattern(decimal):
    """A regular expression, of Arrow, of numbers with this decimal mark."""
    mark = re.escape(decimal)
    return rf"^[+-]?(?:\d+(?:{mark}\d*)?|{mark}\d+)(?:[eE][+-]?\d+)?$|^[+-]?(?i:inf|infinity)$"


def trimmed(cells):
    """Without blanks around; what is then empty is a gap."""
    cells = pc.utf8_trim_whitespace(cells)
    return pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells)


def floats(cells):
    """Cells of numbers with a decimal point as float64, NaN for gaps."""
    return pc.cast(cells, pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)


def numbers_in(cells, decimal="."):
    """The numbers of trimmed cells, float64 with NaN for all others; and where cells are bad."""
    good = pc.fill_null(pc.match_substring_regex(cells, number_pattern(decimal)), True)
    words = pc.fill_null(pc.is_in(cells, pa.array(WORDS)), False)
    texts = pc.if_else(pc.is_in(cells, pa.array(TRUE)), "1", pc.if_else(words, "0", cells))
    fine = pc.or_(good, words)
    kept = pc.if_else(fine, texts, pa.scalar(None, pa.string()))
    numbers = floats(pc.replace_substring(kept, decimal, "."))
    return numbers, ~fine.to_numpy(zero_copy_only=False)
