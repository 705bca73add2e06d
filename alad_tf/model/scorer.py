"""A trained model as a scorer: averaged weights, spectral norms folded in, compiled blocks."""

import json
from pathlib import Path

import keras
import tensorflow as tf

from alad_tf.engine.programs import InBlocks
from alad_tf.engine.weights import WEIGHTS, load_scorer, save_scorer
from alad_tf.model.layers import PACKAGE, SpectralNormalization
from alad_tf.model.networks import PairDiscriminator, Stack, specs_to_config
from alad_tf.model.scores import SCORES, anomaly_scores


def leaves(network):
    """The layers of a `Stack` or `Discriminator`, in order."""
    stacks = [network] if isinstance(network, Stack) else [network.body, network.top]
    return [layer for stack in stacks for layer in stack.steps]


def fold(source, target, average_of):
    """Copy one layer's averaged weights, its kernel divided by sigma if it was normalised.

    Args:
        source: a layer of a trained model, perhaps wrapped in `SpectralNormalization`.
        target: the plain layer of the scorer; changed in place.
        average_of: dict of the averages (tensors) by the id of the variable.
    """
    wrapped = isinstance(source, SpectralNormalization)
    inner = source.layer if wrapped else source
    for ours, theirs in zip(inner.trainable_variables, target.trainable_variables, strict=True):
        value = average_of[id(ours)]
        if wrapped and ours is inner.kernel:
            value = source.effective_kernel(value)
        theirs.assign(value)
    # batch norm's moving statistics are taken as they are, as in the authors' code
    for ours, theirs in zip(
        inner.non_trainable_variables, target.non_trainable_variables, strict=True
    ):
        theirs.assign(ours.value)


def spectral_vectors(model):
    """The vectors u of all normalised layers of E, G and D_xx, in this order, as lists."""
    layers = [layer for name in ("E", "G", "D_xx") for layer in leaves(getattr(model, name))]
    wrapped = [layer for layer in layers if isinstance(layer, SpectralNormalization)]
    return [layer.u.numpy().tolist() for layer in wrapped]


class ScoringModel(InBlocks, keras.Model):
    """A model that only scores; it is saved as its constructor's `_config` and its weights."""

    def architecture(self):
        """The constructor's arguments, as a JSON-able dict."""
        # Keras tracks what a model holds, and `deepcopy` would copy the model with it
        return json.loads(json.dumps(self._config))

    def write_state(self, folder, dtype="float32"):
        """Write the weights into a folder; `dtype` as for `alad_tf.engine.weights.save_scorer`."""
        save_scorer(self, Path(folder) / WEIGHTS, dtype)

    def read_state(self, folder):
        """Read the weights that `write_state` wrote; errors as for `load_scorer`."""
        load_scorer(self, Path(folder) / WEIGHTS)

    def get_config(self):
        return {**super().get_config(), **self._config}


@keras.saving.register_keras_serializable(package=PACKAGE)
class Scorer(ScoringModel):
    """E, G and D_xx with averaged weights, spectral norm folded into plain kernels.

    Args:
        networks: dict with the layers of "E", "G" and "D_xx".
        x_shape: tuple of ints, the shape of one preprocessed sample.
        latent_dim: int.
        pair_axis: int, the axis on which D_xx joins x and x'.
        slope: float, LReLU's negative slope.
        block: int, the number of rows that are computed together; default: 256 for tables and 32
            for images. The last bits of the scores depend on it.

    Raises:
        ValueError: from `scores`, if samples have another shape or there are none.

    Example:
        >>> from alad_tf.model.specs import dense
        >>> networks = dict(E=[dense(2)], G=[dense(5)], D_xx=[dense(8, "lrelu"), dense(1)])
        >>> scorer = Scorer(networks, x_shape=(5,), latent_dim=2)
        >>> scorer.scores([[1.0] * 5] * 3)["l1"].shape
        (3,)
        >>> x = tf.ones((3, 5))
        >>> scorer.compare(x, 0 * x)["l1"].numpy().tolist()
        [5.0, 5.0, 5.0]

    Source: ALAD, Algorithm 1; Section V-F.
    """

    method = "alad"
    score_names = SCORES
    score = "features"  # the paper's A(x)
    explainable = True
    console = None  # a pass is too short to show its progress

    def __init__(
        self, networks, x_shape, latent_dim, pair_axis=-1, slope=0.2, block=None, **kwargs
    ):
        super().__init__(**kwargs)
        self.x_shape = tuple(int(side) for side in x_shape)
        self.latent_dim = int(latent_dim)
        self.make_blocks(block)
        options = {"slope": slope, "dtype": self.dtype_policy}
        self.E = Stack(networks["E"], name="E", **options)
        self.G = Stack(networks["G"], name="G", **options)
        self.D_xx = PairDiscriminator(networks["D_xx"], axis=pair_axis, name="D_xx", **options)
        self._config = {
            "networks": {
                name: specs_to_config(getattr(self, name).specs) for name in ("E", "G", "D_xx")
            },
            "x_shape": list(self.x_shape),
            "latent_dim": self.latent_dim,
            "pair_axis": int(pair_axis),
            "slope": float(slope),
            "block": self.block,
        }
        x, z = (None, *self.x_shape), (None, self.latent_dim)
        for network, shapes in ((self.E, (x,)), (self.G, (z,)), (self.D_xx, (x, x))):
            network.build(*shapes)
            network.built = True
        self.built = True

    @classmethod
    def from_alad(cls, model, block=None):
        """Fold a trained model's averaged weights into a scorer.

        Args:
            model: an `ALAD`.
            block: int, the number of rows that are computed together.

        Returns:
            a float32 `Scorer`. Its scores equal those of `model(x)` up to rounding (that of
            bfloat16 for a mixed-precision model). The sigma of an averaged kernel is one power
            iteration from the raw kernel's u, as in `model(x)`.

        Example:
            >>> import zoo
            >>> Scorer.from_alad(zoo.entry("breast_cancer_alad").build()).x_shape
            (30,)
        """
        config = model.get_config()
        networks = {name: config["networks"][name] for name in ("E", "G", "D_xx")}
        keys = ("x_shape", "latent_dim", "pair_axis", "slope")
        scorer = cls(networks, **{key: config[key] for key in keys}, block=block)
        for name in ("E", "G", "D_xx"):
            network = getattr(model, name)
            averaged = model.averaged_weights(name)
            average_of = {
                id(v): a.value for v, a in zip(network.trainable_variables, averaged, strict=True)
            }
            for source, target in zip(leaves(network), leaves(getattr(scorer, name)), strict=True):
                fold(source, target, average_of)
        return scorer

    def copy_to(self, model, spectral_vectors):
        """Copy this scorer's E, G and D_xx to a model, raw and averaged: undo `from_alad`.

        The kernels stay divided by sigma. With the u from which sigma was estimated, the model
        estimates 1 for them, and so computes the same function as this scorer.

        Args:
            model: an `ALAD` of the same layers; changed in place.
            spectral_vectors: list of float arrays, the result of
                `alad_tf.model.scorer.spectral_vectors` for the model that was folded.

        Raises:
            ValueError: if the model has other layers.

        Example:
            >>> import zoo
            >>> from alad_tf.model.scorer import spectral_vectors
            >>> entry = zoo.entry("breast_cancer_alad")
            >>> trained, model = entry.build(seed=0), entry.build(seed=1)
            >>> Scorer.from_alad(trained).copy_to(model, spectral_vectors(trained))
        """
        config, vectors = model.get_config(), iter(spectral_vectors)
        for name in ("E", "G", "D_xx"):
            if config["networks"][name] != self._config["networks"][name]:
                raise ValueError(
                    f"received a model whose {name} has other layers than the scorer's. "
                    "Build it from the architecture from which the scorer was made."
                )
            network = getattr(model, name)
            for source, target in zip(leaves(getattr(self, name)), leaves(network), strict=True):
                wrapped = isinstance(target, SpectralNormalization)
                inner = target.layer if wrapped else target
                for ours, theirs in zip(source.variables, inner.variables, strict=True):
                    theirs.assign(ours.value)
                if wrapped:
                    target.u.assign(next(vectors))
            averages = model.averaged_weights(name)
            for average, source in zip(averages, network.trainable_variables, strict=True):
                average.assign(source.value)

    def call(self, inputs, training=False):
        """Scores (B,) and reconstruction (B, *x_shape) of preprocessed samples, as a dict."""
        x = tf.cast(inputs, tf.float32)
        z = tf.reshape(self.E(x), (-1, self.latent_dim))
        reconstruction = tf.reshape(self.G(z), (-1, *self.x_shape))
        return {**self.compare(x, reconstruction), "reconstruction": reconstruction}

    def compare(self, x, reconstruction):
        """The four scores of samples and their reconstructions.

        Args:
            x: float32 tensor (B, *x_shape), preprocessed samples.
            reconstruction: float32 tensor (B, *x_shape).

        Returns:
            dict of float32 tensors (B,): "features", "l1", "l2", "logits".
        """
        logits, features = self.D_xx(x, reconstruction, both=True)  # (x, x), then (x, x')
        real, fake = tf.split(features, 2)
        return anomaly_scores(x, reconstruction, real, fake, tf.split(logits, 2)[1])
