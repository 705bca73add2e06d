"""The precision of a network's products: float32, or bfloat16 with float32 for all else."""

import keras
import tensorflow as tf

PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}  # Keras's names of the policies


def xla_pays(precision):
    """Whether a training step of this precision is faster compiled by XLA.

    On a CPU, XLA has no fast products in bfloat16; TensorFlow's own library has, on processors with
    AVX512-BF16 or AMX.

    Args:
        precision: str, a key of `PRECISIONS`.

    Returns:
        bool.

    Example:
        >>> xla_pays("float32")
        True
    """
    return precision == "float32" or bool(tf.config.get_visible_devices("GPU"))


class OfPolicy(keras.layers.Layer):
    """A layer whose parts compute by a dtype policy, while it reads its variables as they are.

    Under a mixed policy Keras hands a layer's call its float32 variables cast to the compute dtype,
    `autocast=False` or not. A network's own work (power iterations, batch statistics, sums) needs
    them whole; products cast for themselves.

    Args:
        dtype: Keras dtype policy of the parts; default the global one.
        **kwargs: as for `keras.layers.Layer`.

    Attributes:
        policy: Keras dtype policy, which subclasses give to their layers.

    Example:
        >>> network = OfPolicy(dtype="mixed_bfloat16")
        >>> network.policy.compute_dtype, network.compute_dtype
        ('bfloat16', 'float32')
    """

    def __init__(self, dtype=None, **kwargs):
        self.policy = keras.dtype_policies.get(dtype)
        super().__init__(dtype=self.policy.variable_dtype, autocast=False, **kwargs)

    def get_config(self):
        return {**super().get_config(), "dtype": keras.dtype_policies.serialize(self.policy)}
