"""Pages of a feed."""

import html

from feedmix.items import short


def pages(items, size):
    """Items in pages; an empty feed has one empty page."""
    return [items[start : start + size] for start in range(0, len(items), size)] or [[]]


def row(item):
    """An entry as HTML, its address and title escaped."""
    return f'<a href="{html.escape(item.url)}">{html.escape(short(item.title))}</a>'


def page(items):
    return "<ul>" + "".join(f"<li>{row(item)}</li>" for item in items) + "</ul>"
