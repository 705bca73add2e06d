"""Table I: what the data sets are, counted in the files themselves."""

from pathlib import Path

from alad_tf.data import load, split
from alad_tf.engine.files import read_json, write_json
from alad_tf.experiments.paper import DATASETS
from alad_tf.experiments.settings import SPLIT_SEED
from alad_tf.preprocess import for_dataset

PATH = "table1.json"
_NAMES = {"svhn": "svhn_cropped"}  # as TensorFlow Datasets calls it


def write_statistics(results="results", data_dir=None):
    """Count each data set that can be had; one that cannot keeps what was counted before.

    Args:
        results: str or Path of the results folder.
        data_dir: folder of the raw files; see `alad_tf.data.load`.

    Returns:
        dict by data set: why it could not be counted. `results/table1.json` has the others.

    Source: ALAD, Table I, and Section V-A for the protocols.
    """
    path = Path(results) / PATH
    told, missing = read_json(path) if path.is_file() else {}, {}
    for dataset in DATASETS:
        if dataset not in told:
            try:
                told[dataset] = _count(_NAMES.get(dataset, dataset), data_dir)
            except Exception as error:  # whatever a download may end with
                missing[dataset] = str(error).splitlines()[0]
    write_json(path, told)
    return missing


def _count(name, data_dir):
    records = load(name, data_dir)
    rows = split(name, records.is_anomaly, seed=SPLIT_SEED)
    preprocessor = for_dataset(name, records, rows.train)
    features = 1
    for side in preprocessor.output_shape:
        features *= side
    return {
        "rows": len(records.is_anomaly),
        "features": features,
        "anomalies": int(records.is_anomaly.sum()),
        "train_rows": len(rows.train),
        "validation_rows": len(rows.validation),
        "test_rows": len(rows.test),
        "test_anomalies": int(records.is_anomaly[rows.test].sum()),
    }
