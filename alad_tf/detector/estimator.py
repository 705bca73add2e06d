"""ALADDetector: a scikit-learn outlier estimator for tables and images."""

import os
import tempfile
from numbers import Integral, Real
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from rich.console import Console
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from alad_tf.detector.backbone import IMAGENET, PIXELS
from alad_tf.detector.defaults import rules_for
from alad_tf.detector.detector import Detector, judged
from alad_tf.detector.ensemble import (
    COMBINED,
    MOST_ROWS,
    Ensemble,
    combination_for,
    networks_count,
)
from alad_tf.detector.history import History
from alad_tf.detector.members import train_members
from alad_tf.detector.pictures import (
    NETWORK,
    check_records_of_pictures,
    fit_pictures,
    uses_network,
)
from alad_tf.detector.threshold import (
    Threshold,
    by_contamination,
    by_false_alarms,
    by_labels,
    require_both,
    require_enough,
)
from alad_tf.detector.validation import anomaly_labels, check_records, is_images, take_rows
from alad_tf.engine.progress import counted
from alad_tf.engine.session import own_settings
from alad_tf.model.scorer import Scorer
from alad_tf.preprocess.base import SCALINGS
from alad_tf.preprocess.fitting import for_records
from alad_tf.preprocess.mixed import NEW_GAPS

MEMBERS = 3  # whose scores are averaged
FALSE_ALARMS = 0.01  # of normal rows, where there are enough calibration rows to tell
MANY_ROWS, MOST_HELD_OUT = 1000, 2000
KEEP = {True: "rows", False: "none", "centroids": "centroids"}


class ALADDetector(OutlierMixin, BaseEstimator):
    """Find rows or images that are unlike those it was fitted on.

    `fit` takes rows of which most should be normal. On tables the default score uses distances to
    these rows, not the networks, which only train briefly for the paper's scores and for
    reconstructions. On images the score comes from the networks, unless `features` is a network.

    The threshold is set by calibration rows: normal rows that were not used to fit what scores
    them. For the default score of a table this is cross-calibration: each fifth of the rows is
    scored by a fit to the other four fifths, so that no row is lost
    (`alad_tf.detector.ensemble.Ensemble.cross_scores`). For scores of networks, some rows are held
    out of training instead: a fifth if there are fewer than 1,000 rows, else a third, but at most
    2,000. Tables of 6,096 rows or more have 2,000 held out for the default score, too, since no
    more than 4,096 are kept.

    Columns may be numbers, bools, text, categories, dates or durations, and may have missing
    values. Images are uint8, with even sides of at least 8 pixels, or of any size if `features` is
    a network.

    A record is flagged, with the largest float32 number as its score and the smallest possible
    p-value, if it has a missing value in a column that had none in `fit`, a new category in a
    column where none are expected (see `alad_tf.preprocess.MixedPreprocessor`), or a number too
    extreme to be scored.

    Signs: `anomaly_score` is the paper's, higher is more anomalous. As in scikit-learn,
    `score_samples` is its negative, and `decision_function` is negative where `predict` returns -1.

    Args:
        score_name: str, the score that decides: "combined" (see
            `alad_tf.detector.ensemble.Ensemble`), or one of the paper's, "features", "l1", "l2" or
            "logits". (In scikit-learn `score` is a method.)
        n_members: int, the number of ALADs to train, from different seeds; their scores are
            averaged. Default: 3; for "combined", 1 for tables (3 if `keep_rows` is False) and none
            if `features` is a network.
        contamination: "auto"; or float in (0, 0.5], the share of anomalies among the training rows.
            Then that share of them is flagged and there are no p-values, unless `fit` takes
            `validation_data`. With `keep_rows=True`, the combined score of a table also allows for
            anomalies among the rows that it measures distances to.
        false_alarms: float in (0, 1), the false-alarm rate: the share of normal rows that may be
            flagged. Used unless `contamination` or labels set the threshold. Default: 0.01, or
            1 / (calibration rows + 1) if that is higher.
        calibration: float in (0, 1), the share of the rows to hold out as calibration rows.
            Default: the rule above.
        scaling: "standard", "minmax" or "none", for numeric columns.
        missing: what a missing value does in a column that had none in `fit`: "flag" its record, or
            "refuse" the input with a ValueError.
        keep_rows: bool or "centroids", what the fitted detector, its files and its exports contain
            of the training rows. True: up to 4,096 of them, for the distances in the score. False:
            none; "combined" then uses no distances to neighbours. "centroids": up to 256 centres of
            k-means clusters. See `alad_tf.detector.ensemble.Ensemble`. If `features` is a network,
            features are kept instead of rows. True: those of up to 1,000 positions of each of two
            maps ("rows" in `feature_options`) and of up to 1,000 whole images. "centroids": up to
            256 centres of each.
        columns: dict or None, the kinds of columns by name (or by position, if they have no names):
            "number", "category", "date", "duration", "hash" or "ignore"; see
            `alad_tf.preprocess.MixedPreprocessor`. Other columns' kinds are inferred from the data.
            `columns_` shows the result.
        hidden: int, units of each hidden layer (filters, for images); or, for tables, a sequence
            with the units of each layer, such as (128, 64). Default: see `latent_dim`.
        latent_dim, batch_size, steps, learning_rate: numbers. Default, as for `hidden`: the rules
            of `alad_tf.detector.defaults.rules_for`, which depend only on the data's shape and
            length.
        warm_start: bool, whether `fit` trains the existing members for `steps` more steps instead
            of starting again.
        random_state: int, `numpy.random.RandomState` or None, the seed of weights, noise, shuffling
            and the choice of calibration rows.
        checkpoint: str or None, a folder for checkpoints: if the process is killed, the same `fit`
            continues from there. The folder can be deleted afterwards.
        verbose: bool, whether to show progress on standard error.
        features: for images, what scores are computed from. None or "pixels": the pixels, by ALADs
            trained from scratch. "imagenet": the features of EfficientNetV2-B0, whose weights Keras
            downloads once (24 MB). A `keras.Model`: the features of your own network, functional or
            Sequential, which takes float32 images from 0 to 255. With features, images are uint8 of
            any size and are resized, `explain` returns heat maps, and "combined" uses distances
            between features (see `alad_tf.detector.patches.PatchScorer`). Nothing is trained unless
            `n_members` or another `score_name` asks for ALADs on features. For tables: None.
        feature_options: dict or None, options of a network's features: "layers", "neighbourhood",
            "rows", "weights" and "keep_aspect"; see `alad_tf.detector.patches.FeatureOptions`.

    Attributes:
        detector_: `alad_tf.Detector`, which `save` writes: preprocessing, scorer and threshold.
        rules_: `alad_tf.detector.defaults.Rules`, the networks and hyper-parameters that were
            chosen; absent after `load`, and if `features` is a network and no ALAD is trained.
        offset_: float; `decision_function` is `score_samples` minus this.
        n_iter_: int, the number of training steps of a member.
        history_: dict of lists, as in Keras: "step" and the losses of each block of 100 training
            steps, averaged over the members; absent after `load`.
        n_features_in_: int, the number of columns (or of values of an image).
        feature_names_in_: object array, the names of the columns, if they have names.
        columns_: `pandas.DataFrame`, for tables only: for each "column" its "kind", the number of
            "features" it becomes, and the "reason".

    Raises:
        ValueError: from `fit`, before any training, if it cannot use the rows or the arguments.
        FloatingPointError: from `fit`, if the training diverges.

    Example:
        >>> rows = np.random.default_rng(0).normal(size=(300, 4))
        >>> detector = ALADDetector(steps=20, n_members=1).fit(rows)
        >>> new = [[0.0, 0.0, 0.0, 0.0], [50.0, -50.0, 50.0, -50.0]]
        >>> detector.predict(new).tolist(), (detector.decision_function(new) < 0).tolist()
        ([1, -1], [False, True])
        >>> bool((detector.score_samples(new) == -detector.anomaly_score(new)).all())
        True
        >>> sorted(detector.scores(new)), detector.p_value(new).shape
        (['combined', 'features', 'l1', 'l2', 'logits'], (2,))
        >>> sorted(detector.reconstruct(new)), len(detector.explain(new).top(1, 2))
        (['x0', 'x1', 'x2', 'x3'], 2)
        >>> import tempfile
        >>> loaded = ALADDetector.load(detector.save(tempfile.mkdtemp() + "/detector"))
        >>> bool((loaded.p_value(new) == detector.p_value(new)).all())
        True

    Source: ALAD, Algorithm 1; the default hyper-parameters, the combined score and the thresholds
    are this project's.
    """

    def __init__(
        self,
        score_name="combined",
        n_members=None,
        contamination="auto",
        false_alarms=None,
        calibration=None,
        scaling="standard",
        hidden=None,
        latent_dim=None,
        batch_size=None,
        steps=None,
        learning_rate=None,
        warm_start=False,
        random_state=0,
        checkpoint=None,
        verbose=False,
        missing="flag",
        keep_rows=True,
        columns=None,
        features=None,
        feature_options=None,
    ):
        self.score_name = score_name
        self.n_members = n_members
        self.contamination = contamination
        self.false_alarms = false_alarms
        self.calibration = calibration
        self.scaling = scaling
        self.hidden = hidden
        self.latent_dim = latent_dim
        self.batch_size = batch_size
        self.steps = steps
        self.learning_rate = learning_rate
        self.warm_start = warm_start
        self.random_state = random_state
        self.checkpoint = checkpoint
        self.verbose = verbose
        self.missing = missing
        self.keep_rows = keep_rows
        self.columns = columns
        self.features = features
        self.feature_options = feature_options

    _parameter_constraints = {
        "score_name": [StrOptions(set(Ensemble.score_names))],
        "n_members": [None, Interval(Integral, 1, None, closed="left")],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
        "false_alarms": [None, Interval(Real, 0, 1, closed="neither")],
        "calibration": [None, Interval(Real, 0, 1, closed="neither")],
        "scaling": [StrOptions(set(SCALINGS))],
        "hidden": [None, Interval(Integral, 1, None, closed="left"), "array-like"],
        "latent_dim": [None, Interval(Integral, 1, None, closed="left")],
        "batch_size": [None, Interval(Integral, 1, None, closed="left")],
        "steps": [None, Interval(Integral, 1, None, closed="left")],
        "learning_rate": [None, Interval(Real, 0, None, closed="neither")],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "checkpoint": [None, str, os.PathLike],
        "verbose": ["verbose"],
        "missing": [StrOptions(set(NEW_GAPS))],
        "keep_rows": ["boolean", StrOptions({"centroids"})],
        "columns": [None, dict],
        "features": [None, StrOptions({PIXELS, IMAGENET}), keras.Model],
        "feature_options": [None, dict],
    }

    # -------------------------------------------------------------------- fit

    @own_settings
    def fit(self, X, y=None, validation_data=None, callbacks=()):
        """Learn what normal rows look like.

        Args:
            X: array-like (N, d), a table with named columns, or images; see
                `alad_tf.detector.validation.check_records`. At least two rows. A
                `tf.data.Dataset` of them is read into memory.
            y: ignored, None.
            validation_data: rows like X that are not trained on. With labels, `(X_val, y_val)` (see
                `alad_tf.detector.validation.anomaly_labels`), they set the threshold with the best
                F1. Normal rows alone, `X_val` or `(X_val, None)`, are the calibration rows, and
                none are held out. Either way, `contamination` does not set the threshold.
            callbacks: sequence of `keras.callbacks.Callback`; see
                `alad_tf.detector.history.History`. For them, an epoch is 100 training steps.

        Returns:
            the estimator.

        Raises:
            ValueError: if it cannot use the rows, labels or arguments.
            FloatingPointError: if the training diverges.
        """
        self._validate_params()
        history = History(callbacks)
        x = self._checked(X, reset=True)
        generator = np.random.default_rng(
            check_random_state(self.random_state).randint(2**31, dtype=np.int64)
        )
        train, held_out, labels = self._split(x, validation_data, generator)
        seed = int(generator.integers(2**31 - 1))
        if uses_network(self.features):
            keep, crossed = KEEP[self.keep_rows], None
            preprocessor, scorer, models = fit_pictures(self, train, seed, keep, history)
        elif self.feature_options:
            raise ValueError(
                f"received feature_options={self.feature_options!r} without a network in "
                "`features`, to which they apply. Set `features`, or leave the options out."
            )
        else:
            fitted = self._fit_rows(x, train, held_out, seed, history)
            preprocessor, scorer, models, crossed = fitted
        self._models = models
        self.detector_ = Detector(preprocessor, scorer, self.score_name)
        if crossed is not None:
            threshold = self._by_false_alarms(crossed, held_out=False)
        elif held_out is None:
            scores = self.detector_.anomaly_score(x)
            threshold = by_contamination(scores, self.contamination)
        else:
            scores = self.detector_.anomaly_score(held_out)
            threshold = (
                self._by_false_alarms(scores) if labels is None else by_labels(scores, labels)
            )
        self.detector_.set_threshold(threshold)
        self.n_iter_ = int(models[0].step.value) if models else 0
        self._finish()
        return self

    def _fit_rows(self, x, train, held_out, seed, history):
        """Preprocessing, scorer, trained models and cross-calibrated scores, or None."""
        warm = self.warm_start and hasattr(self, "_models")
        if warm:
            preprocessor = self.detector_.preprocessor
        else:
            preprocessor = for_records(train, self.scaling, self.missing, x, self.columns)
        x_train = preprocessor.transform(train)
        if held_out is not None:
            preprocessor.check(held_out)  # before the training, not after it
        if not x_train[0].size:
            raise ValueError(
                "All columns are empty; expected at least one value. Check how the data was read."
            )
        self.rules_ = self._rules_for(x_train)
        models = (
            self._models if warm else self.rules_.build_members(self._members(len(x_train)), seed)
        )
        self._train(models, x_train, history, preprocessor)
        scorers = [Scorer.from_alad(model) for model in models]
        keep, contaminated = KEEP[self.keep_rows], self.contamination != "auto"
        combination = combination_for(x_train.shape[1:], len(x_train), keep, contaminated)
        scorer = Ensemble.of(scorers, x_train, seed, keep, combination)
        crossed = None
        if held_out is None and not contaminated:
            crossed = Ensemble.cross_scores(scorers, x_train, seed, keep)
            crossed = judged({COMBINED: crossed}, x_train)[COMBINED]
        return preprocessor, scorer, models, crossed

    def _split(self, x, validation_data, generator):
        """Rows that train, and others that set the threshold and their labels, each or None."""
        if validation_data is not None:
            pair = validation_data if isinstance(validation_data, tuple) else (validation_data,)
            held_out = self._checked(pair[0])
            y = pair[1] if len(pair) > 1 else None
            if y is None:
                self._require_enough(len(held_out))
                return x, held_out, None
            labels = anomaly_labels(y, len(held_out))
            require_both(labels)
            return x, held_out, labels
        if self.contamination != "auto":
            return x, None, None
        count = len(x)
        if not self.calibration and self._crosses(x):
            self._require_enough(count)
            return x, None, None
        share = self.calibration or (1 / 5 if count < MANY_ROWS else 1 / 3)
        most = count - 1 if self.calibration else min(count - 1, MOST_HELD_OUT)
        order = generator.permutation(count)
        held_out = min(max(int(share * count), 1), most)
        remedy = "Use more rows, hold out a larger share of them (`calibration` in Python)"
        self._require_enough(held_out, remedy)
        # in their own order: what is held out must not shuffle the others
        parts = np.sort(order[held_out:]), np.sort(order[:held_out])
        return *(take_rows(x, part) for part in parts), None

    def _rules_for(self, x):
        """The rules for preprocessed rows, and what the arguments say instead."""
        sizes = self.hidden, self.latent_dim, self.batch_size, self.steps, self.learning_rate
        return rules_for(x.shape[1:], len(x), *sizes)

    def _crosses(self, x):
        """Whether the threshold comes from cross-calibration."""
        many = len(x) >= MOST_ROWS + MOST_HELD_OUT
        if is_images(x) or uses_network(self.features) or self.score_name != COMBINED or many:
            return False
        combination = combination_for((x.shape[1],), len(x), KEEP[self.keep_rows])
        return not networks_count(combination["weights"])

    def _members(self, rows):
        combination = combination_for(self.rules_.x_shape, rows, KEEP[self.keep_rows])
        decide = self.score_name != COMBINED or networks_count(combination["weights"])
        return self.n_members or (MEMBERS if decide else 1)

    def _require_enough(self, rows, *remedy):
        if self.false_alarms is not None:
            require_enough(rows, self.false_alarms, *remedy)

    def _train(self, models, x_train, history, preprocessor):
        rules, console = self.rules_, Console(stderr=True) if self.verbose else None
        params = {"rules": rules, "rows": len(x_train), "members": len(models)}
        history.begin(models, rules.steps, **params, preprocessor=preprocessor)
        with counted(rules.steps * len(models), "training steps", console) as advance:
            options = (rules.batch_size, rules.steps, advance, self.checkpoint, history)
            train_members(models, x_train, *options)
        self.history_ = history.history

    def _by_false_alarms(self, scores, held_out=True):
        budget = self.false_alarms or max(FALSE_ALARMS, 1 / (len(scores) + 1))
        return by_false_alarms(scores, budget, held_out=held_out)

    # ----------------------------------------------------------------- scores

    def scores(self, X, as_frame=False):
        """All scores, by name.

        Args:
            X: N rows or images, as for `fit`.
            as_frame: bool, whether to return a DataFrame, with p-values and verdicts.

        Returns:
            dict of float32 arrays (N,) by name, higher is more anomalous. With `as_frame`, a
            `pandas.DataFrame` of these columns, "p_value" (float64, if there are calibration rows)
            and "is_anomaly" (bool); it has the index of X, if X is a pandas DataFrame.

        Example:
            >>> rows = np.random.default_rng(0).normal(size=(100, 3))
            >>> detector = ALADDetector(steps=2).fit(rows)
            >>> list(detector.scores(rows[:2], as_frame=True))[-2:]
            ['p_value', 'is_anomaly']
        """
        detector, x = self._fitted(), self._checked(X)
        scores = detector.scores(x)
        if not as_frame:
            return scores
        frame = pd.DataFrame(scores, index=X.index if isinstance(X, pd.DataFrame) else None)
        deciding = scores[detector.score]
        if len(detector.reference):
            frame["p_value"] = detector.p_values_of(deciding)
        return frame.assign(is_anomaly=detector.threshold.flags(deciding))

    def anomaly_score(self, X):
        """The score that decides, `score_name`.

        Args:
            X: N rows or images, as for `fit`.

        Returns:
            float32 array (N,), higher is more anomalous.
        """
        return self._fitted().anomaly_score(self._checked(X))

    def score_samples(self, X):
        """The negative of `anomaly_score`.

        Args:
            X: N rows or images, as for `fit`.

        Returns:
            float64 array (N,), lower is more anomalous.
        """
        detector, x = self._fitted(), self._checked(X, ordered=True)
        # To the bit what it is among others, as scikit-learn requires; `anomaly_score` of a single
        # row is quicker, and the same up to rounding.
        return -detector.scores_in_blocks(x)[detector.score].astype("float64")

    def decision_function(self, X):
        """`score_samples` minus `offset_`.

        Args:
            X: N rows or images, as for `fit`.

        Returns:
            float64 array (N,), negative for flagged rows.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """Verdicts, as numbers in scikit-learn's convention.

        Args:
            X: N rows or images, as for `fit`.

        Returns:
            int array (N,): -1 for flagged rows, 1 for the others.
        """
        return np.where(self._fitted().predict(self._checked(X, ordered=True)), -1, 1)

    def p_value(self, X):
        """The probability that a normal row scores at least as high.

        With `false_alarms=a`, `predict` is -1 where the p-value is at most a.

        Args:
            X: N rows or images, as for `fit`.

        Returns:
            float64 array (N,), in (0, 1].

        Raises:
            ValueError: if `contamination` set the threshold, so that there are no calibration rows.

        Source: `alad_tf.detector.threshold.Threshold.p_values`.
        """
        return self._fitted().p_value(self._checked(X))

    def set_threshold(self, threshold):
        """Flag rows that score at least this high, in `predict`, saved files and exports.

        Args:
            threshold: float, for the score that decides; or an
                `alad_tf.detector.threshold.Threshold`, as from `by_false_alarms` or `by_labels`,
                which also says how it was chosen. If it has no scores of calibration rows, p-values
                stay as `fit` calibrated them.

        Returns:
            the estimator.

        Raises:
            ValueError: if the threshold is not a number.

        Example:
            >>> rows = np.random.default_rng(0).normal(size=(100, 3))
            >>> detector = ALADDetector(steps=2).fit(rows)
            >>> int((detector.set_threshold(1e9).predict(rows) == -1).sum())
            0
        """
        detector = self._fitted()
        rule = getattr(threshold, "rule", "set by hand")
        reference = getattr(threshold, "reference", ())
        kept = reference if len(reference) else detector.reference
        detector.set_threshold(Threshold(threshold, rule, kept))
        self._finish()
        return self

    def sample(self, n, random_state=0):
        """Samples that G generates: what the networks consider normal, from z ~ N(0, 1).

        Args:
            n: int, how many.
            random_state: int, the seed of z.

        Returns:
            as for `reconstruct`. Tables: dict of columns (n,) by name, numbers in the columns' own
            units; images: uint8 (n, H, W, C).

        Raises:
            ValueError: if n is not positive, or `features` is a network.

        Example:
            >>> rows = np.random.default_rng(0).normal(size=(100, 3))
            >>> {k: v.shape for k, v in ALADDetector(steps=2).fit(rows).sample(5).items()}
            {'x0': (5,), 'x1': (5,), 'x2': (5,)}

        Source: ALAD, Section IV, G.
        """
        if n < 1:
            raise ValueError(f"received n={n}; expected at least 1.")
        detector = self._fitted()
        if not detector.reconstructs:
            raise ValueError(
                "A detector with a network in `features` cannot generate images. Fit it with "
                "features='pixels' instead."
            )
        x = detector.scorer.generate(int(n), int(random_state))
        x = detector.preprocessor.inverse(x)
        return x if x.ndim == 4 else detector.preprocessor.decode(x)

    def reconstruct(self, X):
        """Reconstructions G(E(x)) of rows or images, averaged over the members.

        Args:
            X: N rows or images, as for `fit`.

        Returns:
            tables: dict of columns (N,) by name, numbers in the columns' own units; images: uint8
            (N, H, W, C).

        Raises:
            ValueError: if `features` is a network, whose reconstructions are features.
        """
        detector, x = self._fitted(), self._checked(X)
        x_reconstructed = detector.reconstruct(x)
        return x_reconstructed if is_images(x) else detector.preprocessor.decode(x_reconstructed)

    def explain(self, X, score=None, steps=32):
        """Reasons for the scores, by column or pixel.

        Args:
            X: N rows or images, as for `fit`.
            score: str, the score to explain; default: the one that decides.
            steps: int, the number of points at which the gradient is taken; unused for the combined
                score of tables and of `features`, which needs no gradient.

        Returns:
            `alad_tf.detector.explain.Explanation`.

        Raises:
            ValueError: as for `alad_tf.Detector.explain`.
        """
        return self._fitted().explain(self._checked(X), score, steps)

    @property
    def columns_(self):
        """How each column is treated: see `MixedPreprocessor.column_table`."""
        return self._fitted().column_table()

    def _checked(self, X, ordered=False, reset=False):
        if uses_network(self.features):
            return check_records_of_pictures(self, X, reset)
        return check_records(self, X, reset, ordered)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        tags.input_tags.sparse = True  # densified, if they fit into memory
        tags.non_deterministic = False
        return tags

    def save(self, folder):
        """Save the fitted detector, completely or not at all; no file is a pickle.

        The folder contains up to 4,096 of the training rows, for the distances in the score, unless
        `keep_rows` says otherwise.

        Args:
            folder: str or Path; an existing detector there is replaced. `alad_tf.Detector.load` can
                load it, too.

        Returns:
            Path of the folder.

        Raises:
            FileExistsError: if the folder contains files that this program did not write.
        """
        return self._fitted().save(folder)

    @classmethod
    def load(cls, folder):
        """Load a detector that `save` wrote; scores, p-values and verdicts are the same.

        D_xz and D_zz, which no score needs, are not saved. So with `warm_start`, the first `fit` of
        a loaded detector trains new members.

        Args:
            folder: str or Path that `save` wrote.

        Returns:
            the fitted estimator.

        Raises:
            FileNotFoundError: if there is no detector in the folder.
            ValueError: if it is damaged, or if no `ALADDetector` wrote it.
        """
        detector = Detector.load(folder)
        kept = detector.metadata.get("estimator")
        if kept is None:
            raise ValueError(
                f"The detector in {folder} was not saved by an ALADDetector. Load it with "
                "alad_tf.Detector.load."
            )
        parameters = dict(kept["parameters"])
        if parameters.get("features") == NETWORK:
            parameters["features"] = detector.scorer.network
        estimator = cls(**parameters)
        estimator.detector_ = detector
        for name, value in kept["attributes"].items():
            value = np.array(value, object) if isinstance(value, list) else value
            setattr(estimator, name, value)
        estimator._finish()
        return estimator

    def export(self, directory, name=None, version=1, kind="saved_model"):
        """Export a model that takes raw rows. Raises what `alad_tf.Detector.export` raises.

        Like a saved detector, it contains up to 4,096 of the training rows; see `keep_rows`.

        Args:
            directory: str or Path; the export is `directory/name/version`.
            name: str, the model's name; default: "detector".
            version: int, at least 1.
            kind: str, "saved_model"; or "onnx" or "tflite" for a single file, which need the extra
                of that name.

        Returns:
            Path of the export: a SavedModel's folder, or the file.

        Example:
            >>> # ALADDetector().fit(table).export("served", name="orders")
        """
        return self._fitted().export(directory, name, version, kind)

    def _finish(self):
        """What follows from the detector: offset_, and what `save` keeps of the estimator."""
        # the greatest score that is not flagged: flagged means a negative decision function
        below = np.nextafter(np.float32(self.detector_.threshold.value), np.float32(-np.inf))
        self.offset_ = -float(below)
        kept = {"n_features_in_": self.n_features_in_, "n_iter_": self.n_iter_}
        if hasattr(self, "feature_names_in_"):
            kept["feature_names_in_"] = list(self.feature_names_in_)
        parameters = {**self.get_params(), "checkpoint": None}
        if not isinstance(self.random_state, (int, np.integer, type(None))):
            parameters["random_state"] = None  # a generator's state is not kept
        if isinstance(self.features, keras.Model):
            parameters["features"] = NETWORK
        if self.hidden is not None and not isinstance(self.hidden, Integral):
            parameters["hidden"] = [int(units) for units in self.hidden]
        parameters = {k: v.item() if hasattr(v, "item") else v for k, v in parameters.items()}
        self.detector_.metadata["estimator"] = {"parameters": parameters, "attributes": kept}

    def _fitted(self):
        check_is_fitted(self, "detector_")
        return self.detector_

    def __getstate__(self):
        """For pickle, joblib and copy: parameters, and the files of `save` as bytes."""
        state = dict(super().__getstate__())
        for name in ("detector_", "_models"):
            state.pop(name, None)
        if hasattr(self, "detector_"):
            with tempfile.TemporaryDirectory() as scratch:
                folder = self.detector_.save(Path(scratch) / "detector")
                state["_files"] = {p.name: p.read_bytes() for p in folder.iterdir()}
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
