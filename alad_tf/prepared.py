"""An entry's data, loaded, split by its protocol, and the preprocessing fitted."""

import dataclasses

from alad_tf.data import Records, Split, load, split
from alad_tf.preprocess import for_dataset
from alad_tf.preprocess.base import Preprocessor
from alad_tf.settings import Settings

SPLIT_SEED = 42  # the protocol's split is the same in every run; a run's seed is the training's


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A protocol's rows and their preprocessing: what trains and what tests.

    Attributes:
        records: raw `Records` of the whole set.
        split: `alad_tf.data.Split`.
        preprocessor: fitted on the training rows.
    """

    records: Records
    split: Split
    preprocessor: Preprocessor

    def part(self, name):
        """The raw `Records` of the part "train", "validation" or "test"."""
        return self.records.take(getattr(self.split, name))

    def transformed(self, name):
        """The preprocessed rows of a part: float32 array (n, *x_shape)."""
        return self.preprocessor.transform(self.part(name).x)

    def protocol(self):
        """The row counts and the threshold rule, as they stand in a result: JSON-able dict."""
        is_anomaly = self.records.is_anomaly
        return {
            "train_rows": len(self.split.train),
            "train_anomalies": int(is_anomaly[self.split.train].sum()),
            "validation_rows": len(self.split.validation),
            "test_rows": len(self.split.test),
            "test_anomaly_rate": float(is_anomaly[self.split.test].mean()),
            "threshold_rule": self.split.threshold_rule,
            "split_seed": self.split.seed,
        }


def prepare(entry, settings=None, data_dir=None):
    """Load, split and preprocess an entry's data.

    Args:
        entry: `Entry`.
        settings: `Settings`; its normal class, contamination, halves and scaling count here.
        data_dir: folder of the data; see `alad_tf.data.load`.

    Returns:
        `Prepared`.

    Raises:
        FileNotFoundError, ValueError: from loading, splitting and preprocessing.
    """
    settings = settings or Settings()
    records = load(entry.dataset, data_dir, settings.normal_class)
    rows = split(
        entry.dataset,
        records.is_anomaly,
        seed=SPLIT_SEED,
        contaminated=settings.contaminated,
        swap_halves=settings.swap_halves,
    )
    preprocessor = for_dataset(entry.dataset, records, rows.train, settings.scaling)
    return Prepared(records, rows, preprocessor)
