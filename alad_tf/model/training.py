"""What every trained network here shares: many compiled steps a call, no hidden random state."""

import contextlib
import json

import keras
import tensorflow as tf

from alad_tf.engine import distributed
from alad_tf.engine.feed import Batches
from alad_tf.engine.programs import training_program, xla
from alad_tf.engine.random import derive_seed, normal
from alad_tf.model.layers import PACKAGE, SeededDropout
from alad_tf.model.optimizers import Optimizers, new_optimizer, optimizer_settings, without_rate

CALLS = 128  # uses of randomness in a step at most: see `alad_tf.model.alad.Calls`


@keras.saving.register_keras_serializable(package=PACKAGE)
class StepMeans(keras.metrics.Metric):
    """Means over an epoch's steps of named scalars. One NaN anywhere makes the epoch's mean NaN."""

    def __init__(self, names, name="step_means", **kwargs):
        super().__init__(name=name, **kwargs)
        self.names = tuple(names)
        self.sums = self.add_variable((len(self.names),), "zeros", aggregation="mean", name="sums")
        self.count = self.add_variable((), "zeros", aggregation="mean", name="count")

    def update_state(self, values):
        self.sums.assign_add(tf.stack([values[name] for name in self.names]))
        self.count.assign_add(1.0)

    def result(self):
        means = tf.math.divide_no_nan(self.sums.value, self.count.value)
        return dict(zip(self.names, tf.unstack(means), strict=True))

    def get_config(self):
        return {**super().get_config(), "names": list(self.names)}


class SteppedModel(keras.Model):
    """A Keras model that trains by chunks of steps, each a function of weights, seed and step.

    A subclass builds its networks, calls `make_steps`, and defines a step in `train_step`.

    Attributes:
        orders: int, independently shuffled batches of a step.
        optimized: tuple of str, the attributes that hold networks with an Adam of their own.
        ema_networks: tuple of str, the networks whose weights are averaged for inference.
        ema: list of variables, the averages, in the order of `ema_sources`.
        step: int64 variable, the number of training steps so far.
        seed: int, of noise, dropout and shuffling.
    """

    orders = 1
    optimized = ema_networks = ()

    def make_steps(self, seed, losses):
        """Create the step count and the epoch's means of `losses`, a tuple of names."""
        self.seed = int(seed)
        self._salts, self._own_programs = None, {}
        self._strategy = tf.distribute.get_strategy() if tf.distribute.has_strategy() else None
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

    def compile(
        self, learning_rate=None, beta_1=None, beta_2=None, epsilon=None, optimizer=None, **kwargs
    ):
        """Give each network its own Adam; XLA is on unless `jit_compile=False` or ALAD_XLA=0.

        Args:
            learning_rate: float, or a schedule of `keras.optimizers.schedules` over the training
                steps; default: 1e-5.
            beta_1, beta_2, epsilon: floats; default: 0.5, 0.999 and 1e-8.
            optimizer: a Keras optimizer, such as `keras.optimizers.Adam(1e-4, beta_1=0.5)`, or its
                config, to use instead of the four arguments above. Each network gets a copy.
            **kwargs: `jit_compile` and `run_eagerly` of `keras.Model.compile`. Its
                `steps_per_execution` is ignored, since each call runs many steps anyway.

        Raises:
            ValueError: if the learning rate is not positive, or the optimizer is not one of Keras.
        """
        received = dict(learning_rate=learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)
        settings = optimizer_settings(optimizer, received)
        # Keras resolves "auto" to no XLA on a CPU; what replicas exchange does not compile.
        by_xla = xla() and not kwargs.get("run_eagerly", False) and self._strategy is None
        kwargs.setdefault("jit_compile", by_xla)
        kwargs.pop("steps_per_execution", None)
        super().compile(optimizer=None, **kwargs)
        self._compile_config_, self._own_programs = {**settings, **kwargs}, {}
        for name in self.optimized:
            own = new_optimizer(settings, name)
            own.build(getattr(self, name).trainable_variables)
            setattr(self, f"optimizer_{name}", own)
        self.optimizer = Optimizers(self)

    @property
    def learning_rate(self):
        """The learning rate of all networks' optimizers: float. It can be set at any time."""
        return float(self.optimizer.learning_rate)

    @learning_rate.setter
    def learning_rate(self, value):
        self.optimizer.learning_rate = value

    def get_compile_config(self):
        return self._compile_config_

    def compile_from_config(self, config):
        self.compile(**config)

    def fit(self, x=None, batch_size=32, epochs=1, initial_epoch=0, **kwargs):
        """Train on normal samples.

        A model that was built in the scope of a `tf.distribute` strategy divides every batch among
        its replicas. The result is the same as on a single device, up to the order of float32 sums:
        rows, noise and dropout masks are drawn for the whole batch, batch norm uses the statistics
        of the whole batch, and gradients are summed.

        Args:
            x: array or tensor (N, *x_shape); or `Batches`, or a `tf.data.Dataset`, that yields as
                many batches as a step takes. Every worker needs all rows.
            batch_size: int, over all replicas; the last, incomplete batch of an epoch is skipped.
            epochs, initial_epoch, **kwargs: as for `keras.Model.fit`. To resume exactly, pass as
                `initial_epoch` the number of epochs that the restored weights were trained for.

        Returns:
            `keras.callbacks.History`. Losses are averaged over the epoch's steps, before each
            update.

        Raises:
            ValueError: if samples have another shape, are fewer than a batch, or are not finite, or
                if a batch cannot be divided equally among the replicas.
        """
        if self._strategy is not None:
            distributed.require_shareable(self._strategy, x, batch_size)
        if not isinstance(x, (Batches, tf.data.Dataset)):
            chunk = None if self._strategy is None else 1  # no exchange between replicas in a loop
            x = Batches(x, batch_size, derive_seed(self.seed, 2), chunk, self.orders)
        options = {"shuffle": False, **kwargs}
        if isinstance(x, Batches):
            x.check(self.x_shape, self.orders)
            options["steps_per_epoch"] = x.chunks
            x = x.epochs(first=initial_epoch)
        return super().fit(x, epochs=epochs, initial_epoch=initial_epoch, **options)

    # --------------------------------------------------------------- the program

    @property
    def distribute_strategy(self):
        """What Keras asks before it shares out batches itself, which `advance` does here.

        Keras's own way fails on several workers (keras-team/keras#20585).
        """
        return tf.distribute.get_strategy()

    def make_train_function(self, force=False):
        """Keras's hook: what `fit` calls with its iterator, here `advance`."""

        def train_function(iterator):
            data = next(iterator)
            data = data if isinstance(data, tuple) else (data,)
            return self.train_steps(data) if self.run_eagerly else self.advance(*data)

        self.train_function = train_function
        return train_function

    def advance(self, *data):
        """`train_steps(data)`, compiled: by one program for all models of this architecture.

        The program takes what a model consists of as arguments: its variables, which it updates in
        place, and the seeds of its draws. Another model of the same networks, such as a member of
        an ensemble, the next seed, or the next fit of a grid search, compiles nothing.
        """
        shapes = (self.jit_compile, *(tuple(part.shape) for part in data))
        if shapes not in self._own_programs:
            if self._strategy is not None:
                program = distributed.replicated(self._strategy, self.train_steps)
            else:
                variables = [v.value for v in self.state_variables()]
                program = training_program(self, data, variables)
            self._own_programs[shapes] = program
        return self._own_programs[shapes](*data)

    def state_variables(self):
        """All that training changes: weights, averages, step, means of losses, Adam's moments.

        The order is the same for all models of an architecture.
        """
        variables = [*self.variables, *self._loss_means.variables, *self.optimizer.variables]
        return list({id(v): v for v in variables}.values())

    def training_key(self):
        """What the training program depends on besides the shapes of its arguments: JSON.

        The seed and the learning rate are arguments, not part of it. None if the model's class does
        not describe its parts, or if this model has methods of its own; then its programs are not
        shared.
        """
        if vars(self).keys() & vars(SteppedModel).keys():
            return None
        try:
            config = {**self.get_config(), "seed": 0, "name": ""}
            compiled = without_rate(self.get_compile_config())
            trainable = [v.trainable for v in self.variables]
            return json.dumps([config, compiled, trainable], sort_keys=True)
        except (NotImplementedError, TypeError):
            return None

    def draw_seeds(self):
        """Salts of a step's uses of randomness, then seeds of the dropout layers: int32 vector."""
        salts = [derive_seed(self.seed, 3, call) for call in range(CALLS)]
        return tf.constant(salts + [layer.seed for layer in self._dropouts()], tf.int32)

    @contextlib.contextmanager
    def drawing_by(self, seeds):
        """While the body is traced, draws follow from a tensor that `draw_seeds` describes."""
        layers = self._dropouts()
        own = [layer.seed for layer in layers]
        self._salts = seeds
        try:
            for layer, seed in zip(layers, tf.unstack(seeds[CALLS:], len(layers)), strict=True):
                layer.seed = seed
            yield
        finally:
            self._salts = None
            for layer, seed in zip(layers, own, strict=True):
                layer.seed = seed

    def _dropouts(self):
        return [layer for layer in self._flatten_layers() if isinstance(layer, SeededDropout)]

    # ------------------------------------------------------------------ steps

    def train_step(self, data):
        """One training step; a subclass updates its weights and returns `counted` of its losses.

        Args:
            data: tuple of `orders` float32 tensors (B, *x_shape), and of the step's noise, which
                `with_noise` draws if it is missing.

        Returns:
            dict of float32 scalars by the names passed to `make_steps`: the losses before the
            updates, averaged over the epoch so far; and "loss", their sum.

        Example:
            >>> import zoo
            >>> model = zoo.entry("kdd99_dsebm").build()
            >>> sorted(model.train_step((tf.zeros((4, 121)),)))
            ['denoising', 'loss']
        """
        raise NotImplementedError

    def noise_shape(self, batch_size):
        """The shape of a step's normal noise; default: a step has none.

        Args:
            batch_size: int, the number of samples in a step's batch.

        Returns:
            tuple of ints, the batch on the second axis.

        Example:
            >>> import zoo
            >>> zoo.entry("kdd99_alad").build().noise_shape(50)
            (2, 50, 32)
        """
        return (0,)

    def with_noise(self, data):
        """A step's batches and its noise, drawn if `data` holds the batches alone."""
        data = data if isinstance(data, (tuple, list)) else (data,)
        return data if len(data) > self.orders else (*data, self.noise(data[0].shape[0]))

    def counted(self, losses):
        """Count a step and its losses, a dict by name: see `train_step`."""
        self.step.assign_add(1)
        self._loss_means.update_state({**losses, "loss": tf.add_n(list(losses.values()))})
        return self._loss_means.result()

    def train_steps(self, data):
        """`train_step` once, or for each batch of a chunk inside one compiled program.

        Args:
            data: what `train_step` takes; or tensors (K, B, *x_shape) and a `count`, of which the
                first `count` batches are used: their number, unlike K, is no part of the program.

        Returns:
            dict of the losses' means over the epoch so far.
        """
        if len(data) == self.orders:
            return self.train_step(data)
        *batches, count = data
        steps, size = batches[0].shape[:2]
        if steps == 1:
            return self.train_step(tuple(x[0] for x in batches))
        # drawn before the loop: inside it XLA would compute the draws again for each user
        noise = self.noise(size, tf.range(steps))

        def body(i):
            self.train_step((*(x[i] for x in batches), noise[i]))
            return (i + 1,)

        # a loop inside the program, because to launch it costs more than a tabular step
        tf.while_loop(lambda i: i < count, body, (tf.constant(0),))
        return self._loss_means.result()

    @contextlib.contextmanager
    def tape(self, names):
        """A recording gradient tape that watches the named networks' weights."""
        with tf.GradientTape() as tape:
            tape.watch([v.value for name in names for v in getattr(self, name).trainable_variables])
            yield tape

    def apply_gradients(self, tape, loss, names):
        """Differentiate `loss` once and let each named network's optimizer take its share."""
        owned = [getattr(self, name).trainable_variables for name in names]
        values = [[v.value for v in variables] for variables in owned]
        gradients = tape.gradient(loss, values)
        shares = distributed.count()
        if shares > 1:  # Keras's optimizers sum them, and the batch's loss is their losses' mean
            gradients = [[gradient / shares for gradient in some] for some in gradients]
        for name, share, variables in zip(names, gradients, owned, strict=True):
            getattr(self, f"optimizer_{name}").apply(share, variables)

    def noise(self, batch_size, ahead=0):
        """The normal draws of a step, a function of the seed and the step alone.

        Args:
            batch_size: int, of this replica.
            ahead: int, or int32 tensor (K,): how many steps after the current one.

        Returns:
            float32 tensor of `noise_shape(batch_size)`, or of (K, *noise_shape(batch_size)).
        """
        shape, seed = self.noise_shape(batch_size), self.call_seed(0, ahead)
        if distributed.count() == 1:
            return normal(shape, seed)
        whole = self.noise_shape(batch_size * distributed.count())
        flat = (shape[0] * batch_size, *shape[2:])
        own = distributed.own_rows(lambda rows: tf.reshape(normal(whole, seed), rows), flat)
        return tf.reshape(own, shape)

    def call_seed(self, call, ahead=0):
        """int32 (2,) or (K, 2): the seed of the `call`-th use of randomness in a step."""
        salt = tf.convert_to_tensor(self.salt(call), tf.int32)
        step = tf.cast(self.step.value, tf.int32) + ahead
        return tf.stack([tf.broadcast_to(salt, tf.shape(step)), step], axis=-1)

    def salt(self, call):
        """31 bits that distinguish the `call`-th use of randomness from the others."""
        return derive_seed(self.seed, 3, call) if self._salts is None else self._salts[call]

    # ------------------------------------------------------------------ averages

    @property
    def ema_sources(self):
        """The variables that are averaged: the trainable weights of `ema_networks`."""
        return [v for n in self.ema_networks for v in getattr(self, n).trainable_variables]

    def make_averages(self):
        """Create the averages, equal to the weights they start from."""
        self.ema = [
            self.add_weight(
                name=f"ema_{index}",
                shape=source.shape,
                initializer=lambda shape, dtype, v=source: tf.identity(v.value),
                trainable=False,
                autocast=False,
            )
            for index, source in enumerate(self.ema_sources)
        ]

    def update_ema(self):
        """One step of the averages: ema <- decay * ema + (1 - decay) * weight."""
        for average, source in zip(self.ema, self.ema_sources, strict=True):
            average.assign(self.ema_decay * average.value + (1 - self.ema_decay) * source.value)

    def averaged_weights(self, name):
        """The averages of one network's trainable weights, in the network's own order."""
        start = 0
        for other in self.ema_networks:
            size = len(getattr(self, other).trainable_variables)
            if other == name:
                return self.ema[start : start + size]
            start += size
        raise ValueError(
            f"received {name}, which has no averaged weights; expected one of {self.ema_networks}."
        )

    def call_averaged(self, name, *inputs, **options):
        """Call a network in inference mode with its averaged weights.

        Batch norm's moving statistics are not averaged: they are taken as they are.
        """
        network = getattr(self, name)
        weights = [v.value for v in self.averaged_weights(name)]
        state = [v.value for v in network.non_trainable_variables]
        return network.stateless_call(weights, state, *inputs, training=False, **options)[0]
