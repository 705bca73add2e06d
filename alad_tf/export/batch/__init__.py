"""Scoring more rows than one machine holds: Apache Beam pipelines over an export.

Example:
    >>> # python -m alad_tf.export.batch --export served/orders/1 --input 'rows-*.csv' \\
    >>> #     --output scores
"""
