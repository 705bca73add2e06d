"""The pages build without a warning, hold what they promise, and the README's table is current."""

import os
import pkgutil
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from unittest.mock import create_autospec

import numpy as np
import pytest
import yaml
from pages import RESULTS_PAGES, results_pages
from test_public_api import public_names

import zoo
from alad_tf import ALADDetector
from alad_tf.experiments.pages import PAGES, with_tables
from alad_tf.experiments.report import BEGIN, END, IMAGE_ROWS, OWN_ROWS, TABLE_ROWS, with_results

ROOT = Path(__file__).resolve().parents[1]
ENTRIES = [zoo.entry(name) for name in zoo.list()]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found += [value for name, value in attributes if name in ("href", "src")]


def test_every_link_and_picture_of_the_site_is_there_and_nothing_is_fetched(site):
    broken = []
    for page in site.rglob("*.html"):
        links, text = Links(), page.read_text(encoding="utf-8")
        links.feed(text)
        assert "\x1b" not in text  # colours of a terminal
        assert 'class="dataframe"' not in text  # the theme makes tables without a class scroll
        broken += re.findall(r'<(?:img|script)[^>]* src="?https?:[^>]*>', text)
        for link in links.found:
            path = link.split("#")[0]
            if path and not re.match(r"[a-z]+:|/", path) and not (page.parent / path).exists():
                broken.append(f"{page.relative_to(site)}: {link}")
    assert not broken


def test_the_pages_hold_what_is_rendered_into_them(site):
    def text(name):
        return re.sub(r"<[^>]+>", "", (site / name).read_text(encoding="utf-8"))

    for name in zoo.list():
        assert name in text("zoo.html")
        assert "Intended use" in text(f"zoo/cards/{name}.html")
    assert "D_xx joins x and x" in text("deviations.html")
    assert "5 nearest neighbours, mean distance" in text("when_not.html")
    assert "--pair-axis" in text("api/cli.html")
    assert "by_false_alarms" in text("api/thresholds.html")
    assert len(list((site / "notebooks").glob("*.html"))) == 6
    search = (site / "search/search_index.js").read_text(encoding="utf-8")
    assert search.startswith("var __index = {")  # read where there is no server
    assert "&lt;!--" not in text("zoo.html") + text("deviations.html") + text("when_not.html")


def test_every_page_of_the_menu_exists_in_the_repository_or_is_generated():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    pages = re.findall(r"[\w/.]+\.md", str(nav))
    mirrored = {"BENCHMARKS.md", "CONTRIBUTING.md", "CHANGELOG.md"}
    for page in pages:
        if page in ("index.md", *RESULTS_PAGES):
            continue  # README.md, and parts of RESULTS.md
        source = page.replace(".md", ".ipynb") if page.startswith("notebooks/") else f"docs/{page}"
        assert (ROOT / (page if page in mirrored else source)).is_file(), page


def test_the_pages_of_results_hold_the_whole_report():
    """Each section is on one page; the first has the summary, then the paper's tables alone."""
    report = (ROOT / "RESULTS.md").read_text(encoding="utf-8")
    pages = results_pages(report)
    titles = re.findall(r"^## .*", report, flags=re.MULTILINE)
    shown = [re.findall(r"^## .*", page, flags=re.MULTILINE) for page in pages.values()]
    assert sorted(sum(shown, [])) == sorted(titles)
    summary, *tables = shown[0]
    assert summary == "## Does this reproduce ALAD?"
    assert all(title.startswith("## Table ") for title in tables) and len(tables) == 8
    assert all(found for found in shown)


def test_every_public_name_has_its_place_in_the_api_pages():
    shown = re.findall(
        r"^::: ([\w.]+)$",
        "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs/api").glob("*.md")),
        flags=re.MULTILINE,
    )
    assert len(shown) == len(set(shown))
    objects = [pkgutil.resolve_name(name) for name in shown]
    functions_and_classes = {
        name: member
        for name, (member, owner) in public_names().items()
        if owner is None and callable(member)
    }
    lacks = [
        name
        for name, member in functions_and_classes.items()
        if not any(member is other for other in objects) and member.__module__ not in shown
    ]
    assert lacks == [], "add `::: name` to a page of docs/api"


def test_the_readmes_links_are_to_files_that_exist():
    told = (ROOT / "README.md").read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", told) if "://" not in link]
    assert len(links) > 20
    assert [link for link in links if not (ROOT / link).exists()] == []


def readme_code():
    """The first Python block of the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.search(r"```python\n(.*?)```", text, flags=re.DOTALL)[1]


def test_the_readmes_code_calls_what_exists(monkeypatch, capsys):
    """Each call with its arguments is one of ALADDetector's; the slow test trains and runs all."""
    detector = create_autospec(ALADDetector)
    detector.return_value.fit.return_value = detector.return_value
    detector.return_value.predict.side_effect = lambda X: np.ones(len(X))
    monkeypatch.setattr("alad_tf.ALADDetector", detector)
    names = {}
    exec(readme_code(), names)
    assert len(names["benign"]) == 357 and len(names["malignant"]) == 212
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert len(readme_code().strip().splitlines()) <= 12


@pytest.mark.slow
@pytest.mark.xla
def test_the_readmes_code_runs_as_it_stands(tmp_path):
    """In a fresh folder and a process of its own."""
    command = [sys.executable, "-c", readme_code()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found, false_alarms, reasons = done.stdout.splitlines()
    assert float(found) > 0.5 > 0.2 > float(false_alarms) and "observed" in reasons


def test_the_example_of_features_runs_as_it_stands(capsys):
    text = (ROOT / "docs" / "images.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    exec(next(block for block in blocks if "aupro(" in block), {})
    verdicts, measures = capsys.readouterr().out.splitlines()
    assert verdicts == str([-1] * 10).replace(",", "")
    auroc, overlap = map(float, measures.split())
    assert auroc > 0.9 and overlap > 0.7


def test_the_readmes_results_are_current():
    told = (ROOT / "README.md").read_text(encoding="utf-8")
    assert with_results(told, ENTRIES, ROOT / "results") == told, "run `alad report`"


@pytest.mark.parametrize("page", PAGES)
def test_the_tables_in_pages_are_current(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert with_tables(text, page, ENTRIES, ROOT / "results") == text, "run `alad report`"


def test_the_readmes_table_says_what_has_not_run(tmp_path):
    told = with_results(f"a\n{BEGIN}\n{END}\nb", ENTRIES, tmp_path)
    assert told.startswith("a\n") and told.endswith("\nb")
    assert told.count("not run") == len(TABLE_ROWS) + len(IMAGE_ROWS) + len(OWN_ROWS)
    with pytest.raises(ValueError, match="the README needs one line"):
        with_results("a", ENTRIES, tmp_path)
