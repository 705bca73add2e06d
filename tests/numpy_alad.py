"""An independent float64 NumPy ALAD, for parity tests: it shares no code with alad_tf.

Written from the paper's objective and what is known about the authors' code. Gradients are central
differences; spectral norm's u and v and the dropout masks are held fixed while differencing, being
constants to the gradient. State (u, batch norm's moving statistics) advances once a call, in the
pass that trains the network, and never while differencing.
"""

from dataclasses import dataclass

import numpy as np

STEP = 1e-6  # of the central differences: error about STEP**2 + 1e-16 / STEP, relative


@dataclass
class Layer:
    """Dense kernel and bias, then batch norm (if gamma), non-linearity, dropout (if rate)."""

    W: np.ndarray  # (inputs, outputs)
    b: np.ndarray
    activation: str | None = None
    rate: float = 0.0
    u: np.ndarray | None = None  # present where the kernel is spectrally normalised
    gamma: np.ndarray | None = None
    beta: np.ndarray | None = None
    mean: np.ndarray | None = None  # moving
    var: np.ndarray | None = None  # moving
    key: int = 0  # tells the masks of this layer from those of others

    def parameters(self):
        return [self.W, self.b] + ([] if self.gamma is None else [self.gamma, self.beta])


def layers_of(network):
    """The layers of a stack (list) or of a joint discriminator (dict of stacks)."""
    stacks = network.values() if isinstance(network, dict) else [network]
    return [layer for stack in stacks for layer in stack]


def parameters_of(network):
    return [p for layer in layers_of(network) for p in layer.parameters()]


def unit(vector):
    return vector / np.sqrt((vector**2).sum())


def power_iteration(W, u):
    """One iteration from u (outputs,): v (inputs,) and the next u."""
    v = unit(W @ u)
    return v, unit(W.T @ v)


def negative_log_sigmoid(t):
    return np.maximum(-t, 0) + np.log1p(np.exp(-np.abs(t)))


def towards(logits, label):
    """Mean binary cross-entropy of logits against a label."""
    return negative_log_sigmoid(logits if label == 1 else -logits).mean()


def bits(size, key):
    """The documented counter hash: two MurmurHash3 finalizers, half a key xor-ed before each."""
    h = np.arange(size, dtype=np.uint32) * np.uint32(0x9E3779B9)
    for half in key:
        h = h ^ np.uint32(int(half) % 2**32)
        h = (h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
        h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
        h = h ^ (h >> np.uint32(16))
    return h


def mask(shape, rate, key):
    """True where a unit is kept."""
    return (bits(int(np.prod(shape)), key) >= round(rate * 2**32)).reshape(shape)


class Pass:
    """One pass of a step: which networks learn in it, and the constants of its calls.

    The first evaluation records each call's (v, u) and advances the learners' state; after
    `rewind()` an evaluation takes the recorded ones and touches nothing.
    """

    def __init__(self, nets, learners, first_call, key_of_call, slope=0.2):
        self.nets, self.learners, self.slope = nets, learners, slope
        self.first_call, self.key_of_call = first_call, key_of_call
        self.recorded, self.recording = [], True
        self.calls, self.position = first_call, 0

    def rewind(self, calls=None, position=0):
        self.recording, self.position = False, position
        self.calls = self.first_call if calls is None else calls

    def __call__(self, name, *inputs):
        """E(x), G(z) or a discriminator's logits of a pair, in training mode."""
        network, learns = self.nets[name], name in self.learners and self.recording
        call, self.calls = self.calls, self.calls + 1
        if isinstance(network, dict):
            x, z = inputs
            x = self._stack(network["x"], x, call, learns)
            z = self._stack(network["z"], z, call, learns)
            return self._stack(network["joint"], np.hstack([x, z]), call, learns)[:, 0]
        out = self._stack(network, np.hstack(inputs), call, learns)
        return out[:, 0] if len(inputs) == 2 else out

    def pairs(self, name, a, made):
        """Logits of (a, a) and (a, made): one call, or two where batch statistics would mix."""
        if any(layer.gamma is not None for layer in layers_of(self.nets[name])):
            return self(name, a, a), self(name, a, made)
        return np.split(self(name, np.vstack([a, a]), np.vstack([a, made])), 2)

    def _stack(self, layers, h, call, learns):
        for layer in layers:
            h = h @ self._kernel(layer, learns) + layer.b
            if layer.gamma is not None:
                mean, var = h.mean(0), h.var(0)
                if learns:
                    layer.mean = 0.99 * layer.mean + 0.01 * mean
                    layer.var = 0.99 * layer.var + 0.01 * var
                h = layer.gamma * (h - mean) / np.sqrt(var + 1e-3) + layer.beta
            if layer.activation:
                below = {"lrelu": self.slope, "relu": 0.0}[layer.activation]
                h = np.where(h > 0, h, below * h)
            if layer.rate:
                salt, step = self.key_of_call(call)
                keep = mask(h.shape, layer.rate, (salt + layer.key, step))
                h = keep * h / (1 - layer.rate)
        return h

    def _kernel(self, layer, learns):
        if layer.u is None:
            return layer.W
        if self.recording:
            self.recorded.append(power_iteration(layer.W, layer.u))
            if learns:
                layer.u = self.recorded[-1][1]
        else:
            self.position += 1
        v, u = self.recorded[-1 if self.recording else self.position - 1]
        return layer.W / (v @ layer.W @ u)


def gradients(loss, parameters):
    """Central differences of a scalar function in float64 arrays, which are left as they were."""
    result = []
    for p in parameters:
        flat, slopes = p.reshape(-1), np.empty(p.size)
        for i in range(p.size):
            start = flat[i]
            flat[i] = start + STEP
            above = loss()
            flat[i] = start - STEP
            slopes[i] = (above - loss()) / (2 * STEP)
            flat[i] = start
        result.append(slopes.reshape(p.shape))
    return result


class Adam:
    """Kingma & Ba, the efficient form: epsilon is outside the bias correction."""

    def __init__(self, parameters, lr, beta_1, beta_2, epsilon):
        self.lr, self.b1, self.b2, self.epsilon, self.t = lr, beta_1, beta_2, epsilon, 0
        self.m = [np.zeros_like(p) for p in parameters]
        self.v = [np.zeros_like(p) for p in parameters]

    def apply(self, grads, parameters):
        self.t += 1
        alpha = self.lr * np.sqrt(1 - self.b2**self.t) / (1 - self.b1**self.t)
        for m, v, g, p in zip(self.m, self.v, grads, parameters, strict=True):
            m[:] = self.b1 * m + (1 - self.b1) * g
            v[:] = self.b2 * v + (1 - self.b2) * g**2
            p -= alpha * m / (np.sqrt(v) + self.epsilon)


class NumpyALAD:
    """`nets`: "E", "G", "D_xx" and perhaps "D_zz" are lists of layers, "D_xz" a dict of lists."""

    def __init__(self, nets, ema, ema_decay, adam):
        self.nets, self.ema, self.ema_decay, self.step = nets, ema, ema_decay, 0
        self.critics = [n for n in ("D_xz", "D_xx", "D_zz") if n in nets]
        self.adam = {n: Adam(parameters_of(net), **adam) for n, net in nets.items()}

    def train_step(self, x_d, z_d, x_g, z_g, key_of_call=None):
        """One step; returns (losses by name, gradients by network)."""
        d_losses, constant, grads = self._critics_step(x_d, z_d, key_of_call)
        g_losses, more = self._generators_step(x_g, z_g, key_of_call)
        for name in self.ema:
            for average, p in zip(self.ema[name], parameters_of(self.nets[name]), strict=True):
                average *= self.ema_decay
                average += (1 - self.ema_decay) * p
        self.step += 1
        losses = {**d_losses, **{name: value + constant for name, value in g_losses.items()}}
        losses["loss"] = sum(losses.values())
        return losses, {**grads, **more}

    def _critics_step(self, x, z, key_of_call):
        run = Pass(self.nets, self.critics, 1, key_of_call)
        e_x, g_z = run("E", x), run("G", z)
        x_again = run("G", e_x)
        z_again = run("E", g_z) if "D_zz" in self.nets else None
        calls, position = run.calls, len(run.recorded)

        def play():
            real = {"D_xz": run("D_xz", x, e_x)}
            fake = {"D_xz": run("D_xz", g_z, z)}
            real["D_xx"], fake["D_xx"] = run.pairs("D_xx", x, x_again)
            if z_again is not None:
                real["D_zz"], fake["D_zz"] = run.pairs("D_zz", z, z_again)
            losses = {n: towards(real[n], 1) + towards(fake[n], 0) for n in self.critics}
            return losses, sum(towards(real[n], 0) for n in self.critics[1:])

        losses, constant = play()

        def own(name):
            run.rewind(calls, position)
            return play()[0][name]

        return losses, constant, self._descend({n: lambda n=n: own(n) for n in self.critics})

    def _generators_step(self, x, z, key_of_call):
        """G's and E's own losses as in the authors' code, less the terms without gradient."""
        run = Pass(self.nets, ("E", "G"), 100, key_of_call)

        def play():
            e_x, g_z = run("E", x), run("G", z)
            x_again = run("G", e_x)
            joint_x, joint_z = run("D_xz", x, e_x), run("D_xz", g_z, z)
            cycles = towards(run("D_xx", x, x_again), 1)
            if "D_zz" in self.nets:
                cycles += towards(run("D_zz", z, run("E", g_z)), 1)
            return {"G": towards(joint_z, 1) + cycles, "E": towards(joint_x, 0) + cycles}

        losses = play()

        def own(name):
            run.rewind()
            return play()[name]

        return losses, self._descend({n: lambda n=n: own(n) for n in ("E", "G")})

    def _descend(self, objectives):
        """Every network's gradient first, then every update: they are simultaneous."""
        owned = {name: parameters_of(self.nets[name]) for name in objectives}
        grads = {name: gradients(loss, owned[name]) for name, loss in objectives.items()}
        for name, g in grads.items():
            self.adam[name].apply(g, owned[name])
        return grads
