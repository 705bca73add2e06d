"""AnoGAN: a GAN of normal samples, and for each test sample a search for its latent code."""

import functools
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from alad_tf.baselines.base import NeuralBaseline, distinct_rows
from alad_tf.baselines.latent_search import LatentSearch
from alad_tf.engine.programs import check_samples
from alad_tf.engine.progress import track
from alad_tf.engine.random import derive_seed
from alad_tf.model import losses
from alad_tf.model.alad import Calls
from alad_tf.model.layers import PACKAGE
from alad_tf.model.networks import Discriminator, Stack

WEIGHTS = (0.1, 0.9)  # of the reconstruction: in the code of ALAD's authors, and in AnoGAN's paper


@keras.saving.register_keras_serializable(package=PACKAGE)
class AnoGAN(NeuralBaseline):
    """A GAN whose latent space is searched for each sample; the remaining misfit is the score.

    Scores: "weight_0.1" and "weight_0.9", w * ||x - G(z)||_1 + (1 - w) * ||f(x) - f(G(z))||_1 at
    the z at which the search with the same w ends.

    Args:
        networks: dict with the layers of "G" and "D".
        x_shape: tuple of ints, the shape of one preprocessed sample.
        latent_dim: int, the length of z ~ N(0, 1).
        search_steps: int, the number of Adam steps of a search.
        search_rate: float, the learning rate of a search.
        ema_decay: float in [0, 1), decay of the averaged weights of G and D, which compute the
            scores.
        slope: float, LReLU's negative slope.
        learning_rate, beta_1, batch_size, epochs, initializer, seed: see
            `alad_tf.baselines.base.NeuralBaseline`.

    Example:
        >>> import numpy as np
        >>> from alad_tf.model.specs import dense
        >>> networks = dict(G=[dense(8, "relu"), dense(5)], D=[dense(8, "lrelu"), dense(1)])
        >>> x = np.random.default_rng(0).normal(size=(64, 5)).astype("float32")
        >>> model = AnoGAN(networks, (5,), 2, search_steps=5, batch_size=32, epochs=2)
        >>> sorted(model.fit(x, verbose=0).scores(x))
        ['weight_0.1', 'weight_0.9']
        >>> model.reconstruct(x[:3]).shape, model.graph()(x[:3])["weight_0.1"].shape
        ((3, 5), TensorShape([3]))

    Source: Schlegl et al., "Unsupervised Anomaly Detection with Generative Adversarial Networks to
    Guide Marker Discovery", IPMI 2017; ALAD, Section V-B, Tables X and XII.
    """

    method = "anogan"
    score_names = tuple(f"weight_{weight}" for weight in WEIGHTS)
    score = "weight_0.1"
    optimized = ema_networks = ("G", "D")

    def __init__(
        self,
        networks,
        x_shape,
        latent_dim,
        search_steps=500,
        search_rate=1e-3,
        ema_decay=0.999,
        slope=0.2,
        learning_rate=1e-5,
        beta_1=0.5,
        batch_size=50,
        epochs=1,
        initializer="glorot_uniform",
        seed=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.x_shape, self.latent_dim = tuple(x_shape), int(latent_dim)
        self.ema_decay = float(ema_decay)
        options = {"initializer": initializer, "slope": slope}
        self.G = Stack(networks["G"], name="G", seed=derive_seed(seed, 0), **options)
        self.D = Discriminator(networks["D"], name="D", seed=derive_seed(seed, 1), **options)
        for network, shape in ((self.G, (self.latent_dim,)), (self.D, self.x_shape)):
            network.build((None, *shape))
            network.built = True
        self.make_averages()
        config = dict(networks=networks, x_shape=x_shape, latent_dim=latent_dim)
        config |= dict(search_steps=search_steps, search_rate=search_rate, ema_decay=ema_decay)
        config |= dict(slope=slope, learning_rate=learning_rate, beta_1=beta_1, seed=seed)
        config |= dict(batch_size=batch_size, epochs=epochs, initializer=initializer)
        self.ready(config, ("G", "D"))

    def noise_shape(self, batch_size):
        """Shape of a step's noise: z for D's update, z for G's."""
        return (2, batch_size, self.latent_dim)

    def train_step(self, data):
        """D learns to tell x from G(z), then G learns to deceive D.

        Args:
            data: tuple of x, float32 (B, *x_shape), and of noise, float32 (2, B, latent_dim).
        """
        x, noise = self.with_noise(data)
        z_d, z_g = tf.unstack(noise)
        call = Calls(self, first=1, frozen=("G",))
        generated = tf.reshape(call.run(self.G, z_d), x.shape)
        with tf.GradientTape() as tape:
            real, fake = call.run(self.D, x)[0], call.run(self.D, generated)[0]
            loss_d = losses.discriminator_loss(real, fake)
        self.apply_gradients(tape, loss_d, ("D",))
        call = Calls(self, first=100, frozen=("D",))
        with tf.GradientTape() as tape:
            generated = tf.reshape(call.run(self.G, z_g), x.shape)
            loss_g = losses.cross_entropy(call.run(self.D, generated)[0], 1)
        self.apply_gradients(tape, loss_g, ("G",))
        self.update_ema()
        return self.counted({"G": loss_g, "D": loss_d})

    def call(self, inputs, training=False):
        """D's logits (B,) of preprocessed samples under the averaged weights."""
        return self.call_averaged("D", tf.cast(inputs, tf.float32))[0]

    @functools.cached_property
    def searches(self):
        """A `LatentSearch` by score name."""
        return {
            name: LatentSearch(
                functools.partial(self.call_averaged, "G"),
                functools.partial(self.call_averaged, "D"),
                self.x_shape,
                self.latent_dim,
                weight,
                self._config["search_steps"],
                self._config["search_rate"],
                derive_seed(self.seed, 2),
            )
            for name, weight in zip(self.score_names, WEIGHTS, strict=True)
        }

    def scores(self, x):
        """Both scores, by two searches of each distinct row.

        Rows are searched in blocks of equal size, the last one filled with zeros.

        Args:
            x: float array (N, *x_shape), preprocessed, finite.

        Returns:
            dict of float32 arrays (N,) by score name; higher is more anomalous.

        Raises:
            ValueError: if there are no rows, the shape differs, or values are not finite.
        """
        return {name: self._search(name, x)["score"] for name in self.searches}

    def reconstruct(self, x):
        """G(z) for the codes z that the search for the deciding score found.

        Args:
            x: float array (N, *x_shape), preprocessed, finite.

        Returns:
            float32 array (N, *x_shape).
        """
        z = self._search(self.score, x)["z"]
        generated = [
            self.call_averaged("G", z[i : i + self.block]) for i in range(0, len(z), self.block)
        ]
        return np.concatenate(generated).reshape(-1, *self.x_shape)

    def graph(self):
        """The scores and the reconstruction as a plain graph, for exports.

        Returns:
            `SearchGraph`, a `tf.Module`.
        """
        return SearchGraph(self)

    def _search(self, name, x):
        """The codes and misfits of an array's rows: dict of float32 arrays "z" and "score"."""
        rows, inverse, _ = distinct_rows(check_samples(x, self.x_shape))
        found = {"z": [], "score": []}
        starts = range(0, len(rows), self.block)
        for start in track(starts, f"searching codes, {name}", self.console):
            block = rows[start : start + self.block]
            filled = np.zeros((self.block, *self.x_shape), "float32")
            filled[: len(block)] = block
            searched = self.searches[name](filled)
            for key, parts in found.items():
                parts.append(searched[key][: len(block)])
        return {key: np.concatenate(parts)[inverse] for key, parts in found.items()}


class SearchGraph(tf.Module):
    """AnoGAN's searches as a TensorFlow graph of preprocessed samples (B, *x_shape).

    Returns a mapping with the scores (B,) and "reconstruction" (B, *x_shape). A search is only part
    of the graph if its answer is used.
    """

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.held = [v.value for v in model.variables]

    def __call__(self, x):
        return _Searched(self.model, x)


class _Searched(Mapping):
    """Answers by name, each by a search that begins when it is read."""

    def __init__(self, model, x):
        self.model, self.x = model, x

    def __getitem__(self, name):
        if name != "reconstruction":
            return self.model.searches[name].uncompiled(self.x)["score"]
        z = self.model.searches[self.model.score].uncompiled(self.x)["z"]
        return tf.reshape(self.model.call_averaged("G", z), (-1, *self.model.x_shape))

    def __iter__(self):
        return iter((*self.model.score_names, "reconstruction"))

    def __len__(self):
        return len(self.model.score_names) + 1
