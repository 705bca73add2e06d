"""What `import zoo` gives: entries by name, and detectors loaded and saved."""

import importlib
import os
import pkgutil
import runpy
from pathlib import Path

from alad_tf.data import DATASETS, class_names, class_number
from alad_tf.data.records import unknown_name_error
from alad_tf.detector.detector import Detector
from alad_tf.engine.session import own_settings
from alad_tf.engine.weights import CONFIG, DETECTOR
from alad_tf.preprocess import ImagePreprocessor
from zoo import _presets as presets
from zoo._entry import BaseEntry

ENTRIES_ENV = "ALAD_ZOO_ENTRIES"  # files of entries of one's own, for every process
_MODULES = pkgutil.iter_modules([str(Path(__file__).parent)])
_NAMES = tuple(sorted(module.name for module in _MODULES if not module.name.startswith("_")))
_registered = {}


def list(dataset=None):  # noqa: A001 - reads as zoo.list()
    """The names of the entries.

    Args:
        dataset: str, such as "kdd99", to list only the entries of this data set; default: all.

    Returns:
        sorted list of str.

    Raises:
        ValueError: if no entry has this data set.

    Example:
        >>> list("kdd99")[:3]
        ['kdd99_alad', 'kdd99_anogan', 'kdd99_dagmm']
    """
    names = [name for name in _known() if dataset in (None, entry(name).dataset)]
    if not names:
        known = sorted({entry(name).dataset for name in _known()})
        raise ValueError(
            f"received the data set {dataset!r}, for which there is no entry; expected one of "
            f"{known}."
        )
    return names


def entry(name):
    """Get an entry by its name.

    Args:
        name: str, one of `zoo.list()`; or the path of a Python file with an `ENTRY`, which is
            registered: see `register`.

    Returns:
        `zoo.Entry`, or for a baseline another class of `zoo._entry`.

    Raises:
        ValueError: if the name is unknown (the message offers the closest ones), or the file does
            not define `ENTRY`.
        FileNotFoundError: if there is no such file.

    Example:
        >>> entry("kdd99_alad").source
        'Table XI'
    """
    if str(name).endswith(".py"):
        return _from_file(Path(name))
    known = _known()
    if name not in known:
        raise unknown_name_error("zoo entry", name, known)
    return _registered[name] if name in _registered else _module_of(name)


def register(entry):
    """Add your own entry to the zoo of this process, or replace one that you added.

    Then `zoo.entry`, `zoo.list`, `zoo.describe` and `zoo.load` know it by its name. In place of a
    name, commands take the path of a Python file that defines `ENTRY`: `alad train mine.py`. If the
    environment variable ALAD_ZOO_ENTRIES lists such files (separated by ":", or ";" on Windows),
    commands know their entries by name.

    Args:
        entry: an entry, such as `zoo.Entry`, for one of `alad_tf.data.DATASETS`.

    Returns:
        the entry.

    Raises:
        ValueError: if it is not an entry, its data set is unknown, or its name is invalid or one of
            the zoo's own.

    Example:
        >>> from dataclasses import replace
        >>> mine = register(replace(entry("breast_cancer_alad"), name="mine", epochs=3))
        >>> entry("mine").epochs, "mine" in list("breast_cancer")
        (3, True)
        >>> _ = _registered.pop("mine")
    """
    if not isinstance(entry, BaseEntry):
        raise ValueError(
            f"received {entry!r}; expected an entry, such as zoo.Entry(name=..., dataset=...)."
        )
    if entry.name in _NAMES or not entry.name.isidentifier():
        raise ValueError(
            f"received an entry named {entry.name!r}; expected a name that the zoo does not "
            "use, of letters, digits and underscores, not beginning with a digit."
        )
    if entry.dataset not in DATASETS:
        raise unknown_name_error("data set", entry.dataset, DATASETS)
    _registered[entry.name] = entry
    return entry


def _known():
    """Names of all entries, sorted; those of the environment's files are registered first."""
    for path in filter(None, os.environ.get(ENTRIES_ENV, "").split(os.pathsep)):
        if Path(path).resolve() not in _files:
            _from_file(Path(path))
    return sorted([*_NAMES, *_registered])


_files = {}  # paths that were registered, with their entries


def _from_file(path):
    """Register the `ENTRY` of a Python file, for this process and those that it starts."""
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no file {path.resolve()}; expected a Python file that defines ENTRY."
        )
    path = path.resolve()
    if path not in _files:
        names = runpy.run_path(str(path))
        if "ENTRY" not in names:
            raise ValueError(f"{path} does not define ENTRY. Define one, as in zoo/kdd99_alad.py.")
        _files[path] = register(names["ENTRY"])
        told = [p for p in os.environ.get(ENTRIES_ENV, "").split(os.pathsep) if p]
        if path not in map(Path, told):
            os.environ[ENTRIES_ENV] = os.pathsep.join([*told, str(path)])
    return _files[path]


def _module_of(name):
    return importlib.import_module(f"zoo.{name}").ENTRY


find_entry = entry  # where a local variable is an entry


@own_settings
def load(name, weights="pretrained", normal_class=None, seed=0):
    """Load a detector, by name or from a folder.

    Args:
        name: str, one of `zoo.list()`; or the path of a Python file with an `ENTRY`, or of a folder
            that `zoo.save_preset`, `Detector.save` or `alad train` wrote.
        weights: "pretrained" for the entry's own; None for untrained networks with the preset's
            fitted preprocessing; or the path of such a folder.
        normal_class: str or int, name or number of the normal class, for image sets; default: class
            0.
        seed: int, the seed of untrained networks.

    Returns:
        `alad_tf.Detector`: `anomaly_score`, `scores`, `reconstruct`, `predict`, `save`, and `model`
        for fine-tuning. Pretrained detectors have a threshold.

    Raises:
        ValueError: if the name or class is unknown, a file is damaged, the weights are another
            entry's, or there are no pretrained weights (the message names the command that trains
            them).
        FileNotFoundError: if there is no such file, or no detector in the folder.
        ConnectionError, OSError: if a download fails.

    Example:
        >>> from sklearn.datasets import load_breast_cancer
        >>> detector = load("breast_cancer_alad")
        >>> detector.anomaly_score(load_breast_cancer().data[:3]).shape
        (3,)

    Source: ALAD, Tables IX, XI and XIII.
    """
    if str(name) not in _known() and Path(name).is_dir():
        return _from_folder(Path(name))
    entry = find_entry(name)
    variant = _variant(entry, normal_class)
    if weights is None:
        return _untrained(entry, variant, seed)
    if weights == "pretrained":
        return Detector.load(_preset(entry, variant))
    detector = _from_folder(Path(weights))
    _require_same(detector, entry, None if normal_class is None else variant, weights)
    return detector


def save_preset(detector, folder, dtype="float32"):
    """Save a detector with the SHA-256 of each of its files, which `zoo.load(folder)` verifies.

    Args:
        detector: `alad_tf.Detector`.
        folder: str or Path; an existing preset there is replaced.
        dtype: "float32"; or "float16" or "int8", which store large arrays of weights in fewer
            bits, in a half or a quarter of the space.

    Returns:
        Path of the folder.

    Raises:
        ValueError: if the dtype is unknown, or a weight is beyond its range.
        FileExistsError: if the folder contains files that this program did not write.

    Example:
        >>> import tempfile
        >>> folder = save_preset(load("breast_cancer_alad"), tempfile.mkdtemp() + "/mine")
        >>> sorted(path.name for path in folder.iterdir())
        ['config.json', 'scorer.weights.h5', 'sha256.json']
    """
    return detector.save(folder, dtype)


def _variant(entry, normal_class):
    """The variant that has a normal class: "class3", or "default" where there is none to choose."""
    if entry.is_image:
        return f"class{class_number(entry.dataset, normal_class)}"
    if normal_class is not None:
        raise ValueError(
            f"received normal_class={normal_class!r} for {entry.name}; only image sets have "
            "a normal class to choose. Leave it out."
        )
    return "default"


def _untrained(entry, variant, seed):
    """A detector of untrained networks with the preset's preprocessing (images need no fitting)."""
    if entry.method != "alad":
        raise ValueError(
            f"received weights=None for {entry.name}, which cannot score before it is fitted. "
            f"Build it with zoo.entry({entry.name!r}).build(seed), then call its fit."
        )
    if entry.is_image:
        preprocessor = ImagePreprocessor(entry.x_shape)
    else:
        preprocessor = Detector.load(_preset(entry, variant)).preprocessor
    return Detector.from_model(preprocessor, entry.build(seed), metadata={"entry": entry.name})


def _from_folder(folder):
    """The detector of a folder, or of the run in it."""
    if not (folder / CONFIG).is_file() and (folder / DETECTOR).is_dir():
        folder = folder / DETECTOR
    return Detector.load(folder)


def _require_same(detector, entry, variant, folder):
    """Refuse weights of another entry, or of another variant where one was asked for."""
    name, number = (detector.metadata.get(key) for key in ("entry", "normal_class"))
    if name != entry.name or variant not in (None, f"class{number}"):
        found = repr(name) if name else "no zoo entry"
        found += "" if number is None else f", class{number}"
        expected = f"{entry.name!r}, {variant}" if variant else repr(entry.name)
        raise ValueError(f"{folder} contains weights of {found}; expected {expected}.")


def _preset(entry, variant):
    """The folder of an entry's preset; ValueError that says how to train one if there is none."""
    known = presets.variants(entry.name)
    if variant in known:
        return presets.find(entry.name, variant)
    command, of_class = f"alad train {entry.name}", ""
    if entry.is_image:
        normal = class_names(entry.dataset)[int(variant.removeprefix("class"))]
        command += f" --normal-class {normal}"
        of_class = f" with the normal class {normal}"
    pretrained = f" Pretrained: {', '.join(known)}." if known else ""
    run = f"runs/{entry.name}/{variant}/seed0"
    raise ValueError(
        f"There are no pretrained weights for {entry.name}{of_class}.{pretrained} Train them "
        f"with `{command}`. Then pass the folder {run} instead of the name; in Python, "
        f"zoo.load({entry.name!r}, weights={run!r}). There, weights=None gives untrained networks."
    )
