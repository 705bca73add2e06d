"""Reasons: they add up to the score, find a planted fault, and speak of raw columns."""

import numpy as np
import pytest
from tiny import tiny_image_model

import zoo
from alad_tf.baselines import DSEBM, IsolationForest
from alad_tf.data import split
from alad_tf.detector.detector import Detector
from alad_tf.detector.explain import Explanation, _put_right, explain
from alad_tf.model.specs import dense
from alad_tf.plots import explain as plots
from alad_tf.plots.canvas import save_figure
from alad_tf.plots.explain import column_bars, heat_maps
from alad_tf.preprocess import ImagePreprocessor, MixedPreprocessor, VectorPreprocessor


@pytest.fixture(scope="module")
def breast():
    return zoo.load("breast_cancer_alad")


@pytest.fixture(scope="module")
def benign(breast_cancer):
    rows = split("breast_cancer", breast_cancer.is_anomaly, seed=42).test
    rows = rows[~breast_cancer.is_anomaly[rows]]
    return np.asarray(breast_cancer.x)[rows]


@pytest.mark.parametrize("score", ["features", "l2", "logits"])
def test_attributions_add_up_to_the_score(breast, benign, score):
    """The networks are piecewise linear: 512 points leave a thousandth of the scores' size."""
    explanation = explain(breast, benign[:40], score, steps=512)
    np.testing.assert_array_equal(explanation.scores, breast.scores(benign[:40])[score])
    if score != "logits":
        np.testing.assert_allclose(explanation.baseline, 0, atol=1e-5)
    difference = explanation.scores - explanation.baseline
    bound = 5e-3 * np.abs(explanation.scores).max()
    np.testing.assert_allclose(explanation.attributions.sum(1), difference, atol=bound)


def test_l1_and_l2_are_shared_out_by_the_residuals(breast, benign):
    """Known in closed form: |r_j|, and r_j^2 / ||r||."""
    x = benign[:9]
    residual = breast.preprocessor.transform(x) - breast.reconstruct(x)
    np.testing.assert_allclose(explain(breast, x, "l1").attributions, abs(residual), rtol=1e-4)
    expected = residual**2 / np.linalg.norm(residual, axis=1, keepdims=True)
    np.testing.assert_allclose(
        explain(breast, x, "l2").attributions, expected, rtol=1e-3, atol=1e-6
    )


def test_a_planted_fault_ranks_first(breast, benign):
    """One column of a normal row moved by eight standard deviations, every row another column."""
    generator = np.random.default_rng(0)
    columns = generator.integers(0, 30, len(benign))
    spread = 1 / breast.preprocessor.scale.numpy()
    planted = benign.copy()
    signs = generator.choice([-1, 1], len(benign))
    planted[np.arange(len(benign)), columns] += 8 * signs * spread[columns]
    explanation = explain(breast, planted)
    assert len(benign) > 150
    assert (explanation.attributions.argmax(1) == columns).mean() >= 0.9
    first = explanation.top(3, 1)[0]
    assert first["column"] == breast.preprocessor.feature_names[columns[3]]
    assert first["observed"] == np.float32(planted[3, columns[3]])
    # what was expected there is nearer to the value before the fault
    before = benign[3, columns[3]]
    assert abs(first["expected"] - before) < abs(first["observed"] - before)


def test_a_column_that_is_as_expected_in_the_end_has_no_part():
    """Changed first, because of the other's fault; once that is corrected, its own value fits."""
    scores = {(5, 1): 100, (0, 1): 51, (5, 3): 50, (0, 3): 20}

    def score_of(x, numbers):
        return np.array([scores[tuple(row)] for row in x.astype(int)])

    def expect(x):
        return np.stack([0 * x[:, 0], np.where(x[:, 0] == 5, 3, 1)], 1).astype("float32")

    x, columns = np.array([[5, 1]], "float32"), [np.array([0]), np.array([1])]
    baseline, attributions, expected = _put_right(score_of, expect, x, columns)
    np.testing.assert_array_equal(expected, [[0, 1]])
    np.testing.assert_array_equal(attributions, [[49, 0]])
    np.testing.assert_array_equal(baseline, [51])


def test_a_row_is_explained_alike_in_any_company(breast, benign):
    whole = explain(breast, benign[:70])
    few = explain(breast, benign[40:43])
    np.testing.assert_allclose(few.attributions, whole.attributions[40:43], rtol=1e-4, atol=1e-5)


def test_one_hot_columns_are_one_column_and_values_are_raw():
    detector = zoo.load("kdd99_alad")
    table = detector.preprocessor
    records = {name: [known[0], known[-1]] for name, known in table.vocabularies.items()}
    records |= {name: [1.0, 2.0] for name in table.continuous}
    explanation = detector.explain(records)
    assert explanation.attributions.shape == (2, 41) and set(explanation.columns) == set(records)
    assert sorted(sum(table.groups.values(), [])) == list(range(121))
    for name, known in table.vocabularies.items():
        assert explanation.observed[name].tolist() == [known[0], known[-1]]
        assert set(explanation.expected[name]) <= set(known)
    # a record that is its own reconstruction decodes to itself
    decoded = table.decode(table.transform(records))
    for name in table.vocabularies:
        assert decoded[name].tolist() == records[name]
    varies = table.scale.numpy() != 0
    for name, does in zip(table.continuous, varies, strict=True):
        assert not does or decoded[name] == pytest.approx([1.0, 2.0], rel=1e-3)


def test_mixed_tables_and_baselines_are_explained():
    generator = np.random.default_rng(0)
    table = {"size": generator.standard_normal(64), "kind": generator.choice(["a", "b"], 64)}
    mixed = MixedPreprocessor().fit(table)
    x = mixed.transform(table)
    model = DSEBM({"f": [dense(8, "softplus")]}, x.shape[1:], batch_size=16, learning_rate=1e-2)
    detector = Detector.from_model(mixed, model.fit(x, epochs=20, verbose=0))
    far = {"size": [0.0, 30.0], "kind": ["a", "b"]}
    explanation = detector.explain(far)
    assert explanation.columns == ("size", "kind") and explanation.top(1, 1)[0]["column"] == "size"
    assert explanation.observed["kind"].tolist() == ["a", "b"]
    assert explanation.observed["size"].tolist() == [0.0, 30.0]


def test_images_have_a_number_a_pixel():
    """A bright spot in a dark picture draws the attribution."""
    model = tiny_image_model(jit_compile=False)
    detector = Detector.from_model(ImagePreprocessor((8, 8, 2)), model)
    images = np.full((3, 8, 8, 2), 128, dtype="uint8")
    images[1, 2, 5] = 255
    explanation = explain(detector, images, "l2", steps=64)
    assert explanation.attributions.shape == (3, 8, 8) and explanation.columns == ()
    assert np.unravel_index(explanation.attributions[1].argmax(), (8, 8)) == (2, 5)
    assert explanation.reconstruction.dtype == np.uint8
    with pytest.raises(ValueError, match="Images have no columns"):
        explanation.top(0)


def test_what_cannot_be_explained_is_refused(breast, benign):
    with pytest.raises(ValueError, match="received the score 'l3'"):
        explain(breast, benign[:2], "l3")
    with pytest.raises(ValueError, match="received steps=0; expected at least 1"):
        explain(breast, benign[:2], steps=0)
    rows = np.random.default_rng(0).standard_normal((30, 3))
    forest = Detector.from_model(VectorPreprocessor().fit(rows), IsolationForest().fit(rows))
    with pytest.raises(ValueError, match="iforest cannot be explained"):
        forest.explain(rows)


def test_reasons_are_drawn(breast, benign, tmp_path):
    table = column_bars(explain(breast, benign[:2]), 1, tmp_path / "bars.png")
    assert table.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), dtype="uint8")
    zeros = np.zeros(4, "float32")
    maps = Explanation("l2", zeros, zeros, images, (), np.zeros((4, 8, 8)), {}, {})
    assert heat_maps(maps, images, tmp_path / "maps.png").stat().st_size > 1000
    nothing = Explanation("l1", zeros, zeros, zeros, ("size",), zeros[:, None], {}, {})
    assert nothing.top(0) == []  # a record that is normal throughout
    assert column_bars(nothing, 0, tmp_path / "empty.png").stat().st_size > 1000
    (tmp_path / "empty.png").unlink()
    with pytest.raises(
        ValueError, match=r"received 3 images and attributions of shape \(4, 8, 8\)"
    ):
        heat_maps(maps, images[:3], tmp_path / "none.png")
    with pytest.raises(ValueError, match="Images have no columns"):
        column_bars(maps, 0, tmp_path / "none.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bars.png", "maps.png"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("US$_mio_$", 9.0),
        ("price", "$50K_$100K"),
        ("$%$", 1.0),
        ("path", "C:\\a$b_$"),
        ("\\frac{", "$\\frac{1}{$"),
        ("log\x1b[31m", "a\nb\x00c"),
        ("wide", "x" * 5000),
    ],
)
def test_texts_are_drawn_as_they_are(tmp_path, monkeypatch, column, value):
    drawn = []

    def look(figure, path):
        drawn.extend(label.get_text() for label in figure.axes[0].get_yticklabels())
        return save_figure(figure, path)

    monkeypatch.setattr(plots, "save_figure", look)
    one, found = np.ones(1), {column: np.array([value])}
    expected = {column: np.array([f"{value}$"])}
    width = np.full((1, 1), 8.0)
    explanation = Explanation("l1", 8 * one, 0 * one, width, (column,), width, found, expected)
    path = column_bars(explanation, 0, tmp_path / "bars.png", title=f"{column} $_$")
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    (label,) = drawn
    assert label.isprintable() and len(label) < 200
    if column.isprintable():
        assert label.startswith(f"{column}: ")
    if isinstance(value, str) and value.isprintable() and len(value) < 40:
        assert label == f"{column}: {value} (expected {value}$)"
