"""MkDocs hook: pages that are made from the repository's own files, so that nothing is kept twice.

The report, benchmarks, cards and notebooks appear in the site under the paths that they have in the
repository. Links between files are written as they work in the repository.
"""

import subprocess
import sys
from pathlib import Path

from mkdocs.structure.files import File
from nbconvert import MarkdownExporter

from alad_tf.engine.markdown import markdown_table

ROOT = Path(__file__).resolve().parents[1]
MIRRORED = ("RESULTS.md", "BENCHMARKS.md", "CONTRIBUTING.md", "CHANGELOG.md")
PICTURES = "results/**/*.png"


def on_files(files, config):
    """Add the pages and pictures that lie outside of docs/."""
    for name in MIRRORED:
        _add(files, config, name, _from_root((ROOT / name).read_text(encoding="utf-8")))
    for path in sorted(ROOT.glob(PICTURES)):
        _add(files, config, path.relative_to(ROOT).as_posix(), path.read_bytes())
    for path in sorted((ROOT / "zoo/cards").glob("*.md")):
        _add(files, config, f"zoo/cards/{path.name}", f"# {path.stem}\n\n{path.read_text('utf-8')}")
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        _notebook(files, config, path)
    return files


def on_page_markdown(markdown, page, config, files):
    """Fill what is rendered from the zoo and the results; links out of docs/ stay in the site."""
    if page.file.src_uri in RENDERED:
        mark, render = RENDERED[page.file.src_uri]
        markdown = markdown.replace(mark, render())
    if "/" not in page.file.src_uri:
        markdown = markdown.replace("](../", "](")
    return markdown


def _add(files, config, uri, content):
    files.append(File.generated(config, uri, content=content))


def _from_root(text):
    """A file of the repository's root: its links into docs/ are to pages at the site's root."""
    return text.replace("](docs/", "](").replace("](README.md)", "](index.md)")


def _notebook(files, config, path):
    """A notebook with its stored outputs as a page, its pictures beside it."""
    exporter = MarkdownExporter()
    text, resources = exporter.from_filename(str(path))
    for name, content in resources["outputs"].items():
        local = f"{path.stem}_{name}"
        _add(files, config, f"notebooks/{local}", content)
        text = text.replace(f"({name})", f"({local})")
    # the first line is the title; the file itself can be taken from below it
    title, _, rest = text.lstrip().partition("\n")
    note = f"*This page shows `notebooks/{path.name}` with the outputs it is stored with.*"
    _add(files, config, f"notebooks/{path.stem}.md", f"{title}\n\n{note}\n{rest}")


def _entries():
    import zoo

    return [zoo.entry(name) for name in zoo.list()]


def _cards():
    rows = [
        [f"[{entry.name}](zoo/cards/{entry.name}.md)", entry.source, entry.summary]
        for entry in _entries()
    ]
    return "\n".join(markdown_table(["entry", "of", "what it is"], rows))


def _deviations():
    lines = []
    for entry in _entries():
        if entry.deviations:
            lines += [f"## {entry.name}", "", *(f"- {text}" for text in entry.deviations), ""]
    return "\n".join(lines)


def _adbench():
    """The means over the tables, from the benchmark's own JSON."""
    from alad_tf.experiments import RESULTS
    from alad_tf.experiments.results import measured_by
    from alad_tf.experiments.tables import adbench_means

    means = adbench_means(measured_by("adbench", ROOT / RESULTS))
    rows = [[name, f"{mean} ± {spread}"] for name, mean, spread in means]
    return "\n".join(markdown_table(["method", "mean AUROC over the tables"], rows))


def _commands():
    """What `alad --help` says of every command, by typer's own generator."""
    command = [sys.executable, "-m", "typer", "alad_tf.cli", "utils", "docs", "--name", "alad"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return answer.stdout.partition("\n")[2]  # without its title; the page has one


# by page: the mark in it, and what makes the Markdown that takes its place
RENDERED = {
    "zoo.md": ("<!-- cards -->", _cards),
    "deviations.md": ("<!-- deviations -->", _deviations),
    "when_not.md": ("<!-- adbench -->", _adbench),
    "api/cli.md": ("<!-- commands -->", _commands),
}
