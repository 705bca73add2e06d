"""How a fitted estimator is kept: folders without pickles, SavedModels, and pickles themselves."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from sklearn.utils.validation import check_is_fitted

from alad_tf.detector import Detector


class KeptDetector:
    """The part of `ALADDetector` that writes and reads it.

    It expects a scikit-learn estimator whose fitted state is `detector_`, `n_features_in_`,
    `n_iter_` and, for named columns, `feature_names_in_`.
    """

    def _finish(self):
        """What follows from the detector: offset_, and what `save` keeps of the estimator."""
        # the greatest score that is not flagged: flagged means a negative decision function
        below = np.nextafter(np.float32(self.detector_.threshold), np.float32(-np.inf))
        self.offset_ = -float(below)
        kept = {"n_features_in_": self.n_features_in_, "n_iter_": self.n_iter_}
        if hasattr(self, "feature_names_in_"):
            kept["feature_names_in_"] = list(self.feature_names_in_)
        parameters = {**self.get_params(), "checkpoint": None}
        if not isinstance(self.random_state, (int, np.integer, type(None))):
            parameters["random_state"] = None  # a generator's state is not kept
        parameters = {k: v.item() if hasattr(v, "item") else v for k, v in parameters.items()}
        self.detector_.metadata["estimator"] = {"parameters": parameters, "attributes": kept}

    def _fitted(self):
        check_is_fitted(self, "detector_")
        return self.detector_

    def save(self, folder):
        """Write the fitted detector, whole or not at all; no file is a pickle.

        Args:
            folder: str or Path; an old detector there is replaced. `alad_tf.Detector.load` reads
                it, too.

        Returns:
            Path of the folder.
        """
        return self._fitted().save(folder)

    @classmethod
    def load(cls, folder):
        """Read a detector that `save` wrote: equal scores, p-values and verdicts.

        The discriminators that no score needs are not kept: with `warm_start`, a loaded detector's
        first `fit` starts afresh.

        Args:
            folder: str or Path that `save` wrote.

        Returns:
            the fitted estimator.

        Raises:
            FileNotFoundError, ValueError: no detector there, a damaged one, or one that no
                `ALADDetector` wrote.
        """
        detector = Detector.load(folder)
        kept = detector.metadata.get("estimator")
        if kept is None:
            raise ValueError(
                f"{folder} holds a detector that no ALADDetector wrote. Read it with "
                "alad_tf.Detector.load."
            )
        made = cls(**kept["parameters"])
        made.detector_ = detector
        for name, value in kept["attributes"].items():
            setattr(made, name, np.array(value, object) if isinstance(value, list) else value)
        made._finish()
        return made

    def export(self, directory, name=None, version=1, kind="saved_model"):
        """Write a SavedModel that takes raw rows; errors as for `alad_tf.Detector.export`.

        Args:
            directory: str or Path; the export is `directory/name/version`.
            name: str, the model's name; default "detector".
            version: int, at least 1.
            kind: str, "saved_model", or "onnx" or "tflite" for one file (extras of these names).

        Returns:
            Path of the export's folder.
        """
        return self._fitted().export(directory, name, version, kind)

    def __getstate__(self):
        """For pickle, joblib and copy: parameters, and the files of `save` as bytes."""
        state = dict(super().__getstate__())
        for name in ("detector_", "_models"):
            state.pop(name, None)
        if hasattr(self, "detector_"):
            scratch = Path(tempfile.mkdtemp())
            try:
                folder = self.detector_.save(scratch / "detector")
                state["_files"] = {p.name: p.read_bytes() for p in folder.iterdir()}
            finally:
                shutil.rmtree(scratch)
        return state

    def __setstate__(self, state):
        state = dict(state)
        files = state.pop("_files", None)
        super().__setstate__(state)
        if files is not None:
            with tempfile.TemporaryDirectory() as scratch:
                for name, content in files.items():
                    (Path(scratch) / name).write_bytes(content)
                self.detector_ = Detector.load(scratch)
