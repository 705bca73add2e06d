"""ALADDetector keeps its contracts; scikit-learn's are in `test_estimator_checks`."""

import pickle
import warnings

import h5py
import numpy as np
import pandas as pd
import polars
import pytest
import tensorflow as tf
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from alad_tf import ALADDetector, Detector
from alad_tf.detector.defaults import rules_for
from alad_tf.detector.ensemble import centroids
from alad_tf.detector.threshold import by_contamination
from alad_tf.detector.validation import anomaly_labels, check_given, check_records
from alad_tf.preprocess import MixedPreprocessor

FEW = {"steps": 40, "n_members": 1}


@pytest.fixture(scope="module")
def rows():
    """Normal rows of four columns, two of which follow from the others."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(500, 2))
    noise = 0.1 * generator.normal(size=(500, 2))
    return np.column_stack([x, x @ [[1.0, 2.0], [-1.0, 0.5]] + noise])


@pytest.fixture(scope="module")
def odd():
    return np.array([[9.0, 0, 0, 0], [0, 0, 5.0, -5.0], [0, 0, 0, 0]])


@pytest.fixture(scope="module")
def fitted(rows):
    return ALADDetector(**FEW).fit(rows)


@pytest.fixture(scope="module")
def table():
    """Mixed columns: numbers with gaps, a bool, categories with gaps, a constant, an empty one."""
    generator, n = np.random.default_rng(1), 300
    size = generator.normal(size=n)
    return pd.DataFrame(
        {
            "size": size,
            "weight (kg)": 2 * size + 0.1 * generator.normal(size=n),
            "gap": np.where(generator.random(n) < 0.2, np.nan, generator.normal(size=n)),
            "ok": generator.random(n) > 0.3,
            "kind": pd.Categorical(generator.choice(["a", "b", "c"], n)),
            "text": np.where(generator.random(n) < 0.1, None, generator.choice(["x", "y"], n)),
            "constant": 7,
            "empty": np.nan,
        }
    )


def _agree(estimator, x):
    """Scores, verdicts and p-values are one another's."""
    score, verdict = estimator.anomaly_score(x), estimator.predict(x)
    threshold = estimator.detector_.threshold
    np.testing.assert_array_equal(verdict == -1, score >= np.float32(threshold.value))
    np.testing.assert_array_equal(estimator.score_samples(x), -score.astype("float64"))
    np.testing.assert_array_equal(verdict == -1, estimator.decision_function(x) < 0)
    np.testing.assert_array_equal(estimator.detector_.predict(x), verdict == -1)
    if len(estimator.detector_.reference):
        p_value = estimator.p_value(x)
        order = np.argsort(score)
        assert (np.diff(p_value[order]) <= 0).all()
        flagged = verdict == -1
        assert not flagged.any() or p_value[flagged].max() <= p_value[~flagged].min()
    return score, verdict


def test_scores_verdicts_and_p_values_agree(fitted, rows, odd):
    x = np.concatenate([rows, odd])
    _, verdict = _agree(fitted, x)
    assert verdict[-3:].tolist() == [-1, -1, 1]
    p_value = fitted.p_value(x)
    np.testing.assert_array_equal(verdict == -1, p_value <= 0.01)
    assert set(fitted.scores(odd)) == {"features", "l1", "l2", "logits", "combined"}


@pytest.mark.parametrize("keep", ["save", "pickle", "clone of parameters"])
def test_what_is_kept_scores_alike(fitted, rows, odd, tmp_path, keep):
    if keep == "save":
        again = ALADDetector.load(fitted.save(tmp_path / "detector"))
        plain = Detector.load(tmp_path / "detector")
        np.testing.assert_array_equal(plain.anomaly_score(odd), fitted.anomaly_score(odd))
    elif keep == "pickle":
        again = pickle.loads(pickle.dumps(fitted))
    else:
        again = clone(fitted).fit(rows)
    assert again.get_params() == fitted.get_params()
    for one in (fitted, again):
        _agree(one, odd)
    for ask in ("anomaly_score", "predict", "p_value", "decision_function"):
        np.testing.assert_array_equal(getattr(again, ask)(odd), getattr(fitted, ask)(odd))
    assert again.n_features_in_ == 4
    with pytest.raises(ValueError, match="expecting 4 features"):
        again.predict(odd[:, :3])


def test_an_export_has_scores_verdicts_and_p_values(table, tmp_path, unchecked):
    estimator = ALADDetector(**FEW).fit(table)
    served = tf.saved_model.load(estimator.export(tmp_path))
    some = pd.concat([table.iloc[:20], table.iloc[:1].assign(size=30.0, kind="z")])
    text = {"kind": some["kind"].astype(str), "text": some["text"].fillna("")}
    numbers = {c: some[c].astype("float32") for c in some.columns if c not in text}
    request = {"weight__kg_" if k == "weight (kg)" else k: v for k, v in numbers.items()} | text
    answer = served.signatures["serving_default"](
        **{name: tf.constant(list(values)) for name, values in request.items()}
    )
    np.testing.assert_allclose(answer["score"], estimator.anomaly_score(some), atol=1e-4)
    # rows that were held out have reference scores themselves: a last bit is one of these
    place = 1 / (len(estimator.detector_.reference) + 1)
    np.testing.assert_allclose(answer["p_value"], estimator.p_value(some), atol=place + 1e-6)
    np.testing.assert_array_equal(answer["is_anomaly"], estimator.predict(some) == -1)
    assert answer["is_anomaly"][-1]


def test_mixed_columns_gaps_and_types(table):
    estimator = ALADDetector(**FEW).fit(table)
    assert list(estimator.feature_names_in_) == list(table.columns)
    score, _ = _agree(estimator, table)
    # a dict and an object array of the same columns say the same
    same = estimator.anomaly_score({name: table[name] for name in table})
    np.testing.assert_array_equal(same, score)
    changed = table.iloc[:1]
    for column, value in {"size": 12.0, "kind": "unseen", "constant": 30, "empty": 4.0}.items():
        other = changed.assign(**{column: value})
        assert estimator.anomaly_score(other)[0] > score[0], column
    explanation = estimator.explain(changed.assign(constant=30))
    assert explanation.top(0, 1)[0]["column"] == "constant"
    expected = estimator.reconstruct(changed)
    assert set(expected) == set(table.columns)
    assert expected["kind"][0] in "abc"
    with pytest.raises(ValueError, match="feature names"):
        estimator.predict(table.drop(columns="size"))


def test_columns_are_matched_by_name(rows):
    frame = pd.DataFrame(rows, columns=list("abcd"))
    estimator = ALADDetector(**FEW).fit(frame)
    score, turned = estimator.anomaly_score(frame), frame[list("dbca")]
    records = frame.iloc[:50].to_dict("records")
    np.testing.assert_array_equal(estimator.anomaly_score(records), score[:50])
    one = estimator.anomaly_score(frame.iloc[0].to_dict())
    np.testing.assert_allclose(one, score[:1], rtol=1e-5, atol=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(estimator.anomaly_score(turned), score)
        np.testing.assert_array_equal(
            estimator.anomaly_score(turned.to_records(index=False)), score
        )
        np.testing.assert_array_equal(estimator.score_samples(dict(turned)), -score)
    # scikit-learn's contract of `predict` and `score_samples`
    for method in (estimator.predict, estimator.decision_function, estimator.score_samples):
        with pytest.raises(ValueError, match="must be in the same order as they were in fit"):
            method(turned)
    with pytest.warns(UserWarning, match="ignored 1 column .*: 'e'") as caught:
        np.testing.assert_array_equal(estimator.anomaly_score(turned.assign(e=1)), score)
    assert len(caught) == 1
    with pytest.raises(ValueError, match="seen at fit time, yet now missing:\n- d"):
        estimator.anomaly_score(frame[list("abc")])


def test_names_on_one_side_alone_are_warned_about_once(rows):
    frame, numbered = pd.DataFrame(rows, columns=list("abcd")), pd.DataFrame(rows)
    for x, asked, text in (
        (frame, rows, "X does not have valid feature names, but ALADDetector was fitted with"),
        (frame, rows.tolist(), "X does not have valid feature names"),
        (frame, numbered, "X does not have valid feature names"),
        (rows, frame, "X has feature names, but ALADDetector was fitted without"),
        (numbered, frame, "X has feature names, but ALADDetector was fitted without"),
        (rows, numbered, None),
        (numbered, rows, None),
    ):
        estimator = ALADDetector(**FEW).fit(x)
        score = estimator.decision_function(x)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            np.testing.assert_array_equal(estimator.decision_function(asked), score)
        assert [text in str(one.message) for one in caught] == [True] * (text is not None)


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        ([["ab"[i % 2], float(i)] for i in range(40)], ["x1", "x0=a", "x0=b"]),
        ([("ab"[i % 2], None if i == 3 else i) for i in range(40)],
         ["x1", "x1 (missing)", "x0=a", "x0=b"]),
        (np.array([["ab"[i % 2], "xy"[i % 2]] for i in range(40)]),
         ["x0=a", "x0=b", "x1=x", "x1=y"]),
        (np.array([["3", "1.5"], ["4", "2"]] * 20), ["x0", "x1"]),
        (np.array([[b"01", b"1"], [b"02", b"1"]] * 20), ["x1", "x0=01", "x0=02"]),
        ([["01", "1"], ["02", "1"]] * 20, ["x1", "x0=01", "x0=02"]),
        (pd.DataFrame({"n": pd.array([None, *range(39)], "Int64"), "x": 1.5}).to_numpy(),
         ["x0", "x1", "x0 (missing)"]),
        (np.ma.masked_less(np.arange(80.0).reshape(40, 2), 1), ["x0", "x1", "x0 (missing)"]),
    ],
)  # fmt: skip
def test_lists_and_arrays_of_cells_of_all_kinds(rows, names):
    checked = check_records(ALADDetector(), rows, reset=True)
    layer = MixedPreprocessor().fit(checked)
    assert layer.feature_names == names and check_given is check_records
    for i in (0, 3):
        one = check_records(ALADDetector(), rows[i : i + 1], reset=False)
        np.testing.assert_array_equal(layer.transform(one), layer.transform(checked)[i : i + 1])


def test_a_polars_frame_says_what_its_pandas_twin_says(table):
    frame = polars.from_pandas(table.assign(kind=table["kind"].astype(str)))
    estimator = ALADDetector(**FEW).fit(frame)
    twin = ALADDetector(**FEW).fit(frame.to_pandas())
    np.testing.assert_array_equal(estimator.anomaly_score(frame), twin.anomaly_score(table))


def test_images_of_any_size(tmp_path):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 30, (40, 12, 16, 3), dtype="uint8")
    images[:, 4:8, 5:9] = 200
    estimator = ALADDetector(steps=20, n_members=1).fit(images)
    noise = generator.integers(0, 256, (2, 12, 16, 3), dtype="uint8")
    assert estimator.anomaly_score(noise).min() > estimator.anomaly_score(images).max()
    assert estimator.reconstruct(images[:2]).shape == (2, 12, 16, 3)
    assert estimator.explain(noise).attributions.shape == (2, 12, 16)
    again = ALADDetector.load(estimator.save(tmp_path / "d"))
    np.testing.assert_array_equal(again.anomaly_score(noise), estimator.anomaly_score(noise))
    # grey images without an axis of channels; whole numbers of another type
    grey = images[..., 0].astype("float64")
    checked = check_records(clone(estimator), grey, reset=True)
    assert checked.dtype == np.uint8
    np.testing.assert_array_equal(checked, images[..., :1])
    with pytest.raises(ValueError, match="received images of type float64; expected uint8"):
        estimator.predict(noise / 255)
    with pytest.raises(ValueError, match="12 x 16 x 1|expecting 576 features"):
        estimator.predict(noise[..., :1])


@pytest.mark.parametrize("mode", ["false_alarms", "contamination", "labels", "normal rows"])
def test_ways_to_a_threshold(rows, odd, mode):
    options, validation = {}, None
    if mode == "false_alarms":
        options = {"false_alarms": 0.1}
    elif mode == "contamination":
        options = {"contamination": 0.1}
    elif mode == "labels":
        validation = (np.concatenate([rows[:50], odd[:2]]), [1] * 50 + [-1] * 2)
    else:
        validation = rows[:99]
    estimator = ALADDetector(**FEW, **options).fit(rows, validation_data=validation)
    _agree(estimator, np.concatenate([rows, odd]))
    flagged = (estimator.predict(rows) == -1).mean()
    if mode == "contamination":
        assert flagged == 0.1
        with pytest.raises(ValueError, match="no p-values without calibration rows"):
            estimator.p_value(odd)
    elif mode == "labels":
        np.testing.assert_array_equal(estimator.predict(validation[0]), validation[1])
    elif mode == "false_alarms":
        assert 0.02 < flagged < 0.2
        np.testing.assert_array_equal(estimator.predict(rows) == -1, estimator.p_value(rows) <= 0.1)
    else:
        assert len(estimator.detector_.reference) == 99
        assert (estimator.predict(rows[:99]) == -1).sum() == 0  # 1% of 99 rows allows none


def test_too_few_rows_for_a_budget_are_named(rows):
    with pytest.raises(ValueError, match="received 98 calibration rows .* at least 99"):
        ALADDetector(**FEW, false_alarms=0.01).fit(rows[:98])
    with pytest.raises(ValueError, match="received 20 calibration rows .* at least 99"):
        ALADDetector(**FEW, false_alarms=0.01, calibration=0.2).fit(rows[:100])
    # without a budget of one's own: the least that the rows can tell
    rule = ALADDetector(**FEW).fit(rows[:20]).detector_.threshold_rule
    assert "4.76% of normal rows" in rule


# one row trains; six do, in batches of four
@pytest.mark.parametrize("count", [2, pytest.param(7, marks=pytest.mark.slow)])
def test_few_rows_are_fitted(rows, count):
    estimator = ALADDetector(**FEW).fit(rows[:count])
    score, _ = _agree(estimator, rows[:50])
    assert np.isfinite(score).all()


def test_one_row_is_refused(rows):
    with pytest.raises(ValueError, match="1 sample"):
        ALADDetector(**FEW).fit(rows[:1])
    with pytest.raises(ValueError, match="two rows to train on"):
        ALADDetector(**FEW).fit(pd.DataFrame(rows[:1]))


def test_duplicates_and_constant_columns(rows):
    same = np.repeat(rows[:3], 40, axis=0)
    same[:, 1] = 4.0
    estimator = ALADDetector(**FEW).fit(same)
    score, _ = _agree(estimator, same)
    assert np.isfinite(score).all()
    other = same[:1] + [0, 1.0, 0, 0]
    assert estimator.anomaly_score(other) > score.max()


def test_columns_that_are_all_missing(rows):
    gaps = np.column_stack([rows, np.full(len(rows), np.nan)])
    estimator = ALADDetector(**FEW).fit(gaps)
    score, _ = _agree(estimator, gaps)
    there = gaps[:1].copy()
    there[0, -1] = 5.0
    assert estimator.anomaly_score(there)[0] > score[0]
    nothing = np.full((len(rows), 3), np.nan)  # six columns with the marks of gaps, as above
    assert np.isfinite(ALADDetector(**FEW).fit(nothing).anomaly_score(nothing)).all()


@pytest.mark.slow
def test_ten_thousand_columns():
    x = np.random.default_rng(0).normal(size=(30, 10_000)).astype("float32")
    estimator = ALADDetector(steps=2, n_members=1, hidden=16).fit(x)
    score, _ = _agree(estimator, x)
    assert estimator.anomaly_score(x[:1] + 3)[0] > score.max()


def test_a_rows_score_does_not_depend_on_its_company(fitted, rows):
    order = np.random.default_rng(0).permutation(len(rows))
    whole = fitted.anomaly_score(rows)
    np.testing.assert_array_equal(fitted.anomaly_score(rows[order]), whole[order])
    np.testing.assert_array_equal(fitted.anomaly_score(rows[3:5]), whole[3:5])
    # a single row has a program of its own
    np.testing.assert_allclose(fitted.anomaly_score(rows[3:4]), whole[3:4], rtol=1e-5, atol=1e-5)


def test_the_order_of_training_rows_and_columns_is_noise(rows):
    """Ranks of new rows: as much alike after a permutation as between two seeds."""
    generator = np.random.default_rng(5)
    new = np.concatenate([rows[400:], rows[400:] + generator.normal(size=(100, 4)) * 2])
    options = {"steps": 120, "n_members": 1}

    def ranks(estimator, x):
        return estimator.score_samples(x).argsort().argsort()

    def alike(a, b):
        return np.corrcoef(a, b)[0, 1]

    base = ranks(ALADDetector(**options).fit(rows[:400]), new)
    seed = alike(base, ranks(ALADDetector(**options, random_state=1).fit(rows[:400]), new))
    by_row = ALADDetector(**options).fit(rows[generator.permutation(400)])
    columns = [2, 0, 3, 1]
    by_column = ALADDetector(**options).fit(rows[:400, columns])
    assert seed > 0.9
    assert alike(base, ranks(by_row, new)) > seed - 0.05
    assert alike(base, ranks(by_column, new[:, columns])) > seed - 0.05


def test_pipelines_and_grid_searches(rows, odd):
    pipeline = make_pipeline(StandardScaler(), ALADDetector(**FEW)).fit(rows)
    assert pipeline.predict(odd).tolist() == [-1, -1, 1]

    def scorer(estimator, x, y=None):
        return -estimator.scores(x)["l2"].mean()

    grid = {"learning_rate": [1e-3, 1e-2]}  # which one program trains
    search = GridSearchCV(ALADDetector(**FEW), grid, scoring=scorer, cv=2).fit(rows)
    assert search.best_params_["learning_rate"] in grid["learning_rate"]
    assert search.best_estimator_.predict(odd)[0] == -1


def test_warm_start_goes_on(rows):
    x = rows[:400]
    twice = ALADDetector(**FEW, warm_start=True).fit(x).fit(x)
    once = ALADDetector(steps=80, n_members=1).fit(x)
    assert (twice.n_iter_, once.n_iter_) == (80, 80)
    np.testing.assert_allclose(twice.anomaly_score(rows), once.anomaly_score(rows), rtol=1e-5)
    afresh = ALADDetector(**FEW).fit(x).fit(x)
    assert afresh.n_iter_ == 40


def test_the_seed_decides(rows, odd):
    first, again, other = (ALADDetector(**FEW, random_state=s).fit(rows) for s in (0, 0, 1))
    scores = [one.scores(odd) for one in (first, again, other)]
    for name, score in scores[0].items():
        np.testing.assert_array_equal(score, scores[1][name])
        # all rows are kept, whatever the seed, and networks have no part in "combined"
        assert np.array_equal(score, scores[2][name]) == (name == "combined")
    references = [one.detector_.reference for one in (first, again, other)]
    np.testing.assert_array_equal(references[0], references[1])
    assert not np.array_equal(references[0], references[2])  # the folds are others


@pytest.mark.parametrize("score", ["features", "l1", "l2", "logits", "combined"])
def test_every_score_can_decide(rows, odd, score):
    estimator = ALADDetector(**FEW, score_name=score).fit(rows)
    found, _ = _agree(estimator, odd)
    np.testing.assert_array_equal(found, estimator.scores(odd)[score])
    assert estimator.explain(odd).score == score


@pytest.mark.slow
def test_a_planted_fault_ranks_first(breast_cancer):
    """One column of a normal row moved by eight standard deviations, every row another column."""
    x = np.asarray(breast_cancer.x)[~breast_cancer.is_anomaly]
    estimator = ALADDetector(n_members=1, steps=300).fit(x[:250])
    generator, new = np.random.default_rng(0), x[250:]
    columns = generator.integers(0, x.shape[1], len(new))
    planted = new.copy()
    planted[np.arange(len(new)), columns] += 8 * x[:250].std(0)[columns]
    explanation = estimator.explain(planted)
    assert len(new) > 100
    assert (explanation.attributions.argmax(1) == columns).mean() >= 0.9
    # the attributions are shares of the whole score
    np.testing.assert_allclose(
        explanation.attributions.sum(1),
        explanation.scores - explanation.baseline,
        atol=0.1 * explanation.scores.max(),
    )


def test_labels_are_those_of_either_convention():
    assert anomaly_labels([True, False], 2).tolist() == [True, False]
    for wrong in ([2, 0], [0.5, 1], ["a", "b"], [1]):
        with pytest.raises(ValueError, match="expected one label for each"):
            anomaly_labels(wrong, 2)


def test_a_detector_of_another_maker_is_not_loaded(tmp_path):
    import zoo

    folder = zoo.load("breast_cancer_alad").save(tmp_path / "d")
    with pytest.raises(ValueError, match=r"not saved by an ALADDetector.*Detector\.load"):
        ALADDetector.load(folder)


def test_progress_is_shown_when_asked(rows, capsys):
    ALADDetector(steps=50, n_members=1, verbose=True).fit(rows)
    assert "training steps 50/50" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "fit", "message"),
    [
        ({"false_alarms": 0.001}, {}, "received 500 calibration rows .* at least 999"),
        ({"false_alarms": 0.0}, {}, "'false_alarms' parameter"),
        ({"false_alarms": 1.0}, {}, "'false_alarms' parameter"),
        ({"contamination": None}, {}, "'contamination' parameter"),
        ({"contamination": "some"}, {}, "'contamination' parameter"),
        ({"contamination": 0.6}, {}, "'contamination' parameter"),
        ({"calibration": 1}, {}, "'calibration' parameter"),
        ({"n_members": 1.5}, {}, "'n_members' parameter"),
        ({"n_members": 0}, {}, "'n_members' parameter"),
        ({"steps": 0}, {}, "'steps' parameter"),
        ({"steps": "many"}, {}, "'steps' parameter"),
        ({"hidden": -1}, {}, "'hidden' parameter"),
        ({"latent_dim": 2.5}, {}, "'latent_dim' parameter"),
        ({"batch_size": 0}, {}, "'batch_size' parameter"),
        ({"batch_size": 4000}, {}, "batch_size=4000 for 500 training rows"),
        ({"learning_rate": 0}, {}, "'learning_rate' parameter"),
        ({"scaling": "robust"}, {}, "'scaling' parameter"),
        ({"score_name": "best"}, {}, "'score_name' parameter"),
        ({"missing": "drop"}, {}, "'missing' parameter"),
        ({"keep_rows": "some"}, {}, "'keep_rows' parameter"),
        ({"random_state": "x"}, {}, "'random_state' parameter"),
        ({"checkpoint": 3}, {}, "'checkpoint' parameter"),
        ({"warm_start": "yes"}, {}, "'warm_start' parameter"),
        (
            {},
            {"validation_data": (np.zeros((20, 4)), np.zeros(20))},
            "both normal rows and anomalies",
        ),
        (
            {},
            {"validation_data": (np.zeros((20, 4)), np.ones(20))},
            "both normal rows and anomalies",
        ),
        ({}, {"validation_data": (np.zeros((20, 4)), np.arange(20))}, "received labels"),
        ({"false_alarms": 0.01}, {"validation_data": np.zeros((20, 4))}, "received 20"),
        ({}, {"validation_data": np.full((20, 4), "a", object)}, "is numeric, but row"),
    ],
)
def test_what_cannot_work_is_refused_before_the_training(rows, monkeypatch, options, fit, message):
    monkeypatch.setattr("alad_tf.detector.estimator.train_members", pytest.fail)
    with pytest.raises(ValueError, match=message):
        ALADDetector(**options).fit(rows, **fit)


@pytest.mark.parametrize("keep", [True, False, "centroids"])
@pytest.mark.parametrize("images", [False, True])
def test_what_a_detector_contains_of_the_training_rows(rows, odd, tmp_path, keep, images):
    if images:
        x = np.random.default_rng(0).integers(0, 256, (200, 8, 8, 1), "uint8")
        odd = x[:3]
    else:
        x = rows
    estimator = ALADDetector(steps=20, n_members=1, keep_rows=keep).fit(x)
    folder = estimator.save(tmp_path / "detector")
    again = ALADDetector.load(folder)
    assert again.keep_rows == keep
    np.testing.assert_array_equal(again.anomaly_score(odd), estimator.anomaly_score(odd))
    if not images:
        # that columns do not belong together is learnt by more steps, or seen by nearness
        verdicts = estimator.predict(odd).tolist()
        assert verdicts == [-1, -1, 1] if keep is True else verdicts[::2] == [-1, 1]
    preprocessed = estimator.detector_.preprocessor.transform(x).reshape(len(x), -1)
    held = set()
    with h5py.File(folder / "scorer.weights.h5") as file:

        def look(name, one):
            if isinstance(one, h5py.Dataset) and one.size % preprocessed.shape[1] == 0:
                for row in one[()].reshape(-1, preprocessed.shape[1]):
                    near = np.abs(preprocessed - row).max(1)
                    held.update(np.flatnonzero(near < 1e-5))

        file.visititems(look)
    assert len(held) == ((160 if images else 500) if keep is True else 0)
    contains, kind = estimator.detector_.scorer.contains, "images" if images else "rows"
    if keep is True:
        assert contains == f"{len(held)} of the training {kind}"
    else:
        assert contains.startswith(f"no training {kind}, but")


def test_centres_of_small_clusters_are_not_kept():
    """Far rows are clusters of their own: their centres would be the rows."""
    generator = np.random.default_rng(0)
    x = np.concatenate([generator.normal(size=(300, 2)), 100 * generator.normal(size=(8, 2))])
    centers = centroids(x.astype("float32"))
    assert len(centers) > 1
    assert min(np.abs(x - center).max(1).min() for center in centers) > 1e-5
    assert (np.abs(centers) < 10).all()


def test_a_threshold_set_by_hand_is_the_estimators_and_the_detectors(rows, tmp_path):
    estimator = ALADDetector(**FEW).fit(rows)
    scores = estimator.anomaly_score(rows)
    p_values = estimator.p_value(rows)
    for threshold in (np.median(scores), by_contamination(scores, 0.1)):
        assert estimator.set_threshold(threshold) is estimator
        flagged = scores >= np.float32(threshold)
        np.testing.assert_array_equal(estimator.predict(rows) == -1, flagged)
        np.testing.assert_array_equal(estimator.decision_function(rows) < 0, flagged)
        np.testing.assert_array_equal(estimator.detector_.predict(rows), flagged)
        again = ALADDetector.load(estimator.save(tmp_path / "detector"))
        np.testing.assert_array_equal(again.predict(rows) == -1, flagged)
    estimator.set_threshold(3.0)
    assert estimator.detector_.threshold_rule == "set by hand"
    np.testing.assert_array_equal(estimator.p_value(rows), p_values)
    with pytest.raises(ValueError, match="nan"):
        estimator.set_threshold(np.nan)


def test_scores_as_a_frame_keep_the_index(rows):
    table = pd.DataFrame(rows, columns=list("abcd"), index=np.arange(len(rows))[::-1])
    estimator = ALADDetector(**FEW).fit(table)
    frame, scores = estimator.scores(table, as_frame=True), estimator.scores(table)
    assert list(frame) == [*scores, "p_value", "is_anomaly"]
    assert frame.index.equals(table.index)
    for name, values in scores.items():
        np.testing.assert_array_equal(frame[name], values)
    np.testing.assert_array_equal(frame["p_value"], estimator.p_value(table))
    np.testing.assert_array_equal(frame["is_anomaly"], estimator.predict(table) == -1)
    records = table.iloc[:3].to_dict("records")  # a list has an `index` of its own
    assert estimator.scores(records, as_frame=True).index.tolist() == [0, 1, 2]
    share = ALADDetector(**FEW, contamination=0.1).fit(rows)  # holds no rows out
    assert list(share.scores(rows, as_frame=True)) == [*scores, "is_anomaly"]


@pytest.mark.slow
def test_hidden_layers_may_differ(rows, tmp_path):
    estimator = ALADDetector(**FEW, hidden=(24, 12)).fit(rows)
    widths = {
        name: [row.units for row in estimator.rules_.networks[name]] for name in ("E", "G", "D_xx")
    }
    assert widths["E"][:2] == [24, 12] and widths["G"][:2] == [12, 24]
    assert widths["D_xx"] == [24, 12, 1]
    again = ALADDetector.load(estimator.save(tmp_path / "detector"))
    np.testing.assert_array_equal(again.score_samples(rows), estimator.score_samples(rows))
    assert list(again.hidden) == [24, 12]
    assert rules_for((4,), 400, hidden=(16, 16)) == rules_for((4,), 400, hidden=16)
    for hidden in ((), (24, 0), (24, 1.5)):
        with pytest.raises(ValueError, match="hidden=.* expected an int or positive ints"):
            ALADDetector(**FEW, hidden=hidden).fit(rows)
    with pytest.raises(ValueError, match="number of filters"):
        rules_for((8, 8, 1), 40, hidden=(8, 8))


def test_samples_are_what_g_makes_of_z(rows):
    estimator = ALADDetector(steps=40, n_members=2).fit(pd.DataFrame(rows, columns=list("abcd")))
    found = estimator.sample(7, random_state=3)
    assert list(found) == list("abcd") and all(len(column) == 7 for column in found.values())
    z = np.random.default_rng(3).standard_normal((7, estimator.rules_.latent_dim), "float32")
    members = estimator.detector_.scorer.members
    x = np.concatenate(
        [m.G(tf.constant(part)) for m, part in zip(members, (z[:4], z[4:]), strict=True)]
    )
    center, spread = estimator.detector_.preprocessor.shift, estimator.detector_.preprocessor.scale
    np.testing.assert_allclose(
        np.stack(list(found.values()), 1), x / spread.numpy() + center.numpy(), rtol=1e-4, atol=1e-5
    )
    with pytest.raises(ValueError, match="received n=0; expected at least 1"):
        estimator.sample(0)
