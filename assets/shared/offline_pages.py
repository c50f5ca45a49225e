"""Makes HTML pages built by another library self-contained, so that they load nothing from the network.

References to other hosts are removed: styles, scripts, fonts, images, and links, which would disclose the reader.
A content security policy blocks anything that was missed, and a few CSS rules replace the lost style sheets.
"""

import re
from pathlib import Path

_ADDRESS = rb"(?:[a-z][a-z0-9+.-]*:)?//"
_FETCHED = re.compile(
    rb"<(link|script|img|iframe|source|embed|object|video|audio)\b[^>]*"
    rb"\b(?:href|src|srcset|data|poster)\s*=\s*[\"']?\s*" + _ADDRESS + rb"[^>]*>(?:\s*</\1\s*>)?",
    re.IGNORECASE,
)
_IMPORTED = re.compile(rb"@import\s+(?:url\(\s*)?[\"']?\s*" + _ADDRESS + rb"[^;]*;", re.IGNORECASE)
_STYLED = re.compile(rb"url\(\s*[\"']?\s*" + _ADDRESS + rb"[^)]*\)", re.IGNORECASE)
_LINKED = re.compile(rb"(<[a-z][^>]*?)\s(?:href|action)\s*=\s*([\"'])\s*" + _ADDRESS + rb"[^\"']*\2", re.IGNORECASE)
_HEAD = re.compile(rb"<head[^>]*>", re.IGNORECASE)

_ADDED = b"""
<meta http-equiv="Content-Security-Policy"
      content="default-src 'self' file: data: 'unsafe-inline'; connect-src 'none'; form-action 'none'">
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 75rem; padding: 1rem; }
table { border-collapse: collapse; width: 100%; }
td, th { border: 1px solid #ccc; padding: .3rem .6rem; text-align: left; vertical-align: top; }
pre, code { font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
</style>
"""


def make_offline(folder: Path) -> None:
    """Rewrites the HTML pages and style sheets of a folder, recursively."""
    for page in folder.rglob("*.html"):
        page.write_bytes(offline_page(page.read_bytes()))
    for sheet in folder.rglob("*.css"):
        sheet.write_bytes(_without_addresses(sheet.read_bytes()))


def offline_page(page: bytes) -> bytes:
    """The page without references and links to other hosts."""
    local = _LINKED.sub(rb"\1", _without_addresses(_FETCHED.sub(b"", page)))
    return _HEAD.sub(lambda head: head[0] + _ADDED, local, count=1)


def _without_addresses(style: bytes) -> bytes:
    return _STYLED.sub(b"none", _IMPORTED.sub(b"", style))
