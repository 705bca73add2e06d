"""What the estimator accepts: tables or images of many types, checked as scikit-learn does."""

import os
import warnings
from collections.abc import Hashable

import numpy as np
import pandas as pd
from sklearn.utils.validation import validate_data

from alad_tf.data.cells import EXACT_INTEGERS
from alad_tf.detector.inputs import as_rows
from alad_tf.preprocess.columns import CODE, NUMBER
from alad_tf.preprocess.containers import as_array, is_named, listed, read_table


def check_records(estimator, x, reset, ordered=False):
    """Check rows, as the preprocessors take them; learn or compare `n_features_in_`.

    Args:
        estimator: the scikit-learn estimator, which gets `n_features_in_` and, for named columns,
            `feature_names_in_`.
        x: array-like (N, d), NaN or None for gaps; with names, a pandas or Polars DataFrame, a dict
            of columns, a list of dicts or a structured array; one record as a dict, or as a Series
            whose index has the names; or images (N, H, W) or (N, H, W, C), uint8 or whole numbers
            from 0 to 255; a `tf.data.Dataset` of such rows or batches; or a sparse matrix, if it
            fits into memory as an array.
        reset: bool, True to learn the columns, False to compare them.
        ordered: bool, refuse a DataFrame whose columns are in another order, as scikit-learn's
            contract demands of `predict`; else they are matched by name.

    Returns:
        `pandas.DataFrame`, float64 or object array (N, d), or uint8 array (N, H, W, C).
    """
    x = as_rows(x)
    if x is None or isinstance(x, (str, bytes, os.PathLike)) or hasattr(x, "collect"):
        raise ValueError(f"received {_shown(x)}; expected rows. {_remedy(x)}")
    if is_named(x):
        return _named(estimator, x, reset, ordered and hasattr(x, "columns"))
    x = as_array(x)
    if x.ndim in (3, 4):
        return _images(estimator, x, reset)
    x = _cells(estimator, x, reset)
    if not reset and hasattr(estimator, "feature_names_in_"):  # scikit-learn has warned
        return pd.DataFrame(x, columns=list(estimator.feature_names_in_))
    return x


def _shown(x):
    return repr(x) if x is None or isinstance(x, (str, bytes)) else f"a {type(x).__name__}"


def _remedy(x):
    if hasattr(x, "collect"):  # Polars' LazyFrame, Dask's and Spark's frames
        return "Pass x.collect()."
    if x is None:
        return "Pass an array, a DataFrame, a dict of columns or a list of records."
    return "Read the file first, for example with pandas.read_csv, or use the command `alad`."


check_given = check_records  # its name in earlier versions


def _named(estimator, x, reset, ordered):
    frame = x if isinstance(x, pd.DataFrame) else pd.DataFrame(_columns_of(x))
    twice = list(frame.columns[frame.columns.duplicated()])
    if twice:
        raise ValueError(
            f"received two columns named {str(twice[0])!r}; expected different names. Rename one "
            "of them."
        )
    if len(frame) < (2 if reset else 1) or not frame.shape[1]:
        raise ValueError(
            f"received a table of shape {frame.shape}; expected at least one column and "
            f"{'two rows to train on' if reset else 'one row'}."
        )
    if not all(isinstance(name, (int, np.integer)) for name in frame.columns):
        frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    known = list(getattr(estimator, "feature_names_in_", ()))
    ignored = _ignored(estimator) if not reset else ()
    if known and ignored and set(known) - set(ignored) <= set(frame.columns):
        frame = frame.assign(**{name: None for name in ignored if name not in frame.columns})
    if not reset and known and frame.columns.is_unique and set(known) <= set(frame.columns):
        extra = [name for name in frame.columns if name not in set(known)]
        if extra:
            some = "1 column" if len(extra) == 1 else f"{len(extra)} columns"
            warnings.warn(
                f"ignored {some} that the training rows did not have: {listed(extra)}.",
                stacklevel=4,
            )
        frame = frame[[name for name in frame.columns if name in set(known)] if ordered else known]
    counted = list(frame.columns) == list(range(frame.shape[1]))
    if not reset and known and not counted and not _has_names(frame):
        frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    validate_data(estimator, frame, reset=reset, skip_check_array=True)
    if not reset and known and counted:  # by position: scikit-learn has warned
        frame = frame.set_axis(known, axis=1)
    elif not reset and not known and _has_names(frame):
        frame = frame.set_axis(range(frame.shape[1]), axis=1)
    return frame


def _ignored(estimator):
    """Columns that are left out: records need not have them."""
    detector = getattr(estimator, "detector_", None)
    return getattr(getattr(detector, "preprocessor", None), "ignored", ())


def _columns_of(x):
    table = read_table(x)
    return {
        name: column.reset_index(drop=True) if isinstance(column, pd.Series) else column
        for name, column in table.named().items()
    }


def _has_names(frame):
    return all(isinstance(name, str) for name in frame.columns)


def _cells(estimator, x, reset):
    """An array of numbers; or of objects, if there is text among the cells."""
    checks = {"ensure_all_finite": "allow-nan", "ensure_min_samples": 2 if reset else 1}
    kind = getattr(getattr(x, "dtype", None), "kind", None)
    if kind == "c":  # scikit-learn's words, and then the remedy
        raise ValueError(
            f"Complex data not supported: received an array of {x.dtype}; expected real numbers. "
            "Pass the real and the imaginary parts as columns of their own."
        )
    if kind in ("U", "S"):  # scikit-learn refuses arrays of text
        x = x.astype(object)
    if kind in ("M", "m"):  # whose objects are integers, if they are nanoseconds
        return validate_data(estimator, x, reset=reset, skip_check_array=True)
    if kind == "O":
        gaps = pd.isna(x)
        x = np.where(gaps, np.nan, x) if gaps.any() else x  # pandas.NA is no number to NumPy
    if kind not in ("O", "U", "S") or not _has_texts(x):
        try:
            found = validate_data(estimator, x, reset=reset, dtype="numeric", **checks)
            exact = kind == "O" and (np.abs(found) >= EXACT_INTEGERS).any()
            if not exact and not (kind == "O" and getattr(estimator, "columns", None)):
                return found  # else the preprocessor looks at the cells themselves
        except ValueError as error:
            known = "could not convert string to float", "setting an array element with a sequence"
            if not any(text in str(error) for text in known):
                raise
        except TypeError:
            # dates and the like: the preprocessor says what to do about them
            if not all(isinstance(cell, Hashable) for cell in np.ravel(x)):
                raise
    # the preprocessor looks at the columns one by one
    return validate_data(estimator, np.asarray(x, object), reset=reset, dtype=None, **checks)


def _has_texts(x):
    """Whether there is text that is no number here, such as "007" or "1_000"."""
    texts = (c.decode(errors="replace") if isinstance(c, bytes) else c for c in x.flat)
    return any(
        isinstance(text, str) and (CODE.fullmatch(text) or not NUMBER.fullmatch(text))
        for text in texts
    )


def _images(estimator, x, reset):
    if x.ndim == 3:
        x = x[..., None]
    count, *shape = x.shape
    if not count or (reset and count < 2):
        raise ValueError(f"received {count} image(s); expected at least {2 if reset else 1}.")
    if x.dtype != np.uint8:
        whole = x.dtype.kind in "iuf" and np.isfinite(x).all() and not np.any(x % 1)
        if not whole or x.min() < 0 or x.max() > 255:
            raise ValueError(
                f"received images of type {x.dtype}; expected uint8, or whole numbers from 0 "
                "to 255. The detector scales images itself: undo your own scaling, round, "
                "and cast with x.astype('uint8')."
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
            f"received labels of shape {y.shape} with the values {sorted(values)[:5]} for "
            f"{rows} rows; expected one label for each row: 1 (or True) for anomalies and 0 "
            "for normal rows, or -1 for anomalies and 1 for normal rows, as in scikit-learn."
        )
    return y == -1 if -1 in values else y.astype(bool)
