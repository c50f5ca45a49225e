"""A headless Chromium that shows a page of a running platform as a person sees it: as text."""

import html
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
RENDERING_MS = 20_000
"""Virtual time: the page's timers pass at once, requests of the page itself are waited for."""
_HIDDEN = re.compile(r"<(script|style|svg)\b.*?</\1>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<[^>]+>")


@dataclass(frozen=True)
class Browser:
    program: str

    def text_of(self, address: str) -> str:
        """The visible words of a page once its scripts have run, with single spaces."""
        with tempfile.TemporaryDirectory(prefix="penstock-browser-", ignore_cleanup_errors=True) as profile:
            arguments = [
                "--headless",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--window-size=1600,1200",
                f"--user-data-dir={profile}",
            ]
            arguments += [f"--virtual-time-budget={RENDERING_MS}", "--dump-dom"]
            if os.getuid() == 0:
                arguments.append("--no-sandbox")  # Chromium refuses to have one as root; all pages are our own
            shown = subprocess.run(
                [self.program, *arguments, address], capture_output=True, text=True, timeout=300, check=True
            ).stdout
        return " ".join(html.unescape(_TAG.sub(" ", _HIDDEN.sub(" ", shown))).split())


def find_browser() -> Browser:
    """Skips the test without a browser, and fails it with CI=true."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        missing = "no Chromium: TOOLCHAINS=1 make services installs it, as root, or install the package chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return Browser(found)
