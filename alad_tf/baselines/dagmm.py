"""DAGMM: an autoencoder whose code and errors are modelled by a mixture of Gaussians."""

import keras
import tensorflow as tf

from alad_tf.baselines.base import NeuralBaseline
from alad_tf.baselines.mixture import Mixture, energies, fit_mixture, singularity
from alad_tf.engine.random import derive_seed
from alad_tf.model.layers import PACKAGE
from alad_tf.model.networks import Stack

TINY = 1e-12  # below any squared length of float32 samples; keeps square roots differentiable
BLOCK = 4096  # training rows at a time when the mixture is fitted


@keras.saving.register_keras_serializable(package=PACKAGE)
class DAGMM(NeuralBaseline):
    """Deep autoencoding Gaussian mixture model.

    An autoencoder compresses x to a code. The code, the relative distance of x from its
    reconstruction, and their cosine similarity are modelled by a Gaussian mixture, whose
    memberships an estimation network predicts. All three networks are trained together. The score,
    "energy", is -log p under the mixture of all training rows.

    Args:
        networks: dict with the layers of "encoder", "decoder" and "estimation"; the estimation
            network's last layer returns one logit per component.
        x_shape: tuple of one int, the number of features.
        lambda_energy: float, weight of the mean energy.
        lambda_singularity: float, weight of the sum of 1 / variance.
        learning_rate, beta_1, batch_size, epochs, initializer, seed: see
            `alad_tf.baselines.base.NeuralBaseline`.

    Attributes:
        mixture: `Mixture` of the training rows, which computes the score; `calibrate` sets it.

    Raises:
        ValueError: if samples are not vectors.

    Example:
        >>> import numpy as np
        >>> from alad_tf.model.specs import dense
        >>> networks = dict(encoder=[dense(1)], decoder=[dense(5)], estimation=[dense(2)])
        >>> x = np.random.default_rng(0).normal(size=(64, 5)).astype("float32")
        >>> model = DAGMM(networks, (5,), batch_size=32, epochs=2).fit(x, verbose=0)
        >>> model.anomaly_score(x).shape
        (64,)
        >>> z, x_reconstructed = model.compress(x)
        >>> z.shape, x_reconstructed.shape
        (TensorShape([64, 3]), TensorShape([64, 5]))
        >>> model.calibrate(x)  # `fit` did that already

    Source: Zong et al., "Deep autoencoding Gaussian mixture model for unsupervised anomaly
    detection", ICLR 2018, Section 3.
    """

    method = "dagmm"
    score_names = ("energy",)
    score = "energy"
    explainable = True
    optimized = ("encoder", "decoder", "estimation")

    def __init__(
        self,
        networks,
        x_shape,
        lambda_energy=0.1,
        lambda_singularity=0.005,
        learning_rate=1e-4,
        beta_1=0.9,
        batch_size=1024,
        epochs=1,
        initializer="glorot_uniform",
        seed=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.x_shape = tuple(x_shape)
        if len(self.x_shape) != 1:
            raise ValueError(
                f"received samples of shape {self.x_shape}; DAGMM takes vectors, of shape (d,)."
            )
        self.lambdas = float(lambda_energy), float(lambda_singularity)
        width = self.x_shape[0]
        for index, name in enumerate(self.optimized):
            stack = Stack(
                networks[name], initializer=initializer, seed=derive_seed(seed, index), name=name
            )
            stack.build((None, width))
            stack.built = True
            width = stack.compute_output_shape((None, width))[-1]
            if name == "encoder":
                code = width
            width = code + 2 if name == "decoder" else width
            setattr(self, name, stack)
        self._mixture = [
            self.add_weight(name=f"mixture_{i}", shape=shape, initializer="zeros", trainable=False)
            for i, shape in enumerate([(width,), (width, code + 2), (width, code + 2, code + 2)])
        ]
        config = dict(networks=networks, x_shape=x_shape, lambda_energy=lambda_energy)
        config |= dict(lambda_singularity=lambda_singularity, learning_rate=learning_rate)
        config |= dict(beta_1=beta_1, batch_size=batch_size, epochs=epochs)
        config |= dict(initializer=initializer, seed=seed)
        self.ready(config, ("reconstruction", "energy", "singularity"))

    @property
    def mixture(self):
        """The `Mixture` of the training rows."""
        return Mixture(*(variable.value for variable in self._mixture))

    def compress(self, x):
        """The vectors that the mixture models, and the reconstructions x'.

        Args:
            x: float32 tensor (B, d), preprocessed samples.

        Returns:
            `(z, reconstruction)`: float32 tensor (B, code + 2) of the code, ||x - x'|| / ||x|| and
            the cosine of the angle between x and x'; and float32 tensor (B, d).
        """
        code = self.encoder(x)
        x_reconstructed = self.decoder(code)
        length, length_reconstructed = _length(x), _length(x_reconstructed)
        distance = _length(x - x_reconstructed) / length
        product = tf.reduce_sum(x * x_reconstructed, -1, keepdims=True)
        cosine = product / (length * length_reconstructed)
        return tf.concat([code, distance, cosine], -1), x_reconstructed

    def train_step(self, data):
        """One step of all three networks.

        Args:
            data: tuple of x, float32 (B, d), and of noise, which a step does not use.
        """
        x, *_ = data
        with tf.GradientTape() as tape:
            z, x_reconstructed = self.compress(x)
            logits = self.estimation(z, training=True, seed=self.call_seed(1))
            mixture = fit_mixture(z, tf.nn.log_softmax(logits))
            weight_energy, weight_singularity = self.lambdas
            parts = {
                "reconstruction": tf.reduce_mean(tf.reduce_sum(tf.square(x - x_reconstructed), -1)),
                "energy": weight_energy * tf.reduce_mean(energies(z, mixture)),
                "singularity": weight_singularity * singularity(mixture),
            }
            total = tf.add_n(list(parts.values()))
        self.apply_gradients(tape, total, self.optimized)
        return self.counted(parts)

    def calibrate(self, x):
        """Fit the mixture, which computes the score, to all training rows, in float64.

        Args:
            x: float array (N, d), the preprocessed training rows.
        """
        parts = [self._memberships(x[i : i + BLOCK]) for i in range(0, len(x), BLOCK)]
        z, logits = (tf.cast(tf.concat(part, 0), tf.float64) for part in zip(*parts, strict=True))
        fitted = fit_mixture(z, tf.nn.log_softmax(logits))
        for variable, value in zip(self._mixture, fitted, strict=True):
            variable.assign(tf.cast(value, tf.float32))

    @tf.function(reduce_retracing=True)
    def _memberships(self, x):
        z = self.compress(tf.cast(x, tf.float32))[0]
        return z, self.estimation(z)

    def call(self, inputs, training=False):
        """The energy (B,) and the reconstruction of preprocessed samples."""
        z, x_reconstructed = self.compress(tf.cast(inputs, tf.float32))
        return {"energy": energies(z, self.mixture), "reconstruction": x_reconstructed}


def _length(x):
    return tf.sqrt(tf.reduce_sum(tf.square(x), -1, keepdims=True) + TINY)
