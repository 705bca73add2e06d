"""Metrics of heat maps: how well they find defects, compared with masks of defective pixels."""

import numpy as np
from sklearn.metrics import roc_auc_score

LIMIT = 0.3  # false-positive rate up to which the field integrates


def pixel_auroc(maps, masks):
    """The AUROC over all pixels of all images; defective pixels are the positive class.

    Args:
        maps: float array (N, H, W), or N maps (H, W) of several sizes; higher is more anomalous.
        masks: bool or integer arrays of the same shapes; nonzero where an image is defective.

    Returns:
        float in [0, 1].

    Raises:
        ValueError: if shapes differ, scores are not finite, or all pixels are of one class.

    Example:
        >>> pixel_auroc([[[0.1, 0.2], [0.3, 0.9]]], [[[0, 0], [0, 1]]])
        1.0
    """
    maps, masks = _checked(maps, masks)
    found = [np.concatenate([one.ravel() for one in some]) for some in (masks, maps)]
    return float(roc_auc_score(*found))


def aupro(maps, masks, limit=LIMIT):
    """The area under the per-region overlap curve up to a false-positive rate, divided by it.

    A region is a connected component of a mask, corners included. Its overlap at a threshold is the
    share of its pixels that reach the threshold. All regions have the same weight, whatever their
    size. The false-positive rate is that of the pixels outside all regions. The curve is linear
    between thresholds.

    Args:
        maps, masks: as for `pixel_auroc`.
        limit: float in (0, 1], the highest false-positive rate.

    Returns:
        float in [0, 1]; 1 if all pixels of regions score higher than all other pixels.

    Raises:
        ValueError: as for `pixel_auroc`, or if the limit is outside (0, 1].

    Example:
        >>> aupro([[[0.1, 0.2, 0.9], [0.3, 0.1, 0.8]]], [[[0, 0, 1], [0, 0, 1]]])
        1.0

    Source: Bergmann et al., "Uninformed students", CVPR 2020, and "The MVTec anomaly detection
    dataset", International Journal of Computer Vision 2021, Section 5.
    """
    from scipy.ndimage import label

    if not 0 < limit <= 1:
        raise ValueError(f"received limit={limit}; expected a number above 0 and at most 1.")
    maps, masks = _checked(maps, masks)
    inside, regions = [], 0
    for mask in masks:
        numbers, count = label(mask, np.ones((3, 3)))
        sizes = np.bincount(numbers.ravel(), minlength=count + 1).astype("float64")
        share = 1 / sizes
        share[0] = 0
        inside.append(share[numbers].ravel())
        regions += count
    scores = np.concatenate([one.ravel() for one in maps])
    overlap = np.concatenate(inside) / regions
    outside = overlap == 0
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # pixels of one score pass together
    rates = np.cumsum(outside[order])[last] / outside.sum()
    overlaps = np.cumsum(overlap[order])[last]
    rates, overlaps = np.append(0.0, rates), np.append(0.0, overlaps)
    end = int(np.searchsorted(rates, limit))  # the first point at the limit or beyond it
    share = (limit - rates[end - 1]) / (rates[end] - rates[end - 1])
    at_limit = overlaps[end - 1] + share * (overlaps[end] - overlaps[end - 1])
    rates, overlaps = np.append(rates[:end], limit), np.append(overlaps[:end], at_limit)
    return float(np.trapezoid(overlaps, rates) / limit)


def _checked(maps, masks):
    maps = [np.asarray(one, "float64") for one in maps]
    masks = [np.asarray(one) != 0 for one in masks]
    shapes = [[one.shape for one in some] for some in (maps, masks)]
    if shapes[0] != shapes[1] or any(len(shape) != 2 for shape in shapes[0]):
        raise ValueError(
            f"received maps of shapes {shapes[0][:3]} and masks of shapes {shapes[1][:3]}; "
            "expected one mask for each map, of the same shape (H, W)."
        )
    if not all(np.isfinite(one).all() for one in maps):
        raise ValueError("received heat maps with NaN or infinite values; expected finite numbers.")
    defective = sum(int(one.sum()) for one in masks)
    pixels = sum(one.size for one in masks)
    if not 0 < defective < pixels:
        raise ValueError(
            f"received masks with {defective:,} of {pixels:,} pixels defective; expected some, but "
            "not all."
        )
    return maps, masks
