"""What `alad fit` shows before training: how columns are treated, and how long it will take."""

import math
import time

import keras
import numpy as np
import pandas as pd
from rich.table import Table
from rich.text import Text

from alad_tf.cli.lines import duration, say
from alad_tf.engine.feed import PairedBatches
from alad_tf.engine.machine import cores
from alad_tf.engine.texts import as_is

MOST_COLUMNS = 40  # that are shown


class FitPlan(keras.callbacks.Callback):
    """Prints the decisions on the columns and an estimate of the time when a training begins.

    The estimate is measured: untrained networks of the same kind take the first steps, by the
    program that the training then uses.
    """

    def __init__(self, console):
        super().__init__()
        self.console = console

    def on_train_begin(self, logs=None):
        preprocessor, rules = self.params["preprocessor"], self.params["rules"]
        columns = column_decisions(preprocessor)
        if columns is not None:
            self.console.print(columns_table(columns))
        members = self.params["members"]
        alads = "1 ALAD" if members == 1 else f"{members} ALADs"
        kind = "images" if len(rules.x_shape) == 3 else "rows"
        say(
            f"training  {rules.steps:,} steps, batches of {rules.batch_size} from "
            f"{self.params['rows']:,} {kind}, {alads}",
            self.console,
        )
        compiling, each = step_seconds(rules)
        train = training_seconds(rules, members, each)
        # measured: scores and reasons take their programs, of tables more than of images
        whole = train + compiling * (1.5 if len(rules.x_shape) == 1 else 0.5)
        say(
            f"time      about {duration(train)} to train ({1000 * each:.3g} ms per step here), "
            f"about {duration(whole)} in all, including scores and report",
            self.console,
        )


def step_seconds(rules):
    """How long networks that `rules` build take on this machine, in seconds.

    Returns:
        `(compiling, each)`: to compile the training program, and for a step of it.
    """
    model = rules.build(seed=0)
    rows = np.random.default_rng(0).uniform(-1, 1, (rules.batch_size, *rules.x_shape))
    feed = PairedBatches(rows.astype("float32"), rules.batch_size)
    (data,) = feed.across_epochs(0, min(feed.chunk, rules.steps))
    begun = time.perf_counter()
    float(model.advance(*data)["loss"])
    compiled = time.perf_counter()
    float(model.advance(*data)["loss"])
    each = (time.perf_counter() - compiled) / int(data[-1])
    return compiled - begun, each


def training_seconds(rules, members, each):
    """The whole training's seconds. Steps of images use all cores, those of tables one."""
    at_a_time = min(members, cores()) if len(rules.x_shape) == 1 else 1
    return math.ceil(members / at_a_time) * rules.steps * each


def column_decisions(preprocessor):
    """A frame of "column", "kind", "features" and "reason"; None for images."""
    groups = preprocessor.groups
    if not groups:
        return None
    if hasattr(preprocessor, "column_table"):
        return preprocessor.column_table()
    vocabularies = getattr(preprocessor, "vocabularies", {})
    gaps = dict(zip(preprocessor.numeric, getattr(preprocessor, "gaps", ()), strict=False))
    rows = []
    for name, places in groups.items():
        if name in vocabularies:
            reason = f"text, {len(vocabularies[name])} values"
        else:
            reason = "numbers, some missing" if gaps.get(name) else "numbers"
        kind = "category" if name in vocabularies else "number"
        rows.append((name, kind, len(places), reason))
    return pd.DataFrame(rows, columns=["column", "kind", "features", "reason"])


def columns_table(columns):
    """The decisions as a `rich.table.Table`."""
    table = Table("column", "kind", "features", "reason", title="Columns", title_justify="left")
    for row in columns.head(MOST_COLUMNS).itertuples(index=False):
        table.add_row(*(Text(as_is(cell, 120)) for cell in row))
    if len(columns) > MOST_COLUMNS:
        counts = columns["kind"].iloc[MOST_COLUMNS:].value_counts()
        rest = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        table.add_row(f"... and {len(columns) - MOST_COLUMNS} more", rest, "", "")
    return table
