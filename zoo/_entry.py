"""Zoo entries: one data set's architecture table, as data; for ALAD and for the baselines."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import ClassVar

import keras

from alad_tf.baselines import baseline_class
from alad_tf.data.records import unknown_name_error
from alad_tf.detector.pictures import FeaturesModel
from alad_tf.engine.kernels import PRECISIONS, xla_pays
from alad_tf.model.alad import ALAD
from alad_tf.preprocess import PicturePreprocessor, for_dataset

NETWORKS = Path(__file__).resolve().parent / "networks"
_NO_HYPER_PARAMETERS = (
    *("name", "dataset", "source", "summary", "networks", "scaling", "deviations", "notes"),
    "test_rows",
)


@dataclass(frozen=True, kw_only=True)
class BaseEntry:
    """What the entries of every method have in common. Source: ALAD, appendix.

    Example:
        >>> import zoo
        >>> entry = zoo.entry("kdd99_iforest")
        >>> entry.hyper_parameters()
        {'x_shape': [121]}
        >>> entry.build(seed=1).method, entry.build_networks()
        ('iforest', {})
    """

    method: ClassVar[str]  # "alad", or one of `alad_tf.baselines.METHODS`
    score_names: ClassVar[tuple]  # the scores that its detectors give
    score: ClassVar[str]  # the one that decides
    # the fields of `Settings` that a run may change
    options: ClassVar[tuple] = ("contaminated", "swap_halves", "scaling", "normal_class")
    name: str  # such as "kdd99_alad"
    dataset: str  # what `alad_tf.data.load` takes
    source: str  # the table
    summary: str  # one sentence
    x_shape: tuple  # the shape of one preprocessed sample
    scaling: str | None = None  # of columns, if not the data set's
    reported: dict = field(default_factory=dict)  # the paper's result: metric -> value
    reported_in: str = ""  # where the paper reports it
    reported_others: dict = field(default_factory=dict)  # such dicts by score that does not decide
    reported_by_class: tuple = ()  # the paper's AUROC for each normal class of an image set
    reported_by_class_in: str = ""  # where those come from
    reported_elsewhere_by_class: tuple = ()  # an independent reproduction's AUROC likewise
    reported_elsewhere_in: str = ""  # what that is and where it comes from, a sentence
    deviations: tuple = ()  # what differs from the table and why
    notes: tuple = ()  # what the results mean, and findings about them

    @property
    def is_image(self):
        """Whether a sample is a picture (height, width, channels)."""
        return len(self.x_shape) == 3

    @property
    def trained_score(self):
        """The score that is reported of untrained networks: str."""
        return self.score

    @property
    def reported_scores(self):
        """The paper's results by score, the deciding one first: dict of dicts, as `reported`."""
        return {self.score: self.reported, **self.reported_others}

    def hyper_parameters(self):
        """The table's last block: JSON-able dict by field."""
        names = [f.name for f in fields(self) if f.name not in _NO_HYPER_PARAMETERS]
        values = {n: getattr(self, n) for n in names if not n.startswith("reported")}
        return {**values, "x_shape": list(self.x_shape)}

    def preprocessor(self, records, train_indices, scaling=None):
        """The preprocessing of raw `Records` to `x_shape`, fitted on the training rows."""
        return for_dataset(self.dataset, records, train_indices, scaling or self.scaling)

    def build(self, seed=0, **changes):
        """The untrained baseline of this entry, with `changes` of its class's arguments."""
        names = [*self.hyper_parameters(), *(["networks"] if hasattr(self, "networks") else [])]
        arguments = {name: getattr(self, name) for name in names}
        return baseline_class(self.method)(**{**arguments, "seed": seed, **changes})

    def build_networks(self, seed=0):
        """The untrained networks: dict of built Keras layers by name, in the table's order."""
        return {}


@dataclass(frozen=True, kw_only=True)
class NetworkEntry(BaseEntry):
    """A method that trains networks, epoch by epoch."""

    options: ClassVar[tuple] = (*BaseEntry.options, "epochs")
    networks: dict = field(repr=False)  # rows by network
    batch_size: int
    epochs: int
    learning_rate: float  # Adam's, as beta_1
    beta_1: float = 0.5
    initializer: str = "glorot_uniform"  # see `Stack`

    def build_networks(self, seed=0):
        model = self.build(seed)
        return {name: getattr(model, name) for name in self.networks}


@dataclass(frozen=True, kw_only=True)
class Entry(NetworkEntry):
    """An ALAD architecture: E, G, the three discriminators, hyper-parameters and reported results.

    All arguments are keyword-only.

    Args:
        name: str, such as "kdd99_alad", for `zoo.load` and the commands.
        dataset: str, one of `alad_tf.data.DATASETS`.
        source: str, where the architecture comes from, such as "Table XI".
        summary: str, one sentence.
        x_shape: tuple of ints, the shape of one preprocessed sample.
        networks: dict of layers by network, as `alad_tf.ALAD` takes them.
        batch_size, epochs, latent_dim: ints.
        learning_rate, beta_1: floats, for the Adam optimizers of all five networks.
        initializer, slope, ema_decay, pair_axis: as for `alad_tf.ALAD`.
        stopping: str, when training ends: "fixed", "last" or "best"; see `alad train --help`.
        patience: int, the number of epochs without a better validation score after which "last" and
            "best" stop.
        reported, reported_in: dict of the reported result by metric, and str, where it comes from.
        reported_others: dict of such dicts, by the name of another score.
        reported_by_class, reported_by_class_in: for image sets, tuple of the AUROC of each normal
            class, and str, where they come from.
        reported_elsewhere_by_class, reported_elsewhere_in: the same for an independent
            reproduction; the str is a whole sentence, without its full stop.
        deviations: tuple of str, what differs from the source, and why.
        notes: tuple of str, what the results mean.

    Example:
        >>> from dataclasses import replace
        >>> import zoo
        >>> mine = replace(zoo.entry("breast_cancer_alad"), name="mine", epochs=50)
        >>> mine.build(seed=0).latent_dim, mine.hyper_parameters()["epochs"]
        (1, 50)

    Source: ALAD, Tables IX, XI and XIII.
    """

    method: ClassVar[str] = "alad"
    score_names: ClassVar[tuple] = ("features", "l1", "l2", "logits")
    score: ClassVar[str] = "features"
    options: ClassVar[tuple] = (
        *NetworkEntry.options,
        "spectral_norm",
        "latent_discriminator",
        "pair_axis",
        "stopping",
        "patience",
        "precision",
    )
    latent_dim: int  # the length of z
    slope: float = 0.2  # LReLU's negative slope
    ema_decay: float = 0.999  # of the averaged weights
    pair_axis: int = -1  # on which D_xx joins two samples, see `ALAD`
    stopping: str = "fixed"  # one of `alad_tf.engine.callbacks.RULES`
    patience: int = 10  # epochs without a better validation score before "last", "best" stop

    def build(
        self,
        seed=0,
        spectral_norm=True,
        latent_discriminator=True,
        pair_axis=None,
        precision=None,
        **compile_options,
    ):
        """A compiled, untrained `ALAD` of this entry. XLA is on where it is faster.

        Args:
            seed: int, the seed of weights, noise, dropout and shuffling.
            spectral_norm, latent_discriminator: bools, False for the paper's ablations.
            pair_axis: int, the axis on which D_xx joins x and x'; default: the entry's.
            precision: str, the precision of products: "float32" or "bfloat16"; default: that of
                Keras's global policy.
            **compile_options: as for `ALAD.compile`.

        Returns:
            `alad_tf.ALAD`, compiled.

        Raises:
            ValueError: if the precision is unknown.

        Example:
            >>> import zoo
            >>> zoo.entry("breast_cancer_alad").build(seed=1, spectral_norm=False).seed
            1
        """
        if precision is not None and precision not in PRECISIONS:
            raise unknown_name_error("precision", precision, PRECISIONS)
        model = ALAD(
            self.networks,
            x_shape=self.x_shape,
            latent_dim=self.latent_dim,
            pair_axis=self.pair_axis if pair_axis is None else pair_axis,
            spectral_norm=spectral_norm,
            latent_discriminator=latent_discriminator,
            initializer=self.initializer,
            slope=self.slope,
            ema_decay=self.ema_decay,
            seed=seed,
            dtype=PRECISIONS.get(precision),
        )
        options = {"learning_rate": self.learning_rate, "beta_1": self.beta_1}
        if precision and not xla_pays(precision):
            options["jit_compile"] = False
        model.compile(**{**options, **compile_options})
        return model


@dataclass(frozen=True, kw_only=True)
class GANEntry(NetworkEntry):
    """AnoGAN's table: a generator and a discriminator of x alone.

    Source: ALAD, Tables X and XII; appendix A.
    """

    method: ClassVar[str] = "anogan"
    score_names: ClassVar[tuple] = ("weight_0.1", "weight_0.9")
    score: ClassVar[str] = "weight_0.1"
    options: ClassVar[tuple] = (*NetworkEntry.options, "test_rows")
    latent_dim: int  # the length of z
    slope: float = 0.2  # LReLU's negative slope
    ema_decay: float = 0.999  # of the averaged weights
    search_steps: int = 500  # of Adam in the search for a sample's code
    search_rate: float = 1e-3
    test_rows: int | None = None  # so many of the test rows are scored; None: all


@dataclass(frozen=True, kw_only=True)
class DSEBMEntry(NetworkEntry):
    """DSEBM's layers. Source: ALAD, appendix A; Zhai et al., ICML 2016."""

    method: ClassVar[str] = "dsebm"
    score_names: ClassVar[tuple] = ("energy", "reconstruction_error")
    score: ClassVar[str] = "energy"
    beta_1: float = 0.9
    noise: float = 1.0  # standard deviation of the corruption

    def build_networks(self, seed=0):
        return {"f": self.build(seed).energy.f}


@dataclass(frozen=True, kw_only=True)
class DAGMMEntry(NetworkEntry):
    """DAGMM's layers. Source: Zong et al., ICLR 2018, Section 4.3."""

    method: ClassVar[str] = "dagmm"
    score_names: ClassVar[tuple] = ("energy",)
    score: ClassVar[str] = "energy"
    beta_1: float = 0.9
    lambda_energy: float = 0.1  # weights of the loss's terms
    lambda_singularity: float = 0.005


@dataclass(frozen=True, kw_only=True)
class OCSVMEntry(BaseEntry):
    """One-class SVM, whose solution does not depend on a seed. Source: ALAD, Section V-B."""

    method: ClassVar[str] = "ocsvm"
    score_names: ClassVar[tuple] = ("score",)
    score: ClassVar[str] = "score"
    nu: float  # the expected share of anomalies

    def build(self, seed=0, **changes):
        """The unfitted baseline; no `seed` changes it."""
        return baseline_class(self.method)(**{"nu": self.nu, "x_shape": self.x_shape, **changes})


@dataclass(frozen=True, kw_only=True)
class IsolationForestEntry(BaseEntry):
    """Isolation forest with scikit-learn's defaults. Source: ALAD, Section V-B."""

    method: ClassVar[str] = "iforest"
    score_names: ClassVar[tuple] = ("score",)
    score: ClassVar[str] = "score"


@dataclass(frozen=True, kw_only=True)
class FeaturesEntry(BaseEntry):
    """Features of a frozen network, and one ALAD trained on them. Not in the paper.

    Source: `alad_tf.detector.patches.PatchScorer`.
    """

    method: ClassVar[str] = "features_alad"
    score_names: ClassVar[tuple] = ("combined", "features", "l1", "l2", "logits")
    score: ClassVar[str] = "combined"
    options: ClassVar[tuple] = ("contaminated", "normal_class")
    network: str  # a file of zoo/networks, without its suffix
    rows: int  # positions of each map that are kept
    hidden: int  # units of the ALAD's hidden layers
    steps: int  # of the ALAD

    @property
    def trained_score(self):
        return "features"  # no network that trains has a part in "combined"

    def preprocessor(self, records, train_indices, scaling=None):
        return PicturePreprocessor(self.x_shape)

    def frozen_network(self):
        """The frozen network: a `keras.Model`."""
        return keras.saving.load_model(NETWORKS / f"{self.network}.keras", compile=False)

    def build(self, seed=0, **changes):
        """The unfitted `alad_tf.detector.pictures.FeaturesModel`."""
        options = {"rows": self.rows, "steps": self.steps, "hidden": self.hidden, **changes}
        return FeaturesModel(self.frozen_network(), seed=seed, **options)
