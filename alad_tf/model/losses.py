"""The three games of ALAD as pure functions: logits in, scalars out.

Every game is a binary classification by sigmoid cross-entropy. D learns label 1 for real pairs and
label 0 for those that hold what the networks generated:

    D_xz: (x, E(x)) -> 1, (G(z), z) -> 0      D_xx: (x, x) -> 1, (x, G(E(x))) -> 0
    D_zz: (z, z) -> 1, (z, E(G(z))) -> 0

paper: `1 - log D` in V(D, E, G); here: log(1 - D), because the former is a misprint (Goodfellow et
al.'s objective, which the paper cites, has the latter). paper: G and E minimise V itself; here: the
same cross-entropies with swapped labels (the non-saturating form), as the authors' code does.
"""

import tensorflow as tf


def cross_entropy(logits, label):
    """Mean sigmoid cross-entropy of logits (B,) against one label, 1 or 0, in nats: a scalar."""
    if label not in (0, 1):
        raise ValueError(f"received label={label!r}; expected 0 or 1.")
    if logits.shape.rank != 1:
        raise ValueError(f"received logits of shape {tuple(logits.shape)}; expected (B,).")
    return tf.reduce_mean(tf.nn.softplus(-logits if label else logits))


def discriminator_loss(real, fake):
    """One discriminator's loss in its game: real pairs towards 1, generated pairs towards 0.

    Args:
        real: float tensor (B,), logits of (x, E(x)), (x, x) or (z, z).
        fake: float tensor (B,), logits of (G(z), z), (x, G(E(x))) or (z, E(G(z))).

    Source: ALAD, Section IV, V(D_xz, E, G), V(D_xx, E, G), V(D_zz, E, G).
    """
    if real.shape != fake.shape:
        raise ValueError(
            f"received logits of shape {tuple(real.shape)} for real pairs and "
            f"{tuple(fake.shape)} for generated pairs; expected the same shape."
        )
    return cross_entropy(real, 1) + cross_entropy(fake, 0)


def generator_encoder_losses(xz_real, xz_fake, xx_fake, zz_fake=None):
    """What G and E minimise, by part: the games with swapped labels.

    G gets gradients from "G" and the cycles, E from "E" and the cycles, so that one backward pass
    of the sum gives both networks the gradients of their own losses. The swapped terms of (x, x)
    and (z, z) hold neither G nor E; `constant_terms` reports them.

    Args:
        xz_real: float tensor (B,), D_xz's logits of (x, E(x)).
        xz_fake: float tensor (B,), D_xz's logits of (G(z), z).
        xx_fake: float tensor (B,), D_xx's logits of (x, G(E(x))).
        zz_fake: float tensor (B,), D_zz's logits of (z, E(G(z))); None without D_zz.

    Returns:
        dict of float scalars: "G", "E", "cycle_x" and, with D_zz, "cycle_z".

    Source: ALAD, Section IV-B, V(D_xz, D_xx, D_zz, E, G).
    """
    parts = {
        "G": cross_entropy(xz_fake, 1),
        "E": cross_entropy(xz_real, 0),
        "cycle_x": cross_entropy(xx_fake, 1),
    }
    if zz_fake is not None:
        parts["cycle_z"] = cross_entropy(zz_fake, 1)
    return parts


def constant_terms(xx_real, zz_real=None):
    """The swapped-label terms of (x, x) and (z, z): in G's and E's loss, without gradient."""
    loss = cross_entropy(xx_real, 0)
    return loss if zz_real is None else loss + cross_entropy(zz_real, 0)
