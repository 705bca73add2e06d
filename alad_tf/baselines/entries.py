"""Entries of the baselines: their tables as data, and the models that these build."""

from dataclasses import dataclass, fields
from typing import ClassVar

from alad_tf.baselines import baseline_class
from alad_tf.entry import BaseEntry, NetworkEntry

_COMMON = ("x_shape", "networks", "batch_size", "epochs", "learning_rate", "beta_1", "initializer")


class _Builds:
    """The part of an entry that builds its baseline from the fields that the class takes."""

    takes: ClassVar[tuple] = ()

    def build(self, seed=0, **changes):
        """The untrained baseline of this entry.

        Args:
            seed: int.
            **changes: arguments of the baseline's class that take the place of the entry's.

        Returns:
            an `alad_tf.baselines` object: `fit`, `anomaly_score`, `save`.
        """
        known = {field.name for field in fields(self)} & {*self.takes, *_COMMON}
        arguments = {name: getattr(self, name) for name in known}
        return baseline_class(self.method)(**{**arguments, "seed": seed, **changes})


@dataclass(frozen=True, kw_only=True)
class GANEntry(_Builds, NetworkEntry):
    """AnoGAN's table: a generator and a discriminator of x alone.

    Attributes (besides those of `NetworkEntry`):
        networks: dict of rows, "G" and "D".
        latent_dim: int, the length of z.
        slope: float, LReLU's negative slope.
        ema_decay: float, of the averaged weights.
        search_steps, search_rate: int and float, Adam's in the search for a sample's code.

    Example:
        >>> import zoo
        >>> sorted(zoo.entry("kdd99_anogan").build_networks())
        ['D', 'G']

    Source: ALAD, Tables X and XII; appendix A.
    """

    method: ClassVar[str] = "anogan"
    score_names: ClassVar[tuple] = ("weight_0.1", "weight_0.9")
    score: ClassVar[str] = "weight_0.1"
    takes: ClassVar[tuple] = ("latent_dim", "ema_decay", "search_steps", "search_rate", "slope")
    latent_dim: int
    slope: float = 0.2
    ema_decay: float = 0.999
    search_steps: int = 500
    search_rate: float = 1e-3


@dataclass(frozen=True, kw_only=True)
class DSEBMEntry(_Builds, NetworkEntry):
    """DSEBM's layers.

    Attributes (besides those of `NetworkEntry`):
        networks: dict of rows, "f".
        noise: float, standard deviation of the corruption.

    Example:
        >>> import zoo
        >>> zoo.entry("kdd99_dsebm").build().score_names
        ('energy', 'reconstruction_error')

    Source: ALAD, appendix A; Zhai et al., ICML 2016.
    """

    method: ClassVar[str] = "dsebm"
    score_names: ClassVar[tuple] = ("energy", "reconstruction_error")
    score: ClassVar[str] = "energy"
    takes: ClassVar[tuple] = ("noise",)
    beta_1: float = 0.9
    noise: float = 1.0

    def build_networks(self, seed=0):
        return {"f": self.build(seed).energy.f}


@dataclass(frozen=True, kw_only=True)
class DAGMMEntry(_Builds, NetworkEntry):
    """DAGMM's layers.

    Attributes (besides those of `NetworkEntry`):
        networks: dict of rows, "encoder", "decoder" and "estimation".
        lambda_energy, lambda_singularity: floats, weights of the loss's terms.

    Example:
        >>> import zoo
        >>> zoo.entry("kdd99_dagmm").build().mixture.means.shape
        TensorShape([4, 3])

    Source: Zong et al., ICLR 2018, Section 4.3.
    """

    method: ClassVar[str] = "dagmm"
    score_names: ClassVar[tuple] = ("energy",)
    score: ClassVar[str] = "energy"
    takes: ClassVar[tuple] = ("lambda_energy", "lambda_singularity")
    beta_1: float = 0.9
    lambda_energy: float = 0.1
    lambda_singularity: float = 0.005


@dataclass(frozen=True, kw_only=True)
class OCSVMEntry(_Builds, BaseEntry):
    """One-class SVM. Its solution does not depend on chance: every seed gives the same.

    Attributes (besides those of `BaseEntry`):
        nu: float, the expected share of anomalies.

    Source: ALAD, Section V-B.
    """

    method: ClassVar[str] = "ocsvm"
    score_names: ClassVar[tuple] = ("score",)
    score: ClassVar[str] = "score"
    takes: ClassVar[tuple] = ("nu",)
    nu: float

    def build(self, seed=0, **changes):
        """The unfitted baseline; `seed` is taken for the contract's sake and changes nothing."""
        return baseline_class(self.method)(**{"nu": self.nu, "x_shape": self.x_shape, **changes})


@dataclass(frozen=True, kw_only=True)
class IsolationForestEntry(_Builds, BaseEntry):
    """Isolation forest with scikit-learn's defaults.

    Source: ALAD, Section V-B.
    """

    method: ClassVar[str] = "iforest"
    score_names: ClassVar[tuple] = ("score",)
    score: ClassVar[str] = "score"
