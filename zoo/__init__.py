"""The model zoo: one module per architecture table, pretrained detectors by name.

Example:
    >>> import zoo
    >>> zoo.list("cifar10")[:2]
    ['cifar10_alad', 'cifar10_anogan']
    >>> # zoo.load("cifar10_alad").anomaly_score(images), images uint8 (N, 32, 32, 3)
"""

from zoo.describe import describe
from zoo.entries import entry, list  # noqa: A004 - reads as zoo.list()
from zoo.loading import load, save_preset

__all__ = ["describe", "entry", "list", "load", "save_preset"]
