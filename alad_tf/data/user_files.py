"""Anyone's rows from files: CSV, Parquet, NumPy arrays, and folders of images, batch by batch."""

from pathlib import Path

import numpy as np
import pandas as pd

TABLES = (".csv", ".tsv", ".parquet", ".npy", ".npz")
IMAGES = (".png", ".jpg", ".jpeg", ".bmp")
BATCH = 50_000  # rows of a table, of which so many are in memory at a time


def read_batches(path, size=None, channels=None, text=(), batch=BATCH, skip=0):
    """The rows of a file or the images of a folder, in their order, a batch at a time.

    Args:
        path: str or Path: a file of `TABLES` (`.npz`: its only array, or the one called "X"), or a
            folder with images of `IMAGES` in it and below, in the order of their names.
        size: (height, width) that images are resized to; None if all are of one size.
        channels: int, 1 or 3, of images; None for what the first of them has.
        text: sequence of str, columns of a CSV that are text even where they look like numbers.
        batch: int, rows of a batch; of images, a hundredth of it.
        skip: int, rows at the beginning that are left out; ids count them.

    Yields:
        `(ids, rows)`: list of row numbers from 0, or of the images' paths below the folder; and a
        `pandas.DataFrame`, a float array (n, d) or a uint8 array (n, H, W, C).

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: another kind of file, a damaged one, no rows, or images of several sizes.

    Example:
        >>> # for ids, rows in read_batches("orders.csv"): detector.anomaly_score(rows)
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"No file or folder {path.resolve()}.")
    if path.is_dir():
        source = _images(path, size, channels, max(batch // 100, 1), skip)
    elif path.suffix.lower() not in TABLES:
        raise ValueError(
            f"received {path.name}; expected one of {', '.join(TABLES)}, or a folder of images "
            f"({', '.join(IMAGES)})."
        )
    else:
        source = _numbered(_tables(path, text, batch, skip), skip)
    empty = not skip  # then the rows before were there
    for ids, rows in source:
        empty = False
        yield ids, rows
    if empty:
        raise ValueError(f"{path} holds no rows.")


def read_all(path, size=None, channels=None, text=()):
    """All rows at once; arguments and errors as for `read_batches`.

    Returns:
        `(ids, rows)`, as `read_batches` yields them.
    """
    parts = list(read_batches(path, size, channels, text, batch=10**9))
    ids = [name for some, _ in parts for name in some]
    rows = [rows for _, rows in parts]
    if isinstance(rows[0], pd.DataFrame):
        return ids, pd.concat(rows, ignore_index=True)
    return ids, np.concatenate(rows)


def count_rows(path):
    """How many rows or images there are, where that is quick to tell; None for CSV.

    Args:
        path: as for `read_batches`.

    Returns:
        int or None.
    """
    path = Path(path)
    if path.is_dir():
        return len(image_paths(path))
    if path.suffix.lower() == ".parquet":
        import pyarrow.parquet

        return pyarrow.parquet.read_metadata(path).num_rows
    return len(np.load(path, mmap_mode="r")) if path.suffix.lower() == ".npy" else None


def image_paths(folder):
    """The images in a folder and below it, sorted by name: list of Paths."""
    found = Path(folder).rglob("*")
    return sorted(p for p in found if p.suffix.lower() in IMAGES and p.is_file())


def _tables(path, text, batch, skip):
    """The parts of a table's file."""
    kind = path.suffix.lower()
    try:
        if kind in (".csv", ".tsv"):
            options = {"dtype": dict.fromkeys(text, str), "chunksize": batch}
            options["skiprows"] = range(1, skip + 1)  # the header stays
            with pd.read_csv(path, sep="\t" if kind == ".tsv" else ",", **options) as parts:
                yield from parts
        elif kind == ".parquet":
            import pyarrow.parquet

            with pyarrow.parquet.ParquetFile(path) as file:
                groups, left = list(range(file.num_row_groups)), skip
                while groups and left >= file.metadata.row_group(groups[0]).num_rows:
                    left -= file.metadata.row_group(groups.pop(0)).num_rows
                for part in file.iter_batches(min(batch, 2**31 - 1), row_groups=groups):
                    kept, left = part[left:], max(left - len(part), 0)
                    yield kept.to_pandas()
        else:
            array = np.load(path, mmap_mode="r" if kind == ".npy" else None, allow_pickle=False)
            if kind == ".npz":
                array = _only_array(path, array)
            for start in range(skip, len(array), batch):
                yield np.array(array[start : start + batch])
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no table that pandas can read: {error}") from error
    except OSError as error:  # pyarrow's errors are OSErrors or ValueErrors with their own words
        raise ValueError(f"{path} cannot be read: {error}") from error


def _only_array(path, arrays):
    names = list(arrays)
    if len(names) != 1 and "X" not in names:
        raise ValueError(f"{path} holds the arrays {names}; expected one, or one called 'X'.")
    return arrays["X" if "X" in names else names[0]]


def _numbered(parts, start):
    for part in parts:
        if len(part):
            yield list(range(start, start + len(part))), part
        start += len(part)


def _images(folder, size, channels, batch, skip):
    paths = image_paths(folder)
    if not paths:
        raise ValueError(f"{folder} holds no images ({', '.join(IMAGES)}).")
    first = None
    for start in range(skip, len(paths), batch):
        some, pixels = paths[start : start + batch], []
        for path in some:
            image, channels = _image(path, size, channels)
            first = first or (path, image.shape)
            if image.shape != first[1]:
                raise ValueError(
                    f"{path} is an image of {image.shape[0]} x {image.shape[1]} pixels, but "
                    f"{first[0]} has {first[1][0]} x {first[1][1]}. Give one size for all, such as "
                    "64x64: they are resized to it."
                )
            pixels.append(image)
        yield [str(path.relative_to(folder)) for path in some], np.stack(pixels)


def _image(path, size, channels):
    """One image as uint8 (H, W, C), and C."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            gray = image.mode in ("1", "L", "LA", "I", "I;16", "F")
            channels = channels or (1 if gray else 3)
            image = image.convert("L" if channels == 1 else "RGB")
            if size is not None:
                image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            array = np.array(image, "uint8")
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{path} is no image that can be read ({error}).") from error
    return array.reshape(*array.shape[:2], channels), channels
