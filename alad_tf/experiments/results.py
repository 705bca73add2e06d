"""One JSON a training run: what was run, on what, and what came out."""

from pathlib import Path

from alad_tf.detector.metrics import METRICS
from alad_tf.engine.files import read_json, write_json

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


def result_path(folder, entry, variant, seed):
    """Where a run's JSON lies: `<folder>/<entry>/<variant>/seed<k>.json`."""
    return Path(folder) / entry / variant / f"seed{int(seed)}.json"


def write_result(folder, result):
    """Write a run's result, checked for completeness.

    Args:
        folder: str or Path of the results folder.
        result: dict with the keys of `FIELDS`.

    Returns:
        Path of the JSON.

    Raises:
        ValueError: a field is missing, or a metric is missing or outside [0, 1].
    """
    missing = [name for name in FIELDS if name not in result]
    if missing:
        raise ValueError(f"A result needs the fields {FIELDS}; missing {missing}.")
    for part in ("metrics", "untrained"):
        for score, values in result[part].items():
            bad = [m for m in METRICS if not 0 <= values.get(m, -1) <= 1]
            if bad:
                raise ValueError(f"{part}[{score!r}] needs {METRICS} in [0, 1]; wrong: {bad}.")
    path = result_path(folder, result["entry"], result["variant"], result["seed"])
    return write_json(path, {name: result[name] for name in FIELDS})


def read_results(folder, entry, variant="default"):
    """All runs of an entry's variant, ordered by seed.

    Args:
        folder: str or Path of the results folder.
        entry, variant: str.

    Returns:
        list of dicts, empty if there are none.

    Raises:
        ValueError: a file is not JSON.
    """
    found = (Path(folder) / entry / variant).glob("seed*.json")
    return sorted((read_json(path) for path in found), key=lambda run: run["seed"])


def write_flagged(folder, run, flagged):
    """Write a run's counts of flagged rows by class beside its result.

    Args:
        folder: str or Path of the results folder.
        run: dict with "entry", "variant" and "seed".
        flagged: rows of `alad_tf.experiments.errors.flagged_by_label`.

    Returns:
        Path of the JSON, `<folder>/<entry>/<variant>/flagged_seed<k>.json`.
    """
    path = result_path(folder, run["entry"], run["variant"], run["seed"])
    return write_json(path.with_name(f"flagged_{path.name}"), flagged)


def write_history(folder, run, history):
    """Write a run's epochs beside its result.

    Args:
        folder: str or Path of the results folder.
        run: dict with "entry", "variant" and "seed".
        history: list of dicts, the logs of every epoch; see `ALAD.fit`.

    Returns:
        Path of the JSON, `<folder>/<entry>/<variant>/history_seed<k>.json`.
    """
    path = result_path(folder, run["entry"], run["variant"], run["seed"])
    rounded = [{name: round(value, 5) for name, value in logs.items()} for logs in history]
    return write_json(path.with_name(f"history_{path.name}"), rounded)


def read_histories(folder, entry, variant="default"):
    """The histories of an entry's variant: dict by seed of lists of epochs' logs."""
    found = (Path(folder) / entry / variant).glob("history_seed*.json")
    return {int(path.stem.removeprefix("history_seed")): read_json(path) for path in sorted(found)}


def read_flagged(folder, entry, variant="default"):
    """The counts by class of all seeds of an entry's variant: a list of `flagged_by_label` rows."""
    found = (Path(folder) / entry / variant).glob("flagged_seed*.json")
    return [read_json(path) for path in sorted(found)]
