"""The body of a REST request, read a block of records at a time.

`json.loads` of a whole body makes an object of every number: some thirty times the body's size.
Here each record is decoded by itself and a block of them becomes arrays before the next is read.
"""

import json
import re
from collections import Counter
from itertools import islice

import numpy as np

from alad_tf.export.serving.model import DEFAULT, RequestError, array_of, records_at_a_time

_SPACE = re.compile(r"[ \t\n\r]*")
_FIELDS = ("instances", "inputs", "signature_name")


class JsonReader:
    """Steps through the text of a JSON object or array without decoding all of it at once."""

    def __init__(self, text, at=0):
        self.text, self.at = text, _SPACE.match(text, at).end()

    def value(self):
        """The value that begins here, decoded."""
        found, end = _DECODER.raw_decode(self.text, self.at)
        self.at = _SPACE.match(self.text, end).end()
        return found

    def next_is(self, mark):
        return self.text.startswith(mark, self.at)

    def members(self):
        """The names of the object that begins here; the caller reads each name's value."""
        seen = set()
        for _ in self._parts("{", "}"):
            name = self.value() if self.next_is('"') else self._fail('a name in "..."')
            if name in seen:
                raise RequestError(f"The name {name!r} occurs twice in a JSON object.")
            seen.add(name)
            self._take(":")
            yield name

    def elements(self):
        """The elements of the array that begins here."""
        for _ in self._parts("[", "]"):
            yield self.value()

    def end(self):
        """Nothing may follow."""
        if self.at != len(self.text):
            self._fail("the end")

    def _parts(self, opening, closing):
        self._take(opening)
        while not self.next_is(closing):
            yield
            if not self.next_is(closing):
                self._take(",")
                if self.next_is(closing):
                    self._fail("another value")
        self._take(closing)

    def _take(self, mark):
        if not self.next_is(mark):
            self._fail(repr(mark))
        self.at = _SPACE.match(self.text, self.at + 1).end()

    def _fail(self, expected):
        raise json.JSONDecodeError(f"Expecting {expected}", self.text, self.at)


def read_request(body, specs_of):
    """A predict request's arrays.

    Args:
        body: bytes.
        specs_of: function of a signature's name that returns its dict of TensorSpecs by input.

    Returns:
        `(signature, arrays, by_row)`: str; dict of arrays by input; whether the records came as
        "instances", and are to be answered row by row.

    Raises:
        RequestError: if it is not JSON, or not what the signature takes.
    """
    try:
        text = body.decode("utf-8-sig")
        signature, field, at = _outline(JsonReader(text))
        specs = specs_of(signature)
        reader = JsonReader(text, at)
        read = _by_row if field == "instances" else _by_column
        return signature, read(reader, specs), field == "instances"
    except RecursionError as error:
        raise RequestError("The body cannot be read: its JSON is nested too deeply.") from error
    except RequestError:
        raise
    except ValueError as error:  # of the decoder, of UTF-8, of an integer with thousands of digits
        raise RequestError(f"The body is not JSON: {error}.") from error


def _outline(reader):
    """The signature, "instances" or "inputs", and where that field's value begins."""
    places, signature = {}, DEFAULT
    expected = "The body must be a JSON object with either 'instances' or 'inputs'."
    if not reader.next_is("{"):
        reader.value()  # raises if this is not JSON
        reader.end()
        raise RequestError(expected)
    for name in reader.members():
        if name not in _FIELDS:
            reader.value()
        elif name == "signature_name":
            signature = reader.value()
        else:
            places[name] = reader.at
            _skip(reader)
    reader.end()
    if len(places) != 1:
        raise RequestError(expected)
    if not isinstance(signature, str):
        raise RequestError("'signature_name' must be text.")
    return signature, *places.popitem()


def _skip(reader):
    """Check the syntax of records without keeping them."""
    if reader.next_is("["):
        for _ in reader.elements():
            pass
    elif reader.next_is("{"):
        for _ in reader.members():
            _skip(reader)
    else:
        reader.value()


def _by_row(reader, specs):
    if not reader.next_is("["):
        raise RequestError("'instances' must be a list with at least one record.")
    arrays, number = {name: [] for name in specs}, 0
    for block in _blocks(reader.elements(), specs):
        for name, values in _columns(block, specs, number).items():
            arrays[name].append(array_of(name, values, specs[name]))
        number += len(block)
    if not number:
        raise RequestError("'instances' must be a list with at least one record.")
    return {name: np.concatenate(parts) for name, parts in arrays.items()}


def _by_column(reader, specs):
    """Of `{"inputs": {name: values}}`, or of `{"inputs": values}` with one input."""
    if not reader.next_is("{"):
        if len(specs) != 1 or not reader.next_is("["):
            raise RequestError(f"'inputs' must be an object with {sorted(specs)}.")
        (name,) = specs
        return {name: _column(reader, name, specs[name])}
    arrays = {}
    for name in reader.members():
        if name in specs:
            arrays[name] = _column(reader, name, specs[name])
        else:
            reader.value()
            arrays[name] = None  # refused by its name
    return arrays


def _column(reader, name, spec):
    if not reader.next_is("["):
        raise RequestError(f"Input {name!r} must be a list with at least one record.")
    parts = [array_of(name, block, spec) for block in _blocks(reader.elements(), {name: spec})]
    if not parts:
        raise RequestError(f"Input {name!r} must be a list with at least one record.")
    return np.concatenate(parts)


def _columns(records, specs, first):
    """TensorFlow Serving's row format as columns.

    A record is an object by input; or, of a signature with one input, that input's value.
    """
    names = set(specs)
    if len(names) == 1 and not all(isinstance(r, dict) and set(r) == names for r in records):
        (name,) = names
        return {name: records}
    for number, one in enumerate(records, first):
        if not isinstance(one, dict) or set(one) != names:
            got = sorted(one) if isinstance(one, dict) else type(one).__name__
            raise RequestError(
                f"Record {number} must be an object with {sorted(names)}; received {got}."
            )
    return {name: [one[name] for one in records] for name in specs}


def _blocks(elements, specs):
    step = records_at_a_time(specs)
    while block := list(islice(elements, step)):
        yield block


def _unique(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise RequestError(f"The name {twice!r} occurs twice in a JSON object.")
    return found


def _constant(text):
    """NaN is a gap, as TensorFlow Serving and `json.dumps` have it; nothing is infinite."""
    if text != "NaN":
        raise RequestError(
            f"Records must be finite; received {text}. A missing value is null or NaN."
        )
    return float("nan")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant)
