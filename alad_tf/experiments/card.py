"""Model cards: prose by hand, with a block of results that `alad report` renders."""

from alad_tf.engine.files import read_json, with_block, write_text
from alad_tf.experiments.report import entry_sections
from zoo import _presets as presets
from zoo._loading import card_path

BEGIN = "<!-- rendered by `alad report` from results/ and the presets; do not edit -->"
END = "<!-- end of the rendered part -->"


def with_results(text, entry, results="results"):
    """A card's text with its rendered block renewed.

    Args:
        text: str, the card, with the lines BEGIN and END.
        entry: an entry of the zoo.
        results: str or Path of the results folder.

    Returns:
        str.

    Raises:
        ValueError: the card lacks one of the two lines.

    Example:
        >>> import zoo
        >>> card = card_path("kdd99_alad").read_text()
        >>> with_results(card, zoo.entry("kdd99_alad"), "/nowhere").count("No run yet.")
        1
    """
    lines = entry_sections(entry, results, variants=["default"]) or ["No run yet.", ""]
    lines = [line.replace("## ", "#### ", 1) if line.startswith("## ") else line for line in lines]
    notes = ["What the results mean, and what was tried:", ""] if entry.notes else []
    notes += [f"- {note}" for note in entry.notes] + [""] * bool(entry.notes)
    block = [*lines, *notes, *_pretrained(entry)]
    return with_block(text, BEGIN, END, block, f"the card of {entry.name}")


def write_cards(entries, results="results"):
    """Renew the rendered block of each entry's card.

    Args:
        entries: entries of the zoo.
        results: str or Path of the results folder.

    Returns:
        list of the cards' Paths.

    Raises:
        ValueError: a card without the block.
    """
    paths = [card_path(entry.name) for entry in entries]
    return [
        write_text(path, with_results(path.read_text(encoding="utf-8"), entry, results))
        for path, entry in zip(paths, entries, strict=True)
    ]


def _pretrained(entry):
    """One line a preset, from the preset's own config.json."""
    lines = []
    for variant in presets.variants(entry.name):
        folder = presets.BUNDLED / entry.name / variant
        if not folder.is_dir():
            lines.append(f"Pretrained weights, {variant}: downloaded on first use.")
            continue
        told = read_json(folder / "config.json")
        trained, size = told["metadata"], (folder / "scorer.weights.h5").stat().st_size
        values = trained["metrics"][entry.score]
        lines.append(
            f"Pretrained weights, {variant}: seed {trained['seed']}, epoch "
            f"{trained['kept_epoch']}, {size / 1e6:.1f} MB, in the package. On the test rows: "
            f"{entry.score} AUROC {values['auroc']:.4f}, F1 {values['f1']:.4f}. Threshold: "
            f"{told['threshold']:.4g}, which {_rule(told['threshold_rule'])}."
            + _rounding(trained.get("rounding", {}))
        )
    return lines or ["No pretrained weights."]


def _rounding(moved):
    if moved.get("weights", "float32") == "float32":
        return ""
    return (
        f" Large weights are stored as {moved['weights']}, which moves a test score by "
        f"{100 * moved['score']:.2g}% at most and an AUROC by {moved['auroc']:.1g}."
    )


def _rule(rule):
    return rule if rule.startswith("flags") else f"is {rule}"
