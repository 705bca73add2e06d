"""A Gaussian mixture from soft memberships, in the log domain, with a Cholesky factor a component.

Explicit inverses and determinants of covariances are where implementations of DAGMM get their NaN:
a component that shrinks to a point, or that no sample belongs to. Here no probability is ever
formed, and no covariance inverted.
"""

import math
from typing import NamedTuple

import tensorflow as tf

RIDGE = 1e-4  # of each variance; float32 needs about 1e-6 to factorise four dimensions
FLOOR = 1e-6  # of a variance, for samples that are all alike


class Mixture(NamedTuple):
    """K Gaussians in d dimensions.

    Attributes:
        log_weights: float tensor (K,), logarithms of the shares, which sum to 1.
        means: float tensor (K, d).
        factors: float tensor (K, d, d), lower Cholesky factors of the covariances.
    """

    log_weights: tf.Tensor
    means: tf.Tensor
    factors: tf.Tensor


def fit_mixture(z, log_memberships):
    """The mixture whose components have the moments of the samples that belong to them.

    Each covariance gets a ridge, relative to its own variances, so that it has a Cholesky factor
    whatever the memberships are.

    Args:
        z: float tensor (N, d).
        log_memberships: float tensor (N, K), log gamma: each row's exponentials sum to 1.

    Source: Zong et al., "Deep autoencoding Gaussian mixture model for unsupervised anomaly
    detection", ICLR 2018, equation 5.
    """
    if (z.shape.rank, log_memberships.shape.rank) != (2, 2) or z.shape[0] != log_memberships.shape[
        0
    ]:
        raise ValueError(
            f"received samples of shape {tuple(z.shape)} and memberships of shape "
            f"{tuple(log_memberships.shape)}; expected (N, d) and (N, K)."
        )
    count = tf.cast(tf.shape(z)[0], z.dtype)
    log_weights = tf.reduce_logsumexp(log_memberships, 0) - tf.math.log(count)  # (K,)
    # gamma_ik / sum_i gamma_ik without the sum, which underflows where nothing belongs to k
    shares = tf.nn.softmax(log_memberships, axis=0)  # (N, K)
    means = tf.matmul(shares, z, transpose_a=True)  # (K, d)
    centred = z[:, tf.newaxis] - means  # (N, K, d)
    weighted = shares[..., tf.newaxis] * centred
    covariances = tf.einsum("nkd,nke->kde", weighted, centred)
    variances = tf.linalg.diag_part(covariances)
    ridged = (1 + RIDGE) * variances + FLOOR
    factors = tf.linalg.cholesky(tf.linalg.set_diag(covariances, ridged))
    return Mixture(log_weights, means, factors)


def energies(z, mixture):
    """-log p(z) (N,) of samples z (N, d), in nats. Source: Zong et al., equation 6."""
    centred = z[tf.newaxis] - mixture.means[:, tf.newaxis]  # (K, N, d)
    white = tf.linalg.triangular_solve(mixture.factors, tf.linalg.matrix_transpose(centred))
    distances = tf.reduce_sum(tf.square(white), 1)  # (K, N)
    log_sides = tf.reduce_sum(tf.math.log(tf.linalg.diag_part(mixture.factors)), -1)  # (K,)
    constant = 0.5 * z.shape[-1] * math.log(2 * math.pi)
    heights = mixture.log_weights - log_sides - constant
    return -tf.reduce_logsumexp(heights[:, tf.newaxis] - 0.5 * distances, 0)


def singularity(mixture):
    """The sum of 1 / variance, which DAGMM keeps small. Source: Zong et al., Section 3.4."""
    variances = tf.reduce_sum(tf.square(mixture.factors), -1)  # the diagonals of L L^T
    return tf.reduce_sum(1 / variances)
