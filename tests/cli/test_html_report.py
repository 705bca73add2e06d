"""report.html: whole in itself, well formed, true to the detector, safe from users' texts."""

import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from alad_tf.cli import top_rows
from alad_tf.cli.html_report import (
    _page,
    agreement,
    false_alarm_rate,
    require_report,
    write_html_report,
)
from alad_tf.cli.user_data import UserData
from alad_tf.detector.explain import Explanation
from alad_tf.detector.threshold import by_contamination, by_false_alarms
from alad_tf.preprocess import ImagePreprocessor, MixedPreprocessor

NAMES = ("<script>alert(1)</script>", "a & b", "plain")


class Checker(HTMLParser):
    """Every tag is closed in order, and nothing is fetched from elsewhere."""

    EMPTY = ("meta", "img", "rect", "br")

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in self.EMPTY:
            self.open.append(tag)
        for name, value in attrs:
            assert name not in ("href", "srcset", "onload")
            assert name != "src" or value.startswith("data:image/png;base64,")

    def handle_endtag(self, tag):
        assert tag in self.EMPTY or self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["style"], []):
            self.text += data


def read(path):
    page = path.read_text(encoding="utf-8")
    checker = Checker()
    checker.feed(page)
    assert not checker.open and "http" not in page and "url(" not in page
    checker.text = re.sub(r"\s+", " ", checker.text)
    return checker


def detector(preprocessor, scores, threshold):
    """What the report asks of a detector, without networks."""
    return SimpleNamespace(
        preprocessor=preprocessor,
        threshold=threshold,
        threshold_rule=threshold.rule,
        reference=threshold.reference,
        score="combined",
        p_values_of=lambda found: threshold.p_values(np.asarray(found)),
        scorer=SimpleNamespace(contains="no training rows"),
    )


@pytest.fixture
def table():
    generator = np.random.default_rng(0)
    rows = pd.DataFrame(generator.normal(size=(500, 3)), columns=NAMES)
    scores = generator.normal(size=500)
    scores[[3, 7]] = 9.0, 12.0
    top = np.array([7, 3])
    columns = {name: rows[name].to_numpy()[top] for name in NAMES}
    parts = np.array([[9.0, 1.0, 0.1], [0.0, 0.0, 0.0]])
    explanation = Explanation("combined", scores[top], 0 * scores[top], parts, NAMES, parts,
                              columns, columns)  # fmt: skip
    return rows, scores, top, explanation


def test_a_report_is_whole_in_itself_and_says_what_there_is(table, tmp_path):
    rows, scores, top, explanation = table
    threshold = by_false_alarms(np.random.default_rng(1).normal(size=199), 0.05)
    made = detector(MixedPreprocessor().fit(rows), scores, threshold)
    data = UserData(Path("<b>orders & more.csv"), list(range(500)), rows)
    folder = tmp_path / "its detector" / ".abc.partial"  # renamed when the report is complete
    folder.mkdir(parents=True)
    page = read(write_html_report(folder, made, data, scores, top, explanation))
    assert false_alarm_rate(made) == pytest.approx(0.05)
    assert "Anomalies in <b>orders & more.csv" in page.text and "script" not in page.tags
    assert all(name in page.text for name in NAMES)
    assert "Row 7" in page.text and page.text.index("Row 7") < page.text.index("Row 3")
    assert "500" in page.text and "5% of normal rows" in page.text
    assert "10,000500" in page.text.replace(" ", "")  # records a day, false alarms a day
    assert "networks were trained" not in page.text
    assert page.text.count("No column stands out") == 1  # in row 3
    assert top_rows.reasons(explanation, 1) == []
    assert [reason.split()[0] for reason in top_rows.reasons(explanation, 0)] == [NAMES[0]]
    assert "alad score 'its detector' new.csv" in page.text and ".partial" not in page.text
    assert "ALADDetector.load('its detector')" in page.text


def test_without_calibration_no_rate_is_promised(table, tmp_path):
    rows, scores, top, explanation = table
    made = detector(MixedPreprocessor().fit(rows), scores, by_contamination(scores, 0.1))
    data = UserData(Path("orders.csv"), list(range(500)), rows, scores > 5)
    page = read(write_html_report(tmp_path, made, data, scores, top, explanation))
    assert "no false-alarm rate" in page.text and "false alarms a day" not in page.text
    assert "anomalous (2)" in page.text and "p-value is" not in page.text
    assert "set a higher threshold" in page.text  # --label admits no --false-alarms


@pytest.mark.parametrize(("channels", "rebuilt"), [(1, True), (3, True), (3, False)])
def test_images_are_inside(tmp_path, channels, rebuilt):
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, channels), dtype="uint8")
    scores, top = np.arange(6.0), np.array([5, 4])
    maps = np.random.default_rng(1).normal(size=(2, 8, 8))
    made = images[top] if rebuilt else None  # features have no reconstruction
    explanation = Explanation("combined", scores[top], 0 * top, made, (), maps, {}, {})
    threshold = by_false_alarms(np.arange(5.0), 0.4)
    made = detector(ImagePreprocessor((8, 8, channels)), scores, threshold)
    data = UserData(Path("photos"), [f"{n}.png" for n in range(6)], images)
    page = read(write_html_report(tmp_path, made, data, scores, top, explanation))
    assert page.tags.count("img") == (6 if rebuilt else 4) and "5.png" in page.text
    assert "images of 8 x 8 pixels" in page.text and "features)" not in page.text
    assert "with a smaller --false-alarms" in page.text


def test_a_lower_false_alarm_rate_takes_more_rows(table, tmp_path):
    rows, scores, top, explanation = table
    threshold = by_false_alarms(np.random.default_rng(1).normal(size=9), 0.1)
    made = detector(MixedPreprocessor().fit(rows), scores, threshold)
    data = UserData(Path("orders.csv"), list(range(500)), rows)
    page = read(write_html_report(tmp_path, made, data, scores, top, explanation))
    assert "fit again with more rows: 9 calibration rows are too few" in page.text


def test_other_files_are_not_replaced(tmp_path):
    (tmp_path / "thesis.html").write_text("<!doctype html>years of work")
    with pytest.raises(ValueError, match="is not a report of alad"):
        require_report(tmp_path / "thesis.html")
    (tmp_path / "mine.html").write_text(_page("t", "alad score", []))
    require_report(tmp_path / "mine.html")
    with pytest.raises(ValueError, match="expected a .html file"):
        require_report(tmp_path / "mine.csv")


def test_members_that_agree_and_that_do_not():
    def member(scores):
        return SimpleNamespace(scores=lambda x: {"features": scores[: len(x)]})

    rising, rows = np.arange(100.0), np.zeros((100, 2))
    for scores, correlation, overlap in ((2 * rising, 1, 1), (-rising, -1, 0)):
        made = SimpleNamespace(
            preprocessor=SimpleNamespace(transform=np.asarray),
            scorer=SimpleNamespace(members=[member(rising), member(scores)]),
        )
        found = agreement(made, rows)
        assert found["correlation"] == pytest.approx(correlation)
        assert found["overlap"] == overlap and found["top"] == 5
