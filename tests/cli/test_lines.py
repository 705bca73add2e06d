"""Messages of the library, in the words of the command line; options that are refused early."""

import numpy as np
import pytest
from typer.testing import CliRunner

import zoo
from alad_tf.cli.commands import app
from alad_tf.cli.lines import as_options
from alad_tf.experiments.settings import Settings


@pytest.mark.parametrize(
    "message, words",
    [
        ("Put it into a folder and pass that as data_dir.", "pass that as --data-dir."),
        ("put the file there, or omit data_dir to download it", "omit --data-dir to download it"),
        ("received normal_class='old cat' for", "received --normal-class 'old cat' for"),
        ("received swap_halves=True for", "received --swap-halves for"),
        ("received spectral_norm=False for", "received --no-spectral-norm for"),
        ("Use stopping='fixed', or", "Use --stopping fixed, or"),
        ('or fit with missing="flag".', "or fit with --new-gaps flag."),
        ("received patience=0; expected", "received --patience 0; expected"),
        ("columns={'note': 'hash'} or 'category'", "--column note=hash or --column note=category"),
        ("""columns={"it's": 'ignore'}""", """--column 'it'"'"'s=ignore'"""),
        ("The cell features='\\x' is odd", "--features '\\x' is odd"),
    ],
)
def test_arguments_become_options(message, words):
    assert as_options(message).endswith(words) or words in as_options(message)


@pytest.mark.parametrize(
    "message",
    [
        "/home/data_dir/kdd.gz does not exist",
        "data_dir.csv has no rows",
        "it has no column 'data_dir'",
        "received --missing NA",
        "line_steps=3",
    ],
)
def test_what_users_wrote_stays(message):
    assert as_options(message) == message


@pytest.mark.parametrize("features", ["imagenet", "tiny.keras"])
@pytest.mark.parametrize("name", ["orders.csv", "orders.csv.gz", "orders.parquet", "x.npy"])
def test_features_of_a_table_are_refused_before_a_network_is_fetched(tmp_path, name, features):
    source = tmp_path / name
    if name == "x.npy":
        np.save(source, np.zeros((3, 2)))
    else:
        source.write_bytes(b"not read")
    (tmp_path / "tiny.keras").write_bytes(b"not loaded")
    features = features if features == "imagenet" else str(tmp_path / features)
    words = ["fit", str(source), "--out", str(tmp_path / "d"), "--features", features]
    error = CliRunner().invoke(app, words).exception
    assert f"received --features {features} for {source}" in str(error)
    assert "images" in str(error) and not (tmp_path / "d").exists()


def test_a_score_that_cannot_be_tuned_is_refused_before_the_table_is_read(tmp_path):
    source = tmp_path / "orders.csv"
    source.write_bytes(b"")
    words = ["tune", str(source), "--out", str(tmp_path / "d"), "--score", "combined"]
    assert "there is nothing to tune" in str(CliRunner().invoke(app, words).exception)


@pytest.mark.parametrize("option", [{"swap_halves": True}, {"scaling": "minmax"}])
def test_options_of_tables_are_refused_before_images_are_downloaded(option):
    with pytest.raises(ValueError, match="whose samples are images"):
        Settings(**option).resolve(zoo.entry("cifar10_alad"))
