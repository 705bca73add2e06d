"""A training run, from raw records to a detector and a results JSON; and its evaluation."""

import dataclasses
from pathlib import Path

from alad_tf import results
from alad_tf.callbacks import Checkpoint, StopOnDivergence
from alad_tf.data import load, split
from alad_tf.detector import Detector
from alad_tf.errors_by_label import flagged_by_label
from alad_tf.evaluate import evaluate
from alad_tf.files import read_json, write_json
from alad_tf.preprocess import for_dataset
from alad_tf.progress import TrainingProgress
from alad_tf.scorer import Scorer

RUN, HISTORY, CHECKPOINTS, DETECTOR = "run.json", "history.json", "checkpoints", "detector"
FALSE_ALARMS = 0.05  # share of held-out normal rows that a detector's threshold flags
SPLIT_SEED = 42  # the protocol's split is the same in every run; `seed` is the training's


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a run is, besides its entry.

    Attributes:
        seed: int, of weights, noise, dropout and shuffling.
        epochs: int, default the entry's.
        contaminated: bool, leave the anomalies of the training half in (as the authors' code does
            on Arrhythmia).
        spectral_norm, latent_discriminator: bools, the ablations of Table V.
        scaling: str, "standard", "minmax" or "none" (raw features); default the data set's own.

    Example:
        >>> Settings(contaminated=True, spectral_norm=False).variant
        'contaminated_no_sn'
    """

    seed: int = 0
    epochs: int | None = None
    contaminated: bool = False
    spectral_norm: bool = True
    latent_discriminator: bool = True
    scaling: str | None = None

    @property
    def variant(self):
        """Name of what differs from the default, as it stands in paths and results."""
        parts = ["contaminated"] * self.contaminated
        parts += ["no_sn"] * (not self.spectral_norm)
        parts += ["no_dl"] * (not self.latent_discriminator)
        parts += ["raw" if self.scaling == "none" else f"{self.scaling}"] * bool(self.scaling)
        parts += [f"epochs{self.epochs}"] * (self.epochs is not None)
        return "_".join(parts) or "default"


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A protocol's rows, preprocessed: what trains and what tests.

    Attributes:
        records: raw `Records` of the whole set.
        split: `alad_tf.data.Split`.
        preprocessor: fitted on the training rows.
        x_train: float32 array (n, *x_shape).
    """

    records: object
    split: object
    preprocessor: object
    x_train: object


def prepare(entry, contaminated=False, data_dir=None, scaling=None):
    """Load, split and preprocess an entry's data.

    Args:
        entry: `Entry`.
        contaminated: bool, keep anomalies in the training rows.
        data_dir: folder of the raw files; see `alad_tf.data.load`.
        scaling: str, see `Settings`.

    Returns:
        `Prepared`.

    Raises:
        FileNotFoundError, ValueError: from loading, splitting and preprocessing.
    """
    records = load(entry.dataset, data_dir)
    rows = split(entry.dataset, records.is_anomaly, seed=SPLIT_SEED, contaminated=contaminated)
    preprocessor = for_dataset(entry.dataset, records, rows.train, scaling)
    x_train = preprocessor.transform(records.take(rows.train).x)
    return Prepared(records, rows, preprocessor, x_train)


def train(
    entry,
    settings=None,
    out=None,
    results_dir="results",
    data_dir=None,
    resume=False,
    checkpoint_every=30.0,
    console=None,
):
    """Train an entry by its protocol, write the detector and the results JSON.

    Args:
        entry: `Entry`.
        settings: `Settings`, default seed 0 and nothing changed.
        out: run folder; default `runs/<entry>/<variant>/seed<k>`.
        results_dir: folder of the results JSONs.
        data_dir: folder of the raw files; see `alad_tf.data.load`.
        resume: bool, go on from the run folder's newest checkpoint.
        checkpoint_every: float, seconds between checkpoints.
        console: `rich.console.Console` for the progress.

    Returns:
        `(result, folder)`: the result dict that was written, and the Path of the run folder.

    Raises:
        FileExistsError: the run folder holds a run and `resume` is off.
        DivergenceError: the loss or a weight became NaN or infinite.

    Example:
        >>> # result, folder = train(zoo.entry("breast_cancer_alad"), Settings(seed=1))
    """
    settings = settings or Settings()
    folder = Path(out or f"runs/{entry.name}/{settings.variant}/seed{settings.seed}")
    if not resume and folder.exists() and any(folder.iterdir()):
        raise FileExistsError(
            f"{folder} holds a run already. Add --resume to go on with it, choose another --out, "
            "or remove it."
        )
    epochs = settings.epochs or entry.epochs
    commit = results.commit()  # now: the checkout may move on while this runs
    data = prepare(entry, settings.contaminated, data_dir, settings.scaling)
    config = {
        **entry.hyper_parameters(),
        "epochs": epochs,
        "spectral_norm": settings.spectral_norm,
        "latent_discriminator": settings.latent_discriminator,
        "scaling": data.preprocessor.scaling,
    }
    identity = {"entry": entry.name, "variant": settings.variant, "seed": settings.seed, **config}
    checkpoint = Checkpoint(folder / CHECKPOINTS, checkpoint_every, identity)
    model = entry.build(settings.seed, settings.spectral_norm, settings.latent_discriminator)
    x_test = data.preprocessor.transform(data.records.take(data.split.test).x)
    untrained = _evaluate(Scorer.from_alad(model).scores(x_test), data)
    done = checkpoint.restore(model) if resume else 0
    write_json(folder / RUN, {**identity, "settings": dataclasses.asdict(settings)})
    progress = TrainingProgress(console)
    try:
        model.fit(
            data.x_train,
            batch_size=entry.batch_size,
            epochs=epochs,
            initial_epoch=done,
            verbose=0,
            callbacks=[StopOnDivergence(checkpoint), checkpoint, progress],
        )
    finally:
        progress.close()
    write_json(folder / HISTORY, checkpoint.history)
    scorer = Scorer.from_alad(model)
    test_scores = scorer.scores(x_test)
    measured = _evaluate(test_scores, data)
    detector = Detector(data.preprocessor, scorer, metadata={**identity, "metrics": measured})
    _set_threshold(detector, data, test_scores)
    detector.save(folder / DETECTOR)
    result = {
        "entry": entry.name,
        "dataset": entry.dataset,
        "variant": settings.variant,
        "normal_class": None,
        "seed": settings.seed,
        "config": config,
        "protocol": _protocol(data),
        "metrics": measured,
        "untrained": untrained,
        "epochs": len(checkpoint.history),
        "steps": int(model.step.value),
        "wall_s": round(checkpoint.wall_s, 3),
        "versions": results.versions(),
        "hardware": results.hardware(),
        "commit": commit,
    }
    results.write_result(results_dir, result)
    return result, folder


def read_run(folder):
    """What a run folder says of its run: entry, variant, seed, settings, hyper-parameters.

    Args:
        folder: str or Path.

    Returns:
        dict.

    Raises:
        FileNotFoundError: no run there.

    Example:
        >>> # read_run("runs/kdd99_alad/default/seed0")["entry"]
    """
    path = Path(folder) / RUN
    if not path.is_file():
        raise FileNotFoundError(
            f"No run in {Path(folder).resolve()}: expected {RUN}. Give the folder that "
            "`alad train` printed."
        )
    return read_json(path)


def evaluate_run(folder, entry, data_dir=None):
    """Score the test rows again with a run's saved detector.

    Args:
        folder: str or Path of a finished run.
        entry: the `Entry` that the run is of.
        data_dir: folder of the raw files.

    Returns:
        `(metrics, flagged)`: dict of metrics by score name, and the rows of `flagged_by_label`
        (None for a set without classes).

    Raises:
        FileNotFoundError: no finished run there.

    Example:
        >>> # evaluate_run("runs/kdd99_alad/default/seed0", zoo.entry("kdd99_alad"))
    """
    settings = read_run(folder)["settings"]
    detector = Detector.load(Path(folder) / DETECTOR)
    data = prepare(entry, settings["contaminated"], data_dir, settings.get("scaling"))
    test, train_rows = data.records.take(data.split.test), data.split.train
    scores = detector.scores(test.x)
    flagged = None
    if test.labels is not None:
        train_labels = data.records.labels[train_rows]
        flagged = flagged_by_label(scores, test.labels, train_labels, data.split.top_fraction)
    return _evaluate(scores, data), flagged


def _evaluate(scores, data):
    is_anomaly = data.records.is_anomaly[data.split.test]
    return evaluate(scores, is_anomaly, data.split.top_fraction)


def _set_threshold(detector, data, test_scores):
    """From held-out rows where the protocol has them, else by the paper's rule on the test rows."""
    held_out = data.split.validation
    if len(held_out):
        scores = detector.anomaly_score(data.records.take(held_out).x)
        rule = f"flags {FALSE_ALARMS:.0%} of held-out normal rows"
        detector.set_threshold(scores, FALSE_ALARMS, rule)
    else:
        fraction, rule = data.split.top_fraction, f"the paper's: {data.split.threshold_rule}"
        detector.set_threshold(test_scores[detector.score], fraction, rule)


def _protocol(data):
    is_anomaly = data.records.is_anomaly
    return {
        "train_rows": len(data.split.train),
        "train_anomalies": int(is_anomaly[data.split.train].sum()),
        "validation_rows": len(data.split.validation),
        "test_rows": len(data.split.test),
        "test_anomaly_rate": float(is_anomaly[data.split.test].mean()),
        "threshold_rule": data.split.threshold_rule,
        "split_seed": data.split.seed,
    }
