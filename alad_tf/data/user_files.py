"""Rows from users' files: CSV, Parquet, NumPy arrays, and folders of images, batch by batch."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from alad_tf.data.cells import NULLABLE, NUMBER, TEXT
from alad_tf.data.delimited import EITHER, Delimited
from alad_tf.data.dialect import COMPRESSED, ReadOptions, failed
from alad_tf.data.pictures import IMAGES, Found, Mode, readable

TABLES = (".csv", ".tsv", ".parquet", ".npy", ".npz")
DELIMITED = (".csv", ".tsv")
PICKLED = ("pickle", "Python objects in dtype", "Object arrays cannot")  # in NumPy's messages
BATCH = 50_000  # rows of a table, of which so many are in memory at a time
ALL = 10**9


def read_batches(
    path,
    size=None,
    channels=None,
    text=(),
    batch=BATCH,
    skip=0,
    *,
    numbers=None,
    ignored=(),
    either=(),
    depth=None,
    options=None,
    note=None,
):
    """The rows of a file or the images of a folder, in their order, a batch at a time.

    Args:
        path: str or Path: a file of `TABLES`, CSV and TSV also compressed (`.npz`: its only array,
            or the one called "X"); or a folder with images of `IMAGES` in it and below, in the
            order of their names.
        size: (height, width) that images are resized to; None if all are of one size.
        channels: int, 1 or 3, of images; None: 1 if all of them are grey, else 3.
        text: sequence of str, columns of a CSV that are text even where they look like numbers.
        batch: int, rows per batch; for images, a hundredth of it.
        skip: int, how many rows to skip at the beginning; ids count them.
        numbers: sequence of str, columns of a CSV that are numbers; others, such as a column of
            names, are text. True, or columns of which the file has none: all that are not in
            `text`. None: decided by all rows of the file.
        ignored: sequence of str, columns that are ignored when kinds are decided; for a folder,
            sub-folders whose images are left out.
        either: sequence of str, columns of a CSV that are numbers where all of a batch's cells are,
            and text elsewhere, such as dates.
        depth: int, bits of 16-bit images that are used; None for what all of them need.
        options: `ReadOptions`.
        note: function that is called with a line on what was assumed, or None.

    Yields:
        `(ids, rows)`: list of row numbers from 0, or of the images' paths below the folder; and a
        `pandas.DataFrame`, a float array (n, d) or a uint8 array (n, H, W, C).

    Raises:
        FileNotFoundError: if there is no such file or folder.
        ValueError: if the file is of another kind or damaged, there are no rows, images differ in
            size, a record has too many or too few fields, or a cell is not a number. The message
            names the line.
    """
    path, options, note = Path(path), options or ReadOptions(), note or (lambda line: None)
    if not path.exists():
        raise FileNotFoundError(f"There is no file or folder {path.resolve()}. Check the path.")
    kind = None if path.is_dir() else table_kind(path)
    options.require_used(path, kind and ("delimited" if kind in DELIMITED else "binary"))
    if kind is None:
        mode = channels and Mode(channels, depth or 16)
        source = _images(path, size, mode, max(batch // 100, 1), skip, options, note, ignored)
    elif kind in DELIMITED:
        kinds = text, numbers, ignored, either
        source = _delimited(path, kind, kinds, batch, skip, options, note)
    else:
        source = _numbered(_binary(path, kind, text, batch, skip), skip)
    empty = not skip  # then the rows before were there
    for ids, rows in source:
        empty = False
        yield ids, rows
    if empty:
        raise ValueError(f"{path} has no rows; expected at least one.")


def read_all(path, size=None, channels=None, text=(), **more):
    """All rows at once; arguments and errors as for `read_batches`.

    Returns:
        `(ids, rows)`, as `read_batches` yields them.
    """
    parts = list(read_batches(path, size, channels, text, batch=ALL, **more))
    ids = [name for some, _ in parts for name in some]
    rows = [rows for _, rows in parts]
    if isinstance(rows[0], pd.DataFrame):
        return ids, pd.concat(rows, ignore_index=True)
    return ids, np.concatenate(rows)


def count_rows(path):
    """The number of rows or images, if it is quickly found; None for CSV."""
    path = Path(path)
    if path.is_dir():
        return len(image_paths(path))
    if path.suffix.lower() == ".parquet":
        import pyarrow.parquet

        with _damage(path):
            return pyarrow.parquet.read_metadata(path).num_rows
    if path.suffix.lower() == ".npy":
        with _damage(path):
            return next(iter(np.load(path, mmap_mode="r", allow_pickle=False).shape), None)
    return None


def array_shape(path):
    """The shape of the array in a .npy or .npz file, None for other tables."""
    kind = table_kind(path)
    if kind not in (".npy", ".npz"):
        return None
    with _damage(path):
        array = np.load(path, mmap_mode="r" if kind == ".npy" else None, allow_pickle=False)
        return (_only_array(path, array) if kind == ".npz" else array).shape


def image_paths(folder):
    """The images in a folder and below it, sorted by name: list of Paths."""
    return Found.of(folder).pictures


def table_kind(path):
    """A file's suffix of `TABLES`, compressed or not; what is only compressed is taken for CSV."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    packed = suffixes[-1:] and suffixes[-1] in COMPRESSED
    kind = next(iter(suffixes[-2:-1]), ".csv") if packed else next(iter(suffixes[-1:]), "")
    if kind not in TABLES or (packed and kind not in DELIMITED):
        excel = " Save the sheet as CSV." if kind.startswith((".xls", ".ods")) else ""
        raise ValueError(
            f"received {Path(path).name}; expected one of {', '.join(TABLES)}, or a folder of "
            f"images ({', '.join(IMAGES)}).{excel}"
        )
    return kind


def _delimited(path, kind, kinds, batch, skip, options, note):
    text, numbers, ignored, either = kinds

    def opened():
        return open(path, "rb")

    file = Delimited.open(opened, path, options, tabs=kind == ".tsv")
    if numbers is None:
        kinds = file.decide_kinds(file.records(BATCH), text, [*ignored, *either])
    else:
        by_place = numbers is True or not (text or either or set(numbers) & set(file.columns))
        names = file.columns if by_place else numbers
        kinds = dict.fromkeys(names, NUMBER) | dict.fromkeys(text, TEXT)
    kinds |= dict.fromkeys(either, EITHER)
    kept = [name for name in file.columns if name not in ignored]
    texts = [name for name in kept if kinds.get(name, TEXT) != NUMBER]
    listed = ", ".join(texts[:8]) + (", ..." if len(texts) > 8 else "")
    shown = f"{len(texts)} of text ({listed})" if texts else "all of numbers"
    note(f"{path.name}: {file.dialect}; {len(kept)} columns, {shown}")
    for piece in file.records(min(batch, BATCH), skip):
        yield piece.rows.tolist(), file.to_frame(piece, kinds)


def _binary(path, kind, text, batch, skip):
    """The parts of a Parquet file or an array."""
    if text and kind != ".parquet":
        raise ValueError(
            f"received the column name {text[0]!r}, but the columns of {path} have no names. "
            "Save the table with names, as CSV or Parquet."
        )
    with _damage(path):
        if kind == ".parquet":
            import pyarrow.parquet

            with pyarrow.parquet.ParquetFile(path) as file:
                groups, left = list(range(file.num_row_groups)), skip
                while groups and left >= file.metadata.row_group(groups[0]).num_rows:
                    left -= file.metadata.row_group(groups.pop(0)).num_rows
                for part in file.iter_batches(min(batch, 2**31 - 1), row_groups=groups):
                    kept, left = part[left:], max(left - len(part), 0)
                    frame = plain_numbers(kept).to_pandas(types_mapper=NULLABLE.get)
                    absent = [name for name in text if name not in frame.columns]
                    if absent:
                        known = list(frame.columns)[:20]
                        raise ValueError(f"{path} has no column {absent[0]!r}; it has {known}.")
                    yield frame.assign(**{name: frame[name].map(as_category) for name in text})
        else:
            array = np.load(path, mmap_mode="r" if kind == ".npy" else None, allow_pickle=False)
            if kind == ".npz":
                array = _only_array(path, array)
            if array.ndim < 2 or array.dtype.names:
                fields = f" with the fields {list(array.dtype.names)}" if array.dtype.names else ""
                raise ValueError(
                    f"{path} has an array of shape {array.shape}{fields}; expected rows: "
                    "(N, d), or images (N, H, W, C)."
                )
            for start in range(skip, len(array), batch):
                yield np.array(array[start : start + batch])


def as_category(value):
    """A category as preprocessors write numbers: 7.0 and True as 7 and 1."""
    if value is None or value != value:
        return None
    whole = isinstance(value, (bool, int, float)) and float(value).is_integer()
    return str(int(value)) if whole else str(value)


def plain_numbers(part):
    """An Arrow record batch with its decimals as floats, since pandas has no decimals.

    They are converted through text, because Arrow's own cast does not give the nearest float.
    """
    import pyarrow as pa

    columns, fields = list(part.columns), list(part.schema)
    for place, field in enumerate(fields):
        if pa.types.is_decimal(field.type):
            columns[place] = columns[place].cast(pa.string()).cast(pa.float64())
            fields[place] = field.with_type(pa.float64())
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields, part.schema.metadata))


class _damage:
    """Turn readers' errors for damaged files into a ValueError that names the file."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        # NumPy's and pyarrow's readers raise all kinds of errors for a damaged file
        ours = isinstance(error, ValueError) and str(error).startswith(str(self.path))
        if isinstance(error, ValueError) and any(one in str(error) for one in PICKLED):
            raise ValueError(
                f"{self.path} contains Python objects, or is not a NumPy file at all; expected an "
                "array of numbers or of text. Save it with numpy.save or numpy.savez."
            ) from error
        if isinstance(error, Exception) and not ours:
            raise ValueError(f"{self.path} cannot be read: {failed(error)}") from error


def _only_array(path, arrays):
    if isinstance(arrays, np.ndarray):  # a .npy by another name
        return arrays
    names = list(arrays)
    if len(names) != 1 and "X" not in names:
        raise ValueError(
            f"{path} has the arrays {names}; expected a single array, or one called 'X'."
        )
    return arrays["X" if "X" in names else names[0]]


def _numbered(parts, start):
    for part in parts:
        if len(part):
            yield list(range(start, start + len(part))), part
        start += len(part)


def _images(folder, size, mode, batch, skip, options, note, ignored=()):
    found = Found.of(folder)
    paths, seen = found.pictures, Counter()
    if ignored:
        paths = [p for p in paths if set(p.relative_to(folder).parts[:-1]).isdisjoint(ignored)]
    if not paths:
        raise ValueError(f"{folder} contains no images ({', '.join(IMAGES)}).")
    if found.passed_over():
        note(f"{folder}: {found.passed_over()}")
    if options.skip_damaged:
        paths, errors = readable(paths)
        if errors:
            note(f"{folder}: skipped {len(errors)} unreadable image(s); {errors[0]}")
        if not paths:
            raise ValueError(f"{folder} contains no readable image; {errors[0]}")
    mode = mode or Mode.of(paths)
    first = None
    for start in range(skip, len(paths), batch):
        some, pixels = paths[start : start + batch], []
        for path in some:
            image = mode.read(path, size, seen)
            first = first or (path, image.shape)
            if image.shape != first[1]:
                raise ValueError(
                    f"{path} is an image of {image.shape[0]} x {image.shape[1]} pixels, but "
                    f"{first[0]} has {first[1][0]} x {first[1][1]}. Pass a size, such as "
                    "64x64, to resize all of them."
                )
            pixels.append(image)
        yield [str(path.relative_to(folder)) for path in some], np.stack(pixels)
    colours = "grey" if mode.channels == 1 else "RGB"
    done = "".join(f"; {count:,} {what}" for what, count in seen.items())
    note(f"{folder}: {len(paths):,} images, read as {colours}{done}")
