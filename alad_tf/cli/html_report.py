"""report.html: the report of a fit as one file, for a browser, a telephone and print."""

import base64
import html
import io
import shlex
from datetime import date
from pathlib import Path, PurePath

import numpy as np

import alad_tf
from alad_tf.cli.fit_plan import column_decisions
from alad_tf.cli.html_style import STYLE
from alad_tf.cli.lines import UsageError
from alad_tf.detector.ensemble import COMBINED, networks_count
from alad_tf.detector.explain import expected_shown, observed_shown
from alad_tf.detector.patches import PatchScorer
from alad_tf.detector.validation import take_rows
from alad_tf.engine.files import write_text
from alad_tf.engine.texts import as_is
from alad_tf.plots.canvas import short

HTML_REPORT, MARK = "report.html", "<!-- a report of alad -->"
BARS, REASONS, MOST_COLUMNS = 48, 5, 200
LARGEST, SMALLEST = 320, 160  # pixels of the longer side of an image in the page
LEAST = 1 / 20  # of the first reason's contribution, that others must have
COMPARED = 2000  # rows, at most, that members are compared on
DAYS = (100, 1000, 10_000, 100_000)  # records a day


def write_html_report(
    folder, detector, data, scores, top, explanation, measured=None, typical=False
):
    """Write `report.html`, self-contained, beside the Markdown report; its Path.

    Args:
        folder: Path, the report's.
        detector: `alad_tf.Detector` with a threshold.
        data: `UserData`, all rows.
        scores: float array (N,), of all rows.
        top: int array, the most anomalous rows.
        explanation: `Explanation` of these rows.
        measured: what `alad_tf.cli.user_data.label_metrics` returned, or None.
        typical: bool, some typical rows come after the most anomalous ones.
    """
    kind = "rows" if explanation.columns else "images"
    flagged = int(detector.threshold.flags(scores).sum())
    rate = false_alarm_rate(detector)
    title = "Most anomalous" + (", then some typical ones" if typical else "")
    ids, images = [data.ids[row] for row in top], None if explanation.columns else data.take(top)
    parts = [
        _summary(detector, scores, flagged, rate, measured, kind),
        _section("Scores", _scores(detector, data, scores, flagged, rate, measured, kind)),
        _section(title, _cards(detector, ids, explanation.scores, explanation, images)),
        _section("By folder", _by_folder(detector, scores, data)),
        _section("Columns", _columns(detector)),
        _section("Agreement between the ALADs", _stability(detector, data, kind)),
        _section("About the detector", _learnt(detector, data, kind)),
        _section("Next steps", _next(folder, data, kind, rate, len(detector.reference))),
    ]
    title = f"Anomalies in {_text(data.source.name)}"
    return write_text(folder / HTML_REPORT, _page(title, "alad fit", parts))


def write_score_report(path, detector, source, counts, top, explanation, records):
    """Write the most anomalous rows of `alad score` as one HTML file; its Path.

    Args:
        path: Path of the file.
        detector: `alad_tf.Detector`.
        source: Path, where the rows are from.
        counts: rows, and how many are flagged or None.
        top: frame of `alad_tf.cli.top_rows.TopRows`.
        explanation: `Explanation` of these rows, or None.
        records: these rows.
    """
    rows, flagged = counts
    kind = "rows" if detector.preprocessor.groups else "images"
    tiles = [(f"{rows:,}", kind)]
    if flagged is not None:
        tiles.append((f"{flagged:,}", f"flagged ({_share(flagged / rows)})"))
        tiles.append((short(detector.threshold.value), f"threshold of the {detector.score} score"))
    rate = false_alarm_rate(detector)
    if rate is not None:
        expected = _alarms(rate * rows)
        tiles.append((expected, f"expected flags if all were normal ({_share(rate)})"))
    images = None if kind == "rows" else records
    cards = _cards(detector, top["row"], top["score"], explanation, images)
    parts = [_tiles(tiles), _section("Most anomalous", cards)]
    title = f"Anomalies in {_text(Path(source).name)}"
    return write_text(path, _page(title, "alad score", parts))


def require_report(path):
    """Refuse a place for an HTML report where something else would be lost."""
    if path.suffix.lower() != ".html":
        raise UsageError(f"received --report {path}; expected a .html file.")
    if path.is_dir():
        raise ValueError(f"received --report {path}, a folder; expected a .html file.")
    if path.exists() and MARK not in path.read_bytes()[:200].decode(errors="replace"):
        raise ValueError(
            f"received --report {path}, which exists and is not a report of alad. Choose "
            "another file."
        )


def _page(title, command, parts):
    return f"""<!doctype html>
<html lang="en">
<head>
{MARK}
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<header><h1>{title}</h1>
<p class="quiet">Report of <code>{command}</code>, {date.today().isoformat()}, alad-tf
{alad_tf.__version__}</p></header>
{"".join(parts)}
</main>
</body>
</html>
"""


def false_alarm_rate(detector):
    """The share of normal rows that the threshold flags, by the calibration rows; None without."""
    if not len(detector.reference):
        return None
    return float(detector.p_values_of([detector.threshold.value])[0])


def _text(value, most=None):
    return html.escape(as_is(value, most))


def _section(title, content):
    return f"<section><h2>{title}</h2>{content}</section>\n" if content else ""


def _share(value):
    return f"{100 * value:.2g}%" if value < 0.1 else f"{100 * value:.0f}%"


def _summary(detector, scores, flagged, rate, measured, kind):
    tiles = [
        (f"{len(scores):,}", kind),
        (f"{flagged:,}", f"flagged ({_share(flagged / len(scores))})"),
        (short(detector.threshold.value), f"threshold of the {_text(detector.score)} score"),
    ]
    if measured:
        tiles += [(f"{measured['auroc']:.3f}", "AUROC"), (f"{measured['f1']:.3f}", "F1")]
    elif rate is not None:
        tiles.append((_share(rate), "false-alarm rate on normal data"))
    return _tiles(tiles)


def _tiles(tiles):
    cells = "".join(
        f"<div><strong>{value}</strong><span>{name}</span></div>" for value, name in tiles
    )
    return f'<div class="tiles">{cells}</div>\n'


def _scores(detector, data, scores, flagged, rate, measured, kind):
    rule = _text(data.rule_of(detector))
    one = "a row" if kind == "rows" else "an image"
    lines = [
        (
            f"<p>The higher its score, the less {one} resembles the others. {kind.capitalize()} "
            f"that score {detector.threshold.value:.4g} (rounded) or more are flagged. This "
            f"threshold {rule}.</p>"
        ),
        _histogram(detector, scores, data.is_anomaly, kind),
    ]
    if measured:
        lines.append(f"<p>{_text(measured['words'])}.</p>")
    if rate is None:
        lines.append(
            "<p>The threshold was not calibrated on normal data, so there are no p-values "
            "and no false-alarm rate. Of new data like this, about "
            f"{_share(flagged / len(scores))} or more will be flagged.</p>"
        )
    else:
        source = "folder" if data.source.is_dir() else "file"
        counts = sorted({*DAYS, len(scores)})
        rows = [(f"{count:,}", _alarms(rate * count)) for count in counts]
        lines.append(
            f"<p>Judging by {len(detector.reference):,} calibration {kind}, each scored by a "
            f"detector fitted without it, about {_share(rate)} of normal {kind} should be flagged "
            f"on average. The table shows how many false alarms a day to expect; this {source} "
            f"has {len(scores):,} {kind}.</p>"
            + _table((f"{kind} a day", "expected false alarms a day"), rows)
        )
    return "".join(lines)


def _alarms(count):
    return f"{float(f'{count:.2g}'):,.0f}" if count >= 10 else f"{count:.2g}"


def _histogram(detector, scores, is_anomaly, kind):
    """Shares of two groups by score, as bars without text; labels are HTML, which scales better."""
    scores = np.asarray(scores, "float64")
    groups = {"calibration": np.asarray(detector.reference, "float64"), f"all {kind}": scores}
    if is_anomaly is not None:
        groups = {"normal": scores[~is_anomaly], "anomalous": scores[is_anomaly]}
    groups = {name: values for name, values in groups.items() if len(values)}
    threshold, low = detector.threshold.value, float(min(v.min() for v in groups.values()))
    high = float(np.quantile(scores, 0.995))
    if high < threshold < high + (high - low):  # room for its line
        high = threshold + 0.1 * (threshold - low)
    high = high if high > low else low + 1
    edges = np.linspace(low, high, BARS + 1)
    shares = {
        name: np.histogram(np.clip(values, low, high), edges)[0] / len(values)
        for name, values in groups.items()
    }
    highest = max(share.max() for share in shares.values())
    bars = []
    for number, share in enumerate(shares.values()):
        rects = "".join(
            f'<rect x="{10 * i}" y="{200 * (1 - s / highest):.1f}" width="9.4" '
            f'height="{200 * s / highest:.1f}"/>'
            for i, s in enumerate(share)
            if s
        )
        bars.append(f'<g class="group{number}">{rects}</g>')
    place = 100 * (threshold - low) / (high - low)
    line = ""
    if 0 <= place <= 100:
        side = "left" if place > 60 else "right"
        line = (
            f'<div class="line {side}" style="left:{place:.1f}%"><span>threshold '
            f"{short(threshold)}</span></div>"
        )
    legend = "".join(
        f'<span><i class="group{number}"></i>{name} ({len(groups[name]):,})</span>'
        for number, name in enumerate(groups)
    )
    beyond = int((scores > high).sum())
    note = (
        f" The last bar includes {beyond:,} higher score{'s' * (beyond > 1)}, up to "
        f"{short(scores.max())}."
        if beyond
        else ""
    )
    return (
        f'<figure><div class="legend">{legend}</div><div class="plot" role="img" '
        f'aria-label="Histogram of the scores with the threshold">'
        f'<svg viewBox="0 0 {10 * BARS} 200" preserveAspectRatio="none">{"".join(bars)}</svg>'
        f'{line}</div><div class="axis"><span>{short(low)}</span><span>score</span>'
        f"<span>{short(high)}</span></div><figcaption>Share of each group by score."
        f"{note}</figcaption></figure>"
    )


def _cards(detector, names, scores, explanation, images=None):
    """A card for each of the most anomalous rows, or images, with the reasons if there are some."""
    cards, limit = [], None
    if images is not None and explanation is not None:  # one scale for all maps
        maps = np.concatenate([np.ravel(one) for one in explanation.attributions])
        limit = np.quantile(np.abs(maps), 0.995) or 1.0
    for place, (name, score) in enumerate(zip(names, scores, strict=True)):
        facts = [f"score {score:.4g}"]
        if len(detector.reference):
            facts.append(f"p-value {detector.p_values_of([score])[0]:.2g}")
        if detector.threshold is not None:
            facts.append("flagged" if detector.threshold.flags(score) else "not flagged")
        title, body = _text(name, 80), ""
        if images is None:
            title = f"Row {title}"
        if explanation is not None:
            body = (
                _reason_bars(explanation, place)
                if images is None
                else _pictures(explanation, place, images[place], limit)
            )
        cards.append(
            f'<article><h3>{title}</h3><p class="quiet">{", ".join(facts)}</p>{body}</article>'
        )
    about = f"<p>{_about(explanation, images)}</p>" if explanation is not None else ""
    return f'{about}<div class="cards">{"".join(cards)}</div>'


def _about(explanation, images):
    if images is None:
        return (
            "Bars show how much each column adds to the score. The expected value is one "
            "that the detector would have found normal."
        )
    if explanation.reconstruction is None:
        return (
            "The image, and how far each position is from those of training images (white: "
            "no farther than usual; red: farther)."
        )
    return (
        "The image, its reconstruction, and how much each pixel raises (red) or lowers (blue) "
        "the score."
    )


def _reason_bars(explanation, place):
    found = explanation.top(place, REASONS)
    if not found:
        return '<p class="quiet">No column stands out.</p>'
    largest = abs(found[0]["attribution"])
    found = [one for one in found if one["attribution"] >= LEAST * largest] or found[:1]
    lines = [
        f"<dt>{_text(one['column'], 60)}</dt><dd><b>{_text(observed_shown(one), 80)}</b>"
        f' <span class="quiet">{_text(expected_shown(one), 70)}</span>'
        f'<i style="width:{100 * abs(one["attribution"]) / largest:.0f}%"></i></dd>'
        for one in found
    ]
    return f"<dl>{''.join(lines)}</dl>"


def _pictures(explanation, place, image, limit):
    heat, reconstruction = explanation.attributions[place], explanation.reconstruction
    strength = np.clip(heat / limit, -1, 1)[..., None]
    if reconstruction is None:  # of features: 1 is as far as a typical position, without colour
        strength = np.clip((heat - 1) / max(limit - 1, 1), 0, 1)[..., None]
    red, blue = np.array([197, 48, 48.0]), np.array([43, 108, 176.0])
    colour = np.where(strength > 0, red, blue)
    shown = (255 - np.abs(strength) * (255 - colour)).astype("uint8")
    if reconstruction is None:
        parts = {"image": image, "heat map": shown}
    else:
        parts = {"image": image, "reconstruction": reconstruction[place], "contribution": shown}
    figures = "".join(
        f'<figure><img alt="{name}" src="{_data_uri(pixels)}"><figcaption>{name}</figcaption>'
        "</figure>"
        for name, pixels in parts.items()
    )
    return f'<div class="pictures">{figures}</div>'


def _data_uri(pixels):
    """Pixels as a PNG inside the page: photographs smaller, icons with their pixels visible."""
    from PIL import Image

    content, pixels = io.BytesIO(), np.asarray(pixels, "uint8")
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    image.thumbnail((LARGEST, LARGEST))
    grow = SMALLEST // max(image.size)
    if grow > 1:
        image = image.resize([grow * side for side in image.size], Image.Resampling.NEAREST)
    image.save(content, "png")
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()


def folders_table(detector, scores, data):
    """How many images of each sub-folder are flagged, where labels came from the folders.

    Names of columns, and rows of texts: none for a table, or without labels.
    """
    names = ("folder", "labelled", "images", "flagged", "median score")
    if data.kind != "images" or data.is_anomaly is None:
        return names, []
    flagged = detector.threshold.flags(scores)
    folders = np.array([str(PurePath(one).parent) for one in data.ids])
    rows = []
    for folder in sorted(set(folders)):
        here = folders == folder
        label = "anomalous" if data.is_anomaly[here].any() else "normal"
        counts = f"{here.sum():,}", f"{flagged[here].sum():,}"
        rows.append((folder, label, *counts, f"{np.median(scores[here]):.4g}"))
    return names, rows


def _by_folder(detector, scores, data):
    names, rows = folders_table(detector, scores, data)
    return _table(names, rows) if rows else ""


def _table(names, rows):
    head = "".join(f"<th>{_text(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{_text(cell, 160)}</td>" for cell in row) + "</tr>" for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide">{table}</div>'


def _columns(detector):
    columns = column_decisions(detector.preprocessor)
    if columns is None:
        return ""
    rows = columns.head(MOST_COLUMNS).itertuples(index=False)
    more = len(columns) - MOST_COLUMNS
    rest = f"<p>{more:,} more columns are not shown.</p>" if more > 0 else ""
    return (
        "<p>How each column is treated. A feature is a number that the detector works with; "
        "a category becomes one feature for each value, up to 64 values.</p>"
        f"{_table(columns.columns, rows)}{rest}"
    )


def _stability(detector, data, kind):
    """How much the members agree; nothing if there is only one."""
    found = agreement(detector, data.rows)
    if found is None:
        return ""
    return (
        f"<p>{found['members']} ALADs were trained from different random seeds. Over "
        f"{found['rows']:,} {kind}, their rankings by the ALAD paper's score (features) have an "
        f"average correlation of {found['correlation']:.2f} (1: the same ranking), and two "
        f"of them share {_share(found['overlap'])} of their {found['top']:,} highest-scoring "
        f"{kind} on average. If they disagree, more ALADs (<code>--members</code>) "
        "or more data make the ranking more stable.</p>"
    )


def agreement(detector, rows):
    """How similarly the members of an ensemble rank rows by the paper's score.

    Returns:
        dict of "members", "rows", "top" (int, how many highest scores are compared), "correlation"
        (Spearman's, the mean over pairs) and "overlap" (the share of highest scores that two
        members have in common); None for a single member.
    """
    members = getattr(detector.scorer, "members", ())
    if len(members) < 2 or isinstance(detector.scorer, PatchScorer):  # whose members see positions
        return None
    step = -(-len(rows) // COMPARED)
    x = detector.preprocessor.transform(take_rows(rows, np.arange(0, len(rows), step)))
    scores = np.stack([member.scores(x)["features"] for member in members])
    ranks = scores.argsort(axis=1).argsort(axis=1)
    pairs = np.triu_indices(len(members), 1)
    top = max(len(x) // 20, 1)
    highest = [set(order[-top:].tolist()) for order in scores.argsort(axis=1)]
    overlaps = [len(highest[i] & highest[j]) / top for i, j in zip(*pairs, strict=True)]
    return {
        "members": len(members),
        "rows": len(x),
        "top": top,
        "correlation": float(np.corrcoef(ranks)[pairs].mean()),
        "overlap": float(np.mean(overlaps)),
    }


def optimism(detector, kind):
    """A sentence about scores of training rows, where networks decide.

    Distances do not need it: no row is its own neighbour.
    """
    weights = getattr(detector.scorer, "weights_of", {})
    if detector.score == COMBINED and not networks_count(weights):
        return ""
    return f"{kind.capitalize()} used in training look more normal to the networks than new ones. "


def _learnt(detector, data, kind):
    shape = detector.preprocessor.output_shape
    what = (
        f"images of {shape[0]} x {shape[1]} pixels"
        if len(shape) == 3
        else f"rows of {len(detector.preprocessor.groups):,} columns ({shape[0]:,} features)"
    )
    held = len(detector.reference)
    if not held:
        kept = ""
    elif data.is_anomaly is None:
        kept = (
            f" The threshold and the p-values are based on the scores of {held:,} calibration "
            f"{kind}."
        )
    else:
        kept = (
            f" The p-values are based on the scores of {held:,} calibration {kind}, the threshold "
            "on these and those of the anomalies."
        )
    p_value = (
        f"A p-value is the probability that a normal {kind[:-1]} scores at least as high. "
        if held
        else ""
    )
    return (
        f"<p>The detector was fitted to {what}.{kept} {optimism(detector, kind)}</p>"
        f"<p>The saved detector and its exports contain "
        f"{_text(detector.scorer.contains)}. {p_value}A reason says what the detector noticed, "
        "which is not always the cause.</p>"
    )


def _next(folder, data, kind, rate, held):
    name = folder.parent.name  # the report is written in the detector's folder
    detector = shlex.quote(name)
    new = "new_images" if kind == "images" else f"new{data.source.suffix}"
    shell = (
        f"alad score {detector} {new} --out scores.csv\n"
        f"alad explain {detector} {new} --out why --rows 3,17\n"
        f"alad export {detector} served"
    )
    p_values = "" if rate is None else "p-values, "
    python = (
        "from alad_tf import ALADDetector\n\n"
        f"detector = ALADDetector.load({name!r})\n"
        f"detector.scores(new, as_frame=True)  # scores, {p_values}verdicts\n"
        "detector.set_threshold(2.5)  # another threshold"
    )
    if data.is_anomaly is not None:
        fewer = "set a higher threshold in Python, and save the detector again"
    elif rate is not None and rate * (held + 1) < 1.5:  # one, which is the least
        fewer = (
            f"fit again with more {kind}: {held:,} calibration {kind} are too few for a lower "
            "false-alarm rate"
        )
    else:
        option = "--contamination" if rate is None else "--false-alarms"
        fewer = f"fit again with a smaller <code>{option}</code>"
    columns = (
        " If a column such as an id is among the reasons, leave it out with "
        "<code>--exclude</code>; <code>--column</code> changes the kind of a column."
    )
    return (
        "<p>Score new data, explain some of the scores, export the detector for a "
        f"server:</p><pre>{_code(shell)}</pre><p>Or from "
        f"Python:</p><pre>{_code(python)}</pre><p>If too many {kind} are flagged, {fewer}."
        f"{columns if kind == 'rows' else ''}</p>"
    )


def _code(text):
    return html.escape(text)
