"""What the estimator accepts: tables or images of many types, checked as scikit-learn does."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.utils.validation import validate_data


def check_records(estimator, x, reset):
    """Rows as the preprocessors take them; `n_features_in_` is learnt or compared.

    Args:
        estimator: the scikit-learn estimator, which gets `n_features_in_` and, for named columns,
            `feature_names_in_`.
        x: array-like (N, d), NaN for gaps; a pandas or Polars DataFrame or dict of columns; or
            images (N, H, W) or (N, H, W, C), uint8 or whole numbers from 0 to 255.
        reset: bool, True to learn the columns, False to compare them.

    Returns:
        `pandas.DataFrame`, float64 or object array (N, d), or uint8 array (N, H, W, C).
    """
    if isinstance(x, Mapping) and not hasattr(x, "toarray"):  # some sparse arrays are dicts
        x = pd.DataFrame(dict(x))
    elif hasattr(x, "to_pandas"):  # Polars
        x = x.to_pandas()
    if isinstance(x, pd.DataFrame):
        if len(x) < (2 if reset else 1) or not x.shape[1]:
            raise ValueError(
                f"received a table of shape {x.shape}; expected at least one column and "
                f"{'two rows to train on' if reset else 'one row'}."
            )
        validate_data(estimator, x, reset=reset, skip_check_array=True)
        return x
    if not hasattr(x, "toarray"):  # scikit-learn explains sparse ones
        x = x if hasattr(x, "shape") else np.asarray(x)
        if len(x.shape) in (3, 4):
            return _images(estimator, np.asarray(x), reset)
    checks = {"ensure_all_finite": "allow-nan", "ensure_min_samples": 2 if reset else 1}
    try:
        return validate_data(estimator, x, reset=reset, dtype="numeric", **checks)
    except ValueError as error:
        if "could not convert string to float" not in str(error):
            raise
    # text among the cells: an object array, whose columns the preprocessor looks at one by one
    array = np.asarray(x, object)
    return validate_data(estimator, array, reset=reset, dtype=None, **checks)


def _images(estimator, x, reset):
    if x.ndim == 3:
        x = x[..., None]
    count, *shape = x.shape
    if not count or (reset and count < 2):
        raise ValueError(f"received {count} image(s); expected {2 if reset else 1} at least.")
    if x.dtype != np.uint8:
        whole = x.dtype.kind in "iuf" and np.isfinite(x).all() and not np.any(x % 1)
        if not whole or x.min() < 0 or x.max() > 255:
            raise ValueError(
                f"received images of {x.dtype}, expected uint8, or whole numbers from 0 to 255. "
                "The detector scales by itself: undo your own scaling, round, and cast with "
                "x.astype('uint8')."
            )
        x = x.astype(np.uint8)
    width = int(np.prod(shape))
    if reset:
        estimator.n_features_in_ = width
    elif width != estimator.n_features_in_:
        raise ValueError(
            f"received images of shape {tuple(shape)} with {width} values, but ALADDetector is "
            f"expecting {estimator.n_features_in_} features as input."
        )
    return x


def is_images(x):
    """Whether checked rows are images."""
    return getattr(x, "ndim", 2) == 4


def take_rows(x, indices):
    """Some of the checked rows, in the order of `indices`."""
    return x.iloc[indices] if isinstance(x, pd.DataFrame) else x[indices]


def anomaly_labels(y, rows):
    """Labels (N,), 1 or True for anomalies, or scikit-learn's -1 for them, as bool."""
    y = np.asarray(y)
    values = set(np.unique(y).tolist())
    if y.shape != (rows,) or not (values <= {0, 1} or values <= {-1, 1}):
        raise ValueError(
            f"received labels of shape {y.shape} with the values {sorted(values)[:5]} for {rows} "
            "rows; expected one for each: True or 1 for an anomaly and 0 for a normal row, or -1 "
            "and 1 as scikit-learn has them."
        )
    return y == -1 if -1 in values else y.astype(bool)
