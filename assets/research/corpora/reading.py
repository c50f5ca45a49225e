"""Reads files of all kinds as documents, in a worker process with little memory: what they hold is hostile.

`read` is the caller's end. A file that makes the reader fail, hang or exhaust its memory is a document without text,
whose `problem` says why.
"""

import base64
import json
import re
from pathlib import PurePosixPath
from typing import Any

from assets.research.records import Block, Document, Trust
from core.shared_worker import SharedWorker
from core.worker import WorkerUnavailable

SUFFIXES = {
    ".md": "text", ".markdown": "text", ".rst": "text", ".txt": "text", ".text": "text", ".adoc": "text",
    ".html": "html", ".htm": "html", ".xhtml": "html", ".pdf": "pdf", ".ipynb": "notebook",
}  # fmt: skip
LARGEST_FILE = 20 << 20
_SECONDS = 30.0
_MEMORY = 1 << 30
_MOST_TEXT = 8 << 20
"""Characters of text of one file."""
_MOST_PAGES = 3_000

_WORKER = SharedWorker("assets.research.corpora.reading")


def kind_of(name: str) -> str:
    """How a file is read, by its name; empty for one that is not a document."""
    return SUFFIXES.get(PurePosixPath(name).suffix.lower(), "")


def read(raw: bytes, kind: str, address: str, trust: Trust, date: str = "") -> Document:
    """The document in `raw`, which is of a kind of `SUFFIXES`. `date` is for one that does not say its own."""
    name = PurePosixPath(address).name or address
    if len(raw) > LARGEST_FILE:
        return Document(address, name, (), trust=trust, problem=f"larger than {LARGEST_FILE >> 20} MiB")
    try:
        if kind in ("text", "notebook"):  # no parser in C: safe to read here
            found = _read(raw, kind)
        else:
            content = base64.b64encode(raw).decode()
            found = _WORKER.ask({"kind": kind, "raw": content}, _SECONDS)
    except WorkerUnavailable as error:
        return Document(address, name, (), trust=trust, problem=f"could not be read: {error}")
    if found is None:
        return Document(address, name, (), trust=trust, problem="reading it took too much time or memory")
    blocks = _titled(tuple(Block(*block) for block in found["blocks"]))
    problem = str(found["problem"])[:300] or ("" if blocks else "it has no text")
    title = str(found["title"])[:300] or _first_heading(blocks) or name
    return Document(
        address, title, blocks, _day(str(found["date"])) or date, str(found["licence"])[:200], trust, problem
    )


def _first_heading(blocks: tuple[Block, ...]) -> str:
    return next((block.heading.split(" › ")[0] for block in blocks if block.heading), "")


def _titled(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """A first line that is no sentence is the heading of a document without headings."""
    if len(blocks) < 2 or any(block.heading and not block.heading.startswith("page ") for block in blocks):
        return blocks
    first = blocks[0].text
    if len(first) > 100 or first[-1] in ".!?:;," or ": " in first or "; " in first or len(first.split()) < 2:
        return blocks
    return tuple(
        Block(b.text, first if not b.heading else f"{first} › {b.heading}", b.line, b.code) for b in blocks[1:]
    )


def _day(text: str) -> str:
    match = re.search(r"\b[12]\d{3}(?:-[01]\d(?:-[0-3]\d)?)?", text)
    return match.group() if match else ""


def _read(raw: bytes, kind: str) -> dict[str, Any]:
    title, problem = "", ""
    facts: dict[str, str] = {}
    blocks: list[Block] = []
    try:
        if kind == "html":
            from assets.research.corpora.pages import read_html

            title, facts, blocks = read_html(raw)
        elif kind == "pdf":
            title, facts, blocks, problem = _read_pdf(raw)
        elif kind == "notebook":
            from assets.research.corpora.markup import read_notebook

            blocks = list(read_notebook(_decoded(raw)))
        else:
            from assets.research.corpora.markup import front_matter, read_text

            text = _decoded(raw)
            facts, skip = front_matter(text)
            title, blocks = facts.get("title", ""), list(read_text(text, skip))
    except (ValueError, RecursionError, AttributeError, TypeError, KeyError, ArithmeticError, LookupError) as error:
        problem = f"it cannot be read as {kind}: {type(error).__name__}"
    size, kept = 0, []
    for block in blocks:
        size += len(block.text)
        if size > _MOST_TEXT:
            problem = problem or "only the beginning of it was read"
            break
        kept.append([block.text, block.heading, block.line, block.code])
    return {
        "title": title,
        "date": facts.get("date", ""),
        "licence": facts.get("licence", ""),
        "blocks": kept,
        "problem": problem,
    }


def _decoded(raw: bytes) -> str:
    for encoding in ("utf-8-sig", "utf-16") if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig",):
        try:
            return raw.decode(encoding).replace("\r\n", "\n").replace("\0", "")
        except UnicodeDecodeError:
            continue
    if b"\0" in raw[:8192]:
        raise ValueError("binary")
    return raw.decode("latin-1").replace("\r\n", "\n").replace("\0", "")


def _read_pdf(raw: bytes) -> tuple[str, dict[str, str], list[Block], str]:
    import io

    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(io.BytesIO(raw))
        if reader.is_encrypted and not reader.decrypt(""):
            return "", {}, [], "it is encrypted"
        meta = reader.metadata
        title = str(meta.title or "") if meta else ""
        made = str(meta.get("/CreationDate", "") if meta else "")
        match = re.match(r"D:(\d{4})(\d\d)?(\d\d)?", made)
        facts = {"date": "-".join(part for part in match.groups() if part)} if match else {}
        blocks = []
        for number, page in enumerate(reader.pages[:_MOST_PAGES], 1):
            text = page.extract_text() or ""
            for part in re.split(r"\n\s*\n", text):
                if shown := " ".join(re.sub(r"(\w)-\n(?=[a-z])", r"\1", part).split()):
                    blocks.append(Block(shown, f"page {number}", number))
        return title, facts, blocks, "" if blocks else "it has no text: its pages may be scans"
    except (PyPdfError, OSError) as error:
        return "", {}, [], f"it is no valid PDF: {type(error).__name__}"
    except ImportError as error:
        return "", {}, [], f"it needs a package that is not installed: {error.name}"


def read_atom(raw: bytes) -> list[dict[str, str]]:
    """The entries of an Atom feed (RFC 4287) with id, title, summary and published; none if it cannot be read."""
    try:
        found = _WORKER.ask({"kind": "atom", "raw": base64.b64encode(raw).decode()}, _SECONDS)
    except WorkerUnavailable:
        return []
    return [dict(entry) for entry in found["entries"]] if found else []


def _atom(raw: bytes) -> dict[str, Any]:
    import lxml.etree

    etree: Any = lxml.etree
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=True)
    root = etree.fromstring(raw, parser=parser) if raw else None
    space = "{http://www.w3.org/2005/Atom}"
    entries = []
    for node in root.iter(f"{space}entry") if root is not None else ():
        fields = {
            name: " ".join((node.findtext(f"{space}{name}") or "").split())[:20_000]
            for name in ("id", "title", "summary", "published")
        }
        if fields["id"] and fields["summary"]:
            entries.append(fields)
    return {"entries": entries[:200]}


def _answer(asked: Any) -> Any:
    try:
        if asked["kind"] == "atom":
            return _atom(base64.b64decode(asked["raw"]))
        return _read(base64.b64decode(asked["raw"]), str(asked["kind"]))
    except MemoryError:
        return None


if __name__ == "__main__":
    from core.worker import serve

    serve(_answer, memory=_MEMORY, prepare=lambda: json.dumps({}))
