"""The tables that commands print: metrics by score or model."""

from rich.table import Table
from rich.text import Text

from alad_tf.detector.explain import as_shown
from alad_tf.detector.metrics import METRICS

TITLES = {"f1": "F1", "auroc": "AUROC", "auprc": "AUPRC"}


def table_of(first):
    """An empty table: a first column of that title, then one a metric."""
    return Table(first, *(TITLES.get(name, name) for name in METRICS))


def cells(values):
    """A row's cells: a dict of metrics as text, "" for what it lacks.

    Example:
        >>> cells({"f1": 0.5})
        ['', '', '0.5000', '', '']
    """
    return [f"{values[name]:.4f}" if name in values else "" for name in METRICS]


def metrics_table(entry, measured, untrained=None):
    """Metrics by score, those of the untrained network and the paper's below.

    Args:
        entry: an entry of the zoo.
        measured, untrained: dicts of metrics by score name.

    Returns:
        `rich.table.Table`.
    """
    table = table_of("score")
    for name, values in measured.items():
        table.add_row(name, *cells(values))
    for name, values in (untrained or {}).items():
        table.add_row(f"{name}, untrained", *cells(values), style="dim")
    for name, values in entry.reported_scores.items():
        if values:
            table.add_row(f"{name}, paper ({entry.reported_in})", *cells(values))
    return table


def reasons_table(told, row, title, count=5):
    """What adds most to a row's score.

    Args:
        told: `alad_tf.detector.explain.Explanation` of a table's rows.
        row: int, the row's place in it.
        title: str.
        count: int, how many columns.

    Returns:
        `rich.table.Table`.
    """
    table = Table(
        "column", "observed", "expected", "adds", title=f"{title}: score {told.scores[row]:.4g}"
    )
    for reason in told.top(row, count):
        values = (as_shown(reason[key]) for key in ("observed", "expected"))
        # users' names and texts: square brackets in them are no markup
        table.add_row(*map(_plain, (reason["column"], *values)), f"{reason['attribution']:+.3g}")
    return table


def _plain(text):
    """Text as it is, but for characters that would steer the terminal."""
    return Text("".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text)))


def trials_table(found, count=5):
    """The best trials of a search.

    Args:
        found: list of `(values, criterion)`, best first.
        count: int, how many.

    Returns:
        `rich.table.Table`.
    """
    table = Table("criterion", *found[0][0], title=f"The best of {len(found)} trials")
    for values, criterion in found[:count]:
        table.add_row(f"{criterion:.4f}", *map(as_shown, values.values()))
    return table
