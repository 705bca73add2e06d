"""The scorer: what remains of ALAD at inference, one forward pass for all scores."""

import copy

import keras
import numpy as np
import tensorflow as tf

from alad_tf.discriminators import PairDiscriminator
from alad_tf.layers import PACKAGE, SpectralNormalization
from alad_tf.networks import Stack
from alad_tf.scores import SCORES, anomaly_scores


@keras.saving.register_keras_serializable(package=PACKAGE)
class Scorer(keras.Model):
    """E, G and D_xx with averaged weights, spectral norm folded into plain kernels.

    Args:
        networks: dict with the rows of "E", "G" and "D_xx".
        x_shape: tuple of ints, shape of one preprocessed sample.
        latent_dim: int.
        pair_axis: int, the axis on which D_xx joins x and x'.
        slope: float, LReLU's negative slope.
        block: int, rows per compiled call; default 256 for tables and 32 for images.

    Raises:
        ValueError: from `scores`, samples of another shape or none at all.

    Example:
        >>> from alad_tf.rows import dense
        >>> rows = dict(E=[dense(2)], G=[dense(5)], D_xx=[dense(8, "lrelu"), dense(1)])
        >>> Scorer(rows, x_shape=(5,), latent_dim=2).scores(np.ones((3, 5)))["l1"].shape
        (3,)

    Source: ALAD, Algorithm 1; Section V-F.
    """

    def __init__(
        self, networks, x_shape, latent_dim, pair_axis=-1, slope=0.2, block=None, **kwargs
    ):
        super().__init__(**kwargs)
        self.x_shape = tuple(int(side) for side in x_shape)
        self.latent_dim = int(latent_dim)
        self.block = int(block or (256 if len(self.x_shape) == 1 else 32))
        options = {"slope": slope, "dtype": self.dtype_policy}
        self.E = Stack(networks["E"], name="E", **options)
        self.G = Stack(networks["G"], name="G", **options)
        self.D_xx = PairDiscriminator(networks["D_xx"], axis=pair_axis, name="D_xx", **options)
        self._config = {
            "networks": {
                name: [row.to_config() for row in getattr(self, name).rows]
                for name in ("E", "G", "D_xx")
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
        self._compiled = None

    @classmethod
    def from_alad(cls, model, block=None):
        """Fold a trained model's averaged weights into a scorer.

        Args:
            model: an `ALAD`.
            block: int, rows per compiled call.

        Returns:
            a float32 `Scorer`. Its scores equal `model(x)`'s up to rounding (that of bfloat16 for a
            model of mixed precision). Sigma of an averaged kernel is one power iteration from the
            raw kernel's u, as in `model(x)`.
        """
        config = model.get_config()
        rows = {name: config["networks"][name] for name in ("E", "G", "D_xx")}
        keys = ("x_shape", "latent_dim", "pair_axis", "slope")
        scorer = cls(rows, **{key: config[key] for key in keys}, block=block)
        for name in ("E", "G", "D_xx"):
            network = getattr(model, name)
            averaged = model.averaged_weights(name)
            average_of = {
                id(v): a.value for v, a in zip(network.trainable_variables, averaged, strict=True)
            }
            for source, target in zip(
                _leaves(network), _leaves(getattr(scorer, name)), strict=True
            ):
                _fold(source, target, average_of)
        return scorer

    def copy_to(self, model, spectral_vectors):
        """The way back: make a model's E, G and D_xx, raw and averaged, this scorer's.

        The kernels stay divided by sigma. With the u that sigma was estimated from, the model
        estimates 1 for them, and so computes this scorer's function.

        Args:
            model: an `ALAD` of the same rows; changed in place.
            spectral_vectors: what `spectral_vectors` returned of the model that was folded.

        Raises:
            ValueError: a model of other rows.
        """
        config, vectors = model.get_config(), iter(spectral_vectors)
        for name in ("E", "G", "D_xx"):
            if config["networks"][name] != self._config["networks"][name]:
                raise ValueError(
                    f"The model's {name} has other rows than the scorer's; build it from the "
                    "architecture that the scorer was made from."
                )
            network = getattr(model, name)
            for source, target in zip(_leaves(getattr(self, name)), _leaves(network), strict=True):
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
        """All scores and the reconstruction of preprocessed samples.

        Args:
            inputs: float tensor (B, *x_shape).
            training: ignored; a scorer is always in inference mode.

        Returns:
            dict of float32 tensors: "features", "l1", "l2", "logits" (B,) and "reconstruction"
            (B, *x_shape).
        """
        x = tf.cast(inputs, tf.float32)
        z = tf.reshape(self.E(x), (-1, self.latent_dim))
        reconstruction = tf.reshape(self.G(z), (-1, *self.x_shape))
        logits, features = self.D_xx(x, reconstruction, both=True)  # (x, x), then (x, x')
        real, fake = tf.split(features, 2)
        scores = anomaly_scores(x, reconstruction, real, fake, tf.split(logits, 2)[1])
        return {**scores, "reconstruction": reconstruction}

    def scores(self, x, reconstruction=False):
        """Score an array. A row's scores depend on the row alone: same bits in any company.

        Every row goes through one program of one fixed batch shape; short batches are filled with
        zeros. Sums are thus taken in one order, whatever the size of the request.

        Args:
            x: float array (N, *x_shape), preprocessed, finite.
            reconstruction: bool, return "reconstruction" as well (N, *x_shape).

        Returns:
            dict of float32 arrays (N,) by score name.

        Raises:
            ValueError: no rows, another shape, or values that are not finite.
        """
        x = np.asarray(x, "float32")
        if x.shape[1:] != self.x_shape or len(x) == 0:
            raise ValueError(
                f"The scorer takes (N, {', '.join(map(str, self.x_shape))}) with N > 0; received "
                f"{x.shape}. Preprocess the raw records first, or use the detector."
            )
        bad = ~np.isfinite(x).reshape(len(x), -1).all(axis=1)
        if bad.any():
            raise ValueError(
                f"Samples must be finite; {int(bad.sum())} of {len(x)} rows hold NaN or infinity, "
                f"the first at row {int(np.argmax(bad))}. Impute or drop them."
            )
        names = (*SCORES, "reconstruction") if reconstruction else SCORES
        outputs = {name: [] for name in names}
        for start in range(0, len(x), self.block):
            rows = x[start : start + self.block]
            filled = np.zeros((self.block, *self.x_shape), "float32")
            filled[: len(rows)] = rows
            result = self._program()(tf.constant(filled))
            for name in names:
                outputs[name].append(result[name].numpy()[: len(rows)])
        return {name: np.concatenate(parts) for name, parts in outputs.items()}

    def _program(self):
        if self._compiled is None:
            self._compiled = tf.function(
                lambda x: self(x),
                jit_compile=True,
                input_signature=[tf.TensorSpec((self.block, *self.x_shape), tf.float32)],
            )
        return self._compiled

    def architecture(self):
        """What the constructor takes, as a JSON-able dict: `Scorer(**architecture)` is a twin."""
        return copy.deepcopy(self._config)

    def get_config(self):
        return {**super().get_config(), **self._config}


def spectral_vectors(model):
    """The u of every normalised layer that scores, in the order of E, G and D_xx.

    Args:
        model: an `ALAD`.

    Returns:
        list of lists of floats.

    Source: Miyato et al., ICLR 2018, Algorithm 1.
    """
    layers = [layer for name in ("E", "G", "D_xx") for layer in _leaves(getattr(model, name))]
    wrapped = [layer for layer in layers if isinstance(layer, SpectralNormalization)]
    return [layer.u.numpy().tolist() for layer in wrapped]


def _leaves(network):
    """The layers that hold weights or states, in the order of the rows."""
    stacks = [network] if isinstance(network, Stack) else [network.body, network.top]
    return [layer for stack in stacks for layer in stack.steps]


def _fold(source, target, average_of):
    """Copy one layer's averaged weights, its kernel divided by sigma if it was normalised."""
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
