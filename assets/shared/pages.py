"""Renders the stages' HTML pages with one layout. A page is self-contained: no scripts, nothing to load.

All text from data is hostile and escaped, except the SVG from `charts`, which is escaped already.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2


@cache
def templates(folder: Path) -> "jinja2.Environment":
    """The templates of a folder, which extend `page.html`. An undefined variable in a template is an error."""
    import jinja2

    loader = jinja2.FileSystemLoader([folder, Path(__file__).parent / "templates"])
    return jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
