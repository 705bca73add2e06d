"""From a trained model's layers to the scorer's plain ones: averages, kernels divided by sigma."""

from alad_tf.layers import SpectralNormalization
from alad_tf.networks import Stack


def leaves(network):
    """The layers of a network, in the order of its rows.

    Args:
        network: `Stack` or `Discriminator`.

    Returns:
        list of Keras layers.
    """
    stacks = [network] if isinstance(network, Stack) else [network.body, network.top]
    return [layer for stack in stacks for layer in stack.steps]


def fold(source, target, average_of):
    """Copy one layer's averaged weights, its kernel divided by sigma if it was normalised.

    Args:
        source: a layer of a trained model, perhaps wrapped in `SpectralNormalization`.
        target: the plain layer of the scorer; changed in place.
        average_of: dict of the averages (tensors) by the id of the variable.
    """
    wrapped = isinstance(source, SpectralNormalization)
    inner = source.layer if wrapped else source
    for ours, theirs in zip(inner.trainable_variables, target.trainable_variables, strict=True):
        value = average_of[id(ours)]
        if wrapped and ours is inner.kernel:
            value = source.effective_kernel(value)
        theirs.assign(value)
    # batch norm's moving statistics are taken as they are, as in the authors' code
    for ours, theirs in zip(
        inner.non_trainable_variables, target.non_trainable_variables, strict=True
    ):
        theirs.assign(ours.value)


def spectral_vectors(model):
    """The u of every normalised layer that scores, in the order of E, G and D_xx.

    Args:
        model: an `ALAD`.

    Returns:
        list of lists of floats.

    Source: Miyato et al., ICLR 2018, Algorithm 1.
    """
    layers = [layer for name in ("E", "G", "D_xx") for layer in leaves(getattr(model, name))]
    wrapped = [layer for layer in layers if isinstance(layer, SpectralNormalization)]
    return [layer.u.numpy().tolist() for layer in wrapped]
