"""`zoo.describe`: an entry as a reader wants to see it, layer by layer."""

import importlib


def describe(name):
    """An entry's networks, hyper-parameters, reported result and deviations as Markdown.

    Args:
        name: str, one of `zoo.list()`.

    Returns:
        str, Markdown.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> print(describe("kdd99_alad").splitlines()[0])
        # kdd99_alad (Table XI)
    """
    entry = importlib.import_module("zoo").entry(name)
    model = entry.build()
    lines = [f"# {entry.name} ({entry.source})", "", entry.summary, ""]
    for network in ("E", "G", "D_xz", "D_xx", "D_zz"):
        layer = getattr(model, network)
        lines += [f"## {network}: {layer.count_params():,} parameters", ""]
        lines += ["| block | operation | output | non-linearity | batch norm | dropout |"]
        lines += ["| --- | --- | --- | --- | --- | --- |"]
        rows = entry.networks[network]
        shapes = _input_shapes(model, network)
        if isinstance(rows, dict):
            for block, stack in (("x", layer.x_branch), ("z", layer.z_branch)):
                lines += _table(f"only {block}", rows[block], [stack], shapes[block])
            lines += _table("joined", rows["joint"], [layer.body, layer.top], shapes["joint"])
        else:
            stacks = [layer] if network in ("E", "G") else [layer.body, layer.top]
            lines += _table("", rows, stacks, shapes)
        lines.append("")
    lines += ["## Hyper-parameters", ""]
    lines += [f"- {key}: {value}" for key, value in entry.hyper_parameters().items()]
    if entry.reported:
        told = ", ".join(f"{k} {v:.4f}" for k, v in entry.reported.items())
        lines += ["", f"## Reported ({entry.reported_in})", "", told]
    if entry.deviations:
        lines += ["", "## Deviations from the paper", ""]
        lines += [f"- {text}" for text in entry.deviations]
    if entry.notes:
        lines += ["", "## Notes on the results", ""]
        lines += [f"- {text}" for text in entry.notes]
    return "\n".join(lines) + "\n"


def _input_shapes(model, network):
    x, z = (None, *model.x_shape), (None, model.latent_dim)
    if network == "D_xz":
        branches = [
            stack.compute_output_shape(shape)
            for stack, shape in ((model.D_xz.x_branch, x), (model.D_xz.z_branch, z))
        ]
        joint = (*branches[0][:-1], sum(shape[-1] for shape in branches))
        return {"x": x, "z": z, "joint": joint}
    if network in ("E", "G"):
        return x if network == "E" else z
    pair = [*(x if network == "D_xx" else z)]
    pair[getattr(model, network).axis] *= 2
    return tuple(pair)


def _table(block, rows, stacks, shape):
    steps = [layer for stack in stacks for layer in stack.steps]
    lines, position = [], 0
    for row in rows:
        count = 1 + row.batch_norm + bool(row.activation) + bool(row.dropout)
        for layer in steps[position : position + count]:
            shape = layer.compute_output_shape(shape)
        position += count
        size = " x ".join(str(side) for side in shape[1:])
        kernel = f" {row.kernel}x{row.kernel}/{row.strides}" if row.kernel else ""
        cells = (block, row.op + kernel, size, row.activation or "none")
        flags = ("yes" if row.batch_norm else "no", f"{row.dropout:g}")
        lines.append("| " + " | ".join(cells + flags) + " |")
        block = ""
    return lines
