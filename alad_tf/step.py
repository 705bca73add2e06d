"""One ALAD training step: the discriminators on one batch, then G and E together on another.

Both passes run every network in training mode (batch statistics, dropout). A network's own state
(spectral norm's u, batch norm's moving statistics) advances only in the pass that trains it, once
for each call there: twice a step for D_xz, which sees real and made pairs apart because of its
batch norm, and for E, which encodes x and G(z).
"""

import tensorflow as tf

from alad_tf import losses


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
