"""The products that a training step or a score must make, counted from the rows of the tables."""

import collections
import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Product:
    """One matrix product or convolution of a batch.

    Attributes:
        kind: "dense", "conv" or "conv_transpose".
        way: "forward", "weights" (gradient of the kernel) or "inputs" (gradient of the inputs).
        rows: int, B.
        inputs, outputs: tuples of ints, one sample's shape before and after.
        kernel, strides: ints; padding: str (convolutions only).

    Example:
        >>> Product("dense", "forward", 50, (121,), (64,)).flops
        774400
    """

    kind: str
    way: str
    rows: int
    inputs: tuple
    outputs: tuple
    kernel: int = 1
    strides: int = 1
    padding: str = "same"

    @property
    def flops(self):
        """Two for each multiplication and addition; the same for all three ways."""
        if self.kind == "dense":
            return 2 * self.rows * self.inputs[0] * self.outputs[0]
        # a convolution works for each place of its smaller map
        small, other = self.outputs, self.inputs
        if self.kind == "conv_transpose":
            small, other = self.inputs, self.outputs
        return 2 * self.rows * math.prod(small) * self.kernel**2 * other[-1]


def of_rows(rows, shape, batch):
    """The forward products of a list of `LayerSpec`s: list of `Product`, and the last shape."""
    products = []
    for row in rows:
        before = shape
        if row.op == "reshape":
            shape = row.shape
        elif row.op == "flatten":
            shape = (math.prod(shape),)
        elif row.op == "dense":
            shape = (row.units,)
            products.append(Product("dense", "forward", batch, before, shape))
        else:
            shape = (*(_side(row, side) for side in before[:2]), row.units)
            form = (row.kernel, row.strides, row.padding)
            if row.op == "conv" and form[:2] == (1, 1):  # a matrix product at each place
                places = batch * math.prod(shape[:2])
                products.append(Product("dense", "forward", places, before[-1:], shape[-1:]))
            else:
                products.append(Product(row.op, "forward", batch, before, shape, *form))
    return products, shape


def _side(row, side):
    if row.op == "conv_transpose":
        longer = max(row.kernel - row.strides, 0) if row.padding == "valid" else 0
        return side * row.strides + longer
    return -(-(side - (row.kernel - 1 if row.padding == "valid" else 0)) // row.strides)


def _way(products, way):
    return [dataclasses.replace(product, way=way) for product in products]


def _narrow(product, inputs):
    """The product with a part of its kernel: only `inputs` of the input channels."""
    return dataclasses.replace(product, inputs=(*product.inputs[:-1], inputs))


class Networks:
    """The forward products of an entry's networks, by network and by part.

    Args:
        entry: `zoo._entry.Entry`.
        batch: int, B.
    """

    def __init__(self, entry, batch):
        rows, x, z = entry.networks, tuple(entry.x_shape), (entry.latent_dim,)
        self.E, self.G = (of_rows(rows[n], s, batch)[0] for n, s in (("E", x), ("G", z)))
        self.xz_x, x_out = of_rows(rows["D_xz"]["x"], x, batch)
        self.xz_z, z_out = of_rows(rows["D_xz"]["z"], z, batch)
        joined = (*x_out[:-1], x_out[-1] + z_out[-1])
        self.xz_joint, _ = of_rows(rows["D_xz"]["joint"], joined, batch)
        self.xz_widths = (x_out[-1], z_out[-1])
        self.shares = entry.pair_axis == -1  # (x, x) and (x, x') share the first row
        pair = [0, *x]  # the axis counts the batch
        pair[entry.pair_axis] *= 2
        self.xx, _ = of_rows(rows["D_xx"], tuple(pair[1:]), batch)
        self.zz, _ = of_rows(rows["D_zz"], (2 * z[0],), batch)


def _both_pairs(products, shares):
    """First row and rest of (a, a) and (a, b): shared, two products with half of the kernel."""
    first, *rest = products
    if shares:
        first = _narrow(first, first.inputs[-1] // 2)
    return [first] * 2, rest * 2


def train_step(entry, batch=None):
    """All products of one training step: both passes, and the gradients that something needs.

    Not counted: spectral norm's products with one vector, element-wise work, Adam, averages.

    Args:
        entry: `zoo._entry.Entry`.
        batch: int, B; default the entry's.

    Returns:
        `collections.Counter` of `Product`.

    Example:
        >>> import zoo
        >>> round(sum(p.flops * n for p, n in train_step(zoo.entry("kdd99_alad")).items()) / 1e6)
        82
    """
    n = Networks(entry, batch or entry.batch_size)
    made = 2 * n.E + 2 * n.G  # E(x), E(G(z)), G(z), G(E(x)): in each pass
    xz = n.xz_x + n.xz_z + n.xz_joint
    xx_first, xx_rest = _both_pairs(n.xx, n.shares)
    zz_first, zz_rest = _both_pairs(n.zz, True)
    discriminators = (
        made
        + (2 * xz + xx_first + xx_rest + zz_first + zz_rest)
        + _way(2 * xz + xx_first + xx_rest + zz_first + zz_rest, "weights")
        # into every row but those that take data or what G and E made
        + _way(2 * (n.xz_x[1:] + n.xz_z[1:] + n.xz_joint) + xx_rest + zz_rest, "inputs")
    )
    x_part, z_part = (_narrow(n.xz_joint[0], width) for width in n.xz_widths)
    half_xx = _narrow(n.xx[0], n.xx[0].inputs[-1] // 2) if n.shares else n.xx[0]
    half_zz = _narrow(n.zz[0], n.zz[0].inputs[-1] // 2)
    generators = (
        made
        + (2 * xz + n.xx + n.zz)
        + _way([z_part, *n.xz_joint[1:], *n.xz_z], "inputs")  # (x, E(x)): into E(x) alone
        + _way([x_part, *n.xz_joint[1:], *n.xz_x], "inputs")  # (G(z), z): into G(z) alone
        + _way([half_xx, *n.xx[1:], half_zz, *n.zz[1:]], "inputs")
        + _way(2 * n.E + 2 * n.G, "weights")
        + _way(n.E[1:] + n.E + n.G[1:] + n.G, "inputs")
    )
    return collections.Counter(discriminators + generators)


def score(entry, batch):
    """All products of the four scores of a batch: E, G, and D_xx of (x, x) and (x, x').

    Args:
        entry: `zoo._entry.Entry`.
        batch: int, B.

    Returns:
        `collections.Counter` of `Product`.

    Example:
        >>> import zoo
        >>> sum(p.flops * n for p, n in score(zoo.entry("kdd99_alad"), 1).items())
        133248
    """
    n = Networks(entry, batch)
    first, rest = _both_pairs(n.xx, n.shares)
    return collections.Counter(n.E + n.G + first + rest[:-1])  # (x, x)'s logit is no score


def total(products):
    """Floating-point operations of a Counter of products."""
    return sum(product.flops * count for product, count in products.items())
