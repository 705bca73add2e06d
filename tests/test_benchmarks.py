"""What the benchmarks measure against: the counted products are the ones that the networks make."""

import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage
from tiny import picture, tiny_network

import zoo
from alad_tf import ALADDetector
from alad_tf.experiments.plan import Job
from alad_tf.experiments.settings import Settings
from alad_tf.model.scorer import Scorer
from alad_tf.model.specs import conv, conv_transpose, dense, flatten, reshape
from benchmarks import (
    common,
    contamination,
    fit_time,
    flops,
    gpu,
    growth,
    orders,
    picture_speed,
    pictures,
    reasons,
    report,
)
from benchmarks.limit import Limit, _operation

ROOT = Path(__file__).resolve().parents[1]
TABLE = {
    "E": [dense(3, "lrelu"), dense(2)],
    "G": [dense(4, "relu"), dense(5)],
    "D_xz": {"x": [dense(6)], "z": [dense(7)], "joint": [dense(8, "lrelu"), dense(1)]},
    "D_xx": [dense(9, "lrelu"), dense(1)],
    "D_zz": [dense(10, "lrelu"), dense(1)],
}


@pytest.fixture
def table():
    """An entry whose every width is another, so that no two products cost the same."""
    entry = zoo.entry("kdd99_alad")
    return dataclasses.replace(entry, networks=TABLE, x_shape=(5,), latent_dim=2, batch_size=11)


def test_a_steps_products_are_counted_by_hand(table):
    """Multiplications for one row, written out; x has 5 numbers and z has 2."""
    e, g = 5 * 3 + 3 * 2, 2 * 4 + 4 * 5
    xz = 5 * 6 + 2 * 7 + (6 + 7) * 8 + 8
    first_xx, first_zz = 5 * 9, 2 * 10  # half of the first kernel: once for a, once for b - a
    made = 2 * e + 2 * g
    discriminators = (
        made
        + 2 * xz * 2  # both pairs forward, and the kernels' gradients
        + 2 * ((6 + 7) * 8 + 8)  # into the branches' outputs
        + 2 * (2 * first_xx + 2 * 9)
        + 2 * 9
        + 2 * (2 * first_zz + 2 * 10)
        + 2 * 10
    )
    generators = (
        made
        + 2 * xz
        + (10 * 9 + 9)
        + (4 * 10 + 10)
        + 7 * 8
        + 8
        + 2 * 7  # through D_xz into E(x)
        + 6 * 8
        + 8
        + 5 * 6  # through D_xz into G(z)
        + (5 * 9 + 9)
        + (2 * 10 + 10)  # through D_xx and D_zz into what was made again
        + 2 * e
        + 2 * g  # kernels
        + (3 * 2 + e)
        + (4 * 5 + g)  # into E(x)'s hidden row, E(G(z))'s input, and the same of G
    )
    assert flops.total(flops.train_step(table)) == 2 * 11 * (discriminators + generators)


def test_a_scores_products_are_counted_by_hand(table):
    wanted = (5 * 3 + 3 * 2) + (2 * 4 + 4 * 5) + 2 * 5 * 9 + 9
    assert flops.total(flops.score(table, 11)) == 2 * 11 * wanted


def test_shapes_of_convolutions_are_those_of_the_networks():
    rows = [
        conv(3, 5, 2),
        conv(4, 4, 1, padding="valid"),
        flatten(),
        dense(6),
        reshape(1, 1, 6),
        conv_transpose(5, 4, 2, padding="valid"),
        conv_transpose(2, 3, 2),
        conv(7, 1, 1),
    ]
    products, shape = flops.of_rows(rows, (13, 13, 2), 1)
    from alad_tf.model.networks import Stack

    stack = Stack(rows)
    assert (None, *shape) == tuple(stack.compute_output_shape((None, 13, 13, 2)))
    assert products[-1].kind == "dense" and products[-1].rows == 8 * 8  # a product at each place
    assert products[0].flops == 2 * 7 * 7 * 3 * 25 * 2
    assert products[3].flops == 2 * 1 * 1 * 6 * 16 * 5


@pytest.mark.parametrize("kind", ["dense", "conv", "conv_transpose"])
@pytest.mark.parametrize("way", ["forward", "weights", "inputs"])
def test_the_limit_times_the_operation_that_training_makes(kind, way):
    """Each way's operation equals what automatic differentiation of the forward one gives."""
    shapes = ((6,), (5,)) if kind == "dense" else ((8, 8, 3), (4, 4, 5))
    if kind == "conv_transpose":
        shapes = ((4, 4, 5), (8, 8, 3))
    form = () if kind == "dense" else (4, 2, "same")
    forward = flops.Product(kind, "forward", 2, *shapes, *form)
    function, x, w = _operation(forward)
    y = function(x, w)
    assert y.shape == (2, *shapes[1])
    operation, *operands = _operation(dataclasses.replace(forward, way=way))
    if way == "forward":
        return
    with tf.GradientTape() as tape:
        tape.watch([x, w])
        upstream = tf.random.stateless_normal(y.shape, (0, 2))  # the operand that Limit takes
        loss = tf.reduce_sum(function(x, w) * upstream)
    of_x, of_w = tape.gradient(loss, [x, w])
    wanted = of_w if way == "weights" else of_x
    got = operation(*operands)
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


def test_the_limit_adds_up_its_products(table):
    products = flops.score(table, 3)
    limit = Limit(products)
    assert limit.flops == flops.total(products)
    assert limit.seconds() > 0


def test_measurements_take_turns():
    order = []
    names = {name: lambda name=name: order.append(name) or 0.5 for name in "ab"}
    assert common.in_turns(names, 2) == {"a": [0.5, 0.5], "b": [0.5, 0.5]}
    assert order == ["a", "b", "a", "b"]
    assert common.ratio([3.0, 8.0, 1.0], [1.0, 2.0, 1.0]) == {"median": 3.0, "min": 1.0, "max": 4.0}


def test_a_gpu_makes_a_seed_of_all_classes_before_the_next(tmp_path):
    """First what is missing of the default's first seed; then its second, and the ablations."""
    jobs = gpu.due(ROOT / "results")
    full = ("cifar10_alad", True, True)
    rounds = [job.settings.seed + (gpu._kind(job) != full) for job in jobs]
    assert rounds == sorted(rounds) and {job.state for job in jobs} <= {"to do", "stale"}
    assert len(gpu.due(tmp_path)) == 10 * 3 * (4 + 1)  # classes, seeds, ablations and AnoGAN
    first = [job.settings.normal_class for job in gpu.due(tmp_path)[:10]]
    assert sorted(first) == list(range(10))


@pytest.mark.slow
def test_runs_side_by_side_write_their_results(tmp_path, monkeypatch, capfd):
    """Two processes make four runs, of which one cannot be; none begins that would end too late."""
    monkeypatch.chdir(tmp_path)
    entry = zoo.entry("breast_cancer_alad")
    jobs = [Job(entry, Settings(seed=seed, epochs=1).resolve(entry), "to do") for seed in range(3)]
    jobs.append(Job(entry, dataclasses.replace(jobs[0].settings, precision="float8"), "to do"))
    late = gpu.make_runs(jobs, 2, time.time() - 1, "results", None, False)
    assert late == 0 and not (tmp_path / "results").exists()
    assert gpu.make_runs(jobs, 2, time.time() + 600, "results", None, False) == 3
    found = tmp_path.glob("results/breast_cancer_alad/epochs1/seed*.json")
    assert sorted(path.name for path in found) == ["seed0.json", "seed1.json", "seed2.json"]
    assert "Error" in capfd.readouterr().out


def test_a_measurement_that_was_cut_short_goes_on(tmp_path, monkeypatch):
    made = []

    def part(name, fails=()):
        def measured(*arguments):
            made.append((name, *(a for a in arguments if isinstance(a, str))))
            if name in fails:
                raise KeyboardInterrupt
            return len(made)

        return measured

    names = ("_step", "_scoring", "agreement", "same_scores")
    for name in names:
        monkeypatch.setattr(gpu, name, part(name, fails=("agreement",)))
    path = tmp_path / "gpu.partial.json"
    with pytest.raises(KeyboardInterrupt):
        gpu.measure(5, path)
    steps = [("_step", name) for name in gpu.PRECISIONS]
    assert made == [*steps, *[("_scoring",)] * len(gpu.BLOCKS), ("agreement",)]
    kept = json.loads(path.read_text())
    assert list(kept["steps"]) == list(gpu.PRECISIONS) and "beside_the_cpu" not in kept

    for name in names:
        monkeypatch.setattr(gpu, name, part(name))
    made.clear()
    found = gpu.measure(5, path)
    assert made == [("agreement",), ("same_scores",)] and found["steps"] == kept["steps"]
    made.clear()
    gpu.measure(4, path)  # of other rounds: all again
    assert len(made) == len(steps) + len(gpu.BLOCKS) + 2


def test_a_gpus_scores_are_compared_with_the_cpus():
    entry = zoo.entry("cifar10_alad")
    x = np.random.default_rng(0).uniform(-1, 1, (80, 32, 32, 3)).astype("float32")
    assert max(gpu.same_scores(entry, x).values()) < 1e-4


@pytest.mark.parametrize("name", ["cloth", "stone", "wood", "dots", "flower.jpg"])
def test_defects_are_where_their_masks_are(name):
    rng = np.random.default_rng(0)
    plain = (pictures.crop if name in pictures.PHOTOGRAPHS else pictures.texture)(name, rng)
    assert plain.shape == (224, 224, 3) and plain.std() > 5
    for _ in range(4):
        changed, mask = pictures.planted(plain, rng)
        assert 20 < mask.sum() < 1500
        differs = np.abs(changed.astype(int) - plain).max(-1) > 1
        near = ndimage.binary_dilation(mask, iterations=5)
        assert differs[mask].mean() > 0.5 and not differs[~near].any()


def test_embedded_pictures_are_scored_as_by_the_detector():
    rng = np.random.default_rng(0)
    detector = ALADDetector(features=tiny_network()).fit([picture(rng) for _ in range(20)])
    new = np.stack([picture(rng) for _ in range(9)])
    found = pictures.answers(detector.detector_.scorer, pictures.embedded(tiny_network(), new))
    np.testing.assert_allclose(found["combined"], detector.anomaly_score(new), atol=1e-4)
    maps = detector.detector_.scorer.heat_maps(new.astype("float32"))
    np.testing.assert_allclose(found["heat_map"], maps, rtol=1e-4)


@pytest.mark.slow
def test_methods_on_the_same_features_are_compared(monkeypatch):
    monkeypatch.setattr(pictures, "STEPS", 2)
    rng = np.random.default_rng(0)
    train = np.stack([picture(rng) for _ in range(20)])
    new = np.stack([picture(rng), picture(rng, spot=(40, 8)), picture(rng, spot=(9, 9))])
    scores, heat = pictures.compared(tiny_network(), train, pictures.embedded(tiny_network(), new))
    assert list(scores) == ["features", "nearest neighbours", "ALAD", "ALAD, untrained"]
    assert heat.shape == (3, 8, 8) and not np.allclose(scores["ALAD"], scores["ALAD, untrained"])
    masks = np.zeros((3, 8, 8), bool)
    masks[1, 5, 1] = True
    found = pictures.measured([False, True, True], scores["features"], heat, masks)
    assert found["auroc"] == 1 and found["pixel auroc"] > 0.9 and set(found) > {"aupro"}
    by_pixels, maps = pictures.on_pixels(train, new, steps=2)
    assert by_pixels.shape == (3,) and maps.shape == (3, 224, 224)


def test_speeds_of_features():
    rng = np.random.default_rng(0)
    some = np.stack([picture(rng) for _ in range(24)])
    found = picture_speed.speeds(tiny_network(), some[:20], some[20:], 1)
    assert min(found["pictures a second"]["scoring"].values()) > 0
    assert "seconds to fit" in found


def test_a_wider_table_is_an_entry():
    entry = growth.with_features(zoo.entry("kdd99_alad"), 10)
    model = entry.build()
    assert Scorer.from_alad(model).scores(np.zeros((2, 10)))["l1"].shape == (2,)


def test_contaminated_rows_train_and_never_test():
    """The test rows are the same whatever the share is, and normal rows train in all cases."""
    is_anomaly = np.arange(300) % 15 == 0
    splits = [contamination.contaminated(is_anomaly, share, 1) for share in contamination.SHARES]
    for train, test in splits:
        assert not set(train) & set(test)
        np.testing.assert_array_equal(test, splits[0][1])
        assert sorted(train[~is_anomaly[train]]) == sorted(splits[0][0])
    # a tenth of the training rows would be 16 anomalies; half of the 20 are taken
    assert [is_anomaly[train].sum() for train, _ in splits] == [0, 2, 8, 10]
    assert is_anomaly[splits[0][1]].sum() == 10
    with pytest.raises(ValueError, match="at most 0.1"):
        contamination.contaminated(is_anomaly, 0.2, 1)


@pytest.mark.slow
def test_contaminated_scores_are_the_detectors():
    """Those of an `ALADDetector` that knows of the contamination, though no network trains."""
    x = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
    found = contamination.scores_of(x[:40], x[40:], seed=0)
    estimator = ALADDetector(contamination=0.1, steps=1, scaling="none").fit(x[:40])
    for rows, scores in zip((x[:40], x[40:]), found["contamination="], strict=True):
        np.testing.assert_allclose(estimator.anomaly_score(rows), scores, rtol=1e-4, atol=1e-4)
    assert {len(own) for own, _ in found.values()} == {40}
    assert {len(new) for _, new in found.values()} == {20}


@pytest.mark.parametrize("away", reasons.FAULTS.values())
def test_planted_faults_are_in_one_column_that_varies(away):
    x = np.random.default_rng(0).normal(size=(50, 4))
    x[:, 1] = 3
    faulty, columns = reasons.plant(x, x.std(0), away, np.random.default_rng(1))
    changed = faulty != x
    assert (changed.sum(1) <= 1).all() and not changed[:, 1].any()
    rows = changed.any(1)
    assert rows.mean() > 0.9 and (changed.argmax(1) == columns)[rows].all()


def test_what_is_installed_is_timed():
    assert {"ALADDetector", "Isolation Forest"} <= set(fit_time.known()) <= set(fit_time.METHODS)


@pytest.mark.slow
def test_fits_are_timed_in_fresh_processes():
    parts = fit_time.child("Isolation Forest", [(50, 3), (40, 3)])
    assert [len(part) for part in parts] == [2, 2] and min(map(min, parts)) > 0
    with pytest.raises(RuntimeError, match="OC-SVM failed"):
        fit_time.child("OC-SVM", [(0, 3)])


def test_the_committed_report_is_the_rendered_one():
    rendered = report.render(ROOT / "results" / "benchmarks")
    assert (ROOT / "BENCHMARKS.md").read_text(encoding="utf-8") == rendered
    assert "Not measured yet" in report.render(ROOT / "nowhere")


@pytest.mark.parametrize("path", sorted((ROOT / "results" / "benchmarks").glob("*.json")))
def test_every_measurement_says_what_it_ran_on(path):
    told = json.loads(path.read_text())
    assert told["hardware"]["cores"] and told["versions"]["tensorflow"] and told["commit"]
    assert told["command"] == f"python -m benchmarks.{path.stem}"


def test_faulty_orders_are_faulty_and_normal_ones_are_not():
    generator = np.random.default_rng(0)
    normal = orders.orders(500, generator)
    kinds = orders.faults(generator)
    assert all(len(table) == orders.FAULTS for table in kinds.values()) and len(kinds) == 11

    def wrong_total(table):
        total = table["price"] * table["quantity"] * (1 - table["discount"])
        return (table["total"] - total).abs() > 0.02

    def early(table):
        return table["delivered"] < table["ordered"]

    def night(table):
        return table["ordered"].dt.hour < 7

    for check, kind in (
        (wrong_total, "total of another order"),
        (early, "delivered before ordered"),
        (night, "ordered at night"),
    ):
        assert not check(normal).any() and check(kinds[kind]).mean() > 0.9
    assert not normal["country"].isin(kinds["country never seen"]["country"]).any()
    rows = orders.Encoded(normal).of(normal)
    assert rows.shape == (500, 18) and np.abs(rows[:, :9].mean(0)).max() < 1e-6
    found = orders._auroc({"normal": np.arange(4.0), "odd": np.full(3, 3.4e38)})
    assert found == {"odd": 1.0, "all": 1.0}
