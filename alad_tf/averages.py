"""The moving averages of E's, G's and D_xx's weights, which score."""

import tensorflow as tf


class AveragedWeights:
    """The part of `ALAD` that keeps the averages and calls networks with them.

    It expects a Keras model with the networks E, G and D_xx and a float `ema_decay`. Batch norm's
    moving statistics are not averaged: they are taken as they are.

    Attributes:
        ema: list of variables, the averages, in the order of `ema_sources`.

    Source: ALAD, appendix ("exponential moving average for inference with a decay of 0.999");
    which weights: the authors' released code.
    """

    ema_networks = ("E", "G", "D_xx")

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

    @property
    def ema_sources(self):
        """The variables that are averaged: the trainable weights of E, G and D_xx."""
        return [v for n in self.ema_networks for v in getattr(self, n).trainable_variables]

    def call_averaged(self, name, *inputs, **options):
        """Call E, G or D_xx in inference mode with its averaged weights."""
        network = getattr(self, name)
        weights = [v.value for v in self.averaged_weights(name)]
        state = [v.value for v in network.non_trainable_variables]
        return network.stateless_call(weights, state, *inputs, training=False, **options)[0]

    def averaged_weights(self, name):
        """The averages of one network's trainable weights, in the network's own order."""
        start = 0
        for other in self.ema_networks:
            size = len(getattr(self, other).trainable_variables)
            if other == name:
                return self.ema[start : start + size]
            start += size
        raise ValueError(f"{name} is not averaged; the averaged networks are {self.ema_networks}.")

    def update_ema(self):
        """One step of the averages: ema <- decay * ema + (1 - decay) * weight."""
        for average, source in zip(self.ema, self.ema_sources, strict=True):
            average.assign(self.ema_decay * average.value + (1 - self.ema_decay) * source.value)
