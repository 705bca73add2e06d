"""Layer specifications, the rows of an architecture table: what a zoo entry is written in."""

from dataclasses import asdict, dataclass

ACTIVATIONS = (None, "relu", "lrelu", "tanh", "softplus")
OPERATIONS = ("dense", "conv", "conv_transpose", "max_pool", "reshape", "flatten")


@dataclass(frozen=True)
class LayerSpec:
    """One row of a table such as Table XI: operation, non-linearity, batch norm, dropout.

    Attributes:
        op: one of "dense", "conv", "conv_transpose", "max_pool", "reshape", "flatten".
        units: int, output units or filters (0 where there are no weights).
        activation: None, "relu", "lrelu" (slope from the entry), "tanh" or "softplus".
        batch_norm: bool, whether to use batch normalisation before the activation.
        dropout: float in [0, 1), the rate of dropout after the activation.
        kernel: int, side of a square kernel or pool (images only).
        strides: int (images only).
        padding: "same" or "valid" (convolutions only).
        shape: tuple of ints, the target shape without the batch (reshape only).
    """

    op: str
    units: int = 0
    activation: str | None = None
    batch_norm: bool = False
    dropout: float = 0.0
    kernel: int = 0
    strides: int = 1
    padding: str = "same"
    shape: tuple = ()

    def __post_init__(self):
        if self.op not in OPERATIONS:
            raise ValueError(f"received the operation {self.op!r}; expected one of {OPERATIONS}.")
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"received the activation {self.activation!r}; expected one of {ACTIVATIONS}."
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(
                f"received a dropout rate of {self.dropout}; expected a number in [0, 1)."
            )
        object.__setattr__(self, "shape", tuple(self.shape))

    @property
    def has_kernel(self):
        """Whether this layer holds weights (and may be spectrally normalised)."""
        return self.op in ("dense", "conv", "conv_transpose")

    def to_config(self):
        """A JSON-able dict; `LayerSpec(**config)` is the inverse."""
        return {**asdict(self), "shape": list(self.shape)}


def as_specs(specs):
    """A list of `LayerSpec`s of a sequence of them or of their config dicts."""
    return [spec if isinstance(spec, LayerSpec) else LayerSpec(**spec) for spec in specs]


def dense(units, activation=None, batch_norm=False, dropout=0.0):
    """A fully connected layer.

    Args:
        units: int, the number of outputs.
        activation: None, "relu", "lrelu", "tanh" or "softplus".
        batch_norm: bool, whether to use batch normalisation before the activation.
        dropout: float in [0, 1), the rate of dropout after the activation.

    Returns:
        `LayerSpec`.

    Raises:
        ValueError: if the activation is unknown, or the dropout rate is outside [0, 1).

    Example:
        >>> dense(64, "lrelu", batch_norm=True, dropout=0.5).units
        64

    Source: ALAD, Tables IX to XIII, rows "Dense".
    """
    return LayerSpec("dense", units, activation, batch_norm, dropout)


def conv(units, kernel, strides, activation=None, batch_norm=False, dropout=0.0, padding="same"):
    """A convolution.

    Args:
        units: int, the number of filters.
        kernel, strides: ints, the same for height and width.
        activation, batch_norm, dropout: as for `dense`.
        padding: "same" or "valid".

    Returns:
        `LayerSpec`.

    Raises:
        ValueError: as for `dense`.

    Example:
        >>> conv(128, 4, 2, "lrelu", batch_norm=True).strides
        2

    Source: ALAD, Tables IX and XII, rows "Conv".
    """
    return LayerSpec("conv", units, activation, batch_norm, dropout, kernel, strides, padding)


def conv_transpose(
    units, kernel, strides, activation=None, batch_norm=False, dropout=0.0, padding="same"
):
    """A transposed convolution.

    Args:
        units, kernel, strides, activation, batch_norm, dropout, padding: as for `conv`.

    Returns:
        `LayerSpec`.

    Raises:
        ValueError: as for `dense`.

    Example:
        >>> conv_transpose(512, 4, 2, "relu", padding="valid").padding
        'valid'

    Source: ALAD, Tables IX and XII, rows "Transposed conv".
    """
    rest = (activation, batch_norm, dropout, kernel, strides, padding)
    return LayerSpec("conv_transpose", units, *rest)


def max_pool(kernel):
    """Max pooling over adjacent squares.

    Args:
        kernel: int, the side of a square.

    Returns:
        `LayerSpec`.

    Example:
        >>> max_pool(2).strides
        2
    """
    return LayerSpec("max_pool", kernel=kernel, strides=kernel, padding="valid")


def reshape(*shape):
    """Reshape each example.

    Args:
        *shape: ints, the new shape without the batch.

    Returns:
        `LayerSpec`.

    Example:
        >>> reshape(1, 1, 100).shape  # makes an image of a latent vector
        (1, 1, 100)
    """
    return LayerSpec("reshape", shape=shape)


def flatten():
    """Flatten each example to a vector.

    Returns:
        `LayerSpec`.

    Example:
        >>> flatten().op
        'flatten'
    """
    return LayerSpec("flatten")
