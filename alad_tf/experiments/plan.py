"""Which runs the paper's tables and figures need, which of them are missing, and making those."""

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path

from alad_tf.data import load
from alad_tf.engine.files import read_json
from alad_tf.experiments.errors import examples_path
from alad_tf.experiments.paper import ABLATIONS, IMAGES, TABULAR
from alad_tf.experiments.parallel import run_jobs
from alad_tf.experiments.results import result_path
from alad_tf.experiments.settings import Settings
from alad_tf.experiments.table1 import write_statistics
from alad_tf.experiments.toy import run_toy

CLASSES = range(10)
SEEDS, IMAGE_SEEDS = 10, 3  # the paper's numbers of runs
_ABLATED = {
    "no_sn_no_dl": {"spectral_norm": False, "latent_discriminator": False},
    "no_sn": {"spectral_norm": False},
    "no_dl": {"latent_discriminator": False},
    "default": {},
}
# KDD99's rows and features in the authors' released script, and on them the ablations: the changes,
# the variants. The script itself is "no_sn": its switch of the norm does nothing on tables.
AUTHORS_ROWS = {"swap_halves": True, "scaling": "none"}
AUTHORS = {name: {**AUTHORS_ROWS, **changes} for name, changes in _ABLATED.items()}
AUTHORS_RUNS = {name: Settings(**changes).variant for name, changes in AUTHORS.items()}
_METHODS = ("ocsvm", "iforest", "dsebm", "dagmm", "anogan", "alad")
_ERRORS = {"svhn": 3, "cifar10": 1}  # the classes of Figures 5 and 6


@dataclasses.dataclass(frozen=True)
class Run:
    """One training run of the zoo.

    Attributes:
        entry: str, its name.
        settings: `Settings`.
    """

    entry: str
    settings: Settings


@dataclasses.dataclass(frozen=True)
class Group:
    """Runs that differ by seed, and by normal class.

    Attributes:
        entry: str.
        changes: dict of `Settings` fields.
        seeds: int, how many the paper has, or make sense.
        classes: numbers of the normal classes; (None,) for tables.
    """

    entry: str
    changes: dict = dataclasses.field(default_factory=dict)
    seeds: int = SEEDS
    classes: tuple = (None,)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A table or figure.

    Attributes:
        title: str.
        groups: tuple of `Group`.
        steps: tuple of str, what is to be done besides: see `alad_tf.experiments.plan.STEPS`.
    """

    title: str
    groups: tuple = ()
    steps: tuple = ()


def _table(dataset):
    return tuple(Group(f"{dataset}_{m}", seeds=1 if m == "ocsvm" else SEEDS) for m in _METHODS)


def _images(dataset, *methods):
    return tuple(
        Group(f"{dataset}_{m}", seeds=1 if m == "ocsvm" else IMAGE_SEEDS, classes=tuple(CLASSES))
        for m in methods
    )


def _ablations(dataset):
    images = dataset in IMAGES
    classes, seeds = (tuple(CLASSES), IMAGE_SEEDS) if images else ((None,), SEEDS)
    names = reversed(ABLATIONS)  # the whole model first
    return tuple(Group(f"{dataset}_alad", _ABLATED[name], seeds, classes) for name in names)


def _errors(dataset):
    return (Group(f"{dataset}_alad", seeds=1, classes=(_ERRORS[dataset],)),)


_ALL_METHODS = tuple(method for method in _METHODS if method != "dagmm")  # the paper's on images
_OURS = (
    Group("arrhythmia_alad", {"contaminated": True}),
    Group("arrhythmia_alad", {"scaling": "none"}),
    Group("kdd99_alad", {"epochs": 25}, seeds=3),
    Group("kdd99_alad", {"scaling": "none"}, seeds=3),
    Group("kdd99_alad", {"epochs": 25, "spectral_norm": False}, seeds=3),
    # what the authors' released script does on tables, but for the half that trains; with that
    Group("kdd99_alad", {"scaling": "none", "spectral_norm": False}, seeds=3),
    Group("kdd99_alad", AUTHORS["default"]),
    Group("kdd99_alad", AUTHORS["no_sn"]),
    Group("kdd99_alad", AUTHORS["no_dl"], seeds=5),
    Group("kdd99_alad", AUTHORS["no_sn_no_dl"], seeds=5),
    *(Group(f"kdd99_{m}", AUTHORS_ROWS, 1 if m == "ocsvm" else SEEDS) for m in _METHODS[:-2]),
    Group("kdd99_anogan", AUTHORS_ROWS, seeds=2),
    Group("cifar10_alad", {"stopping": "fixed"}, seeds=1, classes=(0, 1, 2, 3)),
    Group("cifar10_alad", {"pair_axis": "channels"}, seeds=1, classes=(0,)),
)

EXPERIMENTS = {
    "table1": Experiment("Statistics of the data sets", steps=("statistics",)),
    "table2": Experiment("The two tables, all methods", sum(map(_table, TABULAR), ())),
    "table5": Experiment("Ablations on the two tables", sum(map(_ablations, TABULAR), ())),
    "table7": Experiment(
        "Scores on the two tables", tuple(Group(f"{dataset}_alad") for dataset in TABULAR)
    ),
    "figure2": Experiment("Two-dimensional toy data", steps=("toy",)),
    "figure6": Experiment("Errors on CIFAR-10", _errors("cifar10"), steps=("examples",)),
    "figure10": Experiment("Scores on CIFAR-10 by class", _images("cifar10", "alad")),
    "figure4": Experiment("CIFAR-10 by class", _images("cifar10", *_ALL_METHODS)),
    "figure8": Experiment("Ablations on CIFAR-10 by class", _ablations("cifar10")),
    "figure5": Experiment("Errors on SVHN", _errors("svhn"), steps=("examples",)),
    "figure9": Experiment("Scores on SVHN by class", _images("svhn", "alad")),
    "figure3": Experiment("SVHN by class", _images("svhn", *_ALL_METHODS)),
    "figure7": Experiment("Ablations on SVHN by class", _ablations("svhn")),
    "table3": Experiment(
        "Images, all methods", sum((_images(d, *_ALL_METHODS) for d in IMAGES), ())
    ),
    "table4": Experiment("Time of a batch", steps=("timing",)),
    "table6": Experiment("Ablations on images", sum(map(_ablations, IMAGES), ())),
    "table8": Experiment("Scores on images", sum((_images(d, "alad") for d in IMAGES), ())),
    "ours": Experiment("What the paper leaves open: contamination, scaling, axis, stopping", _OURS),
}


def runs_of(names, seeds=None):
    """The runs of tables and figures, each once, the most useful first.

    A first seed of every class comes before a second of any; of tables, all seeds of a variant come
    before the next variant's.

    Args:
        names: sequence of keys of `EXPERIMENTS`.
        seeds: int, how many of each; default the paper's number.

    Returns:
        list of `Run`.

    Example:
        >>> [run.settings.seed for run in runs_of(["table7"], seeds=2)]
        [0, 1, 0, 1]
    """
    found = {}
    for name in names:
        order = []
        for place, group in enumerate(EXPERIMENTS[name].groups):
            once = group.entry.endswith("_ocsvm")  # which has no randomness
            count = group.seeds if seeds is None or once else seeds
            for seed in range(count):
                for number in group.classes:
                    settings = Settings(seed=seed, normal_class=number, **group.changes)
                    by_seed = number is not None
                    key = (seed if by_seed else 0, place, seed, number or 0)
                    order.append((key, Run(group.entry, settings)))
        found |= dict.fromkeys(run for _, run in sorted(order, key=lambda pair: pair[0]))
    return list(found)


def steps_of(names):
    """The further steps of tables and figures: list of pairs (name, step)."""
    return [(name, step) for name in names for step in EXPERIMENTS[name].steps]


# of a result's config: found out by the run, or how it was computed
_NOT_COMPARED = ("scaling", "kept_epoch", "precision")
_FLAGS = {
    "contaminated": "--contaminated",
    "swap_halves": "--swap-halves",
    "spectral_norm": "--no-spectral-norm",
    "latent_discriminator": "--no-latent-discriminator",
}


@dataclasses.dataclass(frozen=True)
class Job:
    """One run of a plan.

    Attributes:
        entry: the zoo's entry.
        settings: resolved `Settings`.
        state: "done"; "stale": its result is of other hyper-parameters; or "to do".
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
        words = ["train", self.entry.name, "--resume", f"--results={results}"]
        for field in dataclasses.fields(self.settings):
            value = getattr(self.settings, field.name)
            if field.name == "seed" or value != field.default:
                option = f"--{field.name.replace('_', '-')}={value}"
                words.append(_FLAGS.get(field.name, option))
        return words + [f"--data-dir={data_dir}"] * (data_dir is not None)


def plan(names, entries, results="results", seeds=None, only=None):
    """The runs that tables and figures need.

    Args:
        names: sequence of keys of `alad_tf.experiments.plan.EXPERIMENTS`, or "all".
        entries: dict of the zoo's entries by name.
        results: str or Path of the results folder.
        seeds: int, how many of each; default the paper's.
        only: sequence of str; keep runs whose label holds one of them.

    Returns:
        list of `Job`, in the order they are to be run.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> import zoo
        >>> entries = {name: zoo.entry(name) for name in zoo.list()}
        >>> plan(["table7"], entries, "nowhere", seeds=1)[0].label
        'kdd99_alad/default/seed0'
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
            raise ValueError(f"received {name!r}; expected {', '.join(EXPERIMENTS)} or all.")
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


def run_plan(jobs, results="results", count=None, data_dir=None, console=None):
    """Make the runs of a plan that are not done.

    A run that was killed goes on from its checkpoint. A set that cannot be had stops no other's.

    Args:
        jobs: list of `Job`.
        results: str or Path of the results folder.
        count: int, processes at a time; default one a core. On images the last bits of a run
            follow from the cores that its process has, hence from this.
        data_dir: folder of the raw files.
        console: `rich.console.Console`.

    Returns:
        `(failed, missing)`: dict of exit codes by label, and of reasons by data set.

    Raises:
        KeyboardInterrupt: after SIGINT, once all processes have ended.
    """
    due = [job for job in jobs if job.state != "done"]
    missing = {}
    for job in due:
        if job.entry.dataset not in missing:
            missing[job.entry.dataset] = _why_missing(job, data_dir)
    missing = {name: why for name, why in missing.items() if why}
    due = [job for job in due if job.entry.dataset not in missing]
    # The same package as this one: see `alad_tf.experiments.parallel.train_seeds`.
    code = f"import sys; sys.path[:] = {sys.path!r}; from alad_tf.cli import main; main()"
    commands = {
        job.label: [sys.executable, "-c", code, *job.words(results, data_dir)] for job in due
    }
    codes = run_jobs(commands, count, console) if commands else []
    return {k: code for k, code in zip(commands, codes, strict=True) if code}, missing


def _why_missing(job, data_dir):
    try:
        load(job.entry.dataset, data_dir, job.settings.normal_class)
    except Exception as error:  # whatever a download may end with; it stops no other set's runs
        return str(error).splitlines()[0]
    return None


def run_steps(names, entries, results="results", data_dir=None, console=None):
    """Do what tables and figures need besides runs, where it is not done.

    Args:
        names: sequence of keys of `EXPERIMENTS`, or "all".
        entries, results, data_dir, console: as for `plan` and `run_plan`.

    Returns:
        dict of failures by name: what could not be done and why.
    """
    failures = {}
    for name, step in steps_of(known(names)):
        if console:
            console.print(f"{name}: {step}", highlight=False)
        told = STEPS[step](name, entries, Path(results), data_dir, console)
        if told:
            failures[name] = told
    return failures


def _statistics(name, entries, results, data_dir, console):
    for dataset, why in write_statistics(results, data_dir).items():
        if console:
            console.print(f"not counted: {dataset}: {why}", highlight=False, soft_wrap=True)


def _toy(name, entries, results, data_dir, console):
    if not (results / "figure2.json").is_file():
        run_toy(results)


def _timing(name, entries, results, data_dir, console):
    if (results / "benchmarks" / "anogan.json").is_file():
        return None
    if importlib.util.find_spec("benchmarks") is None:
        return "the timing is benchmarks.anogan; run this from a checkout of the project."
    (code,) = run_jobs({name: [sys.executable, "-m", "benchmarks.anogan"]}, 1, console)
    return f"benchmarks.anogan ended with exit code {code}" if code else None


def _examples(name, entries, results, data_dir, console):
    """The example images of runs whose JSON is older than this step, from their detectors."""
    from alad_tf.experiments.run import evaluate_run

    for job in plan([name], entries, results):
        path = examples_path(results, job.entry.name, job.settings.variant, job.settings.seed)
        if job.state != "done" or path.is_file():
            continue
        folder = Path("runs") / job.label
        if not folder.is_dir():
            return f"no example images, and no run in {folder} to make them from; train it again."
        evaluate_run(folder, job.entry, data_dir, console, results)
    return None


STEPS = {"statistics": _statistics, "toy": _toy, "timing": _timing, "examples": _examples}
