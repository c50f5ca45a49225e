"""Documents of all kinds as text, and what becomes of those that cannot be read."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from pypdf import PdfWriter

from assets.research.corpora.folder import FolderCorpus
from assets.research.corpora.markup import read_text
from assets.research.corpora.passages import LARGEST, passages_of
from assets.research.corpora.protocol import CorpusUnavailable, SourceGone
from assets.research.corpora.reading import kind_of, read
from assets.research.records import Block, Document, Trust


def document(text: str | bytes, name: str) -> Document:
    raw = text.encode() if isinstance(text, str) else text
    return read(raw, kind_of(name), name, Trust.OWN)


def pdf_of(text: str) -> bytes:
    """A PDF of one page with a line of text, written by hand."""
    stream = f"BT /F1 12 Tf 50 700 Td ({text}) Tj ET".encode()
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 6\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % place for place in places)
    return bytes(out + b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % start)


def test_markdown_keeps_headings_facts_and_plain_text() -> None:
    found = document(
        "---\ntitle: Dams\ndate: 2024-03-11\nlicense: CC-BY-4.0\n---\n"
        "# Dams\n\n## Height\nThe *dam* is [84 metres](x) high.\n",
        "a.md",
    )
    assert (found.title, found.date, found.licence) == ("Dams", "2024-03-11", "CC-BY-4.0")
    assert [(block.heading, block.text) for block in found.blocks] == [
        ("Dams \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} Height", "The dam is 84 metres high.")
    ]


def test_a_row_of_a_table_names_its_columns() -> None:
    found = document("| model | range |\n|---|---|\n| A | 40 km |\n| B | 60 km |\n", "a.md")
    assert [block.text for block in found.blocks] == ["model: A; range: 40 km", "model: B; range: 60 km"]


def test_restructured_text_has_headings_and_no_directives() -> None:
    found = document("Dams\n====\n\n.. note:: x\n\nHeight\n------\n\nThe ``dam`` is high.\n", "a.rst")
    assert [(block.heading, block.text) for block in found.blocks] == [
        ("Dams \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} Height", "The dam is high.")
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Use {class}`~dams.Gate` with {func}`dams.get_gate()`.", "Use Gate with dams.get_gate()."),
        ("See {ref}`the gates <gate-label>`, {doc}`index` and {py:meth}`Dam.__init__`.", None),
        ("See :ref:`the gates <gate-label>`, :doc:`index` and :py:meth:`!Dam.__init__`.", None),
        ("Call :func:`open_gate` at 12:30, {not a role} and `x`.", "Call open_gate at 12:30, {not a role} and x."),
    ],
)
def test_a_role_is_its_text(text: str, shown: str | None) -> None:
    found = document(f"# Dams\n\n{text}\n", "a.md")
    assert [block.text for block in found.blocks] == [shown or "See the gates, index and Dam.__init__."]


MYST = """(dams)=
# Dams

```{toctree}
:maxdepth: 2

walks
```

:::{important}
:class: wide

A gate is never open.

```python
x = 1
```
:::

````{note}
---
class: wide
---
The dam is high.
```{doctest}
:hide: true

>>> y
```
````

```{eval-rst}
.. autofunction:: dams.open
   :noindex:

.. autoclass:: dams.Gate
   :members: raise,
       lower

   It holds water.
```

The end.
"""
RST = """Dams
====

.. toctree::
   :maxdepth: 2

   walks

.. note::
   A gate is never open.

.. code-block:: python
   :linenos:

   if x:
       y()

.. py:function:: open(gate)
   :async:

   Opens a gate.

.. automodule:: dams
    :members:

The end.
"""


@pytest.mark.parametrize(
    ("text", "name", "shown"),
    [
        (
            MYST,
            "a.md",
            [
                (13, "A gate is never open."),
                (15, "x = 1"),
                (24, "The dam is high."),
                (25, ">>> y"),
                (40, "It holds water."),
                (43, "The end."),
            ],
        ),
        (
            RST,
            "a.rst",
            [(10, "A gate is never open."), (12, "if x:\n    y()"), (21, "Opens a gate."), (26, "The end.")],
        ),
        ("```{toctree}\nwalks\n", "a.md", []),
        (":::note\nHigh.\n:::\n:::\nLow.\n", "a.md", [(2, "High."), (5, "Low.")]),
        ("# Dams\n\n.. code::\n\n   x\n", "a.rst", [(3, "x")]),
    ],
)
def test_a_directive_is_what_its_page_shows(text: str, name: str, shown: list[tuple[int, str]]) -> None:
    found = document(text, name)
    assert [(block.line, block.text) for block in found.blocks] == shown


def test_a_notebook_is_its_text_and_its_code() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Dams\n", "The dam is high."]},
        {"cell_type": "code", "source": "x=1"},
    ]
    found = document(json.dumps({"cells": cells}), "a.ipynb")
    assert [(block.text, block.code) for block in found.blocks] == [("The dam is high.", False), ("x=1", True)]


def test_html_is_what_a_reader_sees() -> None:
    page = (
        "<html><head><title>Dams</title><meta name=date content=2023-05-01><script>evil()</script></head><body>"
        "<nav>menu</nav><h1>Dams</h1><p>The dam is <b>high</b>.</p><p style='display: none'>hidden</p>"
        "<ul><li>one</li><li>two</li></ul><p hidden>gone</p><footer>imprint</footer></body></html>"
    )
    found = document(page, "a.html")
    assert (found.title, found.date) == ("Dams", "2023-05-01")
    assert [block.text for block in found.blocks] == ["The dam is high.", "one", "two"]


def test_a_pdf_is_its_text_by_pages() -> None:
    found = document(pdf_of("The dam is 84 metres high."), "a.pdf")
    assert [(block.heading, block.text) for block in found.blocks] == [("page 1", "The dam is 84 metres high.")]


def encrypted() -> bytes:
    writer, out = PdfWriter(), io.BytesIO()
    writer.add_blank_page(100, 100)
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(out)
    return out.getvalue()


def scanned() -> bytes:
    writer, out = PdfWriter(), io.BytesIO()
    writer.add_blank_page(100, 100)
    writer.write(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("raw", "name", "problem"),
    [
        (encrypted(), "a.pdf", "encrypted"),
        (scanned(), "a.pdf", "scans"),
        (b"%PDF-1.7 broken", "a.pdf", "no valid PDF"),
        (pdf_of("x")[:300], "a.pdf", ""),
        (b"", "a.pdf", "no valid PDF"),
        (b"{", "a.ipynb", "cannot be read as notebook"),
        (b"[]", "a.ipynb", "cannot be read as notebook"),
        (b"", "a.html", "no text"),
        (b"\0\xff\xfe\0", "a.md", "cannot be read as text"),
        (b"x" * (21 << 20), "a.md", "larger than"),
    ],
)
def test_what_cannot_be_read_says_why(raw: bytes, name: str, problem: str) -> None:
    found = document(raw, name)
    assert found.blocks == () and problem in found.problem


def test_a_page_of_deep_nesting_is_read_or_refused() -> None:
    found = document(b"<div>" * 50_000 + b"deep", "a.html")
    assert found.problem or found.blocks


def test_passages_are_short_and_stay_below_one_heading() -> None:
    text = "\n\n".join(f"# Part {n}\n\n" + "The dam is high. " * 100 for n in range(3))
    found = passages_of(document(text, "a.md"), "docs")
    assert {p.heading for p in found} == {"Part 0", "Part 1", "Part 2"}
    assert all(p.valid and len(p.text) <= max(LARGEST, 4_000) for p in found)


def test_a_folder_is_read_without_links_and_hidden_files(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("The dam is high.")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "b.md").write_text("secret")
    (tmp_path / "link.md").symlink_to("/etc/hostname")
    (tmp_path / "c.bin").write_bytes(b"\0")
    corpus = FolderCorpus("docs", tmp_path, None)
    assert corpus.documents == 1
    assert [found.passage.address for found in corpus.search("dam", 5)] == ["a.md"]
    assert corpus.fetch("a.md").blocks[0].text == "The dam is high."
    for gone in ("link.md", "../x.md", "none.md", "c.bin"):
        with pytest.raises(SourceGone):
            corpus.fetch(gone)
    with pytest.raises(CorpusUnavailable, match="not a folder"):
        FolderCorpus("docs", tmp_path / "none", None).search("dam", 5)


def test_terms_of_definition_lists_are_the_headings_of_what_they_define() -> None:
    text = (
        "Settings\n--------\n\nport\n    TCP port on which to listen.\n\n    Default: ``8080``\n\n"
        "``minfds``\n\n  The least number of descriptors.\n\nMore settings follow.\n"
    )
    assert [(block.heading, block.text) for block in read_text(text)] == [
        ("Settings \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} port", "TCP port on which to listen."),
        ("Settings \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} port", "Default: 8080"),
        ("Settings \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} minfds", "The least number of descriptors."),
        ("Settings", "More settings follow."),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "The dam is high:\n  it has 84 m.",
        "- a list\n  goes on here",
        "The dam.\n\n  It is high.",
        "# Dam\n\n  It is high.",
    ],
)
def test_a_line_before_an_indented_one_is_not_always_a_term(text: str) -> None:
    assert {block.heading for block in read_text(text)} <= {"", "Dam"}


def test_notes_tabs_and_quotes_are_reduced_to_what_a_reader_sees() -> None:
    text = (
        '!!! warning "Beta"\n    It may change.\n\n=== "pip"\n\n    ```bash\n    pip install x\n    ```\n\n'
        "> [!NOTE]\n> Use `TERM` &mdash; it is graceful.\n"
    )
    assert [(block.text, block.code) for block in read_text(text)] == [
        ("It may change.", False),
        ("    pip install x", True),
        ("Use TERM — it is graceful.", False),
    ]


def test_code_is_a_passage_of_its_own() -> None:
    blocks = (Block("Set it so:", "Size"), Block("size = 84", "Size", 3, code=True), Block("It is in MB.", "Size", 5))
    found = passages_of(Document("a.md", "A", blocks), "docs")
    assert [(p.text, p.code) for p in found] == [("Set it so:", False), ("size = 84", True), ("It is in MB.", False)]


class Counting:
    """An embedder that counts what it embeds."""

    identity = "counting@1"

    def __init__(self) -> None:
        self.embedded = 0

    def embed_documents(self, texts: list[str]) -> np.ndarray:
        self.embedded += len(texts)
        return np.ones((len(texts), 2), dtype=np.float32)

    def embed_query(self, text: str) -> np.ndarray:
        return np.ones(2, dtype=np.float32)


def test_an_unchanged_folder_is_not_indexed_again(tmp_path: Path) -> None:
    docs, kept, embedder = tmp_path / "docs", tmp_path / "kept", Counting()
    docs.mkdir()
    (docs / "a.md").write_text("The dam is 84 metres high.")
    (docs / "b.pdf").write_text("no PDF")

    def opened() -> tuple[list[str], int, tuple[str, ...]]:
        corpus = FolderCorpus("docs", docs, embedder, kept=kept)  # type: ignore[arg-type]
        return [one.passage.text for one in corpus.search("dam", 5)], corpus.documents, corpus.problems

    first = opened()
    assert first[:2] == (["The dam is 84 metres high."], 2) and "b.pdf" in first[2][0]
    assert opened() == first and embedder.embedded == 1
    (docs / "a.md").write_text("The dam is 91 metres high!!")
    assert opened()[0] == ["The dam is 91 metres high!!"] and embedder.embedded == 2
    for broken in kept.iterdir():
        broken.write_bytes(broken.read_bytes()[:100])
    assert opened()[0] == ["The dam is 91 metres high!!"] and embedder.embedded == 3
    assert [one.suffix for one in kept.iterdir()] == [".npz"]  # the first state's text is kept no longer
