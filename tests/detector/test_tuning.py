"""The search without anomalies: its criterion, its space, and trials that are kept."""

import keras_tuner
import numpy as np
import pytest
from typer.testing import CliRunner

from alad_tf import ALADDetector
from alad_tf.cli import app
from alad_tf.detector.defaults import rules_for
from alad_tf.detector.tuning import ALADHyperModel, TuningData, corrupt, search


@pytest.fixture(scope="module")
def rows():
    """Two columns that are the sum and difference of two others."""
    x = np.random.default_rng(0).normal(size=(120, 2))
    return np.column_stack([x, x.sum(1), x[:, 0] - x[:, 1]]).astype("float32")


def test_corrupted_rows_keep_every_column_and_break_what_belongs_together(rows):
    made = corrupt(rows, np.random.default_rng(1))
    assert made.dtype == np.float32
    changed = made != rows
    np.testing.assert_array_equal(changed.sum(1), 1)  # a quarter of four columns
    assert set(changed.sum(0) > 10) == {True}  # every column gets its turn
    for column in range(4):
        assert set(made[:, column]) <= set(rows[:, column])
    broken = np.abs(made[:, 2] - made[:, 0] - made[:, 1])
    assert np.median(broken[changed[:, :3].any(1)]) > 0.3


def test_corrupted_images_have_a_rectangle_of_another(rows):
    images = np.repeat(np.arange(6.0)[:, None, None, None], 8, 1) * np.ones((1, 1, 12, 2))
    made = corrupt(images, np.random.default_rng(0))
    changed = (made != images).any(-1)
    assert (changed.sum((1, 2)) == 2 * 3).all()
    for row in range(6):
        assert len(np.unique(made[row])) == 2
        places = np.argwhere(changed[row])
        assert (np.ptp(places, axis=0) == (1, 2)).all()


def test_one_sample_has_no_others():
    with pytest.raises(ValueError, match="received 1 sample"):
        corrupt(np.ones((1, 3)), np.random.default_rng(0))


class Residual:
    """A scorer that knows what belongs together."""

    def scores(self, x):
        return {"combined": np.abs(x[:, 2] - x[:, 0] - x[:, 1]) + abs(x[:, 3] - x[:, 0] + x[:, 1])}


class Blind:
    def scores(self, x):
        return {"combined": x[:, 0]}


def test_the_criterion_tells_who_knows_from_who_does_not(rows):
    data = TuningData.split(rows, 0)
    assert (len(data.train), len(data.normal)) == (96, 24)
    assert data.criterion(Residual(), "combined") > 0.99
    assert abs(data.criterion(Blind(), "combined") - 0.5) < 0.1
    seen = {tuple(row) for row in data.train}
    assert not seen & {tuple(row) for row in data.normal}


@pytest.mark.parametrize(("shape", "steps"), [((4,), 300), ((300,), 300), ((16, 16, 1), 1000)])
def test_the_space_holds_the_defaults(shape, steps):
    data = TuningData.split(np.zeros((200, *shape), "float32"), 0)
    values = keras_tuner.HyperParameters()
    rules = ALADHyperModel(data).rules(values)
    assert rules.steps == rules_for(shape, 160).steps == steps
    assert set(values.values) == {"hidden", "latent_dim", "steps", "learning_rate"}


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr("alad_tf.detector.defaults.TABLE_STEPS", 10)
    monkeypatch.setattr("alad_tf.detector.defaults.TABLE_EPOCHS", 1)


@pytest.mark.slow
def test_a_search_goes_on_where_it_stopped(rows, tmp_path, short):
    data, reports = TuningData.split(rows, 0), []
    first = search(data, tmp_path, trials=1, report=lambda *one: reports.append(one))
    found = search(data, tmp_path, trials=2, report=lambda *one: reports.append(one))
    assert [number for number, *_ in reports] == [1, 2]
    assert len(found) == 2 and first[0] in found
    assert found[0][1] >= found[1][1]
    detector = ALADDetector(**{**found[0][0], "steps": 5}, n_members=1).fit(rows)
    assert detector.rules_.latent_dim == found[0][0]["latent_dim"]


@pytest.mark.parametrize(
    ("name", "content"),
    [("oracle", '{"a":'), ("oracle", "{}"), ("trial", ""), ("trial", "[1]"), ("tuner0", "{")],
)
def test_a_damaged_search_is_set_aside(rows, tmp_path, monkeypatch, name, content):
    trained = []

    def fit(self, hp, model, *args, **kwargs):
        trained.append(hp.values)
        return {"corruption_auroc": 0.5}

    monkeypatch.setattr(ALADHyperModel, "fit", fit)
    data = TuningData.split(rows, 0)
    found = search(data, tmp_path, trials=2)
    next(tmp_path.rglob(f"{name}.json")).write_text(content)
    with pytest.warns(UserWarning, match="is damaged .* was renamed to damaged-trials_"):
        again = search(data, tmp_path, trials=2)
    assert len(again) == len(found) == 2 and len(trained) == 4


@pytest.mark.parametrize("other", ["rows", "columns", "score", "seed"])
def test_trials_of_another_search_are_not_taken_up(rows, tmp_path, monkeypatch, other):
    trained = []

    def fit(self, hp, model, *args, **kwargs):
        trained.append(self.data.train.shape)
        return {"corruption_auroc": 0.5}

    monkeypatch.setattr(ALADHyperModel, "fit", fit)
    first = TuningData.split(rows, 0)
    search(first, tmp_path, trials=2)
    search(first, tmp_path, trials=2)
    assert len(trained) == 2  # the same search has them
    wider = TuningData.split(np.tile(rows, 2), 0)
    data = {"rows": TuningData.split(rows + 1, 0), "columns": wider}.get(other, first)
    options = {"score": {"score_name": "l1"}, "seed": {"seed": 1}}.get(other, {})
    search(data, tmp_path, trials=2, **options)
    assert len(trained) == 4
    search(first, tmp_path, trials=2)
    assert len(trained) == 4  # and has them still


def test_a_training_that_diverges_is_the_worst(rows, tmp_path, short):
    values = keras_tuner.HyperParameters()
    values.Fixed("learning_rate", 1e30)
    model = ALADHyperModel(TuningData.split(rows, 0))
    assert model.fit(values, model.build(values)) == {"corruption_auroc": 0.0}


def test_too_little_is_refused(rows, tmp_path):
    with pytest.raises(ValueError, match="received 9 rows to tune on; expected at least ten"):
        TuningData.split(rows[:9], 0)
    with pytest.raises(ValueError, match="expected at least 1"):
        search(TuningData.split(rows, 0), tmp_path, trials=0)


def test_the_command_fits_with_the_best(rows, tmp_path, short):
    np.save(tmp_path / "rows.npy", rows)
    words = ["tune", tmp_path / "rows.npy", "--out", tmp_path / "d", "--trials", 1, "--members", 1]
    result = CliRunner().invoke(app, list(map(str, words)), env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "trial 1/1" in result.output and "The best of 1 trials" in result.output
    assert ALADDetector.load(tmp_path / "d").n_iter_ in (5, 10, 20)
    assert (tmp_path / "d/report/report.md").is_file()
    assert (tmp_path / "d.trials").is_dir()
    # networks have no part in a table's combined score
    assert ALADDetector.load(tmp_path / "d").detector_.score == "features"


def test_a_score_that_no_network_decides_is_not_tuned(rows, tmp_path):
    np.save(tmp_path / "rows.npy", rows)
    words = ["tune", tmp_path / "rows.npy", "--out", tmp_path / "d", "--score", "combined"]
    result = CliRunner().invoke(app, list(map(str, words)), env={"COLUMNS": "200"})
    assert result.exit_code != 0 and "distances to the rows and no network" in str(result.exception)
    assert not (tmp_path / "d.trials").exists()
    with pytest.raises(ValueError, match="Tune 'features'"):
        ALADHyperModel(TuningData.split(rows, 0), "combined")
