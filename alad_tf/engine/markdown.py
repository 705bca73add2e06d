"""Tables in Markdown, as the report, the cards and the zoo's descriptions have them."""


def markdown_table(head, rows):
    """A table's lines, from lists of texts.

    Example:
        >>> markdown_table(["model", "F1"], [["ALAD", "0.9501"]])
        ['| model | F1 |', '| --- | --- |', '| ALAD | 0.9501 |']
    """
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (head, *rows)]
    return [lines[0], "|" + " --- |" * len(head), *lines[1:]]
