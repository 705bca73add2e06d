"""A scorer on disk: its config.json, and its weights as Keras's `.weights.h5`.

Weights are float32, or large arrays are rounded to 16 or 8 bits.
"""

import contextlib
import errno
import functools
import math
import re
import shutil
import tempfile
from pathlib import Path

import h5py
import numpy as np

from alad_tf.engine.files import (
    MANIFEST,
    check_place,
    read_json,
    replacing_folder,
    verify,
    write_json,
)
from alad_tf.engine.schema import check_config

CONFIG, WEIGHTS = "config.json", "scorer.weights.h5"
LOADED = r"config\.json|scorer\..*"
DETECTOR = "detector"  # the folder of a detector in a run's
FORMAT = 1  # of a saved detector or baseline
# What versions without a manifest wrote into a detector's folder
OWN = r"config\.json|scorer\.(weights\.h5|skops)|report|report/(report\.md|score_histogram\.png"
OWN += r"|(row|images)_\d+\.png)"
DTYPES = ("float32", "float16", "int8")
# Arrays of int8: this many weights of an output, at consecutive inputs, have 127 levels up to
# their largest. The value of a level is in the array with this suffix.
GROUP, SCALE = 64, "_scale"
# Arrays of up to this many numbers stay exact: they take a thousandth of an image scorer's space,
# and one of them, E's first convolution, affects its scores most.
EXACT_UP_TO = 20_000
# Two have more levels: the layer that returns z, because an error in z affects all of x' (three
# quarters of what rounding does to the scores of CIFAR-10's automobiles), and the small D_xx,
# whose logits differ little.
LEVELS, FINE_LEVELS, FINE = 127, 511, "D_xx"
# Bits of a scale's mantissa that are zero, so that a level of it is exact in float32
ZERO_BITS = {LEVELS: 8, FINE_LEVELS: 9}
PACKED = 1100  # bytes that one byte of gzip may stand for: 1,032 by its format
# Variables may hold this many times the numbers of their file, and some more: an ensemble's places
# for rows are a power of two, and hold the rows in four spaces, of which files hold one
SPARE, MORE = 12, 100_000
HEADER = 8192  # bytes that HDF5 needs for an array, with its groups, besides its numbers, at most


def write_scorer(folder, scorer, dtype="float32", **about):
    """Write a scorer, with `about` in its config.json, completely or not at all."""
    config = {"format": FORMAT, "method": scorer.method, "scorer": scorer.architecture(), **about}
    with replacing_folder(folder, written_earlier) as temporary:
        write_json(temporary / CONFIG, config)
        scorer.write_state(temporary, dtype)
    return Path(folder)


def require_place(folder):
    """Refuse a folder that a scorer cannot be written to; errors as for `check_place`."""
    check_place(folder, written_earlier)


def written_earlier(folder):
    """Names of a scorer's files in a folder without a manifest, as earlier versions wrote them."""
    if (folder / MANIFEST).is_file():
        return set()
    try:
        config = read_json(folder / CONFIG)
    except (OSError, ValueError):
        return set()
    if not isinstance(config, dict) or not {"format", "scorer"} <= set(config):
        return set()
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return {name for name in files if re.fullmatch(OWN, name)}


def read_config(folder, what):
    """The config.json that `write_scorer` wrote, checked; `what` is "detector" or "baseline".

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if a file is damaged or has another format.
    """
    folder = Path(folder)
    path = folder / CONFIG
    if not path.is_file() or not any(folder.glob("scorer.*")):
        raise FileNotFoundError(
            f"There is no {what} in {folder.resolve()}; expected {CONFIG} and the scorer's "
            "weights. Choose the folder that `save` wrote; in a run of `alad train` it is "
            "called 'detector'."
        )
    verify(folder, LOADED)
    config = read_json(path)
    if isinstance(config, dict) and config.get("format") != FORMAT:
        raise ValueError(
            f"{path} has format {config.get('format')!r}; this version reads {FORMAT}. "
            "Upgrade the package, or save again."
        )
    check_config(config, what, path)
    return config


def read_scorer(folder, make, config):
    """A scorer built by `make`, a class, from its part of config.json, with its state read.

    Raises:
        ValueError: a config that describes no such scorer, or a larger one than its weights fill;
            a damaged file.
    """
    weights = Path(folder) / WEIGHTS
    most = SPARE * count_numbers(weights) + MORE if weights.is_file() else MORE
    with blaming(Path(folder) / CONFIG, "describe a scorer"), _at_most(most, weights):
        scorer = make(**config)
    scorer.read_state(folder)
    return scorer


@contextlib.contextmanager
def blaming(path, what):
    """Make every error of the body a ValueError that says that a file does not do `what`."""
    try:
        yield
    # libraries raise all kinds of errors for a damaged file
    except Exception as error:
        if isinstance(error, ValueError) and str(error).startswith(str(path)):
            raise
        raise ValueError(
            f"{path} does not {what} ({_first_line(error)}). It is damaged, cut off, or from "
            "another version. Copy or write it again."
        ) from error


@contextlib.contextmanager
def _at_most(most, path):
    """Refuse to make variables of more than `most` numbers, before memory is taken for them."""
    import tensorflow as tf  # seconds that `alad fit` has no need to spend on checking its --out

    left = most

    def make(then, **options):
        nonlocal left
        value = options["initial_value"]
        if callable(value):  # traced, for its shape, and not computed
            value = tf.function(value, autograph=False).get_concrete_function().outputs[0]
        left -= math.prod(value.shape)
        if left < 0:
            raise ValueError(
                f"its networks need more than {most:,} numbers, which {path.name} does not contain"
            )
        return then(**options)

    with tf.variable_creator_scope(make):
        yield


def count_numbers(path):
    """How many numbers a file of weights holds.

    Raises:
        ValueError: not a file of weights; or arrays that claim more than the file can hold.
    """
    found = []

    def look(name, item):
        if isinstance(item, h5py.Dataset):
            stored, claimed = item.id.get_storage_size(), item.size * item.dtype.itemsize
            if item.external or claimed > PACKED * stored:
                raise ValueError(f"{name} claims {claimed:,} bytes, but only {stored:,} are there")
            found.append(item.size)

    with blaming(path, "contain the weights of this architecture"), h5py.File(path) as file:
        file.visititems(look)
    return sum(found)


def save_weights(model, path):
    """`model.save_weights`, refused beforehand if the disk has no space for the file.

    HDF5 notices a full disk when it closes its files, and prints a traceback for each object that
    was open.

    Raises:
        OSError: no space left (ENOSPC).
    """
    path = Path(path)
    variables = getattr(model, "state_variables", lambda: model.variables)()
    widths = (8 if "64" in str(v.dtype) else 4 for v in variables)
    size = sum(math.prod(v.shape) * w + HEADER for v, w in zip(variables, widths, strict=True))
    free = shutil.disk_usage(path.parent).free
    if free < size:
        raise OSError(
            errno.ENOSPC,
            "No space left: free some and run the same command again. "
            f"{size:,} bytes are needed, {free:,} are free",
            str(path.parent),
        )
    model.save_weights(path)


def save_scorer(scorer, path, dtype="float32"):
    """Write a scorer's weights.

    Args:
        scorer: a Keras model.
        path: str or Path, ending in `.weights.h5`.
        dtype: "float32", or how arrays of more than `EXACT_UP_TO` numbers are rounded: "float16",
            to 11 bits, for half the size; "int8", to 8 bits, for a quarter: each `GROUP` weights of
            an output (the last axis) have a scale of their own. E's last layer and D_xx keep 10
            bits there.

    Raises:
        ValueError: an unknown dtype, or weights beyond its range.
    """
    if dtype not in DTYPES:
        raise ValueError(f"received dtype={dtype!r}; expected one of {DTYPES}.")
    path = Path(path)
    save_weights(scorer, path)
    if dtype == "float32":
        return
    exact = path.with_name(f"exact_{path.name}")
    path.replace(exact)
    # a new file, because HDF5 does not give back the room of what is replaced in an old one
    with h5py.File(exact) as source, h5py.File(path, "w") as target:
        _copy(source, target, functools.partial(_write_rounded, dtype, _last_layer(source, "E")))
    exact.unlink()


def load_scorer(scorer, path):
    """Read weights that `save_scorer` wrote into a scorer of the same architecture.

    Raises:
        ValueError: the file is damaged, is of another architecture, or holds NaN or infinity.
    """
    count_numbers(path)
    with blaming(path, "contain the weights of this architecture"), _readable(path) as readable:
        scorer.load_weights(readable)
    for variable in scorer.variables:
        if not np.isfinite(variable.numpy()).all():
            raise ValueError(
                f"{path} contains weights that are NaN or infinite ({variable.path}). It is "
                "damaged: copy or write it again."
            )


def _copy(source, target, write):
    """Copy an h5 group: its attributes, its groups, and its arrays by `write`."""
    for key, value in source.attrs.items():
        target.attrs[key] = value
    for name, item in source.items():
        if isinstance(item, h5py.Group):
            _copy(item, target.create_group(name), write)
        else:
            write(name, item, target)


def _last_layer(source, network):
    """The path of the kernel of a network's last layer, or None."""
    kernels = []

    def visit(_, item):
        if isinstance(item, h5py.Dataset) and item.ndim > 1:
            kernels.append(item.name)

    if network in source:
        source[network].visititems(visit)
    return max(kernels, key=_natural, default=None)


def _natural(text):
    """What sorts conv2d_10 after conv2d_9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


def _write_rounded(dtype, last, name, item, target):
    values = item[()]
    if values.size <= EXACT_UP_TO:
        target.create_dataset(name, data=values)
    elif dtype == "int8":
        fine = item.name == last or item.name.startswith(f"/{FINE}/")
        levels, scale = _levels(values, FINE_LEVELS if fine else LEVELS)
        target.create_dataset(name, data=levels, compression="gzip", shuffle=True)
        target.create_dataset(name + SCALE, data=scale, compression="gzip")
    else:
        with np.errstate(over="ignore"):  # reported below
            rounded = values.astype(dtype)
        if not np.isfinite(rounded).all():
            raise ValueError(
                f"{item.name} has weights up to {np.abs(values).max():.3g}, beyond {dtype}'s "
                f"{np.finfo(dtype).max:.3g}. Save in float32."
            )
        target.create_dataset(name, data=rounded)


def _levels(values, most=LEVELS):
    """Weights as levels up to `most`, and what each is worth: int8 or int16 of the same shape, and
    float32 (groups, outputs).

    The scales are rounded up to few bits; the levels of one are exact in float32, so that rounding
    what was rounded changes nothing.
    """
    groups = _in_groups(values)
    largest = np.abs(groups).max(1)
    exact = np.where(largest > 0, largest, 1).astype("float32") / np.float32(most)
    zeros = np.uint32(2 ** ZERO_BITS[most] - 1)
    scale = ((exact.view("uint32") + zeros) & ~zeros).view("float32")
    levels = np.rint(groups / scale[:, None])
    return _ungrouped(levels, values.shape).astype("int8" if most == LEVELS else "int16"), scale


def _weights(levels, scale):
    """The float32 weights of `_levels`."""
    return _ungrouped(_in_groups(levels.astype("float32")) * scale[:, None], levels.shape)


def _in_groups(values):
    """An array (..., outputs) as (groups, GROUP, outputs), padded with zeros."""
    rows = values.reshape(-1, values.shape[-1])
    filled = np.pad(rows, ((0, -len(rows) % GROUP), (0, 0)))
    return filled.reshape(-1, GROUP, values.shape[-1])


def _ungrouped(groups, shape):
    rows = groups.reshape(-1, shape[-1])
    return rows[: int(np.prod(shape[:-1]))].reshape(shape)


@contextlib.contextmanager
def _readable(path):
    """The path of a file that Keras can read: `path`, or a temporary one with levels multiplied."""

    def write(name, item, target):
        if name + SCALE in item.parent:
            target.create_dataset(name, data=_weights(item[()], item.parent[name + SCALE][()]))
        elif not name.endswith(SCALE):
            target.create_dataset(name, data=item[()])

    names = []
    with h5py.File(path) as source:
        source.visit(names.append)
        if any(name.endswith(SCALE) for name in names):
            with tempfile.TemporaryDirectory() as folder:
                exact = Path(folder) / Path(path).name
                with h5py.File(exact, "w") as target:
                    _copy(source, target, write)
                yield exact
            return
    yield path


def _first_line(error):
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
