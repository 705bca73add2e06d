"""One JSON per training run: settings, machine and results; and all of them as a frame."""

import re
from pathlib import Path

import pandas as pd

from alad_tf.detector.metrics import METRICS
from alad_tf.engine.files import read_json, write_json
from alad_tf.experiments import RESULTS

DEFAULT = "default"  # the variant in which nothing was changed
TITLES = {"f1": "F1", "auroc": "AUROC", "auprc": "AUPRC"}  # of metrics in tables
FIELDS = (
    "entry",
    "dataset",
    "variant",
    "normal_class",
    "seed",
    "config",
    "protocol",
    "metrics",
    "untrained",
    "epochs",
    "steps",
    "wall_s",
    "versions",
    "hardware",
    "commit",
)
STAND_IN = "efficientnet_lite0"  # of benchmarks.lite0: its weights are in a Python package
SCORED = "scored"  # where and by what a run was scored again, if it was
_KEYS = ("entry", "variant", "normal_class", "changes", "seed", "trained", "score")
_CLASS = re.compile(r"class(\d+)(?:_(.+))?")


def result_path(folder, entry, variant, seed, kind=""):
    """The path of a run's JSON: `<folder>/<entry>/<variant>/seed<k>.json`.

    A `kind` ("history", "flagged", "examples") is for other files of the run.
    """
    return Path(folder) / entry / variant / f"{kind}{'_' * bool(kind)}seed{int(seed)}.json"


def write_result(folder, result):
    """Write a run's result, a dict with the keys of `FIELDS`; ValueError if it is incomplete."""
    if wrong := _what_is_wrong(result):
        raise ValueError(
            f"received a result that is not complete: {wrong}; expected the fields {FIELDS}."
        )
    path = result_path(folder, result["entry"], result["variant"], result["seed"])
    scored = [name for name in (SCORED,) if name in result]
    return write_json(path, {name: result[name] for name in (*FIELDS, *scored)})


def _read_result(path):
    result = read_json(path)
    if wrong := _what_is_wrong(result):
        raise ValueError(
            f"{path} is not a complete result: {wrong}. Was it cut off or edited? Write it again."
        )
    return result


def _what_is_wrong(result):
    """Why this is no run's result; None if it is one."""
    if not isinstance(result, dict):
        return "it is not an object"
    missing = [name for name in FIELDS if name not in result]
    if missing:
        return f"missing {missing}"
    for name in ("config", "protocol", "metrics", "untrained", "versions", "hardware"):
        if not isinstance(result[name], dict):
            return f"{name} is not an object"
    for part in ("metrics", "untrained"):
        for score, values in result[part].items():
            for metric in METRICS:
                value = values.get(metric) if isinstance(values, dict) else None
                if not isinstance(value, (int, float)) or not 0 <= value <= 1:
                    return f"{part}[{score!r}] needs {metric} in [0, 1], received {value!r}"
    return None


def write_flagged(folder, run, flagged):
    """Keep a run's counts of flagged rows by class (see `flagged_by_label`) beside its result."""
    path = result_path(folder, run["entry"], run["variant"], run["seed"], "flagged")
    return write_json(path, flagged)


def write_history(folder, run, history):
    """Keep the logs of a run's epochs beside its result, rounded to five decimals."""
    path = result_path(folder, run["entry"], run["variant"], run["seed"], "history")
    rounded = [{name: round(value, 5) for name, value in logs.items()} for logs in history]
    return write_json(path, rounded)


def read_results(folder, entry, variant=DEFAULT):
    """All runs of an entry's variant, ordered by seed: list of dicts."""
    found = (Path(folder) / entry / variant).glob("seed*.json")
    return sorted((_read_result(path) for path in found), key=lambda run: run["seed"])


def read_histories(folder, entry, variant=DEFAULT):
    """The histories of an entry's variant: dict by seed of lists of epochs' logs."""
    found = (Path(folder) / entry / variant).glob("history_seed*.json")
    return {int(path.stem.removeprefix("history_seed")): read_json(path) for path in sorted(found)}


def read_flagged(folder, entry, variant=DEFAULT):
    """The counts by class of all seeds of an entry's variant: a list of `flagged_by_label` rows."""
    found = (Path(folder) / entry / variant).glob("flagged_seed*.json")
    return [read_json(path) for path in sorted(found)]


def measured_by(benchmark, results=RESULTS):
    """What `benchmarks.<benchmark>` wrote, or None."""
    path = Path(results) / "benchmarks" / f"{benchmark}.json"
    return read_json(path) if path.is_file() else None


def network_of(measured):
    """The name of the network that was measured, and which one it stands in for."""
    name = measured["network"]
    return f"{name} (in place of the default, EfficientNetV2-B0)" if name == STAND_IN else name


def read_frame(folder=RESULTS, entry="*"):
    """All results as one tidy frame: a row for each run and score, trained and untrained.

    Its columns are `entry`, `variant`, `normal_class` and `changes` (the two parts of an image
    set's variant; elsewhere the class is missing and `changes` is the variant), `seed`, `trained`,
    `score`, the five metrics, and `run`, the whole result.
    """
    rows = []
    for path in Path(folder).glob(f"{entry}/*/seed*.json"):
        run = _read_result(path)
        of_class = _CLASS.fullmatch(run["variant"])
        number, changes = of_class.groups() if of_class else (None, run["variant"])
        keys = (run["entry"], run["variant"], number and int(number), changes or DEFAULT)
        for trained, scores in ((True, run["metrics"]), (False, run["untrained"])):
            for score, values in scores.items():
                metrics = (values[name] for name in METRICS)
                rows.append((*keys, run["seed"], trained, score, *metrics, run))
    frame = pd.DataFrame(rows, columns=[*_KEYS, *METRICS, "run"])
    types = {"normal_class": "Int64", "trained": bool, **dict.fromkeys(METRICS, float)}
    return frame.astype(types).sort_values(["entry", "variant", "seed"], kind="stable")


def select(frame, **values):
    """The rows of a frame that have these values in these columns."""
    for column, value in values.items():
        frame = frame[frame[column] == value]
    return frame


def runs_in(frame):
    """The runs that a frame's rows are of, each once: list of result dicts."""
    return list(frame.drop_duplicates(["entry", "variant", "seed"])["run"])


def spread_of(values, digits=4):
    """Mean and sample standard deviation as text; one value as it is, no value as "".

    Example:
        >>> spread_of(pd.Series([0.4, 0.6])), spread_of(pd.Series([0.5]))
        ('0.5000 ± 0.1414', '0.5000')
    """
    if not len(values):
        return ""
    mean = f"{values.mean():.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {values.std():.{digits}f}"
