"""Builder of the KDD Cup 1999 10% set. Source: https://kdd.ics.uci.edu/databases/kddcup99."""

from __future__ import annotations

import numpy as np
import tensorflow_datasets as tfds

from alad_tf.data import raw


class Builder(tfds.core.GeneratorBasedBuilder):
    """KDD Cup 1999, 10% set: 494,021 connections, 41 columns and the label, in file order.

    Attributes:
        EXPECTED_ROWS: rows of a whole file; None accepts any number.

    Raises:
        ValueError: on preparing from a damaged file; see `alad_tf.data.read_kdd99`.

    Example:
        >>> builder = Builder(data_dir="/tmp/tfds")  # doctest: +SKIP
        >>> builder.download_and_prepare()  # doctest: +SKIP
        >>> builder.as_dataset(split="train")  # doctest: +SKIP

    Source: https://kdd.ics.uci.edu/databases/kddcup99/kddcup99.html
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Optional: put {raw.KDD99_FILE} into the manual folder; without it, the file is downloaded"
        f" from {raw.KDD99_URL}."
    )
    EXPECTED_ROWS: int | None = raw.KDD99_ROWS

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            name: tfds.features.Text() if name in raw.KDD99_SYMBOLIC else np.float32
            for name in raw.KDD99_COLUMNS
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({**features, "label": tfds.features.Text()}),
            homepage="https://kdd.ics.uci.edu/databases/kddcup99/kddcup99.html",
            disable_shuffling=True,  # the protocol's permutation is of the file's row numbers
        )

    def _split_generators(self, dl_manager):
        path = raw.manual_or_download(dl_manager, raw.KDD99_FILE, raw.KDD99_URL)
        return {"train": self._generate_examples(path)}

    def _generate_examples(self, path):
        columns, labels = raw.read_kdd99(path, self.EXPECTED_ROWS)
        names = (*columns, "label")
        table = (*(column.tolist() for column in columns.values()), labels.tolist())
        for i, row in enumerate(zip(*table, strict=True)):
            yield i, dict(zip(names, row, strict=True))
