"""A record that comes alone: rounding aside its scores, and exactly what they decide."""

import numpy as np
import pandas as pd
import pytest

import zoo
from alad_tf import ALADDetector, Detector
from alad_tf.baselines import IsolationForest
from alad_tf.detector import single
from alad_tf.detector.threshold import Threshold, by_false_alarms
from alad_tf.preprocess import VectorPreprocessor


def raw_table(detector, count):
    """Raw records of a table with named columns."""
    return {
        name: np.asarray(column) for name, column in detector.preprocessor.sample(count).items()
    }


def one(x, place):
    """A single raw record."""
    if isinstance(x, dict):
        return {name: column[place : place + 1] for name, column in x.items()}
    return x[place : place + 1]


def agrees(detector, x, count):
    """Each record alone beside its answers among all."""
    scores, p_values, verdicts = detector.scores(x), detector.p_value(x), detector.predict(x)
    for place in range(count):
        record = one(x, place)
        for name, values in detector.scores(record).items():
            assert values.shape == (1,) and values.dtype == np.float32
            np.testing.assert_allclose(
                values[0], scores[name][place], rtol=single.RTOL, atol=single.ATOL
            )
        assert detector.p_value(record)[0] == p_values[place]
        assert detector.predict(record)[0] == verdicts[place]


@pytest.mark.xla
@pytest.mark.filterwarnings("ignore::UserWarning")  # of categories that are unknown on purpose
@pytest.mark.parametrize(
    "name", ["kdd99_alad", pytest.param("breast_cancer_alad", marks=pytest.mark.slow)]
)
def test_a_record_alone_is_decided_as_among_others(name):
    """Where each record's own score is a held-out one: last bits would decide."""
    detector = zoo.load(name)
    kind = detector.preprocessor.kind
    x = raw_table(detector, 60) if kind == "table" else detector.preprocessor.sample(60)
    detector.set_threshold(by_false_alarms(detector.anomaly_score(x), 0.3))
    agrees(detector, x, 12)
    detector.set_threshold(Threshold(0.0, "flags all", detector.reference[:1]))
    agrees(detector, x, 5)


@pytest.mark.slow
@pytest.mark.xla
def test_an_image_alone_is_decided_as_among_others():
    detector = zoo.load("cifar10_alad", normal_class=4)
    x = detector.preprocessor.sample(40)
    detector.set_threshold(by_false_alarms(detector.anomaly_score(x), 0.3))
    agrees(detector, x, 40)


@pytest.mark.slow
def test_held_out_rows_alone_are_decided_as_among_others():
    """Of an ensemble, with gaps and text."""
    generator, n = np.random.default_rng(0), 60
    table = pd.DataFrame(
        {
            "a": np.where(generator.random(n) < 0.1, np.nan, generator.normal(size=n)),
            "b": generator.normal(size=n),
            "kind": generator.choice(["x", "y"], n),
        }
    )
    detector = ALADDetector(steps=10, n_members=2, random_state=0).fit(table).detector_
    p_values, verdicts = detector.p_value(table)[:20], detector.predict(table)[:20]
    alone = [table.iloc[[place]] for place in range(20)]
    assert [detector.p_value(record)[0] for record in alone] == p_values.tolist()
    assert [detector.predict(record)[0] for record in alone] == verdicts.tolist()
    score = detector.anomaly_score(alone[3])
    records = [alone[3].iloc[0].to_dict(), alone[3].to_dict("list"), alone[3].to_dict("records")]
    for record in records:  # one program, whatever holds the record
        assert detector.anomaly_score(record) == score
    far = table.iloc[[0]].assign(b=1e300)
    assert detector.anomaly_score(far)[0] == np.finfo("float32").max
    with pytest.raises(ValueError, match="infinite"):
        detector.anomaly_score(table.iloc[[0]].assign(b=np.inf))
    with pytest.raises(ValueError, match="missing"):
        detector.anomaly_score(alone[0].drop(columns="b"))


def test_a_trained_models_scorer_takes_the_place_of_the_one_before():
    detector = zoo.load("breast_cancer_alad")
    x = detector.preprocessor.sample(9)
    before = detector.anomaly_score(x[:1])
    model = detector.model
    for variable in model.trainable_variables:
        variable.assign(variable * 1.1)
    for averages in (model.averaged_weights(name) for name in ("E", "G", "D_xx")):
        for average in averages:
            average.assign(average * 1.1)
    detector.adopt(model)
    after = detector.anomaly_score(x[:1])
    assert abs(after - before) > 1e-3
    np.testing.assert_allclose(after, detector.anomaly_score(x)[:1], rtol=single.RTOL)
    for variable in detector.scorer.variables:  # and weights that are set anew count at once
        variable.assign(variable * 1.1)
    again = detector.anomaly_score(x[:1])
    assert abs(again - after) > 1e-3
    np.testing.assert_allclose(again, detector.anomaly_score(x)[:1], rtol=single.RTOL)


def test_a_rivals_record_goes_the_way_of_all():
    x = np.random.default_rng(0).normal(size=(20, 3))
    layer = VectorPreprocessor().fit(x)
    forest = IsolationForest(0).fit(layer.transform(x))
    assert not single.Single.takes(forest)
    detector = Detector.from_model(layer, forest)
    assert detector.anomaly_score(x[:1]) == detector.anomaly_score(x)[:1]


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (np.zeros((1, 3)), True),
        (np.zeros((2, 3)), False),
        (np.zeros(()), False),
        ([[1, 2]], True),
        ([], False),
        ({"a": 1.0, "b": "x"}, True),
        ({"a": "long text"}, True),
        ({"a": None}, True),
        ({"a": [1]}, True),
        ({"a": [1, 2]}, False),
        ({}, False),
        (pd.DataFrame({"a": [1]}), True),
        (pd.DataFrame({"a": [1, 2]}), False),
        (iter([1]), False),
    ],
)
def test_single_records_are_recognised(x, expected):
    assert single.is_one(x) is expected


def test_what_rounding_might_move_is_undecided():
    threshold = Threshold(5.0, "rule", [1.0, 2.0, 2.0, 3.0])
    near = 0.5 * single.RTOL
    for line in (1.0, 2.0, 3.0, 5.0):
        for score in (line, line * (1 + near), line * (1 - near)):
            assert single.undecided(threshold, np.float32(score))
    for score in (0.5, 1.5, 2.5, 4.0, 6.0):
        assert not single.undecided(threshold, np.float32(score))
    assert not single.undecided(Threshold(5.0, "rule"), np.float32(2.0))
    assert not single.undecided(None, np.float32(2.0))
