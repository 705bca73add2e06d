"""The ALAD model: five networks, five optimizers, one compiled training step."""

import keras
import tensorflow as tf

from alad_tf.architecture import build_networks, rows_to_config
from alad_tf.averages import AveragedWeights
from alad_tf.layers import PACKAGE
from alad_tf.scores import anomaly_scores
from alad_tf.step import train_discriminators, train_generator_encoder
from alad_tf.stepped import SteppedModel


@keras.saving.register_keras_serializable(package=PACKAGE)
class ALAD(AveragedWeights, SteppedModel):
    """Adversarially Learned Anomaly Detection: G, E, D_xz, D_xx and D_zz, trained together.

    Args:
        networks: dict with the rows (`Row` or their config dicts) of "E", "G", "D_xx" and "D_zz",
            and under "D_xz" a dict of rows with the keys "x", "z" and "joint".
        x_shape: tuple of ints, the shape of one preprocessed sample: (121,) or (32, 32, 3).
        latent_dim: int, the length of z ~ N(0, 1).
        pair_axis: int, the axis on which D_xx joins x and x' (-1, or 1 for an image's height).
        spectral_norm: bool, normalise the hidden layers of E and of the discriminators.
        latent_discriminator: bool, play the third game, D_zz's.
        initializer: "glorot_uniform" (tables) or "normal_0.01" (images).
        slope: float, LReLU's negative slope.
        ema_decay: float in [0, 1), decay of the averaged weights of E, G and D_xx, which score.
        seed: int; initial weights, noise, dropout and shuffling follow from it and the step count.
        dtype: Keras dtype policy of the networks, e.g. "mixed_bfloat16"; default the global one.

    Attributes:
        E, G, D_xz, D_xx, D_zz: the networks (D_zz is None without the latent discriminator).
        ema: list of variables, the averages, in the order of `ema_sources`.
        step: int64 variable, the number of training steps so far.

    Raises:
        ValueError: networks that do not fit the shapes, with both shapes in the message.

    Example:
        >>> import numpy as np
        >>> from alad_tf.rows import dense
        >>> rows = dict(
        ...     E=[dense(8, "lrelu"), dense(2)], G=[dense(8, "relu"), dense(5)],
        ...     D_xz=dict(x=[dense(8)], z=[dense(8)], joint=[dense(8, "lrelu"), dense(1)]),
        ...     D_xx=[dense(8, "lrelu"), dense(1)], D_zz=[dense(8, "lrelu"), dense(1)])
        >>> model = ALAD(rows, x_shape=(5,), latent_dim=2, seed=0)
        >>> model.compile(learning_rate=1e-4)
        >>> history = model.fit(np.zeros((64, 5), "float32"), batch_size=32, epochs=1, verbose=0)
        >>> int(model.step.value)
        2
        >>> sorted(model(tf.zeros((3, 5))))
        ['features', 'l1', 'l2', 'logits', 'reconstruction']

    Source: ALAD, Section IV and Figure 1; the order of updates follows the authors' released code.
    """

    generative_networks = ("E", "G")
    orders = 2  # the discriminators' batch, and G's and E's

    def __init__(
        self,
        networks,
        x_shape,
        latent_dim,
        pair_axis=-1,
        spectral_norm=True,
        latent_discriminator=True,
        initializer="glorot_uniform",
        slope=0.2,
        ema_decay=0.999,
        seed=0,
        dtype=None,
        **kwargs,
    ):
        self._policy = keras.dtype_policies.get(dtype)
        # The networks compute by the policy. The model's own work (averages, scores, sums) is in
        # the variables' type, and Keras must not cast what it reads.
        super().__init__(dtype=self._policy.variable_dtype, **kwargs)
        self._config = {
            "networks": rows_to_config(networks),
            "x_shape": [int(side) for side in x_shape],
            "latent_dim": int(latent_dim),
            "pair_axis": int(pair_axis),
            "spectral_norm": bool(spectral_norm),
            "latent_discriminator": bool(latent_discriminator),
            "initializer": initializer,
            "slope": float(slope),
            "ema_decay": float(ema_decay),
            "seed": int(seed),
        }
        self.x_shape = tuple(self._config["x_shape"])
        self.latent_dim = self._config["latent_dim"]
        self.ema_decay = self._config["ema_decay"]
        networks = build_networks(self._config, self._policy)
        self.E, self.G = networks["E"], networks["G"]
        self.D_xz, self.D_xx, self.D_zz = (networks[name] for name in ("D_xz", "D_xx", "D_zz"))
        self.make_averages()
        self._score_mean = keras.metrics.Mean(name="score")
        self.make_steps(seed, (*self.discriminators, "G", "E"))

    @property
    def discriminators(self):
        """Names of the discriminators in play."""
        latent = self._config["latent_discriminator"]
        return ("D_xz", "D_xx", "D_zz") if latent else ("D_xz", "D_xx")

    @property
    def optimized(self):
        """Names of the networks with an Adam of their own."""
        return (*self.generative_networks, *self.discriminators)

    @property
    def metrics(self):
        """Keras's metrics: means of the losses over an epoch, mean score of validation rows."""
        return [self._loss_means, self._score_mean]

    def fit(self, x=None, batch_size=32, epochs=1, initial_epoch=0, **kwargs):
        """Train on normal samples.

        Args:
            x: array or tensor (N, *x_shape), or a `PairedBatches`, or a `tf.data.Dataset` of pairs
                of batches (x for the discriminators, x for G and E).
            batch_size: int; the last incomplete batch of an epoch is skipped.
            epochs, initial_epoch, **kwargs: as for `keras.Model.fit`. For an exact resume give the
                number of epochs that the restored weights had finished.

        Returns:
            `keras.callbacks.History`. Each network's loss is a mean over the epoch's steps, taken
            before the network's update; "loss" is their sum. G's and E's hold the cycle terms, each
            in full; the terms of (x, x) and (z, z), which have no gradient into G and E, are those
            of the discriminators' batch.

        Raises:
            ValueError: samples of another shape, fewer than a batch, or not finite.

        Source: the authors' released code: two independently shuffled batches a step.
        """
        return super().fit(x, batch_size, epochs, initial_epoch, **kwargs)

    def get_config(self):
        policy = keras.dtype_policies.serialize(self._policy)
        return {**super().get_config(), **self._config, "dtype": policy}

    # ------------------------------------------------------------------ steps

    def noise_shape(self, batch_size):
        """Shape of a step's noise: z for the discriminators, z for G and E."""
        return (2, batch_size, self.latent_dim)

    def learn(self, x_d, x_g, noise):
        """D_xz, D_xx and D_zz learn from one batch, then G and E together from the other.

        Args:
            x_d, x_g: float32 tensors (B, *x_shape), the two batches.
            noise: float32 tensor (2, B, latent_dim).
        """
        z_d, z_g = tf.unstack(noise)
        parts, constant = train_discriminators(self, x_d, z_d)
        made = train_generator_encoder(self, x_g, z_g)
        self.update_ema()
        cycles = constant + made["cycle_x"] + made.get("cycle_z", 0.0)
        return {**parts, "G": made["G"] + cycles, "E": made["E"] + cycles}

    def test_step(self, data):
        """Mean features score of validation rows under the averaged weights."""
        x = data[0] if isinstance(data, tuple) else data
        self._score_mean.update_state(self(x)["features"])
        return {"score": self._score_mean.result()}

    def call(self, inputs, training=False):
        """Scores and reconstruction under the averaged weights, as inference sees them.

        Args:
            inputs: float tensor (B, *x_shape), preprocessed samples.
            training: ignored; the training mode of the networks belongs to `train_step`.

        Returns:
            dict of the four scores (B,) and "reconstruction" (B, *x_shape).
        """
        x = tf.cast(inputs, tf.float32)
        z = tf.reshape(self.call_averaged("E", x), (-1, self.latent_dim))
        reconstruction = tf.reshape(self.call_averaged("G", z), (-1, *self.x_shape))
        logits, features = self.call_averaged("D_xx", x, reconstruction, both=True)
        real, fake = tf.split(features, 2)  # of (x, x), of (x, x')
        scores = anomaly_scores(x, reconstruction, real, fake, tf.split(logits, 2)[1])
        return {**scores, "reconstruction": reconstruction}
