"""Pictures by the features of a frozen network: scores, heat maps, files, and what is refused."""

import json
import pickle

import keras
import numpy as np
import pytest
from sklearn.base import clone
from tiny import picture, tiny_network

from alad_tf import ALADDetector, Detector
from alad_tf.detector import backbone, patches
from alad_tf.detector.backbone import backbone_for
from alad_tf.detector.defaults import table_networks
from alad_tf.engine.files import write_manifest
from alad_tf.model.scorer import Scorer

L = keras.layers
RNG = np.random.default_rng(0)
TRAIN = [picture(RNG) for _ in range(30)]
NEW = np.stack([picture(RNG) for _ in range(4)] + [picture(RNG, spot=(40, 8)) for _ in range(3)])


@pytest.fixture(scope="module")
def fitted():
    return ALADDetector(features=tiny_network()).fit(TRAIN)


def test_spots_are_found_in_pictures_of_any_size(fitted):
    assert fitted.predict(NEW[4:]).tolist() == [-1] * 3
    scores = fitted.anomaly_score(NEW)
    assert scores[4:].min() > 2 + scores[:4].max()  # in standard deviations
    mixed = [NEW[0], picture(RNG, 100, 80), NEW[5], NEW[5][..., :1], NEW[5][:, :50]]
    of_mixed = fitted.anomaly_score(mixed)
    assert of_mixed[0] == scores[0] and of_mixed[2] == scores[5]
    assert fitted.n_features_in_ == 64 * 64 * 3
    frame = fitted.scores(NEW, as_frame=True)
    assert list(frame) == ["combined", "p_value", "is_anomaly"]


def of_members(scorer, pixels):
    """The means over a picture's positions of its first member's scores."""
    fine, coarse, _ = patches.positions_of(scorer.network(pixels[None].astype("float32")))
    both = zip((fine, coarse), scorer.means, scorer.whitening, strict=True)
    rows = np.concatenate([(part - mean.value) @ matrix.value for part, mean, matrix in both], -1)
    assert rows.shape == (64, 18)
    return {name: values.mean() for name, values in scorer.members[0].scores(rows).items()}


def test_the_papers_scores_are_means_over_positions(fitted):
    plain = fitted.detector_.scorer
    member = Scorer(table_networks(18, 4, 8), (18,), 4).architecture()
    scorer = patches.PatchScorer(**{**plain.architecture(), "scorer": member, "members": 1})
    for ours, theirs in zip(
        [*scorer.network.variables, *scorer.means, *scorer.whitening, *scorer.rows],
        [*plain.network.variables, *plain.means, *plain.whitening, *plain.rows],
        strict=True,
    ):
        ours.assign(theirs)
    found = scorer.scores(NEW[3:5].astype("float32"))
    assert list(found) == ["features", "l1", "l2", "logits", "combined"]
    for name, mean in of_members(scorer, NEW[4]).items():
        np.testing.assert_allclose(found[name][1], mean, rtol=1e-3)


@pytest.mark.slow
def test_alads_train_on_positions(fitted, tmp_path):
    options = dict(steps=2, n_members=1, score_name="features")
    with_alad = ALADDetector(features=tiny_network(), **options).fit(TRAIN)
    assert with_alad.n_iter_ == 2
    found = with_alad.scores(NEW)
    np.testing.assert_allclose(found["combined"], fitted.anomaly_score(NEW), rtol=1e-4)
    np.testing.assert_array_equal(with_alad.anomaly_score(NEW), found["features"])
    mean = of_members(with_alad.detector_.scorer, NEW[4])["features"]
    np.testing.assert_allclose(found["features"][4], mean, rtol=1e-3)
    loaded = Detector.load(with_alad.save(tmp_path / "detector"))
    for name, values in found.items():
        np.testing.assert_array_equal(loaded.scores(NEW)[name], values)


def test_what_only_pixels_have(fitted):
    with pytest.raises(ValueError, match="cannot generate images"):
        fitted.sample(2)
    with pytest.raises(ValueError, match="has no reconstructions"):
        fitted.reconstruct(NEW)
    with pytest.raises(ValueError, match="features"):
        Detector(fitted.detector_.preprocessor, fitted.detector_.scorer, "features")


def test_a_pictures_score_does_not_depend_on_its_company(fitted):
    scores = fitted.anomaly_score(NEW)
    for number in (0, 6):
        assert fitted.anomaly_score(NEW[number : number + 1]) == scores[number]
    many = np.concatenate([NEW[::-1]] * 10)  # more than are resized together
    np.testing.assert_array_equal(fitted.anomaly_score(many), np.tile(scores[::-1], 10))


def test_the_heat_map_shows_where(fitted):
    found = fitted.explain(NEW)
    assert found.attributions.shape == (7, 64, 64) and found.reconstruction is None
    for heat in found.attributions[4:]:
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        assert 32 <= row <= 60 and 0 <= column <= 28
        assert heat.max() > 2 * found.attributions[:4].max()
    np.testing.assert_array_equal(found.scores, fitted.anomaly_score(NEW))
    assert found.take([4]).attributions.shape == (1, 64, 64)
    several = fitted.explain([NEW[0], NEW[5][:, :50]]).attributions
    assert [one.shape for one in several] == [(64, 64), (64, 50)]
    with pytest.raises(ValueError, match="heat maps exist only for"):
        fitted.explain(NEW, score="features")


def by_hand(scorer, pixels):
    """The score and heat map of one picture, in NumPy's float64, position by position."""
    fine, coarse, last = (
        np.asarray(one, "float64")[0] for one in scorer.network(pixels[None], training=False)
    )

    def around(values):
        """Means over neighbourhoods of 3 x 3; at the edge, of what there is."""
        height, width, _ = values.shape
        found = np.empty_like(values)
        for i in range(height):
            for j in range(width):
                near = values[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
                found[i, j] = near.mean((0, 1))
        return found

    fine = around(fine)
    fine = (fine[::2, ::2] + fine[1::2, ::2] + fine[::2, 1::2] + fine[1::2, 1::2]) / 4
    distances = []
    for number, rows in enumerate((fine, around(coarse))):
        mean, matrix, kept = (
            part[number].numpy().astype("float64")
            for part in (scorer.means, scorer.whitening, scorer.rows)
        )
        white = (rows - mean) @ matrix
        away = np.linalg.norm(white[:, :, None] - kept[None, None], axis=-1)
        distances.append(away.min(-1) / scorer.typical.numpy()[number].reshape(white.shape[:2]))
    whole = last.mean((0, 1))
    whole = whole / np.linalg.norm(whole)
    near = np.sort(np.linalg.norm(whole - scorer.whole.numpy(), axis=-1))[:3].mean()
    parts = np.array([distances[0].max(), distances[1].mean(), near])
    floor, center, spread = scorer.calibration.numpy().astype("float64")
    t = np.maximum((np.log(parts + floor) - center) / spread, -3)
    heat = (distances[0] + distances[1]) / 2
    return np.log(np.exp(t) @ [0.2, 0.2, 0.6]), heat


def test_scores_and_heat_maps_are_those_by_hand(fitted):
    scorer = fitted.detector_.scorer
    scores, heat = fitted.anomaly_score(NEW), scorer.heat_maps(NEW.astype("float32"))
    for number in (1, 5):
        score, there = by_hand(scorer, NEW[number].astype("float32"))
        np.testing.assert_allclose(scores[number], score, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(heat[number], there, rtol=1e-3)


def test_an_odd_training_picture_stays_odd(fitted):
    """It is not its own neighbour; nor is a copy of it."""
    odd = picture(RNG, spot=(20, 30))
    detector = ALADDetector(features=tiny_network(), contamination=0.05).fit([*TRAIN, odd, odd])
    scores = detector.anomaly_score(np.stack([*TRAIN, odd]))
    assert scores[-1] > 2 + scores[:-1].max()
    assert detector.predict(odd[None]) == [-1]
    # the kept rows of others are what is left
    scorer, number = detector.detector_.scorer, 3
    fine, _, whole = patches.positions_of(scorer.network(TRAIN[number][None].astype("float32")))
    own = patches.nearest_pictures(whole, scorer.whole.value)[1]
    assert [one for one in own.numpy()[0] if one >= 0] == [number]
    theirs = patches.rows_of(own, scorer.owners[0].value).numpy()[0]
    assert 0 < theirs.sum() < len(theirs)
    white = ((fine - scorer.means[0].value) @ scorer.whitening[0].value).numpy()
    others = scorer.rows[0].numpy()[~theirs]
    expected = np.linalg.norm(white[:, None] - others, axis=-1).min(1)
    found = patches.nearest_row(white[None], scorer.rows[0].value, theirs[None])
    np.testing.assert_allclose(found[0], expected, rtol=1e-3)


def test_kept_rows_are_far_apart():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((300, 5)).astype("float32")
    chosen = patches.far_apart(x, 20, np.random.default_rng(2))
    assert len(set(chosen.tolist())) == 20
    away = np.linalg.norm(x[:, None] - x[chosen][None], axis=-1)
    # greedy: each was the farthest from those before it
    for count in range(1, 20):
        assert away[:, :count].min(1).argmax() == chosen[count]
    assert len(patches.far_apart(x[:7], 20, rng)) == 7


def test_what_is_typical_of_a_position():
    found = np.random.default_rng(0).gamma(9, size=(500, 3)) * [1, 2, 4]
    np.testing.assert_allclose(patches.typical_of(found), found.mean(0), rtol=0.02)
    few = patches.typical_of(found[:2])  # halfway to the mean of all positions
    np.testing.assert_allclose(few, (found[:2].mean(0) + found[:2].mean()) / 2, rtol=1e-6)


def test_white_rows_have_no_covariance():
    x = np.random.default_rng(0).standard_normal((500, 6)) @ np.diag([9, 1, 1, 1, 2, 3.0]) + 5
    mean, matrix = patches.whitening(x.astype("float32"))
    np.testing.assert_allclose(np.cov(((x - mean) @ matrix).T, bias=True), np.eye(6), atol=1e-3)


def test_files_and_pickles_hold_the_network(fitted, tmp_path):
    folder = fitted.save(tmp_path / "detector")
    scores = fitted.anomaly_score(NEW)
    loaded = ALADDetector.load(folder)
    for twin in (loaded, Detector.load(folder), pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(twin.anomaly_score(NEW), scores)
    assert isinstance(loaded.features, keras.Model)  # fits again as it did
    again = backbone_for(loaded.features)
    assert again.output_shapes == backbone_for(tiny_network()).output_shapes
    assert isinstance(clone(fitted).features, keras.Model)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda config: config["scorer"].update(rows=[5, 5]), "weights of this architecture"),
        (lambda config: config["scorer"].update(rows=7), "scorer"),
        (lambda config: config["scorer"].update(backbone={}), "config.json"),
        (lambda config: config["scorer"].update(x_shape=[32, 32, 3]), "the backbone takes"),
        (lambda config: config["preprocessor"].update(image_shape=[8, 8, 3]), "its scorer takes"),
    ],
)
def test_damaged_files_are_refused(fitted, tmp_path, change, message):
    folder = fitted.save(tmp_path / "detector")
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))
    write_manifest(folder)
    with pytest.raises(ValueError, match=message):
        Detector.load(folder)


def with_config(scorer, **changes):
    """The same scorer with another configuration."""
    made = patches.PatchScorer(**{**scorer.architecture(), **changes})
    made.set_weights(scorer.get_weights())
    return made


def parts_of(scorer):
    """The standardised parts (3, N) of the score of NEW, each by itself."""
    x = NEW.astype("float32")
    weights = np.eye(3).tolist()
    return np.stack([with_config(scorer, weights=one)(x)["combined"].numpy() for one in weights])


def test_earlier_files_know_no_options(fitted, tmp_path):
    """Their score is the weighted mean of the parts themselves."""
    folder = fitted.save(tmp_path / "detector")
    config = json.loads((folder / "config.json").read_text())
    for name in ("neighbourhood", "weights", "soft"):
        del config["scorer"][name]
    (folder / "config.json").write_text(json.dumps(config))
    write_manifest(folder)
    parts = parts_of(fitted.detector_.scorer)
    np.testing.assert_allclose(
        Detector.load(folder).scores(NEW)["combined"],
        parts[0] / 4 + parts[1] / 4 + parts[2] / 2,
        rtol=1e-4,
        atol=1e-5,
    )


def test_options_are_used_and_kept(tmp_path):
    tiny = tiny_network()
    first, second = (tiny.layers[number].name for number in (2, 3))
    options = {
        "layers": [first, second],
        "neighbourhood": 5,
        "rows": 50,
        "weights": [0.5, 0.25, 0.25],
        "keep_aspect": True,
    }
    detector = ALADDetector(features=tiny, feature_options=options).fit(TRAIN)
    config = detector.detector_.scorer.architecture()
    assert config["rows"] == [50, 50] and config["neighbourhood"] == 5
    assert config["weights"] == options["weights"]
    assert detector.detector_.scorer.grid == (16, 16)  # the second layer's, and not the third's
    wide = picture(RNG, 40, 80, spot=(10, 50))
    heat = detector.explain(wide[None]).attributions[0]
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert heat.shape == (40, 80) and 4 <= row <= 28 and 44 <= column <= 68
    assert detector.predict(wide[None]) == [-1]
    loaded = ALADDetector.load(detector.save(tmp_path / "detector"))
    np.testing.assert_array_equal(loaded.anomaly_score(NEW), detector.anomaly_score(NEW))
    again = clone(loaded).fit(TRAIN)  # the layers are found in the network that was kept, too
    np.testing.assert_allclose(again.anomaly_score(NEW), detector.anomaly_score(NEW), rtol=1e-5)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"layer": 3}, r"received feature_options \['layer'\]; expected some of .*neighbourhood"),
        ({"layers": ["a"]}, "expected two or three names"),
        ({"layers": ["a", "b"]}, "received the layer 'a'; expected one of"),
        ({"neighbourhood": 2}, "an odd number"),
        ({"rows": 0}, "expected at least 1"),
        (
            {"weights": [1, 1, 0]},
            "expected three, none negative, with sum 1, for strongest",
        ),
    ],
)
def test_options_that_are_none(options, message):
    with pytest.raises(ValueError, match=message):
        ALADDetector(features=tiny_network(), feature_options=options).fit(TRAIN)
    with pytest.raises(ValueError, match="without a network"):
        ALADDetector(feature_options=options).fit(np.zeros((20, 2)))


@pytest.mark.parametrize("keep, rows", [("centroids", None), (False, [1, 1])])
def test_training_rows_need_not_be_kept(keep, rows):
    detector = ALADDetector(features=tiny_network(), keep_rows=keep).fit(TRAIN)
    assert detector.predict(NEW).tolist()[4:] == [-1] * 3
    config = detector.detector_.scorer.architecture()
    assert rows is None or (config["rows"] == rows and config["pictures"] == 1)
    assert "no " in detector.detector_.scorer.contains


def test_labels_set_the_threshold():
    labels = [0] * 4 + [1] * 3
    detector = ALADDetector(features=tiny_network()).fit(TRAIN, validation_data=(list(NEW), labels))
    assert (detector.predict(NEW) == -1).tolist() == [bool(one) for one in labels]


# ----------------------------------------------------------------- networks


def test_a_fine_and_a_coarse_map_are_chosen():
    found = backbone_for(tiny_network())
    assert found.input_shape == (64, 64, 3)
    assert found.output_shapes == [(16, 16, 8), (8, 8, 10), (8, 8, 10)]
    deep = keras.Sequential([keras.Input((64, 64, 1)), *(L.Conv2D(4, 3, 2, "same"),) * 0])
    for width in (2, 3, 4, 5, 6):
        deep.add(L.Conv2D(width, 3, 2, "same"))
    deep.add(L.GlobalAveragePooling2D())
    # of 32 pixels a position, and of 2 x 2 positions, none is taken but as the last
    assert backbone_for(deep).output_shapes == [(8, 8, 4), (4, 4, 5), (2, 2, 6)]


def test_outputs_that_are_maps_are_taken():
    tiny = tiny_network()
    maps = [tiny.layers[number].output for number in (-1, 2)]
    assert backbone_for(keras.Model(tiny.input, maps)).output_shapes[:2] == [
        (32, 32, 6),
        (8, 8, 10),
    ]


def test_a_network_of_any_size_gets_one():
    inputs = keras.Input((None, None, 3))
    x = inputs
    for width in (3, 4, 5):
        x = L.Conv2D(width, 3, 2, "same")(x)
    assert backbone_for(keras.Model(inputs, x)).input_shape == (224, 224, 3)


def test_the_network_of_the_caller_is_left_alone():
    tiny = tiny_network()
    before = [weights.copy() for weights in tiny.get_weights()]
    found = backbone_for(tiny)
    assert not found.network.trainable and tiny.trainable
    found.network.set_weights([0 * weights for weights in found.network.get_weights()])
    for now, then in zip(tiny.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


class Subclass(keras.Model):
    def call(self, inputs):
        return inputs


def functional(outputs, shape=(64, 64, 3)):
    inputs = keras.Input(shape)
    return keras.Model(inputs, outputs(inputs))


@pytest.mark.parametrize(
    "model, message",
    [
        (Subclass, "expected a functional or Sequential"),
        (lambda: functional(L.Dense(3), (8,)), "expected a functional or Sequential"),
        (lambda: functional(L.Conv2D(3, 3), (64, 64, 5)), "takes 5 channels"),
        (lambda: functional(L.GlobalAveragePooling2D()), "none of its layers"),
        (
            lambda: functional(lambda x: L.MaxPool2D()(L.Lambda(lambda y: y + 1)(x))),
            "cannot be saved and loaded again",
        ),
    ],
)
def test_networks_that_cannot_be_used(model, message):
    with pytest.raises(ValueError, match=message):
        backbone_for(model())


def test_what_features_may_not_be():
    table = {"a": [1.0, 2.0]}
    with pytest.raises(ValueError, match="features='tiny' and a table"):
        ALADDetector(features=tiny_network()).fit(table)
    with pytest.raises(ValueError, match="features"):
        ALADDetector(features="resnet").fit(TRAIN)
    with pytest.raises(ValueError, match="warm_start"):
        ALADDetector(features=tiny_network(), warm_start=True).fit(TRAIN)
    with pytest.raises(ValueError, match="expected at least 2"):
        ALADDetector(features=tiny_network()).fit(TRAIN[:1])


def test_without_weights_the_error_names_the_file(tmp_path, monkeypatch):
    def unreachable(url, downloads):
        raise ConnectionError("storage.googleapis.com cannot be reached (no route)")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(backbone, "require_reachable", unreachable)
    with pytest.raises(ConnectionError, match=f"{backbone.FILE} as {tmp_path}.*'pixels'"):
        ALADDetector(features="imagenet").fit(TRAIN)


@pytest.mark.slow
def test_imagenet_is_read_from_a_file_in_its_place(tmp_path, monkeypatch):
    """`weights=None` and a file made here: the real one is 24 MB and elsewhere."""
    from keras.src.applications import efficientnet_v2
    from keras.src.backend import config
    from keras.src.utils.file_utils import hash_file

    monkeypatch.setattr(config, "keras_home", lambda: str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))  # Keras reads it when it is imported
    (tmp_path / "models").mkdir()
    shape = (224, 224, 3)
    made = keras.applications.EfficientNetV2B0(False, weights=None, input_shape=shape)
    path = tmp_path / "models" / backbone.FILE
    made.save_weights(tmp_path / "x.weights.h5")
    # Keras reads this file by its old format, which it no longer writes: its name and hash matter
    (tmp_path / "x.weights.h5").rename(path)
    hashes = {"b0": ("", hash_file(str(path), "md5"))}
    monkeypatch.setattr(efficientnet_v2, "WEIGHTS_HASHES", hashes)
    asked = []
    kind = type(made)
    monkeypatch.setattr(kind, "load_weights", lambda self, place: asked.append(place))
    found = backbone_for("imagenet")
    assert [str(place) for place in asked] == [str(path)]
    assert found.output_shapes == [(28, 28, 48), (14, 14, 112), (7, 7, 1280)]
