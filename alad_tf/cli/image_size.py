"""The size that images are resized to, where they cannot stay as they are."""

import numpy as np

from alad_tf.detector.defaults import SMALLEST_SIDE

LONGEST, MULTIPLE = 64, 8  # pixels of the longer side; what sides are multiples of


def size_by_rule(paths):
    """(height, width) for images that differ in size or cannot be halved; None if they can stay.

    The median height and width, shrunk so that neither exceeds 64, and rounded to multiples of 8.

    Returns:
        `(size, note)`: size or None, and a line about it.
    """
    sizes = [size for size in map(_size, paths) if size is not None]
    if not sizes:
        return None, ""  # the reader says what is wrong with them
    distinct = sorted(set(sizes))
    if len(distinct) == 1 and all(s % 2 == 0 and s >= 2 * SMALLEST_SIDE for s in distinct[0]):
        return None, ""
    height, width = np.median(sizes, axis=0)
    shrink = min(1, LONGEST / max(height, width))
    size = tuple(max(MULTIPLE, MULTIPLE * round(s * shrink / MULTIPLE)) for s in (height, width))
    known = " x ".join(map(str, distinct[0]))
    if len(distinct) > 1:
        known = f"{len(distinct)} sizes, {known} to {' x '.join(map(str, distinct[-1]))}"
    return size, f"{known} pixels, resized to {size[0]} x {size[1]}; --size chooses another size"


def _size(path):
    """(height, width) of an upright image; None if it cannot be read."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(0x0112, 1) > 4
    except Exception:  # the reader says what is wrong with it
        return None
    return (width, height) if turned else (height, width)
