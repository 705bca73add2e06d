"""Score files with Apache Beam, on any of its runners; see docs/batch.md.

python -m alad_tf.export.batch --export served/orders/1 --input 'rows-*.csv' --output out/scores

Other options are Beam's, such as --runner.
"""

import argparse

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from alad_tf.data.user_files import ReadOptions
from alad_tf.export.batch.pipeline import build


def main(arguments=None):
    """Parse, build, run; options that are not ours are Beam's, such as --runner."""
    parser = argparse.ArgumentParser(
        prog="python -m alad_tf.export.batch",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--export", required=True, help="folder of the export, NAME/VERSION")
    parser.add_argument("--input", required=True, help="pattern of .csv, .tsv or .parquet files")
    parser.add_argument("--output", required=True, help="prefix of the output files")
    parser.add_argument("--sep", help="separator of a CSV's columns; default: detected")
    parser.add_argument("--decimal", help="decimal mark of a CSV; default: detected")
    parser.add_argument("--encoding", help="encoding of a CSV; default: UTF-8")
    parser.add_argument(
        "--missing",
        action="append",
        default=[],
        help="marker of missing values, such as ?; may be repeated",
    )
    ours, others = parser.parse_known_args(arguments)
    options = ReadOptions(ours.sep, ours.decimal, ours.encoding, ours.missing)
    with beam.Pipeline(options=PipelineOptions(others)) as pipeline:
        build(pipeline, ours.export, ours.input, ours.output, options)


if __name__ == "__main__":
    main()
