"""The runs that the paper's tables and figures need: which are missing, and running them."""

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path
from typing import NamedTuple

from alad_tf.data import load
from alad_tf.engine.files import read_json
from alad_tf.experiments import RESULTS, toy
from alad_tf.experiments.errors import examples_path
from alad_tf.experiments.paper import ABLATIONS, CLASSES, IMAGES, TABULAR
from alad_tf.experiments.parallel import alad_command, run_jobs, train_words
from alad_tf.experiments.results import measured_by, result_path
from alad_tf.experiments.settings import Settings
from alad_tf.experiments.table1 import write_statistics

SEEDS, IMAGE_SEEDS = 10, 3  # the paper's numbers of runs
_ALL_CLASSES = tuple(range(CLASSES))
_ABLATED = {
    "no_sn_no_dl": {"spectral_norm": False, "latent_discriminator": False},
    "no_sn": {"spectral_norm": False},
    "no_dl": {"latent_discriminator": False},
    "default": {},
}
# KDD99 on the half that the authors' released code tests, with columns in [0, 1], and on it the
# ablations: the changes, the variants
OTHER_HALF = {"swap_halves": True, "scaling": "minmax"}
OTHER = {name: {**OTHER_HALF, **changes} for name, changes in _ABLATED.items()}
OTHER_RUNS = {name: Settings(**changes).variant for name, changes in OTHER.items()}
_METHODS = ("ocsvm", "iforest", "dsebm", "dagmm", "anogan", "alad")
_IMAGE_METHODS = tuple(method for method in _METHODS if method != "dagmm")
_ERRORS = {"svhn": 3, "cifar10": 1}  # the classes of Figures 5 and 6


class Run(NamedTuple):
    """One training run of the zoo: its entry's name, and the settings."""

    entry: str
    settings: Settings


@dataclasses.dataclass(frozen=True)
class Group:
    """Runs that differ by seed, and by normal class ((None,) for tables)."""

    entry: str
    changes: dict = dataclasses.field(default_factory=dict)
    seeds: int = SEEDS
    classes: tuple = (None,)

    def runs(self, seeds=None):
        """Its runs, or those of `seeds` seeds; OC-SVM has no randomness, hence one."""
        count = 1 if self.entry.endswith("_ocsvm") else seeds or self.seeds
        for seed in range(count):
            for number in self.classes:
                yield Run(self.entry, Settings(seed=seed, normal_class=number, **self.changes))


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A table or figure: the runs that it takes, and which of `STEPS` besides."""

    title: str
    groups: tuple = ()
    steps: tuple = ()


def _all_methods(dataset):
    if dataset in IMAGES:
        methods, seeds, classes = _IMAGE_METHODS, IMAGE_SEEDS, _ALL_CLASSES
    else:
        methods, seeds, classes = _METHODS, SEEDS, (None,)
    return tuple(Group(f"{dataset}_{method}", {}, seeds, classes) for method in methods)


def _alad(dataset):
    return _all_methods(dataset)[-1:]


def _ablations(dataset):
    names = reversed(ABLATIONS)  # the whole model first
    (whole,) = _alad(dataset)
    return tuple(dataclasses.replace(whole, changes=_ABLATED[name]) for name in names)


def _errors(dataset):
    return (Group(f"{dataset}_alad", seeds=1, classes=(_ERRORS[dataset],)),)


_OURS = (
    Group("arrhythmia_alad", {"contaminated": True}),
    Group("arrhythmia_alad", {"scaling": "none"}),
    # rows and scaling by themselves, then together
    Group("kdd99_alad", {"scaling": "minmax"}, seeds=3),
    Group("kdd99_alad", {"swap_halves": True}, seeds=3),
    Group("kdd99_alad", {"swap_halves": True, "spectral_norm": False}, seeds=3),
    Group("kdd99_alad", OTHER["default"]),
    *(Group("kdd99_alad", OTHER[name], seeds=5) for name in ("no_sn", "no_dl", "no_sn_no_dl")),
    Group("kdd99_alad", {**OTHER_HALF, "epochs": 25}, seeds=3),
    Group("kdd99_alad", {**OTHER["no_sn"], "epochs": 25}, seeds=3),
    *(Group(f"kdd99_{method}", OTHER_HALF) for method in _METHODS[:-2]),
    Group("kdd99_anogan", OTHER_HALF, seeds=2),
    Group("kdd99_anogan", {"swap_halves": True}, seeds=2),
    Group("cifar10_alad", {"stopping": "fixed"}, seeds=1, classes=(0, 1, 2, 3)),
    Group("cifar10_alad", {"pair_axis": "channels"}, seeds=1, classes=(0,)),
)

EXPERIMENTS = {
    "table1": Experiment("Statistics of the data sets", steps=("statistics",)),
    "table2": Experiment("KDD99 and Arrhythmia, all methods", sum(map(_all_methods, TABULAR), ())),
    "table5": Experiment("Ablations on KDD99 and Arrhythmia", sum(map(_ablations, TABULAR), ())),
    "table7": Experiment("Scores on KDD99 and Arrhythmia", sum(map(_alad, TABULAR), ())),
    "figure2": Experiment("Two-dimensional toy data", steps=("toy",)),
    "figure6": Experiment("Errors on CIFAR-10", _errors("cifar10"), steps=("examples",)),
    "figure10": Experiment("Scores on CIFAR-10 by class", _alad("cifar10")),
    "figure4": Experiment("CIFAR-10 by class", _all_methods("cifar10")),
    "figure8": Experiment("Ablations on CIFAR-10 by class", _ablations("cifar10")),
    "figure5": Experiment("Errors on SVHN", _errors("svhn"), steps=("examples",)),
    "figure9": Experiment("Scores on SVHN by class", _alad("svhn")),
    "figure3": Experiment("SVHN by class", _all_methods("svhn")),
    "figure7": Experiment("Ablations on SVHN by class", _ablations("svhn")),
    "table3": Experiment("Images, all methods", sum(map(_all_methods, IMAGES), ())),
    "table4": Experiment("Inference time per batch", steps=("timing",)),
    "table6": Experiment("Ablations on images", sum(map(_ablations, IMAGES), ())),
    "table8": Experiment("Scores on images", sum(map(_alad, IMAGES), ())),
    "ours": Experiment("What the paper leaves open: contamination, scaling, axis, stopping", _OURS),
}


def runs_of(names, seeds=None):
    """The `Run`s of tables and figures for `seeds` seeds, each once, the most useful first.

    A first seed of every class comes before a second of any; of tables, all seeds of a variant come
    before the next variant's.
    """
    found = []
    for name in names:
        runs = [run for group in EXPERIMENTS[name].groups for run in group.runs(seeds)]
        found += sorted(runs, key=_round)
    return list(dict.fromkeys(found))


def _round(run):
    return 0 if run.settings.normal_class is None else run.settings.seed


# of a result's config: found out by the run, or how it was computed
_NOT_COMPARED = ("scaling", "kept_epoch", "precision")


@dataclasses.dataclass(frozen=True)
class Job:
    """One run of a plan: the entry, resolved `Settings`, and whether it is done.

    The state is "done"; "stale", if its result is of other hyper-parameters; or "to do".
    """

    entry: object
    settings: object
    state: str

    @property
    def label(self):
        """Such as "kdd99_alad/no_sn/seed3"."""
        return f"{self.entry.name}/{self.settings.variant}/seed{self.settings.seed}"

    def words(self, results, data_dir=None):
        """The `alad` command that makes this run, or goes on with it: list of str."""
        return train_words(self.entry, self.settings, results, data_dir, resume=True)


def plan(names, entries, results=RESULTS, seeds=None, only=None):
    """The `Job`s that tables and figures need, in the order in which to run them.

    `names` are keys of `EXPERIMENTS`, or "all"; `entries` the zoo's, by name; `seeds` how many of
    each, by default the paper's; only jobs whose label holds one of the texts in `only` are kept.
    """
    jobs = []
    for run in runs_of(known(names), seeds):
        entry = entries[run.entry]
        settings = run.settings.resolve(entry)
        job = Job(entry, settings, _state(entry, settings, results))
        if not only or any(text in job.label for text in only):
            jobs.append(job)
    return jobs


def known(names):
    """The names, "all" spelt out, each once; ValueError for one that is no table or figure."""
    found = []
    for name in names:
        if name != "all" and name not in EXPERIMENTS:
            raise ValueError(
                f"received {name!r}; expected one of {', '.join(EXPERIMENTS)}, or all."
            )
        found += EXPERIMENTS if name == "all" else [name]
    return list(dict.fromkeys(found))


def _state(entry, settings, results):
    path = result_path(results, entry.name, settings.variant, settings.seed)
    if not path.is_file():
        return "to do"
    stored = read_json(path)["config"]
    planned = json.loads(json.dumps(settings.config(entry)))  # tuples as JSON keeps them
    # A hyper-parameter that the result does not name did not exist when it was made; its default is
    # what was done then.
    same = all(planned.get(k) == v for k, v in stored.items() if k not in _NOT_COMPARED)
    return "done" if same else "stale"


def run_plan(jobs, results=RESULTS, count=None, data_dir=None, console=None):
    """Make the runs of a plan that are not done, `count` at a time (default: one per core).

    A run that was killed continues from its checkpoint. An unavailable data set does not stop the
    runs of others. On images, the last bits of a run depend on the cores that its process has,
    hence on `count`.
    Returns `(failed, missing)`: exit codes by label, and reasons by data set.
    """
    due = [job for job in jobs if job.state != "done"]
    first = {job.entry.dataset: job for job in reversed(due)}
    reasons = {dataset: _why_missing(job, data_dir) for dataset, job in first.items()}
    missing = {dataset: why for dataset, why in reasons.items() if why}
    due = [job for job in due if job.entry.dataset not in missing]
    commands = {job.label: alad_command(job.words(results, data_dir)) for job in due}
    codes = run_jobs(commands, count, console) if commands else []
    return {k: code for k, code in zip(commands, codes, strict=True) if code}, missing


def _why_missing(job, data_dir):
    try:
        load(job.entry.dataset, data_dir, job.settings.normal_class)
    except Exception as error:  # a failed download must not stop the runs of other sets
        return str(error).splitlines()[0]
    return None


def run_steps(names, entries, results=RESULTS, data_dir=None, console=None):
    """Do what tables and figures need besides runs, where it is not done.

    Returns a dict by name of what could not be done, and why.
    """
    failures = {}
    for name in known(names):
        for step in EXPERIMENTS[name].steps:
            if console:
                console.print(f"{name}: {step}", highlight=False)
            failures[name] = STEPS[step](name, entries, Path(results), data_dir, console)
    return {name: why for name, why in failures.items() if why}


def _statistics(name, entries, results, data_dir, console):
    for dataset, why in write_statistics(results, data_dir).items():
        if console:
            console.print(f"not counted: {dataset}: {why}", highlight=False, soft_wrap=True)


def _toy(name, entries, results, data_dir, console):
    path = results / toy.PATH
    if not path.is_file() or "snapshots" not in read_json(path):  # of an earlier version
        toy.run_toy(results)


def _timing(name, entries, results, data_dir, console):
    if measured_by("anogan", results):
        return None
    if importlib.util.find_spec("benchmarks") is None:
        return (
            "the times come from benchmarks.anogan, which needs a checkout of the project. Run "
            "this from one."
        )
    (code,) = run_jobs({name: [sys.executable, "-m", "benchmarks.anogan"]}, 1, console)
    return f"benchmarks.anogan ended with exit code {code}" if code else None


def _examples(name, entries, results, data_dir, console):
    """The example images of runs whose JSON is older than this step, from their detectors."""
    from alad_tf.experiments.run import evaluate_run, run_folder

    for job in plan([name], entries, results):
        keys = job.entry.name, job.settings.variant, job.settings.seed
        if job.state != "done" or examples_path(results, *keys).is_file():
            continue
        folder = run_folder(*keys)
        if not folder.is_dir():
            return (
                f"there are no example images, and no run in {folder} to make them from. Train "
                "it again."
            )
        evaluate_run(folder, job.entry, data_dir, console, results)
    return None


STEPS = {"statistics": _statistics, "toy": _toy, "timing": _timing, "examples": _examples}
