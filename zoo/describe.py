"""`zoo.describe`: an entry as a reader wants to see it: its card, then layer by layer."""

from alad_tf.networks import Stack
from zoo.card import card_path
from zoo.entries import entry as find_entry


def describe(name):
    """An entry's model card, networks, hyper-parameters and deviations as Markdown.

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
    entry = find_entry(name)
    lines = [f"# {entry.name} ({entry.source})", "", entry.summary, ""]
    card = card_path(name).read_text(encoding="utf-8").strip()
    lines += [line for line in card.splitlines() if not line.startswith("<!--")] + [""]
    networks = entry.build_networks()
    lines += ["## Networks", ""] if networks else []
    for key, layer in networks.items():
        lines += [f"### {key}: {layer.count_params():,} parameters", ""]
        lines += ["| block | operation | output | non-linearity | batch norm | dropout |"]
        lines += ["| --- | --- | --- | --- | --- | --- |"]
        rows, shapes = entry.networks[key], _input_shapes(entry, key, layer)
        if isinstance(rows, dict):
            for block, stack in (("x", layer.x_branch), ("z", layer.z_branch)):
                lines += _table(f"only {block}", rows[block], [stack], shapes[block])
            lines += _table("joined", rows["joint"], [layer.body, layer.top], shapes["joint"])
        else:
            stacks = [layer] if isinstance(layer, Stack) else [layer.body, layer.top]
            lines += _table("", rows, stacks, shapes)
        lines.append("")
    lines += ["## Hyper-parameters", ""]
    lines += [f"- {key}: {value}" for key, value in entry.hyper_parameters().items()]
    if entry.reported:
        told = ", ".join(f"{k} {v:.4f}" for k, v in entry.reported.items())
        lines += ["", f"## Reported ({entry.reported_in})", "", told]
        for score, values in entry.reported_others.items():
            told = ", ".join(f"{k} {v:.4f}" for k, v in values.items())
            lines += ["", f"{score}: {told}"]
    if entry.deviations:
        lines += ["", "## Deviations from the paper", ""]
        lines += [f"- {text}" for text in entry.deviations]
    return "\n".join(lines) + "\n"


def _input_shapes(entry, network, layer):
    x = (None, *entry.x_shape)
    if network in ("E", "D", "f", "encoder"):
        return x
    if network in ("decoder", "estimation"):
        code = entry.networks["encoder"][-1].units
        return (None, code if network == "decoder" else code + 2)  # two errors beside the code
    z = (None, entry.latent_dim)
    if network == "D_xz":
        branches = [
            stack.compute_output_shape(shape)
            for stack, shape in ((layer.x_branch, x), (layer.z_branch, z))
        ]
        joint = (*branches[0][:-1], sum(shape[-1] for shape in branches))
        return {"x": x, "z": z, "joint": joint}
    if network == "G":
        return z
    pair = [*(x if network == "D_xx" else z)]
    pair[layer.axis] *= 2
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
        kernel = f" {row.kernel}x{row.kernel}/{row.strides} {row.padding}" if row.kernel else ""
        cells = (block, row.op + kernel, size, row.activation or "none")
        flags = ("yes" if row.batch_norm else "no", f"{row.dropout:g}")
        lines.append("| " + " | ".join(cells + flags) + " |")
        block = ""
    return lines
