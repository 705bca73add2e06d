"""RESULTS.md's section on features of images: the JSON's numbers and their means, and no others."""

import zoo
from alad_tf.engine.files import write_json
from alad_tf.experiments.pictures import METHODS, features_sections
from alad_tf.experiments.results import read_frame

ENTRIES = [zoo.entry("cifar10_alad")]


def test_without_a_measurement_there_is_no_section(tmp_path):
    assert features_sections(ENTRIES, read_frame(tmp_path), tmp_path) == []


def test_the_section_has_each_method_and_the_means(tmp_path):
    def methods(value, **more):
        return {name: {"auroc": value, **more} for name in METHODS}

    maps = {"pixel auroc": 0.875, "aupro": 0.75}
    written = {
        "command": "python -m benchmarks.pictures",
        "network": "some_network",
        "training images": 1000,
        "test images": 500,
        "cifar10": {"airplane": methods(0.5), "bird": methods(0.75)},
        "defects": {
            name: {**methods(value, **maps), "pixels": {"auroc": 0.625, "steps": 20, **maps}}
            for name, value in (("wood", 0.5), ("stone", 1.0))
        },
    }
    write_json(tmp_path / "benchmarks/pictures.json", written)
    lines = features_sections(ENTRIES, read_frame(tmp_path), tmp_path)
    text = "\n".join(lines)
    assert "not the paper's method" in lines[0] and "some_network" in text and "20 steps" in text
    row = next(line for line in lines if line.startswith("| airplane"))
    paper = ENTRIES[0].reported_by_class[0]
    assert row == f"| airplane | {' | '.join(['0.500'] * 4)} |  | {paper:.3f} |"
    (mean,) = [line for line in lines if line.startswith("| **mean of 2 of 10 classes**")]
    assert mean.count("**0.625**") == 4
    (mean,) = [line for line in lines if line.startswith("| **mean** |")]
    assert mean.count("**0.750**") == 4 + 2 and mean.count("**0.875**") == 2
