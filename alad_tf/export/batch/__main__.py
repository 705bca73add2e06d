"""Score files with Apache Beam, on any of its runners; see docs/batch.md.

python -m alad_tf.export.batch --export served/orders/1 --input 'rows-*.csv' --output out/scores
[...]
"""

import argparse

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from alad_tf.export.batch.pipeline import build


def main(arguments=None):
    """Parse, build, run; options that are not ours are Beam's, such as --runner."""
    parser = argparse.ArgumentParser(prog="python -m alad_tf.export.batch", description=__doc__)
    parser.add_argument("--export", required=True, help="the export's folder, NAME/VERSION")
    parser.add_argument("--input", required=True, help="pattern of .csv or .parquet files")
    parser.add_argument("--output", required=True, help="beginning of the output's paths")
    ours, others = parser.parse_known_args(arguments)
    with beam.Pipeline(options=PipelineOptions(others)) as pipeline:
        build(pipeline, ours.export, ours.input, ours.output)


if __name__ == "__main__":
    main()
