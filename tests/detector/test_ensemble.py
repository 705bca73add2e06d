"""The ensemble's scores: the paper's with one member, and the combination against NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import norm
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from tiny import tiny_data, tiny_image_model, tiny_model

from alad_tf.detector.defaults import rules_for
from alad_tf.detector.ensemble import (
    COMBINED,
    LEARNT,
    NEARNESS,
    TABLES,
    Ensemble,
    combination_for,
)
from alad_tf.detector.members import train_members
from alad_tf.detector.spaces import KNOTS
from alad_tf.detector.threshold import by_false_alarms
from alad_tf.model.scorer import Scorer
from alad_tf.model.scores import SCORES


@pytest.fixture(scope="module")
def x():
    return tiny_data(200)


@pytest.fixture(scope="module")
def members(x):
    models = [tiny_model(seed) for seed in (0, 1)]
    train_members(models, x, 32, steps=60)
    return [Scorer.from_alad(model) for model in models]


@pytest.fixture(scope="module")
def other():
    generator = np.random.default_rng(9)
    return np.concatenate([tiny_data(30, seed=4), generator.normal(size=(40, 6)) * 3]).astype("f4")


def test_one_member_has_the_papers_scores(members, x, other):
    found = Ensemble.of(members[:1], x).scores(other)
    expected = members[0].scores(other)
    for name in SCORES:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6)


def normal_scores(x, rows):
    """Columns' normal scores by SciPy: at mid-ranks, linear between, with their slope outside."""
    found = []
    for column in range(x.shape[1]):
        values, times = np.unique(x[:, column], return_counts=True)
        score = norm.ppf((np.cumsum(times) - times / 2) / len(x))
        wanted = norm.cdf(np.linspace(score[0], score[-1], KNOTS))
        picked = np.searchsorted((np.cumsum(times) - times / 2) / len(x), wanted)
        picked = np.unique([0, *picked.clip(0, len(values) - 1), len(values) - 1])[-KNOTS:]
        picked[0] = 0
        given = rows[:, column]
        outside = given - given.clip(values[0], values[-1])
        inside = np.interp(given, values[picked], score[picked])
        found.append(inside + outside / x[:, column].std())
    return np.stack(found, 1)


def _views(x, rows):
    """Rows in the spaces that do not come from training."""
    own, found = normal_scores(x, x), normal_scores(x, rows)
    standard = (found - own.mean(0)) / own.std(0)
    values, vectors = np.linalg.eigh(LedoitWolf().fit((own - own.mean(0)) / own.std(0)).covariance_)
    return {
        "x": rows,
        "normal scores": standard,
        "relations": standard @ (vectors / np.sqrt(values)),
        "ranks": norm.cdf(found),
        "tails": -np.log(2 * norm.sf(abs(found))).sum(1),
    }


def _terms(member, x, rows, k, local):
    """By space the log-distances of rows (None: of x itself, a row not its own neighbour)."""
    given = x if rows is None else rows
    views, kept, found = _views(x, given), _views(x, x), {}
    found["tails"] = views["tails"], None
    found["l2"] = np.linalg.norm(given - member.reconstruct(given), axis=1), None
    learnt = {
        "E(x)": lambda a: member.E(tf.constant(a)).numpy(),
        "f_xx(x, x)": lambda a: member.D_xx(tf.constant(a), tf.constant(a))[1].numpy(),
    }
    for name, space in learnt.items():
        model = NearestNeighbors(n_neighbors=k).fit(space(x).astype("float64"))
        wanted = None if rows is None else space(rows).astype("float64")
        found[name] = model.kneighbors(wanted)[0].mean(1), None
    for name in ("x", "normal scores", "relations", "ranks"):
        model = NearestNeighbors(n_neighbors=k).fit(kept[name].astype("float64"))
        own = model.kneighbors()[0].mean(1)
        distance, near = model.kneighbors(None if rows is None else views[name].astype("float64"))
        found[name] = distance.mean(1), own[near].mean(1) if local else None
    return found


def test_cross_scores_are_those_of_ensembles_without_the_row(members):
    x, every = tiny_data(12), np.arange(12)
    found = Ensemble.cross_scores(members, x, folds=12)
    for row in every:
        others = x[every != row]
        alone = Ensemble.of(members[:1], others, combination=combination_for((6,), 12))
        np.testing.assert_allclose(
            found[row], alone.scores(x[[row]])[COMBINED][0], rtol=1e-5, atol=1e-5
        )


def test_cross_scores_are_for_scores_without_networks(members, x):
    with pytest.raises(ValueError, match="Hold rows out instead"):
        Ensemble.cross_scores(members, x, keep="none")


def _heavy(generator, rows):
    return generator.standard_t(2, size=(rows, 6))


def _clusters(generator, rows):
    centers = 4 * np.random.default_rng(5).normal(size=(4, 6))
    return centers[generator.integers(0, 4, rows)] + generator.normal(size=(rows, 6))


def _wide(generator, rows):
    return generator.normal(size=(rows, 150))


@pytest.mark.slow
@pytest.mark.parametrize("draw", [_heavy, _clusters, _wide])
def test_cross_scores_keep_the_rate_of_false_alarms(draw):
    """Twelve tables of 79 rows and a budget of 5%: 4 / 80 of new rows are flagged on average."""
    rates = []
    for seed in range(12):
        generator = np.random.default_rng(seed)
        train, new = (draw(generator, n).astype("float32") for n in (79, 400))
        models = rules_for(train.shape[1:], len(train)).build_members(1, 0)
        scorers = [Scorer.from_alad(model) for model in models]
        threshold = by_false_alarms(Ensemble.cross_scores(scorers, train), 0.05)
        rates.append(threshold.flags(Ensemble.of(scorers, train).scores(new)[COMBINED]).mean())
    # each rate is about Beta(4, 76) distributed: the mean of twelve has a deviation of 0.007
    assert np.mean(rates) < 0.05 + 3 * 0.007
    assert np.mean(rates) > 0.05 - 3 * 0.007 - 0.015  # fewer: a row lacks a fifth of the others


@pytest.mark.parametrize(("columns", "networks"), [(6, 0), (6, 0.1), (40, 0)])
def test_the_combination_is_the_documented_one(columns, networks):
    """For a table, for one of more columns than rows, and with a part for the networks."""
    if columns == 6:
        x, far = tiny_data(200), np.random.default_rng(9).normal(size=(40, 6)) * 3
        model = tiny_model(0)
        weights = {"x": 0.5, "normal scores": 0.2, "relations": 0.2, "tails": 0.1}
    else:
        x = np.random.default_rng(0).normal(size=(30, 40)).astype("f4")
        far = np.random.default_rng(9).normal(size=(20, 40)) * 2
        model = rules_for((40,), 30).build(0)
        weights = {"x": 1 / 3, "ranks": 2 / 3}
    combination = None
    if networks:
        weights = {name: (1 - networks) * weight for name, weight in weights.items()}
        weights |= dict.fromkeys(("l2", "E(x)", "f_xx(x, x)"), networks / 3)
        combination = {"weights": weights, "neighbours": 3, "local": 1 / 3, "soft": True}
    assert sum(weights.values()) == pytest.approx(1)
    member, other = Scorer.from_alad(model), np.concatenate([x[:10] + 0.1, far]).astype("f4")
    inside, outside = (_terms(member, x, rows, 3, local=True) for rows in (None, other))
    terms = []
    for name in weights:
        (ours, beside), (theirs, around) = inside[name], outside[name]
        floor = 0.1 * np.median(ours) + 1e-6
        logs, new = np.log(ours + floor), np.log(theirs + floor)
        if beside is not None:
            logs, new = logs - np.log(beside + floor) / 3, new - np.log(around + floor) / 3
        terms.append(np.maximum((new - logs.mean()) / logs.std(), -3))
    shares = np.array([*weights.values()])
    expected = np.log(shares @ np.exp(terms)) if columns == 6 else shares @ terms
    found = Ensemble.of([member], x, combination=combination).scores(other)[COMBINED]
    np.testing.assert_allclose(found, expected, atol=0.02)  # Mills' ratio, within a hundredth
    assert found.std() > 0.5


def test_a_broken_relation_is_far_off():
    """A total that is not price times quantity, each of them as usual by itself."""
    generator = np.random.default_rng(0)
    price, count = generator.lognormal(3, 1, 900), generator.geometric(0.3, 900)
    rows = np.stack([price, count, price * count], 1)
    wrong = rows[800:].copy()
    wrong[:, 2] *= generator.choice([0.5, 1.7], 100)
    center, spread = rows[:800].mean(0), rows[:800].std(0)
    x, normal, wrong = (
        ((a - center) / spread).astype("f4") for a in (rows[:800], rows[800:], wrong)
    )
    ensemble = Ensemble.of([Scorer.from_alad(rules_for((3,), 800).build(0))], x)
    scores = [ensemble.scores(a)[COMBINED] for a in (normal, wrong)]
    labels = np.repeat([0, 1], 100)
    found = roc_auc_score(labels, np.concatenate(scores))
    near = NearestNeighbors(n_neighbors=5).fit(x)
    plain = [near.kneighbors(a)[0].mean(1) for a in (normal, wrong)]
    plain = roc_auc_score(labels, np.concatenate(plain))
    assert found > 0.95 and found > plain + 0.1, (found, plain)


def test_several_members_share_one_reconstruction(members, x, other):
    both = Ensemble.of(members, x)
    mean = np.mean([m.reconstruct(other) for m in members], 0)
    np.testing.assert_allclose(both.reconstruct(other), mean, atol=1e-5)
    scores = both.scores(other)
    np.testing.assert_allclose(scores["l1"], abs(other - mean).sum(1), rtol=1e-5)
    features = [m.compare(tf.constant(other), tf.constant(mean))["features"] for m in members]
    np.testing.assert_allclose(scores["features"], np.mean(features, 0), rtol=1e-4)


@pytest.mark.xla
def test_rows_score_alike_in_any_company_and_order(members, x, other):
    ensemble = Ensemble.of(members, x)
    whole = ensemble.scores(other)
    large = ensemble.scores(np.tile(other, (60, 1)))
    order = np.random.default_rng(0).permutation(len(other))
    shuffled = ensemble.scores(other[order])
    for name, values in whole.items():
        np.testing.assert_array_equal(ensemble.scores(other[7:8])[name], values[7:8])
        np.testing.assert_array_equal(large[name], np.tile(values, 60))
        np.testing.assert_array_equal(shuffled[name], values[order])


@pytest.mark.xla
def test_ensembles_that_share_a_program_keep_their_own_weights(members, x, other):
    first, second = Ensemble.of(members[:1], x), Ensemble.of(members[1:], x)
    assert first.program_key() == second.program_key()
    before = first.scores(other)
    assert not np.array_equal(second.scores(other)["l2"], before["l2"])
    for name, values in first.scores(other).items():
        np.testing.assert_array_equal(values, before[name])
    gradients = [e.gradient_of("l2")(tf.constant(other), 0 * other)[1] for e in (first, second)]
    np.testing.assert_allclose(*gradients, atol=1e-6)  # of ||x - 0||: the same for both
    values = [e.gradient_of("features")(tf.constant(other), 0 * other)[0] for e in (first, second)]
    assert not np.allclose(*values)


def test_rows_that_are_all_alike_have_finite_scores(members):
    x = np.repeat(tiny_data(1), 40, axis=0)
    scores = Ensemble.of(members[:1], x).scores(np.concatenate([x[:2], x[:2] + 1]))
    assert all(np.isfinite(values).all() for values in scores.values())
    assert scores[COMBINED][2] > scores[COMBINED][0]


def test_a_single_row_can_be_the_reference(members, x):
    assert np.isfinite(Ensemble.of(members[:1], x[:1]).scores(x[:3])[COMBINED]).all()


def test_many_rows_are_thinned_by_the_seed(members, monkeypatch, x):
    monkeypatch.setattr("alad_tf.detector.ensemble.MOST_ROWS", 50)
    monkeypatch.setattr("alad_tf.detector.ensemble.FEWEST_ROWS", 10)
    kept = [Ensemble.of(members[:1], x, seed).rows.numpy()[:50] for seed in (0, 0, 1)]
    assert kept[0].shape == (50, 6)
    np.testing.assert_array_equal(kept[0], kept[1])
    assert not np.array_equal(kept[0], kept[2])
    assert {tuple(row) for row in kept[0]} <= {tuple(row) for row in x}


def test_images_have_no_nearness_of_pixels():
    x = np.random.default_rng(0).uniform(-1, 1, (12, 8, 8, 2)).astype("float32")
    ensemble = Ensemble.of([Scorer.from_alad(tiny_image_model())], x)
    assert list(ensemble.weights_of) == ["l2", "E(x)", "f_xx(x, x)"]
    scores = ensemble.scores(x)
    assert scores[COMBINED].shape == (12,)
    np.testing.assert_array_equal(ensemble.scores(x[3:4])[COMBINED], scores[COMBINED][3:4])


def test_a_twin_with_its_state_has_its_scores(members, x, other, tmp_path):
    ensemble = Ensemble.of(members, x)
    ensemble.write_state(tmp_path)
    twin = Ensemble(**ensemble.architecture())
    twin.read_state(tmp_path)
    for name, values in ensemble.scores(other).items():
        np.testing.assert_array_equal(twin.scores(other)[name], values)


def test_members_of_two_architectures_are_refused(members, x):
    odd = Scorer.from_alad(tiny_model(0), block=128)
    with pytest.raises(ValueError, match="members of several architectures; expected only one"):
        Ensemble.of([members[0], odd], x)


def test_columns_of_two_values_take_no_local_distance_off(members):
    x, new = tiny_data(90), tiny_data(20, seed=2)
    for some in (x, new):
        some[:, 4:] = some[:, 4:] > 0.3
    variances = x.var(0)
    share = variances[:4].sum() / variances.sum()
    combination = combination_for((6,), 90)
    found = Ensemble.of(members[:1], x, combination=combination)
    named = {**combination, "local": share / 3, "graded": False}
    expected = Ensemble.of(members[:1], x, combination=named)
    np.testing.assert_allclose(found.combined(new), expected.combined(new), rtol=1e-5)
    other = Ensemble.of(members[:1], (x > 0.3).astype("f4"), combination=combination)
    assert not other.shares.numpy().any() and other.program_key() == found.program_key()
    found.save_own_variables(store := {})
    other.load_own_variables(store)
    np.testing.assert_array_equal(other.combined(new), found.combined(new))


def test_tables_of_other_lengths_share_a_program(members):
    """300 and 400 rows have 512 places; what fills them is nobody's neighbour, nor in the mean."""
    weights = {**TABLES, **dict.fromkeys(LEARNT, 0.1)}
    combination = {"weights": weights, "neighbours": 3, "local": 0.2}
    ensembles = [
        Ensemble.of(members[:1], tiny_data(rows) + 100, combination=combination)
        for rows in (300, 400)
    ]
    assert ensembles[0].program_key() == ensembles[1].program_key()
    assert [ensemble.rows.shape[0] for ensemble in ensembles] == [512, 512]
    rows = np.concatenate([tiny_data(9, seed=2) + 100, np.zeros((1, 6), "f4")])
    for count, ensemble in zip((300, 400), ensembles, strict=True):
        reference = tiny_data(count) + 100
        found, around = ensemble._distances(tf.constant(rows), tf.constant(rows))
        found = dict(zip(ensemble.weights_of, found.numpy()[0], strict=True))
        wanted = _terms(members[0], reference, rows, 3, local=True)
        for name in ("E(x)", "f_xx(x, x)", *(n for n in NEARNESS if n in ensemble.weights_of)):
            np.testing.assert_allclose(found[name], wanted[name][0], rtol=1e-3, err_msg=name)
        whole = ensemble.scores(reference)[COMBINED]
        np.testing.assert_array_equal(ensemble.scores(reference[5:6])[COMBINED], whole[5:6])


@pytest.mark.parametrize("networks", [False, True])
@pytest.mark.parametrize("rows", [4, 300])
def test_files_hold_the_kept_rows_alone(members, tmp_path, rows, networks):
    import h5py

    combination = combination_for((6,), rows)
    if networks:
        combination["weights"] |= dict.fromkeys(LEARNT, 0.1)
    ensemble = Ensemble.of(members, tiny_data(rows), combination=combination)
    ensemble.write_state(tmp_path)
    (path,) = tmp_path.iterdir()
    with h5py.File(path) as file:
        shapes = [file["vars"][str(index)].shape for index in range(len(file["vars"]))]
    parts = len(combination["weights"])
    spaces = [(2, 6, KNOTS), (3, 6), *([(6, 6)] if rows > 6 else [])]
    learnt = [(rows, 3), (rows, 8)] * 2 if networks else []  # what each of two members thinks
    assert shapes == [(rows, 6), *learnt, (3, 2 if networks else 1, parts), *spaces]
    twin = Ensemble(**{**ensemble.architecture(), "rows": rows + 1})
    with pytest.raises(ValueError, match="does not contain the weights of this architecture"):
        twin.read_state(tmp_path)


def test_training_rows_score_as_rows_that_did_not_train(members):
    """So that a detector's verdicts on its own rows mean something: none is its own neighbour."""
    x = np.random.default_rng(0).normal(size=(400, 6)).astype("f4")
    ensemble = Ensemble.of(members[:1], x[:200])
    own, new = (ensemble.scores(part)[COMBINED] for part in (x[:200], x[200:]))
    assert 0.4 < (own[:, None] < new).mean() < 0.6
    shifted = ensemble.scores(x[:200] + 1e-3)[COMBINED]  # hardly moved: now it has a neighbour
    assert (shifted < own).mean() > 0.9


def test_anomalies_among_the_rows_do_not_make_others_look_normal(members):
    """A twentieth of the rows lies in a cluster, and so do the anomalies in question."""
    generator = np.random.default_rng(0)
    odd = (6 + 2 * generator.normal(size=(60, 6))).astype("float32")
    x = np.concatenate([tiny_data(190), odd[:10]])
    test = np.concatenate([tiny_data(100, seed=4), odd[10:]])
    aurocs = {}
    for contaminated in (False, True):
        combination = combination_for((6,), len(x), contaminated=contaminated)
        ensemble = Ensemble.of(members[:1], x, combination=combination)
        # rows that trained are scored as they were when the distances were calibrated
        parts = ensemble.parts(tf.constant(x), tf.constant(x)).numpy()
        np.testing.assert_allclose(parts.mean(1), 0, atol=0.02)
        np.testing.assert_allclose(parts.std(1), 1, atol=0.02)
        aurocs[contaminated] = roc_auc_score(np.arange(150) >= 100, ensemble.scores(test)[COMBINED])
        twin = Ensemble(**ensemble.architecture())
        twin.set_weights(ensemble.get_weights())
        np.testing.assert_array_equal(twin.scores(test)[COMBINED], ensemble.scores(test)[COMBINED])
    assert aurocs[True] > aurocs[False] + 0.02
    # without kept rows there are none that could be far from others
    assert combination_for((6,), 90, "none", True) == combination_for((6,), 90, "none")
