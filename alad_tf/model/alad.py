"""ALAD: a Keras model of five networks, and what one training step does.

A step trains the discriminators on one batch, then G and E together on another. Both passes
run every network in training mode (batch statistics, dropout). A network's own state
(spectral norm's u, batch norm's moving statistics) advances only in the pass that trains it,
once for each call there: twice a step for D_xz, which sees real and generated pairs apart because
of its batch norm, and for E, which encodes x and G(z).

Shapes: x (B, d) or (B, height, width, channels), z (B, z), logits (B,).
"""

import keras
import tensorflow as tf

from alad_tf.model import losses
from alad_tf.model.layers import PACKAGE
from alad_tf.model.networks import NETWORKS, build_networks, specs_to_config
from alad_tf.model.scores import anomaly_scores
from alad_tf.model.training import SteppedModel


@keras.saving.register_keras_serializable(package=PACKAGE)
class ALAD(SteppedModel):
    """Adversarially Learned Anomaly Detection: G, E, D_xz, D_xx and D_zz, trained together.

    Args:
        networks: dict with the layers (`dense`, `conv`, ... or their config dicts) of "E", "G",
            "D_xx" and "D_zz", and under "D_xz" a dict of them by branch: "x", "z" and "joint".
        x_shape: tuple of ints, the shape of one preprocessed sample: (121,) or (32, 32, 3).
        latent_dim: int, the length of z ~ N(0, 1).
        pair_axis: int, the axis on which D_xx joins x and x' (-1, or 1 for an image's height).
        spectral_norm: bool, whether to normalise the hidden layers of E and of the discriminators.
        latent_discriminator: bool, whether to train D_zz, the third discriminator.
        initializer: "glorot_uniform" (tables) or "normal_0.01" (images).
        slope: float, LReLU's negative slope.
        ema_decay: float in [0, 1), decay of the averaged weights of E, G and D_xx, which compute
            the scores.
        seed: int; initial weights, noise, dropout and shuffling follow from it and the step count.
        dtype: Keras dtype policy of the networks, such as "mixed_bfloat16"; default: the global
            one.

    Attributes:
        E, G, D_xz, D_xx, D_zz: the networks (D_zz is None without the latent discriminator).
        ema: list of variables, the averages, in the order of `ema_sources`.
        step: int64 variable, the number of training steps so far.

    Raises:
        ValueError: if the networks do not fit the shapes; the message has both.

    Example:
        >>> import numpy as np
        >>> from alad_tf.model.specs import dense
        >>> networks = dict(
        ...     E=[dense(8, "lrelu"), dense(2)], G=[dense(8, "relu"), dense(5)],
        ...     D_xz=dict(x=[dense(8)], z=[dense(8)], joint=[dense(8, "lrelu"), dense(1)]),
        ...     D_xx=[dense(8, "lrelu"), dense(1)], D_zz=[dense(8, "lrelu"), dense(1)])
        >>> model = ALAD(networks, x_shape=(5,), latent_dim=2, seed=0)
        >>> model.compile(learning_rate=1e-4)
        >>> history = model.fit(np.zeros((64, 5), "float32"), batch_size=32, epochs=1, verbose=0)
        >>> int(model.step.value)
        2
        >>> sorted(model(tf.zeros((3, 5))))
        ['features', 'l1', 'l2', 'logits', 'reconstruction']

    Source: ALAD, Section IV and Figure 1; the order of updates follows the authors' released code.
    """

    generative_networks = ("E", "G")
    ema_networks = ("E", "G", "D_xx")  # which weights: as the authors' released code
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
        missing = sorted(set(NETWORKS) - set(networks))
        if missing:
            raise ValueError(
                f"received networks without {missing}; expected the layers of {NETWORKS}."
            )
        self._config = {
            "networks": specs_to_config(networks),
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
        """Names of the discriminators that are trained."""
        latent = self._config["latent_discriminator"]
        return ("D_xz", "D_xx", "D_zz") if latent else ("D_xz", "D_xx")

    @property
    def optimized(self):
        """Names of the networks that have an optimizer of their own."""
        return (*self.generative_networks, *self.discriminators)

    @property
    def metrics(self):
        """Keras's metrics: means of the losses over an epoch, mean score of validation rows."""
        return [self._loss_means, self._score_mean]

    def get_config(self):
        policy = keras.dtype_policies.serialize(self._policy)
        return {**super().get_config(), **self._config, "dtype": policy}

    # ------------------------------------------------------------------ steps

    def noise_shape(self, batch_size):
        """Shape of a step's noise: z for the discriminators, z for G and E."""
        return (2, batch_size, self.latent_dim)

    def train_step(self, data):
        """One training step: D_xz, D_xx and D_zz on one batch, then G and E together on the other.

        Args:
            data: tuple of two float32 tensors (B, *x_shape), from two independently shuffled
                orders, and of the step's noise, float32 (2, B, latent_dim), drawn if it is missing.

        Returns:
            dict of each network's loss before its update, averaged over the epoch so far. The
            losses of G and E both include the cycle terms; the terms of (x, x) and (z, z), which
            have no gradient with respect to G and E, are those of the discriminators' batch.

        Source: ALAD, Section IV; two batches a step as in the authors' released code.
        """
        x_d, x_g, noise = self.with_noise(data)
        z_d, z_g = tf.unstack(noise)  # (B, z) each
        parts, constant = train_discriminators(self, x_d, z_d)
        found = train_generator_encoder(self, x_g, z_g)
        self.update_ema()
        cycles = constant + found["cycle_x"] + found.get("cycle_z", 0.0)
        return self.counted({**parts, "G": found["G"] + cycles, "E": found["E"] + cycles})

    def test_step(self, data):
        """Mean features score of validation rows under the averaged weights."""
        x = data[0] if isinstance(data, tuple) else data
        self._score_mean.update_state(self(x)["features"])
        return {"score": self._score_mean.result()}

    def call(self, inputs, training=False):
        """Scores (B,) and reconstruction (B, *x_shape) under the averaged weights, as a dict."""
        x = tf.cast(inputs, tf.float32)
        z = tf.reshape(self.call_averaged("E", x), (-1, self.latent_dim))  # (B, z)
        reconstruction = tf.reshape(self.call_averaged("G", z), (-1, *self.x_shape))
        logits, features = self.call_averaged("D_xx", x, reconstruction, both=True)
        real, fake = tf.split(features, 2)  # (B, F) of (x, x), of (x, x')
        scores = anomaly_scores(x, reconstruction, real, fake, tf.split(logits, 2)[1])
        return {**scores, "reconstruction": reconstruction}


def train_discriminators(model, x, z):
    """Update D_xz, D_xx and D_zz, each by its own Adam: max over them of V (Section IV).

    Returns:
        `(parts, constant)`: dict of the discriminators' losses before the update, and the terms of
        (x, x) and (z, z) that G's and E's losses hold without a gradient.
    """
    call = Calls(model, first=1, frozen=model.generative_networks)
    encoded = call.encode(x)  # E(x): (B, z)
    generated, cycle_x = call.generate_both(z, encoded)  # G(z), G(E(x)): x's shape
    cycle_z = call.encode(generated) if model.D_zz is not None else None  # E(G(z)): (B, z)
    with model.tape(model.discriminators) as tape:
        xz_real = call(model.D_xz, x, encoded)  # (B,), as all logits
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
    """Update G and E, each by its own Adam, from one backward pass: min of V (Section IV).

    Returns:
        dict of `losses.generator_encoder_losses`, before the update.
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
        model: a `SteppedModel`.
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
        both = self.run(G, tf.concat([z, encoded], 0), calls=2)  # (2B, ...)
        return tf.split(tf.reshape(both, shape), 2)

    def __call__(self, discriminator, a, b, **options):
        return self.run(discriminator, a, b, **options)[0]

    def pairs(self, discriminator, a, b):
        """Logits of (a, a) and of (a, b), in one pass where they share the first product."""
        if discriminator.has_batch_norm or not discriminator.shares:
            return self(discriminator, a, a), self(discriminator, a, b)
        return tf.split(self.run(discriminator, a, b, both=True)[0], 2)
