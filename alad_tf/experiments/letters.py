"""The network of `digits_features_alad`, which was trained to classify letters drawn by code.

    python -m alad_tf.experiments.letters [zoo/networks/letters.keras]

Letters of matplotlib's fonts are rotated, sheared and thickened at random, and resized to 8 x 8
pixels, the size of scikit-learn's digits. No digit is among them. The network's maps with 2, 4 and
8 pixels per position are kept.
"""

import string
import sys
from pathlib import Path

import keras
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from alad_tf.preprocess import PicturePreprocessor

HOME = Path("zoo/networks/letters.keras")
FONTS = ("DejaVu*.ttf", "STIXGeneral*.ttf")
SHAPE, SMALL = (32, 32, 1), 8
LETTERS, EPOCHS = 200, 6  # of each letter and case
DRAWN = 96  # pixels of a drawing's side


def fonts():
    """Paths of matplotlib's text fonts, in order."""
    folder = Path(matplotlib.get_data_path()) / "fonts/ttf"
    found = sorted(path for pattern in FONTS for path in folder.glob(pattern))
    return [path for path in found if "Display" not in path.name]  # it has symbols only


def letter(character, font, rng):
    """A letter as the digits are: uint8 (SMALL, SMALL, 1), bright on dark."""
    image = Image.new("L", (DRAWN, DRAWN))
    middle, thick = (DRAWN / 2, DRAWN / 2), int(rng.integers(1, 5))
    draw = ImageDraw.Draw(image)
    draw.text(middle, character, 255, font, anchor="mm", stroke_width=thick)
    angle, (shear, wide, high) = rng.normal(0, 8), rng.normal(0, [0.15, 0.1, 0.1])
    image = image.rotate(angle, Image.Resampling.BILINEAR)
    center = DRAWN / 2
    change = (1 + wide, shear, -center * (wide + shear), 0, 1 + high, -center * high)
    image = image.transform(image.size, Image.Transform.AFFINE, change, Image.Resampling.BILINEAR)
    left, top, right, bottom = image.getbbox()
    # digits fill the height, and their strokes are black or white before they are averaged
    side = max(bottom - top, right - left) + int(rng.integers(0, 5))
    x, y = (left + right - side) // 2, (top + bottom - side) // 2
    part = image.crop((x, y, x + side, y + side)).point(lambda level: 255 * (level > 127))
    return np.asarray(part.resize((SMALL, SMALL), Image.Resampling.BOX))[..., None]


def drawn(count, seed):
    """Letters and their classes, capitals and small ones alike: uint8 (N, ...) and int (N,)."""
    rng, faces = np.random.default_rng(seed), fonts()
    characters = [c for c in string.ascii_letters for _ in range(count)]
    loaded = [ImageFont.truetype(str(face), 56) for face in faces]
    made = [letter(c, loaded[rng.integers(len(loaded))], rng) for c in characters]
    return np.stack(made), np.array([ord(c.lower()) - ord("a") for c in characters])


def network():
    """The classifier, its maps as outputs beside the classes."""
    layers = keras.layers
    inputs = keras.Input(SHAPE)
    x = layers.Rescaling(1 / 127.5, -1)(inputs)
    maps = []
    for width in (24, 48, 64):
        for stride in (2, 1):
            x = layers.Conv2D(width, 3, stride, "same", use_bias=False)(x)
            x = layers.BatchNormalization()(x)
            x = layers.ReLU()(x)
        maps.append(x)
    x = layers.GlobalAveragePooling2D()(x)
    classes = layers.Dense(26)(layers.Dropout(0.2)(x))
    return keras.Model(inputs, classes), keras.Model(inputs, maps, name="letters")


def main(path=HOME, count=LETTERS, epochs=EPOCHS, seed=0):
    """Train, print the accuracy on new letters, and write the network; its Path."""
    keras.utils.set_random_seed(seed)
    resize = PicturePreprocessor(SHAPE)
    (x, y), (x_new, y_new) = drawn(count, seed), drawn(max(count // 10, 1), seed + 1)
    classifier, maps = network()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile(keras.optimizers.Adam(2e-3), loss, metrics=["accuracy"])
    classifier.fit(resize.transform(x), y, 128, epochs, verbose=0)
    _, share = classifier.evaluate(resize.transform(x_new), y_new, verbose=0)
    print(f"{share:.1%} of {len(x_new):,} new letters are classified correctly")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    maps.save(path)
    return Path(path)


if __name__ == "__main__":
    print(main(*sys.argv[1:2]))
