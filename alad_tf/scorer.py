"""The scorer: what remains of ALAD at inference, one forward pass for all scores."""

import copy
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import tensorflow as tf

from alad_tf.discriminators import PairDiscriminator
from alad_tf.folding import fold, leaves
from alad_tf.layers import PACKAGE, SpectralNormalization
from alad_tf.machine import cores
from alad_tf.networks import Stack
from alad_tf.scores import SCORES, anomaly_scores
from alad_tf.staging import Staging

FEW, CALL_BYTES = 2, 2**22  # blocks of a call for a small request; bytes of one for a large one


@keras.saving.register_keras_serializable(package=PACKAGE)
class Scorer(keras.Model):
    """E, G and D_xx with averaged weights, spectral norm folded into plain kernels.

    Args:
        networks: dict with the rows of "E", "G" and "D_xx".
        x_shape: tuple of ints, shape of one preprocessed sample.
        latent_dim: int.
        pair_axis: int, the axis on which D_xx joins x and x'.
        slope: float, LReLU's negative slope.
        block: int, rows that are computed together; default 256 for tables and 32 for images. The
            scores' last bits depend on it.

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
        self._programs, self._staging = {}, Staging()

    @classmethod
    def from_alad(cls, model, block=None):
        """Fold a trained model's averaged weights into a scorer.

        Args:
            model: an `ALAD`.
            block: int, rows that are computed together.

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
            for source, target in zip(leaves(network), leaves(getattr(scorer, name)), strict=True):
                fold(source, target, average_of)
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

    def scores(self, x):
        """Score an array. A row's scores depend on the row alone: same bits in any company.

        Every row goes through one program, in blocks of one size; the last one is filled with
        zeros. Sums are thus taken in one order, whatever the size of the request. Large requests
        are shared out among threads, one a core.

        Args:
            x: float array (N, *x_shape), preprocessed, finite.

        Returns:
            dict of float32 arrays (N,) by score name.

        Raises:
            ValueError: no rows, another shape, or values that are not finite.
        """
        table = self._run("scores", x)  # (N, 4)
        return {name: np.ascontiguousarray(table[:, i]) for i, name in enumerate(SCORES)}

    def reconstruct(self, x):
        """x' = G(E(x)) of an array; arguments and errors as for `scores`.

        Returns:
            float32 array (N, *x_shape).
        """
        return self._run("reconstruction", x)

    def _run(self, what, x):
        x = np.asarray(x, "float32")
        if x.shape[1:] != self.x_shape or len(x) == 0:
            raise ValueError(
                f"The scorer takes (N, {', '.join(map(str, self.x_shape))}) with N > 0; received "
                f"{x.shape}. Preprocess the raw records first, or use the detector."
            )
        blocks = self._blocks(len(x))
        program, size = self._program(what, blocks), self.block * blocks

        def run(start):
            rows = x[start : start + size]
            count = tf.constant(-(-len(rows) // self.block))
            made = program(self._staging.fill(rows, size), count).numpy()[: len(rows)]
            # l1 holds x itself, so that a bad row shows in its scores, which are fewer to look at
            told = made if what == "scores" else rows
            if not np.isfinite(told).all() and not np.isfinite(rows).all():
                raise _not_finite(x)
            return made

        starts = range(0, len(x), size)
        threads = min(len(starts), cores())
        if threads == 1:
            return np.concatenate([run(start) for start in starts])
        with ThreadPoolExecutor(threads) as pool:
            return np.concatenate(list(pool.map(run, starts)))

    def _blocks(self, rows):
        """How many blocks a call takes: few to answer soon, or enough to hide the call's cost."""
        if len(self.x_shape) > 1:  # inside a loop XLA's convolutions are slow on a CPU
            return 1
        if rows <= FEW * self.block:
            return FEW
        return max(FEW, CALL_BYTES // (4 * self.x_shape[0] * self.block))

    def _program(self, what, blocks):
        """A compiled function of (blocks * block, *x_shape) rows and the number of full blocks.

        Programs of few and of many blocks run the same loop body: a row's bits do not differ.
        """
        if (what, blocks) not in self._programs:

            def of_block(x):  # (block, *x_shape)
                outputs = self(x)
                if what == "scores":
                    return tf.stack([outputs[name] for name in SCORES], -1)
                return outputs[what]

            def of_rows(x, count):
                if blocks == 1:
                    return of_block(x)
                x = tf.reshape(x, (blocks, self.block, *self.x_shape))
                _, made = tf.while_loop(
                    lambda i, made: i < count,
                    lambda i, made: (i + 1, made.write(i, of_block(x[i]))),
                    (0, tf.TensorArray(tf.float32, blocks)),
                )
                return made.concat()

            shape = (blocks * self.block, *self.x_shape)
            signature = [tf.TensorSpec(shape, tf.float32), tf.TensorSpec((), tf.int32)]
            function = tf.function(of_rows, signature, jit_compile=True)
            self._programs[what, blocks] = function.get_concrete_function()
        return self._programs[what, blocks]

    def architecture(self):
        """What the constructor takes, as a JSON-able dict: `Scorer(**architecture)` is a twin."""
        return copy.deepcopy(self._config)

    def get_config(self):
        return {**super().get_config(), **self._config}


def _not_finite(x):
    bad = ~np.isfinite(x).reshape(len(x), -1).all(axis=1)
    return ValueError(
        f"Samples must be finite; {int(bad.sum())} of {len(x)} rows hold NaN or infinity, the "
        f"first at row {int(np.argmax(bad))}. Impute or drop them."
    )
