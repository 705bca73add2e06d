"""The fitted artefact: preprocessing, scorer and threshold, saved and loaded together.

A detector of an `ALAD` also gives its model back, to go on training.
"""

from pathlib import Path

import numpy as np

from alad_tf.baselines import baseline_class
from alad_tf.detector.ensemble import Ensemble
from alad_tf.detector.patches import PatchScorer
from alad_tf.detector.single import Single, is_one, undecided
from alad_tf.detector.threshold import LARGEST, Threshold
from alad_tf.engine.session import own_settings
from alad_tf.engine.weights import CONFIG, blaming, read_config, read_scorer, write_scorer
from alad_tf.model.alad import ALAD
from alad_tf.model.scorer import Scorer, spectral_vectors
from alad_tf.model.scores import check_score
from alad_tf.preprocess import preprocessor_from_state
from alad_tf.preprocess.base import FAR


def training_config(model):
    """A dict that JSON can represent, from which a compiled `ALAD` can be rebuilt."""
    return {
        "model": model.get_config(),
        "compile": model.get_compile_config(),
        "spectral_vectors": spectral_vectors(model),
    }


def judged(scores, x):
    """Scores of preprocessed samples `x`; those of records that are too extreme become `LARGEST`.

    A record is too extreme if preprocessing set a value to `FAR` (a number beyond it, or a missing
    value in a column that had none in training), or if a score overflowed. It is flagged, and its
    p-value is the smallest possible.
    """
    near = np.ones(len(x), bool)
    if x.ndim == 2:  # images have no such values
        near = (np.abs(x) < np.float32(FAR)).all(1)
    return {k: np.where(near & np.isfinite(v), v, LARGEST) for k, v in scores.items()}


class Detector:
    """Raw records in, anomaly scores and verdicts out.

    A record's scores, p-value and verdict depend on that record alone, not on the batch that it is
    in. Scores are bit-identical in every batch, except that a single record is scored by its own
    program, whose scores may differ by rounding.

    Scores are always finite. A record is flagged, with the largest float32 number as its score, if
    it has a number too extreme to be scored, a missing value in a column that had none in training,
    or, in tables of `ALADDetector`, a new category in a column where none are expected.

    Args:
        preprocessor: a fitted preprocessor of `alad_tf.preprocess`.
        scorer: `Scorer`, a baseline of `alad_tf.baselines`, or what an `ALADDetector` fits.
        score: str, the score that thresholds, p-values and verdicts use: "features" (the paper's
            A(x)), "l1", "l2", "logits"; for an `ALADDetector`'s scorer also "combined"; a baseline
            has others. Default: the scorer's own.
        threshold: `alad_tf.detector.threshold.Threshold` for that score; None until it is set.
        metadata: dict that JSON can represent, saved with the detector (entry, seed, metrics).
        training: dict that `model` is rebuilt from: "model" and "compile", the configs of the
            `ALAD` that the scorer came from, and its "spectral_vectors"; None if unknown.

    Raises:
        ValueError: an unknown score name.

    Example:
        >>> import tempfile, zoo
        >>> from alad_tf.detector.threshold import by_false_alarms
        >>> detector, records = zoo.load("breast_cancer_alad"), np.full((3, 30), 9.0)
        >>> score = detector.anomaly_score(records)
        >>> bool((score == detector.scores(records)["features"]).all())
        True
        >>> bool((detector.p_value(records) == detector.p_values_of(score)).all())
        True
        >>> detector.reconstruct(records).shape, detector.explain(records).top(0, 1)[0]["column"]
        ((3, 30), 'smoothness error')
        >>> other = Detector.from_model(detector.preprocessor, detector.model)
        >>> other.set_threshold(by_false_alarms(np.arange(99.0), 0.05)).threshold.value > 94
        True
        >>> other.threshold_rule, len(other.reference)
        ('flags at most 5% of normal rows on average', 99)
        >>> loaded = Detector.load(detector.save(tempfile.mkdtemp() + "/detector"))
        >>> loaded.predict(records).tolist()
        [True, True, True]

    Source: ALAD, Algorithm 1.
    """

    def __init__(
        self,
        preprocessor,
        scorer,
        score=None,
        threshold=None,
        metadata=None,
        training=None,
    ):
        self.preprocessor = preprocessor
        self.scorer = scorer
        self.score = check_score(score or scorer.score, scorer.score_names)
        self.threshold = threshold
        self.metadata = dict(metadata or {})
        self.training = training
        self._model = self._single = None

    @classmethod
    @own_settings
    def from_model(cls, preprocessor, model, **kwargs):
        """Make a detector from a compiled, trained `ALAD` or a fitted baseline.

        Args:
            preprocessor: the fitted preprocessor of `alad_tf.preprocess` whose output the model was
                trained on.
            model: a compiled `ALAD`, or a baseline of `alad_tf.baselines`.
            **kwargs: the other arguments of `Detector`.

        Returns:
            `Detector`.
        """
        if not isinstance(model, ALAD):  # a baseline scores by itself
            return cls(preprocessor, getattr(model, "scorer", model), **kwargs)
        return cls(preprocessor, Scorer.from_alad(model), training=training_config(model), **kwargs)

    def scores(self, x):
        """All scores of raw records.

        Args:
            x: what the preprocessor takes: float array (N, d), a dict or DataFrame of columns, or
                images.

        Returns:
            dict of float32 arrays (N,): "features", "l1", "l2", "logits", for an
            `ALADDetector`'s scorer also "combined"; or a baseline's. Higher is more anomalous.

        Raises:
            ValueError: if a column is missing, the number of columns is wrong, there are no rows, a
                number is infinite, or one is NaN and the preprocessing takes no missing values.
        """
        if Single.takes(self.scorer) and is_one(x):
            found = self._scores_of_one(x)
            if found is not None:
                return found
        return self.scores_in_blocks(x)

    def scores_in_blocks(self, x):
        """As `scores`, but bit-identical even for a single record.

        Args:
            x: as for `scores`.

        Returns:
            dict of float32 arrays (N,), as from `scores`.

        Raises:
            ValueError: as for `scores`.

        Example:
            >>> import zoo
            >>> sorted(zoo.load("breast_cancer_alad").scores_in_blocks(np.full((1, 30), 9.0)))
            ['features', 'l1', 'l2', 'logits']
        """
        parts = getattr(self.preprocessor, "parts", None)
        if parts is None:
            return self.scores_of(self.preprocessor.transform(x))
        found = [self.scores_of(part) for part in parts(x)]
        return {name: np.concatenate([one[name] for one in found]) for name in found[0]}

    def _scores_of_one(self, x):
        """The scores of a single record; None for several, or if they might decide otherwise."""
        single = self._single
        if single is None or not single.is_of(self.preprocessor, self.scorer):
            single = self._single = Single(self.preprocessor, self.scorer)
        alone = single.scores(x)
        if alone is None:
            return None
        found, sample = alone
        if undecided(self.threshold, found[self.score][0]):
            return None
        return judged(found, sample)

    @own_settings
    def scores_of(self, x):
        """The scores of preprocessed samples.

        Args:
            x: float32 array (N, ...), the result of the preprocessor's `transform`.

        Returns:
            dict of float32 arrays (N,), as from `scores`.

        Example:
            >>> import zoo
            >>> detector = zoo.load("breast_cancer_alad")
            >>> sorted(detector.scores_of(np.zeros((2, 30), "float32")))
            ['features', 'l1', 'l2', 'logits']
        """
        return judged(self.scorer.scores(x), x)

    def anomaly_score(self, x):
        """The score that decides, of raw records.

        Args:
            x: as for `scores`.

        Returns:
            float32 array (N,), higher is more anomalous.
        """
        return self.scores(x)[self.score]

    @own_settings
    def reconstruct(self, x):
        """The reconstruction x' = G(E(x)) of raw records, or a baseline's own reconstruction.

        Args:
            x: as for `scores`.

        Returns:
            tables: float32 (N, d) in preprocessed space; images: uint8 (N, H, W, C).

        Raises:
            ValueError: if the method has no reconstructions.
        """
        if not self.reconstructs:
            raise ValueError(
                f"{self.scorer.method} has no reconstructions, only scores. `reconstructs` says "
                "whether a detector has them."
            )
        reconstruction = self.scorer.reconstruct(self.preprocessor.transform(x))
        return self.preprocessor.inverse(reconstruction)

    @property
    def reconstructs(self):
        """Whether the method reconstructs samples."""
        return getattr(self.scorer, "reconstructs", hasattr(self.scorer, "reconstruct"))

    def set_threshold(self, threshold):
        """Set the threshold; records that score at least as high are flagged.

        Args:
            threshold: `alad_tf.detector.threshold.Threshold` for the score that decides.

        Returns:
            the detector.
        """
        self.threshold = threshold
        return self

    @property
    def threshold_rule(self):
        """How the threshold was set: str; "none" if there is no threshold."""
        return "none" if self.threshold is None else self.threshold.rule

    @property
    def reference(self):
        """Sorted scores of the calibration rows, for `p_value`: float32 array (n,)."""
        return np.zeros(0, "float32") if self.threshold is None else self.threshold.reference

    def p_value(self, x):
        """The probability that a normal record scores at least as high.

        Args:
            x: as for `scores`.

        Returns:
            float64 array (N,), in (0, 1].

        Raises:
            ValueError: if there is no threshold, or it was not set from calibration rows.

        Source: `alad_tf.detector.threshold.Threshold.p_values`.
        """
        return self.p_values_of(self.anomaly_score(x))

    def p_values_of(self, scores):
        """The p-values of scores. Raises what `p_value` raises.

        Args:
            scores: float array (N,), as from `anomaly_score`.

        Returns:
            float64 array (N,), in (0, 1].
        """
        return self._required_threshold().p_values(scores)

    def predict(self, x):
        """Whether raw records are anomalous.

        Args:
            x: as for `scores`.

        Returns:
            bool array (N,).

        Raises:
            ValueError: if the detector has no threshold.
        """
        return self._required_threshold().flags(self.anomaly_score(x))

    def column_table(self):
        """How each column of a table is treated, as decided when the preprocessing was fitted.

        Returns:
            `pandas.DataFrame`, as from `alad_tf.preprocess.MixedPreprocessor.column_table`.

        Raises:
            AttributeError: if the preprocessing decides nothing: for images, and for the zoo's
                tables.

        Example:
            >>> from alad_tf import ALADDetector
            >>> rows = np.random.default_rng(0).normal(size=(100, 2))
            >>> list(ALADDetector(steps=2).fit(rows).detector_.column_table()["kind"])
            ['number', 'number']
        """
        return self.preprocessor.column_table()

    def _required_threshold(self):
        if self.threshold is None:
            raise ValueError(
                "This detector has no threshold. Set one from held-out normal records: "
                "detector.set_threshold(by_false_alarms(detector.anomaly_score(held_out), "
                "0.01)), with by_false_alarms from alad_tf.detector."
            )
        return self.threshold

    @own_settings
    def explain(self, x, score=None, steps=32):
        """Reasons for the scores of raw records, and expected values.

        The combined score of a table is explained by how far it falls when suspicious columns get
        their expected values; the combined score of image features, by distances; all other scores,
        by integrated gradients.

        Args:
            x: as for `scores`.
            score: str, the score to explain; default: the one that decides.
            steps: int, the number of points at which the gradient is taken, where there is one.

        Returns:
            `alad_tf.detector.explain.Explanation`: attributions by column or pixel, observed and
            expected values.

        Raises:
            ValueError: if the score is unknown, the method has no gradients (alad, dsebm and dagmm
                have them), the detector uses features of images and the score is not "combined",
                `steps` is below 1, or the preprocessor refuses the records.

        Source: `alad_tf.detector.explain.explain`.
        """
        from alad_tf.detector.explain import explain
        from alad_tf.detector.pictures import explain_pictures

        if isinstance(self.scorer, PatchScorer):
            return explain_pictures(self, x, score)
        return explain(self, x, score, steps)

    @property
    @own_settings
    def model(self):
        """The compiled `ALAD` behind the scorer, for fine-tuning.

        E, G and D_xx have the scorer's weights: averaged and normalised. D_xz and D_zz, which no
        score needs and no detector stores, are initialised again from the seed. Train the model on
        preprocessed rows, then pass it to `adopt`.

        Raises:
            ValueError: if the detector does not contain what its model is rebuilt from.
        """
        if self._model is None:
            if self.training is None:
                raise ValueError(
                    "This detector has a scorer but no model to train. Make one with a model: "
                    "Detector.from_model(preprocessor, model)."
                )
            model = ALAD.from_config(self.training["model"])
            model.compile_from_config(self.training["compile"])
            self.scorer.copy_to(model, self.training["spectral_vectors"])
            self._model = model
        return self._model

    @own_settings
    def adopt(self, model):
        """Score with a trained model's averaged weights from now on; the threshold is removed.

        Args:
            model: a compiled `ALAD` for the same preprocessing, such as `self.model`.

        Returns:
            the detector.

        Raises:
            ValueError: if the model takes samples of another shape.

        Example:
            >>> import zoo
            >>> detector = zoo.load("breast_cancer_alad")
            >>> model = detector.model  # model.fit(detector.preprocessor.transform(rows), epochs=5)
            >>> detector.adopt(model).threshold is None
            True
        """
        if model.x_shape != self.preprocessor.output_shape:
            raise ValueError(
                f"received a model for samples of shape {model.x_shape}; expected "
                f"{self.preprocessor.output_shape}, the shape that this detector's "
                "preprocessing returns."
            )
        self.scorer, self._model = Scorer.from_alad(model), model
        self.training = training_config(model)
        self.threshold = None
        return self

    @own_settings
    def save(self, folder, dtype="float32"):
        """Save the detector, completely or not at all: config.json and the scorer's weights.

        The folder contains what scoring needs. For an `ALADDetector` this includes up to 4,096 of
        its training rows (see its `keep_rows`), and for a one-class SVM the support vectors, which
        are training rows as well. Detectors of the paper's models contain no training rows.

        Args:
            folder: str or Path; an existing detector there is replaced.
            dtype: "float32"; or "float16" or "int8", which store large arrays of weights in
                fewer bits, in a half or a quarter of the space.

        Returns:
            Path of the folder.

        Raises:
            ValueError: if the dtype is unknown, or a weight is beyond its range.
            FileExistsError: if the folder contains files that this program did not write.
        """
        return write_scorer(
            folder,
            self.scorer,
            dtype,
            preprocessor=self.preprocessor.state(),
            score=self.score,
            threshold=None if self.threshold is None else self.threshold.value,
            threshold_rule=self.threshold_rule,
            reference=self.reference.tolist(),
            metadata=self.metadata,
            training=self.training,
        )

    @own_settings
    def export(self, directory, name=None, version=1, kind="saved_model"):
        """Export a model that takes raw records and does not need this package.

        An export contains what a saved detector contains, including training rows: see `save`.

        Args:
            directory: str or Path; the export is `directory/name/version`, as TensorFlow Serving
                expects it. An existing export of that version is replaced.
            name: str, the model's name; default: the entry's, or "detector".
            version: int, at least 1.
            kind: "saved_model"; or "onnx" or "tflite" for runtimes without TensorFlow, which need
                the extra of that name.

        Returns:
            Path of the export: a SavedModel's folder, or the file.

        Raises:
            ValueError, FileExistsError, RuntimeError: see `alad_tf.export.saved_model.export`,
                which describes the signatures, and `alad_tf.export.portable.export_portable`.

        Example:
            >>> # folder = detector.export("served", "orders")
            >>> # tf.saved_model.load(folder).signatures["serving_default"](x=rows)["score"]
        """
        from alad_tf.export.saved_model import export_version

        return export_version(self, directory, name, version, kind)

    @classmethod
    @own_settings
    def load(cls, folder):
        """Load a saved detector.

        Args:
            folder: str or Path that `save` wrote.

        Returns:
            `Detector`, with the same scores as when it was saved.

        Raises:
            FileNotFoundError: if there is no detector in the folder.
            ValueError: if a file is damaged or has another format.
        """
        config = read_config(folder, "detector")
        threshold, method = None, config.get("method", Scorer.method)
        ours = {made.method: made for made in (Scorer, Ensemble, PatchScorer)}
        with blaming(Path(folder) / CONFIG, "describe a detector"):
            if config["threshold"] is not None:
                rule, reference = config.get("threshold_rule", "none"), config.get("reference", ())
                threshold = Threshold(config["threshold"], rule, reference)
            preprocessor = preprocessor_from_state(config["preprocessor"])
            made = ours.get(method) or baseline_class(method)
        scorer = read_scorer(folder, made, config["scorer"])
        with blaming(Path(folder) / CONFIG, "describe a detector"):
            if tuple(scorer.x_shape) != tuple(preprocessor.output_shape):
                raise ValueError(
                    "its preprocessing returns samples of shape "
                    f"{preprocessor.output_shape}, but its scorer takes {scorer.x_shape}"
                )
            return cls(
                preprocessor,
                scorer,
                config["score"],
                threshold,
                config["metadata"],
                config.get("training"),
            )
