"""The Beam pipeline: files of rows in, files of verdicts and of refused rows out."""

import json

import apache_beam as beam
from apache_beam.io import fileio
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference

from alad_tf.data.cells import NUMBER, TEXT
from alad_tf.data.delimited import EITHER, Delimited
from alad_tf.data.user_files import as_category, plain_numbers, table_kind
from alad_tf.export.batch.handler import ExportHandler, Refused
from alad_tf.preprocess.times import as_seconds

KINDS = (".csv", ".tsv", ".parquet")
PIECE = 1000  # rows
SCORED, REFUSED = "scored", "refused"


def score_rows(keyed, export):
    """Score keyed records.

    Args:
        keyed: PCollection of `(key, record)`; records are dicts by input of the export.
        export: str, the export's folder.

    Returns:
        dict of PCollections: "scored", dicts with "row", "score" and, where the export has them,
        "p_value" and "is_anomaly"; and "refused", dicts with "row" and "reason".

    Example:
        >>> # found = score_rows(pipeline | beam.Create([("a", {"x": row})]), "served/orders/1")
    """
    answers = keyed | RunInference(KeyedModelHandler(ExportHandler(export)))
    split = answers | "By verdict" >> beam.ParDo(_Verdict()).with_outputs(REFUSED, main=SCORED)
    return {SCORED: split[SCORED], REFUSED: split[REFUSED]}


def build(pipeline, export, source, output, options=None):
    """Read files, score their rows, write JSON lines.

    Args:
        pipeline: `apache_beam.Pipeline`.
        export: str, the export's folder.
        source: str, a pattern of CSV or TSV files with a header, compressed or not, or of Parquet
            files.
        output: str, the beginning of the output's paths: OUTPUT-scored-*.jsonl and
            OUTPUT-refused-*.jsonl.
        options: `alad_tf.data.user_files.ReadOptions`, or None.

    Returns:
        what `score_rows` returns. Files are read as by `alad score`; where that would stop, at a
        cell that is not a number or a line with too many or too few cells, the row is refused.
        A row's key is its file's name and its number in that file, from 0.

    Raises:
        ValueError: if the files are of another kind.
    """
    kind = table_kind(source)
    if kind not in KINDS:
        raise ValueError(f"received {source}; expected {', '.join(KINDS)}.")
    columns = _columns(export)
    files = pipeline | fileio.MatchFiles(source) | fileio.ReadMatches() | beam.Reshuffle()
    reader = beam.ParDo(_Read(kind, columns, options)).with_outputs(REFUSED, main="rows")
    read = files | "Read rows" >> reader
    found = score_rows(read["rows"], export)
    found[REFUSED] = (found[REFUSED], read[REFUSED]) | "All refused" >> beam.Flatten()
    for name, rows in found.items():
        (
            rows
            | f"JSON, {name}" >> beam.Map(lambda row: json.dumps(row, ensure_ascii=False))
            | f"Write {name}" >> beam.io.WriteToText(f"{output}-{name}", ".jsonl")
        )
    return found


def _columns(export):
    """For each input the column it stands for, and its kind: text, number, date or duration."""
    from alad_tf.export.serving.model import ServedModel

    model = ServedModel.load(export)
    about = model.metadata()
    columns, seconds = about["columns"], about.get("seconds", {})
    if columns is None:
        names = sorted(model.inputs("serving_default"))
        raise ValueError(
            f"{export} takes {names}, not named columns. Fit the detector on a table with "
            "named columns, or call score_rows with your own records."
        )
    specs = model.inputs("serving_default")
    of_dtype = {name: TEXT if specs[name].dtype.name == "string" else NUMBER for name in columns}
    return {name: (c, seconds.get(c, of_dtype[name])) for name, c in columns.items()}


class _Read(beam.DoFn):
    """Rows of a file as `(key, record)`, and those that cannot be read, refused."""

    def __init__(self, kind, columns, options):
        super().__init__()
        self.kind, self.columns, self.options = kind, columns, options

    def process(self, file):
        path = file.metadata.path
        rows = self._parquet(file) if self.kind == ".parquet" else self._delimited(file, path)
        for number, row in rows:
            key = f"{path.rsplit('/', 1)[-1]}:{number}"
            record = row if isinstance(row, str) else self._record(row)
            if isinstance(record, str):
                yield beam.pvalue.TaggedOutput(REFUSED, {"row": key, "reason": record})
            else:
                yield key, record

    def _delimited(self, file, path):
        def opened():
            return file.open(compression_type=CompressionTypes.UNCOMPRESSED)

        table = Delimited.open(opened, path, self.options, tabs=self.kind == ".tsv")
        plain = {column: kind for column, kind in self.columns.values() if kind in (TEXT, NUMBER)}
        kinds = dict.fromkeys(self._written(), EITHER) | plain
        refused = []
        for piece in table.records(PIECE, refuse=lambda *one: refused.append(one)):
            frame = table.to_frame(piece, kinds, keep_bad=True)
            for name, kind in self._written().items():
                if name in frame:
                    frame[name] = as_seconds(frame[name], name, kind)
            yield from zip(piece.rows.tolist(), frame.to_dict("records"), strict=True)
        yield from refused

    def _parquet(self, file):
        import pyarrow.parquet

        number = 0
        with file.open() as binary:
            for part in pyarrow.parquet.ParquetFile(binary).iter_batches(PIECE):
                seconds = {
                    name: as_seconds(part.column(name).to_pandas(), name, kind).tolist()
                    for name, kind in self._written().items()
                    if name in part.schema.names
                }
                for place, row in enumerate(plain_numbers(part).to_pylist()):
                    yield number, row | {name: values[place] for name, values in seconds.items()}
                    number += 1

    def _written(self):
        """Kinds of the columns of dates and durations."""
        return {
            column: kind for column, kind in self.columns.values() if kind not in (TEXT, NUMBER)
        }

    def _record(self, row):
        """Inputs by name, or why there are none."""
        record = {}
        for name, (column, kind) in self.columns.items():
            if column not in row:
                continue
            value = row[column]
            if kind == TEXT:
                record[name] = as_category(value) or ""
            elif isinstance(value, str):
                wanted = "float32" if kind == NUMBER else f"a {kind}"
                other = "number" if kind == NUMBER else kind
                return f"{name!r} must be {wanted}; received {value!r}, which is not a {other}."
            else:
                record[name] = float("nan") if value is None else value
        return record


class _Verdict(beam.DoFn):
    """A keyed prediction as a row of the output, or of the refused ones."""

    def process(self, answer):
        key, prediction = answer
        if isinstance(prediction.inference, Refused):
            yield beam.pvalue.TaggedOutput(
                REFUSED, {"row": key, "reason": str(prediction.inference)}
            )
        else:
            yield {"row": key, **prediction.inference}
