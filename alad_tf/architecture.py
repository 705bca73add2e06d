"""From the rows of a table to the five networks of ALAD."""

import numpy as np

from alad_tf.discriminators import JointDiscriminator, PairDiscriminator
from alad_tf.networks import Stack
from alad_tf.random import derive_seed
from alad_tf.rows import Row

NETWORKS = ("E", "G", "D_xz", "D_xx", "D_zz")


def build_networks(config, policy=None):
    """Build G, E, D_xz, D_xx and D_zz, each with seeds of its own.

    paper: spectral normalisation regularises the discriminators and the encoder (Section IV-B); G
    goes without. The authors' code normalises convolutional encoders only; here: dense ones too, as
    the text reads.

    Args:
        config: dict of `ALAD`'s arguments, "networks" as `rows_to_config` gives them.
        policy: Keras dtype policy of the networks; default the global one.

    Returns:
        dict of built layers by name; "D_zz" is None without the latent discriminator.

    Raises:
        ValueError: E does not end in the latent dimension or G in x's shape, with both shapes.

    Example:
        >>> from alad_tf.rows import dense
        >>> D = [dense(4, "lrelu"), dense(1)]
        >>> rows = dict(E=[dense(2)], G=[dense(5)], D_xx=D, D_zz=D,
        ...             D_xz=dict(x=[dense(4)], z=[dense(4)], joint=D))
        >>> config = dict(networks=rows_to_config(rows), x_shape=(5,), latent_dim=2, pair_axis=-1,
        ...               spectral_norm=True, latent_discriminator=True, slope=0.2, seed=0,
        ...               initializer="glorot_uniform")
        >>> sorted(build_networks(config))
        ['D_xx', 'D_xz', 'D_zz', 'E', 'G']

    Source: ALAD, Section IV; Tables IX, XI and XIII.
    """

    def options(name):
        return {
            "name": name,
            "spectral_norm": config["spectral_norm"] and name != "G",
            "initializer": config["initializer"],
            "slope": config["slope"],
            "seed": derive_seed(config["seed"], 1, NETWORKS.index(name)),
            "dtype": policy,
        }

    rows, axis = config["networks"], config["pair_axis"]
    x, z = (None, *config["x_shape"]), (None, config["latent_dim"])
    branches = (rows["D_xz"][part] for part in ("x", "z", "joint"))
    networks = {
        "E": (Stack(rows["E"], **options("E")), (x,)),
        "G": (Stack(rows["G"], **options("G")), (z,)),
        "D_xz": (JointDiscriminator(*branches, **options("D_xz")), (x, z)),
        "D_xx": (PairDiscriminator(rows["D_xx"], axis=axis, **options("D_xx")), (x, x)),
    }
    if config["latent_discriminator"]:
        networks["D_zz"] = (PairDiscriminator(rows["D_zz"], **options("D_zz")), (z, z))
    for network, shapes in networks.values():
        network.build(*shapes)
        network.built = True
    built = {name: network for name, (network, _) in networks.items()}
    for name, source, target in (("E", x, z), ("G", z, x)):
        got = built[name].compute_output_shape(source)
        # an image encoder ends in (1, 1, latent): the same numbers, reshaped by the model
        if np.prod(got[1:]) != np.prod(target[1:]):
            raise ValueError(
                f"{name} maps {source[1:]} to {got[1:]}; expected {target[1:]}. Check the units of "
                "its last row, x_shape and latent_dim."
            )
    return {"D_zz": None, **built}


def rows_to_config(networks):
    """The rows of all networks as JSON-able dicts.

    Args:
        networks: dict with rows (`Row` or config dicts) under "E", "G", "D_xx" and "D_zz", and a
            dict of rows ("x", "z", "joint") under "D_xz".

    Returns:
        dict of the same form, every row a dict.

    Raises:
        ValueError: a network is missing.

    Example:
        >>> from alad_tf.rows import dense
        >>> rows = dict.fromkeys(NETWORKS, [dense(2)])
        >>> rows_to_config(rows)["E"][0]["units"]
        2
    """
    missing = sorted(set(NETWORKS) - set(networks))
    if missing:
        raise ValueError(
            f"networks must hold rows for E, G, D_xz, D_xx and D_zz; missing {missing}."
        )

    def convert(value):
        if isinstance(value, dict) and "op" not in value:
            return {key: convert(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [convert(item) for item in value]
        return value.to_config() if isinstance(value, Row) else dict(value)

    return convert(networks)
