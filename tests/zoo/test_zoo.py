"""The zoo: entries by name, their descriptions and cards, and `zoo.load`."""

import functools
import itertools
import json
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny import tiny_data, tiny_model

import zoo
from alad_tf.detector.detector import Detector
from alad_tf.detector.metrics import evaluate
from alad_tf.experiments.card import BEGIN, with_results
from alad_tf.model.scorer import Scorer
from alad_tf.preprocess import (
    ImagePreprocessor,
    PicturePreprocessor,
    VectorPreprocessor,
    for_dataset,
)
from zoo import _presets as presets
from zoo._describe import card_path

ROOT = Path(__file__).resolve().parents[2]
BUNDLED = [
    (name, variant) for name, found in presets.registry()["presets"].items() for variant in found
]
# an entry's further presets are other weights of the same networks
FIRST = [one for one in BUNDLED if one == next(other for other in BUNDLED if other[0] == one[0])]
MORE = [one for one in BUNDLED if one not in FIRST]
BY_ENTRY = [*FIRST, *(pytest.param(*one, marks=pytest.mark.slow) for one in MORE)]


def load(name, variant):
    normal_class = int(variant.removeprefix("class")) if variant.startswith("class") else None
    return zoo.load(name, normal_class=normal_class)


def samples(detector, count=5):
    """Raw records that a detector takes: of the right form, otherwise arbitrary."""
    generator = np.random.default_rng(0)
    preprocessor = detector.preprocessor
    if isinstance(preprocessor, PicturePreprocessor):
        return preprocessor.sample(count)
    if isinstance(preprocessor, ImagePreprocessor):
        return generator.integers(0, 256, (count, *preprocessor.image_shape), dtype="uint8")
    if isinstance(preprocessor, VectorPreprocessor):
        return generator.standard_normal((count, preprocessor.output_dim)) * 50
    columns = {name: generator.choice(v, count) for name, v in preprocessor.vocabularies.items()}
    return {**columns, **{n: generator.uniform(0, 9, count) for n in preprocessor.continuous}}


@pytest.mark.parametrize("name", zoo.list())
def test_entries_describe_every_layer_and_show_their_card(name):
    entry = zoo.entry(name)
    networks = entry.build_networks()
    text = zoo.describe(name)
    assert set(networks) == set(getattr(entry, "networks", ()))
    for network, layer in networks.items():
        kernels = [v for v in layer.trainable_variables if v.path.endswith("kernel")]
        rows = entry.networks[network]
        rows = sum(rows.values(), []) if isinstance(rows, dict) else rows
        assert len(kernels) == sum(row.has_kernel for row in rows)
        assert f"### {network}: {layer.count_params():,} parameters" in text
    for key, value in entry.hyper_parameters().items():
        assert f"- {key}: {value}" in text
    for sentence in (*entry.deviations, *entry.notes):
        assert sentence in text
    for heading in ("Intended use", "Data and its licence", "Training and results"):
        assert f"## {heading}" in text
    if entry.method == "alad":
        assert "## Limits" in text


@pytest.mark.parametrize("name", zoo.list())
def test_the_committed_cards_are_the_rendered_ones(name):
    card = card_path(name).read_text(encoding="utf-8")
    assert with_results(card, zoo.entry(name), ROOT / "results") == card
    with pytest.raises(ValueError, match="needs one line"):
        with_results(card.replace(BEGIN, ""), zoo.entry(name))


def test_names_and_errors():
    methods = ("alad", "anogan", "dagmm", "dsebm", "iforest", "ocsvm")
    assert zoo.list("kdd99") == [f"kdd99_{method}" for method in methods]
    assert all(name.endswith(f"_{zoo.entry(name).method}") for name in zoo.list())
    with pytest.raises(ValueError, match="unknown zoo entry 'kdd_alad'; closest: 'kdd99_alad'"):
        zoo.entry("kdd_alad")
    with pytest.raises(ValueError, match="closest: 'kdd99_alad'"):
        zoo.load("kdd_alad")
    with pytest.raises(
        ValueError, match="received the data set 'mnist', for which there is no entry"
    ):
        zoo.list("mnist")


def test_every_preset_of_the_issue_is_there_and_bundled():
    for name, variant in [
        ("kdd99_alad", "default"),
        ("arrhythmia_alad", "default"),
        ("breast_cancer_alad", "default"),
        ("cifar10_alad", "class0"),
        ("digits_features_alad", "class0"),
    ]:
        assert (name, variant) in BUNDLED
        assert (presets.BUNDLED / name / variant).is_dir()


SCORE = """
import json, sys
import numpy as np
import zoo
for name, normal_class, path in json.loads(sys.argv[1]):
    x = dict(np.load(path))
    detector = zoo.load(name, normal_class=normal_class)
    np.savez(path, **detector.scores(x.get("x", x)), verdict=detector.predict(x.get("x", x)))
"""


@pytest.fixture(scope="module")
def fresh_process(tmp_path_factory):
    """Gives, of each preset, the path of what a process that imports the zoo makes of it.

    One process is asked for the first presets of all entries, another for the rest.
    """
    folder = tmp_path_factory.mktemp("fresh")

    @functools.cache
    def ask(first):
        asked = {}
        for name, variant in FIRST if first else MORE:
            detector = load(name, variant)
            x, path = samples(detector), folder / f"{name}_{variant}.npz"
            np.savez(path, **(x if isinstance(x, dict) else {"x": x}))
            asked[name, variant] = name, detector.metadata["normal_class"], str(path)
        command = [sys.executable, "-c", SCORE, json.dumps([*asked.values()])]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=200)
        assert done.returncode == 0, done.stderr
        return {preset: path for preset, (_, _, path) in asked.items()}

    return lambda *preset: ask(preset in FIRST)[preset]


@pytest.mark.parametrize(("name", "variant"), BY_ENTRY)
@pytest.mark.xla
def test_a_preset_scores_the_same_bits_in_a_fresh_process(name, variant, fresh_process):
    detector = load(name, variant)
    x, fresh = samples(detector), np.load(fresh_process(name, variant))
    for score, values in detector.scores(x).items():
        np.testing.assert_array_equal(fresh[score], values)
    np.testing.assert_array_equal(fresh["verdict"], detector.predict(x))


@pytest.mark.parametrize(("name", "variant"), BY_ENTRY)
def test_a_preset_survives_save_preset_and_load(name, variant, tmp_path):
    detector = load(name, variant)
    x = samples(detector)
    dtype = "float16" if zoo.entry(name).is_image else "float32"
    dtype = detector.metadata.get("rounding", {}).get("weights", dtype)
    again = zoo.load(zoo.save_preset(detector, tmp_path / "mine", dtype))
    for score, values in detector.scores(x).items():
        np.testing.assert_array_equal(again.scores(x)[score], values)
    assert again.metadata == detector.metadata
    assert again.threshold.value == detector.threshold.value
    by_path = zoo.load(name, weights=tmp_path / "mine")
    np.testing.assert_array_equal(by_path.anomaly_score(x), detector.anomaly_score(x))


@pytest.mark.xla
def test_the_pretrained_breast_cancer_detector_has_the_metrics_it_states(breast_cancer):
    """The stated metrics are of the run; here they come out of the preset again."""
    from alad_tf.data import split

    part = split("breast_cancer", breast_cancer.is_anomaly, seed=42)
    detector = zoo.load("breast_cancer_alad")
    test = breast_cancer.take(part.test)
    measured = evaluate(detector.scores(test.x), test.is_anomaly, part.top_fraction)
    for score, values in detector.metadata["metrics"].items():
        assert measured[score] == pytest.approx(values, abs=1e-12)
    held_out = breast_cancer.take(part.validation).x
    np.testing.assert_array_equal(detector.predict(held_out), detector.p_value(held_out) <= 0.05)
    assert not detector.predict(held_out).any()  # a budget of 5% of 35 + 1 leaves room for none
    # made on another processor, whose products may round otherwise: a few times 6e-8
    scores = np.sort(detector.anomaly_score(held_out))
    np.testing.assert_allclose(scores, detector.reference, rtol=1e-6)


@pytest.mark.parametrize("name", ["breast_cancer_alad", "cifar10_alad"])
def test_fresh_weights_come_from_the_seed(name):
    scores = []
    for seed in (1, 1, 2):
        detector = zoo.load(name, weights=None, seed=seed)
        x = samples(detector, 2)
        scores.append(detector.anomaly_score(x))
    first, same, other = scores
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)
    with pytest.raises(ValueError, match="no threshold"):
        detector.predict(x)


def test_fine_tuning_starts_from_the_detectors_scores_and_moves_them(breast_cancer):
    detector = zoo.load("breast_cancer_alad")
    x = breast_cancer.x[:64]
    prepared = detector.preprocessor.transform(x)
    before = detector.anomaly_score(x)
    started = Scorer.from_alad(detector.model).scores(prepared)["features"]
    np.testing.assert_allclose(started, before, rtol=1e-4)
    detector.model.fit(prepared, batch_size=16, epochs=3, verbose=0)
    detector.adopt(detector.model)
    after = detector.anomaly_score(x)
    assert np.isfinite(after).all() and not np.allclose(after, before, rtol=1e-6)
    with pytest.raises(ValueError, match="no threshold"):
        detector.predict(x)


def test_a_detector_without_a_training_configuration_says_so():
    detector = Detector(
        VectorPreprocessor().fit(tiny_data()), Scorer.from_alad(tiny_model(jit_compile=False))
    )
    with pytest.raises(ValueError, match="no model to train"):
        detector.model.fit(tiny_data())
    with pytest.raises(ValueError, match="samples of shape .30,."):
        detector.adopt(zoo.entry("breast_cancer_alad").build())


def test_missing_weights_name_the_command_that_trains_them():
    with pytest.raises(ValueError, match="alad train svhn_alad --normal-class 3"):
        zoo.load("svhn_alad", normal_class=3)
    with pytest.raises(ValueError, match="alad train kdd99_anogan"):
        zoo.load("kdd99_anogan")


def test_arguments_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match="only image sets have"):
        zoo.load("kdd99_alad", normal_class=1)
    with pytest.raises(ValueError, match="unknown class of cifar10"):
        zoo.load("cifar10_alad", normal_class="lorry")
    other = presets.BUNDLED / "breast_cancer_alad" / "default"
    with pytest.raises(ValueError, match="contains weights of 'breast_cancer_alad'"):
        zoo.load("kdd99_alad", weights=other)
    with pytest.raises(FileNotFoundError, match="There is no detector in"):
        zoo.load("kdd99_alad", weights=tmp_path)


def test_the_pretrained_table_knows_the_names_of_its_columns(breast_cancer):
    """Another order of the columns is another order, and not another table."""
    from sklearn.datasets import load_breast_cancer

    frame = load_breast_cancer(as_frame=True).data
    detector, x = zoo.load("breast_cancer_alad"), frame.to_numpy()
    score = detector.anomaly_score(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for same in (x, frame, frame[frame.columns[::-1]], dict(frame), pd.DataFrame(x)):
            np.testing.assert_array_equal(detector.anomaly_score(same), score)
    with pytest.warns(UserWarning, match="ignored 1 column .*: 'target'"):
        np.testing.assert_array_equal(detector.anomaly_score(frame.assign(target=1)), score)
    with pytest.warns(UserWarning, match="'c0', 'c1', .* are matched by position"):
        other = frame.set_axis([f"c{i}" for i in range(30)], axis=1)
        np.testing.assert_array_equal(detector.anomaly_score(other), score)
    with pytest.raises(ValueError, match="1 of 30 columns are missing: 'mean area'"):
        detector.anomaly_score(frame.rename(columns={"mean area": "area"}))
    reasons = detector.explain(frame.iloc[:2]).top(0, 30)
    assert {one["column"] for one in reasons} == set(frame.columns)
    trained_anew = for_dataset("breast_cancer", breast_cancer, np.arange(100))
    assert trained_anew.feature_names == detector.preprocessor.feature_names == list(frame.columns)


def test_a_preset_without_names_takes_columns_by_position():
    detector, x = zoo.load("arrhythmia_alad"), np.random.default_rng(0).normal(size=(3, 274))
    frame = pd.DataFrame(x)
    np.testing.assert_array_equal(
        detector.anomaly_score(frame[frame.columns[::-1]]), detector.anomaly_score(x)
    )
    with pytest.warns(UserWarning, match="X has feature names, but VectorPreprocessor was fitted"):
        detector.anomaly_score(frame.add_prefix("v"))


def test_nothing_in_the_zoo_is_a_pickle():
    files = {path.suffix for path in presets.BUNDLED.rglob("*") if path.is_file()}
    assert files <= {".json", ".h5"}
    code = "\n".join(path.read_text() for path in (ROOT / "zoo").glob("*.py"))
    assert not re.search(r"\bpickle|joblib|allow_pickle\b", code)


def test_no_entry_tells_the_results_of_another_data_set():
    """An entry that `replace` derives from another one would keep its notes on results."""
    entries = [zoo.entry(name) for name in zoo.list()]
    for entry, other in itertools.permutations(entries, 2):
        same = entry.dataset == other.dataset or not entry.notes
        assert same or entry.notes is not other.notes, (entry.name, other.name)
