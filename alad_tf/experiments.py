"""Which runs each table and figure of the paper is made of, in an order that is useful half-way."""

import dataclasses

from alad_tf.paper import ABLATIONS, IMAGES, TABULAR
from alad_tf.settings import Settings

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
        steps: tuple of str, what is to be done besides: see `alad_tf.reproduce.STEPS`.
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
