"""Users' names and texts as they are shown: on a terminal, in a picture, in an error."""


def as_is(text, most=None):
    r"""A text on one line, with control characters escaped as in Python.

    Args:
        text: anything, by its `str`.
        most: int, the number of characters after which it is cut; default: no limit.

    Returns:
        str of printable characters.

    Example:
        >>> as_is("US$ [m]\n\x1b[31m"), as_is("abcdef", 4)
        ('US$ [m]\\n\\x1b[31m', 'abc…')
    """
    text = str(text)
    cut = text if most is None or len(text) <= most else f"{text[: most - 1]}…"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)
