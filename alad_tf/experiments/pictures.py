"""RESULTS.md's section on images with features of a network, beside the paper's ALAD on pixels."""

from alad_tf.data import class_names
from alad_tf.engine.markdown import markdown_table
from alad_tf.experiments import RESULTS
from alad_tf.experiments.results import DEFAULT, measured_by, network_of, select
from alad_tf.experiments.tables import NOT_RUN

FEATURES, PIXELS = "features", "pixels"
METHODS = {
    FEATURES: "default score",
    "nearest neighbours": "nearest neighbours on the features",
    "ALAD": "ALAD on the features",
    "ALAD, untrained": "untrained ALAD on the features",
}
MAPS = {"pixel auroc": "pixel AUROC", "aupro": "AUPRO"}


def features_sections(entries, frame, results=RESULTS):
    """What `benchmarks.pictures` measured, as Markdown; nothing if it did not run."""
    measured = measured_by("pictures", results)
    if measured is None:
        return []
    return [
        "## Images with features of a network: not the paper's method",
        "",
        f"`{measured['command']}`. `ALADDetector(features=...)` with {network_of(measured)}. The "
        "network was trained on ImageNet and is frozen. An image's score comes from distances "
        "between its features and those of training images, both at single positions of the "
        "network's feature maps and for whole images. Nothing is trained. For comparison, on the "
        "same features: the mean distance of whole images to their five nearest training images, "
        "and the paper's score of one ALAD trained on the features at single positions, and of the "
        "same ALAD untrained. *Default score* is this detector's own. One seed.",
        "",
        *_cifar10(measured, {entry.name: entry for entry in entries}, frame),
        *_defects(measured["defects"]),
    ]


def _cifar10(measured, entries, frame):
    found, names = measured["cifar10"], class_names("cifar10")
    entry = entries.get("cifar10_alad")
    columns = {title: _aurocs(found, method) for method, title in METHODS.items()}
    if entry is not None:
        runs = select(frame, entry=entry.name, changes=DEFAULT, score=entry.score, trained=True)
        by_class = runs.groupby("normal_class")["auroc"].mean()
        columns["ALAD on pixels"] = {names[k]: value for k, value in by_class.items()}
        columns["paper: ALAD on pixels"] = dict(zip(names, entry.reported_by_class, strict=False))
    rows = [
        [name, *(f"{one[name]:.3f}" if name in one else "" for one in columns.values())]
        for name in found
    ]
    means = {title: _mean(one, found) for title, one in columns.items()}
    if entry is not None and len(found) == len(names):
        means["paper: ALAD on pixels"] = f"{entry.reported['auroc']:.3f}"  # as it prints it
    title = f"mean of {len(found)} of {len(names)} classes"
    rows.append([f"**{title}**", *(f"**{one}**" if one else "" for one in means.values())])
    if not found:
        return []
    return [
        *markdown_table(["CIFAR-10, normal class", *columns], rows),
        "",
        f"AUROC. A detector is fitted on the first {measured['training images']:,} training images "
        f"of a class and scores the first {measured['test images']:,} test images of all classes. "
        "The two columns on pixels follow the paper's protocol (Table III), with other training "
        "and test images.",
        "",
    ]


def _defects(found):
    titles = {**METHODS, PIXELS: "pixels"}
    columns = {f"AUROC: {title}": _aurocs(found, method) for method, title in titles.items()}
    for measure, title in MAPS.items():
        for method in (FEATURES, PIXELS):
            columns[f"{title}: {titles[method]}"] = _of(found, method, measure)
    rows = [
        [name, *(f"{one[name]:.3f}" if name in one else NOT_RUN for one in columns.values())]
        for name in found
    ]
    means = [_mean(one, found) for one in columns.values()]
    rows.append(["**mean**", *(f"**{one}**" if one else "" for one in means)])
    steps = sorted({methods[PIXELS]["steps"] for methods in found.values() if PIXELS in methods})
    trained = f" for {' or '.join(f'{count:,}' for count in steps)} steps" if steps else ""
    return [
        *markdown_table(["planted defects", *columns], rows),
        "",
        "Scratches, blobs, smears and holes at known places, in textures drawn by code and in "
        "crops of scikit-learn's two photographs: synthetic, and mostly small, a few hundred of "
        "50,000 pixels. 60 images to fit on, 40 others and 60 with defects. *Pixels* is one "
        f"`ALADDetector` without features, trained{trained} on the images at 64 x 64 pixels; its "
        "maps are those of `explain`. The weights of the score's parts and the layers were chosen "
        "on these sets and on three of CIFAR-10's classes.",
        "",
    ]


def _of(found, method, measure):
    has = {name: methods for name, methods in found.items() if method in methods}
    return {name: methods[method][measure] for name, methods in has.items()}


def _aurocs(found, method):
    return _of(found, method, "auroc")


def _mean(values, names):
    """The mean over all names as text; "" if one has no value."""
    if not all(name in values for name in names):
        return ""
    return f"{sum(values[name] for name in names) / len(names):.3f}"
