"""DSEBM: an energy whose gradient reconstructs samples, trained by denoising score matching."""

import keras
import tensorflow as tf

from alad_tf.baselines.base import NeuralBaseline
from alad_tf.engine.random import derive_seed
from alad_tf.model.layers import PACKAGE
from alad_tf.model.networks import Stack


class Energy(keras.layers.Layer):
    """E(x) = 0.5 ||x - b'||^2 - sum_j f_j(x).

    Args:
        specs: sequence of `LayerSpec`, f's layers (softplus).
        **options: as for `Stack`.

    Call arguments:
        x: float tensor (B, ...).

    Returns:
        float tensor (B,).
    """

    def __init__(self, specs, **options):
        super().__init__(autocast=False, name=options["name"])
        self.f = Stack(specs, last_is_output=False, **{**options, "name": "f"})

    def build(self, input_shape):
        self.offset = self.add_weight(name="offset", shape=input_shape[1:], initializer="zeros")
        self.f.build(input_shape)

    def call(self, x):
        count = tf.shape(x)[0]
        distance = tf.reduce_sum(tf.reshape(tf.square(x - self.offset), (count, -1)), -1)
        return 0.5 * distance - tf.reduce_sum(tf.reshape(self.f(x), (count, -1)), -1)


@keras.saving.register_keras_serializable(package=PACKAGE)
class DSEBM(NeuralBaseline):
    """Deep structured energy-based model.

    A sample is corrupted by normal noise, and one step down the energy, r(x) = x - dE/dx, should
    undo this. The step runs the layers backwards with the same weights, as a tied-weight
    autoencoder. Scores: "energy" (DSEBM-e), E(x); "reconstruction_error" (DSEBM-r), ||x - r(x)||_2.

    Args:
        networks: dict with the layers of "f".
        x_shape: tuple of ints, the shape of one preprocessed sample.
        noise: float, standard deviation of the corruption.
        learning_rate, beta_1, batch_size, epochs, initializer, seed: see
            `alad_tf.baselines.base.NeuralBaseline`.

    Example:
        >>> import numpy as np
        >>> from alad_tf.model.specs import dense
        >>> x = np.random.default_rng(0).normal(size=(64, 5)).astype("float32")
        >>> model = DSEBM(dict(f=[dense(8, "softplus")]), (5,), batch_size=32, epochs=2)
        >>> sorted(model.fit(x, verbose=0).scores(x))
        ['energy', 'reconstruction_error']
        >>> energy, slope = model.field(tf.constant(x))
        >>> energy.shape, slope.shape
        (TensorShape([64]), TensorShape([64, 5]))

    Source: Zhai et al., "Deep structured energy based models for anomaly detection", ICML 2016,
    Sections 3 and 4; ALAD, Section V-B and appendix A.
    """

    method = "dsebm"
    score_names = ("energy", "reconstruction_error")
    score = "energy"
    explainable = True
    optimized = ("energy",)

    def __init__(
        self,
        networks,
        x_shape,
        noise=1.0,
        learning_rate=1e-4,
        beta_1=0.9,
        batch_size=100,
        epochs=1,
        initializer="glorot_uniform",
        seed=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.x_shape, self.sigma = tuple(x_shape), float(noise)
        self.energy = Energy(
            networks["f"], name="energy", initializer=initializer, seed=derive_seed(seed, 0)
        )
        self.energy.build((None, *self.x_shape))
        self.energy.built = True
        config = dict(networks=networks, x_shape=x_shape, noise=noise, learning_rate=learning_rate)
        config |= dict(beta_1=beta_1, batch_size=batch_size, epochs=epochs)
        self.ready({**config, "initializer": initializer, "seed": seed}, ("denoising",))

    def field(self, x):
        """E(x) and its gradient with respect to x.

        Args:
            x: float32 tensor (B, *x_shape), preprocessed samples.

        Returns:
            `(energy, slope)`: float32 tensors (B,) and (B, *x_shape).
        """
        with tf.GradientTape() as tape:
            tape.watch(x)
            energy = self.energy(x)
        return energy, tape.gradient(energy, x)

    def noise_shape(self, batch_size):
        """Shape of a step's noise: the corruption of a batch."""
        return (batch_size, *self.x_shape)

    def train_step(self, data):
        """One step of E: r(x + noise) towards x, in squared distance.

        Args:
            data: tuple of x and of noise, float32 tensors (B, *x_shape).
        """
        x, noise = self.with_noise(data)
        noisy = x + self.sigma * noise
        with tf.GradientTape() as tape:
            slope = self.field(noisy)[1]
            miss = tf.reshape(noisy - slope - x, (x.shape[0], -1))
            loss = tf.reduce_mean(tf.reduce_sum(tf.square(miss), -1))
        self.apply_gradients(tape, loss, self.optimized)
        return self.counted({"denoising": loss})

    def call(self, inputs, training=False):
        """Both scores (B,) and the reconstruction r(x) of preprocessed samples."""
        x = tf.cast(inputs, tf.float32)
        energy, slope = self.field(x)
        length = tf.norm(tf.reshape(slope, (tf.shape(x)[0], -1)), axis=-1)
        return {"energy": energy, "reconstruction_error": length, "reconstruction": x - slope}
