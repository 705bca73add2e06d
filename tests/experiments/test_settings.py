"""Settings: what differs from an entry, in names and in hyper-parameters."""

import dataclasses

import numpy as np
import pytest

import zoo
from alad_tf.experiments.plan import OTHER
from alad_tf.experiments.settings import Settings, prepare


@pytest.mark.parametrize(
    ("entry", "given", "variant"),
    [
        ("kdd99_alad", {}, "default"),
        ("kdd99_alad", dict(epochs=100, stopping="fixed"), "default"),
        ("kdd99_alad", dict(scaling="none", latent_discriminator=False), "no_dl"),
        ("kdd99_alad", OTHER["no_sn"], "swapped_no_sn_minmax"),
        ("kdd99_dagmm", dict(scaling="minmax", swap_halves=True), "swapped"),
        ("kdd99_dagmm", dict(scaling="none"), "raw"),
        ("arrhythmia_alad", dict(scaling="none", latent_discriminator=False), "no_dl_raw"),
        ("cifar10_alad", {}, "class0"),
        ("cifar10_alad", dict(normal_class="ship"), "class8"),
        ("cifar10_alad", dict(normal_class="8", pair_axis="height", patience=10), "class8"),
        (
            "cifar10_alad",
            dict(pair_axis="channels", stopping="fixed"),
            "class0_channels_stop_fixed",
        ),
        ("cifar10_alad", dict(precision="bfloat16"), "class0"),
        ("cifar10_anogan", dict(test_rows=1000, normal_class=2), "class2"),
        ("cifar10_anogan", dict(test_rows=200), "class0_test200"),
        ("kdd99_anogan", dict(test_rows=200), "test200"),
        ("svhn_alad", dict(normal_class=3, stopping="best", patience=5), None),
    ],
)
def test_the_variant_names_what_differs_from_the_entry(entry, given, variant):
    resolved = Settings(**given).resolve(zoo.entry(entry))
    assert resolved.variant == (variant or "class3_stop_best_patience5")
    assert resolved.resolve(zoo.entry(entry)) == resolved


def test_the_config_holds_what_runs():
    entry = zoo.entry("cifar10_alad")
    config = Settings(pair_axis="channels", stopping="best", epochs=7).resolve(entry).config(entry)
    assert (config["pair_axis"], config["stopping"], config["epochs"]) == (-1, "best", 7)
    assert (config["patience"], config["batch_size"]) == (10, 32)
    rounded = Settings(precision="bfloat16").resolve(entry)
    assert rounded.config(entry)["precision"] == "bfloat16"
    assert rounded.build_options(entry)["precision"] == "bfloat16"
    exact = Settings(precision="float32").resolve(entry)
    assert "precision" not in {**exact.config(entry), **exact.build_options(entry)}
    config = Settings().resolve(entry).config(entry)
    assert (config["pair_axis"], config["stopping"], config["epochs"]) == (1, "last", 100)


@pytest.mark.parametrize(
    ("entry", "given", "message"),
    [
        ("kdd99_alad", dict(normal_class=0), "whose samples are not images"),
        ("kdd99_alad", dict(pair_axis="height"), "whose samples are not images"),
        ("cifar10_alad", dict(pair_axis="width"), "unknown pair_axis 'width'.*'height'"),
        ("cifar10_alad", dict(stopping="early"), "unknown stopping 'early'.*'fixed'"),
        ("cifar10_alad", dict(precision="float16"), "unknown precision 'float16'.*'bfloat16'"),
        ("kdd99_dsebm", dict(precision="bfloat16"), "has no such setting"),
        ("cifar10_alad", dict(normal_class="car"), "unknown class of cifar10"),
        ("cifar10_alad", dict(patience=0), "received patience=0; expected at least 1"),
        ("kdd99_alad", dict(epochs=-1), "received epochs=-1; expected at least 1"),
    ],
)
def test_what_does_not_fit_the_entry_is_refused(entry, given, message):
    with pytest.raises(ValueError, match=message):
        Settings(**given).resolve(zoo.entry(entry))


def test_so_many_test_rows_are_the_same_ones_in_each_run():
    entry = dataclasses.replace(zoo.entry("kdd99_anogan"), dataset="breast_cancer", test_rows=50)
    some, again = (prepare(entry, Settings(seed=seed)) for seed in (0, 1))
    every = prepare(entry, Settings(test_rows=10**6))
    assert some.protocol()["test_rows"] == 50 < len(every.split.test)
    np.testing.assert_array_equal(some.split.test, again.split.test)
    assert np.isin(some.split.test, every.split.test).all()
    np.testing.assert_array_equal(some.split.train, every.split.train)
    some.evaluate({"score": np.arange(50.0)})  # metrics are of these rows
    with pytest.raises(ValueError, match="received test_rows=0; expected at least 1"):
        Settings(test_rows=0).resolve(entry)
    with pytest.raises(ValueError, match="'test_rows'=|test_rows=5 for kdd99_alad, which has no"):
        Settings(test_rows=5).resolve(zoo.entry("kdd99_alad"))
