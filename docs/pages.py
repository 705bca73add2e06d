"""MkDocs hook: pages generated from the repository's own files, so that nothing is kept twice.

Benchmarks, cards and notebooks appear in the site under the paths that they have in the repository,
and RESULTS.md as several pages. Links between files are written as they work in the repository.
"""

import re
import statistics
import subprocess
import sys
from pathlib import Path

from mkdocs.structure.files import File
from nbconvert import MarkdownExporter
from nbconvert.filters import strip_ansi

from alad_tf.engine.markdown import markdown_table

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
    """Fill in what is rendered from the zoo and the results; keep links in the site."""
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


def _entries():
    import zoo

    return [zoo.entry(name) for name in zoo.list()]


def _cards():
    rows = [
        [f"[{entry.name}](zoo/cards/{entry.name}.md)", entry.source, entry.summary]
        for entry in _entries()
    ]
    return "\n".join(markdown_table(["entry", "source", "description"], rows))


def _deviations():
    lines = []
    for entry in _entries():
        if entry.deviations:
            lines += [f"## {entry.name}", "", *(f"- {text}" for text in entry.deviations), ""]
    return "\n".join(lines)


def _measured(name):
    from alad_tf.experiments import RESULTS
    from alad_tf.experiments.results import measured_by

    return measured_by(name, ROOT / RESULTS)


def _origin(*benchmarks):
    """The commands, their commits, the machine, and the other libraries' versions."""
    hardware, versions = benchmarks[0]["hardware"], benchmarks[0]["versions"]
    commands = " and ".join(
        f"`{measured['command']}` at commit {measured['commit']}" for measured in benchmarks
    )
    place = f"{hardware['cores']} cores, {hardware['processor']}"
    names = {"pyod": "PyOD", "torch": "PyTorch", "scikit-learn": "scikit-learn"}
    peers = ", ".join(f"{names[key]} {versions[key]}" for key in names if key in versions)
    return f"\n\n{commands}, {place}; {peers}."


METHODS = {  # columns of RESULTS.md, in words
    "combined": "`ALADDetector` (combined score)",
    "features": "ALAD, the paper's score",
    "untrained, combined": "`ALADDetector`, untrained",
    "without networks": "`ALADDetector`, without networks",
    "untrained, features": "ALAD, the paper's score, untrained",
    "5-NN, mean": "5 nearest neighbours, mean distance",
    "5-NN, fifth": "5 nearest neighbours, fifth distance",
    "IF": "Isolation Forest",
    "OC-SVM": "one-class SVM",
    "PyOD ALAD": "PyOD's ALAD",
}


def _adbench():
    """Means over the sets of each kind, and over the sets that all methods ran on."""
    from alad_tf.data.adbench import EMBEDDINGS, TABLES
    from alad_tf.experiments.tables import adbench_means

    measured, columns = _measured("adbench"), {}
    done = {run["set"] for run in measured["runs"]}
    for kind, sets in (("tables", TABLES), ("image embeddings", EMBEDDINGS)):
        found = done.intersection(sets)
        if found:
            columns[f"{len(found)} {kind}"] = adbench_means(measured, found)
    shared = adbench_means(measured)
    if any(len(means) < len(shared) for means in columns.values()):
        columns["sets that all methods ran on"] = shared
    cells = {
        head: {name: f"{mean} ± {spread}" for name, mean, spread in means}
        for head, means in columns.items()
    }
    names = dict.fromkeys(name for column in cells.values() for name in column)
    rows = [
        [METHODS.get(name, name), *(column.get(name, "") for column in cells.values())]
        for name in names
    ]
    return "\n".join(markdown_table(["method", *cells], rows)) + _origin(measured)


TIMED = {
    "ALADDetector": "`ALADDetector`",
    "pyod_alad": "PyOD's ALAD",
    "forest": "Isolation Forest (scikit-learn)",
    "svm": "one-class SVM (scikit-learn)",
    "neighbours": "5 nearest neighbours (scikit-learn)",
}


def _seconds():
    """Seconds of fit and scoring, over the tables and seeds of ADBench."""
    measured, rows = _measured("adbench"), []
    for key, name in TIMED.items():
        runs = [run for run in measured["runs"] if TIMED.keys() <= run["seconds"].keys()]
        found = [run["seconds"][key] for run in runs]
        if found:
            cells = (f"{value:.3g}" for value in (statistics.median(found), max(found)))
            rows.append([name, *cells])
    table = markdown_table(["method", "median seconds", "longest"], rows)
    return "\n".join(table) + _origin(measured)


def _speed():
    """PyOD's ALAD of the same sizes: times of a step and of scoring, over ours."""
    step, scoring = _measured("train_step"), _measured("scoring")
    rows = []
    for name in ("kdd99_alad", "arrhythmia_alad"):
        slower = step["entries"][name]["times_ours"]["PyOD"]["median"]
        faster = scoring["entries"][name]["ours_times"]["PyOD's decision_function"]["median"]
        rows.append([name, f"{slower:.1f}", f"{faster:.1f}"])
    head = ["architecture", "PyOD's training step takes", "PyOD's scoring takes"]
    rows = [[name, f"{one} times as long", f"{two} times as long"] for name, one, two in rows]
    return "\n".join(markdown_table(head, rows)) + _origin(step, scoring)


def _commands():
    """The help of every command, by typer's own generator."""
    command = [sys.executable, "-m", "typer", "alad_tf.cli", "utils", "docs", "--name", "alad"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return answer.stdout.partition("\n")[2]  # without its title; the page has one


# by page: marks in it, and the functions that render what takes their place
RENDERED = {
    "zoo.md": [("<!-- cards -->", _cards)],
    "deviations.md": [("<!-- deviations -->", _deviations)],
    "when_not.md": [("<!-- adbench -->", _adbench)],
    "comparison.md": [
        ("<!-- adbench -->", _adbench),
        ("<!-- seconds -->", _seconds),
        ("<!-- speed -->", _speed),
    ],
    "api/cli.md": [("<!-- commands -->", _commands)],
}
