"""Data sets as raw records, and the protocol splits of the paper.

`DATASETS` and `IMAGE_DATASETS` are tuples of str: the data sets that `load` knows, and the image
sets. TensorFlow Datasets is imported only to read a prepared set or to download one.

Example:
    >>> records = load("breast_cancer")
    >>> rows_by_part = split(records.name, records.is_anomaly, seed=42)
    >>> len(records.take(rows_by_part.train))
    143
"""

from alad_tf.data.images import IMAGE_DATASETS, class_names, class_number, load_images
from alad_tf.data.protocols import (
    Split,
    arrhythmia_split,
    breast_cancer_split,
    kdd99_split,
    one_class_split,
    split,
)
from alad_tf.data.raw import read_arrhythmia, read_kdd99
from alad_tf.data.records import Records, rows, take
from alad_tf.data.sources import DATASETS, load

__all__ = [
    "DATASETS",
    "IMAGE_DATASETS",
    "Records",
    "Split",
    "arrhythmia_split",
    "breast_cancer_split",
    "class_names",
    "class_number",
    "kdd99_split",
    "load",
    "load_images",
    "one_class_split",
    "read_arrhythmia",
    "read_kdd99",
    "rows",
    "split",
    "take",
]
