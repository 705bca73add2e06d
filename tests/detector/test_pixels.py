"""Pixel AUROC and AUPRO against their definitions, one threshold and one region at a time."""

import numpy as np
import pytest

from alad_tf.detector.pixels import aupro, pixel_auroc


def regions_of(mask):
    """Sets of connected pixels, corners included, by flooding."""
    left, found = {tuple(place) for place in np.argwhere(mask)}, []
    while left:
        region, new = set(), [left.pop()]
        while new:
            i, j = new.pop()
            region.add((i, j))
            near = {(i + a, j + b) for a in (-1, 0, 1) for b in (-1, 0, 1)} & left
            left -= near
            new += near
        found.append(region)
    return found


def curve(maps, masks):
    """(false-positive rate, mean overlap) at every threshold, from above all scores down."""
    outside = sum(int((mask == 0).sum()) for mask in masks)
    points = [(0.0, 0.0)]
    for threshold in sorted({float(v) for one in maps for v in one.ravel()}, reverse=True):
        hits = [one >= threshold for one in maps]
        wrong = sum(int((hit & (mask == 0)).sum()) for hit, mask in zip(hits, masks, strict=True))
        overlaps = [
            np.mean([hit[place] for place in region])
            for hit, mask in zip(hits, masks, strict=True)
            for region in regions_of(mask)
        ]
        points.append((wrong / outside, float(np.mean(overlaps))))
    return points


def area(points, limit):
    """Under straight lines between the points, up to the limit."""
    total = 0.0
    for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
        if x0 >= limit or x1 == x0:
            continue
        if x1 > limit:
            y1 = y0 + (y1 - y0) * (limit - x0) / (x1 - x0)
            x1 = limit
        total += (x1 - x0) * (y0 + y1) / 2
    return total / limit


def some_pictures(seed, levels=None):
    rng = np.random.default_rng(seed)
    maps, masks = [], []
    for shape in ((9, 12), (14, 8), (10, 10)):
        mask = np.zeros(shape, int)
        mask[2:4, 1:5] = mask[4, 5] = mask[7:9, 6:8] = 1  # the second touches the first's corner
        heat = rng.normal(size=shape) + mask
        maps.append(heat if levels is None else np.round(heat * levels) / levels)
        masks.append(mask)
    masks[2][:] = 0  # a normal picture
    return maps, masks


@pytest.mark.parametrize("levels", [None, 2])  # with ties
@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
def test_aupro_is_the_area_under_the_overlaps(limit, levels):
    for seed in range(3):
        maps, masks = some_pictures(seed, levels)
        np.testing.assert_allclose(aupro(maps, masks, limit), area(curve(maps, masks), limit))


def test_regions_count_alike():
    mask = np.zeros((40, 40), int)
    mask[:20, :20] = mask[30, 30] = 1
    heat = np.zeros((40, 40))
    heat[:20, :20] = 1  # all of the large one, and none of the small one
    heat += np.random.default_rng(0).uniform(0, 0.01, heat.shape)
    assert pixel_auroc([heat], [mask]) > 0.99
    assert 0.49 < aupro([heat], [mask]) < 0.75


def test_the_limits_of_both():
    maps, masks = some_pictures(0)
    perfect = [mask.astype(float) for mask in masks]
    assert pixel_auroc(perfect, masks) == aupro(perfect, masks) == 1
    assert aupro([-one for one in perfect], masks) == 0
    flat = [np.zeros(one.shape) for one in maps]
    assert pixel_auroc(flat, masks) == 0.5 and aupro(flat, masks, 1.0) == pytest.approx(0.5)
    # pixels by pixel it is the probability that a defective one scores higher
    inside, outside = (
        np.concatenate([m[k == want] for m, k in zip(maps, masks, strict=True)]) for want in (1, 0)
    )
    expected = (inside[:, None] > outside).mean()
    assert pixel_auroc(maps, masks) == pytest.approx(expected)


@pytest.mark.parametrize(
    "maps, masks, limit, message",
    [
        (np.zeros((1, 4, 4)), np.zeros((1, 4, 5)), 0.3, "of the same shape"),
        (np.zeros((1, 4, 4)), np.zeros((1, 4, 4)), 0.3, "0 of 16 pixels"),
        (np.full((1, 2, 2), np.nan), [[[0, 1], [0, 1]]], 0.3, "finite"),
        (np.zeros((1, 2, 2)), [[[0, 1], [0, 1]]], 0.0, "limit=0.0"),
    ],
)
def test_what_cannot_be_measured(maps, masks, limit, message):
    with pytest.raises(ValueError, match=message):
        aupro(maps, masks, limit)
