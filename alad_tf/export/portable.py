"""Export for other runtimes than TensorFlow: ONNX, and TensorFlow Lite (now LiteRT)."""

import logging
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from alad_tf.engine.files import replacing_folder, write_json
from alad_tf.export.check import portable_difference
from alad_tf.export.graph import (
    exported_earlier,
    graph_of,
    metadata,
    module_of,
    portable,
    require_exportable,
    require_place,
    save,
)

METADATA = "metadata.json"
OPSET, TEXT_OPSET = 18, ("ai.onnx.ml", 3)


def export_portable(detector, folder, kind):
    """Write a detector as one file for ONNX Runtime or TensorFlow Lite.

    Inputs and outputs are those of a SavedModel's `serving_default` (see
    `alad_tf.export.saved_model.export`), with these differences: records that are not finite are
    flagged instead of refused; for features of images there is one more output, `heat_map` float32
    (N, H, W), at the size of `images`; and for TensorFlow Lite all numbers are float32. The
    batch size is free; in TensorFlow Lite the signature runner resizes the inputs itself.

    The export is checked before it is put in place: a fresh process, which can import neither this
    package nor TensorFlow, scores random records, and its answers are compared with the detector's.

    Args:
        detector: `alad_tf.Detector`.
        folder: str or Path; an existing export of this kind there is replaced, other files are not.
        kind: "onnx" or "tflite".

    Returns:
        Path of the file, `folder/model.onnx` or `folder/model.tflite`. `folder/metadata.json` has
        the same metadata as a SavedModel.

    Raises:
        ValueError: if the kind is unknown, the converter has no operations for the detector, or,
            for TensorFlow Lite, float32 is too coarse for the numbers of a column; and as for
            `alad_tf.export.saved_model.export`.
        ImportError: if the converter or its runtime is not installed; the message names the extra.
        FileExistsError: if the folder contains something other than such an export.
        RuntimeError: if the export's answers differ from the detector's; nothing is written.

    Example:
        >>> # path = export_portable(zoo.load("kdd99_alad"), "served/kdd99_alad/1", "onnx")
        >>> # onnxruntime.InferenceSession(path).run(["score"], {"count": ..., ...})
        >>> export_portable(None, "served", "onyx")
        Traceback (most recent call last):
        ...
        ValueError: received the format 'onyx'; expected 'onnx' or 'tflite'.
    """
    if kind not in CONVERTERS:
        raise ValueError(
            f"received the format {kind!r}; expected {' or '.join(map(repr, CONVERTERS))}."
        )
    preprocessor, folder = require_exportable(detector), Path(folder)
    require_place(folder, f"model.{kind}")
    if kind == "tflite":
        _require_single_precision(preprocessor)
    hashed = list(getattr(preprocessor, "hashed", ()))
    if hashed:
        raise ValueError(
            f"The column {hashed[0]!r} is hashed, which only TensorFlow can do. Export a "
            "SavedModel, or fit again with another kind for this column, such as 'category'."
        )
    graph = graph_of(detector)
    function, specs = portable(detector, graph, double=kind != "tflite")
    content = CONVERTERS[kind](tf.function(function), specs, module_of(preprocessor, graph))
    with replacing_folder(folder, exported_earlier) as temporary:
        path = temporary / f"model.{kind}"
        path.write_bytes(content)
        about = metadata(detector, temporary)
        write_json(temporary / METADATA, {**about, "file": path.name})
        wrong = portable_difference(detector, path)
        if wrong:
            raise RuntimeError(
                f"{wrong} Nothing was written to {folder.resolve()}. Export a SavedModel instead."
            )
    return folder / path.name


def _require_single_precision(preprocessor):
    """Refuse columns that vary too little for float32, in which TensorFlow Lite computes."""
    lost = getattr(preprocessor, "lost_in_float32", list)()
    if lost:
        raise ValueError(
            f"The column {lost[0]!r} has large numbers that vary little. TensorFlow Lite "
            "computes in float32, which would round the differences away. Export to ONNX or "
            "a SavedModel, or subtract a constant from the column and fit again."
        )


def _to_onnx(function, specs, module):
    """An ONNX model's bytes; text is compared by the standard's one-hot encoder of text."""
    try:
        import onnx
        import onnxruntime  # noqa: F401 (the self-check needs it)
        import tf2onnx
    except ImportError as error:
        raise _missing("ONNX", "onnx") from error

    logger = logging.getLogger("tf2onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # what it misses, the checker says
    try:
        model, _ = tf2onnx.convert.from_function(
            function,
            specs,
            opset=OPSET,
            custom_op_handlers={"Equal": (_equal, [])},
            extra_opset=[onnx.helper.make_opsetid(*TEXT_OPSET)],
        )
        onnx.checker.check_model(model)
    except (ValueError, onnx.checker.ValidationError) as error:
        raise _unfit("ONNX", error) from error
    finally:
        logger.setLevel(level)
    return model.SerializeToString()


def _equal(ctx, node, name, args):
    """tf2onnx's handler of `Equal`: ONNX's own compares no text, its one-hot encoder does."""
    import onnx

    if ctx.get_dtype(node.input[0]) != onnx.TensorProto.STRING:
        return  # of numbers it is ONNX's own, by the same name
    known = node.inputs[1].get_tensor_value(as_list=False)
    texts = [text.decode() if isinstance(text, bytes) else str(text) for text in np.ravel(known)]
    column, output, shapes = node.input[0], node.output[0], node.output_shapes
    ctx.remove_node(name)
    encoded = ctx.make_node(  # (N, 1) -> (N, 1, texts), an unknown text as zeros
        "OneHotEncoder", [column], attr={"cats_strings": texts, "zeros": 1}, domain=TEXT_OPSET[0]
    )
    shape = ctx.make_const(f"{name}_shape", np.array([-1, len(texts)], "int64"))
    flat = ctx.make_node("Reshape", [encoded.output[0], shape.output[0]])
    to_bool = {"to": onnx.TensorProto.BOOL}
    dtypes = [onnx.TensorProto.BOOL]
    inputs = [flat.output[0]]
    ctx.make_node(
        "Cast", inputs, attr=to_bool, name=name, outputs=[output], shapes=shapes, dtypes=dtypes
    )


def _to_tflite(function, specs, module):
    """A TensorFlow Lite model's bytes, of its built-in operations alone."""
    try:
        import ai_edge_litert.interpreter  # noqa: F401 (the self-check needs it)
    except ImportError as error:
        raise _missing("TensorFlow Lite", "tflite") from error
    with tempfile.TemporaryDirectory() as scratch:
        signature = function.get_concrete_function(*specs)
        save(module, scratch, signature)
        try:
            return tf.lite.TFLiteConverter.from_saved_model(scratch).convert()
        except Exception as error:  # of a class that TensorFlow keeps to itself
            if type(error).__name__ != "ConverterError":
                raise
            raise _unfit("TensorFlow Lite", error) from None


CONVERTERS = {"onnx": _to_onnx, "tflite": _to_tflite}


def _missing(what, extra):
    return ImportError(
        f"Export to {what} needs its converter and runtime: pip install 'alad-tf[{extra}]'."
    )


def _unfit(what, error):
    message = " ".join(str(error).split())
    short = message if len(message) < 300 else f"{message[:300]}..."
    return ValueError(
        f"This detector cannot be converted to {what} ({short.rstrip('.')}). Export a SavedModel "
        "instead."
    )
