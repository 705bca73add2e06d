"""The report of a fit: the threshold, the most anomalous rows, and figures of the reasons."""

import re
from pathlib import Path

import numpy as np

from alad_tf.cli.html_report import folders_table, optimism, write_html_report
from alad_tf.detector.explain import expected_shown, observed_shown
from alad_tf.engine.files import write_text
from alad_tf.engine.progress import counted
from alad_tf.plots.charts import score_histogram
from alad_tf.plots.explain import column_bars, heat_maps

MOST_IMAGES = 10  # in one picture
TOP_ROWS, TOP_IMAGES, TYPICAL, REASONS = 5, 10, 5, 3
MOST_COLUMNS = 100  # in the table
REPORT = "report.md"


def draw_reasons(folder, explanation, data, chosen):
    """Draw the explanation of the rows `chosen` of `data`; returns the pictures' Paths.

    A picture for each row of a table; one for every ten images.
    """
    folder, written = Path(folder), []
    if explanation.columns:
        for place, row in enumerate(chosen):
            title = (
                f"row {data.ids[row]}: {explanation.score} score {explanation.scores[place]:.4g}"
            )
            written.append(column_bars(explanation, place, folder / f"row_{row}.png", title=title))
        return written
    images = data.take(chosen)
    for first in range(0, len(chosen), MOST_IMAGES):
        part = slice(first, first + MOST_IMAGES)
        path = folder / f"images_{first}.png"
        written.append(heat_maps(explanation.take(part), images[part], path))
    return written


def write_fit_report(folder, detector, data, console=None, measured=None):
    """Write a report on a detector and the `UserData` that it was fitted on; the HTML's Path.

    report.md and its pictures, and the same and more as one file, report.html. `measured` is what
    `alad_tf.cli.user_data.label_metrics` returned, where there are labels.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    scores = detector.anomaly_score(data.rows)
    kind, images = data.kind, data.kind == "images"
    top = np.argsort(-scores, kind="stable")[: TOP_IMAGES if images else TOP_ROWS]
    if images and detector.preprocessor.kind == "pictures":  # for comparison
        typical = np.argsort(np.abs(scores - np.median(scores)), kind="stable")
        top = np.append(top, [row for row in typical if row not in top][:TYPICAL])
    with counted(1, "reasons", console) as advance:
        explanation = detector.explain(data.take(top))
        advance(1)
    _histogram(folder / "score_histogram.png", detector, scores, data.is_anomaly, kind)
    pictures = draw_reasons(folder, explanation, data, top)
    flagged = int(detector.threshold.flags(scores).sum())
    share = flagged / len(scores)
    lines = [
        f"# Anomalies in {_plain(data.source.name)}",
        "",
        (
            f"{len(scores):,} {kind} of {_described(detector)}. The threshold of the "
            f"{detector.score} score is {detector.threshold.value:.4g}; it "
            f"{data.rule_of(detector)}. Flagged among these {kind}: {flagged:,} ({share:.2%}). "
            f"{optimism(detector, kind)}The detector and its exports contain "
            f"{detector.scorer.contains}."
        ),
        "",
        *([f"Labels: {measured['words']}.", ""] if measured else []),
        "![Histogram of the scores](score_histogram.png)",
        "",
        "## Most anomalous" + (", then some typical ones" if len(top) > TOP_IMAGES else ""),
        "",
        *(_image_table(detector, explanation, data, top) if images else []),
        *([] if images else _row_table(detector, explanation, data, top)),
        "",
        *(f"![Reasons for the scores: {p.stem}]({p.name})\n" for p in pictures),
        *_column_table(detector),
        *_by_folder(detector, scores, data),
    ]
    write_text(folder / REPORT, "\n".join(lines).rstrip() + "\n")
    typical = len(top) > TOP_IMAGES
    return write_html_report(folder, detector, data, scores, top, explanation, measured, typical)


def _described(detector):
    shape = detector.preprocessor.output_shape
    if len(shape) == 3:
        return f"{shape[0]} x {shape[1]} pixels"
    raw = len(detector.preprocessor.groups)
    return (
        f"{raw:,} columns"
        if raw == shape[0]
        else f"{raw:,} columns, encoded as {shape[0]:,} features"
    )


def _histogram(path, detector, scores, is_anomaly, kind):
    """Scores of all rows or images, with those of the calibration rows, or by label."""
    title, label = f"scores of all {kind}", f"{detector.score} score"
    if is_anomaly is not None:
        score_histogram(scores, is_anomaly, path, detector.threshold, title, label)
        return
    reference = detector.reference
    score_histogram(
        np.concatenate([reference, scores]),
        np.arange(len(reference) + len(scores)) >= len(reference),
        path,
        detector.threshold,
        title,
        label,
        kinds=(f"calibration {kind}", f"all {kind}"),
    )


def _row_table(detector, explanation, data, top):
    p_value = ["p-value"] if len(detector.reference) else []
    yield from _head("row", "score", *p_value, "reasons: column, observed, expected")
    for place, row in enumerate(top):
        reasons = "; ".join(
            _plain(f"{one['column']}: {observed_shown(one)}, {expected_shown(one)}")
            for one in explanation.top(place, REASONS)
        )
        yield _line(data.ids[row], *_judged(detector, explanation.scores[place]), reasons)


def _column_table(detector):
    """What was decided for the columns; nothing for images."""
    preprocessor = detector.preprocessor
    if not hasattr(preprocessor, "column_table"):
        return
    table = preprocessor.column_table()
    yield "## Columns\n"
    yield (
        "How each column is treated, and how many features it becomes. `alad fit --column "
        "NAME=KIND` changes the kind.\n"
    )
    yield from _head("column", "kind", "features", "reason")
    for row in table.head(MOST_COLUMNS).itertuples():
        yield _line(_plain(row.column), row.kind, row.features, _plain(row.reason))
    if len(table) > MOST_COLUMNS:
        yield (
            f"\n`ALADDetector.load(...).columns_` has the other {len(table) - MOST_COLUMNS:,} "
            "columns."
        )


def _by_folder(detector, scores, data):
    names, rows = folders_table(detector, scores, data)
    if not rows:
        return
    yield "## By folder"
    yield ""
    yield from _head(*names)
    for folder, *cells in rows:
        yield _line(_plain(folder), *cells)


def _image_table(detector, explanation, data, top):
    yield from _head("image", "score", *(["p-value"] if len(detector.reference) else []))
    for place, row in enumerate(top):
        yield _line(_plain(data.ids[row]), *_judged(detector, explanation.scores[place]))


def _judged(detector, score):
    """A score and, if the detector has p-values, its p-value, as cells."""
    yield f"{score:.4g}"
    if len(detector.reference):
        yield f"{detector.p_values_of([score])[0]:.2g}"


def _head(*cells):
    yield _line(*cells)
    yield "|" + "---|" * len(cells)


def _line(*cells):
    return f"| {' | '.join(map(str, cells))} |"


def _plain(text):
    """Users' text, escaped for Markdown: no markup, no line breaks, no ends of cells."""
    text = "".join(c if c.isprintable() else " " for c in str(text))
    return re.sub(r"([\\`*\[\]<>|~$&]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", text)
