"""The notebooks run from top to bottom with small settings, and are stored with their outputs."""

import importlib.util
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
SMALL = {
    "01": {},
    "02": {"EPOCHS": 1, "TRAIN_ROWS": 2000, "TEST_ROWS": 2000},
    "03": {"EPOCHS": 1, "TRAIN_IMAGES": 64, "TEST_IMAGES": 160},
    "04": {"STEPS": 30},
    "05": {"BATCH_ROWS": 1000},
    "06": {"EPOCHS": 1, "SEEDS": 1},
}
MOST_BYTES = 1_000_000


def module(name):
    """A script of notebooks/, which is no package."""
    path = ROOT / "notebooks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"notebooks_{name}", path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


execute, main, address = module("execute").execute, module("execute").main, module("address")


def run(number, folder, monkeypatch, **more):
    """A notebook with small settings: what it printed, and how many pictures it showed."""
    (source,) = [path for path in NOTEBOOKS if path.name.startswith(number)]
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    notebook = execute(source, folder / source.name, folder, **SMALL[number], **more)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    text = "\n".join(output.get("text", "") for output in outputs)
    return text, sum("image/png" in output.get("data", {}) for output in outputs)


def test_01_quickstart(tmp_path, monkeypatch):
    text, pictures = run("01", tmp_path, monkeypatch)
    assert "saved and loaded; the scores are bit-identical" in text and pictures == 3


@pytest.mark.slow
@pytest.mark.xla
def test_02_on_the_real_records(tmp_path, monkeypatch, data_dir):
    text, pictures = run("02", tmp_path, monkeypatch, DATA_DIR=str(data_dir))
    assert "494,021 records" in text and "not available" not in text and pictures == 3


@pytest.mark.slow
@pytest.mark.xla
def test_02_falls_back_to_a_bundled_table(tmp_path, monkeypatch):
    text, pictures = run("02", tmp_path, monkeypatch, DATA_DIR=str(tmp_path))
    assert "KDD99 is not available here" in text and "569 records" in text and pictures == 3


@pytest.mark.slow
@pytest.mark.xla
def test_03_falls_back_to_bundled_images(tmp_path, monkeypatch):
    text, pictures = run("03", tmp_path, monkeypatch, DATA_DIR=str(tmp_path))
    assert "CIFAR-10 is not available here" in text and pictures == 6


@pytest.mark.slow
@pytest.mark.xla
def test_04_your_own_data(tmp_path, monkeypatch):
    text, pictures = run("04", tmp_path, monkeypatch)
    assert "rows      600" in text and "pixel AUROC" in text and pictures == 4
    assert "nearest neighbour" in text and "p-values" in text


@pytest.mark.slow
@pytest.mark.xla
def test_05_serve_it(tmp_path, monkeypatch):
    text, _ = run("05", tmp_path, monkeypatch)
    assert "'state': 'AVAILABLE'" in text and "400 Input 'x' must have shape" in text
    assert "the server has stopped" in text and "rows      1,000" in text


@pytest.mark.slow
@pytest.mark.xla
def test_06_inside_alad(tmp_path, monkeypatch):
    text, pictures = run("06", tmp_path, monkeypatch)
    assert "trained" in text and pictures == 5


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_stored_with_outputs_in_order_and_small(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    shown = [output for cell in code for output in cell.outputs]
    assert shown and not [output for output in shown if output.output_type == "error"]
    assert path.stat().st_size < MOST_BYTES
    told = path.read_text(encoding="utf-8")
    assert str(Path.home()) not in told and str(ROOT) not in told and "absl" not in told
    assert address.BADGE.search(notebook.cells[0].source)
    assert "%pip install" in code[0].source and "find_spec" in code[0].source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_the_first_cell_installs_a_wheel_beside_it_or_from_pypi(
    path, tmp_path, monkeypatch, capsys
):
    code = next(c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code").source
    code, count = re.subn(r'%pip install --quiet "\{package\}"[^\n]*', "installed(package)", code)
    assert count == 1
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
    found, installed = [], []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found.pop(0))
    Path("alad_tf-0.1.0-py3-none-any (1).whl").touch()  # a second upload; pip refuses its name
    for wheel in (None, "alad_tf-0.1.0-py3-none-any.whl"):
        if wheel:
            Path(wheel).touch()
        found[:] = [None, "a spec"]  # before and after the installation
        exec(code, {"installed": installed.append})
        assert installed[-1].startswith(wheel or "alad-tf") and "(" not in installed[-1]
        where = "from this folder" if wheel else "from PyPI"
        assert capsys.readouterr().out == f"Installing {installed[-1]} {where}\n"
    found[:] = ["a spec"]
    exec(code, {"installed": installed.append})  # it is there, and nothing happens
    assert len(installed) == 2 and not capsys.readouterr().out
    found[:] = [None, None]
    with pytest.raises(ImportError, match=r"Put alad_tf-\*.whl next to this notebook"):
        exec(code, {"installed": installed.append})


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_the_first_screen_shows_a_result(path):
    first, *others = nbformat.read(path, as_version=4).cells
    preview = "attachment:preview.png" in first.source and "preview.png" in first["attachments"]
    if not preview:  # a line of what it prints
        printed = [o.get("text", "") for cell in others for o in cell.get("outputs", ())]
        assert first.source.split("```")[1].strip() in "".join(printed)


def test_a_parameter_that_does_not_exist_is_named(tmp_path):
    (source,) = [path for path in NOTEBOOKS if path.name.startswith("06")]
    with pytest.raises(ValueError, match=r"no parameter 'EPOCH'; it has \['EPOCHS', 'SEEDS'\]"):
        execute(source, tmp_path / "x.ipynb", tmp_path, EPOCH=1)
    assert not (tmp_path / "x.ipynb").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["6"], r"received \['6'\]; expected beginnings of \['01_quickstart.ipynb'"),
        (["06", "--set", "EPOCHS"], "received --set 'EPOCHS'; expected NAME=VALUE"),
        (["06", "--set", "EPOCH=1"], r"no parameter 'EPOCH'; it has \['EPOCHS', 'SEEDS'\]"),
    ],
)
def test_bad_requests_to_execute_get_one_clear_line(words, told, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert re.search(told, capsys.readouterr().err)


def test_the_address_goes_to_badge_and_installation(tmp_path):
    for path in NOTEBOOKS:
        copy = tmp_path / path.name
        copy.write_bytes(path.read_bytes())
        for name in ("one/first", "two/second.name"):  # the second replaces the first
            address.point(copy, f"https://github.com/{name}")
            told = copy.read_text(encoding="utf-8")
            target = f"github/{name}/blob/main/notebooks/{path.name}"
            assert told.count(target) == 1
            assert told.count(f"@ git+https://github.com/{name}") == 1
            assert "from GitHub" in told and "from PyPI" not in told
        assert "one/first" not in told
    with pytest.raises(ValueError, match="expected https://github.com/OWNER/NAME"):
        address.point(copy, "https://example.com/x")
    for words in ([], ["https://example.com/x"]):
        with pytest.raises(SystemExit, match="2"):
            address.main(words)
