"""ALAD: a Keras model of five networks, what one training step does, and what it averages.

A step trains the discriminators on one batch, then G and E together on another. Both passes
run every network in training mode (batch statistics, dropout). A network's own state
(spectral norm's u, batch norm's moving statistics) advances only in the pass that trains it,
once for each call there: twice a step for D_xz, which sees real and made pairs apart because
of its batch norm, and for E, which encodes x and G(z).
"""

import keras
import tensorflow as tf

from alad_tf.model import losses
from alad_tf.model.layers import PACKAGE
from alad_tf.model.networks import build_networks, rows_to_config
from alad_tf.model.scores import anomaly_scores
from alad_tf.model.training import SteppedModel


class AveragedWeights:
    """The part of `ALAD` that keeps the averages and calls networks with them.

    It expects a Keras model with the networks E, G and D_xx and a float `ema_decay`. Batch norm's
    moving statistics are not averaged: they are taken as they are.

    Attributes:
        ema: list of variables, the averages, in the order of `ema_sources`.

    Source: ALAD, appendix ("exponential moving average for inference with a decay of 0.999");
    which weights: the authors' released code.
    """

    ema_networks = ("E", "G", "D_xx")

    def make_averages(self):
        """Create the averages, equal to the weights they start from."""
        self.ema = [
            self.add_weight(
                name=f"ema_{index}",
                shape=source.shape,
                initializer=lambda shape, dtype, v=source: tf.identity(v.value),
                trainable=False,
                autocast=False,
            )
            for index, source in enumerate(self.ema_sources)
        ]

    @property
    def ema_sources(self):
        """The variables that are averaged: the trainable weights of E, G and D_xx."""
        return [v for n in self.ema_networks for v in getattr(self, n).trainable_variables]

    def call_averaged(self, name, *inputs, **options):
        """Call E, G or D_xx in inference mode with its averaged weights."""
        network = getattr(self, name)
        weights = [v.value for v in self.averaged_weights(name)]
        state = [v.value for v in network.non_trainable_variables]
        return network.stateless_call(weights, state, *inputs, training=False, **options)[0]

    def averaged_weights(self, name):
        """The averages of one network's trainable weights, in the network's own order."""
        start = 0
        for other in self.ema_networks:
            size = len(getattr(self, other).trainable_variables)
            if other == name:
                return self.ema[start : start + size]
            start += size
        raise ValueError(f"{name} is not averaged; the averaged networks are {self.ema_networks}.")

    def update_ema(self):
        """One step of the averages: ema <- decay * ema + (1 - decay) * weight."""
        for average, source in zip(self.ema, self.ema_sources, strict=True):
            average.assign(self.ema_decay * average.value + (1 - self.ema_decay) * source.value)


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
        >>> from alad_tf.model.specs import dense
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


def train_discriminators(model, x, z):
    """Update D_xz, D_xx and D_zz, each by its own Adam.

    Args:
        model: a compiled `ALAD`.
        x: float32 tensor (B, ...), the discriminators' batch.
        z: float32 tensor (B, latent), their noise.

    Returns:
        `(parts, constant)`: dict of the discriminators' losses before the update, and the terms of
        (x, x) and (z, z) that G's and E's losses hold without a gradient.

    Source: ALAD, Section IV: max over D_xz, D_xx, D_zz of V.
    """
    call = Calls(model, first=1, frozen=model.generative_networks)
    encoded = call.encode(x)
    generated, cycle_x = call.generate_both(z, encoded)
    cycle_z = call.encode(generated) if model.D_zz is not None else None
    with model.tape(model.discriminators) as tape:
        xz_real = call(model.D_xz, x, encoded)
        xz_fake = call(model.D_xz, generated, z)
        xx_real, xx_fake = call.pairs(model.D_xx, x, cycle_x)
        parts = {
            "D_xz": losses.discriminator_loss(xz_real, xz_fake),
            "D_xx": losses.discriminator_loss(xx_real, xx_fake),
        }
        zz_real = None
        if model.D_zz is not None:
            zz_real, zz_fake = call.pairs(model.D_zz, z, cycle_z)
            parts["D_zz"] = losses.discriminator_loss(zz_real, zz_fake)
        total = tf.add_n(list(parts.values()))  # no weight is in two parts: one backward pass
    model.apply_gradients(tape, total, model.discriminators)
    return parts, losses.constant_terms(xx_real, zz_real)


def train_generator_encoder(model, x, z):
    """Update G and E, each by its own Adam, from one backward pass.

    Args:
        model: a compiled `ALAD`.
        x: float32 tensor (B, ...), G's and E's batch.
        z: float32 tensor (B, latent), their noise.

    Returns:
        dict of `losses.generator_encoder_losses`, before the update.

    Source: ALAD, Section IV: min over G, E of V; non-saturating as in the authors' code.
    """
    call = Calls(model, first=100, frozen=model.discriminators)
    with model.tape(model.generative_networks) as tape:
        encoded = call.encode(x)
        generated, cycle_x = call.generate_both(z, encoded)
        xz_real = call(model.D_xz, x, encoded, by_parts=True)
        xz_fake = call(model.D_xz, generated, z, by_parts=True)
        xx_fake = call(model.D_xx, x, cycle_x, by_parts=True)
        zz_fake = None
        if model.D_zz is not None:
            zz_fake = call(model.D_zz, z, call.encode(generated), by_parts=True)
        parts = losses.generator_encoder_losses(xz_real, xz_fake, xx_fake, zz_fake)
        total = tf.add_n(list(parts.values()))
    model.apply_gradients(tape, total, model.generative_networks)
    return parts


class Calls:
    """Calls networks in training mode, each call with dropout masks of its own.

    Args:
        model: the `ALAD`.
        first: int, the number of the first call (0 is the noise; each pass has its own range).
        frozen: names of the networks whose u and moving statistics this pass leaves alone.
    """

    def __init__(self, model, first, frozen):
        self.model, self.next = model, first
        self.frozen = [getattr(model, name) for name in frozen]

    def run(self, network, *inputs, calls=1, **options):
        options = {"training": True, "seed": self.model.call_seed(self.next), **options}
        self.next += calls
        if not any(network is other for other in self.frozen):
            return network(*inputs, **options)
        trainable = [v.value for v in network.trainable_variables]
        state = [v.value for v in network.non_trainable_variables]
        return network.stateless_call(trainable, state, *inputs, **options)[0]

    def encode(self, x):
        return tf.reshape(self.run(self.model.E, x), (-1, self.model.latent_dim))

    def generate_both(self, z, encoded):
        """G(z) and G(E(x)), in one call where no batch statistics mix them."""
        G, shape = self.model.G, (-1, *self.model.x_shape)
        if G.has_batch_norm:
            return [tf.reshape(self.run(G, codes), shape) for codes in (z, encoded)]
        made = self.run(G, tf.concat([z, encoded], 0), calls=2)
        return tf.split(tf.reshape(made, shape), 2)

    def __call__(self, discriminator, a, b, **options):
        return self.run(discriminator, a, b, **options)[0]

    def pairs(self, discriminator, a, made):
        """Logits of (a, a) and of (a, made), in one pass where they share the first product."""
        if discriminator.has_batch_norm or not discriminator.shares:
            return self(discriminator, a, a), self(discriminator, a, made)
        return tf.split(self.run(discriminator, a, made, both=True)[0], 2)
