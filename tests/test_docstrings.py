"""The check of docstrings reports each missing part by itself, and nothing of whole ones."""

import dataclasses

import pytest
from docstrings import missing_parts


def good(rows, scale):
    """Scale rows.

    Args:
        rows: float array (N, d).
        scale: float,
            not negative.

    Returns:
        float array (N, d).

    Raises:
        ValueError: a negative scale.

    Example:
        >>> good(2.0, 3.0)
        6.0

    Source: ALAD, Section IV.
    """
    if scale < 0:
        raise ValueError
    return rows * scale


GOOD = good.__doc__
BAD = {
    (GOOD, ""): "a docstring: ",
    ("Scale rows.", "scale rows"): "a first line that is a sentence: ",
    ("rows: float array (N, d).", ""): "Args: rows is not there",
    ("scale: float,\n            not", "scale:\n            not"): "Args: scale has neither",
    ("    Returns:\n        float array (N, d).", ""): "Returns: ",
    ("Returns:\n        float array (N, d).", "Returns:"): "Returns: ",
    ("    Raises:\n        ValueError: a negative scale.", ""): "Raises: it raises",
    ("ValueError", "KeyError"): "Raises: ValueError is not named",
    (">>> good(2.0, 3.0)", ""): "Example: ",
    (">>> good(2.0, 3.0)", ">>> # good(2.0, 3.0)"): "Example: ",
    (">>> good(2.0, 3.0)", ">>> good(2.0, 3.0)  # doctest: +SKIP"): "Example: ",
    (">>> good(2.0, 3.0)", ">>> 6.0  # good(2.0, 3.0)"): "Example: ",
    ("Section IV", "the idea"): "Source: ",
}


def _changed(old, new):
    def changed(rows, scale):
        if scale < 0:
            raise ValueError
        return rows * scale

    assert GOOD.count(old) == 1
    changed.__doc__ = GOOD.replace(old, new)
    return changed


def test_a_whole_docstring_lacks_nothing():
    assert missing_parts(good, cites=True) == []


@pytest.mark.parametrize("change, expected", BAD.items(), ids=BAD.values())
def test_each_part_that_is_missing_is_reported_by_itself(change, expected):
    lacks = missing_parts(_changed(*change), name="good", cites=True)
    assert [part.startswith(expected) for part in lacks] == [True]


@dataclasses.dataclass
class Base:
    """A base.

    Attributes:
        size: int.

    Example:
        >>> Base(1).fit(2)
    """

    size: int
    weight: float = 1.0

    def fit(self, x):
        """Fit.

        Args:
            x: float array (N,).
        """

    def grow(self, by):
        """Grow."""
        yield from range(by)

    @property
    def area(self):
        return self._area()

    @property
    def width(self):
        """The width, a float."""
        raise AttributeError("none")


class Derived(Base):
    """A base with a seed."""

    def __init__(self, seed, *args):
        super().__init__(*args)

    def fit(self, x):
        return x


@pytest.mark.parametrize(
    "owner, name, expected",
    [
        (Base, "fit", []),
        (Base, "grow", ["Args: by is not there", "Returns: ", "Example: "]),
        (Base, "area", ["a docstring: "]),
        (Base, "width", ["Raises: "]),
        (Derived, "fit", ["Returns: ", "Example: "]),  # the arguments are the base's
    ],
)
def test_missing_parts_of_methods_and_properties_are_reported(owner, name, expected):
    lacks = missing_parts(vars(owner)[name], owner, name)
    assert len(lacks) == len(expected)
    assert all(part.startswith(start) for part, start in zip(lacks, expected, strict=True))


def test_missing_parts_of_classes_are_reported():
    assert [part[:24] for part in missing_parts(Base)] == ["Args: weight is not ther"]
    lacks = [part[:21] for part in missing_parts(Derived)]
    assert lacks == ["Args: seed is not the", "Example: add lines `>"]


def test_a_nested_function_speaks_for_itself():
    def outer():
        """Do something."""

        def inner():
            raise ValueError(1)

        inner()

    assert [part[:8] for part in missing_parts(outer)] == ["Example:"]
