"""What every trained network here shares: many compiled steps a call, no hidden random state."""

import contextlib

import keras
import tensorflow as tf

from alad_tf import replicas
from alad_tf.feed import Batches
from alad_tf.metrics import StepMeans
from alad_tf.random import derive_seed, normal

# The optimizer of ALAD's tables; epsilon is TensorFlow 1's default, which the paper left in place.
ADAM = {"learning_rate": 1e-5, "beta_1": 0.5, "beta_2": 0.999, "epsilon": 1e-8}


class SteppedModel(keras.Model):
    """A Keras model that trains by chunks of steps, each a function of weights, seed and step.

    A subclass builds its networks, calls `make_steps`, and says in `learn` what a step does.

    Attributes:
        orders: int, independently shuffled batches of a step.
        optimized: tuple of str, the attributes that hold networks with an Adam of their own.
        step: int64 variable, the number of training steps so far.
        seed: int, of noise, dropout and shuffling.

    Example:
        >>> from alad_tf import ALAD
        >>> issubclass(ALAD, SteppedModel)
        True
    """

    orders = 1
    optimized = ()

    def make_steps(self, seed, losses):
        """Create the step count and the epoch's means; call it once the networks stand.

        Args:
            seed: int.
            losses: tuple of str, the names of the scalars that `learn` returns.
        """
        self.seed = int(seed)
        self.step = self.add_weight(
            name="step", shape=(), dtype="int64", initializer="zeros", trainable=False
        )
        self._loss_means = StepMeans(("loss", *losses), name="losses")
        self.built = True

    @property
    def metrics(self):
        """Keras's metrics: means of the losses over an epoch."""
        return [self._loss_means]

    # ------------------------------------------------------------ compile, fit

    def compile(self, learning_rate=None, beta_1=None, beta_2=None, epsilon=None, **kwargs):
        """Give each network its own Adam; XLA is on unless `jit_compile=False`.

        Args:
            learning_rate, beta_1, beta_2, epsilon: floats; default 1e-5, 0.5, 0.999, 1e-8.
            **kwargs: `jit_compile`, `run_eagerly`, `steps_per_execution` of `keras.Model.compile`.

        Raises:
            ValueError: a learning rate that is not positive.

        Example:
            >>> # model.compile(learning_rate=2e-4, steps_per_execution=50)

        Source: ALAD, Tables IX to XIII, row "Optimizer".
        """
        given = dict(learning_rate=learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)
        adam = {k: ADAM[k] if v is None else float(v) for k, v in given.items()}
        if not adam["learning_rate"] > 0:
            raise ValueError(f"learning_rate must be positive; received {learning_rate}.")
        # Keras resolves "auto" to no XLA on a CPU, so XLA is asked for by name.
        kwargs.setdefault("jit_compile", not kwargs.get("run_eagerly", False))
        super().compile(optimizer=None, **kwargs)
        self._compile_config_ = {**adam, **kwargs}
        for name in self.optimized:
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
            x: array or tensor (N, *x_shape), or a `Batches` of as many orders as a step takes, or
                a `tf.data.Dataset` of as many batches.
            batch_size: int; the last incomplete batch of an epoch is skipped.
            epochs, initial_epoch, **kwargs: as for `keras.Model.fit`. For an exact resume give the
                number of epochs that the restored weights had finished.

        Returns:
            `keras.callbacks.History`. Losses are means over the epoch's steps, taken before the
            updates.

        Raises:
            ValueError: samples of another shape, fewer than a batch, or not finite.
        """
        if not isinstance(x, (Batches, tf.data.Dataset)):
            x = Batches(x, batch_size, seed=derive_seed(self.seed, 2), orders=self.orders)
        options = {"shuffle": False, **kwargs}
        if isinstance(x, Batches):
            x.check(self.x_shape, self.orders)
            options["steps_per_epoch"] = x.chunks
            x = x.epochs(first=initial_epoch)
        return super().fit(x, epochs=epochs, initial_epoch=initial_epoch, **options)

    # ------------------------------------------------------------------ steps

    def learn(self, *batches):
        """One step's updates of the weights.

        Args:
            *batches: `orders` float32 tensors (B, *x_shape), then the step's noise.

        Returns:
            dict of float32 scalars by the names that `make_steps` was given, the losses before the
            updates; "loss" is added, their sum.

        Example:
            >>> import zoo
            >>> model = zoo.entry("kdd99_dsebm").build()
            >>> sorted(model.learn(tf.zeros((4, 121)), model.noise(4)))
            ['denoising']
        """
        raise NotImplementedError

    def noise_shape(self, batch_size):
        """Shape of the normal numbers that a step takes; default: it takes none.

        Args:
            batch_size: int, samples of a step's batch.

        Returns:
            tuple of ints.

        Example:
            >>> import zoo
            >>> zoo.entry("kdd99_alad").build().noise_shape(50)
            (2, 50, 32)
        """
        return (0,)

    def train_step(self, data):
        """One training step, or a chunk of them inside one compiled program.

        Args:
            data: float32 tensors (B, *x_shape), one for each order, for one step; or tensors
                (K, B, *x_shape) and a `count`, of which the first `count` batches are used.

        Returns:
            dict of the losses' means over the epoch so far.
        """
        if len(data) == self.orders:
            self._one_step(*data, self.noise(data[0].shape[0]))
        elif data[0].shape[0] == 1:
            *batches, _ = data
            self._one_step(*(x[0] for x in batches), self.noise(data[0].shape[1]))
        else:
            *batches, count = data
            steps, size = batches[0].shape[:2]
            # drawn before the loop: inside it XLA would compute the draws again for each user
            noise = self.noise(size, tf.range(steps))
            # A loop inside the program saves the cost of launching it, which for the tabular
            # networks (some 200 variables) exceeds that of a step.
            tf.while_loop(
                lambda i: i < count,
                lambda i: (self._one_step(*(x[i] for x in batches), noise[i], after=i),),
                (tf.constant(0),),
            )
        return self._loss_means.result()

    def _one_step(self, *batches, after=0):
        """Learn from one batch of each order and the noise; count the step."""
        values = self.learn(*batches)
        self.step.assign_add(1)
        values["loss"] = tf.add_n(list(values.values()))
        self._loss_means.update_state(values)
        return after + 1

    @contextlib.contextmanager
    def tape(self, names):
        """A recording gradient tape that watches the named networks' weights.

        What a tape watches by itself are variables; the weights may be tensors that stand for them,
        where the step is a function of its state (see `alad_tf.members`).
        """
        with tf.GradientTape() as tape:
            tape.watch([v.value for name in names for v in getattr(self, name).trainable_variables])
            yield tape

    def apply_gradients(self, tape, loss, names):
        """Differentiate `loss` once and let each named network's optimizer take its share."""
        owned = [getattr(self, name).trainable_variables for name in names]
        values = [[v.value for v in variables] for variables in owned]
        gradients = tape.gradient(loss, values)
        shares = replicas.count()
        if shares > 1:  # Keras's optimizers sum them, and the batch's loss is their losses' mean
            gradients = [[gradient / shares for gradient in some] for some in gradients]
        for name, share, variables in zip(names, gradients, owned, strict=True):
            self.update_weights(getattr(self, f"optimizer_{name}"), share, variables)

    def update_weights(self, optimizer, gradients, variables):
        """One update of one network's weights by its optimizer."""
        optimizer.apply(gradients, variables)

    def noise(self, batch_size, ahead=0):
        """The normal draws of a step, a function of the seed and the step alone.

        Args:
            batch_size: int.
            ahead: int, or int32 tensor (K,): how many steps after the current one.

        Returns:
            float32 tensor of `noise_shape(batch_size)`, or of (K, *noise_shape(batch_size)).
        """
        return normal(self.noise_shape(batch_size), self.call_seed(0, ahead))

    def call_seed(self, call, ahead=0):
        """int32 (2,) or (K, 2): the seed of the `call`-th use of randomness in a step."""
        salt = tf.convert_to_tensor(self.salt(call), tf.int32)
        step = tf.cast(self.step.value, tf.int32) + ahead
        return tf.stack([tf.broadcast_to(salt, tf.shape(step)), step], axis=-1)

    def salt(self, call):
        """What tells the `call`-th use of randomness from the others: an int of 31 bits."""
        return derive_seed(self.seed, 3, call)
