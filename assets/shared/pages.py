"""The stages' HTML pages: one layout and one way to fill it. A page stands alone, without scripts or anything fetched.

All text from data is hostile and escaped; what `charts` drew is markup already.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2


@cache
def templates(folder: Path) -> "jinja2.Environment":
    """The templates of a folder, which extend `page.html`. A name that is not given to one is an error."""
    import jinja2

    loader = jinja2.FileSystemLoader([folder, Path(__file__).parent / "templates"])
    return jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
