"""A scorer's weights on disk: Keras's `.weights.h5`, in float32 or rounded to a smaller type."""

import h5py
import numpy as np

DTYPES = ("float32", "float16")


def save_scorer(scorer, path, dtype="float32"):
    """Write a scorer's weights.

    Args:
        scorer: `Scorer`.
        path: str or Path, ending in `.weights.h5`.
        dtype: "float32", or "float16" (half the size; each weight is rounded to 11 bits).

    Raises:
        ValueError: an unknown dtype, or weights beyond its range.

    Example:
        >>> # save_scorer(scorer, "scorer.weights.h5", "float16")
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype is {dtype!r}; expected one of {DTYPES}.")
    scorer.save_weights(path)
    if dtype == "float32":
        return
    with h5py.File(path, "r+") as file:
        for name, values in _arrays(file).items():
            rounded = values.astype(dtype)
            if not np.isfinite(rounded).all():
                raise ValueError(
                    f"{name} holds weights up to {np.abs(values).max():.3g}, beyond {dtype}'s "
                    f"{np.finfo(dtype).max:.3g}. Save in float32."
                )
            del file[name]
            file.create_dataset(name, data=rounded)


def load_scorer(scorer, path):
    """Read weights that `save_scorer` wrote.

    Args:
        scorer: `Scorer` of the same architecture; changed in place.
        path: str or Path.

    Raises:
        ValueError: the file is damaged, is of another architecture, or holds NaN or infinity.

    Example:
        >>> # load_scorer(Scorer(**config["scorer"]), "scorer.weights.h5")
    """
    try:
        scorer.load_weights(path)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"{path} does not hold the weights of this architecture ({_first_line(error)}). It is "
            "damaged, cut short, or of another version: fetch or write it again."
        ) from error
    for variable in scorer.variables:
        if not np.isfinite(variable.numpy()).all():
            raise ValueError(f"{path} holds weights that are not finite ({variable.path}).")


def _arrays(file):
    """Every dataset of an open h5 file by its full name."""
    found = {}
    file.visititems(
        lambda name, item: found.update({name: item[()]} if isinstance(item, h5py.Dataset) else {})
    )
    return found


def _first_line(error):
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
