"""Epoch means of several scalars, kept in one variable so that a compiled step stays cheap."""

import keras
import tensorflow as tf

from alad_tf.layers import PACKAGE


@keras.saving.register_keras_serializable(package=PACKAGE)
class StepMeans(keras.metrics.Metric):
    """Means over an epoch's steps of named scalars. One NaN anywhere makes the epoch's mean NaN.

    Args:
        names: sequence of str.
        name: str, the metric's own.

    Returns:
        from `result()`: dict of float32 scalars by name.

    Raises:
        KeyError: `update_state` without one of the names.

    Example:
        >>> means = StepMeans(("a", "b"))
        >>> means.update_state({"a": tf.constant(1.0), "b": tf.constant(3.0)})
        >>> float(means.result()["b"])
        3.0
    """

    def __init__(self, names, name="step_means", **kwargs):
        super().__init__(name=name, **kwargs)
        self.names = tuple(names)
        self.sums = self.add_variable((len(self.names),), "zeros", name="sums")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, values):
        self.sums.assign_add(tf.stack([values[name] for name in self.names]))
        self.count.assign_add(1.0)

    def result(self):
        means = tf.math.divide_no_nan(self.sums.value, self.count.value)
        return dict(zip(self.names, tf.unstack(means), strict=True))

    def get_config(self):
        return {**super().get_config(), "names": list(self.names)}
