"""Table I: the sizes of the data sets, counted in the files themselves."""

import math
from pathlib import Path

from alad_tf.data import load, split
from alad_tf.engine.files import read_json, write_json
from alad_tf.experiments import RESULTS
from alad_tf.experiments.paper import DATASETS
from alad_tf.experiments.settings import SPLIT_SEED
from alad_tf.preprocess import for_dataset

PATH = "table1.json"  # in the results folder
_NAMES = {"svhn": "svhn_cropped"}  # as TensorFlow Datasets calls it


def write_statistics(results=RESULTS, data_dir=None):
    """Count the rows of each available data set into `results/table1.json`.

    Returns a dict by data set of why it could not be counted; earlier counts are kept.
    """
    path = Path(results) / PATH
    counted, missing = read_json(path) if path.is_file() else {}, {}
    for dataset in [name for name in DATASETS if name not in counted]:
        try:
            counted[dataset] = _count(_NAMES.get(dataset, dataset), data_dir)
        except Exception as error:  # downloads raise all kinds of errors
            missing[dataset] = str(error).splitlines()[0]
    write_json(path, counted)
    return missing


def _count(name, data_dir):
    records = load(name, data_dir)
    rows = split(name, records.is_anomaly, seed=SPLIT_SEED)
    return {
        "rows": len(records.is_anomaly),
        "features": math.prod(for_dataset(name, records, rows.train).output_shape),
        "anomalies": int(records.is_anomaly.sum()),
        "train_rows": len(rows.train),
        "validation_rows": len(rows.validation),
        "test_rows": len(rows.test),
        "test_anomalies": int(records.is_anomaly[rows.test].sum()),
    }
