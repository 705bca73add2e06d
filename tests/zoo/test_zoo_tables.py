"""Each entry's layers and hyper-parameters, compared with the paper's tables as data."""

import keras
import pytest
from paper_tables import CORRECTED, DAGGER, TABLES

import zoo
from alad_tf.model.layers import SeededDropout, SpectralNormalization
from alad_tf.model.networks import Stack

RATE = 0.2  # of Table IX's daggers, as in the authors' code


def expected(name):
    """Blocks of layers by name, "D_xz.x" for the branches, with the misprints corrected."""
    _, table = TABLES[name]
    blocks = {}
    for network, layers in table["networks"].items():
        parts = layers.items() if isinstance(layers, dict) else [(None, layers)]
        for part, rows in parts:
            blocks[f"{network}.{part}" if part else network] = list(rows)
    for (block, index), layer in CORRECTED.get(name, {}).items():
        assert blocks[block][index] != layer, f"{block} {index} needs no correction"
        blocks[block][index] = layer
    for block, layers in blocks.items():
        blocks[block] = [
            (*layer[:5], None if layer[5] == "sigmoid" else layer[5], layer[6], rate(layer[7]))
            for layer in layers
        ]
    return blocks


def rate(dropout):
    return RATE if dropout == DAGGER else dropout


def stacks(networks):
    """The built Keras layers of each block, one after the other."""
    for name, network in networks.items():
        if name == "D_xz":
            yield "D_xz.x", network.x_branch.steps
            yield "D_xz.z", network.z_branch.steps
            yield "D_xz.joint", network.body.steps + network.top.steps
        elif isinstance(network, Stack):
            yield name, network.steps
        else:
            yield name, network.body.steps + network.top.steps


def read(steps):
    """What the built layers are, read from Keras's own attributes, in the tables' terms."""
    found = []
    for step in steps:
        layer = step.layer if isinstance(step, SpectralNormalization) else step
        if isinstance(layer, keras.layers.Dense):
            found.append(["dense", None, None, None, layer.units, None, False, 0.0])
        elif isinstance(layer, (keras.layers.Conv2D, keras.layers.Conv2DTranspose)):
            transposed = isinstance(layer, keras.layers.Conv2DTranspose)
            op = "conv_transpose" if transposed else "conv"
            (kernel, same), (strides, again) = layer.kernel_size, layer.strides
            assert kernel == same and strides == again
            found.append([op, kernel, strides, layer.padding, layer.filters, None, False, 0.0])
        elif isinstance(layer, keras.layers.MaxPooling2D):
            (kernel, same), (strides, again) = layer.pool_size, layer.strides
            assert kernel == same and strides == again
            found.append(["max_pool", kernel, strides, layer.padding, 0, None, False, 0.0])
        elif isinstance(layer, keras.layers.BatchNormalization):
            assert found[-1][5] is None  # before the non-linearity
            assert (layer.momentum, layer.epsilon) == (0.99, 1e-3)
            found[-1][6] = True
        elif isinstance(layer, keras.layers.LeakyReLU):
            assert layer.negative_slope == pytest.approx(0.2)
            found[-1][5] = "lrelu"
        elif isinstance(layer, keras.layers.Activation):
            found[-1][5] = layer.activation.__name__
        elif isinstance(layer, SeededDropout):
            found[-1][7] = layer.rate
        else:
            assert isinstance(layer, (keras.layers.Reshape, keras.layers.Flatten))
        if found and hasattr(layer, "kernel"):
            assert layer.activation is keras.activations.linear and layer.use_bias
    return [tuple(layer) for layer in found]


@pytest.mark.parametrize("name", TABLES)
def test_layers_are_the_tables(name):
    blocks = expected(name)
    built = dict(stacks(zoo.entry(name).build_networks()))
    assert set(built) == set(blocks)
    for block, layers in blocks.items():
        assert read(built[block]) == layers, block


@pytest.mark.parametrize("name", TABLES)
def test_hyper_parameters_are_the_tables(name):
    source, table = TABLES[name]
    entry = zoo.entry(name)
    assert entry.source == source
    assert {key: getattr(entry, key) for key in table["hyper"]} == table["hyper"]


@pytest.mark.parametrize("name", [name for name in TABLES if name.endswith("_alad")])
def test_the_optimizers_and_the_initial_weights_are_the_tables(name):
    entry = zoo.entry(name)
    model = entry.build(seed=3)
    for network in ("E", "G", "D_xz", "D_xx", "D_zz"):
        optimizer = getattr(model, f"optimizer_{network}")
        assert isinstance(optimizer, keras.optimizers.Adam)
        assert float(optimizer.learning_rate) == pytest.approx(entry.learning_rate)
        assert (optimizer.beta_1, optimizer.beta_2) == (0.5, 0.999)
        for variable in getattr(model, network).trainable_variables:
            values = variable.numpy()
            if variable.path.endswith("bias"):
                assert not values.any()
            elif variable.path.endswith("kernel") and values.size > 10_000:
                outside, inside = values.shape[-1], values.size // values.shape[-1]
                glorot = (2 / (outside + inside)) ** 0.5
                spread = 0.01 if entry.is_image else glorot
                # the spread of n draws lies within 4 / sqrt(2 n) of its expectation
                assert values.std() == pytest.approx(spread, rel=4 / (2 * values.size) ** 0.5)


def test_spectral_norm_is_on_all_but_the_last_layers_of_E_and_the_discriminators():
    for name in ("cifar10_alad", "kdd99_alad", "arrhythmia_alad"):
        for block, steps in stacks(zoo.entry(name).build_networks()):
            kernels = [s for s in steps if hasattr(getattr(s, "layer", s), "kernel")]
            wrapped = [isinstance(step, SpectralNormalization) for step in kernels]
            last_is_output = block in ("E", "D_xz.joint", "D_xx", "D_zz")
            expected_flags = [block != "G"] * (len(kernels) - last_is_output)
            assert wrapped == expected_flags + [False] * last_is_output, (name, block)


@pytest.mark.parametrize(("axis", "features"), [(1, 16_384), (-1, 8_192)])
def test_the_pair_axis_of_table_ix_is_one_argument(axis, features):
    model = zoo.entry("cifar10_alad").build(pair_axis=axis)
    shape = model.D_xx.body.compute_output_shape(
        (None, 64, 32, 3) if axis == 1 else (None, 32, 32, 6)
    )
    assert shape == (None, features)
