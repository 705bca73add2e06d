"""A diagram of ALAD: encoder and generator, three discriminators, the score.

python docs/schematic.py docs/pictures/alad.png
"""

import sys
import textwrap

from alad_tf.plots.canvas import blank_figure, save_figure

GENERATIVE, DISCRIMINATOR, DATA, EDGE = "#feebc8", "#e2e8f0", "white", "#2d3748"
GAMES = (  # discriminator, its real pair, its generated pair, what it enforces
    ("D_xz", "x, E(x)", "G(z), z", "the two joint distributions match"),
    ("D_xx", "x, x", "x, G(E(x))", "G reconstructs samples from their codes"),
    ("D_zz", "z, z", "z, E(G(z))", "E reconstructs codes from their samples"),
)


def draw(path):
    """Draw the schematic as a PNG: ALAD, Figure 1 and Section IV."""
    figure = blank_figure((10, 4.6))
    axes = figure.subplots()
    axes.set(xlim=(0, 100), ylim=(0, 46))
    axes.axis("off")
    _networks(axes)
    for place, game in enumerate(GAMES):
        _game(axes, 33 - 13 * place, *game)
    axes.text(44.4, 43.5, "three discriminators tell real pairs from generated ones", weight="bold")
    axes.text(2, 43.5, "encoder E and generator G", weight="bold")
    axes.text(
        2,
        2.5,
        "anomaly score A(x): L1 distance between D_xx's features\n"
        "of (x, x) and those of (x, x'), x' = G(E(x))",
        fontsize=9,
    )
    return save_figure(figure, path)


def _networks(axes):
    for x, y, name in ((4, 36, "x"), (36, 36, "z"), (36, 22, "z"), (4, 22, "x")):
        label = name if y == 36 else {"z": "E(x)", "x": "x' = G(E(x))"}[name]
        _circle(axes, x, y, label if y == 22 else {"x": "x", "z": "z ~ N(0, 1)"}[name])
    _box(axes, 20, 29.5, 8, "E", GENERATIVE, "encoder")
    _box(axes, 20, 15, 8, "G", GENERATIVE, "generator")
    _arrow(axes, (6, 34.5), (16, 30.5))
    _arrow(axes, (24, 29), (33.5, 23.5))
    _arrow(axes, (33.5, 21), (24, 16))
    _arrow(axes, (16, 16), (6.5, 20.5))
    _arrow(axes, (35.5, 34), (24.5, 17.5), dashed=True)
    axes.text(37, 29.2, "in training", fontsize=7, ha="center", color="#718096")


def _game(axes, y, name, real, fake, forces):
    _pair(axes, 53, y + 2.6, real, "real")
    _pair(axes, 53, y - 2.6, fake, "generated")
    _box(axes, 74, y, 8, name, DISCRIMINATOR, "real or generated?")
    _arrow(axes, (62, y + 2.6), (69.8, y + 0.8))
    _arrow(axes, (62, y - 2.6), (69.8, y - 0.8))
    axes.text(80.5, y, textwrap.fill(forces, 24), fontsize=8, va="center", color=EDGE)


def _pair(axes, x, y, text, kind):
    box = {"boxstyle": "round,pad=0.3", "facecolor": DATA, "edgecolor": EDGE, "linewidth": 0.8}
    axes.text(x + 3, y, f"({text})", ha="center", va="center", fontsize=9, bbox=box)
    axes.text(x - 8.6, y, kind, ha="left", va="center", fontsize=8, color="#718096")


def _box(axes, x, y, width, text, color, below):
    from matplotlib.patches import FancyBboxPatch

    shape = dict(boxstyle="round,pad=0.2", facecolor=color, edgecolor=EDGE)
    axes.add_patch(FancyBboxPatch((x - width / 2, y - 2), width, 4, **shape))
    axes.text(x, y, text, ha="center", va="center", weight="bold")
    axes.text(x, y - 3.6, below, ha="center", va="center", fontsize=7, color="#718096")


def _circle(axes, x, y, text):
    box = {"boxstyle": "round,pad=0.35", "facecolor": DATA, "edgecolor": EDGE, "linewidth": 0.8}
    axes.text(x, y, text, ha="center" if x > 10 else "left", va="center", fontsize=9, bbox=box)


def _arrow(axes, start, end, dashed=False):
    style = dict(arrowstyle="-|>", color=EDGE, linewidth=1, linestyle="--" if dashed else "-")
    axes.annotate("", end, start, arrowprops=style)


if __name__ == "__main__":
    print(draw(sys.argv[1]))
