"""The most anomalous rows of a stream of scored rows, with the reasons for their scores."""

import numpy as np
import pandas as pd
from rich.table import Table
from rich.text import Text

from alad_tf.detector.explain import expected_shown, observed_shown
from alad_tf.detector.validation import take_rows
from alad_tf.engine.texts import as_is

REASONS, WEIGHTY = 3, 1 / 5  # at most, and the least share of the first one's attribution


class TopRows:
    """The rows with the highest scores among the batches that were added.

    Args:
        count: int, how many.

    Attributes:
        table: `pandas.DataFrame`, as `alad_tf.cli.score_files.verdicts` makes them, the highest
            score first, with "place", the row's place in the input from 0.
    """

    def __init__(self, count):
        self.count, self.table, self._records = int(count), None, {}

    def add(self, start, table, rows=None):
        """Add a batch that begins at a place; `rows` are its records, if available."""
        if not self.count:
            return
        best = table.assign(place=np.arange(start, start + len(table)))
        best = best.nlargest(self.count, "score")
        tables = [best] if self.table is None else [self.table, best]
        self.table = pd.concat(tables, ignore_index=True).nlargest(self.count, "score")
        kept = set(self.table["place"])
        if rows is not None:
            self._records |= {p: take_rows(rows, [p - start]) for p in best["place"] if p in kept}
        self._records = {place: one for place, one in self._records.items() if place in kept}

    def records(self, read):
        """The records, in order; missing ones are read by `read`, a function of the place."""
        found = [
            self._records[place] if place in self._records else read(place)
            for place in self.table["place"]
        ]
        if isinstance(found[0], pd.DataFrame):
            return pd.concat(found, ignore_index=True)
        if len({one.shape[1:] for one in found}) == 1 and found[0].dtype != object:
            return np.concatenate(found)
        images = np.empty(len(found), object)  # of several sizes
        for number, one in enumerate(found):
            images[number] = one[0]
        return images


def top_table(top, explanation=None):
    """A `rich.table.Table` of a `TopRows.table`; with reasons, if there is an `Explanation`."""
    named = explanation is not None and bool(explanation.columns)
    columns = ["row", "score", "p-value"] if "p_value" in top else ["row", "score"]
    columns += ["flagged"] if "is_anomaly" in top else []
    table = Table(
        *columns, *(["reasons"] if named else []), title="Most anomalous", title_justify="left"
    )
    for number, row in enumerate(top.itertuples(index=False)):
        cells = [as_is(row.row, 60), f"{row.score:.4g}"]
        cells += [f"{row.p_value:.2g}"] if "p_value" in top else []
        cells += ["yes" if row.is_anomaly else "no"] if "is_anomaly" in top else []
        cells += ["; ".join(reasons(explanation, number))] if named else []
        table.add_row(*map(Text, cells))
    return table


def reasons(explanation, number, count=REASONS):
    """The columns that add most to a score, in words: "weight 60.1 (expected 5.2)".

    Only those that add at least a fifth of what the first one adds.
    """
    top = explanation.top(number, count)
    least = WEIGHTY * top[0]["attribution"] if top else 0  # none, if nothing stands out
    return [
        f"{as_is(one['column'], 40)} {as_is(observed_shown(one), 60)} "
        f"({as_is(expected_shown(one), 50)})"
        for one in top
        if one["attribution"] >= least
    ]
