"""Run notebooks from top to bottom and keep their outputs.

python notebooks/execute.py                      # all of them, in place
python notebooks/execute.py 02 03 --set EPOCHS=1 --into runs/notebooks
"""

import argparse
import ast
import base64
import io
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

from alad_tf.engine.files import write_text

HERE = Path(__file__).resolve().parent
PREVIEW, PREVIEW_WIDTH = "preview.png", 640  # the figure in a notebook's first cell; pixels
# what TensorFlow logs on import, before its log level is read
NOISE = ("All log messages before absl::InitializeLog", "port.cc", "cudart_stub.cc")


def execute(source, target, folder, **parameters):
    """Run a notebook and write it with its outputs.

    Args:
        source: str or Path of the `.ipynb`.
        target: str or Path to write to; may be `source`. It is written whole or not at all.
        folder: str or Path of the folder to run in; relative paths of the notebook are there.
        **parameters: set after the cell that is tagged "parameters".

    Returns:
        the notebook, a `nbformat.NotebookNode`.

    Raises:
        ValueError: a parameter that the notebook's cell does not set.
        nbclient.exceptions.CellExecutionError: a cell failed; the message holds its traceback.
    """
    notebook = nbformat.read(source, as_version=4)
    if parameters:
        _set(notebook, source, parameters)
    Path(folder).mkdir(parents=True, exist_ok=True)
    client = NotebookClient(
        notebook,
        timeout=None,
        record_timing=False,  # the same run is to give the same file
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in map(_without_noise, cell.outputs) if output]
    show_preview(notebook)
    write_text(target, nbformat.writes(notebook) + "\n")
    return notebook


def show_preview(notebook):
    """Attach the figure of the cell tagged "preview", if there is one, to the first cell."""
    for cell in notebook.cells:
        if "preview" in cell.metadata.get("tags", ()):
            figures = (output.get("data", {}).get("image/png") for output in cell.outputs)
            content = base64.b64decode(next(filter(None, figures)))
            figure = Image.open(io.BytesIO(content)).convert("RGB")
            figure.thumbnail((PREVIEW_WIDTH, PREVIEW_WIDTH), Image.Resampling.LANCZOS)
            small = io.BytesIO()
            figure.quantize(128, dither=Image.Dither.NONE).save(small, "png", optimize=True)
            text = base64.b64encode(small.getvalue()).decode()
            notebook.cells[0]["attachments"] = {PREVIEW: {"image/png": text}}


def _set(notebook, source, parameters):
    tagged = ["parameters" in cell.metadata.get("tags", ()) for cell in notebook.cells]
    if True not in tagged:
        raise ValueError(f"{source} has no cell that is tagged 'parameters'.")
    place = tagged.index(True)
    known = [line.targets[0].id for line in ast.parse(notebook.cells[place].source).body]
    for name in parameters:
        if name not in known:
            raise ValueError(f"{source} has no parameter {name!r}; it has {known}.")
    lines = [f"{name} = {value!r}" for name, value in parameters.items()]
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell("\n".join(lines)))


def _without_noise(output):
    """An output without TensorFlow's lines; None if it holds nothing else."""
    if output.output_type != "stream":
        return output
    lines = [line for line in output.text.split("\n") if not any(word in line for word in NOISE)]
    output.text = "\n".join(lines)
    return output if output.text.strip() else None


def main(words):
    """Execute the notebooks whose names begin with one of the given numbers, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="beginnings of names, such as 02; default all")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--into", type=Path, help="folder to write to; default in place")
    given = parser.parse_args(words)
    parameters = {}
    for text in given.set:
        name, _, value = text.partition("=")
        try:
            parameters[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            parser.error(f"received --set {text!r}; expected NAME=VALUE, such as EPOCHS=1.")
    known = sorted(HERE.glob("[0-9]*.ipynb"))
    chosen = [path for path in known if path.name.startswith(tuple(given.names) or "")]
    if not chosen:
        parser.error(f"received {given.names}; expected beginnings of {[p.name for p in known]}.")
    for source in chosen:
        print(source.name, flush=True)
        try:
            execute(source, (given.into or HERE) / source.name, HERE, **parameters)
        except ValueError as error:
            parser.error(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
