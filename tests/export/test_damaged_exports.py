"""Exports that were damaged: refused by name when they are served, with a manifest and without."""

import pytest
import tensorflow as tf

from alad_tf.engine.files import MANIFEST, replacing_folder, write_json
from alad_tf.export.graph import METADATA
from alad_tf.export.serving.model import ServedModel


@pytest.fixture
def export(tmp_path):
    folder = tmp_path / "double/1"
    model, x = tf.Module(), tf.TensorSpec((None,), name="x")
    model.factor = tf.Variable(tf.fill((64,), 2.0))
    double = tf.function(lambda x: {"score": model.factor[0] * x}).get_concrete_function(x=x)
    with replacing_folder(folder) as temporary:
        tf.saved_model.save(model, str(temporary), {"serving_default": double})
        write_json(temporary / METADATA, {})
    return folder


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("damage", [cut, lambda path: path.unlink()])
@pytest.mark.parametrize(
    "name",
    ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"],
)
def test_a_damaged_export_is_named(export, name, damage, listed):
    assert ServedModel.load(export).name == "double"
    if not listed:
        (export / MANIFEST).unlink()
        ServedModel.load(export)  # as earlier versions wrote it
    damage(export / name)
    message = f"is damaged: {name}" if listed else "does not contain a SavedModel"
    with pytest.raises(ValueError, match=message) as error:
        ServedModel.load(export)
    assert str(error.value).startswith(str(export))
