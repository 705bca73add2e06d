"""The contract of the baselines: fit, scores, anomaly_score, save, load."""

from pathlib import Path

import numpy as np

from alad_tf.engine.files import load_scorer, read_json, replacing_folder, save_scorer, write_json
from alad_tf.engine.programs import InBlocks, check_finite
from alad_tf.model.training import SteppedModel

CONFIG, WEIGHTS = "config.json", "scorer.weights.h5"
FORMAT = 1


class Baseline:
    """What every rival of ALAD does, on preprocessed samples.

    Attributes:
        method: str, the name under which `alad_tf.baselines.load` finds the class.
        score_names: tuple of str, what `scores` returns.
        score: str, the one that `anomaly_score` returns.
        console: `rich.console.Console` for the progress of what takes minutes; None: silent.

    Example:
        >>> import numpy as np, tempfile
        >>> from alad_tf.baselines import IsolationForest, load
        >>> forest = IsolationForest(seed=1).fit(np.random.default_rng(0).normal(size=(64, 3)))
        >>> again = load(forest.save(tempfile.mkdtemp() + "/forest"))
        >>> bool(again.anomaly_score([[9.0] * 3]) > again.anomaly_score([[0.0] * 3]))
        True
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
            ValueError: no rows, another shape, or values that are not finite.
        """
        raise NotImplementedError

    def scores(self, x):
        """All scores of an array; a row's scores depend on the row alone.

        Args:
            x: float array (N, *x_shape), preprocessed, finite.

        Returns:
            dict of float32 arrays (N,) by score name; higher is more anomalous.

        Raises:
            ValueError: no rows, another shape, or values that are not finite.
        """
        raise NotImplementedError

    def anomaly_score(self, x):
        """The deciding score of an array; errors as for `scores`.

        Args:
            x: float array (N, *x_shape), preprocessed, finite.

        Returns:
            float32 array (N,), higher is more anomalous.
        """
        return self.scores(x)[self.score]

    def architecture(self):
        """What the constructor takes.

        Returns:
            JSON-able dict.

        Example:
            >>> from alad_tf.baselines import IsolationForest
            >>> IsolationForest(seed=1).architecture()
            {'seed': 1, 'x_shape': None}
        """
        raise NotImplementedError

    def write_state(self, folder, dtype="float32"):
        """Write what was learnt into a folder, without a pickle."""
        raise NotImplementedError

    def read_state(self, folder):
        """Read what `write_state` wrote; raises ValueError for a damaged file."""
        raise NotImplementedError

    def save(self, folder):
        """Write the baseline, whole or not at all.

        Args:
            folder: str or Path; an old baseline there is replaced.

        Returns:
            Path of the folder; `alad_tf.baselines.load` reads it.
        """
        with replacing_folder(folder) as temporary:
            config = {"format": FORMAT, "method": self.method, "scorer": self.architecture()}
            write_json(temporary / CONFIG, config)
            self.write_state(temporary)
        return Path(folder)

    @classmethod
    def load(cls, folder):
        """Read a baseline of this class that `save` wrote.

        Args:
            folder: str or Path.

        Returns:
            the baseline, with the scores it had when it was saved.

        Raises:
            FileNotFoundError: no baseline there.
            ValueError: one of another method or format, or a damaged file.
        """
        config = read_config(folder)
        if (config.get("format"), config.get("method")) != (FORMAT, cls.method):
            raise ValueError(
                f"{Path(folder, CONFIG)} holds {config.get('method')!r}, "
                f"format {config.get('format')!r}; {cls.__name__} reads {cls.method!r}, "
                f"format {FORMAT}. Use "
                "alad_tf.baselines.load for any method."
            )
        baseline = cls(**config["scorer"])
        baseline.read_state(folder)
        return baseline


class NeuralBaseline(InBlocks, Baseline, SteppedModel):
    """A baseline that is a Keras model, trained by compiled steps and scored in blocks.

    A subclass builds its networks, then calls `ready`.

    Args of the constructors in common:
        x_shape: tuple of ints, the shape of one preprocessed sample.
        initializer, slope: as for `alad_tf.model.networks.Stack`.
        learning_rate, beta_1: floats, Adam's.
        batch_size, epochs: ints, what `fit` takes by default.
        seed: int, of initial weights, noise, dropout and shuffling.
    """

    def ready(self, config, losses):
        """Make the step count and compile; `config` is what the constructor took."""
        self._config = {
            **config,
            "x_shape": [int(side) for side in config["x_shape"]],
            "networks": {
                name: [row if isinstance(row, dict) else row.to_config() for row in rows]
                for name, rows in config["networks"].items()
            },
        }
        self.make_blocks()
        self.make_steps(config["seed"], losses)
        self.compile(config["learning_rate"], config["beta_1"])

    def fit(self, x, batch_size=None, epochs=None, initial_epoch=0, **kwargs):
        """Train on normal samples, then `calibrate`.

        Args:
            x: float array (N, *x_shape), preprocessed.
            batch_size, epochs: ints; default those of the constructor. The last incomplete batch
                of an epoch is skipped.
            initial_epoch, **kwargs: as for `keras.Model.fit`, whose `callbacks` show progress, save
                checkpoints and stop at divergence.

        Returns:
            the baseline itself; `history` is Keras's History.

        Raises:
            ValueError: samples of another shape, fewer than a batch, or not finite.
        """
        batch_size = batch_size or self._config["batch_size"]
        epochs = epochs or self._config["epochs"]
        super(Baseline, self).fit(x, batch_size, epochs, initial_epoch, **kwargs)
        self.calibrate(x)
        return self

    def calibrate(self, x):
        """What a score needs besides the networks, from the training rows; default nothing.

        Args:
            x: float array (N, *x_shape), the preprocessed training rows.
        """

    def architecture(self):
        return dict(self._config)

    def get_config(self):
        return self.architecture()

    def write_state(self, folder, dtype="float32"):
        if dtype != "float32":
            raise ValueError(
                f"received dtype={dtype!r}; a baseline is saved in float32, because it keeps its "
                "optimizers to be trained on."
            )
        save_scorer(self, Path(folder) / WEIGHTS)

    def read_state(self, folder):
        load_scorer(self, Path(folder) / WEIGHTS)


def read_config(folder):
    """What `Baseline.save` wrote of a baseline besides its state.

    Args:
        folder: str or Path.

    Returns:
        dict: "format", "method" and "scorer", the constructor's arguments.

    Raises:
        FileNotFoundError: no baseline there.
        ValueError: a damaged file.
    """
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise FileNotFoundError(
            f"No baseline in {Path(folder).resolve()}: expected {CONFIG}. Give the folder that "
            "`save` wrote."
        )
    return read_json(path)


def distinct_rows(x):
    """Rows that differ in a byte, how often each occurs, and where.

    Repeated rows need their work done once: of KDDCup99's test rows a third are distinct.

    Args:
        x: float32 array (N, ...).

    Returns:
        `(rows, inverse, counts)`: rows (M, ...), inverse (N,) with x = rows[inverse], counts (M,).

    Example:
        >>> rows, inverse, counts = distinct_rows(np.float32([[1, 2], [0, 5], [1, 2]]))
        >>> rows[inverse].tolist(), sorted(counts.tolist())
        ([[1.0, 2.0], [0.0, 5.0], [1.0, 2.0]], [1, 2])
    """
    x = np.ascontiguousarray(x, "float32")
    check_finite(x)
    flat = x.reshape(len(x), -1)
    whole = flat.view(np.dtype((np.void, flat.shape[1] * flat.itemsize)))[:, 0]
    _, first, inverse, counts = np.unique(
        whole, return_index=True, return_inverse=True, return_counts=True
    )
    return x[first], inverse, counts
