"""Scoring with Apache Spark: a DataFrame of records in, one with their verdicts out."""

import contextlib
import functools

import numpy as np
import pandas as pd
import tensorflow as tf
from pyspark.sql import functions as F
from pyspark.sql import types as T

from alad_tf.data.user_files import as_category
from alad_tf.export.serving.model import DEFAULT, RequestError, ServedModel
from alad_tf.preprocess.times import as_seconds

REASON = "reason"
FIRST = ("score", "p_value", "is_anomaly")  # of the outputs, in this order


def score_frame(frame, export, keep=None, signature=DEFAULT):
    """Score a Spark DataFrame.

    Every Python worker loads the export once, and then scores the records of one partition after
    another. A record that the export refuses does not fail its partition.

    Args:
        frame: `pyspark.sql.DataFrame` with the detector's columns, under their own names. Types:
            numbers or bools for numbers; text or numbers for categories; dates, timestamps, text or
            seconds for dates; text or seconds for durations; null for gaps. If the export takes no
            named columns: one column, named like its input, with arrays of numbers for `x` or bytes
            for `encoded`.
        export: str, the export's folder: a path that the driver and every worker can read.
        keep: names of the columns of `frame` to keep in the result; default: all that are not
            inputs. Spark does not preserve the order of rows, so keep a key.
        signature: str, the signature to call; it must return one number per record.

    Returns:
        `pyspark.sql.DataFrame`: the columns of `keep`; "score", and "p_value" and "is_anomaly" if
        the export has them; and "reason", which says why a record was not scored, else null.

    Raises:
        ValueError: if a column is missing or has a type that the export does not take, `keep` has a
            name that the result uses itself, or the signature does not return one number per
            record.
        FileNotFoundError: if there is no export in the folder.

    Example:
        >>> # frame = spark.read.parquet("rows.parquet")
        >>> # score_frame(frame, "served/orders/1", keep=["id"]).write.parquet("scores.parquet")
    """
    model = ServedModel.load(export)
    about = model.metadata() if signature == DEFAULT else {}
    columns = about.get("columns")
    specs = model.inputs(signature)
    columns = columns or {name: name for name in specs}
    missing = sorted(set(columns.values()) - set(frame.columns))
    if missing:
        raise ValueError(
            f"received a frame without the columns {missing}; it has {sorted(frame.columns)}. "
            "Add them, or rename those that go by another name."
        )
    if keep is None:
        keep = [name for name in frame.columns if name not in set(columns.values())]
    outputs = _outputs(model, signature)
    twice = sorted({*outputs, REASON} & set(keep))
    if twice:
        raise ValueError(
            f"received columns named {twice}, which the result has as well. Rename those of "
            "the frame, or leave them out of `keep`."
        )
    seconds = {name: about.get("seconds", {}).get(column) for name, column in columns.items()}
    inputs = [
        _typed(name, frame.schema[column].dataType, _column(column), specs[name], seconds[name])
        for name, column in columns.items()
    ]
    inputs = [one.alias(f"input {place}") for place, one in enumerate(inputs)]
    kept = [T.StructField(name, frame.schema[name].dataType) for name in keep]
    schema = T.StructType(
        [
            *kept,
            *(T.StructField(name, kind) for name, kind in outputs.items()),
            T.StructField(REASON, T.StringType()),
        ]
    )
    score = functools.partial(
        _score_parts,
        folder=str(export),
        signature=signature,
        names=seconds,
        outputs=list(outputs),
    )
    return frame.select(*map(_column, keep), *inputs).mapInPandas(score, schema)


def _column(name):
    """A frame's column by its name, which may have any characters."""
    return F.col("`" + name.replace("`", "``") + "`")


def _outputs(model, signature):
    """Spark's type of each output, the verdict's first."""
    kinds = {tf.float32: T.FloatType(), tf.bool: T.BooleanType()}
    specs = model.signatures[signature].structured_outputs
    wide = [name for name, spec in specs.items() if spec.shape.rank != 1 or spec.dtype not in kinds]
    if wide:
        raise ValueError(
            f"received the signature {signature!r}, whose outputs {wide} are not one number per "
            "record. Choose another signature."
        )
    names = sorted(specs, key=lambda name: (FIRST.index(name) if name in FIRST else 9, name))
    return {name: kinds[specs[name].dtype] for name in names}


def _typed(name, kind, column, spec, seconds=None):
    """A column as the worker takes it, if it is of a type that the input takes.

    `seconds` is "date" or "duration" for columns of them.
    """
    number = isinstance(kind, (T.NumericType, T.BooleanType))
    if seconds and isinstance(kind, T.StringType):
        return column
    if seconds == "date" and isinstance(kind, T.DateType):
        return 86400.0 * F.unix_date(column)
    if seconds == "date" and isinstance(kind, T.TimestampNTZType):
        return F.to_timestamp(F.concat(column.cast("string"), F.lit("+00:00"))).cast("double")
    if seconds == "date" and isinstance(kind, T.TimestampType):
        return column.cast("double")
    if spec.shape.rank > 1:
        good, wanted = isinstance(kind, T.ArrayType), "an array"
    elif spec.dtype == tf.string:
        good, wanted = number or isinstance(kind, (T.StringType, T.BinaryType)), "text"
        if isinstance(kind, T.DecimalType):
            column = column.cast("double")
    else:
        good, wanted = number, "a number"
        column = column.cast("double")
    if not good:
        raise ValueError(
            f"received the column for {name!r} as {kind.simpleString()}; the export takes "
            f"{wanted}. Cast the column."
        )
    return column


@functools.lru_cache(maxsize=1)
def _model(folder):
    """The export, loaded once in each Python worker; Spark runs one of them for each core."""
    with contextlib.suppress(RuntimeError):  # TensorFlow is at work in this process already
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    return ServedModel.load(folder)


def _score_parts(parts, folder, signature, names, outputs):
    """Pandas frames of what was kept and of the inputs, as frames of what was kept and answers."""
    model = _model(folder)
    specs = model.inputs(signature)
    for part in parts:
        kept = part.iloc[:, : part.shape[1] - len(names)].reset_index(drop=True)
        inputs = {
            name: _values(part.iloc[:, kept.shape[1] + place], specs[name], name, kind)
            for place, (name, kind) in enumerate(names.items())
        }
        found, reasons = _answers(model, signature, inputs, len(part))
        verdicts = {name: found[name] for name in outputs}
        yield pd.concat([kept, pd.DataFrame({**verdicts, REASON: reasons})], axis=1)


def _values(column, spec, name, seconds=None):
    """A column of a frame as an input: an array, or a list where values are no numbers."""
    if seconds and not pd.api.types.is_numeric_dtype(column.dtype):
        found = as_seconds(column, name, seconds)
        return found if found.dtype.kind == "f" else found.tolist()
    if spec.shape.rank > 1:
        try:
            return np.stack(column.to_numpy())
        except (TypeError, ValueError):  # arrays of different lengths, or none: refused one by one
            return [None if one is None else np.asarray(one).tolist() for one in column]
    if spec.dtype != tf.string:
        return column.to_numpy("float64", na_value=np.nan)
    codes, values = pd.factorize(column.to_numpy(object), use_na_sentinel=False)
    texts = [one if isinstance(one, bytes) else as_category(one) or "" for one in values]
    return np.array([*texts, None], object)[:-1][codes]


def _answers(model, signature, inputs, count):
    """Answers by output, and each record's reason or None; a refused request is halved."""
    try:
        return model.predict(signature, inputs), [None] * count
    except RequestError as error:
        if count == 1:
            names = model.signatures[signature].structured_outputs
            return dict.fromkeys(names, np.array([None], object)), [str(error)]
    middle, parts = count // 2, []
    for side in (slice(middle), slice(middle, None)):
        half = {name: values[side] for name, values in inputs.items()}
        parts.append(_answers(model, signature, half, len(next(iter(half.values())))))
    (first, reasons), (second, more) = parts
    return {name: np.concatenate([first[name], second[name]]) for name in first}, reasons + more
