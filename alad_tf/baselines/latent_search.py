"""AnoGAN's search for the latent code of a sample: many Adam steps through G and D for each."""

import functools

import tensorflow as tf

from alad_tf.engine.programs import xla
from alad_tf.engine.random import derive_seed, normal

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # TensorFlow 1's Adam, which the authors' code takes


class LatentSearch:
    """Finds z with G(z) near x by gradient descent, for all rows of a batch at once.

    A row's loss is weight * ||x - G(z)||_1 + (1 - weight) * ||f(x) - f(G(z))||_1 with f D's
    features, and its value at the end is AnoGAN's anomaly score. Rows do not mix: the loss is a sum
    over rows, Adam works number by number, networks run in inference mode, and every row starts
    from the same z, drawn from N(0, 1).

    Args:
        generator: G, a network (B, latent_dim) -> x's shape, possibly flat.
        discriminator: D, a network of x that returns `(logits, features)`.
        x_shape: tuple of ints, shape of one sample.
        latent_dim: int.
        weight: float in [0, 1], of the reconstruction; 0.9 in AnoGAN's paper, 0.1 in the code of
            ALAD's authors.
        steps: int, Adam steps.
        learning_rate: float.
        seed: int, of the start.
        loop: bool, make all steps inside one compiled program. Default: for tables. For images a
            step is a call, because XLA's convolutions are slow inside a loop on a CPU.

    Source: Schlegl et al., "Unsupervised Anomaly Detection with Generative Adversarial Networks to
    Guide Marker Discovery", IPMI 2017, Section 2.2; ALAD, Section V-B and Table IV.
    """

    def __init__(
        self,
        generator,
        discriminator,
        x_shape,
        latent_dim,
        weight=0.1,
        steps=500,
        learning_rate=1e-3,
        seed=0,
        loop=None,
    ):
        if not 0 <= weight <= 1:
            raise ValueError(f"received weight={weight}; expected a number from 0 to 1.")
        if steps < 1:
            raise ValueError(f"received steps={steps}; expected at least 1.")
        self.generator, self.discriminator = generator, discriminator
        self.x_shape = tuple(int(side) for side in x_shape)
        self.weight, self.steps = float(weight), int(steps)
        self.learning_rate = float(learning_rate)
        with tf.init_scope():  # numbers, also where a function is being traced
            self.start = normal((1, latent_dim), [derive_seed(seed), 0])  # (1, latent)
        self.loop = len(self.x_shape) == 1 if loop is None else bool(loop)
        compiled = functools.partial(tf.function, jit_compile=xla())
        self._compiled_features = compiled(self._features)
        self._compiled_losses = compiled(self._losses)
        self._compiled_step = compiled(self._step)
        self._compiled_loop = compiled(self._all_steps)

    def __call__(self, x):
        """Searches the codes of a batch (B, *x_shape).

        Returns:
            dict of float32 arrays: "z" (B, latent_dim), "score" (B,), the loss there, and "start"
            (B,), the loss of the start.
        """
        x = tf.convert_to_tensor(x, tf.float32)
        if tuple(x.shape[1:]) != self.x_shape or x.shape[0] == 0:
            raise ValueError(
                f"The search takes (B, {', '.join(map(str, self.x_shape))}) with B > 0; received "
                f"{tuple(x.shape)}."
            )
        z = tf.repeat(self.start, x.shape[0], axis=0)
        features = self._compiled_features(x)  # f(x) is a constant to the search
        state = (z, tf.zeros_like(z), tf.zeros_like(z), tf.constant(0.0))
        start = self._compiled_losses(x, features, z)
        if self.loop:
            z = self._compiled_loop(x, features, *state)
        else:
            for _ in range(self.steps):
                state = self._compiled_step(x, features, *state)
            z = state[0]
        score = self._compiled_losses(x, features, z)
        return {"z": z.numpy(), "score": score.numpy(), "start": start.numpy()}

    def uncompiled(self, x):
        """The search in plain TensorFlow, for graphs of any batch size that leave this process.

        Rounding differs from the compiled search's, and a search amplifies that where G's kinks
        lie: scores were seen to differ by 5e-4 of themselves at most, by 1e-7 in the median.
        """
        z = tf.repeat(self.start, tf.shape(x)[0], axis=0)
        features = self._features(x)
        z = self._all_steps(x, features, z, tf.zeros_like(z), tf.zeros_like(z), tf.constant(0.0))
        return {"z": z, "score": self._losses(x, features, z)}

    def _features(self, x):
        return self.discriminator(x)[1]

    def _losses(self, x, features, z):
        generated = tf.reshape(self.generator(z), tf.shape(x))
        rows = tf.shape(x)[0]
        residual = tf.reduce_sum(tf.reshape(tf.abs(x - generated), (rows, -1)), -1)
        discrimination = tf.reduce_sum(tf.abs(features - self._features(generated)), -1)
        return self.weight * residual + (1 - self.weight) * discrimination

    def _step(self, x, features, z, m, v, count):
        """One Adam step of every row."""
        with tf.GradientTape() as tape:
            tape.watch(z)
            loss = tf.reduce_sum(self._losses(x, features, z))
        gradient = tape.gradient(loss, z)
        count = count + 1
        m = BETA_1 * m + (1 - BETA_1) * gradient
        v = BETA_2 * v + (1 - BETA_2) * tf.square(gradient)
        rate = self.learning_rate * tf.sqrt(1 - BETA_2**count) / (1 - BETA_1**count)
        return z - rate * m / (tf.sqrt(v) + EPSILON), m, v, count

    def _all_steps(self, x, features, z, m, v, count):
        return tf.while_loop(
            lambda *state: state[-1] < self.steps,
            lambda *state: self._step(x, features, *state),
            (z, m, v, count),
        )[0]
