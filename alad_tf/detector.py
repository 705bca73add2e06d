"""The one fitted artefact: preprocessing, scorer and threshold, saved and loaded together."""

from pathlib import Path

import numpy as np

from alad_tf.evaluate import top_fraction_threshold
from alad_tf.files import read_json, replacing_folder, write_json
from alad_tf.preprocess import preprocessor_from_state
from alad_tf.scorer import Scorer
from alad_tf.scores import check_score

CONFIG, WEIGHTS = "config.json", "scorer.weights.h5"
FORMAT = 1


class Detector:
    """Raw records in, anomaly scores and verdicts out.

    Args:
        preprocessor: a fitted `VectorPreprocessor` or `TablePreprocessor`.
        scorer: `Scorer`.
        score: str, the score that decides: "features" (the paper's A(x)), "l1", "l2", "logits".
        threshold: float, scores from here on are anomalous; None until it is set.
        threshold_rule: str, how the threshold came about.
        metadata: JSON-able dict, kept with the detector (entry, seed, metrics).

    Raises:
        ValueError: an unknown score name.

    Example:
        >>> # detector = Detector.load("runs/kdd99_alad/default/seed0/detector")
        >>> # detector.anomaly_score(records), detector.predict(records)

    Source: ALAD, Algorithm 1.
    """

    def __init__(
        self,
        preprocessor,
        scorer,
        score="features",
        threshold=None,
        threshold_rule="none",
        metadata=None,
    ):
        self.preprocessor = preprocessor
        self.scorer = scorer
        self.score = check_score(score)
        self.threshold = None if threshold is None else float(threshold)
        self.threshold_rule = threshold_rule
        self.metadata = dict(metadata or {})

    def scores(self, x):
        """The four scores of raw records.

        Args:
            x: what the preprocessor takes: float array (N, d), or a dict / DataFrame of columns.

        Returns:
            dict of float32 arrays (N,): "features", "l1", "l2", "logits"; higher is more anomalous.

        Raises:
            ValueError: a missing column, a wrong width, no rows, NaN or infinity.
        """
        return self.scorer.scores(self.preprocessor.transform(x))

    def anomaly_score(self, x):
        """The deciding score of raw records: float32 (N,), higher is more anomalous."""
        return self.scores(x)[self.score]

    def reconstruct(self, x):
        """x' = G(E(x)) of raw records, in preprocessed space: float32 (N, d)."""
        prepared = self.preprocessor.transform(x)
        return self.scorer.scores(prepared, reconstruction=True)["reconstruction"]

    def set_threshold(self, scores, fraction, rule):
        """Call the `fraction` of highest `scores` anomalous from now on.

        Args:
            scores: float array (N,), best of held-out normal records.
            fraction: float in (0, 1).
            rule: str, a description that is kept with the detector.

        Returns:
            the detector.

        Raises:
            ValueError: a fraction outside (0, 1), or scores that are not finite.
        """
        self.threshold = top_fraction_threshold(scores, fraction)
        self.threshold_rule = rule
        return self

    def predict(self, x):
        """Whether raw records are anomalous.

        Returns:
            bool array (N,).

        Raises:
            ValueError: the detector has no threshold yet.
        """
        if self.threshold is None:
            raise ValueError(
                "This detector has no threshold. Set one from held-out normal records: "
                "detector.set_threshold(detector.anomaly_score(held_out), 0.01, 'top 1%')."
            )
        return self.anomaly_score(x) >= np.float32(self.threshold)

    def save(self, folder):
        """Write the detector: config.json and scorer.weights.h5, whole or not at all.

        Args:
            folder: str or Path; an old detector there is replaced.

        Returns:
            Path of the folder.
        """
        with replacing_folder(folder) as temporary:
            write_json(
                temporary / CONFIG,
                {
                    "format": FORMAT,
                    "scorer": self.scorer.architecture(),
                    "preprocessor": self.preprocessor.state(),
                    "score": self.score,
                    "threshold": self.threshold,
                    "threshold_rule": self.threshold_rule,
                    "metadata": self.metadata,
                },
            )
            self.scorer.save_weights(temporary / WEIGHTS)
        return Path(folder)

    @classmethod
    def load(cls, folder):
        """Read a saved detector.

        Args:
            folder: str or Path that `save` wrote.

        Returns:
            `Detector`, with the scores it had when it was saved.

        Raises:
            FileNotFoundError: the folder holds no detector.
            ValueError: a damaged config.json, or one of a newer format.
        """
        folder = Path(folder)
        if not (folder / CONFIG).is_file() or not (folder / WEIGHTS).is_file():
            raise FileNotFoundError(
                f"No detector in {folder.resolve()}: expected {CONFIG} and {WEIGHTS}. Give the "
                "folder that `save` or `alad train` wrote (it is named 'detector')."
            )
        config = read_json(folder / CONFIG)
        if config.get("format") != FORMAT:
            raise ValueError(
                f"{folder / CONFIG} has format {config.get('format')!r}; this version reads "
                f"{FORMAT}. Upgrade the package, or save the detector again."
            )
        scorer = Scorer(**config["scorer"])
        scorer.load_weights(folder / WEIGHTS)
        return cls(
            preprocessor_from_state(config["preprocessor"]),
            scorer,
            config["score"],
            config["threshold"],
            config["threshold_rule"],
            config["metadata"],
        )
