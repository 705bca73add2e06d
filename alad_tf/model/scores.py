"""The four anomaly scores, computed in one place from one forward pass."""

import tensorflow as tf

from alad_tf.model.layers import softplus

SCORES = ("features", "l1", "l2", "logits")


def anomaly_scores(x, reconstruction, real_features, fake_features, fake_logits):
    """Score samples by how far they are from their reconstruction; higher is more anomalous.

    features: ||f_xx(x, x) - f_xx(x, x')||_1, the paper's A(x).  l1, l2: norms of x - x'.
    logits: -log D_xx(x, x').

    paper: log D_xx(x, x') for the logits score; here: its negative, because D_xx answers 1 for a
    pair that it takes for real, so that the paper's sign would rank normal samples highest. The
    authors' code has the sign used here.

    Args:
        x: float tensor (B, ...), preprocessed samples.
        reconstruction: float tensor of x's shape, x' = G(E(x)).
        real_features: float tensor (B, F), f_xx(x, x).
        fake_features: float tensor (B, F), f_xx(x, x').
        fake_logits: float tensor (B,), D_xx's logits of (x, x').

    Returns:
        dict of float32 tensors (B,): "features", "l1", "l2", "logits".

    Source: ALAD, Section IV-C, Algorithm 1; Section V-F for the alternatives.
    """
    if x.shape[1:] != reconstruction.shape[1:]:
        raise ValueError(
            f"received samples of shape {tuple(x.shape)} and reconstructions of shape "
            f"{tuple(reconstruction.shape)}; expected the same shape."
        )
    residual = x - reconstruction
    residual = tf.reshape(residual, (tf.shape(x)[0], -1))  # (B, d)
    return {
        "features": tf.reduce_sum(tf.abs(real_features - fake_features), axis=-1),
        "l1": tf.reduce_sum(tf.abs(residual), axis=-1),
        "l2": tf.sqrt(tf.reduce_sum(tf.square(residual), axis=-1)),
        "logits": softplus(-fake_logits),
    }


def check_score(score, known=SCORES):
    """Return a score's name; ValueError if it is unknown."""
    if score not in known:
        raise ValueError(f"received the score {score!r}; expected one of {tuple(known)}.")
    return score
