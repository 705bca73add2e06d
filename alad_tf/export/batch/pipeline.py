"""The Beam pipeline: files of rows in, files of verdicts and of refused rows out."""

import csv
import io
import json

import apache_beam as beam
from apache_beam.io import fileio
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference

from alad_tf.export.batch.handler import ExportHandler, Refused

KINDS = ("csv", "parquet")
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
    told = answers | "By verdict" >> beam.ParDo(_Tell()).with_outputs(REFUSED, main=SCORED)
    return {SCORED: told[SCORED], REFUSED: told[REFUSED]}


def build(pipeline, export, source, output):
    """Read files, score their rows, write JSON lines.

    Args:
        pipeline: `apache_beam.Pipeline`.
        export: str, the export's folder.
        source: str, a pattern of CSV files with a header, or of Parquet files.
        output: str, the beginning of the output's paths: OUTPUT-scored-*.jsonl and
            OUTPUT-refused-*.jsonl.

    Returns:
        what `score_rows` returns; before that, rows that cannot be read as their columns' types
        are refused, too. A row's key is its file's name and its number there, from 0.

    Raises:
        ValueError: files of another kind.
    """
    kind = source.rsplit(".", 1)[-1].lower()
    if kind not in KINDS:
        raise ValueError(f"received {source}; expected .csv or .parquet files.")
    columns = _columns(export)
    files = pipeline | fileio.MatchFiles(source) | fileio.ReadMatches() | beam.Reshuffle()
    keyed = files | "Read rows" >> beam.ParDo(_Read(kind, columns))
    found = score_rows(keyed, export)
    for name, rows in found.items():
        (
            rows
            | f"JSON, {name}" >> beam.Map(lambda row: json.dumps(row, ensure_ascii=False))
            | f"Write {name}" >> beam.io.WriteToText(f"{output}-{name}", ".jsonl")
        )
    return found


def _columns(export):
    """For each input the column it stands for and whether it is text; None for arrays."""
    from alad_tf.export.serving.model import ServedModel

    model = ServedModel.load(export)
    columns = model.metadata()["columns"]
    if columns is None:
        names = sorted(model.inputs("serving_default"))
        raise ValueError(
            f"{export} takes {names}, and no named columns: fit the detector on a table with named "
            "columns, or call score_rows with records of your own."
        )
    specs = model.inputs("serving_default")
    return {name: (column, specs[name].dtype.name == "string") for name, column in columns.items()}


class _Read(beam.DoFn):
    """Rows of a file as `(key, record)`."""

    def __init__(self, kind, columns):
        super().__init__()
        self.kind, self.columns = kind, columns

    def process(self, file):
        path = file.metadata.path
        rows = self._csv(file) if self.kind == "csv" else self._parquet(file)
        for number, row in enumerate(rows):
            yield f"{path.rsplit('/', 1)[-1]}:{number}", self._record(row)

    def _csv(self, file):
        with file.open() as binary:
            yield from csv.DictReader(io.TextIOWrapper(binary, encoding="utf-8", newline=""))

    def _parquet(self, file):
        import pyarrow.parquet

        with file.open() as binary:
            for part in pyarrow.parquet.ParquetFile(binary).iter_batches(1000):
                yield from part.to_pylist()

    def _record(self, row):
        """Inputs by name; what is no number stays as it is, and is refused with its reason."""
        record = {}
        for name, (column, text) in self.columns.items():
            if column not in row:
                continue
            value = row[column]
            if text:
                record[name] = "" if value is None else str(value)
            elif value is None or value == "":
                record[name] = float("nan")
            else:
                record[name] = value
        return record


class _Tell(beam.DoFn):
    """A keyed prediction as a row of the output, or of the refused ones."""

    def process(self, answer):
        key, prediction = answer
        if isinstance(prediction.inference, Refused):
            yield beam.pvalue.TaggedOutput(
                REFUSED, {"row": key, "reason": str(prediction.inference)}
            )
        else:
            yield {"row": key, **prediction.inference}
