"""The optimizers of the networks: one each, with one learning rate, set together."""

import copy

import keras

# The optimizer of ALAD's tables; epsilon is TensorFlow 1's default, which the paper left in place.
ADAM = {"learning_rate": 1e-5, "beta_1": 0.5, "beta_2": 0.999, "epsilon": 1e-8}


class Optimizers:
    """All optimizers of a compiled model, as Keras's callbacks expect `model.optimizer` to be.

    Attributes:
        learning_rate: variable, or a schedule's value; setting it sets all networks' rates. A
            compiled training step reads it as a variable, so that nothing is compiled again.
        iterations: int variable, training steps since the model was compiled.
        variables: list of all optimizers' variables.
    """

    built = True

    def __init__(self, model):
        self._model = model

    @property
    def _all(self):
        return [getattr(self._model, f"optimizer_{name}") for name in self._model.optimized]

    @property
    def learning_rate(self):
        return self._all[0].learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        if not float(value) > 0:
            raise ValueError(f"received learning_rate={value}; expected a positive number.")
        for optimizer in self._all:
            optimizer.learning_rate = value

    @property
    def iterations(self):
        return self._all[0].iterations

    @property
    def variables(self):
        return [variable for optimizer in self._all for variable in optimizer.variables]


def optimizer_settings(optimizer, adam):
    """The arguments of `compile`, as JSON: "optimizer", or Adam's four arguments with defaults."""
    if optimizer is not None:
        received = [name for name, value in adam.items() if value is not None]
        if received:
            raise ValueError(
                f"received both optimizer and {', '.join(received)}. Set these in the "
                "optimizer, or leave the optimizer out."
            )
        if isinstance(optimizer, dict):
            optimizer = keras.optimizers.deserialize(copy.deepcopy(optimizer))
        if not isinstance(optimizer, keras.optimizers.Optimizer):
            raise ValueError(
                f"received optimizer={optimizer!r}; expected a Keras optimizer, of which "
                "each network gets a copy, or none. Pass learning_rate, beta_1, beta_2 and "
                "epsilon for the networks' Adam optimizers, or an optimizer such as "
                "keras.optimizers.Adam(1e-4, beta_1=0.5)."
            )
        found = keras.optimizers.serialize(optimizer)
        found["config"]["name"] = "optimizer"  # Keras numbers names; programs are shared
        return {"optimizer": found}
    rate = adam["learning_rate"]
    settings = {k: ADAM[k] if v is None else v for k, v in adam.items()}
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        settings["learning_rate"] = keras.optimizers.schedules.serialize(rate)
    elif not isinstance(rate, dict) and not float(settings["learning_rate"]) > 0:
        raise ValueError(f"received learning_rate={rate}; expected a positive number.")
    return {k: v if isinstance(v, dict) else float(v) for k, v in settings.items()}


def new_optimizer(settings, name):
    """A network's own optimizer, from `optimizer_settings`."""
    settings = copy.deepcopy(settings)  # Keras changes what it reads
    if "optimizer" in settings:
        return keras.optimizers.deserialize(settings["optimizer"])
    rate = settings["learning_rate"]
    if isinstance(rate, dict):
        rate = keras.optimizers.schedules.deserialize(rate)
    return keras.optimizers.Adam(**{**settings, "learning_rate": rate}, name=f"adam_{name}")


def without_rate(settings):
    """The settings that a training program depends on: all except a rate that is a variable."""
    settings = dict(settings)
    if "optimizer" in settings:
        config = settings["optimizer"]["config"]
        settings["optimizer"] = {**settings["optimizer"], "config": without_rate(config)}
    elif not isinstance(settings["learning_rate"], dict):
        settings["learning_rate"] = 0.0
    return settings
