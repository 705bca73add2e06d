"""The JSON of a run: what is not whole is refused by name, written or read."""

import json
import shutil
from pathlib import Path

import pytest

from alad_tf.experiments.results import read_frame, read_results, write_result

RUN = Path(__file__).parents[2] / "results/breast_cancer_alad/default/seed0.json"


def without(*keys):
    def edit(run):
        part = run
        for key in keys[:-1]:
            part = part[key]
        del part[keys[-1]]

    return edit


def with_value(value, *keys):
    def edit(run):
        part = run
        for key in keys[:-1]:
            part = part[key]
        part[keys[-1]] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (without("metrics"), r"missing \['metrics'\]"),
        (without("protocol"), r"missing \['protocol'\]"),
        (without("metrics", "features", "f1"), r"metrics\['features'\] needs f1 .* None"),
        (with_value(1.2, "untrained", "l1", "auroc"), r"untrained\['l1'\] needs auroc .* 1.2"),
        (with_value("0.9", "metrics", "l2", "auprc"), r"needs auprc in \[0, 1\], received '0.9'"),
        (with_value([], "config"), "config is not an object"),
    ],
)
def test_an_edited_result_is_named(tmp_path, edit, told):
    run = json.loads(RUN.read_text())
    edit(run)
    place = tmp_path / "breast_cancer_alad/default/seed0.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(run))
    with pytest.raises(ValueError, match=rf"seed0.json is not .*{told}"):
        read_results(tmp_path, "breast_cancer_alad")
    with pytest.raises(ValueError, match=rf"seed0.json is not .*{told}"):
        read_frame(tmp_path)
    with pytest.raises(ValueError, match=f"not complete: .*{told}"):
        write_result(tmp_path / "other", run)


def test_a_whole_result_is_read_as_it_was_written(tmp_path):
    run = json.loads(RUN.read_text())
    write_result(tmp_path, run)
    assert read_results(tmp_path, "breast_cancer_alad") == [run]
    shutil.copy(RUN, tmp_path / "breast_cancer_alad/default/seed1.json")
    frame = read_frame(tmp_path)
    assert len(frame) == 2 * (len(run["metrics"]) + len(run["untrained"]))
