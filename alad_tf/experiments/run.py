"""A training run, from raw records to a detector and a results JSON; and its evaluation."""

import contextlib
import dataclasses
import time
from pathlib import Path

import tensorflow as tf

from alad_tf.baselines.base import NeuralBaseline
from alad_tf.detector.detector import Detector
from alad_tf.detector.threshold import Threshold, by_contamination, by_false_alarms
from alad_tf.engine import machine
from alad_tf.engine.callbacks import Checkpoint, StopOnDivergence, Stopping
from alad_tf.engine.distributed import make_strategy, worker_index
from alad_tf.engine.files import read_json, read_record, write_json
from alad_tf.engine.progress import TrainingProgress
from alad_tf.engine.weights import DETECTOR
from alad_tf.experiments import RESULTS
from alad_tf.experiments.errors import flagged_by_label, write_examples
from alad_tf.experiments.results import result_path, write_history, write_result
from alad_tf.experiments.settings import Settings, prepare
from alad_tf.model.alad import ALAD
from alad_tf.model.scorer import Scorer
from alad_tf.plots.pictures import write_pictures

RUN, HISTORY, CHECKPOINTS = "run.json", "history.json", "checkpoints"
CHECKPOINT_S = 30.0  # seconds between checkpoints
HISTORY_EPOCHS = 200  # longer histories stay in the run folder: they would swamp results/
FALSE_ALARMS = 0.05  # share of normal rows that a detector's threshold may flag


def run_folder(entry, variant, seed):
    """The folder of a run if none is named: `runs/<entry>/<variant>/seed<k>`."""
    return Path("runs") / entry / variant / f"seed{seed}"


def train(
    entry,
    settings=None,
    out=None,
    results_dir=RESULTS,
    data_dir=None,
    resume=False,
    checkpoint_every=CHECKPOINT_S,
    console=None,
    strategy=None,
):
    """Train an entry by its protocol, write the detector, pictures and the results JSON.

    With `resume` it goes on from the run folder's newest checkpoint. A `strategy` of
    `alad_tf.engine.distributed` shares every batch among devices or machines; every worker but the
    first writes its run and result to a folder of its own beside the first one's. Returns
    `(result, folder)`: the result dict that was written, and the Path of the run folder.
    """
    settings = (settings or Settings()).resolve(entry)
    folder = Path(out or run_folder(entry.name, settings.variant, settings.seed))
    devices, index = _devices(entry, strategy)
    if index:
        folder = folder.with_name(f"{folder.name}-worker{index}")
        results_dir = folder / RESULTS
    _require_new(folder, resume)
    commit = machine.commit()  # now: the checkout may move on while this runs

    data = prepare(entry, settings, data_dir)
    x_train, x_test = data.transformed("train"), data.transformed("test")
    config = {**settings.config(entry), "scaling": data.preprocessor.scaling}
    identity = {"entry": entry.name, "variant": settings.variant, "seed": settings.seed, **config}
    checkpoint = Checkpoint(folder / CHECKPOINTS, checkpoint_every, identity)
    stopping = Stopping(config.get("stopping", "fixed"), config.get("patience", 1), checkpoint)
    stopping.require(len(data.split.validation))

    model = _build(entry, settings, devices)
    model.console = console
    untrained = data.evaluate(_untrained_scores(model, x_train, x_test))
    write_json(folder / RUN, {**identity, "settings": dataclasses.asdict(settings)})

    if "epochs" in config:
        validation = _validation(data, entry)
        steps = _fit(model, x_train, validation, config, stopping, resume, console)
        write_json(folder / HISTORY, checkpoint.history)
    else:
        steps, checkpoint.wall_s = 0, _timed(model.fit, x_train)
    history, kept = checkpoint.history, stopping.kept_epoch(checkpoint.history)

    detector = Detector.from_model(data.preprocessor, model)
    own = {"normal_class": settings.normal_class, "kept_epoch": kept}
    detector.metadata = {**identity, **own}
    metrics, test_scores = _evaluate(detector, data, x_test, folder)

    result = {
        "entry": entry.name,
        "dataset": entry.dataset,
        "variant": settings.variant,
        "normal_class": settings.normal_class,
        "seed": settings.seed,
        "config": {**config, "kept_epoch": kept},
        "protocol": data.protocol(),
        "metrics": metrics,
        "untrained": untrained,
        "epochs": len(history),
        "steps": steps,
        "wall_s": round(checkpoint.wall_s, 3),
        "versions": machine.versions(),
        "hardware": machine.hardware(),
        "commit": commit,
    }
    write_result(results_dir, result)
    if 0 < len(history) <= HISTORY_EPOCHS:
        write_history(results_dir, result, history)
    _show(entry, folder, results_dir, result, data, detector, test_scores, history)
    return result, folder


def _evaluate(detector, data, x_test, folder):
    """Score the test rows, set the threshold, save the detector: metrics, and scores by name."""
    scores = detector.scorer.scores(x_test)
    set_threshold(detector, data, scores)
    metrics = data.evaluate(scores)
    detector.metadata = {**detector.metadata, "metrics": metrics}
    detector.save(folder / DETECTOR)
    return metrics, scores


def _show(entry, folder, results_dir, result, data, detector, test_scores, history):
    """Keep example images beside the result, and draw the run's pictures."""
    if entry.is_image and detector.reconstructs:
        write_examples(results_dir, result, data, detector, test_scores)
    # last: a picture that fails costs no result
    write_pictures(folder, data.part("test"), detector, test_scores, history)


def _devices(entry, strategy):
    """The strategy of `tf.distribute` (None for one device) and this worker's number."""
    if strategy is None:
        return None, 0
    if entry.method != "alad":
        raise ValueError(
            f"received --strategy for {entry.name}, whose method is {entry.method}; only ALAD is "
            "trained on several devices. Leave it out."
        )
    return make_strategy(strategy), worker_index()


def _require_new(folder, resume):
    if not resume and folder.exists() and any(folder.iterdir()):
        raise FileExistsError(
            f"{folder} already contains a run. Add --resume to continue it, choose another "
            "--out, or remove it."
        )


def _build(entry, settings, devices):
    """The untrained model; under a strategy without XLA, as collective operations need."""
    options = settings.build_options(entry)
    if devices is None:
        return entry.build(settings.seed, **options)
    with devices.scope():
        return entry.build(settings.seed, **options, jit_compile=False)


def _untrained_scores(model, x_train, x_test):
    """Scores of the networks before training, by name; empty if nothing is trained."""
    if isinstance(model, ALAD):
        return Scorer.from_alad(model).scores(x_test)
    if hasattr(model, "untrained_scores"):
        return model.untrained_scores(x_train, x_test)
    if not isinstance(model, NeuralBaseline):
        return {}
    model.calibrate(x_train)
    return model.scores(x_test)


def _fit(model, x, validation, config, stopping, resume, console):
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
    with contextlib.closing(progress):
        model.fit(x, **options, verbose=0)
    return int(model.step.numpy())


def _timed(function, *arguments):
    """Call a function; the seconds it took."""
    begun = time.monotonic()
    function(*arguments)
    return time.monotonic() - begun


def _validation(data, entry):
    """Batches of the held-out rows for ALAD's `fit`, or None where the protocol has none."""
    if entry.method != "alad" or not len(data.split.validation):
        return None
    x = data.transformed("validation")
    return tf.data.Dataset.from_tensor_slices(x).batch(entry.batch_size).cache().prefetch(2)


def set_threshold(detector, data, test_scores):
    """From held-out rows if the protocol has them, else by the paper's rule on the test rows."""
    if len(data.split.validation):
        scores = detector.anomaly_score(data.part("validation").x)
        least = 1 / (len(scores) + 1)  # the lowest rate that so few rows allow
        detector.set_threshold(by_false_alarms(scores, max(FALSE_ALARMS, least)))
    else:
        threshold = by_contamination(test_scores[detector.score], data.split.top_fraction)
        rule = f"the paper's: {data.split.threshold_rule}"
        detector.set_threshold(Threshold(threshold, rule))


def read_run(folder):
    """A run folder's own record: dict of entry, variant, seed, settings, hyper-parameters."""
    path = Path(folder) / RUN
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no run in {Path(folder).resolve()}; expected {RUN} there. Choose a "
            "folder that `alad train` wrote."
        )
    return read_record(path, ("entry", "settings"))


def rescore_run(folder, entry, results_dir=RESULTS, data_dir=None):
    """Score a finished run again, and replace what follows from scores; the weights stay.

    For example, after an error in scoring was fixed. Replaced are the run's threshold and pictures,
    its example images, and in its result the metrics, trained and untrained; "scored" says on which
    machine and by which commit. Returns the result.
    """
    folder, run = Path(folder), read_run(folder)
    settings = Settings(**run["settings"])
    result = read_json(result_path(results_dir, entry.name, run["variant"], run["seed"]))
    data = prepare(entry, settings, data_dir)
    model = _build(entry, settings, None)
    x_train, x_test = data.transformed("train"), data.transformed("test")
    untrained = data.evaluate(_untrained_scores(model, x_train, x_test))
    detector = Detector.load(folder / DETECTOR)
    metrics, test_scores = _evaluate(detector, data, x_test, folder)
    about = {"versions": machine.versions(), "hardware": machine.hardware()}
    scored = {**about, "commit": machine.commit()}
    result = {**result, "metrics": metrics, "untrained": untrained, "scored": scored}
    write_result(results_dir, result)
    history = read_json(folder / HISTORY) if (folder / HISTORY).is_file() else []
    _show(entry, folder, results_dir, result, data, detector, test_scores, history)
    return result


def evaluate_run(folder, entry, data_dir=None, console=None, results_dir=None):
    """Score the test rows again with a run's saved detector: `(metrics, flagged)`.

    Flagged are the rows of `flagged_by_label`, None for a set without classes. With a
    `results_dir`, example images are kept beside the run's result.
    """
    run = read_run(folder)
    detector = Detector.load(Path(folder) / DETECTOR)
    detector.scorer.console = console
    data = prepare(entry, Settings(**run["settings"]), data_dir)
    test, flagged = data.part("test"), None
    scores = detector.scores(test.x)
    if test.labels is not None:
        train_labels = data.records.labels[data.split.train]
        flagged = flagged_by_label(scores, test.labels, train_labels, data.split.top_fraction)
    if results_dir is not None and entry.is_image and detector.reconstructs:
        write_examples(results_dir, run, data, detector, scores)
    return data.evaluate(scores), flagged
