"""The packages of requirements.txt: `python -m benchmarks.packages` writes docs/licences.md.

With `--audit`, pip-audit looks them up in its database of vulnerabilities, from an environment of
its own. Where the package index or the database cannot be reached, it says so and fails nothing.
"""

import importlib.metadata
import json
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import typer

from alad_tf.engine.files import write_text
from alad_tf.engine.markdown import markdown_table

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS, PAGE = ROOT / "requirements.txt", ROOT / "docs/licences.md"
HEAD = """# Licences

This project is licensed under Apache-2.0. The table lists the packages in `requirements.txt` with
the licences in their metadata. It is rendered by `make licences`; do not edit it by hand.
"""


def pinned():
    """The packages that are pinned: dict of versions by name."""
    return dict(re.findall(r"(?m)^([\w.-]+)==(\S+)", REQUIREMENTS.read_text(encoding="utf-8")))


def licence(name):
    """An installed package's licence: its SPDX expression, classifiers, or first words on it."""
    told = importlib.metadata.metadata(name)
    if told.get("License-Expression"):
        return told["License-Expression"]
    classified = [c.split(" :: ")[-1] for c in told.get_all("Classifier", []) if "License ::" in c]
    named = [text for text in classified if text != "OSI Approved"]
    return ", ".join(named) or (told.get("License") or "not stated").strip().split("\n")[0][:60]


def audit():
    """The vulnerabilities that pip-audit knows: list of lines; None if it cannot look."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder, "Scripts" if sys.platform == "win32" else "bin", "python")
        install = [python, "-m", "pip", "install", "--quiet", "pip-audit"]
        if subprocess.run(install, capture_output=True).returncode:
            return None
        words = ["-m", "pip_audit", "-r", REQUIREMENTS, "--no-deps", "--disable-pip", "-f", "json"]
        answer = subprocess.run([python, *words], capture_output=True, text=True)
    try:
        packages = json.loads(answer.stdout)["dependencies"]
    except (ValueError, KeyError):
        return None
    return [
        f"{one['name']} {one['version']}: {found['id']}, fixed in {found['fix_versions']}"
        for one in packages
        for found in one.get("vulns", ())
    ]


def main(
    look_up: bool = typer.Option(False, "--audit", help="Look for known vulnerabilities instead."),
):
    """Write the licences, or look for known vulnerabilities."""
    if not look_up:
        rows = [[name, version, licence(name)] for name, version in pinned().items()]
        lines = markdown_table(["package", "version", "licence"], rows)
        print(write_text(PAGE, "\n".join([HEAD, *lines, ""])))
        return
    found = audit()
    if found is None:
        print("pip-audit or its database could not be reached; nothing was checked.")
        return
    print("\n".join(found or ["no known vulnerabilities"]))
    raise SystemExit(bool(found))


if __name__ == "__main__":
    typer.run(main)
