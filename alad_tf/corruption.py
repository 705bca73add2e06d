"""Rows that are normal in every part and wrong as a whole: what stands in for unknown anomalies."""

import numpy as np

SHARE = 1 / 4  # of a row's columns, or of an image's height and width


def corrupt(x, generator):
    """Replace parts of normal samples by the same parts of others.

    Tables: a quarter of the columns, drawn for each row, get another row's values: every value is
    one that the column has, and only what belongs together is broken. Images: a rectangle of
    another image is pasted at another place.

    Args:
        x: float array (N, d) or (N, H, W, C), preprocessed, N at least 2.
        generator: `numpy.random.Generator`.

    Returns:
        float32 array of x's shape.

    Raises:
        ValueError: fewer than two samples.

    Example:
        >>> x = np.arange(8.0).reshape(4, 2)
        >>> corrupt(x, np.random.default_rng(0)).shape
        (4, 2)

    Source: Vincent et al., JMLR 2010, for swapped values as noise; Li et al., "CutPaste", CVPR
    2021, for images.
    """
    if len(x) < 2:
        raise ValueError(f"Corruptions take parts of other samples; received {len(x)} of them.")
    count = len(x)
    others = (np.arange(count) + generator.integers(1, count, count)) % count
    made = np.array(x, "float32")
    if x.ndim == 2:
        columns = x.shape[1]
        replaced = max(1, round(SHARE * columns))
        order = generator.random((count, columns)).argsort(1)[:, :replaced]
        rows = np.arange(count)[:, None]
        made[rows, order] = x[others[:, None], order]
        return made
    height, width = (max(1, round(SHARE * side)) for side in x.shape[1:3])
    for row, other in enumerate(others):
        top, below = generator.integers(0, x.shape[1] - height + 1, 2)
        left, right = generator.integers(0, x.shape[2] - width + 1, 2)
        piece = x[other, below : below + height, right : right + width]
        made[row, top : top + height, left : left + width] = piece
    return made
