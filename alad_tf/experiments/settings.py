"""The settings of a training run, besides its entry, and the entry's data prepared for it."""

import dataclasses

import numpy as np

from alad_tf.data import Records, Split, class_number, load, split
from alad_tf.data.records import unknown_name_error
from alad_tf.detector.metrics import evaluate
from alad_tf.engine.callbacks import RULES
from alad_tf.engine.kernels import PRECISIONS
from alad_tf.experiments.results import DEFAULT
from alad_tf.preprocess.base import Preprocessor
from alad_tf.preprocess.fitting import default_scaling

PAIR_AXES = {"channels": -1, "height": 1}  # of a batch of images
_AXIS_NAMES = {axis: name for name, axis in PAIR_AXES.items()}
_CHOICES = {"pair_axis": PAIR_AXES, "stopping": RULES, "precision": PRECISIONS}
# which the model does not see
_OF_THE_DATA = ("contaminated", "swap_halves", "scaling", "normal_class", "test_rows")
_OF_THE_MODEL = ("spectral_norm", "latent_discriminator", "pair_axis", "precision")
SPLIT_SEED = 42  # the protocol's split is the same in every run; a run's seed is the training's


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of a run; None stands for the default of the entry or data set.

    Attributes:
        seed: int, the seed of weights, noise, dropout and shuffling.
        epochs: int, the maximum number of epochs.
        contaminated: bool, whether to keep the anomalies of the training half (as the authors' code
            does on Arrhythmia).
        swap_halves: bool, whether to swap the training and test halves.
        spectral_norm, latent_discriminator: bools, False for the ablations of Table V.
        scaling: str, "standard", "minmax" or "none" (raw features).
        normal_class: int or str, number or name of the normal class, for image sets.
        pair_axis: str, "height" or "channels", the axis on which D_xx joins two images.
        stopping: str, one of `alad_tf.engine.callbacks.RULES`.
        patience: int, the number of epochs without a better validation score after which "last" and
            "best" stop.
        precision: str, "float32" or "bfloat16", the precision of products; see
            `alad_tf.engine.kernels`. Like the machine, and like TF32 on a GPU, it is not part of
            the variant's name, but the result's config has it.
        test_rows: int, the number of the protocol's test rows to score, the same ones in each run,
            for methods that take seconds per row.

    Example:
        >>> Settings(contaminated=True, spectral_norm=False).variant
        'contaminated_no_sn'
    """

    seed: int = 0
    epochs: int | None = None
    contaminated: bool = False
    swap_halves: bool = False
    spectral_norm: bool = True
    latent_discriminator: bool = True
    scaling: str | None = None
    normal_class: int | str | None = None
    pair_axis: str | None = None
    stopping: str | None = None
    patience: int | None = None
    precision: str | None = None
    test_rows: int | None = None

    def resolve(self, entry):
        """These settings for an entry: the class as a number, and None for what equals the default.

        Args:
            entry: `Entry`.

        Returns:
            `Settings`, whose `variant` names what differs from the entry.

        Raises:
            ValueError: if a class, axis or rule is unknown, or the entry has no such setting.

        Example:
            >>> import zoo
            >>> settings = Settings(normal_class="automobile", pair_axis="height")
            >>> settings.resolve(zoo.entry("cifar10_alad")).variant
            'class1'
        """
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name not in ("seed", *entry.options) and value != field.default:
                raise ValueError(
                    f"received {field.name}={value!r} for {entry.name}, which has no such setting; "
                    f"it has {', '.join(sorted(entry.options))}. Leave it out."
                )
        for name in ("normal_class", "pair_axis"):
            if not entry.is_image and getattr(self, name) is not None:
                raise ValueError(
                    f"received {name}={getattr(self, name)!r} for {entry.name}, whose "
                    "samples are not images. Leave it out."
                )
        for name in ("scaling", "swap_halves"):  # before images are downloaded
            if entry.is_image and getattr(self, name):
                raise ValueError(
                    f"received {name}={getattr(self, name)!r} for {entry.name}, whose samples "
                    "are images. Leave it out."
                )
        for name, known in _CHOICES.items():
            if getattr(self, name) not in (None, *known):
                raise unknown_name_error(name, getattr(self, name), known)
        for name in ("patience", "epochs", "test_rows"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"received {name}={value}; expected at least 1.")
        names = ("stopping", "patience", "epochs", "test_rows")
        own = {name: getattr(entry, name, None) for name in names}
        own |= {"precision": "float32", "scaling": scaling_of(entry)}
        own["pair_axis"] = _AXIS_NAMES.get(getattr(entry, "pair_axis", None))
        same = {name: None for name, value in own.items() if getattr(self, name) == value}
        number = class_number(entry.dataset, self.normal_class) if entry.is_image else None
        return dataclasses.replace(self, normal_class=number, **same)

    @property
    def variant(self):
        """The name of what differs from the default, as used in paths and results."""
        named = [
            (f"class{self.normal_class}", self.normal_class is not None),
            ("contaminated", self.contaminated),
            ("swapped", self.swap_halves),
            ("no_sn", not self.spectral_norm),
            ("no_dl", not self.latent_discriminator),
            ("raw" if self.scaling == "none" else self.scaling, self.scaling),
            (self.pair_axis, self.pair_axis),
            (f"stop_{self.stopping}", self.stopping),
            (f"patience{self.patience}", self.patience is not None),
            (f"epochs{self.epochs}", self.epochs is not None),
            (f"test{self.test_rows}", self.test_rows is not None),
        ]
        return "_".join(name for name, changed in named if changed) or DEFAULT

    def config(self, entry):
        """The hyper-parameters of the run: the entry's, changed by these settings.

        Args:
            entry: `Entry`.

        Returns:
            JSON-able dict.

        Example:
            >>> import zoo
            >>> Settings(epochs=3).config(zoo.entry("kdd99_alad"))["epochs"]
            3
        """
        changed = {name: getattr(self, name) for name in entry.options if name not in _OF_THE_DATA}
        if changed.get("pair_axis") is not None:
            changed["pair_axis"] = PAIR_AXES[self.pair_axis]
        set_here = {name: value for name, value in changed.items() if value is not None}
        return {**entry.hyper_parameters(), **set_here}

    def build_options(self, entry):
        """The arguments of the entry's `build`, except the seed.

        Args:
            entry: `Entry`, of any method.

        Returns:
            dict of the model's options; empty for baselines.

        Example:
            >>> import zoo
            >>> Settings(spectral_norm=False).build_options(zoo.entry("kdd99_alad"))
            {'spectral_norm': False, 'latent_discriminator': True, 'pair_axis': -1}
        """
        config = self.config(entry)
        names = [name for name in _OF_THE_MODEL if name in entry.options and name in config]
        return {name: config[name] for name in names}


def scaling_of(entry):
    """The scaling of an entry's columns by default; None for images."""
    return entry.scaling or default_scaling(entry.dataset)


@dataclasses.dataclass(frozen=True)
class ProtocolData:
    """A set's raw records, its split, and the preprocessing fitted on the training rows."""

    records: Records
    split: Split
    preprocessor: Preprocessor

    def part(self, name):
        """The raw `Records` of the part "train", "validation" or "test"."""
        return self.records.take(getattr(self.split, name))

    def transformed(self, name):
        """The preprocessed rows of a part: float32 array (n, *x_shape)."""
        return self.preprocessor.transform(self.part(name).x)

    def protocol(self):
        """The row counts and the threshold rule, as in a result: JSON-able dict."""
        is_anomaly = self.records.is_anomaly
        return {
            "train_rows": len(self.split.train),
            "train_anomalies": int(is_anomaly[self.split.train].sum()),
            "validation_rows": len(self.split.validation),
            "test_rows": len(self.split.test),
            "test_anomaly_rate": float(is_anomaly[self.split.test].mean()),
            "threshold_rule": self.split.threshold_rule,
            "split_seed": self.split.seed,
        }

    def evaluate(self, scores):
        """Metrics of the test rows' scores, at the protocol's top fraction: dict by score."""
        return evaluate(scores, self.records.is_anomaly[self.split.test], self.split.top_fraction)


def prepare(entry, settings=None, data_dir=None):
    """Load, split and preprocess an entry's data.

    Args:
        entry: `Entry`.
        settings: `Settings`, of which normal class, contamination, halves, scaling and number of
            test rows are used.
        data_dir: str or Path, the folder of the data; see `alad_tf.data.load`.

    Returns:
        `ProtocolData`.

    Raises:
        FileNotFoundError, ValueError: if loading, splitting or preprocessing fails.

    Example:
        >>> import zoo
        >>> prepare(zoo.entry("breast_cancer_alad")).transformed("train").shape
        (143, 30)
    """
    settings = settings or Settings()
    records = load(entry.dataset, data_dir, settings.normal_class)
    rows = split(
        entry.dataset,
        records.is_anomaly,
        seed=SPLIT_SEED,
        contaminated=settings.contaminated,
        swap_halves=settings.swap_halves,
    )
    tested = settings.test_rows or getattr(entry, "test_rows", None)
    if tested is not None and tested < len(rows.test):
        some = np.random.default_rng(SPLIT_SEED).choice(rows.test, tested, replace=False)
        rows = dataclasses.replace(rows, test=np.sort(some))
    preprocessor = entry.preprocessor(records, rows.train, settings.scaling)
    return ProtocolData(records, rows, preprocessor)
