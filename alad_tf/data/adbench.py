"""Tables and image embeddings of the ADBench benchmark: normal rows to train on, and the others."""

import os
from pathlib import Path

import numpy as np

TABLES = (
    "ALOI", "breastw", "cardio", "celeba", "cover", "donors", "Hepatitis", "Ionosphere",
    "Lymphography", "mammography", "pendigits", "Pima", "satimage-2", "skin", "smtp", "thyroid",
    "vertebral", "vowels", "WBC", "WDBC",
)  # fmt: skip
# eight categories of MVTec AD, embedded by ResNet-18: more columns than training rows
EMBEDDINGS = tuple(
    f"{name}_resnet18"
    for name in ("bottle", "cable", "carpet", "hazelnut", "screw", "transistor", "wood", "zipper")
)
SETS = (*TABLES, *EMBEDDINGS)
URL = "https://github.com/Minqi824/ADBench/tree/main/adbench/datasets/Classical"


def load_adbench(name, data_dir=None):
    """A set as ADBench stores it: float64 (N, d), bool (N,), True for anomalies.

    `NUMBER_NAME.npz`, or `MVTec-AD_NAME.npz`, is looked for in `data_dir`, by default the folder
    `adbench` in `ALAD_DATA_DIR`. Source: Han et al., "ADBench: Anomaly detection benchmark",
    NeurIPS 2022.
    """
    folder = Path(data_dir or Path(os.environ.get("ALAD_DATA_DIR", ".")) / "adbench")
    found = sorted(folder.glob(f"*_{name}.npz"))
    if not found:
        raise FileNotFoundError(
            f"{folder.resolve()} has no set {name!r}; expected a file NUMBER_{name}.npz from "
            f"{URL}. Download it, and pass its folder with --data-dir or set ALAD_DATA_DIR "
            "to the folder's parent."
        )
    with np.load(found[0], allow_pickle=False) as arrays:
        return arrays["X"].astype("float64"), arrays["y"].astype(bool)


def split_adbench(is_anomaly, seed):
    """Row numbers: train on half of the normal rows, test on the others and all anomalies.

    Example:
        >>> train, test = split_adbench(np.array([False, False, True]), 0)
        >>> len(train), len(test)
        (1, 2)
    """
    normal = np.random.RandomState(seed).permutation(np.flatnonzero(~is_anomaly))
    half = len(normal) // 2
    return normal[:half], np.concatenate([normal[half:], np.flatnonzero(is_anomaly)])
