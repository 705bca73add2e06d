"""A training run, from raw records to a detector and a results JSON; and its evaluation."""

import contextlib
import dataclasses
import time
from pathlib import Path

import tensorflow as tf

from alad_tf.baselines.base import NeuralBaseline
from alad_tf.detector.detector import Detector
from alad_tf.detector.metrics import evaluate
from alad_tf.detector.threshold import by_contamination, by_false_alarms
from alad_tf.engine import machine
from alad_tf.engine.callbacks import Checkpoint, StopOnDivergence, Stopping
from alad_tf.engine.distributed import make_strategy, worker_index
from alad_tf.engine.files import read_json, write_json
from alad_tf.engine.progress import TrainingProgress
from alad_tf.experiments import results
from alad_tf.experiments.errors import flagged_by_label, write_examples
from alad_tf.experiments.settings import Settings, prepare
from alad_tf.model.alad import ALAD
from alad_tf.model.scorer import Scorer
from alad_tf.plots.pictures import write_pictures

RUN, HISTORY, CHECKPOINTS, DETECTOR = "run.json", "history.json", "checkpoints", "detector"
HISTORY_EPOCHS = 200  # longer histories stay in the run folder: they would swamp results/
FALSE_ALARMS = 0.05  # share of normal rows that a detector's threshold may flag


def train(
    entry,
    settings=None,
    out=None,
    results_dir="results",
    data_dir=None,
    resume=False,
    checkpoint_every=30.0,
    console=None,
    strategy=None,
):
    """Train an entry by its protocol, write the detector, pictures and the results JSON.

    Args:
        entry: `Entry` of the zoo, of any method.
        settings: `Settings`, default seed 0 and nothing changed.
        out: str or Path of the run folder; default `runs/<entry>/<variant>/seed<k>`.
        results_dir: folder of the results JSONs.
        data_dir: folder of the data; see `alad_tf.data.load`.
        resume: bool, go on from the run folder's newest checkpoint.
        checkpoint_every: float, seconds between checkpoints.
        console: `rich.console.Console` for the progress.
        strategy: str, one of `alad_tf.engine.distributed.STRATEGIES`, to share every batch among
            devices or machines; None for one device. Every worker but the first writes its run and
            result to a folder of its own beside the first one's.

    Returns:
        `(result, folder)`: the result dict that was written, and the Path of the run folder.

    Raises:
        ValueError: settings that the entry does not have, or a strategy for a baseline.
        FileExistsError: the run folder holds a run and `resume` is off.
        DivergenceError: the loss or a weight became NaN or infinite.

    Example:
        >>> # result, folder = train(zoo.entry("breast_cancer_alad"), Settings(seed=1))
        >>> import tempfile
        >>> from zoo._entry import IsolationForestEntry
        >>> entry = IsolationForestEntry(name="forest", dataset="breast_cancer", x_shape=(30,),
        ...                              source="none", summary="A forest.")
        >>> out = Path(tempfile.mkdtemp())
        >>> result, folder = train(entry, out=out / "run", results_dir=out / "results")
        >>> metrics, flagged = evaluate_run(folder, entry)
        >>> metrics["score"] == result["metrics"]["score"], read_run(folder)["entry"]
        (True, 'forest')
    """
    settings = (settings or Settings()).resolve(entry)
    folder = Path(out or f"runs/{entry.name}/{settings.variant}/seed{settings.seed}")
    devices, index = None, 0
    if strategy is not None:
        if entry.method != "alad":
            raise ValueError(f"A strategy shares ALAD's batches; {entry.name} is {entry.method}.")
        devices, index = make_strategy(strategy), worker_index()
    if index:
        folder = folder.with_name(f"{folder.name}-worker{index}")
        results_dir = folder / "results"
    if not resume and folder.exists() and any(folder.iterdir()):
        raise FileExistsError(
            f"{folder} holds a run already. Add --resume to go on with it, choose another --out, "
            "or remove it."
        )
    commit = machine.commit()  # now: the checkout may move on while this runs
    data = prepare(entry, settings, data_dir)
    config = {**settings.config(entry), "scaling": data.preprocessor.scaling}
    identity = {"entry": entry.name, "variant": settings.variant, "seed": settings.seed, **config}
    checkpoint = Checkpoint(folder / CHECKPOINTS, checkpoint_every, identity)
    stopping = Stopping(config.get("stopping", "fixed"), config.get("patience", 1), checkpoint)
    stopping.require(len(data.split.validation))
    options = settings.build_options(entry)
    with devices.scope() if devices else contextlib.nullcontext():
        if devices:
            options["jit_compile"] = False  # collective operations do not compile
        model = entry.build(settings.seed, **options)
    model.console = console
    x_train, x_test = data.transformed("train"), data.transformed("test")
    untrained = _evaluate(_untrained_scores(model, x_train, x_test), data)
    write_json(folder / RUN, {**identity, "settings": dataclasses.asdict(settings)})
    if "epochs" in config:
        steps = _train_networks(
            model, x_train, _validation(data, entry), config, stopping, resume, console
        )
        write_json(folder / HISTORY, checkpoint.history)
    else:
        begun, steps = time.monotonic(), 0
        model.fit(x_train)
        checkpoint.wall_s = time.monotonic() - begun
    detector = Detector.from_model(data.preprocessor, model)
    test_scores = detector.scorer.scores(x_test)
    measured = _evaluate(test_scores, data)
    kept = stopping.kept_epoch(checkpoint.history)
    detector.metadata = {
        **identity,
        "normal_class": settings.normal_class,
        "kept_epoch": kept,
        "metrics": measured,
    }
    set_threshold(detector, data, test_scores)
    detector.save(folder / DETECTOR)
    write_pictures(folder, data, detector, test_scores, checkpoint.history)
    result = {
        "entry": entry.name,
        "dataset": entry.dataset,
        "variant": settings.variant,
        "normal_class": settings.normal_class,
        "seed": settings.seed,
        "config": {**config, "kept_epoch": kept},
        "protocol": data.protocol(),
        "metrics": measured,
        "untrained": untrained,
        "epochs": len(checkpoint.history),
        "steps": steps,
        "wall_s": round(checkpoint.wall_s, 3),
        "versions": machine.versions(),
        "hardware": machine.hardware(),
        "commit": commit,
    }
    results.write_result(results_dir, result)
    if entry.is_image and detector.reconstructs:
        write_examples(results_dir, result, data, detector, test_scores)
    if 0 < len(checkpoint.history) <= HISTORY_EPOCHS:
        results.write_history(results_dir, result, checkpoint.history)
    return result, folder


def _untrained_scores(model, x_train, x_test):
    """Scores of the networks before training, by name; none where nothing is trained."""
    if isinstance(model, ALAD):
        return Scorer.from_alad(model).scores(x_test)
    if not isinstance(model, NeuralBaseline):
        return {}
    model.calibrate(x_train)
    return model.scores(x_test)


def _train_networks(model, x, validation, config, stopping, resume, console):
    """Train epoch by epoch, with checkpoints; the number of steps made, resumed ones included."""
    checkpoint = stopping.checkpoint
    done = checkpoint.restore(model) if resume else 0
    progress = TrainingProgress(console)
    options = {
        "batch_size": config["batch_size"],
        "epochs": done if stopping.stalled(checkpoint.history) else config["epochs"],
        "initial_epoch": done,
        "validation_data": validation,
        "callbacks": [StopOnDivergence(checkpoint), stopping, checkpoint, progress],
    }
    try:
        model.fit(x, **options, verbose=0)
    finally:
        progress.close()
    return int(model.step.numpy())


def _validation(data, entry):
    """Batches of the held-out rows for ALAD's `fit`, or None where the protocol has none."""
    if entry.method != "alad" or not len(data.split.validation):
        return None
    x = data.transformed("validation")
    return tf.data.Dataset.from_tensor_slices(x).batch(entry.batch_size).cache().prefetch(2)


def read_run(folder):
    """What a run folder says of its run: entry, variant, seed, settings, hyper-parameters.

    Args:
        folder: str or Path.

    Returns:
        dict.

    Raises:
        FileNotFoundError: no run there.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = write_json(folder / RUN, {"entry": "kdd99_alad"})  # `train` writes it
        >>> read_run(folder)["entry"]
        'kdd99_alad'
    """
    path = Path(folder) / RUN
    if not path.is_file():
        raise FileNotFoundError(
            f"No run in {Path(folder).resolve()}: expected {RUN}. Give the folder that "
            "`alad train` printed."
        )
    return read_json(path)


def evaluate_run(folder, entry, data_dir=None, console=None, results_dir=None):
    """Score the test rows again with a run's saved detector.

    Args:
        folder: str or Path of a finished run.
        entry: `Entry` that the run is of.
        data_dir: folder of the raw files.
        console: `rich.console.Console`, for the progress of a long scoring.
        results_dir: folder of the results JSONs, to keep example images beside the run's; default:
            they are not kept.

    Returns:
        `(metrics, flagged)`: dict of metrics by score name, and the rows of `flagged_by_label`
        (None for a set without classes).

    Raises:
        FileNotFoundError: no finished run there.

    Example:
        >>> # evaluate_run("runs/kdd99_alad/default/seed0", zoo.entry("kdd99_alad"))
        >>> evaluate_run("nowhere", entry=None)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        FileNotFoundError: No run in ...nowhere: expected run.json. Give the folder that ...
    """
    settings = Settings(**read_run(folder)["settings"])
    detector = Detector.load(Path(folder) / DETECTOR)
    detector.scorer.console = console
    data = prepare(entry, settings, data_dir)
    test, train_rows = data.part("test"), data.split.train
    scores = detector.scores(test.x)
    flagged = None
    if test.labels is not None:
        train_labels = data.records.labels[train_rows]
        flagged = flagged_by_label(scores, test.labels, train_labels, data.split.top_fraction)
    if results_dir is not None and entry.is_image and detector.reconstructs:
        write_examples(results_dir, read_run(folder), data, detector, scores)
    return _evaluate(scores, data), flagged


def _evaluate(scores, data):
    is_anomaly = data.records.is_anomaly[data.split.test]
    return evaluate(scores, is_anomaly, data.split.top_fraction)


def set_threshold(detector, data, test_scores):
    """From held-out rows where the protocol has them, else by the paper's rule on the test rows.

    Args:
        detector: `Detector`, changed in place.
        data: `Prepared`.
        test_scores: dict of the test rows' scores, float arrays (n,) by score name.

    Example:
        >>> import zoo
        >>> data = prepare(zoo.entry("breast_cancer_alad"))
        >>> detector = zoo.load("breast_cancer_alad")
        >>> set_threshold(detector, data, detector.scores(data.part("test").x))
        >>> detector.threshold_rule
        'flags 5% of normal rows, in the mean'
    """
    if len(data.split.validation):
        scores = detector.anomaly_score(data.part("validation").x)
        least = 1 / (len(scores) + 1)  # the smallest budget that so few rows can vouch for
        detector.set_threshold(by_false_alarms(scores, max(FALSE_ALARMS, least)))
    else:
        threshold = by_contamination(test_scores[detector.score], data.split.top_fraction)
        rule = f"the paper's: {data.split.threshold_rule}"
        detector.set_threshold(dataclasses.replace(threshold, rule=rule))
