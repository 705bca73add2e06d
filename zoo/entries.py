"""The entries by name: one module per architecture table, or rival and data set."""

import builtins
import importlib

from alad_tf.data.records import unknown_name_error

_NAMES = (
    "arrhythmia_alad",
    "arrhythmia_anogan",
    "arrhythmia_dagmm",
    "arrhythmia_dsebm",
    "arrhythmia_iforest",
    "arrhythmia_ocsvm",
    "breast_cancer_alad",
    "cifar10_alad",
    "cifar10_anogan",
    "cifar10_dsebm",
    "cifar10_iforest",
    "cifar10_ocsvm",
    "kdd99_alad",
    "kdd99_anogan",
    "kdd99_dagmm",
    "kdd99_dsebm",
    "kdd99_iforest",
    "kdd99_ocsvm",
    "svhn_alad",
    "svhn_anogan",
    "svhn_dsebm",
    "svhn_iforest",
    "svhn_ocsvm",
)


def names():
    """Names of all entries, sorted."""
    return builtins.list(_NAMES)


def list(dataset=None):  # noqa: A001 - reads as zoo.list()
    """Names of the entries.

    Args:
        dataset: str, only the entries of this dataset, e.g. "kdd99"; default all.

    Returns:
        sorted list of str.

    Raises:
        ValueError: no entry has this dataset.

    Example:
        >>> list("kdd99")[:3]
        ['kdd99_alad', 'kdd99_anogan', 'kdd99_dagmm']
    """
    if dataset is None:
        return names()
    found = [name for name in _NAMES if entry(name).dataset == dataset]
    if not found:
        known = sorted({entry(name).dataset for name in _NAMES})
        raise ValueError(f"No entry for the dataset {dataset!r}; the zoo has {known}.")
    return found


def entry(name):
    """The entry of a name.

    Args:
        name: str, one of `zoo.list()`.

    Returns:
        `alad_tf.entry.Entry`, or an entry of `alad_tf.baselines.entries`.

    Raises:
        ValueError: an unknown name; the closest known names are in the message.

    Example:
        >>> entry("kdd99_alad").source
        'Table XI'
    """
    if name not in _NAMES:
        raise unknown_name_error("zoo entry", name, _NAMES)
    return importlib.import_module(f"zoo.{name}").ENTRY
