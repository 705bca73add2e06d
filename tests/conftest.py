"""Where the tests find the real data files, and the tables read from them, once a session."""

import os
from pathlib import Path

import pytest

from alad_tf.data import load

FILES = ("kddcup.data_10_percent.gz", "arrhythmia.data")


@pytest.fixture(scope="session")
def data_dir():
    """Folder with the raw files: $ALAD_DATA_DIR, else a `*/data` folder beside the checkout."""
    beside = sorted(Path(__file__).resolve().parents[2].glob("*/data"))
    named = os.environ.get("ALAD_DATA_DIR")
    for folder in [Path(named)] if named else beside:
        if all((folder / name).is_file() for name in FILES):
            return folder
    reason = f"no folder with {' and '.join(FILES)}; set ALAD_DATA_DIR"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def kdd99(data_dir):
    """Records of the whole KDD99 table; not to be changed in place."""
    return load("kdd99", data_dir)


@pytest.fixture(scope="session")
def arrhythmia(data_dir):
    """Records of the Arrhythmia table; not to be changed in place."""
    return load("arrhythmia", data_dir)


@pytest.fixture(scope="session")
def breast_cancer():
    """Records of the breast cancer table; not to be changed in place."""
    return load("breast_cancer")
