"""The ensemble's scores: the paper's with one member, and the combination against NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.neighbors import NearestNeighbors
from tiny import tiny_data, tiny_image_model, tiny_model

from alad_tf.detector.ensemble import COMBINED, Ensemble
from alad_tf.detector.members import train_members
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


def _nearest(model, rows):
    return model.kneighbors(rows)[0].mean(1) if rows is not None else model.kneighbors()[0].mean(1)


def _distances(member, x, rows):
    """The distances of rows (None: of x itself, a row not its own neighbour)."""
    given = x if rows is None else rows
    spaces = [
        lambda a: member.E(tf.constant(a)).numpy(),
        lambda a: member.D_xx(tf.constant(a), tf.constant(a))[1].numpy(),
        lambda a: a,
    ]
    found = [np.linalg.norm(given - member.reconstruct(given), axis=1)]
    found.append(np.linalg.norm(given - x.mean(0), axis=1))
    for space in spaces:
        model = NearestNeighbors(n_neighbors=5).fit(space(x).astype("float64"))
        found.append(_nearest(model, None if rows is None else space(rows).astype("float64")))
    return found


def test_the_combination_is_the_documented_one(members, x, other):
    expected = 0
    weights = (1 / 8, 1 / 8, 1 / 8, 1 / 8, 1 / 2)
    inside, outside = _distances(members[0], x, None), _distances(members[0], x, other)
    for weight, ours, theirs in zip(weights, inside, outside, strict=True):
        floor = 0.1 * np.median(ours) + 1e-6
        logs = np.log(ours + floor)
        standardised = (np.log(theirs + floor) - logs.mean()) / logs.std()
        expected = expected + weight * np.maximum(standardised, -3)
    found = Ensemble.of(members[:1], x).scores(other)[COMBINED]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert found.std() > 0.5


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
    with pytest.raises(ValueError, match="one architecture"):
        Ensemble.of([members[0], odd], x)


def test_tables_of_other_lengths_share_a_program(members):
    """300 and 400 rows have 512 places; what fills them is nobody's neighbour, nor in the mean."""
    ensembles = [Ensemble.of(members[:1], tiny_data(rows) + 100) for rows in (300, 400)]
    assert ensembles[0].program_key() == ensembles[1].program_key()
    assert [ensemble.rows.shape[0] for ensemble in ensembles] == [512, 512]
    rows = np.concatenate([tiny_data(9, seed=2) + 100, np.zeros((1, 6), "f4")])
    for count, ensemble in zip((300, 400), ensembles, strict=True):
        reference = tiny_data(count) + 100
        found = ensemble._distances(tf.constant(rows), tf.constant(rows)).numpy()[0]
        _, mean, *spaces = _distances(members[0], reference, rows)
        wanted = [spaces[0], spaces[1], mean, spaces[2]]  # the first is ||x - x'||, 0 here
        for ours, theirs in zip(found[1:], wanted, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4)
        whole = ensemble.scores(reference)[COMBINED]
        np.testing.assert_array_equal(ensemble.scores(reference[5:6])[COMBINED], whole[5:6])


@pytest.mark.parametrize("rows", [4, 300])
def test_files_hold_the_kept_rows_alone(members, tmp_path, rows):
    import h5py

    ensemble = Ensemble.of(members, tiny_data(rows))
    ensemble.write_state(tmp_path)
    (path,) = tmp_path.iterdir()
    with h5py.File(path) as file:
        shapes = [file["vars"][str(index)].shape for index in range(len(file["vars"]))]
    assert shapes == [(rows, 6), *[(rows, 3), (rows, 8)] * 2, (3, 2, 5)]
    twin = Ensemble(**{**ensemble.architecture(), "rows": rows + 1})
    with pytest.raises(ValueError, match="does not hold the weights of this architecture"):
        twin.read_state(tmp_path)
