"""The ALAD model: five networks, five optimizers, one compiled training step."""

import keras
import tensorflow as tf

from alad_tf.architecture import build_networks, rows_to_config
from alad_tf.averages import AveragedWeights
from alad_tf.feed import PairedBatches
from alad_tf.layers import PACKAGE
from alad_tf.metrics import StepMeans
from alad_tf.random import derive_seed, normal
from alad_tf.scores import anomaly_scores
from alad_tf.step import train_discriminators, train_generator_encoder

# The optimizer of the paper's tables; epsilon is TensorFlow 1's default, which it left in place.
ADAM = {"learning_rate": 1e-5, "beta_1": 0.5, "beta_2": 0.999, "epsilon": 1e-8}


@keras.saving.register_keras_serializable(package=PACKAGE)
class ALAD(AveragedWeights, keras.Model):
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
        >>> from alad_tf.rows import dense
        >>> rows = dict(
        ...     E=[dense(8, "lrelu"), dense(2)], G=[dense(8, "relu"), dense(5)],
        ...     D_xz=dict(x=[dense(8)], z=[dense(8)], joint=[dense(8, "lrelu"), dense(1)]),
        ...     D_xx=[dense(8, "lrelu"), dense(1)], D_zz=[dense(8, "lrelu"), dense(1)])
        >>> model = ALAD(rows, x_shape=(5,), latent_dim=2, seed=0)
        >>> model.compile(learning_rate=1e-4)
        >>> history = model.fit(np.zeros((64, 5), "float32"), batch_size=32, epochs=1, verbose=0)
        >>> int(model.step.value)
        2

    Source: ALAD, Section IV and Figure 1; the order of updates follows the authors' released code.
    """

    generative_networks = ("E", "G")

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
        self.seed = self._config["seed"]
        networks = build_networks(self._config, self._policy)
        self.E, self.G = networks["E"], networks["G"]
        self.D_xz, self.D_xx, self.D_zz = (networks[name] for name in ("D_xz", "D_xx", "D_zz"))
        self.make_averages()
        self.step = self.add_weight(
            name="step", shape=(), dtype="int64", initializer="zeros", trainable=False
        )
        self._loss_means = StepMeans(("loss", *self.discriminators, "G", "E"), name="losses")
        self._score_mean = keras.metrics.Mean(name="score")
        self.built = True

    @property
    def discriminators(self):
        """Names of the discriminators in play."""
        latent = self._config["latent_discriminator"]
        return ("D_xz", "D_xx", "D_zz") if latent else ("D_xz", "D_xx")

    @property
    def metrics(self):
        """Keras's metrics: means of the losses over an epoch, mean score of validation rows."""
        return [self._loss_means, self._score_mean]

    # ------------------------------------------------------ compile, fit, save

    def compile(self, learning_rate=None, beta_1=None, beta_2=None, epsilon=None, **kwargs):
        """Give each network its own Adam; XLA is on unless `jit_compile=False`.

        Args:
            learning_rate, beta_1, beta_2, epsilon: floats; default 1e-5, 0.5, 0.999, 1e-8.
            **kwargs: `jit_compile`, `run_eagerly`, `steps_per_execution` of `keras.Model.compile`.

        Raises:
            ValueError: a learning rate that is not positive.

        Example:
            >>> # model.compile(learning_rate=2e-4, steps_per_execution=50)

        Source: ALAD, Tables IX, XI and XIII, row "Optimizer".
        """
        given = dict(learning_rate=learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)
        adam = {k: ADAM[k] if v is None else float(v) for k, v in given.items()}
        if not adam["learning_rate"] > 0:
            raise ValueError(f"learning_rate must be positive; received {learning_rate}.")
        # Keras resolves "auto" to no XLA on a CPU, so XLA is asked for by name.
        kwargs.setdefault("jit_compile", not kwargs.get("run_eagerly", False))
        super().compile(optimizer=None, **kwargs)
        self._compile_config_ = {**adam, **kwargs}
        for name in (*self.generative_networks, *self.discriminators):
            optimizer = keras.optimizers.Adam(**adam, name=f"adam_{name}")
            optimizer.build(getattr(self, name).trainable_variables)
            setattr(self, f"optimizer_{name}", optimizer)

    def get_compile_config(self):
        return self._compile_config_

    def compile_from_config(self, config):
        self.compile(**config)

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

        Example:
            >>> # history = model.fit(x_train, batch_size=50, epochs=100)

        Source: the authors' released code: two independently shuffled batches a step.
        """
        if not isinstance(x, (PairedBatches, tf.data.Dataset)):
            x = PairedBatches(x, batch_size, seed=derive_seed(self.seed, 2))
        options = {"shuffle": False, **kwargs}
        if isinstance(x, PairedBatches):
            x.check_shape(self.x_shape)
            options["steps_per_epoch"] = x.chunks
            x = x.epochs(first=initial_epoch)
        return super().fit(x, epochs=epochs, initial_epoch=initial_epoch, **options)

    def get_config(self):
        policy = keras.dtype_policies.serialize(self._policy)
        return {**super().get_config(), **self._config, "dtype": policy}

    # ------------------------------------------------------------------ steps

    def train_step(self, data):
        """One training step, or a chunk of them inside one compiled program.

        Args:
            data: `(x_d, x_g)`, float32 tensors (B, *x_shape), for one step; or `(x_d, x_g, count)`
                with x_d and x_g (K, B, *x_shape), of which the first `count` pairs are used.

        Returns:
            dict of the losses' means over the epoch so far.
        """
        if len(data) == 2:
            self._one_step(*data, self.noise(data[0].shape[0]))
        elif data[0].shape[0] == 1:
            self._one_step(data[0][0], data[1][0], self.noise(data[0].shape[1]))
        else:
            x_d, x_g, count = data
            # drawn before the loop: inside it XLA would compute the draws again for each user
            noise = self.noise(x_d.shape[1], tf.range(x_d.shape[0]))
            # A loop inside the program saves the cost of launching it, which for the tabular
            # networks (some 200 variables) exceeds that of a step.
            tf.while_loop(
                lambda i: i < count,
                lambda i: (self._one_step(x_d[i], x_g[i], noise[i], after=i),),
                (tf.constant(0),),
            )
        return self._loss_means.result()

    def _one_step(self, x_d, x_g, noise, after=0):
        """D_xz, D_xx and D_zz learn from one batch, then G and E together from the other."""
        z_d, z_g = tf.unstack(noise)
        parts, constant = train_discriminators(self, x_d, z_d)
        made = train_generator_encoder(self, x_g, z_g)
        self.update_ema()
        self.step.assign_add(1)
        cycles = constant + made["cycle_x"] + made.get("cycle_z", 0.0)
        values = {**parts, "G": made["G"] + cycles, "E": made["E"] + cycles}
        values["loss"] = tf.add_n(list(values.values()))
        self._loss_means.update_state(values)
        return after + 1

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

    def apply_gradients(self, tape, loss, names):
        """Differentiate `loss` once and let each named network's optimizer take its share."""
        variables = [getattr(self, name).trainable_variables for name in names]
        for name, gradients, owned in zip(
            names, tape.gradient(loss, variables), variables, strict=True
        ):
            getattr(self, f"optimizer_{name}").apply(gradients, owned)

    def noise(self, batch_size, ahead=0):
        """The latent draws of a step, a function of the seed and the step alone.

        Args:
            batch_size: int.
            ahead: int, or int32 tensor (K,): how many steps after the current one.

        Returns:
            float32 tensor (2, batch_size, latent_dim), or (K, 2, batch_size, latent_dim): z for the
            discriminators, z for G and E.
        """
        return normal((2, batch_size, self.latent_dim), self.call_seed(0, ahead))

    def call_seed(self, call, ahead=0):
        """int32 (2,) or (K, 2): the seed of the `call`-th use of randomness in a step."""
        salt = tf.constant(derive_seed(self.seed, 3, call), tf.int32)
        step = tf.cast(self.step.value, tf.int32) + ahead
        return tf.stack([tf.broadcast_to(salt, tf.shape(step)), step], axis=-1)
