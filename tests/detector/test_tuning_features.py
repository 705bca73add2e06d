"""The search over what is chosen of a network's features."""

import numpy as np
import pytest
from tiny import picture, tiny_network
from typer.testing import CliRunner

from alad_tf import ALADDetector
from alad_tf.cli import app
from alad_tf.detector import tuning_features
from alad_tf.detector.backbone import candidates_for
from alad_tf.detector.patches import FeatureOptions, PatchScorer, embedding, learn
from alad_tf.detector.tuning import search
from alad_tf.detector.tuning_features import FeatureTuningData

RNG = np.random.default_rng(0)
PICTURES = [picture(RNG, 64, 64 + n) for n in range(20)]


@pytest.fixture(scope="module")
def data():
    return FeatureTuningData.split(PICTURES, tiny_network(), 0)


def test_pairs_of_neighbouring_sizes_are_candidates(data):
    names = [layer.name for layer in tiny_network().layers[-3:]]
    assert len(candidates_for(tiny_network())) == 2  # of 32, 16 and 8 positions a side
    assert len(names) == 3 and list(data.layers)[0] == "default" and len(data.layers) == 3
    assert [len(one) for one in data.maps["default"]] == [24] * 3  # 16, 4 and 4 corrupted ones
    assert data.trained == 16


def test_a_trials_features_are_the_detectors(data):
    numbers = np.arange(3)
    backbone = data.backbones["default"]
    layer = tuning_features.PicturePreprocessor(backbone.input_shape)
    order = np.random.default_rng(0).permutation(len(PICTURES))
    x = layer.transform([PICTURES[number] for number in order[4:7]])
    found = zip(data.of("default", 3, numbers), embedding(backbone)(x), strict=True)
    for ours, theirs in found:
        np.testing.assert_allclose(ours, theirs, rtol=5e-3, atol=5e-3)  # kept as float16


def test_a_search_finds_options_that_a_detector_takes(data, tmp_path):
    reports = []
    found = search(data, tmp_path, trials=2, report=lambda *one: reports.append(one))
    assert len(found) == 2 and [number for number, *_ in reports] == [1, 2]
    values, criterion = found[0]
    assert 0 <= criterion <= 1 and set(values) == {
        "layers", "neighbourhood", "rows", "whole", "strongest",
    }  # fmt: skip
    arguments = data.arguments(values)
    detector = ALADDetector(**arguments).fit(PICTURES)
    config = detector.detector_.scorer.architecture()
    options = FeatureOptions.of(arguments["feature_options"])
    assert config["neighbourhood"] == options.neighbourhood == values["neighbourhood"]
    assert sum(config["weights"]) == pytest.approx(1)
    again = search(data, tmp_path, trials=2, report=lambda *one: reports.append(one))
    assert again == found and len(reports) == 2  # the trials are kept


def test_what_it_says_of_a_trial_is_the_auroc_of_corrupted_pictures(data):
    hypermodel = data.hypermodel()
    values = tuning_features.keras_tuner.HyperParameters()
    hypermodel.build(values)
    found = hypermodel.fit(values, None)["corruption_auroc"]
    # by hand
    parts = [np.arange(data.trained)]
    features_of = lambda numbers: data.of("default", 3, numbers)  # noqa: E731
    scorer = PatchScorer.of(data.backbones["default"], learn(features_of, parts, 16, 0))
    scores = []
    for number in range(16, 24):
        fine, coarse, whole = features_of(np.array([number]))
        scores.append(float(scorer.answers(fine[0], coarse[0], whole)["combined"][0]))
    above = [odd > normal for odd in scores[4:] for normal in scores[:4]]
    assert found == pytest.approx(np.mean(above))


def test_what_cannot_be_tuned_is_refused(data):
    with pytest.raises(ValueError, match="only 'combined' can be tuned"):
        data.hypermodel("features")
    with pytest.raises(ValueError, match="at least ten images; received 9"):
        FeatureTuningData.split(PICTURES[:9], tiny_network(), 0)
    with pytest.raises(ValueError, match="features='tiny' and a table"):
        FeatureTuningData.split({"a": [1.0]}, tiny_network(), 0)


@pytest.mark.slow  # the tests above have its parts
def test_the_command_fits_with_the_best(tmp_path):
    from PIL import Image

    (tmp_path / "pictures").mkdir()
    for number, pixels in enumerate(PICTURES):
        Image.fromarray(pixels).save(tmp_path / f"pictures/{number:02d}.png")
    tiny_network().save(tmp_path / "tiny.keras")
    words = ["tune", tmp_path / "pictures", "--out", tmp_path / "d", "--trials", 1]
    words += ["--features", tmp_path / "tiny.keras"]
    result = CliRunner().invoke(app, list(map(str, words)), env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "trial 1/1" in result.output and "neighbourhood" in result.output
    assert ALADDetector.load(tmp_path / "d").detector_.scorer.method == "alad_patches"
