"""An entry in Markdown: model card, networks layer by layer, deviations from the paper."""

from pathlib import Path

from alad_tf.engine.markdown import markdown_table
from alad_tf.model.networks import Stack
from zoo._loading import find_entry

CARDS = Path(__file__).resolve().parent / "cards"
HEAD = ("block", "operation", "output", "non-linearity", "batch norm", "dropout")


def card_path(name):
    """The path of an entry's model card.

    Args:
        name: str, one of `zoo.list()`.

    Returns:
        Path, `zoo/cards/<name>.md`.

    Example:
        >>> card_path("kdd99_alad").name
        'kdd99_alad.md'
    """
    return CARDS / f"{name}.md"


def describe(name):
    """An entry's model card, networks, hyper-parameters and deviations, as Markdown.

    Args:
        name: str, one of `zoo.list()`, or the path of a Python file with an `ENTRY`.

    Returns:
        str, Markdown.

    Raises:
        ValueError: if the name is unknown, or the file does not define `ENTRY`.
        FileNotFoundError: if there is no such file.

    Example:
        >>> print(describe("kdd99_alad").splitlines()[0])
        # kdd99_alad (Table XI)
    """
    entry = find_entry(name)
    lines = [f"# {entry.name} ({entry.source})", "", entry.summary, ""]
    if card_path(entry.name).is_file():  # one of a user's own has none
        card = card_path(entry.name).read_text(encoding="utf-8").strip()
        lines += [line for line in card.splitlines() if not line.startswith("<!--")] + [""]
    networks = entry.build_networks()
    lines += ["## Networks", ""] if networks else []
    for key, layer in networks.items():
        rows = entry.networks[key]
        if isinstance(rows, dict):
            table = _rows("only x", rows["x"], layer.x_branch)
            table += _rows("only z", rows["z"], layer.z_branch)
            table += _rows("joined", rows["joint"], layer.body, layer.top)
        else:
            stacks = [layer] if isinstance(layer, Stack) else [layer.body, layer.top]
            table = _rows("", rows, *stacks)
        lines += [f"### {key}: {layer.count_params():,} parameters", ""]
        lines += [*markdown_table(HEAD, table), ""]
    lines += ["## Hyper-parameters", ""]
    lines += [f"- {key}: {value}" for key, value in entry.hyper_parameters().items()]
    if entry.reported:
        lines += ["", f"## Reported ({entry.reported_in})", "", _values(entry.reported)]
        for score, values in entry.reported_others.items():
            lines += ["", f"{score}: {_values(values)}"]
    if entry.deviations:
        lines += ["", "## Deviations from the paper", ""]
        lines += [f"- {text}" for text in entry.deviations]
    return "\n".join(lines) + "\n"


def _values(metrics):
    return ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())


def _rows(block, rows, *stacks):
    """A table's rows for the layers of stacks in a row; the block's name is before the first."""
    shape = stacks[0].get_build_config()["input_shape"]
    steps = iter([layer for stack in stacks for layer in stack.steps])
    table = []
    for row in rows:
        for _ in range(1 + row.batch_norm + bool(row.activation) + bool(row.dropout)):
            shape = next(steps).compute_output_shape(shape)
        size = " x ".join(str(side) for side in shape[1:])
        kernel = f" {row.kernel}x{row.kernel}/{row.strides} {row.padding}" if row.kernel else ""
        batch_norm = "yes" if row.batch_norm else "no"
        cells = [row.op + kernel, size, row.activation or "none", batch_norm, f"{row.dropout:g}"]
        table.append(["" if table else block, *cells])
    return table
