"""A search for hyper-parameters that needs no anomalies: keras-tuner over ALAD's rules.

Rows that are normal in every part and wrong as a whole stand in for unknown anomalies.
"""

import functools
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from alad_tf.detector.defaults import rules_for
from alad_tf.detector.ensemble import COMBINED, Ensemble
from alad_tf.detector.members import train_members
from alad_tf.engine.files import set_aside
from alad_tf.engine.session import own_settings
from alad_tf.engine.state_file import identity_of
from alad_tf.model.scorer import Scorer

try:
    import keras_tuner
except ImportError as error:  # an extra
    raise ImportError("Tuning needs keras-tuner: pip install 'alad-tf[tune]'.") from error


SHARE = 1 / 4  # of a row's columns, or of an image's height and width
OBJECTIVE = "corruption_auroc"
HELD_OUT = 1 / 5  # of the rows, on which trials are not trained


def corrupt(x, generator, share=SHARE):
    """Replace parts of normal samples by parts of others: float32 array of x's shape.

    Tables: in each row, a random quarter of the columns get another row's values, so that each
    value is normal but their combination is not. Images: a rectangle of another image is pasted at
    another place; `share` is the ratio of its sides to the image's.

    Source: Vincent et al., JMLR 2010, for swapped values as noise; Li et al., "CutPaste", CVPR
    2021, for images.
    """
    if len(x) < 2:
        raise ValueError(
            f"received {len(x)} sample(s) to corrupt; expected at least 2, since parts are "
            "swapped between them."
        )
    count = len(x)
    others = (np.arange(count) + generator.integers(1, count, count)) % count
    corrupted = np.array(x, "float32")
    if x.ndim == 2:
        columns = x.shape[1]
        replaced = max(1, round(share * columns))
        order = generator.random((count, columns)).argsort(1)[:, :replaced]
        rows = np.arange(count)[:, None]
        corrupted[rows, order] = x[others[:, None], order]
        return corrupted
    height, width = (max(1, round(share * side)) for side in x.shape[1:3])
    for row, other in enumerate(others):
        top, below = generator.integers(0, x.shape[1] - height + 1, 2)
        left, right = generator.integers(0, x.shape[2] - width + 1, 2)
        piece = x[other, below : below + height, right : right + width]
        corrupted[row, top : top + height, left : left + width] = piece
    return corrupted


@dataclass(frozen=True, eq=False)
class TuningData:
    """Training rows of all trials, held-out rows, and corrupted copies of these.

    Attributes:
        train, normal, corrupted: float32 arrays, preprocessed; the last two have the same shape.
    """

    train: np.ndarray = field(repr=False)
    normal: np.ndarray = field(repr=False)
    corrupted: np.ndarray = field(repr=False)

    @classmethod
    def split(cls, x, seed):
        """Hold out a fifth of N >= 10 preprocessed normal samples (N, ...), and corrupt copies."""
        if len(x) < 10:
            raise ValueError(f"received {len(x)} rows to tune on; expected at least ten.")
        generator = np.random.default_rng(seed)
        order, held_out = generator.permutation(len(x)), round(HELD_OUT * len(x))
        normal = np.asarray(x[np.sort(order[:held_out])], "float32")
        train = np.asarray(x[np.sort(order[held_out:])], "float32")
        return cls(train, normal, corrupt(normal, generator))

    def criterion(self, scorer, score_name):
        """AUROC of a scorer's `score_name` on the held-out rows and their corrupted copies.

        The held-out rows' mean score would not do, since its unit depends on the network: it is
        lowest for a network that reconstructs all rows, even anomalous ones, and 0 for constant
        features. Here, as in use, normal rows must score lower than others.
        """
        return area(scorer.scores(np.concatenate([self.normal, self.corrupted]))[score_name])

    def hypermodel(self, score_name=None, seed=0):
        """The space that `search` searches."""
        return ALADHyperModel(self, score_name, seed)

    def arguments(self, values):
        """The arguments of `ALADDetector` that a trial's values stand for."""
        return dict(values)

    def identity(self, score_name, seed):
        """A text that identifies rows, score and seed."""
        return identity_of(
            self.train.shape, self.train, self.normal, self.corrupted, score_name, seed
        )


def area(scores):
    """The AUROC of scores; the second half are those of corrupted samples."""
    return float(roc_auc_score(np.repeat([0, 1], len(scores) // 2), scores))


def score_to_tune(x_shape, score_name=None):
    """The score by which trials are ranked; ValueError for one that uses no network."""
    table = len(x_shape) == 1
    if score_name is None:
        return "features" if table else COMBINED
    if table and score_name == COMBINED:
        raise ValueError(
            "received the score 'combined' for a table, where it uses distances to the rows "
            "and no network, so that there is nothing to tune. Tune 'features', 'l1', 'l2' "
            "or 'logits', or fit without tuning."
        )
    return score_name


class ALADHyperModel(keras_tuner.HyperModel):
    """ALAD's rules as a space to search, for any tuner of keras-tuner.

    Args:
        data: `TuningData`.
        score_name: str, the score that should rank corrupted rows above normal ones. Default:
            "combined" for images, "features" for tables.
        seed: int, the seed of weights, noise and shuffling, the same in all trials.

    Example:
        >>> # tuner = keras_tuner.RandomSearch(ALADHyperModel(data),
        >>> #     keras_tuner.Objective("corruption_auroc", "max"), max_trials=20)
        >>> # tuner.search()  # which calls `fit`

    Source: the criterion is this project's; `benchmarks/criterion.py` measures what it is worth.
    """

    def __init__(self, data, score_name=None, seed=0):
        super().__init__()
        self.data, self.seed = data, int(seed)
        self.score_name = score_to_tune(data.train.shape[1:], score_name)

    def rules(self, hp):
        """The `Rules` of a trial: what it chooses, and the defaults for the rest."""
        shape, rows = self.data.train.shape[1:], len(self.data.train)
        default = rules_for(shape, rows)
        image = len(shape) == 3
        width = 64 if image else shape[0]
        latent = sorted({min(max(round(width * part), 1), 128) for part in (1 / 4, 1 / 2, 3 / 4)})
        hidden = (16, 32, 64) if image else (32, 64, 128, 256)
        steps = sorted({round(default.steps * part) for part in (1 / 2, 1, 2)})
        return rules_for(
            shape,
            rows,
            hidden=hp.Choice("hidden", hidden, default=hidden[1] if image else 128),
            latent_dim=hp.Choice("latent_dim", latent, default=latent[len(latent) // 2]),
            steps=hp.Choice("steps", steps, default=steps[len(steps) // 2]),
            learning_rate=hp.Float(
                "learning_rate", 1e-4, 3e-3, sampling="log", default=default.learning_rate
            ),
        )

    def build(self, hp):
        """A trial's compiled, untrained `ALAD`."""
        return self.rules(hp).build(self.seed)

    def fit(self, hp, model, *args, **kwargs):
        """Train a trial's model; arguments that tuners pass to Keras's `fit` are ignored.

        Returns:
            dict: "corruption_auroc", 0 if the training diverged.
        """
        rules, data = self.rules(hp), self.data
        try:
            train_members([model], data.train, rules.batch_size, rules.steps)
        except FloatingPointError:
            return {OBJECTIVE: 0.0}
        scorer = Ensemble.of([Scorer.from_alad(model)], data.train, self.seed)
        return {OBJECTIVE: data.criterion(scorer, self.score_name)}


@own_settings
def search(data, folder, trials=20, score_name=None, seed=0, report=None):
    """Search by Bayesian optimisation; after an interruption, the same call continues.

    Every trial is saved. Trials of other data, scores or seeds are in other folders and are not
    used.

    Args:
        data: `TuningData`, or `alad_tf.detector.tuning_features.FeatureTuningData`.
        folder: str or Path of the trials' folder, created if necessary; several searches may share
            it.
        trials: int, the number of trials, including earlier ones.
        score_name, seed: as for `ALADHyperModel`.
        report: function of a finished trial's number, values and criterion; None for none.

    Returns:
        list of `(values, criterion)`, dicts and floats, best first.

    Example:
        >>> # best, criterion = search(TuningData.split(x, 0), "tuning", trials=10)[0]
        >>> # ALADDetector(**best).fit(rows)
    """
    if trials < 1:
        raise ValueError(f"received trials={trials}; expected at least 1.")
    hypermodel = data.hypermodel(score_name, seed)
    name = f"trials_{data.identity(hypermodel.score_name, seed)[:16]}"
    make = functools.partial(
        _Tuner,
        hypermodel,
        objective=keras_tuner.Objective(OBJECTIVE, "max"),
        max_trials=trials,
        num_initial_points=min(5, trials),
        seed=seed,
        directory=str(folder),
        project_name=name,
        overwrite=False,
    )
    try:
        tuner = make()
    except Exception as error:  # a damaged trial can make keras-tuner raise anything
        if not (Path(folder) / name).is_dir():
            raise
        set_aside(Path(folder) / name, repr(error))
        tuner = make()
    tuner.report = report
    tuner.search(verbose=0)
    found = tuner.oracle.get_best_trials(trials)
    return [(dict(trial.hyperparameters.values), float(trial.score)) for trial in found]


class _Tuner(keras_tuner.BayesianOptimization):
    """Reports trials as they end; keeps no checkpoints, since a trial is trained again anyway."""

    report = None

    def run_trial(self, trial, *args, **kwargs):
        values = trial.hyperparameters
        model = self.hypermodel.build(values)
        return self.hypermodel.fit(values, model)

    def on_trial_end(self, trial):
        super().on_trial_end(trial)
        if self.report is not None:
            done = len([t for t in self.oracle.trials.values() if t.score is not None])
            self.report(done, dict(trial.hyperparameters.values), float(trial.score))
