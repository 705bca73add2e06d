"""Expected values: of the training rows' range, near the truth, and reasons that rest on them."""

import numpy as np
import pytest

import zoo
from alad_tf import ALADDetector
from alad_tf.data import split
from alad_tf.detector.detector import Detector
from alad_tf.detector.ensemble import Ensemble
from alad_tf.detector.expected import NEIGHBOURS, expected_of
from alad_tf.detector.explain import MOST_CHANGED, ORDINARY
from alad_tf.model.scorer import Scorer
from alad_tf.model.specs import dense
from alad_tf.preprocess import MixedPreprocessor

KEEPS = ("rows", "centroids", "none")


def orders(count, seed):
    """Orders whose total is price times quantity, and whose freight depends on the country."""
    generator = np.random.default_rng(seed)
    quantity = generator.geometric(0.25, count).astype(float)
    price = np.exp(generator.normal(3, 0.8, count)).round(2)
    country = generator.choice(["DE", "FR", "IT"], count, p=[0.5, 0.3, 0.2])
    base = np.array([{"DE": 4.0, "FR": 8.0, "IT": 12.0}[one] for one in country])
    weight = (quantity * generator.lognormal(0, 0.2, count)).round(2)
    age = generator.normal(40, 12, count).clip(18, 90).round()
    return {
        "quantity": quantity,
        "price": price,
        "total": (price * quantity).round(2),
        "weight": weight,
        "country": country,
        "freight": (base + 0.8 * weight + generator.normal(0, 0.2, count)).round(2),
        "age": np.where(generator.random(count) < 0.1, np.nan, age),
    }


def detector_of(table, keep="rows", combination=None):
    """A detector of untrained networks, which have no part in the combined score of tables."""
    preprocessor = MixedPreprocessor().fit(table)
    x = preprocessor.transform(table)
    layers = {"E": [dense(2)], "G": [dense(x.shape[1])], "D_xx": [dense(4, "lrelu"), dense(1)]}
    scorer = Scorer(layers, x.shape[1:], latent_dim=2)
    return Detector(preprocessor, Ensemble.of([scorer], x, 0, keep, combination))


@pytest.fixture(scope="module")
def train():
    return orders(500, 0)


@pytest.fixture(scope="module")
def detectors(train):
    return {keep: detector_of(train, keep) for keep in KEEPS}


@pytest.fixture(scope="module")
def breast(breast_cancer):
    """Benign rows that train, and others."""
    rows = split("breast_cancer", breast_cancer.is_anomaly, seed=42)
    x, fresh = np.asarray(breast_cancer.x), rows.test[~breast_cancer.is_anomaly[rows.test]]
    return x[rows.train], x[fresh]


def require_in_range(expected, table):
    for name, values in expected.items():
        known = np.asarray(table[name])
        if known.dtype.kind in "OU":
            assert set(values) <= set(known)
        else:
            slack = 1e-6 * np.nanstd(known)  # samples are float32
            assert np.nanmin(known) - slack <= values.min()
            assert values.max() <= np.nanmax(known) + slack


@pytest.mark.parametrize("keep", KEEPS)
def test_expected_values_are_in_the_training_rows_range(detectors, train, keep):
    """Of records that are as odd as can be: extreme, negative, with gaps and unknown categories."""
    detector, odd = detectors[keep], orders(30, 1)
    for place, name in enumerate(("quantity", "price", "total", "weight", "freight")):
        odd[name][place::6] = [-3.5, 1e9, 0, -1e300, np.nan]
    odd["country"] = np.where(np.arange(30) % 5 == 0, "XX", odd["country"])
    for score in ("combined", "l2") if keep == "rows" else ("combined",):
        explanation = detector.explain(odd, score)
        require_in_range(explanation.expected, train)
        assert np.isfinite(explanation.attributions).all()


def planted(table, name, seed):
    """The table with one column's values moved far to either side, or to another category."""
    generator, values = np.random.default_rng(seed), np.asarray(table[name])
    if values.dtype.kind in "OU":
        others = {one: sorted(set(values) - {one}) for one in set(values)}
        return {**table, name: np.array([generator.choice(others[one]) for one in values])}
    sides = generator.choice([-1, 1], len(values)) * generator.uniform(4, 10, len(values))
    return {**table, name: values + sides * np.nanstd(values)}


@pytest.mark.parametrize("keep", KEEPS)
def test_expected_values_are_nearer_to_the_truth_than_the_median(detectors, train, keep):
    """Of planted faults in one column of rows that did not train."""
    detector, fresh = detectors[keep], orders(80, 2)
    for name in ("quantity", "total", "weight", "freight"):
        expected = detector.explain(planted(fresh, name, 3)).expected[name]
        errors = abs(expected - fresh[name])
        at_median = abs(np.median(train[name]) - fresh[name])
        assert errors.mean() < 0.7 * at_median.mean()
        assert (errors < at_median).mean() > 0.6
    if keep == "rows":
        expected = detector.explain(planted(fresh, "country", 4)).expected["country"]
        commonest = (fresh["country"] == "DE").mean()
        assert (expected == fresh["country"]).mean() > max(commonest, 0.8)


def test_expected_values_of_a_real_table(breast):
    train, fresh = breast
    table = {f"x{i}": column for i, column in enumerate(train.T)}
    detector, generator = detector_of(table), np.random.default_rng(0)
    fresh = fresh[:120]
    rows, columns = np.arange(len(fresh)), generator.integers(0, 30, len(fresh))
    spread = train.std(0)[columns]
    faulty = fresh.copy()
    faulty[rows, columns] += generator.choice([-1, 1], len(fresh)) * 6 * spread
    explanation = detector.explain(faulty)
    expected = np.stack(list(explanation.expected.values()), 1)
    require_in_range(explanation.expected, table)
    errors = abs(expected - fresh)[rows, columns] / spread
    at_median = abs(np.median(train, 0) - fresh)[rows, columns] / spread
    assert errors.mean() < 0.7 * at_median.mean() and (errors < at_median).mean() > 0.7
    assert (explanation.attributions.argmax(1) == columns).mean() > 0.9


def test_a_detector_without_kept_rows_projects_its_reconstruction(breast):
    train, fresh = breast
    detector = zoo.load("breast_cancer_alad")
    names = detector.preprocessor.feature_names
    faulty = fresh[:40] + 20 * train.std(0)
    explanation = detector.explain(faulty)
    require_in_range(explanation.expected, dict(zip(names, train.T, strict=True)))
    raw = detector.preprocessor.decode(detector.reconstruct(faulty))
    least, most = train.min(0), train.max(0)
    inside = [(least[k] < raw[n]) & (raw[n] < most[k]) for k, n in enumerate(names)]
    assert 0 < np.mean(inside) < 1
    for name, one in zip(names, inside, strict=True):
        np.testing.assert_allclose(explanation.expected[name][one], raw[name][one], rtol=1e-6)


def test_detectors_of_earlier_versions_have_the_rule(train):
    """They know rows, but no quantiles of columns."""
    weights = {"l2": 0.25, "mean": 0.25, "x": 0.5}
    detector = detector_of(train, combination={"weights": weights, "neighbours": 5, "local": 0.0})
    assert detector.scorer.knots is None
    fresh = orders(20, 2)
    explanation = detector.explain(planted(fresh, "total", 3))
    require_in_range(explanation.expected, train)
    at_median = abs(np.median(train["total"]) - fresh["total"])
    assert abs(explanation.expected["total"] - fresh["total"]).mean() < 0.7 * at_median.mean()


def test_a_kept_row_is_not_its_own_neighbour(train):
    """Not even where it is there more than once: the report explains rows that trained."""
    table = {name: values.copy() for name, values in train.items()}
    for row in range(NEIGHBOURS):
        for values in table.values():
            values[row] = values[0]
        table["price"][row] = 5000.0
    expected = detector_of(table).explain({k: v[:1] for k, v in table.items()}).expected
    assert expected["price"][0] < 1000


def test_few_rows_are_enough():
    table = {"size": np.array([1.0, 2.0, 4.0]), "kind": np.array(["a", "a", "b"])}
    detector = detector_of(table)
    explanation = detector.explain({"size": [90.0, 1.0], "kind": ["a", "b"]})
    require_in_range(explanation.expected, table)
    assert explanation.expected["size"][1] == pytest.approx(2.0)


def test_attributions_of_the_combined_score_add_up(detectors):
    detector, fresh = detectors["rows"], orders(40, 2)
    faulty = planted(planted(fresh, "total", 3), "age", 5)
    explanation = detector.explain(faulty)
    np.testing.assert_array_equal(explanation.scores, detector.anomaly_score(faulty))
    total = explanation.attributions.sum(1)
    np.testing.assert_allclose(total, explanation.scores - explanation.baseline, atol=1e-5)
    assert (explanation.attributions >= 0).all() and (total > 0).mean() > 0.9
    changed = (explanation.attributions > 0).sum(1)
    assert changed.max() <= MOST_CHANGED
    # as many are ordinary as were before the faults, without changing more columns than that takes
    before = (detector.anomaly_score(fresh) <= ORDINARY).mean()
    assert (explanation.baseline <= ORDINARY).mean() >= before - 0.1 and changed.mean() < 3
    # what is left out of the reasons adds nothing
    assert [len(explanation.top(row, 7)) for row in range(40)] == changed.tolist()


def test_the_baseline_is_the_score_of_the_record_put_right(detectors):
    """With one fault and one reason: the same record with the expected value has this score."""
    detector, fresh = detectors["rows"], orders(30, 2)
    explanation = detector.explain(planted(fresh, "freight", 3))
    place = explanation.columns.index("freight")
    others = np.delete(explanation.attributions, place, 1)
    rows = np.flatnonzero((explanation.attributions[:, place] > 0) & (others == 0).all(1))
    assert len(rows) > 15
    expected = expected_of(detector)(detector.preprocessor.transform(planted(fresh, "freight", 3)))
    right = {**fresh, "freight": detector.preprocessor.decode(expected)["freight"]}
    found = detector.anomaly_score(right)[rows]
    np.testing.assert_allclose(found, explanation.baseline[rows], atol=1e-3)


@pytest.mark.parametrize("names", [("weight",), ("age", "price"), ("country",)])
def test_values_that_are_news_share_the_score(detectors, names):
    """A gap where none was, a category never seen: the largest score there is, whatever else."""
    record = {name: values[:2].copy() for name, values in orders(2, 2).items()}
    for name in names:
        record[name] = np.array(["XX", "XX"] if name == "country" else [-1e300, 1e300])
    explanation = detectors["rows"].explain(record)
    places = [explanation.columns.index(name) for name in names]
    shares = explanation.attributions[:, places]
    assert (shares == shares[:, :1]).all() and (shares > 1e30).all()
    assert (np.delete(explanation.attributions, places, 1) < 10).all()
    assert (explanation.baseline < 10).all()


def test_a_record_is_explained_alike_in_any_company(detectors):
    faulty = planted(orders(50, 2), "total", 3)
    whole = detectors["rows"].explain(faulty)
    few = detectors["rows"].explain({name: values[40:43] for name, values in faulty.items()})
    np.testing.assert_allclose(few.attributions, whole.attributions[40:43], rtol=1e-4, atol=1e-5)
    for name, values in few.expected.items():
        assert values.tolist() == whole.expected[name][40:43].tolist()


def test_expected_dates_are_dates_of_the_training_rows():
    """A delivery follows its order; one that is long before it is expected some days after."""

    def deliveries(count, seed):
        generator = np.random.default_rng(seed)
        hours = generator.integers(0, 365 * 24, count)
        ordered = np.datetime64("2024-01-01T00:00:00") + hours.astype("timedelta64[h]")
        days = (1 + generator.gamma(4, 1, count)) * 86400
        delivered = ordered + days.astype("timedelta64[s]")
        return {"ordered": ordered, "delivered": delivered, "price": generator.gamma(2, 9, count)}

    train, fresh = deliveries(400, 0), deliveries(30, 1)
    early = {**fresh, "delivered": fresh["ordered"] - np.timedelta64(40, "D")}
    explanation = detector_of(train).explain(early)
    first = explanation.attributions.argmax(1)
    assert set(np.array(explanation.columns)[first]) <= {"ordered", "delivered"}
    expected = explanation.expected["delivered"].astype("datetime64[s]")
    assert (train["delivered"].min() <= expected).all() and (
        expected <= train["delivered"].max()
    ).all()
    median = np.sort(train["delivered"])[len(train["delivered"]) // 2]
    changed = first == explanation.columns.index("delivered")
    assert changed.sum() > 5
    off = abs(expected - fresh["delivered"])[changed]
    assert off.mean() < 0.5 * abs(median - fresh["delivered"])[changed].mean()


def test_a_changed_training_row_is_no_neighbour_of_itself():
    """A small change of an odd training row does not make it look normal."""
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(120, 4))
    rows[:3] += 5  # odd ones among the training rows
    detector = ALADDetector(steps=2, n_members=1).fit(rows).detector_
    x = detector.preprocessor.transform(rows[:3])
    scorer = detector.scorer
    own = scorer.own_rows(x)
    assert own.tolist() == [0, 1, 2]
    assert scorer.own_rows(x + 0.01).tolist() == [-1, -1, -1]
    np.testing.assert_allclose(
        scorer.combined(x, own), detector.scores_of(x)["combined"], rtol=1e-4
    )
    near = x + np.float32(0.01)
    alone = [
        Ensemble.of(scorer.members, detector.preprocessor.transform(np.delete(rows, row, 0)))
        for row in range(3)
    ]
    expected = [one.scores(near[[row]])["combined"][0] for row, one in enumerate(alone)]
    # quantiles and spreads still know the row; its distances do not
    without, naive = scorer.combined(near, own), detector.scores_of(near)["combined"]
    assert (naive < without - 0.5).all()
    assert (np.abs(without - expected) < 0.5 * np.abs(naive - expected)).all()
    explanation = detector.explain(rows[:3])
    for row in range(3):
        for reason in explanation.top(row):
            assert abs(reason["observed"] - reason["expected"]) > 0.1
