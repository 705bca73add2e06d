"""What dates become: hours, weekdays, differences, and time that goes on."""

import json

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from alad_tf.preprocess import MixedPreprocessor, preprocessor_from_state
from alad_tf.preprocess.base import FAR

DAY = np.timedelta64(86400, "s")


def office(count=600, seed=0):
    """Orders at office hours on workdays, delivered some days later, over a year."""
    generator = np.random.default_rng(seed)
    days = np.arange("2024-01-01", "2025-01-01", dtype="M8[D]")
    days = generator.choice(days[np.is_busday(days)], count).astype("M8[s]")
    ordered = days + generator.integers(9 * 3600, 17 * 3600, count)
    took = generator.integers(86400, 5 * 86400, count)
    return pd.DataFrame({"ordered": ordered, "delivered": ordered + took})


@pytest.fixture(scope="module")
def layer():
    return MixedPreprocessor().fit(office())


def test_features_by_hand(layer):
    table = office()
    expected = {k: v.to_numpy().astype("int64").astype(float) for k, v in table.items()}
    hour = 2 * np.pi * (expected["ordered"] % 86400) / 86400
    expected |= {"ordered (hour, sine)": np.sin(hour), "ordered (hour, cosine)": np.cos(hour)}
    expected["delivered - ordered"] = expected["delivered"] - expected["ordered"]
    encoded = dict(zip(layer.feature_names, layer.transform(table).T, strict=True))
    for name in ("ordered", "delivered", "ordered (hour, sine)", "ordered (hour, cosine)",
                 "delivered - ordered"):  # fmt: skip
        right = (expected[name] - expected[name].mean()) / expected[name].std()
        np.testing.assert_allclose(encoded[name], right, atol=2e-6)
    assert "ordered (weekday, sine)" in encoded
    weekdays = encoded["ordered (weekday, sine)"], encoded["ordered (weekday, cosine)"]
    points = {tuple(np.round(pair, 3)) for pair in zip(*weekdays, strict=True)}
    assert len(points) == 5  # one for each workday
    assert layer.groups["delivered"][0] == 1 and layer.feature_names[-1] == "delivered - ordered"
    assert layer.groups["delivered"][-1] == layer.output_dim - 1


def test_faults_stand_out(layer):
    usual = office(50, seed=1)
    most = np.abs(layer.transform(usual)).max()
    assert most < 4
    early = usual.assign(delivered=usual["ordered"] - 3 * DAY)
    night = usual.assign(ordered=usual["ordered"].dt.normalize() + pd.Timedelta("2h"))
    place = layer.feature_names.index("delivered - ordered")
    assert layer.transform(early)[:, place].max() < -3
    hours = [i for i, name in enumerate(layer.feature_names) if name.startswith("ordered (hour")]
    assert np.abs(layer.transform(night)[:, hours]).max(1).min() > 3
    gap = layer.transform(usual.assign(delivered=pd.NaT))
    assert (gap[:, 1] == np.float32(FAR)).all() and np.isfinite(gap).all()


def test_no_hours_without_times_and_no_weekdays_in_a_few_weeks():
    days = pd.DataFrame({"d": office()["ordered"].dt.normalize()})
    names = MixedPreprocessor().fit(days).feature_names
    assert names == ["d", "d (weekday, sine)", "d (weekday, cosine)"]
    january = office()[lambda t: t["ordered"] < "2024-01-26"][["ordered"]]
    names = MixedPreprocessor().fit(january).feature_names
    assert names == ["ordered", "ordered (hour, sine)", "ordered (hour, cosine)"]
    generator = np.random.default_rng(0)
    always = np.datetime64("2024-01-01", "s") + generator.integers(0, 364 * 86400, 2000)
    assert MixedPreprocessor().fit({"t": always}).feature_names == ["t"]  # any hour is usual


def test_time_goes_on():
    """Next month's rows are no news; next decade's are, and so is the year before."""
    generator = np.random.default_rng(0)
    start = np.datetime64("2024-01-01", "s")
    layer = MixedPreprocessor().fit({"t": start + generator.integers(0, 366 * 86400, 900)})
    asked = ["2024-12-31", "2025-01-31", "2025-12-20", "2034-01-01", "2023-01-01"]
    found = layer.transform({"t": np.array(asked, object)})[:, 0]
    assert found[1] == found[2] and abs(found[1] - found[0]) < 0.1
    assert found[3] > 20 and found[4] < -4


def test_at_most_ten_differences_those_of_neighbours_first():
    table = {f"d{i}": office(60, seed=i)["ordered"] for i in range(7)}
    names = [name for name in MixedPreprocessor().fit(table).feature_names if " - " in name]
    assert names[:6] == [f"d{i + 1} - d{i}" for i in range(6)] and len(names) == 10


def test_a_date_that_never_varied_counts_in_days():
    layer = MixedPreprocessor().fit({"d": ["2024-01-31"] * 9, "x": np.arange(9.0)})
    assert layer.transform({"d": ["2024-02-02"], "x": [4.0]}).tolist() == [[2, 0]]


@pytest.mark.parametrize("scaling", ["standard", "minmax", "none"])
def test_state_graph_and_single_precision_keep_the_outputs(scaling):
    table = office(200).astype("M8[us]")
    table.loc[[3, 5], "delivered"] = pd.NaT
    layer = MixedPreprocessor(scaling).fit(table)
    encoded = layer.transform(table)
    assert np.isfinite(encoded).all() and np.abs(encoded).max() < 4e7
    again = preprocessor_from_state(json.loads(json.dumps(layer.state())))
    np.testing.assert_array_equal(again.transform(table), encoded)
    for row in (0, 3):
        np.testing.assert_array_equal(layer.transform(table.iloc[[row]]), encoded[row : row + 1])
    request = layer.request(table)
    assert {values.dtype for values in request.values()} == {np.dtype("float64")}
    served = layer(layer.from_request({k: tf.constant(v) for k, v in request.items()}))
    np.testing.assert_array_equal(served, encoded)
    rounded = {name: values.astype("float32") for name, values in request.items()}
    single = layer.in_single_precision(layer.from_request(rounded))
    np.testing.assert_allclose(single, layer.transform(rounded), rtol=2e-6, atol=2e-5)
    records = layer.encodings()["serialized_examples"]
    parsed = layer.from_request(records.decode(tf.constant(records.encode(table))))
    np.testing.assert_allclose(layer(parsed), encoded, rtol=1e-5, atol=1e-5)


def test_dates_are_shown_as_dates(layer):
    table = office(3)
    shown = layer.raw_columns(table)["ordered"]
    assert shown.tolist() == table["ordered"].dt.strftime("%Y-%m-%d %H:%M:%S").tolist()
    decoded = layer.decode(layer.transform(table))
    assert [text[:16] for text in decoded["ordered"]] == [text[:16] for text in shown]
    assert layer.lost_in_float32() == []
    close = MixedPreprocessor().fit(
        table.assign(delivered=table["ordered"] + pd.to_timedelta([1, 2, 3], "s"))
    )
    assert close.lost_in_float32() == ["delivered"]
