"""The model zoo: one module per architecture table, and pretrained detectors by name.

Example:
    >>> import zoo
    >>> zoo.list("cifar10")[:2]
    ['cifar10_alad', 'cifar10_anogan']
    >>> # zoo.load("cifar10_alad").anomaly_score(images), images uint8 (N, 32, 32, 3)
"""

from zoo._describe import card_path, describe
from zoo._entry import Entry
from zoo._loading import entry, list, load, register, save_preset  # noqa: A004 - as zoo.list()
from zoo._presets import variants

__all__ = [
    "Entry",
    "card_path",
    "describe",
    "entry",
    "list",
    "load",
    "register",
    "save_preset",
    "variants",
]
