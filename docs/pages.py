"""MkDocs hook: pages generated from the repository's own files, so that nothing is kept twice.

Benchmarks, cards and notebooks appear in the site under the paths that they have in the repository,
and RESULTS.md as several pages. Links between files are written as they work in the repository.
"""

import re
import subprocess
import sys
from pathlib import Path

from mkdocs.structure.files import File
from nbconvert import MarkdownExporter
from nbconvert.filters import strip_ansi

ROOT = Path(__file__).resolve().parents[1]
MIRRORED = ("BENCHMARKS.md", "CONTRIBUTING.md", "CHANGELOG.md")
PICTURES = "results/**/*.png"
WIDE = "---\nhide:\n  - toc\n---\n\n"  # a page of tables: they take the place of its contents


def on_files(files, config):
    """Add the pages and pictures that lie outside docs/."""
    for uri, content in results_pages((ROOT / "RESULTS.md").read_text(encoding="utf-8")).items():
        _add(files, config, uri, content)
    _add(files, config, "index.md", _from_root((ROOT / "README.md").read_text(encoding="utf-8")))
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
    """Fill in the commands' help; keep links in the site."""
    for mark, render in RENDERED.get(page.file.src_uri, ()):
        markdown = markdown.replace(mark, render())
    if "/" not in page.file.src_uri:
        markdown = re.sub(r"\]\(\.\./(notebooks/\w+)\.ipynb\)", r"](\1.md)", markdown)
        markdown = markdown.replace("](../", "](")
    return markdown.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")


def on_page_content(html, page, config, files):
    """Link pictures to their files, where a telephone can enlarge them."""
    return re.sub(r'(?<!">)(<img [^>]*src="([^":]+)"[^>]*>)', r'<a href="\2">\1</a>', html)


def _add(files, config, uri, content):
    files.append(File.generated(config, uri, content=content))


def results_pages(report):
    """RESULTS.md as pages: the paper's tables, its figures, other tables, and the runs by data set.

    Returns a dict of Markdown by the page's path in the site.
    """
    head, *sections = re.split(r"^(?=## )", report, flags=re.MULTILINE)
    introduction = head.partition("\n")[2].strip()
    parts = {
        uri: [f"{WIDE if uri in WIDE_PAGES else ''}# {title}"]
        for uri, title in RESULTS_PAGES.items()
    }
    pages = list(parts)
    parts[pages[0]] += [introduction, RESULTS_LINKS]
    for section in sections:
        title = section.partition("\n")[0].removeprefix("## ")
        known = (uri for pattern, uri in RESULTS_OF if re.match(pattern, title))
        parts[next(known)].append(section)
    return {uri: "\n\n".join(part.strip() for part in lines) for uri, lines in parts.items()}


RESULTS_PAGES = {
    "RESULTS.md": "Results: the paper's tables",
    "results_figures.md": "Results: the paper's figures",
    "results_other.md": "Results: beyond the paper",
    "results_kdd99.md": "Runs on KDD99",
    "results_arrhythmia.md": "Runs on Arrhythmia",
    "results_images.md": "Runs on CIFAR-10 and SVHN",
    "results_breast_cancer.md": "Runs on the demo's data",
}
WIDE_PAGES = ("RESULTS.md", "results_other.md", "results_images.md")
RESULTS_OF = (  # a section's title, and its page
    (r"Table |Does this reproduce", "RESULTS.md"),
    (r"Figures", "results_figures.md"),
    (r"(Notes on )?kdd99", "results_kdd99.md"),
    (r"(Notes on )?arrhythmia", "results_arrhythmia.md"),
    (r"(Notes on )?(cifar10|svhn)", "results_images.md"),
    (r"(Notes on )?breast_cancer", "results_breast_cancer.md"),
    (r"", "results_other.md"),
)
RESULTS_LINKS = (
    "Also: [the figures](results_figures.md), [what the paper leaves open, and data sets of "
    "ADBench](results_other.md), and each run with notes: [KDD99](results_kdd99.md), "
    "[Arrhythmia](results_arrhythmia.md), [CIFAR-10 and SVHN](results_images.md), "
    "[the demo](results_breast_cancer.md)."
)


def _from_root(text):
    """A file of the repository's root, with links to the same pages in the site."""
    text = re.sub(r"\]\((notebooks/\w+)\.ipynb\)", r"](\1.md)", text)
    text = re.sub(r"\[([^\]]+)\]\((?:zoo/cards|CITATION\.cff)\)", r"\1", text)  # not in the site
    return text.replace("](docs/", "](").replace("](README.md)", "](index.md)")


def _notebook(files, config, path):
    """A notebook with its stored outputs as a page, its pictures beside it."""
    exporter = MarkdownExporter()
    text, resources = exporter.from_filename(str(path))
    for name, content in resources["outputs"].items():
        local = f"{path.stem}_{name}"
        _add(files, config, f"notebooks/{local}", content)
        text = text.replace(f"({name})", f"({local})")
    text = re.sub(r"\n{4,}", "\n\n", strip_ansi(text))  # between the outputs of a cell
    text = text.replace('<table border="1" class="dataframe">', "<table>")  # as others, it scrolls
    text = re.sub(r"\[!\[([^\]]+)\]\(https:[^)]+\)\]", r"[\1]", text)  # a badge from the web
    # the first line is the title
    title, _, rest = text.lstrip().partition("\n")
    note = f"*This page is `notebooks/{path.name}` with its stored outputs.*"
    _add(files, config, f"notebooks/{path.stem}.md", f"{title}\n\n{note}\n{rest}")


def _commands():
    """The help of every command, by typer's own generator."""
    command = [sys.executable, "-m", "typer", "alad_tf.cli", "utils", "docs", "--name", "alad"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return answer.stdout.partition("\n")[2]  # without its title; the page has one


# by page: marks in it, and the functions that render what takes their place
RENDERED = {
    "api/cli.md": [("<!-- commands -->", _commands)],
}
