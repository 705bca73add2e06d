"""Score a Parquet file with Apache Spark, on this machine or on a cluster.

    python examples/score_with_spark.py served/orders/1 rows.parquet scores.parquet --keep id
    spark-submit --master spark://HOST:7077 examples/score_with_spark.py ...

Every machine needs this package with its extra `spark`, and the export at the same path.
"""

import argparse

from pyspark.sql import SparkSession

from alad_tf.export.batch.spark import score_frame


def main(arguments=None):
    """Read, score, write; the output is whole or absent, as Spark writes Parquet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("export", help="the export's folder, NAME/VERSION")
    parser.add_argument("input", help="Parquet: a file, a folder or a pattern")
    parser.add_argument("output", help="folder of Parquet to write")
    parser.add_argument("--keep", help="columns to hand on, separated by commas; else the others")
    parser.add_argument("--master", help="local[2], spark://HOST:7077; else spark-submit's")
    words = parser.parse_args(arguments)
    builder = SparkSession.builder.appName("alad scores")
    spark = (builder.master(words.master) if words.master else builder).getOrCreate()
    try:
        keep = words.keep.split(",") if words.keep else None
        frame = spark.read.parquet(words.input)
        score_frame(frame, words.export, keep).write.parquet(words.output)
    finally:
        spark.stop()


if __name__ == "__main__":
    main()
