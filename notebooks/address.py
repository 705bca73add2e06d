"""Point the notebooks' Colab badges and installation at the project's public address.

python notebooks/address.py https://github.com/OWNER/NAME
"""

import argparse
import re
import sys
from pathlib import Path

import nbformat

from alad_tf.engine.files import write_text

HERE = Path(__file__).resolve().parent
COLAB = "https://colab.research.google.com/"
BADGE = re.compile(r"(badge\.svg\)\]\()" + re.escape(COLAB) + r"[^)]*\)[^\n]*")
INSTALL = re.compile(r'"alad-tf(\[[\w,]+\])?[^"]*"')


def point(path, address):
    """Rewrite a notebook's badge, and what its first cell installs without a wheel beside it.

    Args:
        path: str or Path of the `.ipynb`.
        address: str, "https://github.com/OWNER/NAME"; its branch `main` has the notebook.

    Raises:
        ValueError: another kind of address, or a notebook without a badge or that line.
    """
    found = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(\.git)?/?", address)
    if not found:
        raise ValueError(f"received {address!r}; expected https://github.com/OWNER/NAME.")
    path, name = Path(path), found[1]
    notebook = nbformat.read(path, as_version=4)
    target = f"{COLAB}github/{name}/blob/main/notebooks/{path.name}"
    badges = installs = 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source, count = BADGE.subn(rf"\g<1>{target})", cell.source)
            badges += count
        elif "%pip install" in cell.source:
            source = rf'"alad-tf\1 @ git+https://github.com/{name}"'
            cell.source, count = INSTALL.subn(source, cell.source)
            cell.source = cell.source.replace("from PyPI", "from GitHub")  # what it prints
            installs += count
    if (badges, installs) != (1, 1):
        raise ValueError(f"{path} has {badges} badges and {installs} installations; expected one.")
    write_text(path, nbformat.writes(notebook) + "\n")


def main(words):
    """Point all notebooks at an address."""
    parser = argparse.ArgumentParser(description="Point the notebooks at the public address.")
    parser.add_argument("address", help="https://github.com/OWNER/NAME")
    address = parser.parse_args(words).address
    try:
        for path in sorted(HERE.glob("[0-9]*.ipynb")):
            point(path, address)
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
