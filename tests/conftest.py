"""Where the tests find the real data files, and the tables read from them, once a session."""

import contextlib
import gc
import os
import signal
import sys
from pathlib import Path

import pytest

from alad_tf.data import load

# A worker of pytest-xdist has a fixed width of its own; commands are to take what a test gives.
os.environ.pop("COLUMNS", None)

# A shell's background jobs ignore Ctrl-C, and would hand that down to the processes which tests
# start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Files that take longest, the longest first: at the end no worker is alone with one of them.
LONG = (
    "test_distributed", "test_baselines", "test_alad", "test_cli_detect", "test_adbench",
    "test_estimator", "test_estimator_checks", "test_image_runs", "test_jobs", "test_export",
    "test_notebooks", "test_runs", "test_reproduce", "test_members", "test_portable",
    "test_tuning", "test_zoo", "test_step_parity", "test_stopping", "test_server", "test_wheel",
)  # fmt: skip
PLACE = {name: place for place, name in enumerate(LONG)}


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: PLACE.get(item.path.stem, len(LONG)))


@pytest.hookimpl(tryfirst=True)  # before the test's fixtures
def pytest_runtest_setup(item):
    """XLA, which takes seconds to compile a program, is off where it is not what a test is about.

    Commands that a test starts inherit this.
    """
    os.environ["ALAD_XLA"] = "1" if item.get_closest_marker("xla") else "0"


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    """Give back the graphs of a module's models.

    TensorFlow keeps what `tf.custom_gradient` registered while a graph was traced, and with it the
    graph, until the process ends: some 30 MB for each architecture that was trained.
    """
    if "tensorflow" in sys.modules and (nextitem is None or nextitem.path != item.path):
        from tensorflow.python.framework import ops

        registered = ops.gradient_registry._registry
        for name in [name for name in registered if name.startswith("CustomGradient-")]:
            del registered[name]
        gc.collect()


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


@contextlib.contextmanager
def _unasked():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("alad_tf.export.saved_model.difference", lambda *_: None)
        patch.setattr("alad_tf.export.portable.portable_difference", lambda *_: None)
        yield


@pytest.fixture(scope="session")
def unasked():
    """A context in which exports are written without the fresh process that asks them first.

    It takes 4 s. For tests that compare an export's answers themselves. The process is tested in
    `test_export` and `test_export_check`, and on a rival's export in `test_baselines`.
    """
    return _unasked


@pytest.fixture(scope="module")
def unchecked(unasked):
    """All of a module's exports are `unasked`."""
    with unasked():
        yield


def _tfds_folder(variable, beside, dataset):
    named = os.environ.get(variable)
    folders = [Path(named)] if named else sorted(Path(__file__).resolve().parents[2].glob(beside))
    for folder in folders:
        if (folder / dataset).is_dir():
            return folder
    reason = f"no folder with {dataset} as TensorFlow Datasets prepares it; set {variable}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def tfds_dir():
    """Folder with the real CIFAR-10: $TFDS_DATA_DIR, else a `*/tfds` folder beside the checkout."""
    return _tfds_folder("TFDS_DATA_DIR", "*/tfds", "cifar10")


@pytest.fixture(scope="session")
def small_svhn_dir():
    """Folder with some images of SVHN: $ALAD_SMALL_SVHN_DIR, else `*/tfds_small`."""
    return _tfds_folder("ALAD_SMALL_SVHN_DIR", "*/tfds_small", "svhn_cropped")


@pytest.fixture(scope="session")
def cifar10(tfds_dir):
    """Records of CIFAR-10, airplanes normal; not to be changed in place."""
    return load("cifar10", tfds_dir)
