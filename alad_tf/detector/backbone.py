"""The network behind `features`: pretrained and frozen, and which of its maps are used."""

import copy
import json
import os
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from alad_tf.data.raw import require_reachable

SIDE = 224  # pictures are resized to this, if the network takes any size
COARSEST = 16  # at most so many pixels of the picture, along a side, per position of a map
FEWEST_SIDE = 4  # positions along a side of a map: with fewer, none stands out
MOST_POSITIONS = 60**2  # of a map that a search may choose: more take memory and add little
IMAGENET = "imagenet"
HOME = "https://storage.googleapis.com/tensorflow/keras-applications/efficientnet_v2/"
FILE = "efficientnetv2-b0_notop.h5"
IMAGENET_LAYERS = ("block3b_add", "block5e_add", "top_activation")
# further pairs that a search may choose: last layers of a size, and of a depth
IMAGENET_PAIRS = (
    ("block2b_add", "block3b_add"),
    ("block3b_add", "block4c_add"),
    ("block5e_add", "block6h_add"),
)
PIXELS = "pixels"


@dataclass(frozen=True)
class Backbone:
    """A frozen network of three outputs for pictures of one size.

    Attributes:
        network: `keras.Model`, from float32 (N, height, width, channels), 0 to 255, to two maps of
            positions, a fine and a coarse one, and the last map.
        config: dict that JSON can represent, from which `backbone_of` rebuilds it.
    """

    network: keras.Model
    config: dict

    @property
    def input_shape(self):
        """(height, width, channels) of its pictures."""
        return tuple(int(side) for side in self.network.inputs[0].shape[1:])

    @property
    def output_shapes(self):
        """(height, width, channels) of its three maps."""
        return [tuple(int(side) for side in one.shape[1:]) for one in self.network.outputs]


def backbone_for(features, layers=None):
    """The backbone of the argument `features`: "imagenet", or a Keras model.

    `layers` are the names of the layers whose outputs are the fine, the coarse and the last map;
    with two names, the last map is the default one.

    Raises:
        ConnectionError: if "imagenet" has to be downloaded and cannot be.
        ValueError, TypeError: if the model cannot be used.
    """
    model, maps = _network_of(features)
    if layers is not None:
        maps = [_output_of(model, name) for name in layers] + maps[len(layers) :]
    return _kept(model.inputs[0], maps)


def candidates_for(features):
    """Pairs of layer names that a search may choose as fine and coarse map, finest first.

    They are neighbours among the last layers of each size, with at most `MOST_POSITIONS`.
    """
    model, _ = _network_of(features)
    if isinstance(features, str):
        return list(IMAGENET_PAIRS)
    found = [
        name
        for _, (name, output) in sorted(_last_maps(model).items())
        if FEWEST_SIDE**2 <= output.shape[1] * output.shape[2] <= MOST_POSITIONS
    ]
    return list(zip(found, found[1:], strict=False))


def _network_of(features):
    """The network of `features`, its input of a fixed size, and the three maps by default."""
    if isinstance(features, str):
        if features != IMAGENET:
            raise ValueError(
                f"received features={features!r}; expected None, 'pixels', 'imagenet' or a "
                "keras.Model."
            )
        model = imagenet()
        return model, [model.get_layer(name).output for name in IMAGENET_LAYERS]
    if not isinstance(features, keras.Model):
        raise TypeError(
            f"received features of type {type(features).__name__}; expected None, 'pixels', "
            "'imagenet' or a keras.Model."
        )
    model = _with_sides(features)
    return model, _maps(model)


def _output_of(model, name):
    """The map of a layer; ValueError if it has none."""
    try:
        output = model.get_layer(name).output
    except (AttributeError, ValueError):
        known = ", ".join(layer.name for layer in model.layers)
        raise ValueError(f"received the layer {name!r}; expected one of {known}.") from None
    if len(output.shape) != 4 or None in output.shape[1:3]:
        raise ValueError(
            f"received the layer {name!r}, whose output has shape {output.shape}; expected a layer "
            "that returns a map (N, height, width, channels)."
        )
    return output


def backbone_of(config):
    """The backbone that `Backbone.config` describes, with newly initialised weights."""
    # a copy, since Keras empties what it reads
    network = keras.saving.deserialize_keras_object(copy.deepcopy(config), safe_mode=True)
    network.trainable = False
    return Backbone(network, config)


def imagenet():
    """EfficientNetV2-B0 with its ImageNet weights, from Keras's cache or downloaded into it."""
    place = keras_home() / "models" / FILE
    try:
        if not place.is_file():
            require_reachable(HOME, place.parent / f"{FILE}.partial")
        return keras.applications.EfficientNetV2B0(
            include_top=False, weights="imagenet", input_shape=(SIDE, SIDE, 3)
        )
    # Keras raises a plain Exception for a failed download
    except Exception as error:
        raise ConnectionError(
            "features='imagenet' needs weights that are not in Keras's cache and could not "
            f"be downloaded ({error}). Save {HOME}{FILE} as {place}; or pass a keras.Model "
            "of your own, or features='pixels', which needs no weights but takes a long time to "
            "train."
        ) from error


def keras_home():
    """The folder that Keras keeps downloads in; it has no public name for it."""
    base = Path.home() if os.access(Path.home(), os.W_OK) else Path("/tmp")
    return Path(os.environ.get("KERAS_HOME", base / ".keras")).expanduser()


def _with_sides(model):
    """The model with an input of fixed size: its own, or `SIDE`."""
    try:
        inputs = model.inputs
    except (AttributeError, ValueError):  # subclassed and unbuilt models have no graph
        inputs = None
    if not inputs or len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise ValueError(
            f"received features={model.name!r}, a {type(model).__name__}; expected a "
            "functional or Sequential model with one input (N, height, width, channels). "
            "Make one with keras.Model(inputs, outputs)."
        )
    _, height, width, channels = inputs[0].shape
    if channels not in (1, 3):
        raise ValueError(
            f"received features={model.name!r}, which takes {channels} channels; expected 1 or 3."
        )
    if height is not None and width is not None:
        return model
    fixed = keras.Input((height or SIDE, width or SIDE, channels))
    # a copy, whose layers have one output each
    made = keras.models.clone_model(keras.Model(model.inputs, model.outputs), [fixed])
    made.set_weights(model.get_weights())
    return made


def _maps(model):
    """A fine map, a coarse map and the last map of a model whose input has a fixed size.

    If several outputs are maps, these are used. Otherwise the last map of each stride is considered
    that has at least `FEWEST_SIDE` positions along a side. Used are the two coarsest with strides
    of up to `COARSEST`; if there is only one, or none, one map is both the fine and the coarse one.
    """
    height, width = model.inputs[0].shape[1:3]
    chosen = [one for one in model.outputs if len(one.shape) == 4]
    if len(chosen) > 1:
        maps = sorted(chosen, key=lambda one: -one.shape[1])
        return [maps[0], maps[1], maps[-1]]
    found = {stride: output for stride, (_, output) in _last_maps(model).items()}
    sides = {stride: min(height, width) // stride for stride in found}
    usable = [stride for stride in sorted(found) if sides[stride] >= FEWEST_SIDE]
    usable = [stride for stride in usable if stride <= COARSEST] or usable[:1]
    if not usable:
        raise ValueError(
            f"received features={model.name!r}, but none of its layers returns a map that "
            f"has at least {FEWEST_SIDE} x {FEWEST_SIDE} positions and is smaller than its "
            f"input, {height} x {width}. Choose the outputs yourself with "
            "keras.Model(inputs, outputs)."
        )
    coarse, fine = usable[-1], usable[-2] if len(usable) > 1 else usable[-1]
    return [found[fine], found[coarse], found[max(found)]]


def _last_maps(model):
    """The last map of each stride: dict by stride of a layer's name and its output."""
    _, height, width, _ = model.inputs[0].shape
    found = {}
    for layer in model.layers[1:]:
        try:
            output = layer.output
        except (AttributeError, ValueError):  # called more than once
            continue
        shape = getattr(output, "shape", ())
        if len(shape) != 4 or None in shape[1:3] or height % shape[1] or width % shape[2]:
            continue
        stride = height // shape[1]
        if stride == width // shape[2] and stride > 1:
            found[stride] = (layer.name, output)
    return found


def _kept(inputs, outputs):
    """A backbone of these tensors, which can be rebuilt from JSON alone."""
    fine, coarse = (one.shape[1:3] for one in outputs[:2])
    if any(f % c for f, c in zip(fine, coarse, strict=True)):
        raise ValueError(
            f"received maps of {fine} and {coarse} positions; expected the sides of the "
            "larger to be multiples of the smaller one's. Choose other layers."
        )
    network = keras.Model(inputs, list(outputs), name="backbone")
    try:
        config = json.loads(json.dumps(keras.saving.serialize_keras_object(network)))
        twin = backbone_of(config)
        twin.network.set_weights(network.get_weights())
    except Exception as error:
        raise ValueError(
            f"The network in `features` cannot be saved and loaded again ({error}). Register "
            "custom layers with keras.saving.register_keras_serializable, and replace "
            "Lambda layers."
        ) from error
    for weights in twin.network.get_weights():
        if not np.isfinite(weights).all():
            raise ValueError(
                "The network in `features` has weights that are NaN or infinite. Train it "
                "again, or pass another one."
            )
    return twin
