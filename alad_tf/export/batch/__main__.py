"""Score files with Apache Beam, on any of its runners; see docs/batch.md.

python -m alad_tf.export.batch --export served/orders/1 --input 'rows-*.csv' --output out/scores
[...]
"""

import argparse

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from alad_tf.data.user_files import ReadOptions
from alad_tf.export.batch.pipeline import build


def main(arguments=None):
    """Parse, build, run; options that are not ours are Beam's, such as --runner."""
    parser = argparse.ArgumentParser(prog="python -m alad_tf.export.batch", description=__doc__)
    parser.add_argument("--export", required=True, help="the export's folder, NAME/VERSION")
    parser.add_argument("--input", required=True, help="pattern of .csv, .tsv or .parquet files")
    parser.add_argument("--output", required=True, help="beginning of the output's paths")
    parser.add_argument("--sep", help="what separates a CSV's columns; else found")
    parser.add_argument("--decimal", help="a CSV's decimal mark; else found")
    parser.add_argument("--encoding", help="a CSV's encoding; else UTF-8, or by its mark")
    parser.add_argument("--missing", action="append", default=[], help="a marker of gaps")
    ours, others = parser.parse_known_args(arguments)
    options = ReadOptions(ours.sep, ours.decimal, ours.encoding, ours.missing)
    with beam.Pipeline(options=PipelineOptions(others)) as pipeline:
        build(pipeline, ours.export, ours.input, ours.output, options)


if __name__ == "__main__":
    main()
