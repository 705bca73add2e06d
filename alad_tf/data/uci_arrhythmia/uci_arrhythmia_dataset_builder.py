"""Builder of the UCI Arrhythmia set. Source: https://archive.ics.uci.edu/dataset/5/arrhythmia."""

from __future__ import annotations

import numpy as np
import tensorflow_datasets as tfds

from alad_tf.data import raw


class Builder(tfds.core.GeneratorBasedBuilder):
    """UCI Arrhythmia: 452 patients, the 274 complete attributes and the class, in file order.

    Attributes:
        EXPECTED_ROWS: rows of a whole file; None accepts any number.

    Raises:
        ValueError: on preparing from a damaged file; see `alad_tf.data.read_arrhythmia`.

    Example:
        >>> builder = Builder(data_dir="/tmp/tfds")  # doctest: +SKIP
        >>> builder.download_and_prepare()  # doctest: +SKIP
        >>> builder.as_dataset(split="train")  # doctest: +SKIP

    Source: https://archive.ics.uci.edu/dataset/5/arrhythmia
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Optional: put {raw.ARRHYTHMIA_FILE} into the manual folder; without it, the file is "
        f"downloaded from {raw.ARRHYTHMIA_URL}."
    )
    EXPECTED_ROWS: int | None = raw.ARRHYTHMIA_ROWS

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.Tensor(shape=(274,), dtype=np.float32)
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({"features": features, "label": np.int64}),
            supervised_keys=("features", "label"),
            homepage="https://archive.ics.uci.edu/dataset/5/arrhythmia",
            disable_shuffling=True,  # the protocol's permutation is of the file's row numbers
        )

    def _split_generators(self, dl_manager):
        path = raw.manual_or_download(dl_manager, raw.ARRHYTHMIA_FILE, raw.ARRHYTHMIA_URL)
        return {"train": self._generate_examples(path)}

    def _generate_examples(self, path):
        features, classes = raw.read_arrhythmia(path, self.EXPECTED_ROWS)
        for i in range(len(classes)):
            yield i, {"features": features[i], "label": classes[i]}
