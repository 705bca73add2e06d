"""Model cards: written by hand, with a block of results that `alad report` renders."""

from pathlib import Path

import zoo
from alad_tf.engine.files import read_json, with_block, write_text
from alad_tf.engine.weights import CONFIG, WEIGHTS
from alad_tf.experiments import RESULTS
from alad_tf.experiments.report import entry_sections
from alad_tf.experiments.results import DEFAULT, read_frame

HOME = Path(zoo.__file__).parent

BEGIN = "<!-- rendered by `alad report` from results/ and the presets; do not edit -->"
END = "<!-- end of the rendered part -->"


def with_results(text, entry, results=RESULTS):
    """A card's text with its rendered block renewed; ValueError without BEGIN or END.

    Example:
        >>> import zoo
        >>> card = zoo.card_path("kdd99_alad").read_text()
        >>> with_results(card, zoo.entry("kdd99_alad"), "/nowhere").count("No run yet.")
        1
    """
    frame = read_frame(results, entry.name)
    lines = entry_sections(entry, frame, results, variants=[DEFAULT]) or ["No run yet.", ""]
    lines = [f"##{line}" if line.startswith("## ") else line for line in lines]
    notes = ["Notes on the results, and what was tried:", ""] if entry.notes else []
    notes += [f"- {note}" for note in entry.notes] + [""] * bool(entry.notes)
    block = [*lines, *notes, *_pretrained(entry)]
    return with_block(text, BEGIN, END, block, f"the card of {entry.name}")


def write_cards(entries, results=RESULTS):
    """Renew the rendered block of each entry's card; the cards' Paths."""
    entries = [entry for entry in entries if zoo.card_path(entry.name).is_file()]
    paths = [zoo.card_path(entry.name) for entry in entries]
    return [
        write_text(path, with_results(path.read_text(encoding="utf-8"), entry, results))
        for path, entry in zip(paths, entries, strict=True)
    ]


def _pretrained(entry):
    """One line per preset, from the preset's own config."""
    lines = []
    for variant in zoo.variants(entry.name):
        folder = HOME / "weights" / entry.name / variant
        if not folder.is_dir():
            lines.append(f"- Pretrained weights, {variant}: downloaded on first use.")
            continue
        config, size = read_json(folder / CONFIG), (folder / WEIGHTS).stat().st_size
        run, rule = config["metadata"], config["threshold_rule"]
        values = run["metrics"][entry.score]
        kept = run["kept_epoch"]  # 0: not trained by epochs
        epoch = f" epoch {kept}," if kept else ""
        at = f"{config['threshold']:.4g}"
        threshold = f". Threshold: {at}; it is {rule}."
        if rule.startswith("flags"):
            threshold = (
                ", if as many rows are flagged as there are anomalies. The detector's threshold "
                f"is another one: {at}, which {rule}."
            )
        lines.append(
            f"- Pretrained weights, {variant}: seed {run['seed']},{epoch} "
            f"{size / 1e6:.1f} MB, bundled. On the test rows: "
            f"{entry.score} AUROC {values['auroc']:.4f}, F1 {values['f1']:.4f}{threshold}"
            + _rounding(run.get("rounding", {}))
        )
    return lines or ["No pretrained weights."]


def _rounding(moved):
    if moved.get("weights", "float32") == "float32":
        return ""
    return (
        f" Large weights are stored as {moved['weights']}, which changes a test score by at most "
        f"{100 * moved['score']:.2g}% and an AUROC by {moved['auroc']:.1g}."
    )
