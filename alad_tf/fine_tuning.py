"""Going on with a detector's model: the `ALAD` behind the scorer, built again to be trained."""

import numpy as np

from alad_tf.alad import ALAD
from alad_tf.folding import spectral_vectors
from alad_tf.scorer import Scorer


def training_config(model):
    """What an `ALAD` is built again from: a JSON-able dict.

    Args:
        model: a compiled `ALAD`.

    Returns:
        dict: "model" and "compile", its configs, and its "spectral_vectors".

    Example:
        >>> import zoo
        >>> sorted(training_config(zoo.load("breast_cancer_alad").model))
        ['compile', 'model', 'spectral_vectors']
    """
    return {
        "model": model.get_config(),
        "compile": model.get_compile_config(),
        "spectral_vectors": spectral_vectors(model),
    }


class FineTuning:
    """The part of a `Detector` that gives its model and takes it back.

    Example:
        >>> import zoo
        >>> detector = zoo.load("breast_cancer_alad")
        >>> model = detector.model  # model.fit(detector.preprocessor.transform(rows), epochs=5)
        >>> detector.adopt(model).threshold is None
        True
    """

    @property
    def model(self):
        """The compiled `ALAD` behind the scorer, for fine-tuning.

        E, G and D_xx are the scorer's: the averaged weights, normalised. D_xz and D_zz, which no
        score needs and no detector stores, start afresh from the seed. Train it on preprocessed
        rows, then hand it to `adopt`.

        Raises:
            ValueError: a detector that does not say what it was trained from.
        """
        if self._model is None:
            if self.training is None:
                raise ValueError(
                    "This detector holds a scorer and no training configuration, so that there is "
                    "no model to go on with. Make it with Detector.from_model(preprocessor, model)."
                )
            model = ALAD.from_config(self.training["model"])
            model.compile_from_config(self.training["compile"])
            self.scorer.copy_to(model, self.training["spectral_vectors"])
            self._model = model
        return self._model

    def adopt(self, model):
        """Score with a trained model's averaged weights from now on; the threshold is dropped.

        Args:
            model: a compiled `ALAD` for the same preprocessing, such as `self.model`.

        Returns:
            the detector.

        Raises:
            ValueError: a model for samples of another shape.
        """
        if model.x_shape != self.preprocessor.output_shape:
            raise ValueError(
                f"The model takes samples of shape {model.x_shape}; this detector's preprocessing "
                f"gives {self.preprocessor.output_shape}."
            )
        self.scorer, self._model = Scorer.from_alad(model), model
        self.training = training_config(model)
        self.threshold, self.threshold_rule, self.reference = None, "none", np.zeros(0, "float32")
        return self
