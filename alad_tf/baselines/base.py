"""The contract of the baselines: fit, scores, anomaly_score, save, load."""

import numpy as np

from alad_tf.engine.programs import check_finite
from alad_tf.engine.weights import read_config, read_scorer, write_scorer
from alad_tf.model.scorer import ScoringModel
from alad_tf.model.training import SteppedModel


class Baseline:
    """The interface of a baseline, on preprocessed samples.

    Attributes:
        method: str, the name under which `alad_tf.baselines.load` finds the class.
        score_names: tuple of str, what `scores` returns.
        score: str, the one that `anomaly_score` returns.
        console: `rich.console.Console` for the progress of what takes minutes; None: silent.
    """

    method: str
    score_names: tuple
    score: str
    console = None

    def fit(self, x):
        """Learn what normal samples look like.

        Args:
            x: float array (N, *x_shape), preprocessed, finite.

        Returns:
            the baseline itself.

        Raises:
            ValueError: if there are no rows, the shape differs, or values are not finite.
        """
        raise NotImplementedError

    def scores(self, x):
        """All scores of an array; the scores of a row depend on that row alone.

        Args:
            x: float array (N, *x_shape), preprocessed, finite.

        Returns:
            dict of float32 arrays (N,) by score name; higher is more anomalous.

        Raises:
            ValueError: if there are no rows, the shape differs, or values are not finite.
        """
        raise NotImplementedError

    def anomaly_score(self, x):
        """The score that decides: float32 array (N,), one of `scores`."""
        return self.scores(x)[self.score]

    def architecture(self):
        """The arguments of the constructor.

        Returns:
            dict that JSON can represent.

        Example:
            >>> from alad_tf.baselines import IsolationForest
            >>> IsolationForest(seed=1).architecture()
            {'seed': 1, 'x_shape': None}
        """
        raise NotImplementedError

    def write_state(self, folder, dtype="float32"):
        """Write the fitted state to a folder, without a pickle."""
        raise NotImplementedError

    def read_state(self, folder):
        """Read what `write_state` wrote; raises ValueError for a damaged file."""
        raise NotImplementedError

    def save(self, folder):
        """Save the baseline, completely or not at all; `alad_tf.baselines.load` loads it."""
        return write_scorer(folder, self)

    @classmethod
    def load(cls, folder):
        """Load a baseline of this class that `save` wrote.

        Raises:
            FileNotFoundError: if there is no baseline in the folder.
            ValueError: if it is of another method or format, or a file is damaged.
        """
        config = read_config(folder, "baseline")
        if config.get("method") != cls.method:
            raise ValueError(
                f"{folder} contains a baseline of the method {config.get('method')!r}; "
                f"{cls.__name__} loads {cls.method!r}. Use alad_tf.baselines.load for any "
                "method."
            )
        return read_scorer(folder, cls, config["scorer"])


class NeuralBaseline(ScoringModel, Baseline, SteppedModel):
    """A baseline that is a Keras model, trained by compiled steps and scored in blocks.

    A subclass builds its networks, then calls `ready`.

    Args of the constructors in common:
        x_shape: tuple of ints, the shape of one preprocessed sample. initializer, slope: as for
        `alad_tf.model.networks.Stack`. learning_rate, beta_1: floats, Adam's. batch_size, epochs:
        ints, what `fit` takes by default. seed: int, the seed of initial weights, noise, dropout
        and shuffling.
    """

    def ready(self, config, losses):
        """Create the step count and compile; `config` has the constructor's arguments."""
        self._config = {
            **config,
            "x_shape": [int(side) for side in config["x_shape"]],
            "networks": {
                name: [layer if isinstance(layer, dict) else layer.to_config() for layer in specs]
                for name, specs in config["networks"].items()
            },
        }
        self.make_blocks()
        self.make_steps(config["seed"], losses)
        self.compile(config["learning_rate"], config["beta_1"])

    def fit(self, x, batch_size=None, epochs=None, initial_epoch=0, **kwargs):
        """Train on normal samples, then call `calibrate`.

        Args:
            x: float array (N, *x_shape), preprocessed.
            batch_size, epochs: ints; default: those of the constructor. The last, incomplete batch
                of an epoch is skipped.
            initial_epoch, **kwargs: as for `keras.Model.fit`, whose `callbacks` show progress, save
                checkpoints and stop if training diverges.

        Returns:
            the baseline itself; `history` is Keras's History.

        Raises:
            ValueError: if samples have another shape, are fewer than a batch, or are not finite.
        """
        batch_size = batch_size or self._config["batch_size"]
        epochs = epochs or self._config["epochs"]
        super(Baseline, self).fit(x, batch_size, epochs, initial_epoch, **kwargs)
        self.calibrate(x)
        return self

    def calibrate(self, x):
        """Learn from the training rows what a score needs besides the networks."""

    def architecture(self):
        return dict(self._config)

    def get_config(self):
        return self.architecture()

    def write_state(self, folder, dtype="float32"):
        if dtype != "float32":
            raise ValueError(
                f"received dtype={dtype!r}; expected 'float32': baselines are saved with "
                "their optimizers, so that they can be trained further. Leave it out."
            )
        super().write_state(folder)


def distinct_rows(x):
    """The distinct rows, compared byte by byte: a third of KDDCup99's test rows.

    Returns:
        `(rows, inverse, counts)`: rows (M, ...), inverse (N,) with x = rows[inverse], counts (M,).
    """
    x = np.ascontiguousarray(x, "float32")
    check_finite(x)
    flat = x.reshape(len(x), -1)
    whole = flat.view(np.dtype((np.void, flat.shape[1] * flat.itemsize)))[:, 0]
    _, first, inverse, counts = np.unique(
        whole, return_index=True, return_inverse=True, return_counts=True
    )
    return x[first], inverse, counts
