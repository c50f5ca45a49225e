"""How a report's page looks in a browser: on a phone's width, and with a dark colour scheme."""

import html
import json
import re
from pathlib import Path

import pytest

from assets.research.corpora.folder import FolderCorpus
from assets.research.engines.answer import answer
from assets.research.report.page import page
from tests.platform.browser import find_browser

_LONG = "x" * 150
_MEASURE = """<!doctype html><iframe id="page" style="width: {width}px; height: 800px; border: 0" srcdoc="{page}">
</iframe><script>
document.getElementById("page").addEventListener("load", event => {{
  const shown = event.target.contentDocument, view = event.target.contentWindow;
  const link = view.getComputedStyle(shown.querySelector("a")).color;
  const ground = view.getComputedStyle(shown.body).backgroundColor;
  const width = shown.documentElement.scrollWidth;
  document.body.append("measured" + JSON.stringify({{width, link, ground}}) + "end");
}});
</script>"""


def _brightness(colour: str) -> float:
    """Relative luminance of `rgb(r, g, b)`, by WCAG 2.2."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_a_report_fits_its_window_and_its_links_are_legible(tmp_path: Path, width: int, dark: bool) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / f"{_LONG}.md").write_text(f"# The Oster dam\n\nThe Oster dam is 84 metres high, says {_LONG}/{_LONG}.\n")
    (folder / "map.md").write_text(f"# Map\n\nThe Oster dam is 91 metres high, says {_LONG}.\n")
    found = answer("How high is the Oster dam?", [FolderCorpus("docs", folder, None)], None)
    shown = page(found.report, found.verdict, found.passages)
    if dark:  # as a browser with a dark scheme reads it
        assert "@media (prefers-color-scheme: dark)" in shown
        shown = shown.replace("@media (prefers-color-scheme: dark)", "@media all")
    file = tmp_path / "page.html"
    file.write_text(_MEASURE.format(width=width, page=html.escape(shown)))
    text = find_browser().text_of(file.as_uri())
    match = re.search(r"measured(\{[^}]*\})end", text)
    assert match, text[-500:]
    measured = json.loads(match.group(1))
    assert measured["width"] <= width
    light, deep = sorted((_brightness(measured["link"]), _brightness(measured["ground"])), reverse=True)
    assert (light + 0.05) / (deep + 0.05) >= 4.5, measured
