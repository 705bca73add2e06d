"""The default networks and hyper-parameters of `ALADDetector`, from the data's shape and length."""

from dataclasses import dataclass, field
from numbers import Integral

import numpy as np

from alad_tf.model.alad import ALAD
from alad_tf.model.specs import conv, conv_transpose, dense, flatten, reshape

BATCH, IMAGE_BATCH = 64, 32
FEWEST_STEPS, MOST_STEPS, EPOCHS = 1000, 20_000, 20  # of images
TABLE_STEPS, TABLE_EPOCHS, MOST_TABLE_STEPS = 300, 5, 2000  # measured: more does not help tables
WORTH_COMPILING = 600  # steps for tables: with fewer, compiling by XLA costs more than it saves
IMAGE_RATE = 2e-4  # the paper's for images
TABLE_RATE = 1e-3  # the paper's 1e-5 is for tens of thousands of steps
EMA_DECAY = 0.99  # the paper's 0.999 averages over as many steps as the shortest training has
SMALLEST_SIDE = 4  # of an image's last feature map, at least
FILTERS, MOST_HALVINGS = 32, 4


@dataclass(frozen=True)
class Rules:
    """An architecture and how long it trains.

    Attributes:
        networks: dict of rows as `ALAD` takes them.
        x_shape: tuple of ints, the shape of a preprocessed sample.
        latent_dim, batch_size, steps: ints.
        learning_rate: float, for all five Adam optimizers.
    """

    networks: dict = field(repr=False)
    x_shape: tuple
    latent_dim: int
    batch_size: int
    steps: int
    learning_rate: float

    def build(self, seed):
        """A compiled, untrained `ALAD`; `seed` is that of weights, noise, dropout and shuffling."""
        model = ALAD(
            self.networks,
            x_shape=self.x_shape,
            latent_dim=self.latent_dim,
            ema_decay=EMA_DECAY,
            initializer="glorot_uniform",
            seed=seed,
        )
        short = len(self.x_shape) == 1 and self.steps < WORTH_COMPILING
        model.compile(learning_rate=self.learning_rate, **({"jit_compile": False} if short else {}))
        return model

    def build_members(self, count, seed):
        """`count` such models, with seeds derived from `seed`."""
        seeds = np.random.SeedSequence(seed).generate_state(int(count))
        return [self.build(int(member >> 1)) for member in seeds]


def rules_for(
    x_shape, rows, hidden=None, latent_dim=None, batch_size=None, steps=None, learning_rate=None
):
    """The default networks and hyper-parameters for samples of a shape; arguments replace them.

    - `latent_dim`: tables: half of the columns (after encoding), between 2 and 64; images: 64.
    - Networks of tables: two hidden layers of `hidden` units: 128, or 256 beyond 256 columns; or
      layers of the widths in `hidden`, from x to z; G has them in reverse. D_xz has batch norm on
        x's branch and dropout 0.5 on the others; D_xx and D_zz have dropout 0.2, as in the paper's
        Table XI.
    - Networks of images: convolutions of 4 x 4 that halve the sides while both are even and at
      least 8, at most four times, with `hidden` filters (32), then twice as many, and so on.
    - `batch_size`: 64 for tables, 32 for images; with fewer rows, the largest power of two.
    - `steps`: tables: those of 5 epochs, but between 300 and 2,000; images: those of 20 epochs, but
      between 1,000 and 20,000. There is no early stopping.
    - `learning_rate`: tables: 1e-3; images: 2e-4. Averaged weights decay by 0.99.

    Args:
        x_shape: tuple of ints: (d,) or (height, width, channels).
        rows: int, training rows.
        hidden: int, or for tables a sequence of ints; or None for the rule.
        latent_dim, batch_size, steps: ints, or None for the rule.
        learning_rate: float, or None for the rule.

    Source: ALAD, Tables IX to XIII, for the forms; the sizes were chosen on ten sets of
    `benchmarks/adbench.py` together, never for one of them.
    """
    image = len(x_shape) == 3
    hidden, latent_dim, batch_size, steps = map(_plain, (hidden, latent_dim, batch_size, steps))
    sizes = dict(latent_dim=latent_dim, batch_size=batch_size, steps=steps)
    if hidden is None or isinstance(hidden, Integral):
        sizes["hidden"] = hidden
    else:
        _check_widths(hidden, image)
    for name, value in {**sizes, "learning_rate": learning_rate}.items():
        if value is not None and not value > 0:
            raise ValueError(f"received {name}={value}; expected a positive number.")
    if batch_size is None:
        batch_size = min(IMAGE_BATCH if image else BATCH, 2 ** (rows.bit_length() - 1))
    if batch_size > rows:
        raise ValueError(
            f"received batch_size={batch_size} for {rows} training rows; expected at most that "
            "many. Lower it."
        )
    if steps is None:
        least, epochs, most = (
            (FEWEST_STEPS, EPOCHS, MOST_STEPS)
            if image
            else (TABLE_STEPS, TABLE_EPOCHS, MOST_TABLE_STEPS)
        )
        steps = min(max(epochs * rows // batch_size, least), most)
    if image:
        latent_dim = latent_dim or 64
        networks = image_networks(x_shape, latent_dim, hidden or FILTERS)
    else:
        width = x_shape[0]
        latent_dim = latent_dim or min(max(width // 2, 2), 64)
        networks = table_networks(width, latent_dim, hidden or (128 if width <= 256 else 256))
    learning_rate = learning_rate or (IMAGE_RATE if image else TABLE_RATE)
    return Rules(networks, tuple(x_shape), latent_dim, batch_size, steps, learning_rate)


def _plain(size):
    """NumPy's integers as int, which Keras requires."""
    return int(size) if isinstance(size, Integral) else size


def _check_widths(hidden, image):
    """Refuse invalid widths of layers; networks for images take one number."""
    widths = list(hidden)
    whole = all(isinstance(width, Integral) and width > 0 for width in widths)
    if image or not widths or not whole:
        expected = "the number of filters, an int" if image else "an int or positive ints"
        raise ValueError(f"received hidden={hidden!r}; expected {expected}.")


def table_networks(width, latent_dim, hidden):
    """E, G and the discriminators for rows of a table, as `ALAD` takes them."""
    widths = [hidden] * 2 if isinstance(hidden, Integral) else [int(units) for units in hidden]
    first, small = widths[0], max(widths[-1] // 4, 8)
    return {
        "E": [*(dense(units, "lrelu") for units in widths), dense(latent_dim)],
        "G": [*(dense(units, "relu") for units in widths[::-1]), dense(width)],
        "D_xz": {
            "x": [dense(first, "lrelu", batch_norm=True)],
            "z": [dense(first, "lrelu", dropout=0.5)],
            "joint": [dense(first, "lrelu", dropout=0.5), dense(1)],
        },
        "D_xx": [*(dense(units, "lrelu", dropout=0.2) for units in widths), dense(1)],
        "D_zz": [dense(small, "lrelu", dropout=0.2), dense(1)],
    }


def image_networks(x_shape, latent_dim, filters):
    """E, G and the discriminators for images, as `ALAD` takes them."""
    height, width, channels = x_shape
    halvings = 0
    while (
        halvings < MOST_HALVINGS
        and not (height % 2 or width % 2)
        and min(height, width) >= 2 * SMALLEST_SIDE
    ):
        height, width, halvings = height // 2, width // 2, halvings + 1
    if not halvings:
        raise ValueError(
            f"received images of {x_shape[0]} x {x_shape[1]} pixels; the networks halve the "
            "sides, so both must be even and at least 8. Resize the images, preferably to a "
            "multiple of 8 or 16."
        )
    widths = [filters * 2**i for i in range(halvings)]
    top = widths[-1]

    def down(batch_norm=False, dropout=0.0):
        return [conv(w, 4, 2, "lrelu", batch_norm and i > 0, dropout) for i, w in enumerate(widths)]

    up = [conv_transpose(w, 4, 2, "relu", batch_norm=True) for w in widths[-2::-1]]
    return {
        "E": [*down(batch_norm=True), flatten(), dense(latent_dim)],
        "G": [
            dense(height * width * top, "relu"),
            reshape(height, width, top),
            *up,
            conv_transpose(channels, 4, 2, "tanh"),
        ],
        "D_xz": {
            "x": [*down(batch_norm=True), flatten()],
            "z": [dense(256, "lrelu", dropout=0.2)],
            "joint": [dense(256, "lrelu", dropout=0.2), dense(1)],
        },
        "D_xx": [*down(dropout=0.2), flatten(), dense(1)],
        "D_zz": [dense(64, "lrelu", dropout=0.2), dense(32, "lrelu", dropout=0.2), dense(1)],
    }
