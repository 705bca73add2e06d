"""Figure 2's toy data: an arc in the plane and ALAD with a one-dimensional latent space."""

from pathlib import Path

import keras
import numpy as np

from alad_tf.detector.metrics import evaluate
from alad_tf.detector.threshold import by_false_alarms
from alad_tf.engine import machine
from alad_tf.engine.files import write_json
from alad_tf.experiments import RESULTS
from alad_tf.model.alad import ALAD
from alad_tf.model.scorer import Scorer
from alad_tf.model.specs import dense

WIDTH, LATENT = 64, 1
ROWS = {
    "E": [dense(WIDTH, "lrelu"), dense(WIDTH, "lrelu"), dense(LATENT)],
    "G": [dense(WIDTH, "relu"), dense(WIDTH, "relu"), dense(2)],
    "D_xz": {
        "x": [dense(WIDTH, "lrelu")],
        "z": [dense(WIDTH, "lrelu")],
        "joint": [dense(WIDTH, "lrelu"), dense(1)],
    },
    "D_xx": [dense(WIDTH, "lrelu"), dense(WIDTH, "lrelu"), dense(1)],
    "D_zz": [dense(WIDTH, "lrelu"), dense(1)],
}
PATH = "figure2.json"  # in the results folder
TRAIN, NORMAL, ANOMALOUS = 2000, 200, 40
EPOCHS, BATCH, LEARNING_RATE = 125, 50, 5e-4
FAR = 0.5  # from the nearest training row, for an anomaly
CALIBRATION, FALSE_ALARMS = 500, 0.01  # normal rows that set the threshold, and its budget
SNAPSHOTS = (0, 1, 5, 15, 40, EPOCHS)  # epochs after which the networks are drawn
CODES = np.linspace(-3, 3, 121, dtype="float32")[:, None]  # of G's curve
SIDE = np.linspace(-2.6, 2.6, 66, dtype="float32")  # of the grid that is scored
EVERY = 3  # of the test samples in a snapshot: one in three


def arc(count, generator):
    """Normal samples: three quarters of a noisy circle, float32 (count, 2)."""
    angle = generator.uniform(0, 1.5 * np.pi, count)
    points = 1.5 * np.stack([np.cos(angle), np.sin(angle)], 1)
    return (points + generator.normal(0, 0.08, (count, 2))).astype("float32")


def toy_data(seed=0):
    """Samples of the plane: `(x_train, x_test, is_anomaly)`, (2000, 2), (240, 2) and (240,).

    Anomalies lie anywhere in a square, but not near a training row.
    """
    generator = np.random.default_rng(seed)
    x_train, normal = arc(TRAIN, generator), arc(NORMAL, generator)
    anywhere = generator.uniform(-2.4, 2.4, (40 * ANOMALOUS, 2)).astype("float32")
    nearest = np.linalg.norm(anywhere[:, None] - x_train, axis=-1).min(1)
    anomalous = anywhere[nearest > FAR][:ANOMALOUS]
    is_anomaly = np.repeat([False, True], [NORMAL, ANOMALOUS])
    return x_train, np.concatenate([normal, anomalous]), is_anomaly


def toy_model(seed=0, **options):
    """A compiled, untrained `ALAD` for the plane; options as for `ALAD`."""
    model = ALAD(ROWS, x_shape=(2,), latent_dim=LATENT, seed=seed, **options)
    model.compile(learning_rate=LEARNING_RATE)
    return model


class Snapshots(keras.callbacks.Callback):
    """G's curve and the reconstructions of some samples after the epochs `SNAPSHOTS`."""

    def __init__(self, x):
        super().__init__()
        self.x, self.kept = x, []

    def _keep(self, epoch):
        G, E = self.model.G, self.model.E
        curve = G(CODES, training=False)
        reconstruction = G(E(self.x, training=False), training=False)
        self.kept.append(
            {
                "epoch": epoch,
                "curve": _rounded(curve),
                "reconstruction": _rounded(reconstruction),
            }
        )

    def on_train_begin(self, logs=None):
        self._keep(0)

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 in SNAPSHOTS:
            self._keep(epoch + 1)


def run_toy(results=RESULTS, seed=0):
    """Train on the arc and write the data of Figure 2, in some ten seconds; the JSON's Path.

    It has the code z, the reconstruction and the features score of each test sample x, snapshots of
    the training, the score on a grid, and a threshold from normal samples that are in neither set.
    """
    x_train, x_test, is_anomaly = toy_data(seed)
    model = toy_model(seed)
    fraction = float(is_anomaly.mean())
    untrained = evaluate(Scorer.from_alad(model).scores(x_test), is_anomaly, fraction)
    snapshots = Snapshots(x_test[::EVERY])
    model.fit(x_train, batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=[snapshots])
    scorer = Scorer.from_alad(model)
    scores = scorer.scores(x_test)
    normal = arc(CALIBRATION, np.random.default_rng([seed, 1]))
    threshold = by_false_alarms(scorer.scores(normal)["features"], FALSE_ALARMS)
    grid = np.stack(np.meshgrid(SIDE, SIDE), -1).reshape(-1, 2)
    result = {
        "command": "alad reproduce figure2",
        "seed": seed,
        "epochs": EPOCHS,
        "train_rows": TRAIN,
        "metrics": evaluate(scores, is_anomaly, fraction),
        "untrained": untrained,
        "x_train": _rounded(x_train[:300]),
        "x": _rounded(x_test),
        "z": _rounded(scorer.E(x_test).numpy()[:, 0]),
        "reconstruction": _rounded(scorer.reconstruct(x_test)),
        "features": _rounded(scores["features"]),
        "is_anomaly": is_anomaly.tolist(),
        "threshold": round(threshold.value, 4),
        "threshold_rule": threshold.rule,
        "snapshots": snapshots.kept,
        "grid": _rounded(SIDE),
        "grid_features": _rounded(scorer.scores(grid)["features"]),
        "hardware": machine.hardware(),
        "versions": machine.versions(),
        "commit": machine.commit(),
    }
    return write_json(Path(results) / PATH, result)


def _rounded(values):
    return np.round(np.asarray(values, "float64"), 4).tolist()
