"""What an exported detector is asked with: its inputs by name, and records to try it with."""

import keyword
import re

import numpy as np
import tensorflow as tf

SERIALIZED, ENCODED = "serialized_examples", "encoded_images"
UNSEEN = "\N{EM DASH}unseen\N{EM DASH}"  # a category that no training row had


def inputs_of(preprocessor):
    """The inputs of an export's signatures.

    Args:
        preprocessor: a fitted preprocessor of `alad_tf.preprocess`.

    Returns:
        dict by the input's name: the column that it stands for, or None if it is all of the
        records; and its `tf.TensorSpec`.

    Raises:
        ValueError: two columns whose names would be one input's.

    Example:
        >>> from alad_tf.preprocess import VectorPreprocessor
        >>> list(inputs_of(VectorPreprocessor("none").fit([[1.0, 2.0]])))
        ['x']
    """
    if preprocessor.kind == "image":
        return {"images": (None, tf.TensorSpec((None, *preprocessor.image_shape), tf.uint8))}
    if preprocessor.kind == "vector":
        return {"x": (None, tf.TensorSpec((None, preprocessor.output_dim), tf.float32))}
    if _is_array(preprocessor):
        return {"x": (None, tf.TensorSpec((None, len(preprocessor.names)), tf.float32))}
    categorical, continuous = _columns(preprocessor)
    dtypes = dict.fromkeys(categorical, tf.string) | dict.fromkeys(continuous, tf.float32)
    inputs = {}
    for column, dtype in dtypes.items():
        name = re.sub(r"\W", "_", str(column), flags=re.ASCII)
        if not name[:1].isalpha() or keyword.iskeyword(name) or name == "self":
            name = f"column_{name}"
        if name in inputs:
            raise ValueError(
                f"The columns {inputs[name][0]!r} and {column!r} would both be the input {name!r}: "
                "an input's name has ASCII letters, digits and underscores. Rename one of them and "
                "fit again."
            )
        inputs[name] = (column, tf.TensorSpec((None,), dtype))
    return inputs


def readable(preprocessor):
    """The signatures that take serialized records: tuple of str.

    Pictures have 1, 3 or 4 channels; PNG and JPEG, and so `tf.Example`s of them, know no others.
    """
    if preprocessor.kind != "image":
        return (SERIALIZED,)
    return (SERIALIZED, ENCODED) if preprocessor.image_shape[-1] in (1, 3, 4) else ()


def as_called(preprocessor, columns, raw):
    """What the preprocessor's `call` takes, of a request.

    Args:
        preprocessor: the fitted preprocessor.
        columns: dict, for each input the column that it stands for, or None.
        raw: dict of tensors by input.

    Returns:
        a tensor or dict of tensors.
    """
    if None in columns.values():
        (x,) = raw.values()
        if preprocessor.kind != "mixed":
            return x
        return {"numbers": x, "categories": []}
    table = {columns[name]: values for name, values in raw.items()}
    if preprocessor.kind != "mixed":
        return table
    categorical, numeric = _columns(preprocessor)
    some = next(iter(table.values()))
    numbers = [table[name] for name in numeric]
    return {
        "numbers": tf.stack(numbers, 1) if numbers else tf.zeros((tf.shape(some)[0], 0)),
        "categories": [table[name] for name in categorical],
    }


def request_of(columns, records):
    """Raw records as a request: dict of arrays by input.

    Args:
        columns: dict, for each input the column that it stands for, or None.
        records: raw records: an array, or a dict or DataFrame of columns.
    """
    return {
        name: records if column is None else np.asarray(records[column])
        for name, column in columns.items()
    }


def examples_spec(preprocessor, inputs):
    """The features of a serialized `tf.Example`, by the same names as the inputs.

    Args:
        preprocessor: the fitted preprocessor.
        inputs: what `inputs_of` returned.

    Returns:
        dict of `tf.io.FixedLenFeature`: floats and bytes; "image", of images, is an encoded PNG or
        JPEG. A feature that is absent is a gap, where the preprocessor fills gaps.
    """
    if preprocessor.kind == "image":
        return {"image": tf.io.FixedLenFeature((), tf.string)}
    gaps = preprocessor.kind == "mixed"
    found = {}
    for name, (_, spec) in inputs.items():
        shape = spec.shape[1:]
        absent = "" if spec.dtype == tf.string else np.full(shape, np.nan, "float32")
        found[name] = tf.io.FixedLenFeature(shape, spec.dtype, absent if gaps else None)
    return found


def decoded(preprocessor, encoded):
    """Encoded PNG or JPEG bytes as images: uint8 tensor (N, H, W, C).

    Args:
        preprocessor: the fitted `ImagePreprocessor`.
        encoded: string tensor (N,); images of another size are an InvalidArgumentError.
    """
    shape = preprocessor.image_shape

    def one(content):
        image = tf.io.decode_image(content, channels=shape[-1], expand_animations=False)
        same = tf.reduce_all(tf.equal(tf.shape(image), shape))
        told = f"Images must have {shape[0]} x {shape[1]} pixels"
        with tf.control_dependencies([tf.debugging.Assert(same, [told, tf.shape(image)])]):
            return tf.reshape(image, shape)

    return tf.map_fn(one, encoded, fn_output_signature=tf.TensorSpec(shape, tf.uint8))


def serialized(preprocessor, request):
    """A request's records as serialized `tf.Example`s.

    Args:
        preprocessor: the fitted preprocessor.
        request: dict by input of arrays (N, ...), as `inputs_of` names them.

    Returns:
        list of bytes (N,).

    Example:
        >>> from alad_tf.preprocess import VectorPreprocessor
        >>> layer = VectorPreprocessor("none").fit([[1.0, 2.0]])
        >>> len(serialized(layer, {"x": np.ones((3, 2), "float32")}))
        3
    """
    count = len(next(iter(request.values())))
    if preprocessor.kind == "image":
        request = {"image": [tf.io.encode_png(x).numpy() for x in request["images"]]}
    made = []
    for row in range(count):
        features = {name: _feature(values[row]) for name, values in request.items()}
        example = tf.train.Example(features=tf.train.Features(feature=features))
        made.append(example.SerializeToString())
    return made


def _feature(value):
    if isinstance(value, (bytes, str)):
        content = value if isinstance(value, bytes) else value.encode()
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[content]))
    return tf.train.Feature(float_list=tf.train.FloatList(value=np.ravel(value)))


def sample(preprocessor, count, reach=1):
    """Random raw records of a preprocessor's form, within the range that it was fitted on.

    Args:
        preprocessor: a fitted preprocessor.
        count: int, N; if above 1, a table's last row has categories that nobody has seen, and gaps
            where the preprocessor fills them.
        reach: float; above 1 the rows of a table go off that range in all directions, the last
            one this many times as far.

    Returns:
        images: uint8 (N, H, W, C); arrays: float32 (N, d); tables: dict of (N,) columns.

    Example:
        >>> from alad_tf.preprocess import ImagePreprocessor
        >>> sample(ImagePreprocessor((8, 8, 2)), 3).shape
        (3, 8, 8, 2)
    """
    generator = np.random.default_rng(count)
    if preprocessor.kind == "image":
        return generator.integers(0, 256, (count, *preprocessor.image_shape), dtype="uint8")
    shift, scale = preprocessor.shift.numpy(), preprocessor.scale.numpy()
    spread = 1.0 / np.where(scale > 0, scale, 1.0)
    away = generator.uniform(-1 if reach > 1 else 0, 1, (count, len(shift)))
    away *= np.geomspace(1, reach, count)[:, np.newaxis]
    x = (shift + away * spread).astype("float32")
    if preprocessor.kind == "mixed" and count > 1:
        x[-1, preprocessor.gaps] = np.nan
    if preprocessor.kind == "vector" or _is_array(preprocessor):
        return x
    _, continuous = _columns(preprocessor)
    table = {k: generator.choice(known, count) for k, known in preprocessor.vocabularies.items()}
    if count > 1:
        table = {k: np.append(v[1:], UNSEEN) for k, v in table.items()}
    return {**table, **dict(zip(continuous, x.T, strict=True))}


def _columns(preprocessor):
    """Names of a table's categorical and of its continuous columns, in their blocks' order."""
    if preprocessor.kind == "mixed":
        return list(preprocessor.vocabularies), preprocessor.numeric
    return preprocessor.categorical, preprocessor.continuous


def _is_array(preprocessor):
    """Whether it is mixed and was fitted on an array of numbers, whose columns have no names."""
    return (
        preprocessor.kind == "mixed"
        and not preprocessor.vocabularies
        and preprocessor.names == [f"x{i}" for i in range(len(preprocessor.names))]
    )
