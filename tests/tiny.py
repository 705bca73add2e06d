"""A tabular ALAD small enough to compile in seconds, and data for it."""

import keras
import numpy as np

from alad_tf.model.alad import ALAD
from alad_tf.model.specs import conv, conv_transpose, dense, flatten, reshape

FEATURES, LATENT = 6, 3
ROWS = {
    "E": [dense(8, "lrelu"), dense(LATENT)],
    "G": [dense(8, "relu"), dense(FEATURES)],
    "D_xz": {
        "x": [dense(8, "lrelu", batch_norm=True)],
        "z": [dense(8, "lrelu", dropout=0.5)],
        "joint": [dense(8, "lrelu", dropout=0.5), dense(1)],
    },
    "D_xx": [dense(8, "lrelu", dropout=0.2), dense(1)],
    "D_zz": [dense(8, "lrelu", dropout=0.2), dense(1)],
}


def tiny_model(seed=0, learning_rate=1e-3, **options):
    """A compiled model; XLA is on unless `jit_compile=False`."""
    compile_options = {k: options.pop(k) for k in ("jit_compile", "run_eagerly") if k in options}
    model = ALAD(ROWS, x_shape=(FEATURES,), latent_dim=LATENT, seed=seed, **options)
    model.compile(learning_rate=learning_rate, **compile_options)
    return model


IMAGE_ROWS = {
    "E": [conv(4, 4, 2, "lrelu", batch_norm=True), conv(3, 4, 1, padding="valid")],
    "G": [
        reshape(1, 1, 3),
        conv_transpose(4, 4, 2, "relu", batch_norm=True, padding="valid"),
        conv_transpose(2, 4, 2, "tanh"),
    ],
    "D_xz": {
        "x": [conv(4, 4, 2, "lrelu"), reshape(1, 1, 64)],
        "z": [reshape(1, 1, 3), conv(4, 1, 1, "lrelu", dropout=0.2)],
        "joint": [conv(4, 1, 1, "lrelu", dropout=0.2), conv(1, 1, 1)],
    },
    "D_xx": [
        conv(4, 5, 2, "lrelu", dropout=0.2),
        conv(4, 5, 2, "lrelu", dropout=0.2),
        flatten(),
        dense(1),
    ],
    "D_zz": [dense(4, "lrelu", dropout=0.2), dense(1)],
}


def tiny_image_model(pair_axis=-1, jit_compile=True):
    """A compiled model of 8x8 images with 2 channels."""
    options = dict(pair_axis=pair_axis, initializer="normal_0.01", seed=1)
    model = ALAD(IMAGE_ROWS, (8, 8, 2), 3, **options)
    model.compile(learning_rate=1e-3, jit_compile=jit_compile)
    return model


def tiny_data(rows=70, seed=0):
    """Standard normal rows on a plane of the feature space."""
    generator = np.random.default_rng(seed)
    plane = generator.standard_normal((2, FEATURES))
    return (generator.standard_normal((rows, 2)) @ plane).astype("float32")


def weights_of(model):
    """Every variable of a model, optimizers included, by a stable name."""
    optimizers = [
        getattr(model, f"optimizer_{name}")
        for name in (*model.generative_networks, *model.discriminators)
    ]
    values = [v.numpy() for v in model.variables]
    return values + [v.numpy() for o in optimizers for v in o.variables]


def equal(first, second):
    """Whether two lists of arrays are equal to the bit."""
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def tiny_network(side=64, channels=3):
    """A network of random weights whose maps have strides of 2, 4 and 8."""
    layers = keras.layers
    inputs = keras.Input((side, side, channels))
    x = layers.Rescaling(1 / 127.5, -1)(inputs)
    for number, width in enumerate((6, 8, 10)):
        start = keras.initializers.HeNormal(seed=number)
        x = layers.Conv2D(width, 3, 2, "same", activation="relu", kernel_initializer=start)(x)
    return keras.Model(inputs, x, name="tiny")


def picture(rng, height=64, width=64, spot=None):
    """Noise on gray, uint8 (height, width, 3), perhaps with a bright square at a place."""
    pixels = 120 + rng.integers(-20, 21, (height, width, 3))
    if spot is not None:
        pixels[spot[0] : spot[0] + 12, spot[1] : spot[1] + 12] = 250
    return pixels.astype("uint8")
