"""The model zoo: one module per architecture table, looked up by name.

Example:
    >>> import zoo
    >>> zoo.list()
    ['arrhythmia_alad', 'breast_cancer_alad', 'cifar10_alad', 'kdd99_alad', 'svhn_alad']
"""

import difflib
import importlib

from zoo.describe import describe

__all__ = ["describe", "entry", "list"]

_NAMES = (
    "arrhythmia_alad",
    "breast_cancer_alad",
    "cifar10_alad",
    "kdd99_alad",
    "svhn_alad",
)


def list(dataset=None):  # noqa: A001 - reads as zoo.list()
    """Names of the entries.

    Args:
        dataset: str, only the entries of this dataset, e.g. "kdd99"; default all.

    Returns:
        sorted list of str.

    Raises:
        ValueError: no entry has this dataset.

    Example:
        >>> list("kdd99")
        ['kdd99_alad']
    """
    if dataset is None:
        return sorted(_NAMES)
    names = [name for name in sorted(_NAMES) if entry(name).dataset == dataset]
    if not names:
        known = sorted({entry(name).dataset for name in _NAMES})
        raise ValueError(f"No entry for the dataset {dataset!r}; the zoo has {known}.")
    return names


def entry(name):
    """The entry of a name.

    Args:
        name: str, one of `zoo.list()`.

    Returns:
        `alad_tf.entry.Entry`.

    Raises:
        ValueError: an unknown name; the closest known names are in the message.

    Example:
        >>> entry("kdd99_alad").source
        'Table XI'
    """
    if name not in _NAMES:
        close = difflib.get_close_matches(str(name), _NAMES, n=3, cutoff=0.4) or sorted(_NAMES)
        raise ValueError(
            f"Unknown zoo entry {name!r}. Did you mean {' or '.join(map(repr, close))}? "
            "`zoo.list()` shows them all."
        )
    return importlib.import_module(f"zoo.{name}").ENTRY
