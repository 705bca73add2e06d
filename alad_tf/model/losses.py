"""The three games of ALAD as pure functions: logits in, scalars out.

Every game is a binary classification by sigmoid cross-entropy. D learns label 1 for the pairs that
hold data and label 0 for those that hold what the networks made:

    D_xz: (x, E(x)) -> 1, (G(z), z) -> 0      D_xx: (x, x) -> 1, (x, G(E(x))) -> 0
    D_zz: (z, z) -> 1, (z, E(G(z))) -> 0

paper: `1 - log D` in V(D, E, G); here: log(1 - D), because the former is a misprint (Goodfellow et
al.'s objective, which the paper cites, has the latter). paper: G and E minimise V itself; here: the
same cross-entropies with swapped labels (the non-saturating form), as the authors' code does.
"""

import tensorflow as tf


def cross_entropy(logits, label):
    """Mean sigmoid cross-entropy of logits against one label.

    Args:
        logits: float tensor (B,).
        label: int, 1 or 0, for every row.

    Returns:
        float scalar, in nats: mean of -log sigmoid(logits) for 1, of -log(1 - sigmoid) for 0.

    Raises:
        ValueError: a label other than 0 and 1, or logits that are not a vector.

    Example:
        >>> round(float(cross_entropy(tf.zeros(4), 1)), 4)
        0.6931

    Source: ALAD, Section IV-A, V(D_xz, E, G).
    """
    if label not in (0, 1):
        raise ValueError(f"label must be 0 or 1; received {label!r}.")
    if logits.shape.rank != 1:
        raise ValueError(f"logits must have shape (B,); received {tuple(logits.shape)}.")
    return tf.reduce_mean(tf.nn.softplus(-logits if label else logits))


def discriminator_loss(real, fake):
    """One discriminator's loss in its game: real pairs towards 1, made pairs towards 0.

    Args:
        real: float tensor (B,), logits of (x, E(x)), (x, x) or (z, z).
        fake: float tensor (B,), logits of (G(z), z), (x, G(E(x))) or (z, E(G(z))).

    Returns:
        float scalar.

    Raises:
        ValueError: logits that are not vectors of one length.

    Example:
        >>> round(float(discriminator_loss(tf.zeros(4), tf.zeros(4))), 4)
        1.3863

    Source: ALAD, Section IV, V(D_xz, E, G), V(D_xx, E, G), V(D_zz, E, G).
    """
    if real.shape != fake.shape:
        raise ValueError(
            f"Logits of real and made pairs must have one shape; received real "
            f"{tuple(real.shape)} and made {tuple(fake.shape)}."
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

    Raises:
        ValueError: logits that are not vectors.

    Example:
        >>> sorted(generator_encoder_losses(tf.zeros(2), tf.zeros(2), tf.zeros(2)))
        ['E', 'G', 'cycle_x']

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
    """The swapped-label terms of (x, x) and (z, z): in G's and E's loss, without gradient.

    Args:
        xx_real: float tensor (B,), D_xx's logits of (x, x).
        zz_real: float tensor (B,), D_zz's logits of (z, z); None without D_zz.

    Returns:
        float scalar.

    Raises:
        ValueError: logits that are not vectors.

    Example:
        >>> round(float(constant_terms(tf.zeros(2))), 4)
        0.6931

    Source: the authors' released code; ALAD, Section IV.
    """
    loss = cross_entropy(xx_real, 0)
    return loss if zz_real is None else loss + cross_entropy(zz_real, 0)
