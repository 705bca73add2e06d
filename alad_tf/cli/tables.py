"""Tables of metrics, reasons and trials, as commands print them: `rich.table.Table`s."""

from rich.table import Table
from rich.text import Text

from alad_tf.detector.explain import as_shown, observed_shown
from alad_tf.detector.metrics import METRICS
from alad_tf.engine.texts import as_is
from alad_tf.experiments.results import TITLES


def metrics_table(first, metrics, untrained=None, entry=None):
    """A row of metrics for each name (a score or model, as `first` says).

    The untrained network's follow, and an entry's reported ones.
    """
    table = Table(first, *(TITLES.get(name, name) for name in METRICS))
    for name, values in metrics.items():
        table.add_row(name, *_cells(values))
    for name, values in (untrained or {}).items():
        table.add_row(f"{name}, untrained", *_cells(values), style="dim")
    for name, values in (entry.reported_scores if entry else {}).items():
        if values:
            table.add_row(f"{name}, paper ({entry.reported_in})", *_cells(values))
    return table


def _cells(metrics):
    return [f"{metrics[name]:.4f}" if name in metrics else "" for name in METRICS]


def reasons_table(explanation, row, title, count=5):
    """The columns that add most to the score of one row of a table's `Explanation`."""
    title = _plain(f"{title}: score {explanation.scores[row]:.4g}")
    table = Table("column", "observed", "expected", "adds to score", title=title)
    for reason in explanation.top(row, count):
        values = observed_shown(reason), as_shown(reason["expected"])
        # users' names and texts: square brackets in them are no markup
        table.add_row(*map(_plain, (reason["column"], *values)), f"{reason['attribution']:+.3g}")
    return table


def _plain(text):
    return Text(as_is(text))


def trials_table(found, count=5):
    """The best trials of a search, from its list of `(values, criterion)`, best first."""
    table = Table("criterion", *found[0][0], title=f"The best of {len(found)} trials")
    for values, criterion in found[:count]:
        table.add_row(f"{criterion:.4f}", *map(as_shown, values.values()))
    return table
