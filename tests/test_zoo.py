"""The zoo's entries hold what the paper's tables print, and describe themselves."""

import pytest

import zoo

# Units per block as printed in Tables XI and XIII, with the misprinted "1" of E replaced.
TABLES = {
    "kdd99_alad": {
        "source": "Table XI",
        "E": [64, 32],
        "G": [64, 128, 121],
        "D_xz": {"x": [128], "z": [128], "joint": [128, 1]},
        "D_xx": [128, 1],
        "D_zz": [32, 1],
        "hyper": dict(learning_rate=1e-5, beta_1=0.5, batch_size=50, latent_dim=32, epochs=100),
    },
    "arrhythmia_alad": {
        "source": "Table XIII",
        "E": [256, 128, 64],
        "G": [128, 256, 274],
        "D_xz": {"x": [128], "z": [128], "joint": [256, 1]},
        "D_xx": [256, 128, 1],
        "D_zz": [64, 32, 1],
        "hyper": dict(learning_rate=1e-5, beta_1=0.5, batch_size=32, latent_dim=64, epochs=1000),
    },
}


def units(rows):
    if isinstance(rows, dict):
        return {block: units(part) for block, part in rows.items()}
    return [row.units for row in rows]


@pytest.mark.parametrize("name", TABLES)
def test_entries_read_like_their_tables(name):
    entry, table = zoo.entry(name), TABLES[name]
    assert entry.source == table["source"]
    for network in ("E", "G", "D_xz", "D_xx", "D_zz"):
        assert units(entry.networks[network]) == table[network]
    for key, value in table["hyper"].items():
        assert getattr(entry, key) == value
    joint = entry.networks["D_xz"]
    assert [r.dropout for r in joint["x"] + joint["z"] + joint["joint"]] == [0, 0.5, 0.5, 0]
    assert [r.batch_norm for r in joint["x"] + joint["z"]] == [True, False]
    for network in ("D_xx", "D_zz"):
        *hidden, top = entry.networks[network]
        assert {r.dropout for r in hidden} == {0.2} and top.dropout == 0
        assert {r.activation for r in hidden} == {"lrelu"} and top.activation is None
    assert {r.activation for r in entry.networks["G"][:-1]} == {"relu"}
    assert entry.slope == 0.2 and entry.initializer == "glorot_uniform"


@pytest.mark.parametrize("name", zoo.list())
def test_entries_build_and_describe_every_layer(name):
    entry = zoo.entry(name)
    model = entry.build(seed=0)
    text = zoo.describe(name)
    for network in ("E", "G", "D_xz", "D_xx", "D_zz"):
        kernels = [v for v in getattr(model, network).trainable_variables if v.ndim == 2]
        rows = entry.networks[network]
        counted = len(sum(rows.values(), [])) if isinstance(rows, dict) else len(rows)
        assert len(kernels) == counted
        assert f"## {network}: {getattr(model, network).count_params():,} parameters" in text
    assert f"learning_rate: {entry.learning_rate}" in text
    for deviation in entry.deviations:
        assert deviation in text


def test_names_and_errors():
    assert zoo.list("kdd99") == ["kdd99_alad"]
    with pytest.raises(ValueError, match="Did you mean 'kdd99_alad'"):
        zoo.entry("kdd_alad")
    with pytest.raises(ValueError, match="No entry for the dataset 'mnist'; the zoo has"):
        zoo.list("mnist")
