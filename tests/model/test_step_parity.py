"""One training step, and three in a row, equal an independent float64 NumPy ALAD.

Proves, through the compiled `train_step` and through `fit`: every loss, every network's gradients,
weights after Adam, averages, u, batch norm's moving statistics, with and without spectral norm, the
latent game and dropout.

Norm of every comparison, over all entries of one quantity of one network together: the largest
difference is at most 1e-5 of the largest size and 1e-4 of the largest change since the start,
whichever is smaller, plus a variable's rounding, one float32 unit (2**-23) of the size; in the n-th
step n times that, because both sides run freely and differences of earlier steps stay. The
change's share is wider because Adam, before it moves the weights by lr, multiplies a gradient's
error by up to sqrt(0.001) / epsilon = 32. Its epsilon is 1e-3 here (1e-8 in the paper): the update
is then not the mere sign of the gradient, so that the weights compare the gradients' sizes, and
epsilon's place matters.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy_alad import Layer, NumpyALAD

from alad_tf.engine.feed import PairedBatches
from alad_tf.engine.random import derive_seed
from alad_tf.model.alad import ALAD
from alad_tf.model.layers import SeededDropout, SpectralNormalization
from alad_tf.model.specs import dense

X, Z, BATCH, STEPS = 6, 3, 5, 3
ADAM = {"learning_rate": 1e-2, "beta_1": 0.5, "beta_2": 0.999, "epsilon": 1e-3}
CASES = {
    "paper": {},
    "no_sn": {"spectral_norm": False},
    "no_zz": {"latent_discriminator": False},
    "no_sn_no_zz": {"spectral_norm": False, "latent_discriminator": False},
    "dropout_and_bn_in_xx": {"rate": 0.3, "bn_in_xx": True},  # D_xx's pairs in two calls
}


def make_model(rate=0.0, bn_in_xx=False, **options):
    rows = {
        "E": [dense(5, "lrelu"), dense(Z)],
        "G": [dense(7, "lrelu"), dense(X)],
        "D_xz": {
            "x": [dense(7, "lrelu", batch_norm=True)],
            "z": [dense(5, "lrelu", dropout=rate)],
            "joint": [dense(6, "lrelu", dropout=rate), dense(1)],
        },
        "D_xx": [dense(7, "lrelu", batch_norm=bn_in_xx, dropout=rate), dense(1)],
        "D_zz": [dense(5, "lrelu", dropout=rate), dense(1)],
    }
    model = ALAD(rows, x_shape=(X,), latent_dim=Z, ema_decay=0.9, seed=3, **options)
    model.compile(**ADAM)
    rng = np.random.default_rng(0)  # biases off 0 and gamma off 1, so that their place shows
    for network in (*model.generative_networks, *model.discriminators):
        for v in getattr(model, network).trainable_variables:
            if len(v.shape) == 1:
                v.assign(v + rng.uniform(0.1, 0.3, v.shape) * rng.choice([-1, 1], v.shape))
    return model


def layers_of(steps):
    """(NumPy layer, [(Keras variable, attribute)]) for each row of a stack."""
    found = []
    for step in steps:
        if isinstance(step, (keras.layers.Dense, SpectralNormalization)):
            wrapped = isinstance(step, SpectralNormalization)
            inner = step.layer if wrapped else step
            found.append([("W", inner.kernel), ("b", inner.bias)])
            found[-1] += [("u", step.u)] if wrapped else []
            extra = {}
            found[-1].append(extra)
        elif isinstance(step, keras.layers.BatchNormalization):
            found[-1][-1:-1] = [("gamma", step.gamma), ("beta", step.beta)]
            found[-1][-1:-1] = [("mean", step.moving_mean), ("var", step.moving_variance)]
        elif isinstance(step, SeededDropout):
            extra.update(rate=step.rate, key=step.seed)
        else:
            extra["activation"] = {"LeakyReLU": "lrelu", "Activation": "relu"}[type(step).__name__]
    for *pairs, extra in found:
        yield Layer(**{k: np.array(v, "float64") for k, v in pairs}, **extra), pairs


def mirror(model):
    """The NumPy twin of a model, and a list of (network, Keras variable, layer, attribute)."""
    nets, links = {}, []
    for name in (*model.generative_networks, *model.discriminators):
        network = getattr(model, name)
        if name == "D_xz":
            stacks = {"x": network.x_branch.steps, "z": network.z_branch.steps}
            stacks["joint"] = network.body.steps + network.top.steps
        elif name in model.discriminators:
            stacks = {"all": network.body.steps + network.top.steps}
        else:
            stacks = {"all": network.steps}
        built = {}
        for key, steps in stacks.items():
            pairs = list(layers_of(steps))
            built[key] = [layer for layer, _ in pairs]
            links += [(name, v, layer, k) for layer, found in pairs for k, v in found]
        nets[name] = built if name == "D_xz" else built["all"]
    ema, averages = {}, dict(zip(map(id, model.ema_sources), model.ema, strict=True))
    for name in ("E", "G", "D_xx"):
        ema[name] = [
            np.array(averages[id(v)], "float64")
            for owner, v, _, k in links
            if owner == name and k in ("W", "b", "gamma", "beta")
        ]
    adam = {"lr" if k == "learning_rate" else k: v for k, v in ADAM.items()}
    return NumpyALAD(nets, ema, model.ema_decay, adam), links


class Recorded:
    """A model with known noise whose optimizers keep the gradients that they are given."""

    def __init__(self, **options):
        self.model = model = make_model(**options)
        rng = np.random.default_rng(7)
        self.noise = rng.standard_normal((STEPS, 2, BATCH, Z)).astype("float32")
        self.x = rng.standard_normal((STEPS, 2, BATCH, X)).astype("float32")
        table = tf.constant(self.noise)
        step = model.step
        model.noise = lambda _, ahead=0: tf.gather(table, tf.cast(step.value, tf.int32) + ahead)
        self.seen = {}
        for name in (*model.generative_networks, *model.discriminators):
            self._watch(name, getattr(model, f"optimizer_{name}"))
        self.twin, self.links = mirror(model)
        self.start = self.state()
        self.twin_start = self.twin_state()

    def _watch(self, name, optimizer):
        apply = optimizer.apply

        def watched(gradients, owned):
            for v, g in zip(owned, gradients, strict=True):
                self.seen[id(v)].assign(g)
            return apply(gradients, owned)

        for v in optimizer._trainable_variables:
            self.seen[id(v)] = tf.Variable(tf.fill(v.shape, np.nan))
        optimizer.apply = watched

    def key(self, call):
        return derive_seed(self.model.seed, 3, call), self.twin.step

    def play_twin(self, x):
        return self.twin.train_step(x[0], self.z[0], x[1], self.z[1], self.key)

    @property
    def z(self):
        return self.noise[self.twin.step].astype("float64")

    def gradients(self, wanted):
        """Pairs (got, wanted) of lists of arrays by network."""
        result = {}
        for name, arrays in wanted.items():
            own = [v for owner, v, _, k in self.links if owner == name and k in TRAINED]
            result[name] = [self.seen[id(v)].numpy() for v in own], arrays
        return result

    def state(self):
        state = {}
        for name, v, _, k in self.links:
            state.setdefault((name, k if k not in TRAINED else "weights"), []).append(v.numpy())
        averages = dict(zip(map(id, self.model.ema_sources), self.model.ema, strict=True))
        for name, v, _, _ in self.links:
            if id(v) in averages:
                state.setdefault((name, "ema"), []).append(averages[id(v)].numpy())
        return state

    def twin_state(self):
        state = {}
        for name, _, layer, k in self.links:
            key = (name, k if k not in TRAINED else "weights")
            state.setdefault(key, []).append(getattr(layer, k).copy())
        for name, arrays in self.twin.ema.items():
            state[name, "ema"] = [a.copy() for a in arrays]
        return state


TRAINED = ("W", "b", "gamma", "beta")


def flat(arrays):
    return np.concatenate([np.asarray(a, "float64").ravel() for a in arrays])


def agree(got, wanted, what, start=0.0, steps=1):
    got, wanted = flat(got), flat(wanted)
    size, change = np.abs(wanted).max(), np.abs(wanted - start).max()
    allowed = steps * (min(1e-5 * size, 1e-4 * change) + 2**-23 * size)
    worst = np.abs(got - wanted).max()
    assert worst <= allowed, f"{what}: differs by {worst:.2e}, allowed {allowed:.2e}"


def same_state(case, steps):
    got, wanted = case.state(), case.twin_state()
    assert got.keys() == wanted.keys()
    for key, arrays in wanted.items():
        start = flat(case.twin_start[key])
        agree(got[key], arrays, key, start, steps)
        frozen = not np.abs(flat(arrays) - start).max() > 1e-4
        assert not frozen, f"{key} did not move, so the comparison shows nothing"


@pytest.mark.parametrize(
    "name", [n if n == "paper" else pytest.param(n, marks=pytest.mark.slow) for n in CASES]
)
def test_three_compiled_steps(name):
    case = Recorded(**CASES[name])
    step = tf.function(case.model.train_step, jit_compile=True)
    for number, x in enumerate(case.x, start=1):
        case.model.reset_metrics()
        got = step(tuple(map(tf.constant, x)))
        wanted, gradients = case.play_twin(x.astype("float64"))
        assert got.keys() == wanted.keys()
        for loss, value in wanted.items():
            agree([got[loss]], [value], f"step {number}, loss {loss}", steps=number)
        for network, (seen, expected) in case.gradients(gradients).items():
            agree(seen, expected, f"step {number}, gradients of {network}", steps=number)
        same_state(case, number)
    assert int(case.model.step.value) == STEPS


@pytest.mark.xla
def test_fit_makes_the_same_steps():
    """`fit`, all steps in one call, with dropout: mean losses, last gradients and all state."""
    case = Recorded(rate=0.3)
    pairs = PairedBatches(case.x[:, 0].reshape(-1, X), BATCH, seed=1, chunk=STEPS)
    ((x_d, x_g, count),) = pairs.epochs().take(pairs.chunks)
    assert int(count) == STEPS
    batches = list(zip(x_d, x_g, strict=True))
    history = case.model.fit(pairs, epochs=1, verbose=0).history
    played = [case.play_twin(np.array(pair, "float64")) for pair in batches]
    for name in played[0][0]:
        agree(history[name], [np.mean([losses[name] for losses, _ in played])], name, steps=STEPS)
    for network, (seen, expected) in case.gradients(played[-1][1]).items():
        agree(seen, expected, f"gradients of {network}", steps=STEPS)
    same_state(case, STEPS)


def test_default_constants():
    """The paper's Adam and average; the average moves by a thousandth of what the weight moves."""
    model = ALAD(make_model().get_config()["networks"], x_shape=(X,), latent_dim=Z, seed=1)
    model.compile()
    for name in (*model.generative_networks, *model.discriminators):
        adam = getattr(model, f"optimizer_{name}")
        found = float(adam.learning_rate), adam.beta_1, adam.beta_2, adam.epsilon
        np.testing.assert_allclose(found, (1e-5, 0.5, 0.999, 1e-8), rtol=1e-6)
    model.ema[0].assign(tf.zeros_like(model.ema[0]))
    model.update_ema()
    np.testing.assert_allclose(model.ema[0].numpy(), 1e-3 * model.ema_sources[0].numpy(), rtol=1e-4)
