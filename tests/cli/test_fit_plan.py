"""What `alad fit` says before it trains."""

import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from alad_tf.cli import fit_plan
from alad_tf.cli.fit_plan import column_decisions, columns_table, training_seconds
from alad_tf.preprocess import ImagePreprocessor, MixedPreprocessor, VectorPreprocessor


def test_the_decisions_are_those_of_the_preprocessor():
    table = pd.DataFrame({"size": [1.0, None, 3.0], "kind": ["a", "b", "a"]})
    found = column_decisions(MixedPreprocessor().fit(table))
    assert found["column"].tolist() == ["size", "kind"]
    assert found["kind"].tolist() == ["number", "category"]
    assert found["features"].tolist() == [2, 2]
    assert len(column_decisions(VectorPreprocessor().fit(np.eye(3)))) == 3
    assert column_decisions(ImagePreprocessor((8, 8, 1))) is None


def test_a_wide_table_is_cut_and_users_names_are_no_markup():
    names = ["[bold]x\x1b[31m", *(f"c{i}" for i in range(60))]
    columns = pd.DataFrame({"column": names, "kind": "number", "features": 1, "reason": "numbers"})
    console = Console(file=io.StringIO(), width=100)
    console.print(columns_table(columns))
    told = console.file.getvalue()
    assert "... and 21 more" in told and "21 number" in told
    assert r"[bold]x\x1b[31m" in told and "\x1b" not in told


@pytest.mark.parametrize(
    ("shape", "members", "seconds"), [((9,), 1, 10), ((9,), 3, 20), ((8, 8, 1), 3, 30)]
)
def test_members_of_tables_train_side_by_side(monkeypatch, shape, members, seconds):
    monkeypatch.setattr(fit_plan, "cores", lambda: 2)
    rules = SimpleNamespace(x_shape=shape, steps=1000)
    assert training_seconds(rules, members, each=0.01) == pytest.approx(seconds)
